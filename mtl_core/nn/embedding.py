"""The fused embedding table and what is made of it: the embedding encoder and its missing value layer."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mtl_core.columns import Columns
from mtl_core.nn.encoder import Encoder, Inputs

#: Small, so that at the start no category dominates the scaled numeric columns beside it.
INITIAL_STD = 0.1

Pooling = Literal["mean", "max", "sum", "attention"]
Join = Literal["concat", "sum_by_role"]


class Lookup(Encoder):
    """One fused table for all fields of all streams, looked up at once.

    The table is [S * rows, dim]. Row 0 of each field is its unknown row: it starts at zero, and ids of one field never
    reach another field's rows. Places of a sequence that hold no value (negative ids) give zero vectors.
    """

    offset: Tensor
    sequence_offset: Tensor

    def __init__(
        self, columns: Columns, dim: int, streams: int, generator: torch.Generator, std: float = INITIAL_STD
    ) -> None:
        super().__init__()
        self.streams = streams
        self.dim = dim
        sizes = torch.tensor(columns.tables, dtype=torch.long)
        rows = int(sizes.sum())
        start = torch.cumsum(sizes, 0) - sizes
        offset = start[None, :] + rows * torch.arange(streams)[:, None]  # [S, tables]
        self.register_buffer("offset", offset[:, : len(columns.fields)].contiguous(), persistent=False)
        self.register_buffer("sequence_offset", offset[:, list(columns.table_of_sequence)], persistent=False)
        self.table: nn.Parameter | None = None
        if rows:
            table = torch.empty(streams * rows, dim).normal_(0.0, std, generator=generator)
            table[offset.flatten()] = 0.0
            self.table = nn.Parameter(table)

    def rows(self, index: Tensor) -> Tensor:
        """Rows of the table [..., dim]; `index` counts through fields and streams."""
        if self.table is None:
            raise ValueError("There is nothing to look up: these columns have no table.")
        # A selection's gradient is one pass over the rows; that of `functional.embedding` calls a library for each.
        return self.table.index_select(0, index.flatten()).reshape(*index.shape, self.dim)

    def fields(self, ids_BC: Tensor, places: Tensor | None = None) -> Tensor:
        """Embeddings [S, B, C, dim] of the fields, or of those at these places."""
        offset_SC = self.offset
        if places is not None:
            ids_BC, offset_SC = ids_BC.index_select(1, places), offset_SC.index_select(1, places)
        return self.rows(ids_BC[None] + offset_SC[:, None, :])

    def values(self, sequences_BQT: Tensor, places: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embeddings [S, B, Q, T, dim] of sequences, zero where there is no value; and where there is one [B, Q, T]."""
        offset_SQ = self.sequence_offset
        if places is not None:
            sequences_BQT, offset_SQ = sequences_BQT.index_select(1, places), offset_SQ.index_select(1, places)
        there_BQT = sequences_BQT >= 0
        index = sequences_BQT.clamp(min=0)[None] + offset_SQ[:, None, :, None]
        return self.rows(index) * there_BQT[None, ..., None], there_BQT


