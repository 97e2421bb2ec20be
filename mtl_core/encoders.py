"""Encoders: features in, streams x_SBD out (S streams of B rows and D columns)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mtl_core.options import Options, option
from mtl_core.registry import register

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.embedding import EmbeddingEncoder

EmbeddingSharing = Literal["shared", "per_task", "both"]


@dataclass(frozen=True)
class SequenceTable:
    """The embedding table that a sequence feature reads: that of a field, or one of its own with `rows` rows."""

    field: int | None
    rows: int


class EncoderOptions(Options):
    """Options of an encoder. `vocabulary` is the number of rows per embedded field, unknown row included."""

    embedding_sharing: EmbeddingSharing = option(
        "shared",
        "One table for all tasks, one per task, or both; single_task always has one per task",
        advanced=True,
    )

    def streams(self, tasks: int, separate: bool) -> int:
        """How many streams come out. `separate`: the trunk shares nothing."""
        if separate:
            return tasks
        return {"shared": 1, "per_task": tasks, "both": tasks + 1}[self.embedding_sharing]

    def width(self, numeric: int, vocabulary: Sequence[int], sequences: Sequence[SequenceTable] = ()) -> int:
        """Columns of each stream."""
        raise NotImplementedError

    def parameters(
        self, numeric: int, vocabulary: Sequence[int], streams: int, sequences: Sequence[SequenceTable] = ()
    ) -> int:
        """Trainable parameters."""
        raise NotImplementedError

    def build(
        self,
        numeric: int,
        vocabulary: Sequence[int],
        streams: int,
        generator: torch.Generator,
        sequences: Sequence[SequenceTable] = (),
    ) -> EmbeddingEncoder:
        """The torch module."""
        raise NotImplementedError


@register("encoder", "embedding")
class Embedding(EncoderOptions):
    """Each categorical field looked up in one fused table, with an unknown row per field; numeric columns beside it.

    A sequence is the mean of its values' embeddings.
    """

    dim: int = option(8, "Columns per categorical field", ge=1, le=256)

    def width(self, numeric: int, vocabulary: Sequence[int], sequences: Sequence[SequenceTable] = ()) -> int:
        return numeric + self.dim * (len(vocabulary) + len(sequences))

    def parameters(
        self, numeric: int, vocabulary: Sequence[int], streams: int, sequences: Sequence[SequenceTable] = ()
    ) -> int:
        return streams * (sum(vocabulary) + sum(s.rows for s in sequences)) * self.dim

    def build(
        self,
        numeric: int,
        vocabulary: Sequence[int],
        streams: int,
        generator: torch.Generator,
        sequences: Sequence[SequenceTable] = (),
    ) -> EmbeddingEncoder:
        from mtl_core.nn.embedding import EmbeddingEncoder

        return EmbeddingEncoder(numeric, vocabulary, self.dim, streams, generator, sequences)
