"""What the made worlds have in common: directions at a given angle, sessions and positions, exact averages, splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl_core.data.base import Frames

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: Items shown together; one row each.
SESSION = 10
#: Chance that a person looks at a position at all, first to last (our choice of a steep curve).
EXAMINATION = np.array([1.0, 0.61, 0.48, 0.39, 0.32, 0.28, 0.24, 0.21, 0.19, 0.17])
#: Points of the Gauss-Hermite rule: exact to far below float32's precision for the smooth curves averaged here.
QUADRATURE_POINTS = 21


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-z)), without overflow at either end."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))


def standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean 0 and variance 1 over the rows; a constant becomes 0."""
    spread = values.std()
    return np.asarray((values - values.mean()) / (spread if spread > 0 else 1.0))


def bias_for(rate: float, logit: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """The number to add to the logits so that their weighted mean chance is `rate`."""
    from scipy.optimize import brentq

    share = weight / weight.sum()
    return float(brentq(lambda bias: float(share @ sigmoid(bias + logit)) - rate, -60.0, 60.0, xtol=1e-9))


def normal_cdf(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(N(0, 1) <= z)."""
    from scipy.special import ndtr

    return np.asarray(ndtr(z))


def orthonormal(rng: np.random.Generator, count: int, dimensions: int) -> NDArray[np.float64]:
    """Random directions of length 1 at right angles to each other. [count, dimensions], count <= dimensions"""
    q, r = np.linalg.qr(rng.standard_normal((dimensions, count)))
    return np.asarray((q * np.sign(np.diag(r))).T)


def equal_cosines(count: int, cosine: float) -> NDArray[np.float64]:
    """Lower triangular matrix whose rows have length 1 and pairwise cosine `cosine`. [count, count]

    For two rows it is [[1, 0], [p, sqrt(1 - p^2)]]: the construction of the MMoE paper, and the only one of this form
    for more rows (Cholesky's, written out so that cosine 1 and the least possible one need no special case).

    Raises:
        ValueError: so many directions cannot all be that far apart; the least cosine is -1 / (count - 1).
    """
    least = -1.0 / (count - 1) if count > 1 else -1.0
    if not least - 1e-12 <= cosine <= 1.0:
        raise ValueError(
            f"{count} directions cannot all have cosine {cosine:g} to each other: choose between {least:.4g} and 1."
        )
    rows = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            rest = cosine - rows[i, :j] @ rows[j, :j]
            rows[i, j] = rest / rows[j, j] if rows[j, j] > 1e-9 else 0.0
        rows[i, i] = np.sqrt(max(0.0, 1.0 - float(rows[i, :i] @ rows[i, :i])))
    return rows


def average_over_normal(
    curves: Callable[[float], Sequence[NDArray[np.float64]]], spread: float
) -> list[NDArray[np.float64]]:
    """E[curve(spread * h)] of each curve, h ~ N(0, 1), by Gauss-Hermite quadrature: no sampling, no noise.

    Args:
        curves: from the value added to a logit to the curves over the rows.
        spread: with 0 the curves are taken once, at 0.
    """
    if spread == 0:
        return list(curves(0.0))
    nodes, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE_POINTS)
    weights = weights / weights.sum()
    totals: list[NDArray[np.float64]] = []
    for node, weight in zip(nodes, weights, strict=True):
        parts = [weight * curve for curve in curves(float(spread * node))]
        totals = parts if not totals else [total + part for total, part in zip(totals, parts, strict=True)]
    return totals


def positions(rng: np.random.Generator, score: NDArray[np.float64], policy: float) -> NDArray[np.int64]:
    """Place of each row among the rows of its session, best first: 0 .. SESSION - 1. [n]

    The ranker sorts by policy * score + N(0, 1): with policy 0 places are random. Sessions are consecutive rows.
    """
    rows = len(score)
    padded = np.full(-(-rows // SESSION) * SESSION, -np.inf)  # places missing from the last session come last
    padded[:rows] = policy * score + rng.standard_normal(rows)
    order = np.argsort(-padded.reshape(-1, SESSION), axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable").reshape(-1)[:rows].astype(np.int64)


def tail_draws(rng: np.random.Generator, count: int, size: int, exponent: float) -> NDArray[np.int64]:
    """Ids 0 .. count - 1 in a random order of popularity, the r-th most popular with chance r^-exponent. [size]"""
    chances = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    popularity = np.cumsum(chances / chances.sum())
    ranks = np.minimum(np.searchsorted(popularity, rng.random(size), side="right"), count - 1)
    return np.asarray(rng.permutation(count)[ranks])


def bernoulli(rng: np.random.Generator, chance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """One draw per row."""
    return np.asarray(rng.random(len(chance)) < chance)


def levels(values: NDArray[np.float64], lowest: int, highest: int) -> NDArray[np.float64]:
    """The nearest whole number from lowest to highest, as stars or price levels are given."""
    return np.asarray(np.clip(np.rint(values), lowest, highest))


def mean_level(mean: NDArray[np.float64], spread: float, lowest: int, highest: int) -> NDArray[np.float64]:
    """E[levels(mean + spread * e)], e ~ N(0, 1), exactly: the lowest level, plus the chance of each step above it."""
    steps = (normal_cdf((mean - (level + 0.5)) / spread) for level in range(lowest, highest))
    return np.asarray(sum(steps, np.full_like(mean, lowest)))


def mean_below(mean: NDArray[np.float64], spread: float, ceiling: NDArray[np.float64]) -> NDArray[np.float64]:
    """E[min(mean + spread * e, ceiling)], e ~ N(0, 1), exactly."""
    room = (ceiling - mean) / spread
    density = np.exp(-0.5 * room**2) / np.sqrt(2 * np.pi)
    return np.asarray(mean * normal_cdf(room) - spread * density + ceiling * normal_cdf(-room))


def id_names(count: int) -> tuple[str, ...]:
    """The known values of an id column that holds the numbers 0 .. count - 1."""
    return tuple(map(str, range(count)))


def split(columns: dict[str, Any], rows: int, block: int = 1, notes: tuple[str, ...] = ()) -> Frames:
    """First 60% of the rows for training, 20% for validation, 20% for the test, never cutting through a block.

    Rows (or blocks of them, such as sessions) are drawn independently, so the first are as good as any.
    """
    import pandas as pd

    table: pd.DataFrame = pd.DataFrame(columns)
    a, b = (int(rows * share) // block * block for share in (0.6, 0.8))
    return Frames(table.iloc[:a], table.iloc[a:b].reset_index(drop=True), table.iloc[b:].reset_index(drop=True), notes)
