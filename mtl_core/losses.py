"""Per-task losses, each the mean over the rows of the task's own sample space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mtl_core.schema import Task


def task_losses(logits: dict[str, Tensor], labels_BK: Tensor, mask_BK: Tensor, tasks: Sequence[Task]) -> Tensor:
    """Losses [K]: log loss for binary tasks, squared error for regression, L_k = sum_i m_ik l_ik / max(sum_i m_ik, 1).

    A task with no row in the batch has loss exactly 0 and gradient 0. Labels outside the mask are never read, so they
    may be anything, NaN included.
    """
    losses = []
    for k, task in enumerate(tasks):
        inside = mask_BK[:, k]
        # where, not a product: NaN * 0 is NaN, forwards and backwards.
        label = torch.where(inside, labels_BK[:, k], 0.0)
        logit = torch.where(inside, logits[task.name], 0.0)
        if task.kind == "binary":
            each = functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
        else:
            each = (logit - label).square()
        losses.append(torch.where(inside, each, 0.0).sum() / inside.sum().clamp(min=1))
    return torch.stack(losses)
