"""What heads that know the funnel have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from mtl_core.funnel import Funnel
from mtl_core.losses import Step, joint_labels, joint_logits, log_loss, masked_mean, symmetric_kl, task_loss
from mtl_core.nn.heads.base import Head, Output, joint_part
from mtl_core.schema import Task


def direct_part(task: str) -> str:
    """The name in `Output.parts` of the extra tower's own logit of the same joint probability."""
    return f"direct {task}"


class FunnelHead(Head):
    """Steps of a funnel have losses of their own; every other task keeps the plain loss in its sample space.

    Towers: one per task in task order, then those of the head, then (`kl_bound` > 0) one per step that predicts the
    step's joint probability directly.
    """

    def __init__(self, tasks: Sequence[Task], kl_bound: float = 0.0) -> None:
        super().__init__(tasks)
        self.funnel = Funnel.of(tasks)
        self.kl_bound = kl_bound

    def conditionals(self, z_JB: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Per task its logit given the task before it, and parts of the head's own."""
        return list(z_JB.unbind(0)[: len(self.tasks)]), {}

    @abstractmethod
    def step_loss(self, k: int, step: Step, out: Output, noise_BN: Tensor | None) -> Tensor:
        """The loss of the step at place k."""

    def compose(self, z_JB: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        logits, parts = self.conditionals(z_JB)
        names, steps = self.task_names, self.funnel.steps
        parts = {**{joint_part(names[k]): z for k, z in joint_logits(logits, self.funnel).items()}, **parts}
        if self.kl_bound:
            direct = z_JB[len(z_JB) - len(steps) :]
            parts |= {direct_part(names[k]): direct[place] for place, k in enumerate(steps)}
        return dict(zip(names, logits, strict=True)), parts

    def losses(self, out: Output, labels_BK: Tensor, mask_BK: Tensor, noise_BN: Tensor | None = None) -> Tensor:
        """Losses [K]; a step's is a mean over all exposures."""
        if not self.funnel.steps:
            return super().losses(out, labels_BK, mask_BK, noise_BN)
        steps = joint_labels(labels_BK, mask_BK, self.funnel)
        losses = []
        for k, task in enumerate(self.tasks):
            if k in steps:
                losses.append(self.step_loss(k, steps[k], out, noise_BN) + self.bound(k, steps[k], out))
            else:
                losses.append(task_loss(out.logits[task.name], labels_BK[:, k], mask_BK[:, k], task))
        return torch.stack(losses)

    def bound(self, k: int, step: Step, out: Output) -> Tensor:
        """Meituan's bound of a step: log loss of the extra tower, and c times its symmetric KL with the joint
        probability, both means over all exposures; 0 without it.
        """
        if not self.kl_bound:
            return step.label.new_zeros(())
        direct, joint = out.parts[direct_part(self.task_names[k])], out.parts[joint_part(self.task_names[k])]
        return masked_mean(log_loss(direct, step.label) + self.kl_bound * symmetric_kl(joint, direct), step.space)

    def joint_loss(self, k: int, step: Step, out: Output) -> Tensor:
        """Log loss of the step's joint probability, a mean over all exposures."""
        return masked_mean(log_loss(out.parts[joint_part(self.task_names[k])], step.label), step.space)

    def propensity(self, k: int, out: Output) -> Tensor:
        """p(step k is reached) [B], a constant to the gradient.

        The step before it must not learn to look likely so that this step's loss becomes cheap.
        """
        parent = self.funnel.parent(k)
        name = self.task_names[parent]
        logit = out.parts[joint_part(name)] if self.funnel.parents[parent] is not None else out.logits[name]
        return torch.sigmoid(logit.detach())

    def rows(self, mask_BK: Tensor) -> Tensor:
        return torch.stack([mask_BK[:, self.funnel.root(k)].sum() for k in range(len(self.tasks))])


class EntireSpaceHead(FunnelHead):
    """ESMM: a step is learned through the joint probability alone, from all exposures."""

    def step_loss(self, k: int, step: Step, out: Output, noise_BN: Tensor | None) -> Tensor:
        return self.joint_loss(k, step, out)
