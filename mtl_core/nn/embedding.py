"""The fused embedding encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl_core.columns import Columns
from mtl_core.nn.encoder import Encoder, Inputs

#: Small, so that at the start no category dominates the scaled numeric columns beside it.
INITIAL_STD = 0.1


class EmbeddingEncoder(Encoder):
    """Numeric columns, embeddings of categorical fields and mean-pooled sequences, joined, once per stream.

    All fields of all streams live in one table [S * rows, dim] and are looked up at once. Row 0 of each field is its
    unknown row: it starts at zero, and ids of one field never reach another field's rows. Places of a sequence that
    hold no value (negative ids) count for nothing; an empty sequence is a zero vector.
    """

    offset: Tensor
    sequence_offset: Tensor

    def __init__(self, columns: Columns, dim: int, streams: int, generator: torch.Generator) -> None:
        super().__init__()
        self.streams = streams
        self.pooled = len(columns.sequences)
        self.width = len(columns.numeric) + dim * (len(columns.fields) + len(columns.sequences))
        sizes = torch.tensor(columns.tables, dtype=torch.long)
        rows = int(sizes.sum())
        start = torch.cumsum(sizes, 0) - sizes
        offset = start[None, :] + rows * torch.arange(streams)[:, None]  # [S, tables]
        self.register_buffer("offset", offset[:, : len(columns.fields)].contiguous(), persistent=False)
        self.register_buffer("sequence_offset", offset[:, list(columns.table_of_sequence)], persistent=False)
        self.table: nn.Parameter | None = None
        if rows:
            table = torch.empty(streams * rows, dim).normal_(0.0, INITIAL_STD, generator=generator)
            table[offset.flatten()] = 0.0
            self.table = nn.Parameter(table)

    def forward(self, inputs: Inputs) -> Tensor:
        numeric_BF, ids_BC, sequences_BQT = inputs.numeric, inputs.ids, inputs.sequences
        parts = [numeric_BF[None].expand(self.streams, *numeric_BF.shape)]
        if self.table is not None and self.offset.shape[1]:
            embedded_SBCd = nn.functional.embedding(ids_BC[None] + self.offset[:, None, :], self.table)
            parts.append(embedded_SBCd.flatten(2))
        if self.table is not None and self.pooled:
            there_BQT = sequences_BQT >= 0
            index = sequences_BQT.clamp(min=0)[None] + self.sequence_offset[:, None, :, None]
            embedded_SBQTd = nn.functional.embedding(index, self.table) * there_BQT[None, ..., None]
            pooled_SBQd = embedded_SBQTd.sum(3) / there_BQT.sum(2).clamp(min=1)[None, ..., None]
            parts.append(pooled_SBQd.flatten(2))
        return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
