"""Customized gate control: the single-level PLE of Tang, Liu, Zhao, Gong, RecSys 2020."""

from __future__ import annotations

from collections.abc import Sequence

from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.ple import TaskExperts, extraction_levels
from mtl_core.trunks.wiring import Wiring


@register("trunk", "cgc")
class CGC(TrunkOptions):
    """Private experts per task beside shared ones; a task's gate sees its own and the shared experts only."""

    shared_experts: int = option(4, "Experts that every task's gate sees", ge=0, le=32)
    task_experts: TaskExperts = option(2, "Private experts of each task")
    expert_layers: Layers = option((64, 32), "Hidden layer widths of each expert", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        return extraction_levels(
            task_names, streams, self.shared_experts, self.task_experts, self.expert_layers, levels=1
        )
