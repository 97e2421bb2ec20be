"""Experts that are selected by the bits of their numbers."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from mtl_core.nn.mlp import MLPBank
from mtl_core.nn.trunk import Representations, Trunk, sources_of
from mtl_core.trunks.dselect_k import DSelectK
from mtl_core.trunks.wiring import Wiring, gate_key

#: Start of the bits, as a share of gamma: near the middle of the slope; and of the selectors' logits.
BIT_START, MIX_START = 0.01, 0.05
#: Keeps 1 / (sum of weights) finite where a selector has settled on a pattern that names no expert.
TINY = 1e-6


def smooth_step(t: Tensor, gamma: float) -> Tensor:
    """0 below -gamma/2, 1 above gamma/2, and a cubic between that meets both without a kink."""
    t = t.clamp(-gamma / 2, gamma / 2)
    return -2 / gamma**3 * t**3 + 3 / (2 * gamma) * t + 0.5


class DSelectKTrunk(Trunk):
    """A pool of experts, and per task a mix of selectors.

    In the shapes below K counts tasks, k selectors of a task, b bits.
    """

    codes: Tensor

    def __init__(self, options: DSelectK, wiring: Wiring, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.wiring = wiring
        self.widths = wiring.widths
        self.sources = sources_of(wiring)
        self.gamma, self.entropy, self.per_example = options.gamma, options.entropy, options.per_example
        (level,) = wiring.levels
        self.bank = MLPBank(options.experts, width, level.layers, generator)
        tasks, bits = len(level.gates), options.bits
        # Per example: a row of weights per number, otherwise the number itself.
        last = (width,) if self.per_example else ()

        def start(shape: tuple[int, ...], bound: float) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))

        self.bits = start((tasks, options.selectors, bits, *last), BIT_START * options.gamma) if bits else None
        several = bits > 0 and options.selectors > 1
        self.mixing = start((tasks, options.selectors, *last), MIX_START) if several else None
        #: [E, b]: the bits of each expert's number.
        numbers = torch.arange(options.experts)[:, None]
        self.register_buffer("codes", (numbers >> torch.arange(bits)) & 1 > 0, persistent=False)
        self.unused = options.experts < 2**bits

    def selectors(self, x_BD: Tensor | None) -> Tensor:
        """Each selector's weights over the experts [K, k, E], or [K, k, B, E] from rows."""
        assert self.bits is not None
        numbers = self.bits if x_BD is None else torch.einsum("ksbd,nd->ksnb", self.bits, x_BD)
        on = smooth_step(numbers, self.gamma)[..., None, :]
        # Bit by bit: the gradient of `prod` first looks whether a factor is zero, and goes another way if so.
        return functools.reduce(torch.mul, torch.where(self.codes, on, 1.0 - on).unbind(-1))

    def weights(self, x_BD: Tensor) -> Tensor:
        """Each task's weights over the experts [K, B, E]."""
        rows = x_BD.shape[0]
        if self.bits is None:
            return x_BD.new_ones(len(self.widths), rows, 1)
        if self.per_example:
            chosen = self.selectors(x_BD)
            if self.mixing is None:
                return chosen[:, 0]
            share = torch.softmax(torch.einsum("ksd,nd->ksn", self.mixing, x_BD), dim=1)
            return (share[..., None] * chosen).sum(1)
        chosen = self.selectors(None)
        if self.mixing is not None:
            chosen = torch.softmax(self.mixing, dim=1)[..., None] * chosen
        return chosen.sum(1)[:, None, :].expand(-1, rows, -1)

    def forward(self, x_SBD: Tensor, noise_BN: Tensor | None = None) -> tuple[Representations, dict[str, Tensor]]:
        """Representations; every task's weights."""
        x = x_SBD[self.sources]
        weight_KBE = self.weights(x[0])
        expert_EBH = self.bank(x)
        r_KBH = torch.einsum("kbe,ebh->kbh", weight_KBE, expert_EBH)
        gates = {gate_key(1, gate.name): weight_KBE[k] for k, gate in enumerate(self.wiring.levels[0].gates)}
        return r_KBH, gates

    def penalty(self) -> Tensor | None:
        """c times the entropy of all selectors, and 1 / (sum of weights) of each where patterns are left over."""
        if self.bits is None or self.per_example:
            return None
        chosen = self.selectors(None)
        # xlogy's slope at 0 has no bound.
        penalty: Tensor = -self.entropy * torch.special.xlogy(chosen, chosen.clamp(min=TINY)).sum()
        return penalty + (1.0 / (chosen.sum(-1) + TINY)).sum() if self.unused else penalty
