"""From rows to arrays: encoders and scalers fitted on training rows only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl_core.columns import Columns
from mtl_core.data.base import DataError, Frames
from mtl_core.data.leaks import leak_notes
from mtl_core.schema import Feature, Schema

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: How a missing categorical value is written: a value of its own, apart from an unknown one.
MISSING = "(missing)"


#: Where a sequence is shorter than the longest: no value, as opposed to an unknown one, which is 0.
PAD = -1


@dataclass(frozen=True)
class Arrays:
    """One split as arrays. Labels outside a task's sample space are 0 and must not be read.

    Inputs are `numeric`, `ids` and `sequences`; `truth` is what metrics of a made world compare with.
    """

    numeric: NDArray[np.float32]  # [N, F]
    ids: NDArray[np.int64] | NDArray[np.int32]  # [N, C], 0 is the field's unknown value
    labels: NDArray[np.float32]  # [N, K]
    mask: NDArray[np.bool_]  # [N, K], true inside the task's sample space
    sequences: NDArray[np.int32] = field(default=None)  # type: ignore[arg-type]  # [N, Q, T], oldest first, then PAD
    truth: NDArray[np.float32] = field(default=None)  # type: ignore[arg-type]  # [N, K], NaN where there is none
    missing: NDArray[np.bool_] = field(default=None)  # type: ignore[arg-type]  # [N, F], true where a number was not there

    def __post_init__(self) -> None:
        if self.sequences is None:
            object.__setattr__(self, "sequences", np.zeros((len(self.labels), 0, 0), np.int32))
        if self.truth is None:
            object.__setattr__(self, "truth", np.full(self.labels.shape, np.nan, np.float32))
        if self.missing is None:
            object.__setattr__(self, "missing", np.zeros(self.numeric.shape, np.bool_))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Encoded:
    """A data set ready for training."""

    schema: Schema
    train: Arrays
    valid: Arrays
    test: Arrays
    #: What arrives at a model, and how large the embedding tables are.
    columns: Columns
    notes: tuple[str, ...]
    #: Task -> mean and standard deviation of its training labels, where labels are held as (value - mean) / deviation.
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Memory of its arrays."""
        return sum(array.nbytes for split in (self.train, self.valid, self.test) for array in vars(split).values())


def encode(schema: Schema, frames: Frames) -> Encoded:
    """Fit on the training rows, apply to all splits. Hidden columns reach no input.

    Raises:
        DataError: a column that is missing, a label that is not what its task says.
    """
    encoder = TableEncoder(schema).fit(frames.train)
    return Encoded(
        schema=schema,
        train=encoder.transform(frames.train),
        valid=encoder.transform(frames.valid),
        test=encoder.transform(frames.test),
        columns=encoder.columns,
        notes=(*frames.notes, *leak_notes(frames, schema)),
        scales=encoder.scales,
    )


