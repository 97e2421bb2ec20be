"""The fused embedding encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.encoders.base import EncoderOptions
from mtl_core.options import option
from mtl_core.registry import register

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.encoder import Encoder


class EmbeddingOptions(EncoderOptions):
    """What encoders that put embeddings side by side have in common."""

    dim: int = option(8, "Columns per categorical field", ge=1, le=256)
    pooling: Literal["mean", "max", "sum", "attention"] = option(
        "mean", "How the values of a sequence become one vector; attention asks for what is like the row's own item"
    )
    join: Literal["concat", "sum_by_role"] = option(
        "concat",
        "Embeddings one after another, or summed: those of the user, those of the item and the rest",
        advanced=True,
    )

    def width(self, columns: Columns) -> int:
        embedded = len(columns.fields) + len(columns.sequences)
        return len(columns.numeric) + self.dim * (len(columns.by_role) if self.join == "sum_by_role" else embedded)

    def parameters(self, columns: Columns, streams: int) -> int:
        queries = len(columns.tables) - len(columns.fields) if self.pooling == "attention" else 0
        return streams * self.dim * (sum(columns.tables) + queries)


@register("encoder", "embedding")
class Embedding(EmbeddingOptions):
    """Each categorical field looked up in one fused table, with an unknown row per field; numeric columns beside it.

    A sequence becomes one vector: the mean, the maximum or the sum of its values' embeddings, or their mean weighted by
    attention, a softmax of <query, value>. The query of a sequence that shares a field's table is that field's
    embedding, so that a history is read with the candidate in view, as in DIN (with a dot product in place of DIN's
    small network); any other sequence has a learned query. An empty sequence is a zero vector.

    `sum_by_role` adds the embeddings of all user columns, of all item columns and of the rest, as ESMM draws it;
    numeric columns stay beside them.
    """

    card: ClassVar[Card] = Card(
        problem="Categories are names, not numbers: each gets a vector of its own, learned with everything else.",
        formula=r"x = [\,x_{\mathrm{num}},\; V_1[c_1], \dots, V_F[c_F]\,]",
    )

    def build(self, columns: Columns, streams: int, generator: torch.Generator) -> Encoder:
        from mtl_core.nn.embedding import EmbeddingEncoder

        return EmbeddingEncoder(columns, self.dim, streams, generator, pooling=self.pooling, join=self.join)
