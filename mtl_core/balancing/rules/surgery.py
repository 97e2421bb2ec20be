"""Gradient surgery. PCGrad and GradVac add multiples of the other tasks' gradients: weights tell their whole story."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mtl_core.balancing.rules.base import Balancer, State, only, which
from mtl_core.balancing.rules.gramian import Gram, in_units

#: Targets of GradVac above this count as this.
MOST_ALIKE = 0.99


class _PairwiseRule(Balancer):
    """For each i, over all j != i in random order, g_i' += amount g_j; d = sum_i g_i'.

    The noise, K numbers for each i, orders the j: smaller numbers come first. Without noise the order is that of the
    tasks. For two tasks there is nothing to order.
    """

    needs_gramian: ClassVar[bool] = True

    def __init__(self, tasks: int) -> None:
        self._tasks = tasks
        self.noise = tasks * tasks if tasks > 2 else 0

    def _operate(self, gram: Gram, noise: Tensor | None, rho: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [..., K] and the new targets rho [..., K, K] as running means with weight b [...]."""
        cosines, live = gram.cosines, gram.live
        eye = torch.eye(self._tasks, dtype=cosines.dtype, device=cosines.device)
        # Row i: the multiples of the unit gradients that make up g_i' / |g_i|.
        made = eye.expand(cosines.shape)
        for j in self._order(noise, cosines).unbind(-1):  # [..., K]: for each i the j whose turn it is
            index = j.unsqueeze(-1)
            ours = made @ cosines
            product = ours.gather(-1, index).squeeze(-1)
            length = (made * ours).sum(-1).clamp(min=0).sqrt()
            # What little is left of a gradient that was cut away entirely has no direction.
            gone = length < 1e-9
            phi = torch.where(gone, 0, product / torch.where(gone, 1, length)).clamp(-1, 1)
            goal = rho.gather(-1, index).squeeze(-1)
            target = goal.clamp(max=MOST_ALIKE)
            amount = length * (target * (1 - phi.square()).sqrt() / (1 - target.square()).sqrt() - phi)
            meet = live & live.gather(-1, j) & (j != torch.arange(self._tasks, device=j.device))
            amount = torch.where(meet & (phi < target), amount, 0)
            made = made.scatter_add(-1, index, amount.unsqueeze(-1))
            newer = torch.where(meet, (1 - b).unsqueeze(-1) * goal + b.unsqueeze(-1) * phi, goal)
            rho = rho.scatter(-1, index, newer.unsqueeze(-1))
        return (gram.norms.unsqueeze(-1) * made).sum(-2) / gram.norms, rho

    def _order(self, noise: Tensor | None, like: Tensor) -> Tensor:
        if noise is None:
            return torch.arange(self._tasks, device=like.device).expand(like.shape)
        return noise.to(like.device).reshape(like.shape).argsort(-1)


class PCGradRule(_PairwiseRule):
    """Targets of 0 that stay there."""

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
        assert gramian is not None
        gram = in_units(gramian, which(active, losses))
        none = torch.zeros_like(gram.cosines)
        weights, _ = self._operate(gram, noise, none, none[..., 0, 0])
        return only(active, weights.to(losses)), state


class GradVacRule(_PairwiseRule):
    """Targets that follow the cosines seen so far."""

    def __init__(self, tasks: int, b: float, start: float) -> None:
        super().__init__(tasks)
        self._b, self._start = b, start

    def initial_state(self, device: torch.device) -> State:
        return {
            "b": torch.tensor(self._b, device=device),
            "rho": torch.full((self._tasks, self._tasks), self._start, device=device),
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
        assert gramian is not None
        gram = in_units(gramian, which(active, losses))
        weights, rho = self._operate(gram, noise, state["rho"].to(gram.cosines), state["b"].to(gram.cosines))
        return only(active, weights.to(losses)), {**state, "rho": rho.to(state["rho"])}


class GradDropRule(Balancer):
    """In each coordinate the gradients of one sign are kept; which one is drawn."""

    needs_gradients: ClassVar[bool] = True
    noise_per_element: ClassVar[bool] = True

    def __init__(self, leak: float) -> None:
        self._leak = leak

    def initial_state(self, device: torch.device) -> State:
        return {"leak": torch.tensor(self._leak, device=device)}

    def weights(
        self,
        losses: Tensor,
        gramian: Tensor | None,
        state: State,
        *,
        active: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        return only(active, torch.ones_like(losses)), state

    def direction(self, gradients: Tensor, weights: Tensor, noise: Tensor | None, state: State) -> Tensor:
        assert noise is not None
        parts = weights.unsqueeze(-1) * gradients
        total = parts.abs().sum(-2)
        positive = (1 + parts.sum(-2) / torch.where(total > 0, total, 1)) / 2
        kept = (positive > noise) * parts.clamp(min=0).sum(-2) + (positive < noise) * parts.clamp(max=0).sum(-2)
        leak = state["leak"].to(kept).unsqueeze(-1)
        return leak * parts.sum(-2) + (1 - leak) * kept
