"""Asymmetric sharing: a baseline of Tang, Liu, Zhao, Gong, RecSys 2020."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Gate, Level, Wiring, experts_of, input_stream


@register("trunk", "asymmetric")
class Asymmetric(TrunkOptions):
    """One network per task; one task's network is also read by all others, and never the other way round.

    r_lead = b_lead(x), r_k = fuse(b_lead(x), b_k(x)): put side by side, added, or averaged. The others' losses train
    the lead's network too.
    """

    card: ClassVar[Card] = Card(
        problem="Some knowledge should flow one way only: from the task with much data to those with little.",
        formula=r"r_1 = b_1(x), \quad r_k = \mathrm{fuse}(b_1(x),\, b_k(x)), \quad z_k = h_k(r_k)",
        paper="Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized "
        "Recommendations",
        authors="Tang, Liu, Zhao, Gong",
        year=2020,
        venue="RecSys",
        reference="10.1145/3383313.3412236",
    )

    layers: Layers = option((128, 64), "Hidden layer widths of each task's network", min_length=1)
    fuse: Literal["concat", "sum", "average"] = option("concat", "How the two networks are put together")
    lead: int = option(0, "The task whose network the others read too, counted from 0", ge=0, le=31)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        tasks = range(len(task_names))
        if self.lead not in tasks:
            raise ValueError(f"There is no task {self.lead}: lead counts from 0, and there are {len(tasks)} tasks.")
        weights = {"concat": (), "sum": (1.0, 1.0), "average": (0.5, 0.5)}[self.fuse]
        sources: dict[int | None, int] = {k: input_stream(k, len(tasks), streams) for k in tasks}
        gates = []
        for k, name in enumerate(task_names):
            if k == self.lead or not weights:
                gates.append(Gate(name=name, owner=k, source=sources[k], sees=(k,)))
            else:
                gates.append(
                    Gate(name=name, owner=k, source=sources[k], sees=(self.lead, k), kind="mix", fixed=weights)
                )
        level = Level(
            experts=experts_of(list(tasks), task_names, sources), gates=tuple(gates), layers=tuple(self.layers)
        )
        beside = self.fuse == "concat"
        outputs = tuple((self.lead, k) if beside and k != self.lead else (k,) for k in tasks)
        return Wiring(levels=(level,), outputs=outputs)
