"""Progressive layered extraction: Tang, Liu, Zhao, Gong, RecSys 2020."""

from __future__ import annotations

from collections.abc import Sequence

from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.cgc import ExtractionOptions, extraction_levels
from mtl_core.trunks.wiring import Wiring


@register("trunk", "ple", "PLE")
class PLE(ExtractionOptions):
    """Stacked CGC: private and shared experts on every level, with a shared stream whose gate sees all of them."""

    levels: int = option(2, "Extraction levels; one level is CGC", ge=1, le=6)
    expert_layers: Layers = option((64,), "Hidden layer widths of each expert", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        return extraction_levels(
            task_names, streams, self.shared_experts, self.task_experts, self.expert_layers, self.levels
        )
