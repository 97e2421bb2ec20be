"""Sub-network routing: Ma, Zhao, Chen, Li, Hong, Chi, AAAI 2019."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.ml_mmoe import stacked_pool
from mtl_core.trunks.wiring import Wiring

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.trunk import Trunk


@register("trunk", "snr", "SNR")
class SNR(TrunkOptions):
    """Levels of sub-networks, and a learned switch on every connection between them and to the towers.

    v_j = sum_i z_ij W_ij u_i (trans) or sum_i z_ij u_i (aver), where u_i are the sub-networks of a level and v_j is
    what the next level's j-th one, or tower j, reads. A switch is hard concrete: s = sigmoid((log u - log(1 - u) +
    log a) / 0.9) with a uniform number u drawn anew for every step, z = clip(1.2 s - 0.1, 0, 1). A row is scored with
    z = clip(1.2 sigmoid(log a) - 0.1, 0, 1). A penalty c sum P(z_ij != 0) closes what is not needed.
    """

    card: ClassVar[Card] = Card(
        problem="Which parts of a network which task should use is a question of routing: learn to open and to close "
        "connections.",
        formula=r"v_j = \sum_i z_{ij} W_{ij} u_i, \quad z_{ij} = \mathrm{clip}(\bar{s}_{ij}, 0, 1), \quad "
        r"L = \sum_k L_k + c \sum_{ij} P(z_{ij} \ne 0)",
        paper="SNR: Sub-Network Routing for Flexible Parameter Sharing in Multi-Task Learning",
        authors="Ma, Zhao, Chen, Li, Hong, Chi",
        year=2019,
        venue="AAAI",
    )

    levels: int = option(2, "Levels of sub-networks", ge=1, le=6)
    experts: int = option(4, "Sub-networks per level, all shared", ge=1, le=64)
    expert_layers: Layers = option((64,), "Hidden layer widths of each sub-network", min_length=1)
    connection: Literal["trans", "aver"] = option(
        "trans", "What an open connection does: trans multiplies by a matrix of its own, aver passes on as it is"
    )
    sparsity: float = option(0.001, "Price of a connection that is not closed (c)", ge=0, le=10)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        return stacked_pool(task_names, streams, self.experts, self.expert_layers, self.levels, "select")

    def parameters(self, task_names: Sequence[str], streams: int, width: int) -> int:
        networks = 0
        for level in range(self.levels):
            sizes = (width if level == 0 else self.expert_layers[-1], *self.expert_layers)
            networks += self.experts * sum((a + 1) * b for a, b in itertools.pairwise(sizes))
        connections = self.experts * (self.experts * (self.levels - 1) + len(task_names))
        switches = connections if self.experts > 1 else 0
        return networks + switches + (connections * self.expert_layers[-1] ** 2 if self.connection == "trans" else 0)

    def build(self, task_names: Sequence[str], streams: int, width: int, generator: torch.Generator) -> Trunk:
        from mtl_core.nn.snr import SNRTrunk

        wiring = self.wire(task_names, streams)
        return SNRTrunk(wiring, width, generator, transforms=self.connection == "trans", sparsity=self.sparsity)
