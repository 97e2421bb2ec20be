"""The fused embedding encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl_core.encoders import SequenceTable

#: Small, so that at the start no category dominates the scaled numeric columns beside it.
INITIAL_STD = 0.1


class EmbeddingEncoder(nn.Module):
    """Numeric columns, embeddings of categorical fields and mean-pooled sequences, joined, once per stream.

    All fields of all streams live in one table [S * rows, dim] and are looked up at once. Row 0 of each field is its
    unknown row: it starts at zero, and ids of one field never reach another field's rows. Places of a sequence that
    hold no value (negative ids) count for nothing; an empty sequence is a zero vector.
    """

    offset: Tensor
    sequence_offset: Tensor

    def __init__(
        self,
        numeric: int,
        vocabulary: Sequence[int],
        dim: int,
        streams: int,
        generator: torch.Generator,
        sequences: Sequence[SequenceTable] = (),
    ) -> None:
        super().__init__()
        self.streams = streams
        self.pooled = len(sequences)
        self.width = numeric + dim * (len(vocabulary) + len(sequences))
        sizes = torch.tensor([*vocabulary, *(s.rows for s in sequences if s.field is None)], dtype=torch.long)
        rows = int(sizes.sum())
        start = torch.cumsum(sizes, 0) - sizes
        offset = start[None, :] + rows * torch.arange(streams)[:, None]  # [S, tables]
        own = iter(range(len(vocabulary), len(sizes)))
        tables = [next(own) if s.field is None else s.field for s in sequences]
        self.register_buffer("offset", offset[:, : len(vocabulary)].contiguous(), persistent=False)
        self.register_buffer("sequence_offset", offset[:, tables], persistent=False)
        self.table: nn.Parameter | None = None
        if rows:
            table = torch.empty(streams * rows, dim).normal_(0.0, INITIAL_STD, generator=generator)
            table[offset.flatten()] = 0.0
            self.table = nn.Parameter(table)

    def forward(self, numeric_BF: Tensor, ids_BC: Tensor, sequences_BQT: Tensor | None = None) -> Tensor:
        """x_SBD."""
        parts = [numeric_BF[None].expand(self.streams, *numeric_BF.shape)]
        if self.table is not None and self.offset.shape[1]:
            embedded_SBCd = nn.functional.embedding(ids_BC[None] + self.offset[:, None, :], self.table)
            parts.append(embedded_SBCd.flatten(2))
        if self.table is not None and self.pooled and sequences_BQT is not None:
            there_BQT = sequences_BQT >= 0
            index = sequences_BQT.clamp(min=0)[None] + self.sequence_offset[:, None, :, None]
            embedded_SBQTd = nn.functional.embedding(index, self.table) * there_BQT[None, ..., None]
            pooled_SBQd = embedded_SBQTd.sum(3) / there_BQT.sum(2).clamp(min=1)[None, ..., None]
            parts.append(pooled_SBQd.flatten(2))
        return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
