"""One-gate mixture of experts: the baseline of Ma et al., KDD 2018, that isolates what "multi-gate" adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Wiring, input_stream, mixture


@register("trunk", "omoe", "OMoE")
class OMoE(TrunkOptions):
    """A pool of experts mixed by one softmax gate; every task receives the same mix.

    f(x) = sum_i w_i(x) E_i(x), w(x) = softmax(W x).
    """

    card: ClassVar[Card] = Card(
        problem="Different rows need different computation: a gate picks a mix of experts for each row, the same for "
        "all tasks.",
        formula=r"f(x) = \sum_i w_i(x)\, E_i(x), \quad w(x) = \mathrm{softmax}(W x), \quad z_k = h_k(f(x))",
        paper="Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts",
        authors="Ma, Zhao, Yi, Chen, Hong, Chi",
        year=2018,
        venue="KDD",
        reference="10.1145/3219819.3220007",
    )

    experts: int = option(8, "Experts, all shared", ge=1, le=64)
    expert_layers: Layers = option((64, 32), "Hidden layer widths of each expert", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        source: dict[int | None, int] = {None: input_stream(None, len(task_names), streams)}
        gate = ("all tasks", None, range(self.experts))
        level = mixture([None] * self.experts, [gate], self.expert_layers, task_names, source)
        return Wiring(levels=(level,), outputs=(0,) * len(task_names))
