"""Adaptive task-to-task fusion: Li, Zhang, Yuan, Gao, Zhang, Yang, Liu, Yang, KDD 2023."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.cgc import ExtractionOptions, TaskExperts, owners_of, private_counts
from mtl_core.trunks.wiring import Gate, Level, Wiring, experts_of, input_stream


@register("trunk", "adatt", "AdaTT")
class AdaTT(ExtractionOptions):
    """Every gate sees every expert of its level; a task's own experts also reach it past the gate.

    f_t^l = (pad(v_t^l) + softmax(W_t^l f_t^{l-1})) E^l over all experts of level l, where v_t are learned constants for
    the unit's own experts (1 if it has just one) and f_t^0 = x. A unit's experts read f_t^{l-1}. Units are the tasks
    and, with shared experts, a shared one, which mixes nothing on the last level. The weights that are shown are the
    softmax's.
    """

    card: ClassVar[Card] = Card(
        problem="Which tasks help which is not known beforehand: let every task listen to every expert, and keep its "
        "own ones on a line that no gate can close.",
        formula=r"f_t^l = \left(\mathrm{pad}(v_t^l) + \mathrm{softmax}(W_t^l f_t^{l-1})\right) E^l",
        paper="AdaTT: Adaptive Task-to-Task Fusion Network for Multitask Learning in Recommendations",
        authors="Li, Zhang, Yuan, Gao, Zhang, Yang, Liu, Yang",
        year=2023,
        venue="KDD",
        reference="2304.04959",
    )

    shared_experts: int = option(1, "Experts of no task, per level; none is the paper's AdaTT-sp", ge=0, le=32)
    task_experts: TaskExperts = option(2, "Experts of each task, per level")
    levels: int = option(2, "Fusion levels", ge=1, le=6)
    expert_layers: Layers = option((64,), "Hidden layer widths of each expert", min_length=1)
    native: bool = option(True, "A task's own experts also reach it past the gate")

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        count = len(task_names)
        owners = owners_of(private_counts(task_names, self.task_experts), self.shared_experts)
        if not owners:
            raise ValueError(f"Task {task_names[0]} would see no expert: raise shared_experts or task_experts.")
        own = {unit: tuple(e for e, owner in enumerate(owners) if owner == unit) for unit in [*range(count), None]}
        units: list[int | None] = [*range(count), *([None] if self.shared_experts else [])]
        source = {unit: input_stream(unit, count, streams) for unit in units}
        built = []
        for level in range(self.levels):
            last = level == self.levels - 1
            gates = tuple(
                Gate(
                    name="shared" if unit is None else task_names[unit],
                    owner=unit,
                    source=source[unit],
                    sees=tuple(range(len(owners))),
                    native=own[unit] if self.native else (),
                )
                for unit in units
                if not (last and unit is None)
            )
            experts = experts_of(owners, task_names, source)
            built.append(Level(experts=experts, gates=gates, layers=tuple(self.expert_layers)))
            source = {**{k: k for k in range(count)}, None: count}
        return Wiring(levels=tuple(built), outputs=tuple(range(count)))
