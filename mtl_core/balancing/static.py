"""Static loss weights: the dial that moves a model along the seesaw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from mtl_core.balancing.base import BalancerOptions
from mtl_core.options import option
from mtl_core.registry import register

if TYPE_CHECKING:
    from mtl_core.balancing.rules import Balancer

Weight = Annotated[float, Field(ge=0, le=1000)]


@register("balancer", "static")
class Static(BalancerOptions):
    """Fixed weights: L = sum_k w_k L_k."""

    weights: tuple[Weight, ...] | None = option(
        None, "One weight per task, in task order; none given means 1 each", per_task=True
    )

    def check(self, task_names: Sequence[str]) -> None:
        if self.weights is None:
            return
        if len(self.weights) != len(task_names):
            raise ValueError(
                f"weights has {len(self.weights)} numbers for {len(task_names)} tasks ({', '.join(task_names)})."
            )
        if not any(self.weights):
            raise ValueError("weights are all 0: nothing would be trained.")

    def canonical(self, task_names: Sequence[str]) -> Self:
        return self if self.weights is not None else self.model_copy(update={"weights": (1.0,) * len(task_names)})

    def build(self, task_names: Sequence[str]) -> Balancer:
        from mtl_core.balancing.rules.static import StaticRule

        return StaticRule(self.weights or (1.0,) * len(task_names))