class EmbeddingEncoder(Lookup):
    """Numeric columns, embeddings of categorical fields and pooled sequences, joined, once per stream.

    An empty sequence is a zero vector.

    Args:
        columns: what arrives.
        dim: columns per embedding.
        streams: how many of everything.
        generator: draws the start values.
        pooling: how a sequence becomes one vector; see `encoders.Embedding`.
        join: embeddings one after another, or summed within each of `Columns.by_role`.
    """

    asked: Tensor
    membership: Tensor

    def __init__(
        self,
        columns: Columns,
        dim: int,
        streams: int,
        generator: torch.Generator,
        *,
        pooling: Pooling = "mean",
        join: Join = "concat",
    ) -> None:
        super().__init__(columns, dim, streams, generator)
        fields, sequences = len(columns.fields), len(columns.sequences)
        self.pooling, self.sequences = pooling, sequences
        self.summed = join == "sum_by_role"
        groups = columns.by_role
        self.width = len(columns.numeric) + dim * (len(groups) if self.summed else fields + sequences)
        if self.summed:
            membership = torch.zeros(len(groups), fields + sequences)
            for row, places in enumerate(groups):
                membership[row, list(places)] = 1.0
            self.register_buffer("membership", membership, persistent=False)
        self.query: nn.Parameter | None = None
        if pooling == "attention":
            # Whose embedding is the query: the field's, or one of the learned queries that are put after the fields.
            tables = torch.tensor(columns.table_of_sequence, dtype=torch.long)
            self.register_buffer("asked", tables, persistent=False)
            own = len(columns.tables) - fields
            if own:
                query = torch.empty(streams, 1, own, dim).normal_(0.0, INITIAL_STD, generator=generator)
                self.query = nn.Parameter(query)

    def forward(self, inputs: Inputs) -> Tensor:
        parts = [self.numbers(inputs)]
        if self.table is not None:
            fields_SBCd = self.fields(inputs.ids)
            embedded = [fields_SBCd]
            if self.sequences:
                embedded.append(self._pool(fields_SBCd, *self.values(inputs.sequences)))
            if self.summed:
                parts.append(torch.matmul(self.membership, torch.cat(embedded, dim=2)).flatten(2))
            else:
                parts += [part.flatten(2) for part in embedded]
        return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]

    def numbers(self, inputs: Inputs) -> Tensor:
        """The numeric columns of each stream [S, B, F]."""
        return inputs.numeric[None].expand(self.streams, *inputs.numeric.shape)

    def _pool(self, fields_SBCd: Tensor, values_SBQTd: Tensor, there_BQT: Tensor) -> Tensor:
        """One vector per sequence [S, B, Q, d]."""
        if self.pooling == "attention":
            queries = fields_SBCd
            if self.query is not None:
                learned = self.query.expand(-1, fields_SBCd.shape[1], -1, -1)
                queries = torch.cat([fields_SBCd, learned], dim=2)
            query_SBQd = queries.index_select(2, self.asked)
            # No division by sqrt(d): that is for vectors of unit variance, and embeddings start far smaller.
            score_SBQT = torch.matmul(values_SBQTd, query_SBQd[..., None])[..., 0]
            weight_SBQT = masked_softmax(score_SBQT, there_BQT[None])
            return torch.matmul(weight_SBQT[..., None, :], values_SBQTd)[..., 0, :]
        if self.pooling == "max":
            least = torch.finfo(values_SBQTd.dtype).min
            highest = values_SBQTd.masked_fill(~there_BQT[None, ..., None], least).amax(3)
            return highest * there_BQT.any(2)[None, ..., None]
        return values_SBQTd.sum(3) if self.pooling == "sum" else mean_of(values_SBQTd, there_BQT)


class MissingValueEncoder(EmbeddingEncoder):
    """An embedding encoder that learns what a missing number stands for, per numeric column and stream."""

    def __init__(
        self,
        columns: Columns,
        dim: int,
        streams: int,
        generator: torch.Generator,
        *,
        pooling: Pooling = "mean",
        join: Join = "concat",
    ) -> None:
        super().__init__(columns, dim, streams, generator, pooling=pooling, join=join)
        self.weight = nn.Parameter(torch.ones(streams, 1, len(columns.numeric)))
        # Scaled numbers have mean 0: to begin with, a missing one is the mean.
        self.value = nn.Parameter(torch.zeros(streams, 1, len(columns.numeric)))

    def numbers(self, inputs: Inputs) -> Tensor:
        return torch.where(inputs.missing[None], self.value, inputs.numeric[None] * self.weight)


def mean_of(values_SBQTd: Tensor, there_BQT: Tensor) -> Tensor:
    """Mean of the values that are there [S, B, Q, d], zero where there are none."""
    return values_SBQTd.sum(3) / there_BQT.sum(2).clamp(min=1)[None, ..., None]


def masked_softmax(score: Tensor, there: Tensor) -> Tensor:
    """Softmax over the last dimension among the places that are there; 0 elsewhere, and all 0 where nothing is."""
    masked = score.masked_fill(~there, torch.finfo(score.dtype).min)
    return torch.softmax(masked, dim=-1) * there
