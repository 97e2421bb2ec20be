"""What is measured, per task and in the task's own sample space. One definition for command line, app and export."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mtl_core.schema import PRIMARY, Task


def auc(scores: Tensor, labels: Tensor) -> float | None:
    """Exact area under the ROC curve: the share of (positive, negative) pairs in the right order, ties counted half.

    Args:
        scores: [n], any monotone score.
        labels: [n], 0 or 1.

    Returns:
        The area, or None where one class is missing and no pair exists.
    """
    scores = scores.double()
    positive = labels > 0.5
    n_pos = int(positive.sum())
    n_neg = len(labels) - n_pos
    if n_pos == 0 or n_neg == 0 or not bool(torch.isfinite(scores).all()):
        return None
    ordered, order = torch.sort(scores)
    # Average rank (from 1) of each tied group: (first + last) / 2.
    left = torch.searchsorted(ordered, ordered, right=False)
    right = torch.searchsorted(ordered, ordered, right=True)
    rank = (left + right + 1).double() / 2
    rank_sum = rank[positive[order]].sum().item()
    return (rank_sum - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)


def task_metrics(
    logits: dict[str, Tensor], labels_BK: Tensor, mask_BK: Tensor, tasks: Sequence[Task]
) -> dict[str, dict[str, float | None]]:
    """Metrics by task: auc and log_loss of a binary task, mse of a regression; None where they are not defined."""
    result: dict[str, dict[str, float | None]] = {}
    for k, task in enumerate(tasks):
        inside = mask_BK[:, k]
        logit, label = logits[task.name][inside], labels_BK[inside, k]
        if task.kind == "binary":
            log_loss = functional.binary_cross_entropy_with_logits(logit.double(), label.double()).item()
            result[task.name] = {"auc": auc(logit, label), "log_loss": _finite(log_loss)}
        else:
            result[task.name] = {"mse": _finite((logit.double() - label.double()).square().mean().item())}
    return result


def selection_score(metrics: dict[str, dict[str, float | None]], tasks: Sequence[Task]) -> float | None:
    """The mean of the tasks' primary metrics, higher is better; None if any is undefined (never "best")."""
    total = 0.0
    for task in tasks:
        name, sign = PRIMARY[task.kind]
        value = metrics[task.name][name]
        if value is None:
            return None
        total += sign * value
    return total / len(tasks)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
