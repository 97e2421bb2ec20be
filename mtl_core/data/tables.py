"""From rows to arrays: encoders and scalers fitted on training rows only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl_core.data.base import DataError, Frames
from mtl_core.encoders import SequenceTable
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

    def __post_init__(self) -> None:
        if self.sequences is None:
            object.__setattr__(self, "sequences", np.zeros((len(self.labels), 0, 0), np.int32))
        if self.truth is None:
            object.__setattr__(self, "truth", np.full(self.labels.shape, np.nan, np.float32))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Encoded:
    """A data set ready for training."""

    schema: Schema
    train: Arrays
    valid: Arrays
    test: Arrays
    #: Rows of each embedded field's table, unknown row included.
    vocabulary: tuple[int, ...]
    notes: tuple[str, ...]
    #: The table that each sequence feature reads.
    sequence_tables: tuple[SequenceTable, ...] = ()


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
        vocabulary=encoder.vocabulary,
        sequence_tables=encoder.sequence_tables,
        notes=frames.notes,
    )


class TableEncoder:
    """Turns a table into `Arrays`."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._categories: dict[str, pd.Index[Any]] = {}
        self._scalers: dict[str, Any] = {}
        self._fill: dict[str, float] = {}
        self._edges: dict[str, NDArray[np.float64]] = {}

    def fit(self, table: pd.DataFrame) -> TableEncoder:
        """Learn categories and scales from these rows."""
        import pandas as pd

        wanted = [f.name for f in self.schema.features] + [t.label for t in self.schema.tasks]
        wanted += [t.space for t in self.schema.tasks if t.space is not None]
        absent = [name for name in wanted if name not in table.columns]
        if absent:
            raise DataError(f"The table has no column {', '.join(map(repr, absent))}.")
        for feature in self.schema.categorical:
            values = feature.categories or tuple(sorted(_as_text(table[feature.name]).unique()))
            self._categories[feature.name] = pd.Index(values)
        for feature in self.schema.sequences:
            if feature.table_of is None:
                seen = _cells(table[feature.name], feature).explode().dropna().unique()
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
        return self

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Table rows per embedded field: its known values or bins, and the unknown row 0."""
        return tuple(
            (len(self._edges[f.name]) + 1 if f.kind == "numeric" else len(self._categories[f.name])) + 1
            for f in self.schema.fields
        )

    @property
    def sequence_tables(self) -> tuple[SequenceTable, ...]:
        """Whose table each sequence looks its values up in."""
        places = {f.name: i for i, f in enumerate(self.schema.fields)}
        return tuple(
            SequenceTable(None, len(self._categories[f.name]) + 1)
            if f.table_of is None
            else SequenceTable(places[f.table_of], 0)
            for f in self.schema.sequences
        )

    def transform(self, table: pd.DataFrame) -> Arrays:
        """Encode these rows; values not seen while fitting become the field's unknown value."""
        rows = len(table)
        numeric = np.zeros((rows, len(self.schema.numeric)), np.float32)
        for i, feature in enumerate(self.schema.numeric):
            column = _numbers(table, feature.name)
            column = np.where(np.isfinite(column), column, self._fill[feature.name])
            scaler = self._scalers[feature.name]
            numeric[:, i] = column if scaler is None or not rows else scaler.transform(column[:, None])[:, 0]
        ids = np.zeros((rows, len(self.schema.fields)), np.int32)
        for i, feature in enumerate(self.schema.fields):
            if feature.kind == "numeric":
                raw = _numbers(table, feature.name)
                bins = np.searchsorted(self._edges[feature.name], raw, side="right") + 1
                ids[:, i] = np.where(np.isfinite(raw), bins, 0)
                continue
            # get_indexer gives -1 for a value it does not know; + 1 makes that the unknown row.
            ids[:, i] = self._categories[feature.name].get_indexer(_index(_as_text(table[feature.name]))) + 1
        labels, mask = self._labels(table)
        return Arrays(numeric, ids, labels, mask, self._sequences(table), self._truth(table))

    def _sequences(self, table: pd.DataFrame) -> NDArray[np.int32]:
        features = self.schema.sequences
        longest = max((f.max_length for f in features), default=0)
        out = np.full((len(table), len(features), longest), PAD, np.int32)
        for q, feature in enumerate(features):
            cells = _cells(table[feature.name], feature)
            lengths = cells.str.len().to_numpy(np.int64)
            flat = cells[lengths > 0].explode()
            values = self._categories[feature.table_of or feature.name]
            row = np.repeat(np.arange(len(table)), lengths)
            place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            out[row, q, place] = values.get_indexer(_index(flat)) + 1
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


def _as_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Values as text; a missing value becomes a value of its own (pandas keeps it missing through `astype(str)`)."""
    return column.astype("string").fillna(MISSING).astype(object)


def _cells(column: pd.Series[Any], feature: Feature) -> pd.Series[Any]:
    """Each cell as the list of its values, the latest `max_length` of them; a missing or empty cell as no values."""
    lists = column.astype("string").fillna("").astype(object).str.split(feature.separator)
    latest = feature.max_length
    return lists.map(lambda values: [v for v in values if v][-latest:])


def _index(values: pd.Series[Any]) -> pd.Index[Any]:
    """The values as an index, to be looked up all at once."""
    import pandas as pd

    index: pd.Index[Any] = pd.Index(values)
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
