"""What is measured per group of rows, a user's or a request's: GAUC and NDCG. NumPy only, vectorised over groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

GroupWeights = Literal["impressions", "clicks", "equal"]


class Grouped(NamedTuple):
    """A mean over groups, and how many groups were left out because nothing is defined there."""

    value: float | None
    groups: int
    dropped: int


def gauc(scores: ArrayLike, labels: ArrayLike, groups: ArrayLike, weights: GroupWeights = "impressions") -> Grouped:
    """The AUC within each group (of a user, say), averaged over groups.

    A group without a positive or without a negative has no pair and is dropped, and counted. Ties count half.

    Args:
        scores: [n], any monotone score.
        labels: [n], 0 or 1.
        groups: [n], ids of any kind.
        weights: how much a group counts: by its rows (the usual definition: Zhu et al., KDD 2017), by its positives, or
            all alike.
    """
    score, label, group = np.asarray(scores, np.float64), np.asarray(labels) > 0.5, _places(groups)
    if not len(score) or not np.isfinite(score).all():
        return Grouped(None, 0, 0)
    count = int(group.max()) + 1
    order = np.lexsort((score, group))
    first, last = _ties(group[order], score[order])
    # Rank within the group, from 1, the same for all rows of a tie.
    starts = np.searchsorted(group[order], np.arange(count))
    rank = (first + last) / 2 + 1 - starts[group[order]]
    rows = np.bincount(group, minlength=count)
    positives = np.bincount(group, weights=label, minlength=count)
    rank_sum = np.bincount(group[order], weights=rank * label[order], minlength=count)
    pairs = positives * (rows - positives)
    kept = pairs > 0
    area = (rank_sum - positives * (positives + 1) / 2)[kept] / pairs[kept]
    counts = {"impressions": rows, "clicks": positives, "equal": np.ones(count)}[weights][kept]
    value = float((counts * area).sum() / counts.sum()) if kept.any() else None
    return Grouped(value, int(kept.sum()), int(count - kept.sum()))


def ndcg(scores: ArrayLike, gains: ArrayLike, groups: ArrayLike, n: int = 10) -> Grouped:
    """Normalised discounted cumulative gain of the first n of each group's list, averaged over groups.

    DCG = sum over places r = 1..n of gain / log2(r + 1), over that of the best order. Gains count as they are (a label
    of 0 or 1, stars), not as 2^gain - 1. Rows of equal score share the places that they take together. A group without
    any gain is dropped, and counted.

    Args:
        scores: [rows], higher comes first.
        gains: [rows], not negative.
        groups: [rows], ids of any kind: a request's or a session's.
        n: how many places count.

    Raises:
        ValueError: a negative gain, or n below 1.
    """
    score, gain, group = np.asarray(scores, np.float64), np.asarray(gains, np.float64), _places(groups)
    if n < 1:
        raise ValueError("NDCG@n needs n of at least 1.")
    if (gain < 0).any():
        raise ValueError("Gains of NDCG must not be negative.")
    if not len(score) or not np.isfinite(score).all():
        return Grouped(None, 0, 0)
    count = int(group.max()) + 1
    found, best = (_dcg(by, gain, group, count, n) for by in (score, gain))
    kept = best > 0
    value = float((found[kept] / best[kept]).mean()) if kept.any() else None
    return Grouped(value, int(kept.sum()), int(count - kept.sum()))


def places(scores: ArrayLike, groups: ArrayLike) -> NDArray[np.int64]:
    """Each row's place in its group's list, 0 for the highest score; among equals the earlier row comes first. [n]"""
    group = _places(groups)
    order = np.lexsort((-np.asarray(scores, np.float64), group))
    starts = np.searchsorted(group[order], group[order])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - starts
    return place


def _dcg(
    score: NDArray[np.float64], gain: NDArray[np.float64], group: NDArray[np.intp], count: int, n: int
) -> NDArray[np.float64]:
    """DCG of each group. [count]"""
    order = np.lexsort((-score, group))
    ordered = group[order]
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    discount = np.where(place < n, 1 / np.log2(place + 2), 0.0)
    first, last = _ties(ordered, -score[order])
    total = np.concatenate([[0.0], np.cumsum(discount)])
    shared = (total[last + 1] - total[first]) / (last + 1 - first)
    return np.asarray(np.bincount(ordered, weights=shared * gain[order], minlength=count), np.float64)


def _ties(group: NDArray[np.intp], score: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and last place, inclusive, of each row's run of equal scores, in rows sorted by group and score. [n]"""
    fresh = np.ones(len(group), np.bool_)
    fresh[1:] = (group[1:] != group[:-1]) | (score[1:] != score[:-1])
    run = np.cumsum(fresh) - 1
    starts = np.flatnonzero(fresh)
    ends = np.append(starts[1:], len(group)) - 1
    return starts[run], ends[run]


def _places(groups: ArrayLike) -> NDArray[np.intp]:
    """Groups numbered from 0. [n]"""
    return np.asarray(np.unique(np.asarray(groups), return_inverse=True)[1], np.intp).reshape(-1)
