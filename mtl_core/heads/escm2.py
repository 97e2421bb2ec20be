"""ESCM2: Wang, Chang, Liu, Huang, Chen, Yu, Li, Chu, SIGIR 2022."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.funnel import Funnel
from mtl_core.heads.funnel import BoundOptions
from mtl_core.heads.meeting import Role
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head

PAPER = "ESCM2: Entire Space Counterfactual Multi-Task Model for Post-Click Conversion Rate Estimation"
AUTHORS = "Wang, Chang, Liu, Huang, Chen, Yu, Li, Chu"


class CounterfactualOptions(BoundOptions):
    """Options of heads that weigh clicked rows by the inverse of the click's predicted probability."""

    lambda_cvr: float = option(
        0.1, "Weight of the debiased loss of the conversion rate; with 0 this is ESMM", ge=0, le=10
    )
    lambda_ctcvr: float = option(1.0, "Weight of the loss of click and conversion together", ge=0, le=10)
    propensity_floor: float = option(
        0.03, "Least click probability that a row is weighed by: its weight is at most 1 over this", gt=0, lt=0.5
    )


@register("head", "escm2_ips", "ESCM2-IPS")
class ESCM2IPS(CounterfactualOptions):
    """ESMM, and a loss of the conversion rate on clicked rows, each weighed by the inverse of its chance of a click.

    The weighted sum is divided by the number of all exposures, not of clicks, so that in expectation it is the loss
    over all exposures wherever the click's probability is right. That probability is a constant to the gradient, and
    cut from below.
    """

    card: ClassVar[Card] = Card(
        problem="Clicked rows are not like the others; a loss over them alone serves those who click anyway.",
        formula=r"L_{\mathrm{cvr}} = \frac{1}{|D|} \sum_D \frac{o\, \ell(c, p_{\mathrm{cvr}})}"
        r"{\mathrm{sg}(p_{\mathrm{ctr}})}, \quad L = L_{\mathrm{ctr}} + \lambda_c L_{\mathrm{cvr}} + \lambda_g "
        r"L_{\mathrm{ctcvr}}",
        paper=PAPER,
        authors=AUTHORS,
        year=2022,
        venue="SIGIR",
        reference="2204.05125",
    )

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        from mtl_core.nn.heads import InversePropensityHead

        return InversePropensityHead(tasks, self.kl_bound, self.lambda_cvr, self.lambda_ctcvr, self.propensity_floor)


@register("head", "escm2_dr", "ESCM2-DR")
class ESCM2DR(CounterfactualOptions):
    """ESCM2 with a doubly robust loss: a third tower guesses the conversion rate's error on every exposure, and clicked
    rows correct the guess.

    The loss is right in expectation if the click's probability or the guess is. The guess is softplus of its tower's
    number, since an error is not negative; its own loss is the weighted squared distance to the error on clicked rows.
    Each side holds the other fixed, as in alternate training: were the squared distance to reach the conversion tower,
    as it does where everything is simply summed, predicted rates would come out at about twice the true ones. So the
    conversion tower's gradient is that of IPS, and the guess acts through the loss's value and the shared trunk.
    """

    card: ClassVar[Card] = Card(
        problem="Weights of 1 over a small probability make a loss of a few rows; a guess of the error steadies it.",
        formula=r"L_{\mathrm{cvr}} = \frac{1}{|D|} \sum_D \hat e "
        r"+ \frac{o\, (e - \hat e)}{\mathrm{sg}(p_{\mathrm{ctr}})} "
        r"+ \frac{o\, (e - \hat e)^2}{\mathrm{sg}(p_{\mathrm{ctr}})}, \quad e = \ell(c, p_{\mathrm{cvr}})",
        paper=PAPER,
        authors=AUTHORS,
        year=2022,
        venue="SIGIR",
        reference="2204.05125",
    )

    extra_role: ClassVar[Role] = "error"

    def extra(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        return Funnel.of(tasks).steps

    def predictors(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        guesses = range(len(tasks), len(tasks) + len(self.extra(tasks)))
        return tuple(j for j in range(len(self.towers(tasks))) if j not in guesses)

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        from mtl_core.nn.heads import DoublyRobustHead

        return DoublyRobustHead(tasks, self.kl_bound, self.lambda_cvr, self.lambda_ctcvr, self.propensity_floor)
