"""Weights from the losses alone, with nothing learned."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl_core.balancing.rules.base import Balancer, State, only, which

#: Losses count as at least this large where they are divided by, or their logarithm is taken.
TINY = 1e-30


class DWARule(Balancer):
    """w = K softmax(r / T), r the ratio of the last two epochs' mean losses."""

    def __init__(self, tasks: int, temperature: float) -> None:
        self._tasks, self._temperature = tasks, temperature

    def initial_state(self, device: torch.device) -> State:
        # A mean of 0 stands for an epoch that was not, or in which the task had no row.
        unknown = torch.zeros(self._tasks, device=device)
        return {"T": torch.tensor(self._temperature, device=device), "last": unknown, "before": unknown.clone()}

    def weights(
        self,
        losses: Tensor,
        gramian: Tensor | None,
        state: State,
        *,
        active: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        known = (state["last"] > 0) & (state["before"] > 0)
        ratio = torch.where(known, state["last"] / state["before"].clamp(min=TINY), torch.ones_like(state["last"]))
        weights = self._tasks * (ratio / state["T"].unsqueeze(-1)).softmax(-1)
        return only(active, weights.to(losses.dtype).expand(losses.shape)), state

    def after_epoch(self, mean_losses: Tensor, state: State) -> State:
        mean = mean_losses.to(state["last"])
        seen = mean > 0
        return {
            **state,
            "last": torch.where(seen, mean, state["last"]),
            "before": torch.where(seen, state["last"], state["before"]),
        }


class RLWRule(Balancer):
    """w = softmax of K normal numbers, new ones in each step."""

    def __init__(self, tasks: int) -> None:
        self.noise = tasks

    def initial_state(self, device: torch.device) -> State:
        return {}

    def weights(
        self,
        losses: Tensor,
        gramian: Tensor | None,
        state: State,
        *,
        active: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        assert noise is not None
        # 0 is a possible draw, and 1 by rounding; neither has a finite normal quantile.
        normal = torch.special.ndtri(noise.to(losses.dtype).clamp(1e-7, 1 - 1e-7))
        return only(active, normal.softmax(-1)), state


class GLSRule(Balancer):
    """The gradient of the geometric mean: w_k = (prod L)^(1/K) / (K L_k)."""

    def initial_state(self, device: torch.device) -> State:
        return {}

    def weights(
        self,
        losses: Tensor,
        gramian: Tensor | None,
        state: State,
        *,
        active: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        there = which(active, losses)
        logs = torch.where(there, losses.clamp(min=TINY).log(), torch.zeros_like(losses))
        count = there.sum(-1, keepdim=True).clamp(min=1)
        mean = logs.sum(-1, keepdim=True) / count
        return only(active, (mean - logs).exp() / count), state
