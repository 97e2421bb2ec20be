"""Soft sharing: a network per task, pulled towards the others (Duong, Cohn, Bird, Cook, ACL 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Wiring, input_stream, mixture

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.trunk import Trunk


@register("trunk", "soft_sharing")
class SoftSharing(TrunkOptions):
    """One network per task on the same embeddings; a penalty pulls their weights together.

    l2: a sum_{i<j} ||W_i - W_j||^2, summed over layers. trace_norm: a times the sum of the singular values of each
    layer's weights, one row per task, which is small where the tasks' weights are multiples of a few common ones.
    Biases are left free.
    """

    card: ClassVar[Card] = Card(
        problem="One network for all is too tight and one per task learns nothing from the others: keep one per task, "
        "and make differences cost something.",
        formula=r"L = \sum_k L_k + a \sum_{i<j} \lVert W_i - W_j \rVert_2^2",
        paper="Low Resource Dependency Parsing: Cross-lingual Parameter Sharing in a Neural Network Parser",
        authors="Duong, Cohn, Bird, Cook",
        year=2015,
        venue="ACL",
    )

    layers: Layers = option((128, 64), "Hidden layer widths of each task's network", min_length=1)
    tie: Literal["l2", "trace_norm"] = option("l2", "What is penalised: squared differences, or the trace norm")
    strength: float = option(0.001, "How strongly the networks are pulled together (a)", ge=0, le=100)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        tasks = range(len(task_names))
        level = mixture(
            owners=list(tasks),
            gates=[(task_names[k], k, [k]) for k in tasks],
            layers=self.layers,
            task_names=task_names,
            sources={k: input_stream(k, len(tasks), streams) for k in tasks},
        )
        return Wiring(levels=(level.model_copy(update={"tied": len(tasks) > 1}),), outputs=tuple(tasks))

    def build(self, task_names: Sequence[str], streams: int, width: int, generator: torch.Generator) -> Trunk:
        from mtl_core.nn.soft_sharing import SoftSharingTrunk

        return SoftSharingTrunk(self.wire(task_names, streams), width, generator, self.tie, self.strength)
