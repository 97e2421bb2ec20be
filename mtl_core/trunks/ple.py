"""Progressive layered extraction: Tang, Liu, Zhao, Gong, RecSys 2020."""

from __future__ import annotations

from collections.abc import Sequence

from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.cgc import TaskExperts, extraction_levels
from mtl_core.trunks.wiring import Wiring


@register("trunk", "ple", "PLE")
class PLE(TrunkOptions):
    """Stacked CGC: private and shared experts on every level, with a shared stream whose gate sees all of them."""

    shared_experts: int = option(4, "Experts that every task's gate sees, per level", ge=0, le=32)
    task_experts: TaskExperts = option(2, "Private experts of each task, per level")
    levels: int = option(2, "Extraction levels; one level is CGC", ge=1, le=6)
    expert_layers: Layers = option((64,), "Hidden layer widths of each expert", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        return extraction_levels(
            task_names, streams, self.shared_experts, self.task_experts, self.expert_layers, self.levels
        )
