"""ROC, precision-recall and reliability as a few hundred points each: what a figure needs of any number of rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

#: Most points of a curve.
POINTS = 200
#: Bins of a reliability curve: equal numbers of rows, as rare labels need.
BINS = 20


class Curve(NamedTuple):
    """Points of a curve from left to right."""

    x: list[float]
    y: list[float]


class Reliability(NamedTuple):
    """Per bin of equal numbers of rows, from the lowest predictions to the highest."""

    predicted: list[float]
    observed: list[float]
    rows: list[int]


def _counts(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """True and false positives [T] as the threshold falls below each distinct score; ties are taken together."""
    ordered, order = torch.sort(scores.double(), descending=True)
    positive = (labels[order] > 0.5).double()
    last = torch.ones(len(ordered), dtype=torch.bool, device=ordered.device)
    last[:-1] = ordered[1:] != ordered[:-1]
    return positive.cumsum(0)[last], (1 - positive).cumsum(0)[last]


def roc(scores: Tensor, labels: Tensor, points: int = POINTS) -> Curve | None:
    """False positive rate against true positive rate, from (0, 0) to (1, 1).

    Args:
        scores: [n], any monotone score.
        labels: [n], 0 or 1.
        points: thinned to at most so many, evenly along the curve.

    Returns:
        None where one class is missing.
    """
    if not _both(labels):
        return None
    true, false = _counts(scores, labels)
    zero = true.new_zeros(1)
    return _thinned(torch.cat([zero, false / false[-1]]), torch.cat([zero, true / true[-1]]), points)


def precision_recall(scores: Tensor, labels: Tensor, points: int = POINTS) -> tuple[Curve, float] | None:
    """Recall against precision, and the average precision: the precision at each positive found, sum over recall steps.

    No point is made up at recall 0: the curve begins with the highest score.

    Args:
        scores: [n].
        labels: [n], 0 or 1.
        points: thinned to at most so many.
    """
    if not _both(labels):
        return None
    true, false = _counts(scores, labels)
    recall, precision = true / true[-1], true / (true + false)
    gained = torch.diff(recall, prepend=recall.new_zeros(1))
    # Between two positives precision only falls: the steps of recall carry the curve.
    kept = gained > 0
    return _thinned(recall[kept], precision[kept], points), float((gained * precision).sum())


def reliability(predicted: Tensor, observed: Tensor, bins: int = BINS) -> Reliability:
    """Mean prediction and mean label by bins of equal numbers of rows: those of `metrics.expected_calibration_error`.

    Args:
        predicted: [n], probabilities, or numbers of a regression.
        observed: [n], labels.
        bins: at most so many, none of them empty.
    """
    order = torch.argsort(predicted.double())
    parts = torch.tensor_split(order, min(bins, len(order))) if len(order) else ()
    return Reliability(
        [float(predicted[part].double().mean()) for part in parts],
        [float(observed[part].double().mean()) for part in parts],
        [len(part) for part in parts],
    )


def _both(labels: Tensor) -> bool:
    positive = int((labels > 0.5).sum())
    return 0 < positive < len(labels)


def _thinned(x: Tensor, y: Tensor, points: int) -> Curve:
    """Evenly along the curve, both ends kept."""
    if len(x) > points:
        way = torch.cat([x.new_zeros(1), (x.diff().abs() + y.diff().abs()).cumsum(0)])
        at = torch.linspace(0, float(way[-1]), points, dtype=way.dtype, device=way.device)
        kept = torch.unique(torch.searchsorted(way, at).clamp(max=len(x) - 1))
        kept[-1] = len(x) - 1
        x, y = x[kept], y[kept]
    return Curve([round(v, 5) for v in x.tolist()], [round(v, 5) for v in y.tolist()])
