"""Who reads what and who may mix whom: a trunk of the mixture family, written down without any tensor.

MMoE and PLE differ by one matrix, and this is where it stands: `Level.visible[g][e]` says whether gate g may mix expert
e. The torch module that runs a wiring is `mtl_core.nn.mixture.MixtureTrunk`; the dashboard draws the same object.

Streams. The input of a level is a stack of streams. The encoder gives one stream (shared embeddings), K (one per task)
or K + 1 (per task, then shared); a level gives one stream per gate.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expert(_Frozen):
    """One expert network. `owner` is the task it is private to (None: shared), `source` the stream it reads."""

    name: str
    owner: int | None
    source: int


class Gate(_Frozen):
    """One softmax over the experts it sees. `owner` is its task (None: shared), `source` the stream that selects."""

    name: str
    owner: int | None
    source: int
    sees: tuple[int, ...]


class Level(_Frozen):
    """Experts side by side, then gates that mix them."""

    experts: tuple[Expert, ...]
    gates: tuple[Gate, ...]
    layers: tuple[int, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Level:
        for gate in self.gates:
            if not gate.sees or min(gate.sees) < 0 or max(gate.sees) >= len(self.experts):
                raise ValueError(f"Gate {gate.name} must see at least one expert, and only experts of its level.")
        if not self.layers:
            raise ValueError("An expert needs at least one layer.")
        return self

    @property
    def visible(self) -> list[list[bool]]:
        """[G, E]: may gate g mix expert e?"""
        return [[e in gate.sees for e in range(len(self.experts))] for gate in self.gates]

    def parameters(self, width: int) -> int:
        """Trainable parameters when every input stream is `width` wide. A gate that sees one expert has none."""
        count, sizes = 0, (width, *self.layers)
        for d_in, d_out in itertools.pairwise(sizes):
            count += len(self.experts) * (d_in + 1) * d_out
        return count + sum(width * len(gate.sees) for gate in self.gates if len(gate.sees) > 1)


class Wiring(_Frozen):
    """Levels from input to output; task k's tower reads the mixes of the last-level gates `outputs[k]`, side by side."""

    levels: tuple[Level, ...]
    outputs: tuple[tuple[int, ...], ...]

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_tuple_of_one(cls, value: Any) -> Any:
        """Most trunks give each tower a single mix: its number alone will do."""
        if isinstance(value, Mapping) and isinstance(value.get("outputs"), list | tuple):
            outputs = tuple((o,) if isinstance(o, int) else o for o in value["outputs"])
            return {**value, "outputs": outputs}
        return value

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each task's representation."""
        return tuple(len(gates) * self.levels[-1].layers[-1] for gates in self.outputs)

    @property
    def reads(self) -> frozenset[int]:
        """Encoder streams that an expert, or a gate with something to choose, reads."""
        first = self.levels[0]
        choosing = {gate.source for gate in first.gates if len(gate.sees) > 1}
        return frozenset(choosing | {expert.source for expert in first.experts})

    def parameters(self, width: int) -> int:
        """Trainable parameters of the trunk when the encoder's streams are `width` wide."""
        count = 0
        for level in self.levels:
            count += level.parameters(width)
            width = level.layers[-1]
        return count


def gate_key(level: int, gate: str) -> str:
    """The name under which a gate's weights appear in outputs, events and files; levels count from 1."""
    return f"level {level} / {gate}"


def input_stream(owner: int | None, tasks: int, streams: int) -> int:
    """The encoder stream that an expert or a gate of `owner` reads, given how many streams there are.

    Raises:
        ValueError: a shared part where each task has embeddings of its own and none are shared.
    """
    if streams == 1:
        return 0
    if owner is not None:
        return owner
    if streams == tasks + 1:
        return tasks
    raise ValueError(
        "Shared experts and shared gates need shared embeddings: set embedding_sharing to 'shared' or 'both'."
    )


def mixture(
    owners: Sequence[int | None],
    gates: Sequence[tuple[str, int | None, Sequence[int]]],
    layers: Sequence[int],
    task_names: Sequence[str],
    sources: dict[int | None, int],
    gate_sources: dict[int | None, int] | None = None,
) -> Level:
    """One level: experts by owner, gates as (name, owner, experts seen); `sources` maps an owner to its stream."""
    gate_sources = gate_sources or sources
    seen: dict[int | None, int] = {}
    experts = []
    for owner in owners:
        seen[owner] = seen.get(owner, 0) + 1
        stem = "S" if owner is None else task_names[owner]
        label = f"{stem}{seen[owner]}" if len(stem) == 1 else f"{stem} {seen[owner]}"
        experts.append(Expert(name=label, owner=owner, source=sources[owner]))
    return Level(
        experts=tuple(experts),
        gates=tuple(
            Gate(name=name, owner=owner, source=gate_sources[owner], sees=tuple(sees)) for name, owner, sees in gates
        ),
        layers=tuple(layers),
    )
