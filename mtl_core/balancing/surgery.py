"""Gradient surgery: conflicting gradients are changed before they are added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.balancing.base import BalancerOptions
from mtl_core.options import option
from mtl_core.registry import register

if TYPE_CHECKING:
    from mtl_core.balancing.rules import Balancer


@register("balancer", "pcgrad", "PCGrad")
class PCGrad(BalancerOptions):
    """Each task's gradient loses its part against any other task's gradient before all are added.

    For each i, over all j != i in random order: where g_i'.g_j < 0, g_i' -= (g_i'.g_j / |g_j|^2) g_j, with g_j as it
    was. d = sum_i g_i'. Scale: the sum of the gradients, which it is where nothing conflicts.

    Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, arXiv 2001.06782.
    """

    formula: ClassVar[str] = (
        r"g_i' \leftarrow g_i' - \frac{\langle g_i', g_j \rangle}{\|g_j\|^2}\, g_j \;\text{ where }\; \langle "
        r"g_i', g_j \rangle < 0, \quad d = \sum_i g_i'"
    )

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.surgery import PCGradRule

        return PCGradRule(len(task_names))


@register("balancer", "gradvac", "GradVac")
class GradVac(BalancerOptions):
    """Like PCGrad, but pairs of gradients are brought to the similarity that they usually have, not just to 0.

    For each i, over all j != i in random order, with phi = cos(g_i', g_j): where phi < rho_ij, g_j is added to g_i'
    until their cosine is rho_ij; then rho_ij <- (1 - b) rho_ij + b phi, from 0. Or rho stays at `target`; 0 is
    PCGrad. Targets above 0.99 count as 0.99, since the correction grows without bound towards 1. d = sum_i g_i'.
    Scale: at least the sum of the gradients.

    Wang et al., "Gradient Vaccine", ICLR 2021, arXiv 2010.05874.
    """

    formula: ClassVar[str] = (
        r"g_i' \leftarrow g_i' + \frac{\|g_i'\| \left( \rho \sqrt{1 - \varphi^2} - \varphi \sqrt{1 - \rho^2} "
        r"\right)}{\|g_j\| \sqrt{1 - \rho^2}}\, g_j \;\text{ where }\; \varphi = \cos(g_i', g_j) < \rho"
    )

    b: float = option(0.01, "Weight of the newest cosine in the running mean that is the target", ge=0, le=1)
    target: float | None = option(
        None, "A fixed target cosine in place of the running mean", ge=-1, le=0.99, advanced=True
    )

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.surgery import GradVacRule

        # A fixed target is a running mean that starts there and does not move.
        return GradVacRule(len(task_names), self.b if self.target is None else 0.0, self.target or 0.0)


@register("balancer", "graddrop", "GradDrop")
class GradDrop(BalancerOptions):
    """In each coordinate only the gradients of one sign survive; chance decides which, by their weight.

    Per parameter, P = (1 + sum_k g_k / sum_k |g_k|) / 2: with one uniform U for all tasks, positive parts stay where
    P > U, negative ones where P < U. What is dropped still counts with the share `leak`. The mean over U is the plain
    sum. The paper drops parts of the gradient of the shared representation; here it is that of the shared parameters.
    Scale: the sum of the gradients, on average.

    Chen et al., "Just Pick a Sign", NeurIPS 2020, arXiv 2010.06808.
    """

    formula: ClassVar[str] = (
        r"P = \tfrac{1}{2} \Big( 1 + \frac{\sum_k g_k}{\sum_k |g_k|} \Big), \quad d = \sum_k g_k \odot \left( "
        r"[g_k > 0][P > U] + [g_k < 0][P < U] \right)"
    )

    leak: float = option(0.0, "Share of the dropped gradients that passes all the same", ge=0, le=1)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.surgery import GradDropRule

        return GradDropRule(self.leak)
