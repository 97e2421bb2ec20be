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


def soft_auc(scores: Tensor, probabilities: Tensor) -> float | None:
    """The AUC to be expected if every row's label were drawn anew from its true probability.

    Every row counts as a positive with weight p and as a negative with weight 1 - p; a row's pair with itself is left
    out. Ties count half.

    Args:
        scores: [n], any monotone score.
        probabilities: [n], the true ones.
    """
    order = torch.argsort(scores.double())
    ordered, p = scores.double()[order], probabilities.double()[order]
    below = torch.cat([p.new_zeros(1), torch.cumsum(1 - p, 0)])
    left = torch.searchsorted(ordered, ordered, right=False)
    right = torch.searchsorted(ordered, ordered, right=True)
    # Half of the tied negatives, the row itself not among them.
    won = below[left] + ((below[right] - below[left]) - (1 - p)) / 2
    pairs = p.sum() * (1 - p).sum() - (p * (1 - p)).sum()
    if not bool(torch.isfinite(ordered).all()) or pairs.item() <= 0:
        return None
    return ((p * won).sum() / pairs).item()


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 20) -> float | None:
    """Mean distance of predicted and observed rate over bins of equal numbers of rows (rare labels need that).

    Args:
        probabilities: [n], predicted.
        labels: [n], 0 or 1.
    """
    if not len(labels):
        return None
    order = torch.argsort(probabilities.double())
    total = 0.0
    for part in torch.tensor_split(order, min(bins, len(order))):
        total += len(part) * (probabilities.double()[part].mean() - labels.double()[part].mean()).abs().item()
    return total / len(order)


def task_metrics(
    logits: dict[str, Tensor],
    labels_BK: Tensor,
    mask_BK: Tensor,
    tasks: Sequence[Task],
    truth_BK: Tensor | None = None,
) -> dict[str, dict[str, float | None]]:
    """Metrics by task in its sample space; None where one is not defined.

    Binary: `auc`, `log_loss`, `pcoc` (predicted over observed positives, 1 is perfect) and `ece`. Regression: `mse`.
    Where the truth of all rows is known, also `soft_auc@all` and `pcoc@all`, or `mse@all`: over every row, inside the
    sample space or not.
    """
    result: dict[str, dict[str, float | None]] = {}
    for k, task in enumerate(tasks):
        inside = mask_BK[:, k]
        logit, label = logits[task.name][inside], labels_BK[inside, k]
        truth = None if truth_BK is None or not bool(torch.isfinite(truth_BK[:, k]).all()) else truth_BK[:, k].double()
        everywhere = logits[task.name].double()
        values: dict[str, float | None]
        if task.kind == "binary":
            log_loss = functional.binary_cross_entropy_with_logits(logit.double(), label.double()).item()
            # Scores that are no numbers have no metrics at all.
            sound = bool(torch.isfinite(logit).all())
            predicted = torch.sigmoid(logit.double())
            values = {
                "auc": auc(logit, label),
                "log_loss": _finite(log_loss),
                "pcoc": _ratio(predicted, label) if sound else None,
                "ece": expected_calibration_error(predicted, label) if sound else None,
            }
            if truth is not None:
                values["soft_auc@all"] = soft_auc(everywhere, truth)
                values["pcoc@all"] = _ratio(torch.sigmoid(everywhere), truth)
        else:
            values = {"mse": _finite((logit.double() - label.double()).square().mean().item())}
            if truth is not None:
                values["mse@all"] = _finite((everywhere - truth).square().mean().item())
        result[task.name] = values
    return result


def _ratio(predicted: Tensor, observed: Tensor) -> float | None:
    """Predicted over observed sum; None where nothing was observed."""
    total = observed.double().sum().item()
    return _finite(predicted.double().sum().item() / total) if total else None


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
