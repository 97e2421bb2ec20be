"""Which rows train, validate and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Parts = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]"]


def at_random(positives: Sequence[NDArray[np.bool_]], rows: int, valid: float, test: float, seed: int) -> Parts:
    """Row numbers of the three splits, in ascending order, stratified by the rarest label that is positive in a row.

    So a label with at least three positive rows has one in every split, unless rarer labels claim its rows. [n] each

    Args:
        positives: per binary task the rows that are positive and in its sample space. [rows] each
    """
    rng = np.random.default_rng([seed, 0x7AB])
    stratum = np.zeros(rows, np.int8)
    common_first = sorted(positives, key=lambda p: -int(p.sum()))
    for place, positive in enumerate(common_first[:120], start=1):
        stratum[positive] = place
    parts: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    for value in np.unique(stratum):
        members = rng.permutation(np.flatnonzero(stratum == value))
        n_valid, n_test = _shares(len(members), valid, test)
        for part, chosen in zip(
            parts, np.split(members, [len(members) - n_valid - n_test, len(members) - n_test]), strict=True
        ):
            part.append(chosen)
    train, validation, last = (np.sort(np.concatenate(part)).astype(np.int64) for part in parts)
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
