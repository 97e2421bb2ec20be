"""DSelect-k: Hazimeh et al., NeurIPS 2021."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.ml_mmoe import stacked_pool
from mtl_core.trunks.wiring import Wiring

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.trunk import Trunk


@register("trunk", "dselect_k", "DSelect-k")
class DSelectK(TrunkOptions):
    """MMoE whose gates end up using a few experts each: every selector picks one by the bits of its number.

    A selector has one number z_b per bit; the expert with bits c has weight prod_b S(z_b) or 1 - S(z_b), where S(t) is
    -2 t^3 / g^3 + 3 t / (2 g) + 1/2 between -g/2 and g/2, and 0 or 1 beyond: bits, and so selections, become exact. A
    gate mixes its selectors by a softmax. A penalty c times the selectors' entropy asks for decisions.

    If the number of experts is no power of two, some bit patterns name no expert, and what a selector puts on them is
    lost: its weights sum to less than 1, and 1 / (their sum) is added to the penalty. With per_example the numbers are
    W_b x and nothing is penalised (the rows are not known to the parameters), so there must be a power of two.
    """

    card: ClassVar[Card] = Card(
        problem="A softmax never drops an expert for good: select a few of them exactly, and still train by gradient.",
        formula=r"w = \sum_s \mathrm{softmax}(a)_s \prod_b S(z_{sb})^{c_b} (1 - S(z_{sb}))^{1 - c_b}, \quad "
        r"S(t) = -\tfrac{2}{\gamma^3} t^3 + \tfrac{3}{2\gamma} t + \tfrac{1}{2}",
        paper="DSelect-k: Differentiable Selection in the Mixture of Experts with Applications to Multi-Task Learning",
        authors="Hazimeh et al.",
        year=2021,
        venue="NeurIPS",
        reference="2106.03760",
    )

    experts: int = option(8, "Experts, all shared", ge=1, le=64)
    selectors: int = option(2, "Experts that a gate may use in the end (k)", ge=1, le=8)
    expert_layers: Layers = option((64, 32), "Hidden layer widths of each expert", min_length=1)
    per_example: bool = option(False, "Select for each row, not once for all")
    gamma: float = option(1.0, "Width of the slope between the two decisions of a bit", gt=0, le=10)
    entropy: float = option(0.001, "How strongly undecided selectors are penalised (c)", ge=0, le=10)

    @property
    def bits(self) -> int:
        """Bits of an expert's number."""
        return (self.experts - 1).bit_length()

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        if self.per_example and self.experts != 2**self.bits:
            raise ValueError(f"With per_example the number of experts must be a power of two, not {self.experts}.")
        return stacked_pool(task_names, streams, self.experts, self.expert_layers, 1, "select")

    def parameters(self, task_names: Sequence[str], streams: int, width: int) -> int:
        numbers = self.selectors * self.bits + (self.selectors if self.selectors > 1 and self.bits else 0)
        each = width if self.per_example else 1
        return super().parameters(task_names, streams, width) + len(task_names) * numbers * each

    def build(self, task_names: Sequence[str], streams: int, width: int, generator: torch.Generator) -> Trunk:
        from mtl_core.nn.dselect_k import DSelectKTrunk

        return DSelectKTrunk(self, self.wire(task_names, streams), width, generator)
