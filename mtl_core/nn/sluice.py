"""Networks side by side whose parts are mixed after every layer, and whose layers are mixed at the end."""

from __future__ import annotations

import itertools
from typing import cast

import torch
from torch import Tensor, nn

from mtl_core.nn.cross_stitch import Stitch, leaning
from mtl_core.nn.mlp import MLPBank
from mtl_core.nn.trunk import Representations, Trunk, sources_of
from mtl_core.trunks.sluice import Sluice
from mtl_core.trunks.wiring import Wiring, gate_key

#: Weight of the last layer at the start; the others share the rest.
LAST = 0.9


class SluiceTrunk(Trunk):
    """A network per task; parts of layers are stitched, and each task mixes its layers.

    In the shapes below P counts parts: those of task 0, then those of task 1, and so on; U is the width of one.
    """

    def __init__(self, options: Sluice, wiring: Wiring, tasks: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.wiring = wiring
        self.widths = wiring.widths
        sources = sources_of(wiring)
        # One network per task, however many parts its layers are cut into.
        self.sources = sources if len(sources) == 1 else sources[:: options.subspaces]
        self.tasks, self.subspaces, self.orthogonality = tasks, options.subspaces, options.orthogonality
        layers, parts = options.levels, tasks * options.subspaces
        widths = [width, *[options.width] * (layers - 1)]
        self.banks = nn.ModuleList(MLPBank(tasks, d_in, (options.width,), generator) for d_in in widths)
        self.stitches = nn.ModuleList(Stitch(parts, 1, leaning(options.own, parts)) for _ in widths)
        #: Weight of each layer for each task [K, L]; a single layer has none.
        self.beta = nn.Parameter(leaning(LAST, layers)[-1].repeat(tasks, 1)) if layers > 1 else None

    def forward(self, x_SBD: Tensor, noise_BN: Tensor | None = None) -> tuple[Representations, dict[str, Tensor]]:
        """Representations; all constants as gates."""
        gates: dict[str, Tensor] = {}
        h_KBH, layers = x_SBD[self.sources], []
        modules = zip(self.wiring.levels, self.banks, self.stitches, strict=False)
        for number, (level, bank, stitch) in enumerate(modules, start=1):
            h_PBU = stitch(self.cut(bank(h_KBH)))
            weights = cast(Stitch, stitch).weights(h_PBU)
            for p, gate in enumerate(level.gates):
                gates[gate_key(number, gate.name)] = weights[p]
            h_KBH = self.join(h_PBU)
            layers.append(h_KBH)
        if self.beta is None:
            return h_KBH, gates
        count = len(layers)
        for k, gate in enumerate(self.wiring.levels[-1].gates):
            # A task's weights stand at the places of its own layers.
            own = nn.functional.pad(self.beta[k], (k * count, (self.tasks - 1 - k) * count))
            gates[gate_key(count + 1, gate.name)] = own[None].expand(x_SBD.shape[1], -1)
        return torch.einsum("kl,lkbh->kbh", self.beta, torch.stack(layers)), gates

    def cut(self, h_KBH: Tensor) -> Tensor:
        """Parts h_PBU of each task's layer."""
        parts: Tensor = h_KBH.unflatten(2, (self.subspaces, -1)).transpose(1, 2)
        return parts.flatten(0, 1)

    def join(self, h_PBU: Tensor) -> Tensor:
        """The parts of each task side by side h_KBH: undoes `cut`."""
        of_tasks: Tensor = h_PBU.unflatten(0, (self.tasks, self.subspaces))
        return of_tasks.transpose(1, 2).flatten(2)

    def penalty(self) -> Tensor | None:
        """c times the sum of ||W_s^T W_t||_F^2 over layers, tasks and pairs of parts; nothing for a single part."""
        if self.subspaces == 1:
            return None
        pairs = []
        for bank in self.banks:
            (weight_KDH,) = cast(MLPBank, bank).weights
            parts = weight_KDH.unflatten(2, (self.subspaces, -1)).unbind(2)
            pairs += [(a.transpose(1, 2) @ b).square().sum() for a, b in itertools.combinations(parts, 2)]
        return self.orthogonality * torch.stack(pairs).sum()
