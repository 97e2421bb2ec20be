"""Cross-stitch networks: Misra, Shrivastava, Gupta, Hebert, CVPR 2016."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Gate, Level, Wiring, experts_of, input_stream

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.trunk import Trunk


@register("trunk", "cross_stitch")
class CrossStitch(TrunkOptions):
    """One network per task; after every layer each task mixes all tasks' activations with learned constants.

    x~_i^l = sum_j a_ij^l x_j^l: one number per pair of tasks and layer, or one per unit. They may take any value, and
    begin with most of the weight on the task's own network. The weights that are shown for one number per unit are
    their means.
    """

    card: ClassVar[Card] = Card(
        problem="At which depth tasks should share is not known beforehand: learn it, layer by layer.",
        formula=r"\tilde{x}_i^l = \sum_j \alpha_{ij}^l\, x_j^l,\quad x_i^{l+1} = \mathrm{relu}(W_i^{l+1}\tilde{x}_i^l)",
        paper="Cross-stitch Networks for Multi-task Learning",
        authors="Misra, Shrivastava, Gupta, Hebert",
        year=2016,
        venue="CVPR",
        reference="1604.03539",
    )

    layers: Layers = option((128, 64), "Hidden layer widths of each task's network; mixed after each", min_length=1)
    stitches: Literal["per_task", "per_unit"] = option("per_task", "One number per pair of tasks, or one per unit")
    own: float = option(
        0.9, "Weight of a task's own network at the start; the others share the rest", ge=0, le=1, advanced=True
    )

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        count = len(task_names)
        source: dict[int | None, int] = {k: input_stream(k, count, streams) for k in range(count)}
        built = []
        for width in self.layers:
            gates = tuple(
                Gate(name=name, owner=k, source=k, sees=tuple(range(count)), kind="mix")
                for k, name in enumerate(task_names)
            )
            built.append(Level(experts=experts_of(range(count), task_names, source), gates=gates, layers=(width,)))
            source = {k: k for k in range(count)}
        return Wiring(levels=tuple(built), outputs=tuple(range(count)))

    def parameters(self, task_names: Sequence[str], streams: int, width: int) -> int:
        count = len(task_names)
        stitches = sum(1 if self.stitches == "per_task" else layer for layer in self.layers) * count**2
        return super().parameters(task_names, streams, width) + (stitches if count > 1 else 0)

    def build(self, task_names: Sequence[str], streams: int, width: int, generator: torch.Generator) -> Trunk:
        from mtl_core.nn.cross_stitch import CrossStitchTrunk

        per_unit = self.stitches == "per_unit"
        return CrossStitchTrunk(self.wire(task_names, streams), width, generator, self.own, per_unit)
