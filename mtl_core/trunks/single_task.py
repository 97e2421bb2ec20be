"""Single task: one network per task, nothing shared. The yardstick of every gain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mtl_core.card import Card
from mtl_core.encoders.base import EmbeddingSharing
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Wiring, input_stream, mixture


@register("trunk", "single_task")
class SingleTask(TrunkOptions):
    """One network per task with embeddings of its own: what sharing has to beat."""

    card: ClassVar[Card] = Card(
        problem="What would each task reach on its own? Every gain of sharing is measured against this.",
        formula=r"z_k = h_k(E_k(x_k))",
    )
    embeddings: ClassVar[EmbeddingSharing | None] = "per_task"

    layers: Layers = option((128, 64), "Hidden layer widths of each task's network", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        tasks = range(len(task_names))
        level = mixture(
            owners=list(tasks),
            gates=[(task_names[k], k, [k]) for k in tasks],
            layers=self.layers,
            task_names=task_names,
            sources={k: input_stream(k, len(tasks), streams) for k in tasks},
        )
        return Wiring(levels=(level,), outputs=tuple(tasks))
