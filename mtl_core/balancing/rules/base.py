"""What every balancing rule is: losses, Gramian and state in, weights and the next state out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

#: Tensors that a rule carries from step to step. Its dials are among them, so that a population whose members differ in
#: a dial is one stacked state; the state is part of every checkpoint, and all that a resumed run needs of the rule.
State = dict[str, Tensor]


class Balancer(ABC):
    """Turns the losses of one step [..., K] and the Gramian of the task gradients [..., K, K] into weights [..., K].

    The weights are those of the step's direction d = sum_k w_k g_k, with g_k the gradient of task k's loss on the
    shared parameters. Leading dimensions are batch dimensions: a population of runs is balanced in one call, with the
    same result as one by one. No rule draws from a generator, and none waits for the device.

    A task without rows in the batch is inactive. It gets weight 0, and what a rule remembers of it stays as it was. A
    rule that gives each task a share of its own (static, dwa, upgrad ...) lets the absent one's share fall away; a rule
    that solves for the weights (mgda, imtl_g, nash ...) solves among the active tasks.
    """

    #: Does `weights` read the Gramian of the per-task gradients on the shared parameters?
    needs_gramian: ClassVar[bool] = False
    #: Must the step be made by `direction`, because it is no weighted sum of the gradients?
    needs_gradients: ClassVar[bool] = False
    #: Does `after_step` want the losses of the same batch after the parameters moved?
    needs_losses_after: ClassVar[bool] = False
    #: Does `direction` want one random number per parameter?
    noise_per_element: ClassVar[bool] = False
    #: Uniform random numbers in [0, 1) that `weights` wants in each step.
    noise: int = 0

    @abstractmethod
    def initial_state(self, device: torch.device) -> State:
        """The state before the first step, without leading dimensions."""

    @abstractmethod
    def weights(
        self,
        losses: Tensor,
        gramian: Tensor | None,
        state: State,
        *,
        active: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Weights for this step and the state after it.

        Args:
            losses: [..., K], detached from the graph.
            gramian: [..., K, K] of the task gradients on the shared parameters; None unless `needs_gramian`.
            state: tensors with the leading dimensions of `losses`.
            active: [..., K] bool, the tasks with rows in this batch; None means all.
            noise: [..., self.noise], uniform in [0, 1); None unless `self.noise`.

        Returns:
            weights [..., K] in the losses' dtype, and the new state. The old one is left as it was.
        """

    def after_step(self, losses: Tensor, losses_after: Tensor, state: State) -> State:
        """The state after the parameters moved; `losses_after` [..., K] are those of the same batch."""
        return state

    def after_epoch(self, mean_losses: Tensor, state: State) -> State:
        """The state after an epoch with these mean training losses [..., K]; 0 for a task that had no row at all."""
        return state

    def direction(self, gradients: Tensor, weights: Tensor, noise: Tensor | None, state: State) -> Tensor:
        """The step's direction [..., P] from task gradients [..., K, P] and what `weights` returned.

        `noise` is [..., P], uniform in [0, 1), if `noise_per_element`; else None.
        """
        return torch.einsum("...k,...kp->...p", weights, gradients)


def only(active: Tensor | None, weights: Tensor) -> Tensor:
    """These weights, and 0 for inactive tasks."""
    return weights if active is None else torch.where(active, weights, torch.zeros_like(weights))


def which(active: Tensor | None, losses: Tensor) -> Tensor:
    """The active tasks [..., K] as bool; all of them unless it is said which."""
    return torch.ones_like(losses, dtype=torch.bool) if active is None else active
