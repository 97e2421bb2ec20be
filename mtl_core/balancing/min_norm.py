"""Pareto directions: the shortest convex combination of the task gradients, and its relatives with a preference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from mtl_core.balancing.base import BalancerOptions
from mtl_core.options import option
from mtl_core.registry import register

if TYPE_CHECKING:
    from mtl_core.balancing.rules import Balancer


@register("balancer", "mgda", "MGDA")
class MGDA(BalancerOptions):
    """The shortest vector in the convex hull of the task gradients: no task's loss rises along it.

    w = argmin over the simplex of |sum_k w_k g_k / n_k|, with n_k = 1, |g_k|, L_k or L_k |g_k| (none, l2, loss,
    loss+). Without a normaliser the smallest gradients win. d.g_k >= |d|^2 for every task; d = 0 where nothing can be
    gained. Scale: the weights sum to 1, so |d| is at most the shortest gradient.

    Desideri, 2012; Sener, Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018,
    arXiv 1810.04650.
    """

    formula: ClassVar[str] = r"w = \arg\min_{w \geq 0,\; \sum w = 1} \Big\| \sum_k w_k\, \frac{g_k}{n_k} \Big\|"

    normaliser: Literal["none", "l2", "loss", "loss+"] = option(
        "none", "What each gradient is divided by: nothing, its length, its loss, or both"
    )

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.min_norm import MGDARule

        return MGDARule(self.normaliser)


@register("balancer", "pe_ltr", "PE-LTR")
class PELTR(BalancerOptions):
    """The shortest combination of the task gradients in which each task keeps a least weight.

    Minimises |sum_k (w'_k + c_k) g_k| with sum w' = 1 - sum c in two steps, as published: without regard to signs in
    closed form, then w' is projected onto w' >= 0. w = w' + c. Scale: the weights sum to 1.

    Lin et al., "A Pareto-Efficient Algorithm for Multiple Objective Optimization in E-Commerce Recommendation",
    RecSys 2019.
    """

    formula: ClassVar[str] = (
        r"\min_{w'} \; \Big\| \sum_k (w'_k + c_k)\, g_k \Big\|, \quad w' \geq 0, \quad \sum_k w'_k = 1 - "
        r"\sum_k c_k"
    )

    c: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = option(
        None, "Least weight of each task, together at most 1; none given means half of an equal share", per_task=True
    )

    def each(self, field: str, tasks: int) -> float:
        return 0.5 / tasks

    def check(self, task_names: Sequence[str]) -> None:
        super().check(task_names)
        # A hair of slack: ten times 0.1 is more than 1.
        if self.c is not None and sum(self.c) > 1 + 1e-9:
            raise ValueError(f"c sums to {sum(self.c):g}: the least weights can be at most 1 together.")

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.min_norm import PELTRRule

        return PELTRRule(self.values("c", len(task_names)))


@register("balancer", "epo", "EPO")
class EPO(BalancerOptions):
    """Heads for the Pareto point at which r_k L_k is the same for all tasks: a large r_k asks for a small loss.

    With lhat = r L / sum(r L), mu = sum lhat log(K lhat) measures how far off the losses are, and a_k = r_k (log(K
    lhat_k) - mu). While mu > eps a linear program finds the w of the simplex that best follows a without raising the
    loss that is furthest off; then one that lowers all losses (C = G G^T; the exact constraints are in the rule).
    r counts by its ratios. Scale: the weights sum to 1.

    Mahapatra, Rajan, "Multi-Task Learning with User Preferences", ICML 2020.
    """

    formula: ClassVar[str] = (
        r"r_1 L_1 = \dots = r_K L_K, \quad \hat l = \frac{r L}{\sum r L}, \quad \mu = \sum_k \hat l_k \log (K "
        r"\hat l_k)"
    )

    r: tuple[Annotated[float, Field(gt=0, le=1000)], ...] | None = option(
        None, "Preference of each task; none given means equal ones", per_task=True
    )
    eps: float = option(1e-4, "Distance mu below which the losses count as balanced", gt=0, le=1, advanced=True)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.min_norm import EPORule

        return EPORule(self.values("r", len(task_names)), self.eps)
