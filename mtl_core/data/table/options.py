"""`table`: a person's own CSV, TSV, CSV.gz or Parquet file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from pydantic import model_validator

from mtl_core.data.base import DataError, DatasetOptions, Frames
from mtl_core.data.table import labels, splitting
from mtl_core.data.table.reading import Decimal, Encoding, Kind, Separator, Source, dictionary, open_table
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Feature, Schema, Task

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

MIN_ROWS = 20


@register("dataset", "table", title="Your own file")
class Table(DatasetOptions):
    """Your own CSV, TSV, CSV.gz or Parquet file; without a path a small made-up shop log.

    What is not given of features and tasks is guessed from the first rows once, and is then part of the options: the
    spec of a run says all that was decided. A random split follows from the rows and `seed` alone, so runs with and
    without a label are tested on the same rows; the sample of a larger file is the same for every seed.
    """

    path: str = option("", "Path of the file; empty: a small made-up example", max_length=4096)
    features: tuple[Feature, ...] | None = option(None, "Input columns; none given: guessed", advanced=True)
    tasks: tuple[Task, ...] | None = option(None, "Labels to predict; none given: guessed", advanced=True)
    positive: dict[str, str] = option(
        {}, "Label column: the value that counts as positive, where it is not 1", advanced=True
    )
    dates: tuple[str, ...] = option((), "Columns of dates, read as days since 1970", advanced=True)
    split: Literal["random", "time"] = option("random", "Rows by chance, or the latest rows as test")
    time_column: str = option("", "Column that a split by time goes by: numbers or dates")
    valid_share: float = option(0.2, "Share of rows for validation", ge=0.05, le=0.45, advanced=True)
    test_share: float = option(0.2, "Share of rows for the test", ge=0.05, le=0.45, advanced=True)
    sample_rows: int = option(1_000_000, "Larger files are sampled down to this many rows", ge=100, le=10_000_000)
    encoding: Encoding = option("auto", "Encoding of the text", advanced=True)
    separator: Separator = option("auto", "Sign between cells", advanced=True)
    decimal: Decimal = option("auto", "Decimal sign of numbers", advanced=True)
    sha256: str = option("", "Hash that the file must have; empty: any", pattern="^([0-9a-f]{64})?$", advanced=True)

    @model_validator(mode="after")
    def _complete(self) -> Table:
        if self.split == "time" and not self.time_column:
            raise ValueError("a split by time needs time_column: the column of numbers or dates to go by.")
        if self.features is None or self.tasks is None:
            from mtl_core.data.table.guessing import guess

            found = guess(self.path, encoding=self.encoding, separator=self.separator, decimal=self.decimal)
            tasks = self.tasks if self.tasks is not None else found.tasks
            secret = {t.label for t in tasks} | {t.space for t in tasks} | ({self.time_column} - {""})
            features = self.features
            if features is None:
                features = tuple(f for f in found.features if f.name not in secret)
            if not tasks:
                raise ValueError(f"no column of {self.path} looks like a label: name the tasks.")
            if not features:
                raise ValueError(f"no column of {self.path} is left as a feature: name the features.")
            used = {f.name for f in features} | {self.time_column}
            labelled = {t.label for t in tasks}
            for name, value in {
                "tasks": tasks,
                "features": features,
                "dates": tuple(dict.fromkeys((*self.dates, *(d for d in found.dates if d in used)))),
                "positive": {k: v for k, v in found.positive.items() if k in labelled} | self.positive,
            }.items():
                object.__setattr__(self, name, value)
        self.table_schema()
        return self

    def table_schema(self) -> Schema:
        return Schema(features=cast(Any, self.features), tasks=cast(Any, self.tasks))

    def frames(self, seed: int) -> Frames:
        source = open_table(self.path, self.encoding, self.separator, self.decimal, self.sha256)
        if self.sha256 and source.sha256() != self.sha256:
            raise DataError(f"{source.path.name} has changed since this run was set up: its SHA-256 is another one.")
        return _Reader(self, source).frames(seed)

    @classmethod
    def preset(cls) -> dict[str, Any]:
        """Trunks are matched without the embedding tables, whose sizes only a file shows."""
        trunks: dict[str, dict[str, Any]] = {
            "single_task": {"layers": [48, 24]},
            "shared_bottom": {"layers": [63, 48]},
            "soft_sharing": {"layers": [42, 32]},
            "cross_stitch": {"layers": [48, 24]},
            "sluice": {"width": 36, "levels": 2, "subspaces": 2},
            "asymmetric": {"layers": [40, 30]},
            "customized": {"layers": [15, 48]},
            "omoe": {"experts": 4, "expert_layers": [35]},
            "mmoe": {"experts": 4, "expert_layers": [34]},
            "ml_mmoe": {"experts": 4, "levels": 2, "expert_layers": [21]},
            "cgc": {"shared_experts": 2, "task_experts": 1, "expert_layers": [34]},
            "ple": {"shared_experts": 2, "task_experts": 1, "levels": 2, "expert_layers": [23]},
            "adatt": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [27]},
            "stem": {"shared_experts": 1, "task_experts": 1, "levels": 1, "expert_layers": [43]},
            "snr": {"experts": 3, "levels": 2, "expert_layers": [16]},
            "dselect_k": {"experts": 4, "selectors": 2, "expert_layers": [36]},
            "pepnet": {"layers": [18, 9], "gate_hidden": 16},
        }
        spec = {
            "data": {"name": "table"},
            "model": {"trunk": {"name": "mmoe", "options": trunks["mmoe"]}, "towers": [16]},
            "training": {"epochs": 8, "batch_size": 512, "learning_rate": 0.002},
        }
        return {"spec": spec, "trunks": trunks}


class _Reader:
    """Reads the columns that a `Table` names and cuts them into splits, one column at a time."""

    def __init__(self, options: Table, source: Source) -> None:
        self.options = options
        self.source = source
        self.schema = options.table_schema()
        self.notes: list[str] = []

    def frames(self, seed: int) -> Frames:
        columns = self._read()
        targets = self._targets(columns)
        rows = len(next(iter(targets.values())))
        time = self._time(columns)
        usable = np.arange(rows) if time is None else np.flatnonzero(np.isfinite(time))
        if len(usable) < rows:
            self.notes.append(
                f"{rows - len(usable):,} rows without a value in `{self.options.time_column}` are left out."
            )
        if len(usable) < MIN_ROWS:
            raise DataError(
                f"{self.source.path.name} has {len(usable):,} rows that can be used; at least {MIN_ROWS} are needed."
            )
        targets = {name: values[usable] for name, values in targets.items()}
        labels.check_labels(self.schema.tasks, targets)
        parts = self._split(len(usable), None if time is None else time[usable], seed)
        self._check_positives(targets, parts)
        places = tuple(usable[part] for part in parts)
        return self._frames(columns, targets, places, parts)

    def _read(self) -> dict[str, pa.ChunkedArray]:
        """Each column as its use needs it; larger files by a sample of rows, the same for every seed."""
        kinds: dict[str, Kind] = {}
        for feature in self.schema.features:
            kinds[feature.name] = "number" if feature.kind == "numeric" else "text"
        for name in self._target_names():
            kinds[name] = "text"
        for task in self.schema.tasks:
            if task.kind == "regression":
                kinds[task.label] = "exact"
        if self.options.time_column:
            kinds[self.options.time_column] = "exact"
        for name in self.options.dates:
            if name in kinds:
                kinds[name] = "text"
        keep = None
        if self.source.rows > self.options.sample_rows:
            rng = np.random.default_rng(0x5A)
            keep = np.sort(rng.choice(self.source.rows, self.options.sample_rows, replace=False))
            self.notes.append(
                f"A random sample of {self.options.sample_rows:,} of about {self.source.rows:,} rows is used."
            )
        return self.source.read(kinds, keep)

    def _target_names(self) -> list[str]:
        """Columns of labels and sample spaces that the file itself holds."""
        names = [t.label for t in self.schema.tasks]
        known = {label + labels.KNOWN for label in names} - set(self.source.columns)
        spaces = [t.space for t in self.schema.tasks if t.space is not None and t.space not in known]
        return list(dict.fromkeys(names + spaces))

    def _targets(self, columns: dict[str, pa.ChunkedArray]) -> dict[str, NDArray[Any]]:
        """Labels and sample spaces as numbers. [n] each"""
        regressions = {t.label for t in self.schema.tasks if t.kind == "regression"}
        found: dict[str, NDArray[Any]] = {}
        for name in self._target_names():
            if name in regressions:
                found[name] = columns[name].to_numpy().astype(np.float64)
            else:
                values, codes = dictionary(columns[name])
                found[name] = labels.binary(name, values, codes, self.options.positive.get(name))
        for task in self.schema.tasks:
            if task.space is not None and task.space not in found:
                found[task.space] = np.isfinite(found[task.space.removesuffix(labels.KNOWN)]).astype(np.float32)
            elif task.space is not None and np.isnan(found[task.space]).any():
                raise DataError(
                    f"Column `{task.space}`, the sample space of task {task.name}, has missing values: a row "
                    f"is in it or not."
                )
        return found

    def _time(self, columns: dict[str, pa.ChunkedArray]) -> NDArray[np.float64] | None:
        name = self.options.time_column
        if self.options.split != "time":
            return None
        return (
            self._days(name, columns[name])
            if self._is_text(columns[name])
            else columns[name].to_numpy().astype(np.float64)
        )

    def _days(self, name: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
        return labels.day_numbers(name, *dictionary(column))

    def _is_text(self, column: pa.ChunkedArray) -> bool:
        import pyarrow as pa

        return bool(pa.types.is_dictionary(column.type))

    def _split(self, rows: int, time: NDArray[np.float64] | None, seed: int) -> splitting.Parts:
        o = self.options
        if time is not None:
            return splitting.by_time(time, o.valid_share, o.test_share)
        return splitting.at_random(rows, o.valid_share, o.test_share, seed)

    def _positives(self, targets: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.bool_]]:
        found = {}
        for task in self.schema.tasks:
            if task.kind == "binary":
                found[task.name] = targets[task.label] == 1
                if task.space is not None:
                    found[task.name] &= targets[task.space] == 1
        return found

    def _check_positives(self, targets: dict[str, NDArray[Any]], parts: splitting.Parts) -> None:
        for name, positive in self._positives(targets).items():
            for part, what in zip(parts, ("training", "validation", "test"), strict=True):
                if not positive[part].any():
                    if what == "training":
                        raise DataError(
                            f"Task {name} has no positive row in the training part: there is nothing to learn."
                        )
                    self.notes.append(
                        f"Task {name} has no positive row in the {what} part: its AUC there is undefined."
                    )

    def _frames(
        self,
        columns: dict[str, pa.ChunkedArray],
        targets: dict[str, NDArray[Any]],
        places: tuple[NDArray[np.int64], ...],
        parts: splitting.Parts,
    ) -> Frames:
        import pandas as pd

        found: tuple[dict[str, Any], ...] = ({}, {}, {})
        for feature in self.schema.features:
            column = columns.pop(feature.name)  # given back as soon as its rows are taken
            values = self._feature(feature, column)
            for part, chosen in zip(found, places, strict=True):
                part[feature.name] = values.take(chosen) if isinstance(values, pd.Categorical) else values[chosen]
        spaces = {t.space for t in self.schema.tasks}
        for name, values in targets.items():
            for part, chosen in zip(found, parts, strict=True):
                # A label that is a sample space too must have no gaps there; it has none, or it was refused.
                part[name] = values[chosen] == 1 if name in spaces and name.endswith(labels.KNOWN) else values[chosen]
        train, valid, test = (pd.DataFrame(part, copy=False) for part in found)
        return Frames(train, valid, test, tuple(self.notes))

    def _feature(self, feature: Feature, column: pa.ChunkedArray) -> pd.Categorical | NDArray[Any]:
        import pandas as pd

        if feature.kind == "numeric":
            is_date = self._is_text(column)
            values = self._days(feature.name, column).astype(np.float32) if is_date else column.to_numpy()
            infinite = int(np.isinf(values).sum())
            if infinite:
                self.notes.append(f"{infinite:,} infinite numbers in `{feature.name}` count as missing.")
                values = np.where(np.isinf(values), np.float32(np.nan), values)
            if np.isnan(values).all():
                self.notes.append(f"`{feature.name}` is missing in every row: it tells the models nothing.")
            return np.asarray(values)
        names, codes = dictionary(column)
        if not len(names):
            self.notes.append(f"`{feature.name}` is missing in every row: it tells the models nothing.")
        return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype="object"))
