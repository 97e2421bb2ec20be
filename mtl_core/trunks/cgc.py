"""Customized gate control: the single-level PLE of Tang, Liu, Zhao, Gong, RecSys 2020."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Level, Wiring, input_stream, mixture

#: One number for all tasks, or one per task.
TaskExperts = Annotated[int, Field(ge=0, le=32)] | tuple[Annotated[int, Field(ge=0, le=32)], ...]


def private_counts(task_names: Sequence[str], task_experts: int | Sequence[int]) -> list[int]:
    """Private experts of each task.

    Raises:
        ValueError: a wrong number of counts.
    """
    count = len(task_names)
    per_task = [task_experts] * count if isinstance(task_experts, int) else list(task_experts)
    if len(per_task) != count:
        raise ValueError(f"task_experts has {len(per_task)} numbers for {count} tasks ({', '.join(task_names)}).")
    return per_task


def owners_of(per_task: Sequence[int], shared_experts: int) -> list[int | None]:
    """The owner of each expert of a level: private ones task after task, then the shared ones."""
    owners: list[int | None] = []
    for k, private in enumerate(per_task):
        owners += [k] * private
    return owners + [None] * shared_experts


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
    per_task = private_counts(task_names, task_experts)
    blind = [name for name, m in zip(task_names, per_task, strict=True) if m + shared_experts == 0]
    if blind:
        raise ValueError(f"Task {blind[0]} would see no expert: raise shared_experts or task_experts.")
    if levels > 1 and shared_experts == 0:
        raise ValueError(
            "With no shared experts nothing feeds the shared stream: use one level, or shared_experts >= 1."
        )

    owners = owners_of(per_task, shared_experts)
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
    """Private experts per task beside shared ones; a task's gate sees its own and the shared experts only.

    g_k = w_k(x) [E_k(x), E_s(x)], w_k(x) = softmax(W_k x).
    """

    card: ClassVar[Card] = Card(
        problem="In a common pool of experts tasks still disturb each other: give each task experts that no other "
        "can touch.",
        formula=r"g_k(x) = w_k(x)\, [E_k(x),\, E_s(x)], \quad w_k(x) = \mathrm{softmax}(W_k x)",
        paper="Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized "
        "Recommendations",
        authors="Tang, Liu, Zhao, Gong",
        year=2020,
        venue="RecSys",
        reference="10.1145/3383313.3412236",
    )

    expert_layers: Layers = option((64, 32), "Hidden layer widths of each expert", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        return extraction_levels(
            task_names, streams, self.shared_experts, self.task_experts, self.expert_layers, levels=1
        )
