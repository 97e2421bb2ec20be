"""Levels of sub-networks with a switch on every connection."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from mtl_core.nn.initial import uniform
from mtl_core.nn.mlp import MLPBank
from mtl_core.nn.trunk import Representations, Trunk, sources_of
from mtl_core.trunks.wiring import Wiring, gate_key

#: The hard concrete distribution of Louizos et al.: temperature, and the ends that are clipped to 0 and 1.
TEMPERATURE, LOW, HIGH = 0.9, -0.1, 1.1
#: log a at the start: a switch is closed with probability 0.015, and 0.96 when a row is scored.
START = 2.0
#: Keeps logarithms of uniform numbers finite.
TINY = 1e-6


def hard_concrete(log_alpha: Tensor, u: Tensor | None) -> Tensor:
    """Switches in 0..1, drawn with the uniform numbers `u` of the same shape, or their deterministic form."""
    if u is None:
        s = torch.sigmoid(log_alpha)
    else:
        u = u.clamp(TINY, 1 - TINY)
        s = torch.sigmoid((u.log() - (-u).log1p() + log_alpha) / TEMPERATURE)
    return (s * (HIGH - LOW) + LOW).clamp(0.0, 1.0)


def open_probability(log_alpha: Tensor) -> Tensor:
    """P(z != 0) of each switch."""
    return torch.sigmoid(log_alpha - TEMPERATURE * math.log(-LOW / HIGH))


class Routing(nn.Module):
    """What J readers make of E sub-networks: v_j = sum_e z_je W_je u_e, or without W.

    One sub-network is always open: there is nothing to choose.
    """

    def __init__(self, readers: int, experts: int, width: int, generator: torch.Generator, transforms: bool) -> None:
        super().__init__()
        self.readers, self.experts = readers, experts
        self.log_alpha = nn.Parameter(torch.full((readers, experts), START)) if experts > 1 else None
        # No ReLU follows, so half of He's variance keeps the size of what E sub-networks send.
        shape = (readers, experts, width, width)
        self.transform = uniform(shape, 2 * experts * width, generator, relu=True) if transforms else None

    @property
    def switches(self) -> int:
        """Uniform numbers that a step takes."""
        return self.readers * self.experts if self.log_alpha is not None else 0

    def forward(self, u_EBH: Tensor, noise_N: Tensor | None) -> tuple[Tensor, Tensor]:
        """v [J, B, H] and switches z [J, E]."""
        if self.log_alpha is None:
            z_JE = u_EBH.new_ones(self.readers, 1)
        else:
            z_JE = hard_concrete(self.log_alpha, None if noise_N is None else noise_N.view_as(self.log_alpha))
        if self.transform is None:
            return torch.einsum("je,ebh->jbh", z_JE, u_EBH), z_JE
        return torch.einsum("jehi,ebh->jbi", z_JE[:, :, None, None] * self.transform, u_EBH), z_JE


class SNRTrunk(Trunk):
    """Sub-networks and routings, level after level.

    A step draws one set of switches for all its rows: it reads the first row of the noise.
    """

    def __init__(
        self, wiring: Wiring, width: int, generator: torch.Generator, *, transforms: bool, sparsity: float
    ) -> None:
        super().__init__()
        self.wiring = wiring
        self.widths = wiring.widths
        self.sources = sources_of(wiring)
        self.sparsity = sparsity
        banks, routings = [], []
        for level in wiring.levels:
            banks.append(MLPBank(len(level.experts), width, level.layers, generator))
            width = level.layers[-1]
            routings.append(Routing(len(level.gates), len(level.experts), width, generator, transforms))
        self.banks, self.routings = nn.ModuleList(banks), nn.ModuleList(routings)
        self.switches = [routing.switches for routing in routings]
        self.noise = sum(self.switches)

    def forward(self, x_SBD: Tensor, noise_BN: Tensor | None = None) -> tuple[Representations, dict[str, Tensor]]:
        """Representations; switches as gates, the same for every row."""
        gates: dict[str, Tensor] = {}
        x = x_SBD[self.sources]
        draws = [None] * len(self.switches) if noise_BN is None else noise_BN[0].split(self.switches)
        modules = zip(self.wiring.levels, self.banks, self.routings, strict=True)
        for number, (level, bank, routing) in enumerate(modules, start=1):
            x, z_JE = routing(bank(x), draws[number - 1])
            for g, gate in enumerate(level.gates):
                gates[gate_key(number, gate.name)] = z_JE[g][None].expand(x_SBD.shape[1], -1)
        return x, gates

    def penalty(self) -> Tensor | None:
        """c times the expected number of connections that are not closed."""
        switches = [cast(Routing, routing).log_alpha for routing in self.routings]
        expected = [open_probability(log_alpha).sum() for log_alpha in switches if log_alpha is not None]
        return self.sparsity * torch.stack(expected).sum() if expected else None