class TableEncoder:
    """Turns a table into `Arrays`."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._categories: dict[str, pd.Index[Any]] = {}
        self._scalers: dict[str, Any] = {}
        self._fill: dict[str, float] = {}
        self._edges: dict[str, NDArray[np.float64]] = {}
        #: See `Encoded`.
        self.scales: dict[str, tuple[float, float]] = {}

    def fit(self, table: pd.DataFrame) -> TableEncoder:
        """Learn categories and scales from these rows."""
        import pandas as pd

        wanted = [f.name for f in self.schema.features] + [t.label for t in self.schema.tasks]
        wanted += [t.space for t in self.schema.tasks if t.space is not None]
        absent = [name for name in wanted if name not in table.columns]
        if absent:
            raise DataError(f"The table has no column {', '.join(map(repr, absent))}.")
        for feature in self.schema.categorical:
            values = feature.categories or tuple(sorted(_distinct(table[feature.name])))
            self._categories[feature.name] = pd.Index(values)
        for feature in self.schema.sequences:
            if feature.table_of is None:
                seen = _Cells.of(_distinct(table[feature.name]), feature).names
                self._categories[feature.name] = pd.Index(feature.categories or tuple(sorted(seen)))
        for feature in self.schema.numeric:
            column = _numbers(table, feature.name)
            known = column[np.isfinite(column)]
            self._fill[feature.name] = float(np.median(known)) if len(known) else 0.0
            self._scalers[feature.name] = _fit_scaler(feature, known)
            if feature.bins is not None:
                inner = np.linspace(0, 1, feature.bins + 1)[1:-1]
                # Distinct values: most capital gains are 0, and plain quantiles would all fall there.
                distinct = np.unique(known) if len(known) else np.zeros(1)
                self._edges[feature.name] = np.unique(np.quantile(distinct, inner))
        labels, mask = self._labels(table)
        for k, task in enumerate(self.schema.tasks):
            inside = labels[mask[:, k], k].astype(np.float64)
            if task.scaling == "standard" and task.kind == "regression" and len(inside):
                # A label that is the same in all training rows has no deviation; it is only moved to 0.
                self.scales[task.name] = float(inside.mean()), float(inside.std()) or 1.0
        return self

    @property
    def columns(self) -> Columns:
        """The inputs; a table holds a field's known values or bins, and the unknown row 0."""
        return Columns.of(self.schema, self._table_rows)

    def _table_rows(self, feature: Feature) -> int:
        known = len(self._edges[feature.name]) + 1 if feature.kind == "numeric" else len(self._categories[feature.name])
        return known + 1

    def transform(self, table: pd.DataFrame) -> Arrays:
        """Encode these rows; values not seen while fitting become the field's unknown value."""
        rows = len(table)
        numeric = np.zeros((rows, len(self.schema.numeric)), np.float32)
        missing = np.zeros(numeric.shape, np.bool_)
        for i, feature in enumerate(self.schema.numeric):
            column = _numbers(table, feature.name)
            missing[:, i] = ~np.isfinite(column)
            column = np.where(missing[:, i], self._fill[feature.name], column)
            scaler = self._scalers[feature.name]
            numeric[:, i] = column if scaler is None or not rows else scaler.transform(column[:, None])[:, 0]
        ids = np.zeros((rows, len(self.schema.fields)), np.int32)
        for i, feature in enumerate(self.schema.fields):
            if feature.kind == "numeric":
                raw = _numbers(table, feature.name)
                bins = np.searchsorted(self._edges[feature.name], raw, side="right") + 1
                ids[:, i] = np.where(np.isfinite(raw), bins, 0)
                continue
            # A value that is not known has place -1; + 1 makes that the unknown row.
            ids[:, i] = _places(table[feature.name], self._categories[feature.name]) + 1
        labels, mask = self._labels(table)
        truth = self._truth(table)
        for k, task in enumerate(self.schema.tasks):
            if task.name in self.scales:
                mean, deviation = self.scales[task.name]
                labels[:, k] = np.where(mask[:, k], (labels[:, k] - mean) / deviation, 0.0)
                truth[:, k] = (truth[:, k] - mean) / deviation
        return Arrays(numeric, ids, labels, mask, self._sequences(table), truth, missing)

    def _sequences(self, table: pd.DataFrame) -> NDArray[np.int32]:
        features = self.schema.sequences
        longest = max((f.max_length for f in features), default=0)
        out = np.full((len(table), len(features), longest), PAD, np.int32)
        for q, feature in enumerate(features):
            values = self._categories[feature.table_of or feature.name]
            names, row = _values(table[feature.name])
            cells = _Cells.of(names, feature)
            known = values.get_indexer(_index(cells.names)) + 1
            padded = np.full((len(names) + 1, feature.max_length), PAD, np.int32)
            padded[cells.row, cells.place] = known[cells.codes]
            out[:, q, : feature.max_length] = padded[row]  # a missing cell is the last row: nothing but padding
        return out

    def _truth(self, table: pd.DataFrame) -> NDArray[np.float32]:
        out = np.full((len(table), len(self.schema.tasks)), np.nan, np.float32)
        for k, task in enumerate(self.schema.tasks):
            if task.truth is not None:
                out[:, k] = table[task.truth].to_numpy(np.float32)
        return out

    def _labels(self, table: pd.DataFrame) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        tasks = self.schema.tasks
        labels = np.zeros((len(table), len(tasks)), np.float32)
        mask = np.ones((len(table), len(tasks)), np.bool_)
        for k, task in enumerate(tasks):
            if task.space is not None:
                if table[task.space].isna().any():
                    raise DataError(f"Column {task.space!r}, the sample space of task {task.name}, has missing values.")
                mask[:, k] = table[task.space].to_numpy(np.bool_)
            values = _numbers(table, task.label).astype(np.float32)
            inside = values[mask[:, k]]
            if not np.isfinite(inside).all():
                raise DataError(
                    f"Label {task.label!r} is missing or infinite in rows of task {task.name}'s sample space."
                )
            if task.kind == "binary" and not np.isin(inside, (0.0, 1.0)).all():
                raise DataError(f"Label {task.label!r} of binary task {task.name} has values other than 0 and 1.")
            labels[:, k] = np.where(mask[:, k], values, 0.0)
        return labels, mask


