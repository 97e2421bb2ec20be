"""ESMM: Ma, Zhao, Huang, Wang, Hu, Zhu, Gai, SIGIR 2018."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.heads.funnel import BoundOptions
from mtl_core.registry import register
from mtl_core.schema import Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head


@register("head", "esmm", "ESMM")
class ESMM(BoundOptions):
    """A conversion is learned from all exposures, as the product of the click's chance and its own given the click.

    There is no loss on the conversion rate itself: p(order | click) is what makes p(click) p(order | click) right. So
    the loss in the click's place is the click's, and the one in the conversion's place is that of click and conversion
    together, each a mean over all exposures. Longer funnels and branches multiply along `after`.
    """

    card: ClassVar[Card] = Card(
        problem="Conversions are known only where somebody clicked, and few clicked: a model is asked about rows that "
        "it never saw, and sees little.",
        formula=r"p_{\mathrm{ctcvr}} = \sigma(z_1)\,\sigma(z_2), \quad "
        r"L = \frac{1}{|D|} \sum_D \ell(y, p_{\mathrm{ctr}}) + \ell(y \wedge c, p_{\mathrm{ctcvr}})",
        paper="Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate",
        authors="Ma, Zhao, Huang, Wang, Hu, Zhu, Gai",
        year=2018,
        venue="SIGIR",
        reference="1804.07931",
    )

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        from mtl_core.nn.heads import EntireSpaceHead

        return EntireSpaceHead(tasks, self.kl_bound)
