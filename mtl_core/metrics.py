"""What is measured, per task and in the task's own sample space. One definition for command line, app and export."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mtl_core.funnel import Funnel
from mtl_core.losses import joint_labels
from mtl_core.ranking import gauc, ndcg
from mtl_core.schema import PRIMARY, Task

__all__ = [
    "auc",
    "expected_calibration_error",
    "gauc",
    "ndcg",
    "normalised_entropy",
    "selection_score",
    "soft_auc",
    "task_metrics",
]


def auc(scores: Tensor, labels: Tensor) -> float | None:
    """Exact area under the ROC curve: the share of (positive, negative) pairs in the right order, ties counted half.

    Args:
        scores: [n], any monotone score.
        labels: [n], 0 or 1.

    Returns:
        The area, or None where one class is missing and no pair exists.
    """
    positive = labels > 0.5
    n_pos = int(positive.sum())
    n_neg = len(labels) - n_pos
    if n_pos == 0 or n_neg == 0 or not bool(torch.isfinite(scores).all()):
        return None
    ordered, order = torch.sort(scores)
    left, right = _ties(ordered)
    # Average rank (from 1) of each tied group: (first + last) / 2.
    rank = (left + right + 1).double() / 2
    rank_sum = rank[positive[order]].sum().item()
    return (rank_sum - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)


def _ties(ordered: Tensor) -> tuple[Tensor, Tensor]:
    """For each of these sorted scores [n] the places where its tied group starts and where the next one starts [n]."""
    _, group, sizes = torch.unique_consecutive(ordered, return_inverse=True, return_counts=True)
    ends = sizes.cumsum(0)
    return (ends - sizes)[group], ends[group]


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
    left, right = _ties(ordered)
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
    order = torch.argsort(probabilities)
    surplus = (probabilities.double() - labels.double())[order]
    # A bin's rows times the distance of its two means is the distance of its two sums.
    bins = min(bins, len(order))
    sizes = torch.full((bins,), len(order) // bins)
    sizes[: len(order) % bins] += 1
    ends = torch.cat([surplus.new_zeros(1), surplus.cumsum(0)])[torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])]
    return ends.diff().abs().sum().item() / len(order)


def normalised_entropy(logits: Tensor, labels: Tensor) -> float | None:
    """Log loss over the entropy of the labels' own base rate: 1 is as good as predicting that rate for every row.

    Args:
        logits: [n].
        labels: [n], 0 or 1.

    Returns:
        The ratio, below 1 for a model that tells rows apart; None where one class is missing. The base rate is that of
        these labels, not of the training rows. He et al., ADKDD 2014.
    """
    if not len(labels):
        return None
    rate = labels.double().mean()
    entropy = -(torch.xlogy(rate, rate) + torch.xlogy(1 - rate, 1 - rate)).item()
    log_loss = functional.binary_cross_entropy_with_logits(logits.double(), labels.double()).item()
    return _finite(log_loss / entropy) if entropy > 0 else None


def task_metrics(
    logits: dict[str, Tensor],
    labels_BK: Tensor,
    mask_BK: Tensor,
    tasks: Sequence[Task],
    truth: Tensor | None = None,
    joint: Mapping[str, Tensor] | None = None,
) -> dict[str, dict[str, float | None]]:
    """Metrics by task in its sample space; None where one is not defined.

    Binary: `auc`, `log_loss`, `pcoc` (predicted over observed positives, 1 is perfect) and `ece`. Regression: `mse`.
    Where the truth of all rows is known, also `soft_auc@all` and `pcoc@all`, or `mse@all`: over every row, inside the
    sample space or not. Steps of a funnel whose joint logits are given also have `joint_auc` and `joint_log_loss`: the
    probability of the step and everything before it against the label of the same, over all exposures. The joint
    probability is the model's own; the ESMM paper's CTCVR AUC instead multiplies every model's conversion rate by the
    click rate of one and the same network, so the two are not comparable.

    Args:
        logits: per task [N].
        labels_BK: [N, K], never read outside the mask.
        mask_BK: [N, K].
        truth: [N, K], the true probability or mean of every row, NaN where a world has none.
        joint: per step of a funnel [N], the logit in `Output.parts` under `joint_part(task)`.
    """
    result: dict[str, dict[str, float | None]] = {}
    steps = joint_labels(labels_BK, mask_BK, Funnel.of(tasks)) if joint else {}
    for k, task in enumerate(tasks):
        inside = mask_BK[:, k]
        logit, label = logits[task.name][inside], labels_BK[inside, k]
        true = None if truth is None or not bool(torch.isfinite(truth[:, k]).all()) else truth[:, k].double()
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
            if true is not None:
                values["soft_auc@all"] = soft_auc(everywhere, true)
                values["pcoc@all"] = _ratio(torch.sigmoid(everywhere), true)
        else:
            values = {"mse": _finite((logit.double() - label.double()).square().mean().item())}
            if true is not None:
                values["mse@all"] = _finite((everywhere - true).square().mean().item())
        if joint and k in steps and task.name in joint:
            space, label = steps[k].space, steps[k].label
            logit = joint[task.name][space].double()
            log_loss = functional.binary_cross_entropy_with_logits(logit, label[space].double()).item()
            values["joint_auc"] = auc(logit, label[space])
            values["joint_log_loss"] = _finite(log_loss)
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
