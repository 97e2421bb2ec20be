"""Customized sharing: a baseline of Tang, Liu, Zhao, Gong, RecSys 2020."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Wiring, input_stream, mixture


@register("trunk", "customized")
class Customized(TrunkOptions):
    """A shared network beside one network per task; a tower reads both, side by side, without any gate.

    r_k = [b_s(x), b_k(x)].
    """

    card: ClassVar[Card] = Card(
        problem="Shared and private knowledge in separate networks, so that neither overwrites the other.",
        formula=r"r_k = [\,b_s(x),\; b_k(x)\,], \quad z_k = h_k(r_k)",
        paper="Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized "
        "Recommendations",
        authors="Tang, Liu, Zhao, Gong",
        year=2020,
        venue="RecSys",
        reference="10.1145/3383313.3412236",
    )

    layers: Layers = option((128, 64), "Hidden layer widths of the shared and of each task's network", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        count = len(task_names)
        owners = [*range(count), None]
        level = mixture(
            owners=owners,
            gates=[*((name, k, [k]) for k, name in enumerate(task_names)), ("shared", None, [count])],
            layers=self.layers,
            task_names=task_names,
            sources={owner: input_stream(owner, count, streams) for owner in owners},
        )
        return Wiring(levels=(level,), outputs=tuple((count, k) for k in range(count)))
