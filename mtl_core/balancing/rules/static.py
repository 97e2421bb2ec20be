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
