"""Progressive layered extraction: Tang, Liu, Zhao, Gong, RecSys 2020."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.cgc import ExtractionOptions, extraction_levels
from mtl_core.trunks.wiring import Wiring


@register("trunk", "ple", "PLE")
class PLE(ExtractionOptions):
    """Stacked CGC: private and shared experts on every level, with a shared stream whose gate sees all of them.

    h_k^j = w_k^j [E_k^j(h_k^{j-1}), E_s^j(h_s^{j-1})], w_k^j = softmax(W_k^j h_k^{j-1}); h_s^j mixes all experts.
    """

    card: ClassVar[Card] = Card(
        problem="Private and shared knowledge separate step by step: level after level, each task keeps a stream of "
        "its own.",
        formula=r"h_k^j = w_k^j [E_k^j(h_k^{j-1}),\, E_s^j(h_s^{j-1})], \quad "
        r"w_k^j = \mathrm{softmax}(W_k^j h_k^{j-1})",
        paper="Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized "
        "Recommendations",
        authors="Tang, Liu, Zhao, Gong",
        year=2020,
        venue="RecSys",
        reference="10.1145/3383313.3412236",
    )

    levels: int = option(2, "Extraction levels; one level is CGC", ge=1, le=6)
    expert_layers: Layers = option((64,), "Hidden layer widths of each expert", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        return extraction_levels(
            task_names, streams, self.shared_experts, self.task_experts, self.expert_layers, self.levels
        )
