"""Customized gate control: the single-level PLE of Tang, Liu, Zhao, Gong, RecSys 2020."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field

from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Level, Wiring, input_stream, mixture

#: One number for all tasks, or one per task.
TaskExperts = Annotated[int, Field(ge=0, le=32)] | tuple[Annotated[int, Field(ge=0, le=32)], ...]


def extraction_levels(
    task_names: Sequence[str],
    streams: int,
    shared_experts: int,
    task_experts: int | Sequence[int],
    layers: Sequence[int],
    levels: int,
) -> Wiring:
    """CGC levels on top of each other: one for CGC, several for PLE.

    Level j reads the mixes of level j - 1, which also select: not the raw input.

    A task's gate sees its own and the shared experts; the shared gate sees all experts and is there on every level
    but the last.

    Raises:
        ValueError: a wrong number of expert counts, or a task that would see no expert.
    """
    count = len(task_names)
    tasks = range(count)
    per_task = [task_experts] * count if isinstance(task_experts, int) else list(task_experts)
    if len(per_task) != count:
        raise ValueError(f"task_experts has {len(per_task)} numbers for {count} tasks ({', '.join(task_names)}).")
    blind = [name for name, m in zip(task_names, per_task, strict=True) if m + shared_experts == 0]
    if blind:
        raise ValueError(f"Task {blind[0]} would see no expert: raise shared_experts or task_experts.")
    if levels > 1 and shared_experts == 0:
        raise ValueError(
            "With no shared experts nothing feeds the shared stream: use one level, or shared_experts >= 1."
        )

    owners: list[int | None] = []
    for k in tasks:
        owners += [k] * per_task[k]
    owners += [None] * shared_experts
    sees = {k: [e for e, owner in enumerate(owners) if owner in (k, None)] for k in tasks}

    readers: list[int | None] = [*tasks, *([None] if shared_experts else [])]
    source = {owner: input_stream(owner, count, streams) for owner in readers}
    built: list[Level] = []
    for level in range(levels):
        gates: list[tuple[str, int | None, Sequence[int]]] = [(task_names[k], k, sees[k]) for k in tasks]
        if level < levels - 1:
            gates.append(("shared", None, range(len(owners))))
        built.append(mixture(owners, gates, layers, task_names, source))
        source = {**{k: k for k in tasks}, None: count}
    return Wiring(levels=tuple(built), outputs=tuple(tasks))


class ExtractionOptions(TrunkOptions):
    """What CGC and PLE have in common: which experts there are on a level."""

    shared_experts: int = option(4, "Experts that every task's gate sees, per level", ge=0, le=32)
    task_experts: TaskExperts = option(2, "Private experts of each task, per level")

    def canonical(self, task_names: Sequence[str]) -> Self:
        counts = self.task_experts
        if isinstance(counts, int) or len(set(counts)) > 1:
            return self
        return self.model_copy(update={"task_experts": counts[0]})


@register("trunk", "cgc", "CGC")
class CGC(ExtractionOptions):
    """Private experts per task beside shared ones; a task's gate sees its own and the shared experts only."""

    expert_layers: Layers = option((64, 32), "Hidden layer widths of each expert", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        return extraction_levels(
            task_names, streams, self.shared_experts, self.task_experts, self.expert_layers, levels=1
        )
