"""The fused embedding encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: Small, so that at the start no category dominates the scaled numeric columns beside it.
INITIAL_STD = 0.1


class EmbeddingEncoder(nn.Module):
    """Numeric columns and embeddings of categorical fields, joined, once per stream.

    All fields of all streams live in one table [S * rows, dim] and are looked up at once. Row 0 of each field is its
    unknown row: it starts at zero, and ids of one field never reach another field's rows.
    """

    offset: Tensor

    def __init__(
        self, numeric: int, vocabulary: Sequence[int], dim: int, streams: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.streams = streams
        self.width = numeric + dim * len(vocabulary)
        sizes = torch.tensor(vocabulary, dtype=torch.long)
        rows = int(sizes.sum())
        start = torch.cumsum(sizes, 0) - sizes
        offset_SC = start[None, :] + rows * torch.arange(streams)[:, None]
        self.register_buffer("offset", offset_SC, persistent=False)
        self.table: nn.Parameter | None = None
        if rows:
            table = torch.empty(streams * rows, dim).normal_(0.0, INITIAL_STD, generator=generator)
            table[offset_SC.flatten()] = 0.0
            self.table = nn.Parameter(table)

    def forward(self, numeric_BF: Tensor, ids_BC: Tensor) -> Tensor:
        """x_SBD."""
        x_SBF = numeric_BF[None].expand(self.streams, *numeric_BF.shape)
        if self.table is None:
            return x_SBF
        embedded_SBCd = nn.functional.embedding(ids_BC[None] + self.offset[:, None, :], self.table)
        return torch.cat([x_SBF, embedded_SBCd.flatten(2)], dim=2)
