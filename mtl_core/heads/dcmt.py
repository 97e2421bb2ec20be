"""DCMT: Zhu et al., ICDE 2023."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.funnel import Funnel
from mtl_core.heads.escm2 import CounterfactualOptions
from mtl_core.heads.meeting import Role
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head


@register("head", "dcmt", "DCMT")
class DCMT(CounterfactualOptions):
    """Two conversion towers: one learns from clicked rows that a conversion happened, its mirror learns from unclicked
    rows that none did; the two are to add up to 1 on every exposure.

    Clicked rows weigh 1 / p_ctr, unclicked ones 1 / (1 - p_ctr), with p_ctr a constant to the gradient and cut at both
    ends; everything is divided by the number of exposures. The mirror's label on unclicked rows is 1, as in the paper,
    though nobody knows it: `lambda_consistency` says how much the conversion rate listens to that.
    """

    card: ClassVar[Card] = Card(
        problem="Unclicked rows have no conversion label, but what would have happened there is what is asked for.",
        formula=r"L_{\mathrm{cvr}} = \frac{1}{|D|} \Big[ \sum_O \frac{\ell(c, \hat r)}{\mathrm{sg}(p_{\mathrm{ctr}})} "
        r"+ \sum_N \frac{\ell(1, \hat r^*)}{1 - \mathrm{sg}(p_{\mathrm{ctr}})} "
        r"+ \lambda \sum_D |1 - (\hat r + \hat r^*)| \Big]",
        paper="DCMT: A Direct Entire-Space Causal Multi-Task Framework for Post-Click Conversion Estimation",
        authors="Zhu et al.",
        year=2023,
        venue="ICDE",
        reference="2302.06141",
    )

    extra_role: ClassVar[Role] = "mirror"

    lambda_consistency: float = option(
        0.1, "What it costs per exposure that the two towers do not add up to 1 (lambda)", ge=0, le=100
    )

    def extra(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        return Funnel.of(tasks).steps

    def predictors(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        mirrors = range(len(tasks), len(tasks) + len(self.extra(tasks)))
        return tuple(j for j in range(len(self.towers(tasks))) if j not in mirrors)

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        from mtl_core.nn.heads import MirrorHead

        return MirrorHead(
            tasks,
            self.kl_bound,
            self.lambda_cvr,
            self.lambda_ctcvr,
            self.propensity_floor,
            self.lambda_consistency,
        )
