"""Networks side by side whose activations are mixed after every layer."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from mtl_core.nn.mlp import MLPBank
from mtl_core.nn.trunk import Representations, Trunk, sources_of
from mtl_core.trunks.wiring import Wiring, gate_key


class Stitch(nn.Module):
    """N mixes of N activations with learned constants: x~_i = sum_j a_ij x_j.

    Args:
        count: N. One activation is passed on as it is, without a constant.
        units: constants per pair: 1, or the width of the activations.
        start: a_ij at the start [N, N].
    """

    def __init__(self, count: int, units: int, start: Tensor) -> None:
        super().__init__()
        alpha_NNU = start[:, :, None].repeat(1, 1, units)
        self.alpha = nn.Parameter(alpha_NNU) if count > 1 else None

    def forward(self, x_NBH: Tensor) -> Tensor:
        """[N, B, H] in, [N, B, H] out."""
        if self.alpha is None:
            return x_NBH
        if self.alpha.shape[2] == 1:
            return torch.einsum("ij,jbh->ibh", self.alpha[:, :, 0], x_NBH)
        return torch.einsum("ijh,jbh->ibh", self.alpha, x_NBH)

    def weights(self, x_NBH: Tensor) -> Tensor:
        """The constants as gate weights [N, B, N], mean over units."""
        mean_NN = x_NBH.new_ones(1, 1) if self.alpha is None else self.alpha.mean(2)
        return mean_NN[:, None, :].expand(-1, x_NBH.shape[1], -1)


def leaning(own: float, count: int) -> Tensor:
    """Constants [N, N] whose rows sum to 1: `own` for each on itself, the rest shared by the others."""
    same = torch.eye(count)
    return own * same + (1.0 - own) / max(count - 1, 1) * (1.0 - same)


class CrossStitchTrunk(Trunk):
    """A network per task, stitched after every layer."""

    def __init__(self, wiring: Wiring, width: int, generator: torch.Generator, own: float, per_unit: bool) -> None:
        super().__init__()
        self.wiring = wiring
        self.widths = wiring.widths
        self.sources = sources_of(wiring)
        banks, stitches = [], []
        for level in wiring.levels:
            count, (units,) = len(level.experts), level.layers
            banks.append(MLPBank(count, width, (units,), generator))
            stitches.append(Stitch(count, units if per_unit else 1, leaning(own, count)))
            width = units
        self.banks, self.stitches = nn.ModuleList(banks), nn.ModuleList(stitches)

    def forward(self, x_SBD: Tensor, noise_BN: Tensor | None = None) -> tuple[Representations, dict[str, Tensor]]:
        """Representations; the constants as gates."""
        gates: dict[str, Tensor] = {}
        x = x_SBD[self.sources]
        modules = zip(self.wiring.levels, self.banks, self.stitches, strict=True)
        for number, (level, bank, stitch) in enumerate(modules, start=1):
            x = stitch(bank(x))
            weights = cast(Stitch, stitch).weights(x)
            for g, gate in enumerate(level.gates):
                gates[gate_key(number, gate.name)] = weights[g]
        return x, gates
