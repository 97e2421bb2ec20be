"""Who reads what and who may mix whom: a trunk of the mixture family, written down without any tensor.

MMoE and PLE differ by one matrix, and this is where it stands: `Level.visible[g][e]` says whether gate g may mix expert
e. The torch module that runs a wiring is `mtl_core.nn.mixture.MixtureTrunk`; the dashboard draws the same object.
Trunks with a module of their own declare a wiring for the picture alone.

Streams. The input of a level is a stack of streams. The encoder gives one stream (shared embeddings), K (one per task)
or K + 1 (per task, then shared); a level gives one stream per gate.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


#: What a gate's weights are. softmax: positive, summing to one, computed from each row. mix: any numbers, negative ones
#: too, summing to anything. select: between 0 and 1, and exactly 0 where an expert is left out.
GateKind = Literal["softmax", "mix", "select"]


class Expert(_Frozen):
    """One expert network. `owner` is the task it is private to (None: shared), `source` the stream it reads."""

    name: str
    owner: int | None
    source: int
    #: Further streams that it reads, put beside the first.
    also: tuple[int, ...] = ()
    #: The level whose mixes it reads, 0 for the encoder's streams; None: the level before its own.
    level: int | None = None


class Gate(_Frozen):
    """Weights over the experts it sees. `owner` is its task (None: shared), `source` the stream that selects."""

    name: str
    owner: int | None
    source: int
    sees: tuple[int, ...]
    kind: GateKind = "softmax"
    #: A second stream, added to `source` before it selects.
    beside: int | None = None
    #: Experts that it mixes without training them: their gradient stops here.
    detached: tuple[int, ...] = ()
    #: Experts that also reach the mix past the softmax, by learned constant weights (by 1 if there is just one).
    native: tuple[int, ...] = ()
    #: It mixes nothing: it scales every unit of the one expert that it sees, by factors that it computes from each row.
    modulates: bool = False
    #: Weights that are given and not learned, one per expert in `sees`; none: they are learned.
    fixed: tuple[float, ...] = ()

    @property
    def chooses(self) -> bool:
        """Does it compute a weight from each row for more than one expert?"""
        return self.kind == "softmax" and len(self.sees) > 1

    @property
    def mixes(self) -> bool:
        """Does it weigh more than one thing?"""
        return len(self.sees) > 1 or bool(self.native)


class Level(_Frozen):
    """Experts side by side, then gates that mix them."""

    experts: tuple[Expert, ...]
    gates: tuple[Gate, ...]
    layers: tuple[int, ...]
    #: What the gates' `source` counts: the streams that the level reads, or the encoder's.
    selectors: Literal["streams", "encoder"] = "streams"
    #: A penalty pulls the experts' weights towards each other.
    tied: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Level:
        for gate in self.gates:
            if not gate.sees or min(gate.sees) < 0 or max(gate.sees) >= len(self.experts):
                raise ValueError(f"Gate {gate.name} must see at least one expert, and only experts of its level.")
            if not {*gate.detached, *gate.native} <= {*gate.sees}:
                raise ValueError(f"Gate {gate.name} treats experts specially that it does not see.")
            if gate.fixed and (gate.kind != "mix" or len(gate.fixed) != len(gate.sees)):
                raise ValueError(f"Gate {gate.name} needs kind 'mix' and one fixed weight per expert that it sees.")
        if not self.layers:
            raise ValueError("An expert needs at least one layer.")
        return self

    @property
    def visible(self) -> list[list[bool]]:
        """[G, E]: may gate g mix expert e?"""
        return [[e in gate.sees for e in range(len(self.experts))] for gate in self.gates]

    def parameters(self, width: int, encoder_width: int | None = None) -> int:
        """Trainable parameters of a level of the mixture family.

        Args:
            width: columns of each stream that the level reads.
            encoder_width: columns of the encoder's streams; None: the same.

        A gate that sees one expert has none, and neither has one with fixed weights.
        """
        count, sizes = 0, (width, *self.layers)
        for d_in, d_out in itertools.pairwise(sizes):
            count += len(self.experts) * (d_in + 1) * d_out
        selector = width if encoder_width is None or self.selectors == "streams" else encoder_width
        for gate in self.gates:
            count += selector * len(gate.sees) if gate.chooses else 0
            count += len(gate.native) if len(gate.native) > 1 else 0
        return count


class Wiring(_Frozen):
    """Levels from input to output; task k's tower reads the mixes of the last level's gates `outputs[k]`, joined."""

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
        streams = {source for expert in self.levels[0].experts for source in (expert.source, *expert.also)}
        for level in self.levels:
            if level is self.levels[0] or level.selectors == "encoder":
                choosing = [gate for gate in level.gates if gate.chooses]
                streams |= {gate.source for gate in choosing}
                streams |= {gate.beside for gate in choosing if gate.beside is not None}
        return frozenset(streams)

    @property
    def embeddings(self) -> tuple[int | None, ...]:
        """Whose embeddings each of the encoder's streams holds; None: those that all tasks share."""
        count, tasks = max(self.reads) + 1, len(self.outputs)
        return (None,) if count == 1 else tuple(s if s < tasks else None for s in range(count))

    def parameters(self, width: int) -> int:
        """Trainable parameters of a trunk of the mixture family when the encoder's streams are `width` wide."""
        count, encoder_width = 0, width
        for level in self.levels:
            count += level.parameters(width, encoder_width)
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


def experts_of(
    owners: Sequence[int | None], task_names: Sequence[str], sources: Mapping[int | None, int]
) -> tuple[Expert, ...]:
    """One expert per owner, named after it and numbered; `sources` maps an owner to the stream it reads."""
    seen: dict[int | None, int] = {}
    experts = []
    for owner in owners:
        seen[owner] = seen.get(owner, 0) + 1
        stem = "S" if owner is None else task_names[owner]
        label = f"{stem}{seen[owner]}" if len(stem) == 1 else f"{stem} {seen[owner]}"
        experts.append(Expert(name=label, owner=owner, source=sources[owner]))
    return tuple(experts)


def mixture(
    owners: Sequence[int | None],
    gates: Sequence[tuple[str, int | None, Sequence[int]]],
    layers: Sequence[int],
    task_names: Sequence[str],
    sources: Mapping[int | None, int],
    gate_sources: Mapping[int | None, int] | None = None,
) -> Level:
    """One level: experts by owner, gates as (name, owner, experts seen); `sources` maps an owner to its stream."""
    gate_sources = gate_sources or sources
    return Level(
        experts=experts_of(owners, task_names, sources),
        gates=tuple(
            Gate(name=name, owner=owner, source=gate_sources[owner], sees=tuple(sees)) for name, owner, sees in gates
        ),
        layers=tuple(layers),
    )
