"""Loss weights that do not depend on what happens in training: the dial that moves a model along the seesaw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from mtl_core.balancing.base import BalancerOptions, Weight, refuse_all_zero
from mtl_core.options import option
from mtl_core.registry import register

if TYPE_CHECKING:
    from mtl_core.balancing.rules import Balancer


@register("balancer", "static")
class Static(BalancerOptions):
    """Fixed weights: each task's loss counts as much as you say."""

    formula: ClassVar[str] = r"L = \sum_k w_k L_k"

    weights: tuple[Weight, ...] | None = option(
        None, "One weight per task, in task order; none given means 1 each", per_task=True
    )

    def check(self, task_names: Sequence[str]) -> None:
        super().check(task_names)
        refuse_all_zero("weights", self.weights)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.static import StaticRule

        return StaticRule(self.values("weights", len(task_names)))


@register("balancer", "decay", "Decaying weights")
class Decay(BalancerOptions):
    """Weights that shrink as training goes on, each task's at its own rate.

    w_k(t) = w_k gamma_k^t. The paper defines t as the epoch and says elsewhere that the ratio moves with each step;
    `every` says which. Scale: the weights themselves.

    Tang et al., "Progressive Layered Extraction (PLE)", RecSys 2020.
    """

    formula: ClassVar[str] = r"w_k(t) = w_k\, \gamma_k^{\,t}"

    weights: tuple[Weight, ...] | None = option(
        None, "Weight of each task at the start; none given means 1 each", per_task=True
    )
    gamma: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = option(
        None, "What each task's weight is multiplied by every time; none given means 0.9 each", per_task=True
    )
    every: Literal["epoch", "step"] = option("epoch", "When the weights shrink")

    def each(self, field: str, tasks: int) -> float:
        return 0.9 if field == "gamma" else 1.0

    def check(self, task_names: Sequence[str]) -> None:
        super().check(task_names)
        refuse_all_zero("weights", self.weights)

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.static import DecayRule

        tasks = len(task_names)
        return DecayRule(self.values("weights", tasks), self.values("gamma", tasks), self.every == "step")
