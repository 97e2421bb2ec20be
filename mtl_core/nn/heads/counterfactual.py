"""Heads that weigh rows by the inverse of the click's predicted probability: ESCM2-IPS, ESCM2-DR and DCMT."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mtl_core.losses import Step, log_loss, masked_mean
from mtl_core.nn.heads.base import Output
from mtl_core.nn.heads.funnel import FunnelHead
from mtl_core.schema import Task


class CounterfactualHead(FunnelHead):
    """A step's loss is lambda_cvr L_cvr + lambda_ctcvr L_ctcvr, both divided by the number of all exposures.

    Args:
        floor: the propensity (the predicted chance that the step is reached) is cut to [floor, 1].
    """

    def __init__(
        self, tasks: Sequence[Task], kl_bound: float, lambda_cvr: float, lambda_ctcvr: float, floor: float
    ) -> None:
        super().__init__(tasks, kl_bound)
        self.lambda_cvr = lambda_cvr
        self.lambda_ctcvr = lambda_ctcvr
        self.floor = floor

    @abstractmethod
    def debiased(self, k: int, step: Step, out: Output, error_B: Tensor) -> Tensor:
        """The step's debiased loss of each exposure [B].

        Args:
            error_B: log loss of the conditional probability where the step is reached, 0 elsewhere.
        """

    def step_loss(self, k: int, step: Step, out: Output, noise_BN: Tensor | None) -> Tensor:
        error = log_loss(out.logits[self.task_names[k]], step.label)
        each = self.debiased(k, step, out, torch.where(step.reached, error, 0.0))
        return self.lambda_cvr * masked_mean(each, step.space) + self.lambda_ctcvr * self.joint_loss(k, step, out)


class InversePropensityHead(CounterfactualHead):
    """ESCM2-IPS: o e / p."""

    def debiased(self, k: int, step: Step, out: Output, error_B: Tensor) -> Tensor:
        return error_B / self.propensity(k, out).clamp(min=self.floor)


def imputed_part(task: str) -> str:
    """The name in `Output.parts` of the guessed log loss of a task."""
    return f"imputed error {task}"


class DoublyRobustHead(CounterfactualHead):
    """ESCM2-DR: e^ + o (e - e^) / p + o (e - e^)^2 / p, with the guess e^ from a tower per step.

    The guess is a constant to the first two terms, the error one to the last: alternate training in a single step.
    """

    def conditionals(self, z_JB: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        logits, parts = super().conditionals(z_JB)
        guesses = {
            imputed_part(self.task_names[k]): functional.softplus(z_JB[len(self.tasks) + place])
            for place, k in enumerate(self.funnel.steps)
        }
        return logits, {**parts, **guesses}

    def debiased(self, k: int, step: Step, out: Output, error_B: Tensor) -> Tensor:
        guess = out.parts[imputed_part(self.task_names[k])]
        fixed = guess.detach()
        weight = torch.where(step.reached, 1.0 / self.propensity(k, out).clamp(min=self.floor), 0.0)
        # The squared distance, were it to reach the conversion tower, would pull its rate far above the labels'.
        return fixed + weight * (error_B - fixed) + weight * (error_B.detach() - guess).square()


def mirror_part(task: str) -> str:
    """The name in `Output.parts` of the logit that a task would not have happened."""
    return f"counterfactual {task}"


class MirrorHead(CounterfactualHead):
    """DCMT: o l(c, r) / p + (1 - o) l(1, r*) / (1 - p) + lambda |1 - (r + r*)|, with r* from a tower per step."""

    def __init__(
        self,
        tasks: Sequence[Task],
        kl_bound: float,
        lambda_cvr: float,
        lambda_ctcvr: float,
        floor: float,
        lambda_consistency: float,
    ) -> None:
        super().__init__(tasks, kl_bound, lambda_cvr, lambda_ctcvr, floor)
        self.lambda_consistency = lambda_consistency

    def conditionals(self, z_JB: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        logits, parts = super().conditionals(z_JB)
        mirrors = {
            mirror_part(self.task_names[k]): z_JB[len(self.tasks) + place] for place, k in enumerate(self.funnel.steps)
        }
        return logits, {**parts, **mirrors}

    def debiased(self, k: int, step: Step, out: Output, error_B: Tensor) -> Tensor:
        name = self.task_names[k]
        mirror = out.parts[mirror_part(name)]
        p = self.propensity(k, out).clamp(self.floor, 1.0 - self.floor)
        none_happened = torch.where(step.reached, 0.0, functional.softplus(-mirror)) / (1.0 - p)
        apart = (torch.sigmoid(out.logits[name]) - torch.sigmoid(-mirror)).abs()
        return error_B / p + none_happened + self.lambda_consistency * apart
