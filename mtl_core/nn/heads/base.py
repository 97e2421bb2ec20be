"""What every head module is, and what a model returns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from mtl_core.losses import task_losses
from mtl_core.nn.encoder import Inputs
from mtl_core.schema import Task


class Output(NamedTuple):
    """What a model returns: logits, never probabilities."""

    #: task -> [B], the logit of its probability *in its sample space*: a conversion's given the click. A regression
    #: task's "logit" is its prediction.
    logits: dict[str, Tensor]
    #: gate -> [B, experts of its level]
    gates: dict[str, Tensor]
    #: task -> [B, H]
    representations: dict[str, Tensor]
    #: What the head computed besides, for its own losses, for metrics and for pictures: name -> [B]. "joint cvr" is the
    #: logit of a conversion together with everything before it (`joint_part`).
    parts: dict[str, Tensor]


def joint_part(task: str) -> str:
    """The name in `Output.parts` of the logit of p(this task and everything before it), for steps of a funnel."""
    return f"joint {task}"


class Head(nn.Module):
    """Tower outputs in, logits per task out; and the losses that train them.

    The head owns the losses, so that a wrapper around a model cannot change what is trained.
    """

    #: Uniform random numbers per row that training wants; they come in from outside, so that a step is a function.
    noise: int = 0

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.task_names = tuple(task.name for task in tasks)

    @abstractmethod
    def compose(self, z_JB: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Logits by task in task order, and `Output.parts`, from one number per tower [J, B]."""

    def numbers(self, z_JB: Tensor) -> Tensor:
        """One number per tower [J, B]; heads that read the towers' vectors [J, B, H] make them of those."""
        return z_JB

    def forward(
        self, z_JB: Tensor, inputs: Inputs, noise_BN: Tensor | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Logits by task in task order, and `Output.parts`.

        Args:
            z_JB: the towers' numbers [J, B], or their vectors [J, B, H] where the head's options say so.
            inputs: what the model reads of these rows.
            noise_BN: uniform numbers in 0..1 while training, None otherwise.
        """
        return self.compose(self.numbers(z_JB))

    def losses(self, out: Output, labels_BK: Tensor, mask_BK: Tensor, noise_BN: Tensor | None = None) -> Tensor:
        """Losses [K]. Labels outside a task's sample space are never read."""
        return task_losses(out.logits, labels_BK, mask_BK, self.tasks)

    def rows(self, mask_BK: Tensor) -> Tensor:
        """Rows [K] that each loss is a mean over."""
        return mask_BK.sum(0)
