"""The fused embedding encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.encoders.base import EncoderOptions
from mtl_core.options import option
from mtl_core.registry import register

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.encoder import Encoder


@register("encoder", "embedding")
class Embedding(EncoderOptions):
    """Each categorical field looked up in one fused table, with an unknown row per field; numeric columns beside it.

    A sequence is the mean of its values' embeddings.
    """

    card: ClassVar[Card] = Card(
        problem="Categories are names, not numbers: each gets a vector of its own, learned with everything else.",
        formula=r"x = [\,x_{\mathrm{num}},\; V_1[c_1], \dots, V_F[c_F]\,]",
    )

    dim: int = option(8, "Columns per categorical field", ge=1, le=256)

    def width(self, columns: Columns) -> int:
        return len(columns.numeric) + self.dim * (len(columns.fields) + len(columns.sequences))

    def parameters(self, columns: Columns, streams: int) -> int:
        return streams * sum(columns.tables) * self.dim

    def build(self, columns: Columns, streams: int, generator: torch.Generator) -> Encoder:
        from mtl_core.nn.embedding import EmbeddingEncoder

        return EmbeddingEncoder(columns, self.dim, streams, generator)
