"""What every encoder declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.options import Options, option
from mtl_core.schema import Schema

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.encoder import Encoder

EmbeddingSharing = Literal["shared", "per_task", "both"]


class EncoderOptions(Options):
    """Options of an encoder: features in, streams x_SBD out (S streams of B rows and D columns)."""

    card: ClassVar[Card]

    embedding_sharing: EmbeddingSharing = option(
        "shared",
        "One table for all tasks, one per task, or both; single_task always has one per task",
        advanced=True,
    )

    def streams(self, tasks: int, embeddings: EmbeddingSharing | None = None) -> int:
        """How many streams come out. `embeddings`: the kind that the trunk insists on, whatever the option says."""
        return {"shared": 1, "per_task": tasks, "both": tasks + 1}[embeddings or self.embedding_sharing]

    def check(self, schema: Schema) -> None:
        """Raise ValueError, in one sentence, if these features cannot be encoded."""

    def width(self, columns: Columns) -> int:
        """Columns of each stream."""
        raise NotImplementedError

    def parameters(self, columns: Columns, streams: int) -> int:
        """Trainable parameters."""
        raise NotImplementedError

    def build(self, columns: Columns, streams: int, generator: torch.Generator) -> Encoder:
        """The torch module."""
        raise NotImplementedError
