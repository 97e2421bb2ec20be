"""Which rows train, validate and test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Parts = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]"]


def at_random(rows: int, valid: float, test: float, seed: int) -> Parts:
    """Row numbers of the three splits, in ascending order: by chance, whatever is to be predicted. [n] each"""
    order = np.random.default_rng([seed, 0x7AB]).permutation(rows)
    n_valid, n_test = _shares(rows, valid, test)
    parts = np.split(order, [rows - n_valid - n_test, rows - n_test])
    train, validation, last = (np.sort(part).astype(np.int64) for part in parts)
    return train, validation, last


def by_time(time: NDArray[np.float64], valid: float, test: float) -> Parts:
    """The earliest rows train, the latest test. Rows of the same time keep the file's order. [n] each"""
    order = np.argsort(time, kind="stable").astype(np.int64)
    n_valid, n_test = _shares(len(order), valid, test)
    a, b = len(order) - n_valid - n_test, len(order) - n_test
    return order[:a], order[a:b], order[b:]


def _shares(rows: int, valid: float, test: float) -> tuple[int, int]:
    """Rows for validation and test: at least one each of three or more."""
    if rows < 3:
        return (0, 0)
    return max(1, round(rows * valid)), max(1, round(rows * test))
