"""The field-weighted bi-interaction of Meitu's ranking: NFwFM, published as FLEN."""

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


@register("encoder", "nfwfm", "NFwFM")
class NFwFM(EncoderOptions):
    """Neural field-weighted factorisation machine: products of fields, each pair with a weight, in place of the fields.

    The trunk reads one number, the linear part, and one vector: the elementwise products of all pairs of fields, each
    pair weighted by a learned r (one per unordered pair, at first 1, none on the diagonal), and the pairs of values
    inside a field that has several. Every column is a field: a number x is x times a vector, a sequence of n values is
    their mean, so that each value has the scale 1/n. The article's dropout on the vector is left out: encoders draw no
    random numbers.
    """

    card: ClassVar[Card] = Card(
        problem="A multi-layer perceptron learns products of features slowly. A factorisation machine starts with "
        "them; field weights say which pairs of fields matter.",
        formula=r"x = \Big[\textstyle\sum_i w_i x_i,\;"
        r"\sum_{f<f'} r_{ff'}\, V_f \odot V_{f'}"
        r"+ \tfrac12 \sum_f \big(V_f^{\,2} - \sum_{i \in f} (x_i v_i)^2\big)\Big],"
        r"\quad V_f = \sum_{i \in f} x_i v_i",
        paper="FLEN: Leveraging Field for Scalable CTR Prediction",
        authors="Wenqiang Chen, Lizhang Zhan, Yuanlong Ci, Minghua Yang, Chen Lin, Dugang Liu",
        year=2019,
        reference="1911.04690",
    )

    dim: int = option(16, "Columns per field, and of the vector that comes out", ge=1, le=256)

    def width(self, columns: Columns) -> int:
        return 1 + self.dim

    def parameters(self, columns: Columns, streams: int) -> int:
        fields = len(columns.numeric) + len(columns.fields) + len(columns.sequences)
        vectors = len(columns.numeric) + sum(columns.tables)
        return streams * (vectors * (self.dim + 1) + fields * (fields - 1) // 2)

    def build(self, columns: Columns, streams: int, generator: torch.Generator) -> Encoder:
        from mtl_core.nn.nfwfm import NFwFMEncoder

        return NFwFMEncoder(columns, self.dim, streams, generator)
