"""Runs a wiring: levels of gated experts, streams in, one representation per task out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl_core.nn.experts import GatedExperts
from mtl_core.nn.trunk import Representations, Trunk
from mtl_core.trunks.wiring import Wiring, gate_key


class MixtureTrunk(Trunk):
    """Streams x_SBD in; representations r_KBH and gate weights per level out.

    Args:
        gate_dropout: chance that an expert is left out of a gate's mix, per row and expert, while training.
    """

    def __init__(self, wiring: Wiring, width: int, generator: torch.Generator, gate_dropout: float = 0.0) -> None:
        super().__init__()
        self.wiring = wiring
        self.gate_dropout = gate_dropout
        encoder_width = width
        levels = []
        for level in wiring.levels:
            levels.append(GatedExperts(level, width, encoder_width, generator))
            width = level.layers[-1]
        self.levels = nn.ModuleList(levels)
        self.widths = wiring.widths
        #: Columns of noise that each level takes.
        self.pairs = [level.pairs for level in levels]
        self.noise = sum(self.pairs) if gate_dropout else 0

    def forward(self, x_SBD: Tensor, noise_BN: Tensor | None = None) -> tuple[Representations, dict[str, Tensor]]:
        """Representations; all gates of all levels."""
        gates: dict[str, Tensor] = {}
        drops = self.noise > 0 and noise_BN is not None
        noise = noise_BN.split(self.pairs, 1) if drops and noise_BN is not None else [None] * len(self.levels)
        encoder_SBD = x_SBD
        for number, (level, module) in enumerate(zip(self.wiring.levels, self.levels, strict=True), start=1):
            x_SBD, gate_GBE = module(x_SBD, encoder_SBD, noise[number - 1], self.gate_dropout)
            for g, gate in enumerate(level.gates):
                gates[gate_key(number, gate.name)] = gate_GBE[g]
        outputs = self.wiring.outputs
        if all(len(gates_of_task) == 1 for gates_of_task in outputs):
            chosen = [gate for (gate,) in outputs]
            if chosen == list(range(len(chosen))):
                return x_SBD if len(chosen) == x_SBD.shape[0] else x_SBD[: len(chosen)], gates
            return x_SBD[chosen], gates
        return tuple(torch.cat([x_SBD[g] for g in gates_of_task], dim=1) for gates_of_task in outputs), gates
