"""Independent heads, and the training rows that the ESMM paper's baselines give a conversion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.funnel import Funnel
from mtl_core.heads.funnel import BoundOptions, need_steps
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Schema, Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head

ConversionRows = Literal["clicked", "aman", "oversampling", "unbias"]


@register("head", "independent")
class Independent(BoundOptions):
    """Each task's tower output is its logit (or its number); tasks meet only in the trunk.

    A task's loss is taken over the rows of its own sample space: a conversion is learned from clicked rows (BASE of the
    ESMM paper). The paper's other baselines change those rows. AMAN adds unclicked ones as negatives, each with
    probability `unclicked_rate`, so what it predicts lies between p(order | click) and p(order). OVERSAMPLING counts
    positives `copies` times, and predicts more than it sees. UNBIAS rejects a clicked row with probability pCTR, the
    model's own of that moment and a constant to the gradient. Rows are drawn anew in every step rather than once before
    training.
    """

    card: ClassVar[Card] = Card(
        problem="Several labels of the same row, each predicted on the rows where it is known.",
        formula=r"L_k = \frac{\sum_i w_k^i\, \ell_k(z_k^i, y_k^i)}{\sum_i w_k^i}, \quad w_k^i = \delta_k^i",
        paper="Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate "
        "(the baselines)",
        authors="Ma, Zhao, Huang, Wang, Hu, Zhu, Gai",
        year=2018,
        venue="SIGIR",
        reference="1804.07931",
    )

    multiplies: ClassVar[bool] = False

    conversion_rows: ConversionRows = option(
        "clicked", "Which rows teach a task that comes after another one: a purchase after the click", advanced=True
    )
    unclicked_rate: float = option(
        0.1, "Share of unclicked rows that count as negatives (aman)", gt=0, le=1, advanced=True
    )
    copies: int = option(2, "How often a positive counts (oversampling)", ge=1, le=100, advanced=True)

    def check(self, schema: Schema) -> None:
        if self.kl_bound or self.conversion_rows != "clicked":
            need_steps(schema)

    def canonical(self, task_names: Sequence[str]) -> Self:
        fields = type(self).model_fields
        read = {"aman": "unclicked_rate", "oversampling": "copies"}.get(self.conversion_rows)
        unread = {name: fields[name].default for name in ("unclicked_rate", "copies") if name != read}
        return self.model_copy(update=unread)

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        from mtl_core.nn.heads import IndependentHead

        draws = self.conversion_rows in ("aman", "unbias") and bool(Funnel.of(tasks).steps)
        return IndependentHead(
            tasks, self.kl_bound, self.conversion_rows, self.unclicked_rate, self.copies, noise=int(draws)
        )
