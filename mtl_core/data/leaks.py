"""Features that give a label away all by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mtl_core.data.base import Frames
from mtl_core.schema import Schema, Task

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: A feature whose AUC by itself is above this is suspected of holding the label.
SUSPICIOUS_AUC = 0.98
ROWS = 20_000
FOLDS = 5
#: Fewer rows of either label say nothing.
_FEWEST = 20


def leak_notes(frames: Frames, schema: Schema) -> tuple[str, ...]:
    """One sentence per feature and task where the feature alone tells the labels apart (AUC above 0.98).

    Taken on at most 20,000 training rows, within the task's sample space. Numbers count by their rank, in either
    direction; categories and whole sequences by the mean label of their value in the other four fifths of the rows, so
    an id that is new in every row gives nothing away. A regression label is cut at its median.

    Args:
        frames: rows by split; only the training rows are looked at.
        schema: features and tasks of these rows.
    """
    return tuple(
        f"Feature {feature} alone gives task {task} away (AUC {auc:.3f}): does it hold the label, or come after it?"
        for task, aucs in single_feature_aucs(frames.train, schema).items()
        for feature, auc in aucs.items()
        if auc > SUSPICIOUS_AUC
    )


def single_feature_aucs(rows: pd.DataFrame, schema: Schema) -> dict[str, dict[str, float]]:
    """Per task and feature the AUC of that feature alone, 0.5 to 1; tasks with too few rows of a label are left out."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:ROWS])
    sample = rows.iloc[chosen]
    codes = {f.name: _codes(sample[f.name]) for f in schema.features if f.kind != "numeric"}
    numbers = {
        f.name: sample[f.name].to_numpy(np.float64, na_value=np.nan) for f in schema.features if f.kind == "numeric"
    }
    found: dict[str, dict[str, float]] = {}
    for task in schema.tasks:
        inside, label = _labels(sample, task)
        if min(label.sum(), (~label).sum()) < _FEWEST:
            continue
        aucs = {name: _number_auc(values[inside], label) for name, values in numbers.items()}
        aucs |= {name: _category_auc(values[inside], label) for name, values in codes.items()}
        found[task.name] = {f.name: aucs[f.name] for f in schema.features}
    return found


def _labels(sample: pd.DataFrame, task: Task) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows of the task's sample space whose label is known [n], and the labels of these rows as true or false."""
    label = sample[task.label].to_numpy(np.float64, na_value=np.nan)
    inside = np.isfinite(label)
    if task.space is not None:
        inside &= sample[task.space].fillna(False).to_numpy(np.bool_)
    values = label[inside]
    cut = 0.5 if task.kind == "binary" or not len(values) else float(np.median(values))
    return inside, values > cut


def _codes(column: pd.Series[Any]) -> NDArray[np.int64]:
    """Values as whole numbers from 0; a missing value is a value. [n]"""
    import pandas as pd

    return np.asarray(pd.factorize(column, use_na_sentinel=False)[0], np.int64)


def _number_auc(values: NDArray[np.float64], label: NDArray[np.bool_]) -> float:
    """Larger values for one label than for the other? Missing ones are taken as the smallest and as the median."""
    known = values[np.isfinite(values)]
    fills = (-np.inf,) if len(known) == len(values) or not len(known) else (-np.inf, float(np.median(known)))
    return max(_either_way(np.where(np.isfinite(values), values, fill), label) for fill in fills)


def _category_auc(codes: NDArray[np.int64], label: NDArray[np.bool_]) -> float:
    """Each row scored by the mean label of its value in the other folds, drawn towards the mean of all."""
    fold = np.random.default_rng(1).permutation(len(codes)) % FOLDS
    size = int(codes.max()) + 1
    count = np.bincount(fold * size + codes, minlength=FOLDS * size).reshape(FOLDS, size)
    positive = np.bincount(fold * size + codes, weights=label, minlength=FOLDS * size).reshape(FOLDS, size)
    others, others_positive = count.sum(0) - count, positive.sum(0) - positive
    return _either_way(((others_positive + label.mean()) / (others + 1))[fold, codes], label, falling=False)


def _either_way(scores: NDArray[np.float64], label: NDArray[np.bool_], falling: bool = True) -> float:
    """AUC of scores, ties counted half; of the reverse order if that is better and allowed."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    ones = int(label.sum())
    auc = float((ranks[label].sum() - ones * (ones + 1) / 2) / (ones * (len(label) - ones)))
    return max(auc, 1 - auc) if falling else max(auc, 0.5)
