"""Weights that are learned beside the model, by an optimiser of their own: the model's decay never touches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from mtl_core.balancing.base import BalancerOptions
from mtl_core.options import option
from mtl_core.registry import register

if TYPE_CHECKING:
    from mtl_core.balancing.rules import Balancer


class _LearnedScale(BalancerOptions):
    """One learned number s per task, moved by Adam."""

    learning_rate: float = option(0.01, "Step size of s, the learned logarithm", gt=0, le=1)
    s: float = option(0.0, "Where s starts", ge=-10, le=10, advanced=True)


@register("balancer", "uncertainty", "Uncertainty weighting")
class Uncertainty(_LearnedScale):
    """Learns how noisy each task is, and listens less to the noisy ones.

    Minimises sum_k exp(-s_k) L_k / 2 + s_k / 2 over the model and over s, the logarithm of each task's noise
    variance: w_k = exp(-s_k) / 2. For a loss that stays at L, s ends at log L and w at 1 / (2 L): what is minimised is
    the product of the losses. Scale: 1/2 per task at the start.

    Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses", CVPR 2018, arXiv 1705.07115.
    """

    formula: ClassVar[str] = (
        r"\min_{\theta, s} \; \sum_k \tfrac{1}{2} e^{-s_k} L_k + \tfrac{1}{2} s_k, \quad w_k = \tfrac{1}{2} "
        r"e^{-s_k}"
    )

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.learned import UncertaintyRule

        return UncertaintyRule(len(task_names), self.learning_rate, self.s)


@register("balancer", "uncertainty_positive", "Uncertainty weighting, positive form")
class UncertaintyPositive(_LearnedScale):
    """Uncertainty weighting with a penalty that cannot become negative.

    Minimises sum_k L_k / (2 v_k) + log(1 + v_k) with v = exp(s): w_k = 1 / (2 v_k). For a loss that stays at L, v ends
    at (L + sqrt(L^2 + 8 L)) / 4. Scale: 1/2 per task at the start.

    Liebel, Korner, "Auxiliary Tasks in Multi-task Learning", 2018, arXiv 1805.06334.
    """

    formula: ClassVar[str] = (
        r"\min_{\theta, v} \; \sum_k \frac{L_k}{2 v_k} + \log(1 + v_k), \quad w_k = \frac{1}{2 v_k}"
    )

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.learned import PositiveUncertaintyRule

        return PositiveUncertaintyRule(len(task_names), self.learning_rate, self.s)


@register("balancer", "imtl_l", "IMTL-L")
class IMTLL(_LearnedScale):
    """Learns a factor per task that brings all scaled losses to the same size.

    Minimises sum_k exp(s_k) L_k - s_k: w_k = exp(s_k). For a loss that stays at L, s ends at -log L and the scaled
    loss at 1. Scale: 1 per task at the start.

    Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021.
    """

    formula: ClassVar[str] = r"\min_{\theta, s} \; \sum_k e^{s_k} L_k - s_k, \quad w_k = e^{s_k}"

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.learned import IMTLLRule

        return IMTLLRule(len(task_names), self.learning_rate, self.s)


@register("balancer", "gradnorm", "GradNorm")
class GradNorm(BalancerOptions):
    """Learns weights that bring the gradients of all tasks to a common size, larger for tasks that lag behind.

    With G_k = w_k |g_k|, G their mean, and r_k = (L_k / L_k(0)) / mean_j (L_j / L_j(0)), w takes a gradient step on
    sum_k |G_k - G r_k^alpha|, the target G r_k^alpha held constant, and is scaled back to sum K. L_k(0) is the task's
    loss in its first batch. The gradients are those on all shared parameters, where the paper takes the last shared
    layer. A weight never falls below 0.001. Scale: the weights sum to K.

    Chen, Badrinarayanan, Lee, Rabinovich, "GradNorm", ICML 2018, arXiv 1711.02257.
    """

    formula: ClassVar[str] = (
        r"\min_w \; \sum_k \left| w_k \|g_k\| - \bar G\, r_k^{\alpha} \right|, \quad r_k = \frac{L_k / "
        r"L_k(0)}{\mathrm{mean}_j\, L_j / L_j(0)}, \quad \sum_k w_k = K"
    )

    alpha: float = option(
        1.5, "How strongly a lagging task is helped; 0 makes all gradients equally large", ge=0, le=10
    )
    learning_rate: float = option(0.025, "Step size of the weights", gt=0, le=1)
    optimizer: Literal["adam", "sgd"] = option("adam", "Optimiser of the weights", advanced=True)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.learned import GradNormRule

        return GradNormRule(len(task_names), self.alpha, self.learning_rate, self.optimizer == "adam")


@register("balancer", "famo", "FAMO")
class FAMO(BalancerOptions):
    """Aims at equal relative progress of all tasks, at the price of one extra look at the losses after each step.

    With z = softmax(xi) and D_k = L_k + eps, w_k = (z_k / D_k) / sum_j z_j / D_j. After the parameters moved, xi
    takes an Adam step along J^T delta, J the Jacobian of the softmax and delta_k = log D_k(before) - log D_k(after) on
    the same batch: the logit of the slower task rises. Losses are taken to have 0 as their least value.
    Scale: the weights sum to 1.

    Liu, Feng, Stone, Liu, "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023, arXiv 2306.03792.
    """

    formula: ClassVar[str] = (
        r"w_k = \frac{z_k / L_k}{\sum_j z_j / L_j}, \quad z = \mathrm{softmax}(\xi), \quad \xi \leftarrow \xi "
        r"- \beta\, J^{\top} \delta, \quad \delta_k = \log L_k - \log L_k'"
    )

    learning_rate: float = option(0.025, "Step size of the logits xi", gt=0, le=1)
    weight_decay: float = option(0.001, "Pull of the logits xi towards equal weights", ge=0, le=1, advanced=True)
    eps: float = option(1e-8, "Added to each loss before its logarithm", gt=0, le=0.1, advanced=True)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.learned import FAMORule

        return FAMORule(len(task_names), self.learning_rate, self.weight_decay, self.eps)
