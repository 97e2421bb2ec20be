"""Weights from the losses alone, with nothing learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.balancing.base import BalancerOptions
from mtl_core.options import option
from mtl_core.registry import register

if TYPE_CHECKING:
    from mtl_core.balancing.rules import Balancer


@register("balancer", "dwa", "Dynamic weight average")
class DWA(BalancerOptions):
    """The task whose loss fell least in the last epoch gets more weight in the next one.

    w = K softmax(r / T) with r_k = L_k(t-1) / L_k(t-2), mean training losses of the last two epochs; 1 each in the
    first two. Scale: the weights sum to K.

    Liu, Johns, Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, arXiv 1803.10704.
    """

    formula: ClassVar[str] = r"w = K\, \mathrm{softmax}(r / T), \quad r_k = \frac{L_k(t-1)}{L_k(t-2)}"

    T: float = option(2.0, "Temperature: the larger, the more equal the weights", ge=0.05, le=100)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.losses import DWARule

        return DWARule(len(task_names), self.T)


@register("balancer", "rlw", "Random loss weighting")
class RLW(BalancerOptions):
    """New random weights in every step: the yardstick that a cleverer rule has to beat.

    w = softmax(z), z standard normal, drawn anew in each step. Scale: the weights sum to 1.

    Lin et al., "Reasonable Effectiveness of Random Weighting", TMLR 2022, arXiv 2111.10603.
    """

    formula: ClassVar[str] = r"w = \mathrm{softmax}(z), \quad z \sim \mathcal{N}(0, I)"

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.losses import RLWRule

        return RLWRule(len(task_names))


@register("balancer", "gls", "Geometric loss")
class GLS(BalancerOptions):
    """Minimises the geometric mean of the losses, so that a factor in front of a loss changes nothing.

    L = (prod_k L_k)^(1/K), so w_k = L / (K L_k) with L as a constant. A loss that can reach 0 pulls everything to its
    task. Scale: the gradient of the geometric mean.

    Chennupati et al., "MultiNet++", CVPR workshops 2019, arXiv 1904.08492.
    """

    formula: ClassVar[str] = r"L = \Big( \prod_k L_k \Big)^{1/K}, \quad w_k = \frac{L}{K\, L_k}"

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.losses import GLSRule

        return GLSRule()
