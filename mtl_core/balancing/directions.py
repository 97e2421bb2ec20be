"""Directions that are fair to all tasks, each in its own sense; all of them read the Gramian of the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.balancing.base import BalancerOptions, Weight, refuse_all_zero
from mtl_core.options import option
from mtl_core.registry import register

if TYPE_CHECKING:
    from mtl_core.balancing.rules import Balancer


@register("balancer", "cagrad", "CAGrad")
class CAGrad(BalancerOptions):
    """Stays near the mean gradient, and within that helps the task that gains least.

    d = argmax of min_k g_k.d over |d - g0| <= c |g0|, g0 the mean gradient. It is found as d = g0 + c |g0| g_w / |g_w|
    with w = argmin over the simplex of g_w.g0 + c |g0| |g_w|, g_w = sum_k w_k g_k; where g_w = 0, d = g0. c = 0 is
    the mean. Scale: about the mean of the gradients; `rescale` divides by 1 + c^2.

    Liu, Liu, Jin, Stone, Liu, "Conflict-Averse Gradient Descent", NeurIPS 2021, arXiv 2110.14048.
    """

    formula: ClassVar[str] = (
        r"d = \arg\max_{\|d - g_0\| \leq c \|g_0\|} \; \min_k \langle g_k, d \rangle, \quad g_0 = \tfrac{1}{K} "
        r"\sum_k g_k"
    )

    c: float = option(0.4, "How far d may leave the mean, as a share of its length", ge=0, le=1)
    rescale: bool = option(False, "Divide the direction by 1 + c^2", advanced=True)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.directions import CAGradRule

        return CAGradRule(self.c, self.rescale)


@register("balancer", "imtl_g", "IMTL-G")
class IMTLG(BalancerOptions):
    """The direction with the same projection on every task's gradient, so that none is favoured.

    d.u_k is equal for all k, u_k = g_k / |g_k|, with sum w = 1: w is proportional to M^-1 n, M the Gramian, n_k =
    |g_k|. Weights can be negative for more than two tasks. Where M^-1 n has no positive sum the step would go uphill
    for all tasks; such a step counts as unsolved. Scale: the weights sum to 1.

    Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021.
    """

    formula: ClassVar[str] = (
        r"\Big\langle d, \frac{g_1}{\|g_1\|} \Big\rangle = \dots = \Big\langle d, \frac{g_K}{\|g_K\|} "
        r"\Big\rangle, \quad d = \sum_k w_k g_k, \quad \sum_k w_k = 1"
    )

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.directions import IMTLGRule

        return IMTLGRule()


@register("balancer", "nash", "Nash-MTL")
class NashMTL(BalancerOptions):
    """The Nash bargaining solution: the direction in which the product of all tasks' gains is largest.

    w > 0 solves M w = 1 / w, M the Gramian; blind to the scale of every loss. There is no solution where gradients
    cancel; such a step counts as unsolved. Scale: |d| = sqrt(K), however small the gradients are, so the learning rate
    has to fall, or `max_norm` to clip: 1 in the paper's code.

    Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022, arXiv 2202.01017.
    """

    formula: ClassVar[str] = r"d = \sum_k w_k g_k, \quad G G^{\top} w = \frac{1}{w}"

    max_norm: float = option(0.0, "Longest direction allowed; 0 allows any", ge=0, le=1000)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.directions import NashRule

        return NashRule(self.max_norm)


@register("balancer", "aligned", "Aligned-MTL")
class AlignedMTL(BalancerOptions):
    """Gradients are first made equally strong and orthogonal, in the way that changes them least, then added.

    With M = V diag(lam) V^T the Gramian, a = sqrt(lam_min) V diag(lam^-1/2) V^T w, over the eigenvalues above
    max(lam) K machine eps; lam_min is the smallest of these. Scale: w, which is 1/K each if not given, so the mean of
    K aligned gradients; the weights of LibMTL are 1 each.

    Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023, arXiv 2305.19000.
    """

    formula: ClassVar[str] = (
        r"\alpha = \sqrt{\lambda_{\min}}\; V \Lambda^{-1/2} V^{\top} w, \quad G G^{\top} = V \Lambda V^{\top}, "
        r"\quad d = \sum_k \alpha_k g_k"
    )

    w: tuple[Weight, ...] | None = option(
        None, "Preference of each task; none given means 1/K each", per_task=True, advanced=True
    )

    def each(self, field: str, tasks: int) -> float:
        return 1 / tasks

    def check(self, task_names: Sequence[str]) -> None:
        super().check(task_names)
        refuse_all_zero("w", self.w)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.directions import AlignedRule

        return AlignedRule(self.values("w", len(task_names)))


@register("balancer", "upgrad", "UPGrad")
class UPGrad(BalancerOptions):
    """Each task's gradient is moved, as little as possible, to where it hurts no task; then all are added.

    Row by row, pref_i g_i is projected onto the cone {d: d.g_k >= 0 for all k}, and the projections are added, so
    d.g_k >= 0 for every k. In the Gramian M: v_i = argmin of v^T M v over v >= pref_i e_i, and w = sum_i v_i. Scale:
    pref, which is 1/K each if not given: the mean of the gradients where nothing conflicts.

    Quinton, Rey, "Jacobian Descent for Multi-Objective Optimization", 2024, arXiv 2406.16232.
    """

    formula: ClassVar[str] = (
        r"d = \sum_i p_i\, \Pi_C(g_i), \quad C = \{ d : \langle d, g_k \rangle \geq 0 \text{ for all } k \}"
    )

    pref: tuple[Weight, ...] | None = option(
        None, "Preference of each task; none given means 1/K each", per_task=True, advanced=True
    )

    def each(self, field: str, tasks: int) -> float:
        return 1 / tasks

    def check(self, task_names: Sequence[str]) -> None:
        super().check(task_names)
        refuse_all_zero("pref", self.pref)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.directions import UPGradRule

        return UPGradRule(self.values("pref", len(task_names)))
