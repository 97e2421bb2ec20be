"""Weights that do not depend on what happens in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl_core.balancing.rules.base import Balancer, State, only


class StaticRule(Balancer):
    """L = sum_k w_k L_k with fixed w."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = tuple(weights)

    def initial_state(self, device: torch.device) -> State:
        return {"weights": torch.tensor(self._weights, dtype=torch.float32, device=device)}

    def weights(
        self,
        losses: Tensor,
        gramian: Tensor | None,
        state: State,
        *,
        active: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        return only(active, state["weights"].to(losses.dtype).expand(losses.shape)), state


class DecayRule(Balancer):
    """w_k(t) = w_k gamma_k^t, t the epochs or the steps done."""

    def __init__(self, weights: Sequence[float], gamma: Sequence[float], every_step: bool) -> None:
        self._weights, self._gamma, self._every_step = tuple(weights), tuple(gamma), every_step

    def initial_state(self, device: torch.device) -> State:
        return {
            "weights": torch.tensor(self._weights, dtype=torch.float32, device=device),
            "gamma": torch.tensor(self._gamma, dtype=torch.float32, device=device),
            "t": torch.zeros((), dtype=torch.int64, device=device),
        }

    def weights(
        self,
        losses: Tensor,
        gramian: Tensor | None,
        state: State,
        *,
        active: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        weights = state["weights"] * state["gamma"] ** state["t"].unsqueeze(-1)
        later = {**state, "t": state["t"] + 1} if self._every_step else state
        return only(active, weights.to(losses.dtype).expand(losses.shape)), later

    def after_epoch(self, mean_losses: Tensor, state: State) -> State:
        return state if self._every_step else {**state, "t": state["t"] + 1}
