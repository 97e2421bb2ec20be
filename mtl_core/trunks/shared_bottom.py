"""Shared bottom (hard sharing): Caruana, "Multitask Learning", Machine Learning 28, 1997."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Wiring, input_stream, mixture


@register("trunk", "shared_bottom")
class SharedBottom(TrunkOptions):
    """One network that all tasks read: strong when tasks are close, the source of negative transfer when not."""

    card: ClassVar[Card] = Card(
        problem="Related tasks learn faster together, and one network costs less than one per task.",
        formula=r"z_k = h_k(f(x))",
        paper="Multitask Learning",
        authors="Caruana",
        year=1997,
        venue="Machine Learning 28",
    )

    layers: Layers = option((128, 64), "Hidden layer widths of the shared network", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        source: dict[int | None, int] = {None: input_stream(None, len(task_names), streams)}
        level = mixture([None], [("all tasks", None, [0])], self.layers, task_names, source)
        return Wiring(levels=(level,), outputs=(0,) * len(task_names))
