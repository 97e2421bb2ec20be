"""Several predictions, one list: how task scores are fused into the order that somebody sees. NumPy only.

Scores are given by task as [n], one value per row (an item shown in a request): probabilities, or predicted means of a
regression. Torch tensors on the CPU will do. A fused score is any number that a list can be sorted by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mtl_core.ranking import Grouped, ndcg, places

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Scores = Mapping[str, "ArrayLike"]


def weighted_product(scores: Scores, exponents: Mapping[str, float]) -> NDArray[np.float64]:
    """prod_k score_k ^ exponent_k. [n]

    YouTube multiplies predictions with weights found by hand (Zhao et al., RecSys 2019); PLE's final score is
    pVTR^w1 * pVCR^w2 * pSHR^w3 * ... * f(video length) (Tang et al., RecSys 2020). Only ratios of scores count: a task
    predicted twice too high everywhere changes no order. Taken in log space; an exponent of 0 leaves a task out.

    Raises:
        ValueError: an exponent without scores, or a score that is not above 0, of which no power may be taken.
    """
    total: NDArray[np.float64] | float = 0.0
    for task, exponent in _named(scores, exponents).items():
        score = np.asarray(scores[task], np.float64)
        if not (score > 0).all():
            raise ValueError(f"Scores of {task} must be above 0 to be multiplied.")
        total = total + exponent * np.log(score)
    return np.asarray(np.exp(total))


def weighted_sum(scores: Scores, weights: Mapping[str, float]) -> NDArray[np.float64]:
    """sum_k weight_k * score_k. [n]

    Meituan's fusion of click and order (tech blog, 2018). Scales count: a rare action's small probabilities need large
    weights.

    Raises:
        ValueError: a weight without scores.
    """
    total: NDArray[np.float64] | float = 0.0
    for task, weight in _named(scores, weights).items():
        total = total + weight * np.asarray(scores[task], np.float64)
    return np.asarray(total)


def two_stage(first: ArrayLike, second: ArrayLike, groups: ArrayLike, keep: int) -> NDArray[np.float64]:
    """Sort each list by one score, then its head by another. [n]

    Meitu's sorting fusion: first by click rate, then, within what is kept, by the rate of exposure to follow. Rows
    after the head stay in the first order behind it.

    Args:
        first: [n], decides who is in the head: the click rate.
        second: [n], the order within it: the rate of exposure to follow.
        groups: [n], the lists: requests or sessions.
        keep: rows in the head of each list.

    Returns:
        A score to sort by: minus each row's place in the final list of its group.

    Raises:
        ValueError: keep is negative.
    """
    if keep < 0:
        raise ValueError("two_stage keeps no negative number of rows.")
    place = places(first, groups)
    head = place < keep
    # Pairs (list, head or not) are lists of their own; places within the head are those by the second score.
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    within = places(np.where(head, np.asarray(second, np.float64), -place), 2 * group.reshape(-1) + ~head)
    return -np.where(head, within, place).astype(np.float64)


def read_out(fused: ArrayLike, gains: Scores, groups: ArrayLike, n: int = 10) -> dict[str, Grouped]:
    """NDCG@n of the fused order for every task: what each task gains or loses by the fusion.

    Args:
        fused: [n], the score that lists are sorted by.
        gains: by task [n], labels or true probabilities; negative ones are refused.
        groups: [n], the lists. Groups in which a task has no gain at all are dropped for this task, and counted.
    """
    return {task: ndcg(fused, gain, groups, n) for task, gain in gains.items()}


def _named(scores: Scores, weights: Mapping[str, float]) -> dict[str, float]:
    """The weights that count.

    Raises:
        ValueError: one has no scores, or there is none.
    """
    unknown = [task for task in weights if task not in scores]
    if unknown:
        raise ValueError(f"There are no scores of {unknown[0]!r}. Choose from: {', '.join(scores)}.")
    used = {task: float(weight) for task, weight in weights.items() if weight}
    if not used:
        raise ValueError("A fusion needs at least one task with a weight other than 0.")
    return used