def _numbers(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """A column as numbers, missing ones as NaN.

    Raises:
        DataError: it holds text.
    """
    try:
        return table[name].to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"Column {name!r} should hold numbers, but: {error}.") from error


def _values(column: pd.Series[Any]) -> tuple[list[str], NDArray[np.intp]]:
    """Texts of a column, and per row the place of its own, -1 where it is missing. Categories are not repeated."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        # Splits share their categories; only those that occur here are worth a look.
        occurs = np.bincount(codes[codes >= 0], minlength=len(column.cat.categories)) > 0
        place = np.append(np.cumsum(occurs) - 1, -1)  # code -1 reaches the last
        return column.cat.categories[occurs].astype(str).tolist(), place[codes]
    codes, texts = pd.factorize(column.astype("string").astype(object))
    return list(texts), np.asarray(codes, np.intp)


def _distinct(column: pd.Series[Any]) -> list[str]:
    """Texts that occur in a column, `MISSING` for a missing value."""
    names, row = _values(column)
    return [*names, MISSING] if (row < 0).any() else names


def _places(column: pd.Series[Any], known: pd.Index[Any]) -> NDArray[np.intp]:
    """Per row the place of its text among the known ones, -1 for one that is not there."""
    names, row = _values(column)
    return np.asarray(known.get_indexer(_index([*names, MISSING]))[row])


@dataclass(frozen=True)
class _Cells:
    """The values of many cells, one after the other: the latest `max_length` of each."""

    names: list[str]  # distinct values
    codes: NDArray[np.int64]  # [values], places in `names`
    row: NDArray[np.int64]  # [values], whose cell
    place: NDArray[np.int64]  # [values], 0 for the oldest value kept of a cell

    @classmethod
    def of(cls, cells: list[str], feature: Feature) -> _Cells:
        """Cut cells at the separator; nothing between two separators is no value, and a missing cell has none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = pa.array(["" if cell == MISSING else cell for cell in cells], pa.large_string())
        lists = pc.split_pattern(texts, feature.separator)
        flat = lists.flatten().dictionary_encode()
        names, codes = flat.dictionary.to_pylist(), flat.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        row = np.repeat(np.arange(len(cells)), pc.list_value_length(lists).to_numpy(zero_copy_only=False))
        filled = codes != (names.index("") if "" in names else -1)
        codes, row = codes[filled], row[filled]
        lengths = np.bincount(row, minlength=len(cells))
        from_start = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        place = from_start - np.repeat(np.maximum(lengths - feature.max_length, 0), lengths)
        kept = place >= 0
        occurs = np.bincount(codes[kept], minlength=len(names)) > 0
        codes = (np.cumsum(occurs) - 1)[codes[kept]]
        return cls([name for name, there in zip(names, occurs, strict=True) if there], codes, row[kept], place[kept])


def _index(values: list[str]) -> pd.Index[Any]:
    """The values as an index, to be looked up all at once."""
    import pandas as pd

    index: pd.Index[Any] = pd.Index(values, dtype=object)
    return index


def _fit_scaler(feature: Feature, known: NDArray[np.float64]) -> Any:
    if feature.scaling == "none" or not len(known):
        return None
    from sklearn.preprocessing import QuantileTransformer, StandardScaler

    if feature.scaling == "standard":
        return StandardScaler().fit(known[:, None])
    # Heavy tails (capital gains) as ranks; fixed seed: the subsample must not depend on anything else.
    quantiles = min(1000, len(known))
    return QuantileTransformer(n_quantiles=quantiles, output_distribution="normal", random_state=0).fit(known[:, None])
