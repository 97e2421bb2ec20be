"""Weights that are learned beside the model. Their gradients are closed forms, their optimiser is `adam`."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from mtl_core.balancing.rules.adam import adam, adam_state
from mtl_core.balancing.rules.base import Balancer, State, only, which
from mtl_core.balancing.rules.losses import TINY

#: GradNorm's weights stay above this.
LEAST_WEIGHT = 1e-3
#: s stays in [-30, 30]: weights of e^30 are beyond use, and their squares still numbers.
S_LIMIT = 30.0


class _LearnedScaleRule(Balancer):
    """One number s per task; the objective says the weight of a task and the slope of s."""

    def __init__(self, tasks: int, learning_rate: float, start: float) -> None:
        self._tasks, self._learning_rate, self._start = tasks, learning_rate, start

    @abstractmethod
    def weight(self, s: Tensor) -> Tensor:
        """The factor in front of the loss."""

    @abstractmethod
    def slope(self, s: Tensor, losses: Tensor) -> Tensor:
        """The derivative of the objective by s."""

    def initial_state(self, device: torch.device) -> State:
        return {
            "learning_rate": torch.tensor(self._learning_rate, device=device),
            "s": torch.full((self._tasks,), self._start, device=device),
            **adam_state(self._tasks, device),
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
        # Model and s move at once: this step's weights are those of s before its move.
        s = state["s"]
        weights = only(active, self.weight(s).to(losses.dtype).expand(losses.shape))
        slope = self.slope(s, losses.to(s.dtype))
        moved, later = adam(s, slope, which(active, losses), state["learning_rate"], state)
        return weights, {**later, "s": moved.clamp(-S_LIMIT, S_LIMIT)}


class UncertaintyRule(_LearnedScaleRule):
    """exp(-s) L / 2 + s / 2."""

    def weight(self, s: Tensor) -> Tensor:
        return (-s).exp() / 2

    def slope(self, s: Tensor, losses: Tensor) -> Tensor:
        return (1 - (-s).exp() * losses) / 2


class PositiveUncertaintyRule(_LearnedScaleRule):
    """L / (2 v) + log(1 + v), v = exp(s)."""

    def weight(self, s: Tensor) -> Tensor:
        return (-s).exp() / 2

    def slope(self, s: Tensor, losses: Tensor) -> Tensor:
        return s.sigmoid() - (-s).exp() * losses / 2


class IMTLLRule(_LearnedScaleRule):
    """exp(s) L - s."""

    def weight(self, s: Tensor) -> Tensor:
        return s.exp()

    def slope(self, s: Tensor, losses: Tensor) -> Tensor:
        return s.exp() * losses - 1


class GradNormRule(Balancer):
    """A gradient step on sum_k |G_k - G r_k^alpha| by w, then w back to its sum. Needs the Gramian's diagonal."""

    needs_gramian: ClassVar[bool] = True

    def __init__(self, tasks: int, alpha: float, learning_rate: float, use_adam: bool) -> None:
        self._tasks, self._alpha, self._learning_rate, self._use_adam = tasks, alpha, learning_rate, use_adam

    def initial_state(self, device: torch.device) -> State:
        return {
            "alpha": torch.tensor(self._alpha, device=device),
            "learning_rate": torch.tensor(self._learning_rate, device=device),
            "w": torch.ones(self._tasks, device=device),
            # Losses of each task's first batch; 0 until there was one.
            "first": torch.zeros(self._tasks, device=device),
            **(adam_state(self._tasks, device) if self._use_adam else {}),
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
        there, w = which(active, losses), state["w"]
        weights = only(active, w.to(losses.dtype).expand(losses.shape))
        now = losses.to(w.dtype).clamp(min=TINY)
        first = torch.where(there & (state["first"] == 0), now, state["first"])
        ratio = now / first.clamp(min=TINY)
        ratio = ratio / _mean(ratio, there).clamp(min=TINY)
        norms = gramian.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt().to(w.dtype)
        target = _mean(w * norms, there) * ratio ** state["alpha"].unsqueeze(-1)
        gradient = (w * norms - target).sign() * norms
        later = {**state, "first": first}
        if self._use_adam:
            moved, later = adam(w, gradient, there, state["learning_rate"], later)
        else:
            moved = torch.where(there, w - state["learning_rate"].unsqueeze(-1) * gradient, w)
        moved = moved.clamp(min=LEAST_WEIGHT)
        # The tasks that moved share what they had before, so that the whole stays K.
        scale = only(there, w).sum(-1, keepdim=True) / only(there, moved).sum(-1, keepdim=True).clamp(min=TINY)
        return weights, {**later, "w": torch.where(there, moved * scale, w)}


class FAMORule(Balancer):
    """w_k = (z_k / D_k) / sum_j z_j / D_j; the logits of z follow the progress that each step made."""

    needs_losses_after: ClassVar[bool] = True

    def __init__(self, tasks: int, learning_rate: float, weight_decay: float, eps: float) -> None:
        self._tasks, self._dials = tasks, {"learning_rate": learning_rate, "weight_decay": weight_decay, "eps": eps}

    def initial_state(self, device: torch.device) -> State:
        return {
            **{name: torch.tensor(value, device=device) for name, value in self._dials.items()},
            "xi": torch.zeros(self._tasks, device=device),
            # The tasks of the last step: `after_step` moves their logits alone.
            "active": torch.ones(self._tasks, dtype=torch.bool, device=device),
            **adam_state(self._tasks, device),
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
        there = which(active, losses)
        # As logarithms: D can be as small as eps.
        share = _softmax(state["xi"] - self._log(losses, state), there)
        return share.to(losses.dtype), {**state, "active": there}

    def after_step(self, losses: Tensor, losses_after: Tensor, state: State) -> State:
        xi, there = state["xi"], state["active"]
        z = _softmax(xi, there)
        delta = only(there, self._log(losses, state) - self._log(losses_after, state))
        gradient = z * (delta - (z * delta).sum(-1, keepdim=True)) + state["weight_decay"].unsqueeze(-1) * xi
        moved, later = adam(xi, gradient, there, state["learning_rate"], state)
        return {**later, "xi": moved}

    def _log(self, losses: Tensor, state: State) -> Tensor:
        return (losses.to(state["xi"].dtype).clamp(min=0) + state["eps"].unsqueeze(-1)).log()


def _mean(values: Tensor, there: Tensor) -> Tensor:
    """Mean over the active tasks [..., 1]."""
    return only(there, values).sum(-1, keepdim=True) / there.sum(-1, keepdim=True).clamp(min=1)


def _softmax(logits: Tensor, there: Tensor) -> Tensor:
    """Softmax over the active tasks; 0 for the others, and everywhere where none is active."""
    masked = torch.where(there, logits, torch.full_like(logits, -torch.inf))
    return only(there, masked.softmax(-1))
