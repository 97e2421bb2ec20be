"""DIVISION: a baseline of Ma, Zhao, Huang, Wang, Hu, Zhu, Gai, SIGIR 2018."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.funnel import Funnel
from mtl_core.heads.funnel import FunnelOptions
from mtl_core.heads.meeting import Joint, Meeting, own_towers
from mtl_core.registry import register
from mtl_core.schema import Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head


@register("head", "division")
class Division(FunnelOptions):
    """The ESMM paper's DIVISION: towers predict the click and click and conversion together; their ratio is the
    conversion rate.

    Nothing keeps the ratio below 1; from .99 on it is squeezed below 1, in order. The paper trains two networks apart,
    which is this head on the single-task trunk. There is no `kl_bound`, since the order's probability has no second way
    of being computed.
    """

    card: ClassVar[Card] = Card(
        problem="The straightforward way to a conversion rate for all exposures: predict both rates, then divide.",
        formula=r"p_{\mathrm{cvr}} = p_{\mathrm{ctcvr}} / p_{\mathrm{ctr}}, \quad "
        r"L = \frac{1}{|D|} \sum_D \ell(y, p_{\mathrm{ctr}}) + \ell(y \wedge c, p_{\mathrm{ctcvr}})",
        paper="Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate "
        "(the baseline DIVISION)",
        authors="Ma, Zhao, Huang, Wang, Hu, Zhu, Gai",
        year=2018,
        venue="SIGIR",
        reference="1804.07931",
        baseline_of="ESMM",
    )

    def meeting(self, tasks: Sequence[Task]) -> Meeting:
        funnel = Funnel.of(tasks)
        ratios = tuple(Joint("ratio", (step, funnel.parent(step)), step) for step in funnel.steps)
        return Meeting(own_towers(len(tasks)), joints=ratios)

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        from mtl_core.nn.heads import EndToEndHead

        return EndToEndHead(tasks)
