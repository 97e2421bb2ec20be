"""Encoders: features in, streams x_SBD out (S streams of B rows and D columns)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from mtl_core.options import Options, option
from mtl_core.registry import register

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.embedding import EmbeddingEncoder

EmbeddingSharing = Literal["shared", "per_task", "both"]


class EncoderOptions(Options):
    """Options of an encoder. `vocabulary` is the number of rows per categorical field, unknown row included."""

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

    def width(self, numeric: int, vocabulary: Sequence[int]) -> int:
        """Columns of each stream."""
        raise NotImplementedError

    def parameters(self, numeric: int, vocabulary: Sequence[int], streams: int) -> int:
        """Trainable parameters."""
        raise NotImplementedError

    def build(
        self, numeric: int, vocabulary: Sequence[int], streams: int, generator: torch.Generator
    ) -> EmbeddingEncoder:
        """The torch module."""
        raise NotImplementedError


@register("encoder", "embedding")
class Embedding(EncoderOptions):
    """Each categorical field looked up in one fused table with an unknown row per field; numeric columns beside it."""

    dim: int = option(8, "Columns per categorical field", ge=1, le=256)

    def width(self, numeric: int, vocabulary: Sequence[int]) -> int:
        return numeric + self.dim * len(vocabulary)

    def parameters(self, numeric: int, vocabulary: Sequence[int], streams: int) -> int:
        return streams * sum(vocabulary) * self.dim

    def build(
        self, numeric: int, vocabulary: Sequence[int], streams: int, generator: torch.Generator
    ) -> EmbeddingEncoder:
        from mtl_core.nn.embedding import EmbeddingEncoder

        return EmbeddingEncoder(numeric, vocabulary, self.dim, streams, generator)
