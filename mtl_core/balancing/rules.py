"""The balancing rules: pure functions of losses, Gramian and state, batched over leading dimensions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

#: Tensors that a rule carries from step to step. Its dials are among them, so that a population whose members differ in
#: a dial is one stacked state; the state is part of every checkpoint.
State = dict[str, Tensor]


class Balancer(ABC):
    """Turns losses [..., K] and the Gramian [..., K, K] of the task gradients into weights [..., K].

    Leading dimensions are batch dimensions: a population of runs is balanced in one call.
    """

    #: Does `weights` read the Gramian of the per-task gradients on the shared parameters?
    needs_gramian: ClassVar[bool] = False

    @abstractmethod
    def initial_state(self, device: torch.device) -> State:
        """The state before the first step."""

    @abstractmethod
    def weights(self, losses: Tensor, gramian: Tensor | None, state: State) -> tuple[Tensor, State]:
        """Weights [..., K] for this step and the state after it. `losses` is detached from the graph."""


class StaticBalancer(Balancer):
    """L = sum_k w_k L_k with fixed w."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = tuple(weights)

    def initial_state(self, device: torch.device) -> State:
        return {"weights": torch.tensor(self._weights, dtype=torch.float32, device=device)}

    def weights(self, losses: Tensor, gramian: Tensor | None, state: State) -> tuple[Tensor, State]:
        return state["weights"].to(losses.dtype).expand(losses.shape), state
