"""The brick that explains the mixture family."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl_core.nn.initial import uniform
from mtl_core.nn.mlp import MLPBank


class GatedExperts(nn.Module):
    """E experts and G softmax gates over those each may see.

    Args:
        source: per expert, the stream it reads.
        visible: [G][E], whether gate g may mix expert e. OMoE is ones(1, E), MMoE ones(K, E), CGC and PLE are block
            matrices, a shared bottom is ones(1, 1), single-task models are the identity.
        selector: per gate, the stream that its weights are computed from.
        width: columns of each stream.
        layers: widths of each expert's layers.

    A gate is softmax(W_g x) without bias, over the visible experts only: an invisible one has weight exactly 0 and no
    parameters. A gate that sees a single expert has no parameters at all.
    """

    source: Tensor
    selector: Tensor
    visible: Tensor
    row: Tensor

    def __init__(
        self,
        source: Sequence[int],
        visible: Sequence[Sequence[bool]],
        selector: Sequence[int],
        width: int,
        layers: Sequence[int],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.experts = MLPBank(len(source), width, layers, generator)
        seen = torch.tensor(visible, dtype=torch.bool)
        if seen.shape != (len(selector), len(source)):
            raise ValueError(
                f"visible is {tuple(seen.shape)}, expected {(len(selector), len(source))} (gates, experts)"
            )
        chooses = seen & (seen.sum(1, keepdim=True) > 1)
        pairs = int(chooses.sum())
        #: One row per (gate, visible expert), gate-major; the last dimension is the selector's columns.
        self.gate_weight = uniform((pairs, width), width, generator) if pairs else None
        # row[g, e]: where that pair's weights stand; pairs without weights point at a row of zeros put after the last.
        row = torch.full(seen.shape, pairs, dtype=torch.long)
        row[chooses] = torch.arange(pairs)
        self.register_buffer("row", row, persistent=False)
        self.register_buffer("visible", seen, persistent=False)
        self.register_buffer("source", torch.tensor(source, dtype=torch.long), persistent=False)
        self.register_buffer("selector", torch.tensor(selector, dtype=torch.long), persistent=False)
        # Known while building, so that the forward pass branches on no data.
        self.one_source = len(set(source)) == 1
        self.one_selector = len(set(selector)) == 1

    def gates(self, x_SBD: Tensor) -> Tensor:
        """Gate weights [G, B, E]: non-negative, rows sum to 1, exactly 0 where an expert is not visible."""
        gates, rows = len(self.selector), x_SBD.shape[1]
        if self.gate_weight is None:
            return self.visible.to(x_SBD.dtype)[:, None, :].expand(gates, rows, -1)
        padded = torch.cat([self.gate_weight, self.gate_weight.new_zeros(1, self.gate_weight.shape[1])])
        weight_GED = nn.functional.embedding(self.row, padded)
        if self.one_selector:
            x_BD = x_SBD[self.selector[:1]][0]
            logits = (x_BD @ weight_GED.flatten(0, 1).T).unflatten(1, self.row.shape).transpose(0, 1)
        else:
            logits = torch.bmm(x_SBD[self.selector], weight_GED.transpose(1, 2))
        return torch.softmax(logits.masked_fill(~self.visible[:, None, :], float("-inf")), dim=-1)

    def forward(self, x_SBD: Tensor) -> tuple[Tensor, Tensor]:
        """Streams in; mixes [G, B, H] and gate weights [G, B, E] out."""
        gate_GBE = self.gates(x_SBD)
        expert_EBH = self.experts(x_SBD[self.source[:1] if self.one_source else self.source])
        mix_BGH = torch.matmul(gate_GBE.transpose(0, 1), expert_EBH.transpose(0, 1))
        return mix_BGH.transpose(0, 1), gate_GBE
