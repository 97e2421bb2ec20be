"""Networks whose input and hidden units are scaled row by row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl_core.nn.mlp import MLPBank
from mtl_core.nn.trunk import Representations, Trunk, sources_of
from mtl_core.trunks.wiring import Wiring, gate_key

#: The largest factor; twice the sigmoid of 0 is 1, so a gate starts near leaving things as they are.
GAMMA = 2.0


class GateNU(nn.Module):
    """N gates gamma * sigmoid(W_2 relu(W_1 v)): factors [N, B, H] from what they read, [N, B, D] or [1, B, D]."""

    def __init__(self, count: int, width: int, hidden: int, units: int, generator: torch.Generator) -> None:
        super().__init__()
        self.bank = MLPBank(count, width, (hidden, units), generator, last_linear=True)

    def forward(self, v_NBD: Tensor) -> Tensor:
        # What a gate reads is not trained through it.
        return GAMMA * torch.sigmoid(self.bank(v_NBD.detach()))


class PEPNetTrunk(Trunk):
    """EPNet on the embeddings, then a network per task with PPNet on every layer."""

    def __init__(self, wiring: Wiring, streams: int, width: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.wiring = wiring
        self.widths = wiring.widths
        self.sources = sources_of(wiring)
        self.embedding_gate = GateNU(streams, width, hidden, width, generator)
        banks, gates, d_in = [], [], width
        for level in wiring.levels:
            (units,) = level.layers
            banks.append(MLPBank(len(level.experts), d_in, (units,), generator))
            gates.append(GateNU(len(level.experts), width, hidden, units, generator))
            d_in = units
        self.banks, self.gates = nn.ModuleList(banks), nn.ModuleList(gates)

    def forward(self, x_SBD: Tensor, noise_BN: Tensor | None = None) -> tuple[Representations, dict[str, Tensor]]:
        """Representations; per layer and task the mean factor, at the place of the task's own network."""
        gates: dict[str, Tensor] = {}
        o = (self.embedding_gate(x_SBD) * x_SBD)[self.sources]
        h = o
        for number, (level, bank, gate_nu) in enumerate(
            zip(self.wiring.levels, self.banks, self.gates, strict=True), start=1
        ):
            factor_KBH = gate_nu(o)
            h = bank(h) * factor_KBH
            for k, gate in enumerate(level.gates):
                others = len(level.gates) - 1 - k
                gates[gate_key(number, gate.name)] = nn.functional.pad(factor_KBH[k].mean(1, keepdim=True), (k, others))
        return h, gates
