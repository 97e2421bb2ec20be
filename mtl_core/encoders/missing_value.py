"""The missing value layer of Meituan's "guess you like" ranking, 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.encoders.embedding import EmbeddingOptions
from mtl_core.registry import register
from mtl_core.schema import Schema

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.encoder import Encoder


@register("encoder", "missing_value", "Missing value layer")
class MissingValue(EmbeddingOptions):
    """The embedding encoder, and a learned number in the place of each numeric feature that is missing.

    A number that is there is multiplied by a learned weight (at first 1); one that is not becomes a learned value (at
    first 0, the mean of scaled numbers), whatever it was filled with. The article shows its formula in a figure only:
    this is our reading of it. Each stream learns weights and values of its own. The value of a feature that is never
    missing stays as it is.
    """

    card: ClassVar[Card] = Card(
        problem="Real tables have holes. Filling them with a mean hides that something is missing, which may itself "
        "tell a lot: the layer learns what to put there.",
        formula=r"x'_f = (1 - m_f)\, w_f\, x_f + m_f\, v_f",
        paper='Deep learning in the ranking of Meituan\'s "guess you like" (multi-task network, missing value layer)',
        authors="Meituan technical team",
        year=2018,
        venue="Meituan tech blog",
    )

    def check(self, schema: Schema) -> None:
        if not schema.numeric:
            raise ValueError("missing_value learns what missing numbers stand for, and these data have no numbers.")

    def parameters(self, columns: Columns, streams: int) -> int:
        return super().parameters(columns, streams) + 2 * streams * len(columns.numeric)

    def build(self, columns: Columns, streams: int, generator: torch.Generator) -> Encoder:
        from mtl_core.nn.embedding import MissingValueEncoder

        return MissingValueEncoder(columns, self.dim, streams, generator, pooling=self.pooling, join=self.join)
