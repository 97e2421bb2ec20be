"""What the columns of a file seem to be: a first schema with a reason for each choice, to be corrected by a person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from mtl_core.data.base import DataError
from mtl_core.data.table.labels import KNOWN, are_dates, plain
from mtl_core.data.table.reading import (
    LIST_SIGN,
    SEPARATORS,
    Decimal,
    Encoding,
    Separator,
    Source,
    dictionary,
    not_a_number,
    open_table,
)
from mtl_core.schema import Feature, FeatureKind, Role, Schema, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows that are looked at, from the start of the file.
ROWS = 50_000
#: So many values of a column are all shown; longer ones are cut.
FEW, _LONGEST = 10, 40
#: A YAML file larger than this is no schema.
_MAX_YAML = 2_000_000

#: What is written into a schema of the encodings that are found.
_ENCODINGS: dict[str, Encoding] = {"utf-8": "utf-8", "gb18030": "gbk", "cp1252": "latin-1"}

Use = Literal["numeric", "categorical", "id", "sequence", "position", "date", "label", "left out"]

_CLICK = "click|clicked|clk|view|play|like|liked|follow|followed|share|shared|forward|comment|collect|favou?rite|fav|"
_BUY = "cart|add_to_cart|buy|bought|purchase|purchased|order|ordered|pay|paid|conversion|converted|convert|cvr|install|"
_LABEL = re.compile(
    rf"(?:(?:is|has|did|label|y|target)_)?(?:{_CLICK}{_BUY}label|target|y\d*|churn|churned|default|income|finish|finished|"
    r"long_view|effective_view|never_married)(?:_label|_flag|_target)?|label_.*|y_.*|.*_label",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"rating|stars|watch_?time.*|watch_?ratio|dwell.*|stay_?time|play_?time.*|gmv|revenue|label|target|y\d*", re.I
)
_ID = re.compile(r"(.*[_ ])?(id|uid|iid|sid|uuid|guid|asin|sku|zip|zipcode)|user|item|.*Id|.*ID", re.ASCII)
_POSITION = re.compile(r"(.*_)?(position|pos|rank|slot|place_in_list|display_order)", re.IGNORECASE)
_TIME = re.compile(r"(.*_)?(timestamp|ts|time|datetime|date|time_ms|day|dt)(_.*)?|.*[a-z]Time", re.ASCII)
_LIST = re.compile(
    r".*(hist|history|seq|sequence|list|genres|tags|keywords|items|behaviou?rs|clicked_ids).*", re.IGNORECASE
)
_CODE = re.compile(
    r".*(code|type|category|cat|class|group|level|gender|sex|status|segment|brand|shop|city|state|country)s?", re.I
)
_USER = re.compile(r"(user|uid|member|customer|visitor|age|gender|sex|occupation|zip).*", re.IGNORECASE)
_ITEM = re.compile(
    r"(item|iid|product|ad|video|movie|film|article|sku|asin|shop|brand|price|genres?|category).*", re.IGNORECASE
)
_YES = ("yes", "y", "true", "t", "positive", "click", "clicked", "buy", "bought")


class Column(BaseModel):
    """One column: what it seems to be, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    use: Use
    #: In words, for a person.
    reason: str
    #: Share of the rows looked at that have no value.
    missing: float
    #: Distinct values among the rows looked at.
    distinct: int
    #: The most frequent values, cut short: all of them where they are few, else three.
    examples: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """All of its values where they are few and short; else none."""
        whole = self.distinct == len(self.examples) and all(len(value) < _LONGEST for value in self.examples)
        return tuple(sorted(self.examples)) if whole else ()


class Guess(BaseModel):
    """A first schema of a file. Correct it with `model_copy(update=...)`, or as YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    columns: tuple[Column, ...]
    features: tuple[Feature, ...]
    tasks: tuple[Task, ...]
    positive: dict[str, str] = {}
    dates: tuple[str, ...] = ()
    #: A split by time goes by `time_column`; otherwise that is a column which such a split could go by.
    split: Literal["random", "time"] = "random"
    time_column: str = ""
    #: How the file is read, as it was found or chosen; auto where that says nothing, as of a Parquet file.
    encoding: Encoding = "auto"
    separator: Separator = "auto"
    decimal: Decimal = "auto"
    notes: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def is_estimated(self) -> bool:
        """Is the number of rows that of the lines, of which some may be blank?"""
        return self.separator != "auto" and self.rows >= ROWS

    @property
    def schema_(self) -> Schema:
        """Features and tasks as a schema.

        Raises:
            DataError: no feature, no label, or a column used twice.
        """
        if not self.tasks:
            raise DataError("No column looks like a label. Say which column is to be predicted.")
        if not self.features:
            raise DataError("No column is left as a feature.")
        try:
            return Schema(features=self.features, tasks=self.tasks)
        except ValidationError as error:
            raise DataError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from error

    def options(self, path: str, **changes: Any) -> dict[str, Any]:
        """Options of the data set `table` for this file, all that was guessed written out."""
        given = self.model_dump(mode="json", include=_OPTIONS)
        if self.split == "time":
            given |= {"split": "time", "time_column": self.time_column}
        return {"path": path, **given, **changes}

    def to_yaml(self) -> str:
        """As YAML, for keeping and for editing by hand. What a column is stands with the column and nowhere else."""
        import yaml

        value = self.model_dump(mode="json", exclude={"features", "dates"})
        details = {f.name: f.model_dump(mode="json", exclude_defaults=True) for f in self.features}
        for column in value["columns"]:
            detail = details.get(column["name"], {})
            column |= {k: v for k, v in detail.items() if k in _DETAILS and v != column["use"]}
        used = {column.name for column in self.columns if column.use == "date"}
        if others := [name for name in self.dates if name not in used]:
            value["dates"] = others
        return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))

    @classmethod
    def from_yaml(cls, text: str) -> Guess:
        """What `to_yaml` wrote, or a person edited.

        Raises:
            DataError: no YAML, or no schema; the message names the field.
        """
        import yaml

        if len(text) > _MAX_YAML:
            raise DataError("This is no schema: it is far too large.")
        try:
            if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
                raise DataError("A schema has no YAML aliases (*name): write the values out.")
            value = yaml.safe_load(text)
            found = cls.model_validate(_with_features(value))
        except (yaml.YAMLError, RecursionError) as error:
            raise DataError(f"This is no YAML: {' '.join(str(error).split())[:160]}.") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise DataError(f"This is no schema: {where}: {first['msg'].removeprefix('Value error, ')}.") from error
        _check_agreement(found)
        return found


#: What goes into the options of a data set as it stands.
_OPTIONS = {"features", "tasks", "positive", "dates", "sha256", "encoding", "separator", "decimal"}
#: What a column that is used so is as a feature.
KINDS: dict[str, FeatureKind] = {
    "numeric": "numeric", "date": "numeric", "categorical": "categorical", "id": "categorical",
    "position": "categorical", "sequence": "sequence",
}  # fmt: skip
#: What a column in YAML says of its feature, and of which kinds of features each is said.
_DETAILS: dict[str, tuple[FeatureKind, ...]] = {
    "role": ("numeric", "categorical", "sequence"), "categories": ("categorical", "sequence"),
    "separator": ("sequence",), "max_length": ("sequence",), "table_of": ("sequence",), "scaling": ("numeric",),
    "bins": ("numeric",),
}  # fmt: skip


def _with_features(value: Any) -> Any:
    """What YAML says, with the features that its columns stand for; as it is where it lists features, or is no schema.

    Details that a column has no use for are passed over: whoever makes a category of a number need not look for them.
    """
    columns = value.get("columns") if isinstance(value, dict) else None
    if not isinstance(columns, list) or not all(isinstance(c, dict) and isinstance(c.get("use"), str) for c in columns):
        return value
    features = []
    for column in columns:
        kind = KINDS.get(column["use"])
        if kind is not None:
            details = {name: column[name] for name, kinds in _DETAILS.items() if name in column and kind in kinds}
            role = {"role": "position"} if column["use"] == "position" else {}
            features.append({"name": column.get("name"), "kind": kind, **details, **role})
    dates = [c.get("name") for c in columns if c["use"] == "date"]
    plain = [{name: said for name, said in column.items() if name not in _DETAILS} for column in columns]
    told = value.get("dates", [])
    both = [*dates, *(name for name in told if name not in dates)] if isinstance(told, list) else told
    return {"features": features, **value, "columns": plain, "dates": both}


def _check_agreement(schema: Guess) -> None:
    """Refuse a schema that says two things of one column, rather than pass over one of them.

    Raises:
        DataError: the column is named.
    """
    features, labels = {f.name: f.kind for f in schema.features}, {task.label for task in schema.tasks}
    for column in schema.columns:
        name, use = column.name, column.use
        listed = features.get(name)
        if listed != KINDS.get(use):
            told = f"{listed} under features" if listed else "absent from features"
            raise DataError(
                f"The schema says two things of `{name}`: {use} under columns, {told}. Make them agree, or take the "
                f"features out of it."
            )
        if name in schema.dates and use not in ("date", "left out") and name != schema.time_column:
            raise DataError(f"The schema says two things of `{name}`: {use} under columns, and one of the dates.")
        if use == "label" and name not in labels:
            raise DataError(f"The schema calls `{name}` a label, but none of its tasks has it.")
        if use not in ("label", "left out") and name in labels:
            raise DataError(f"The schema says two things of `{name}`: {use} under columns, and the label of a task.")


@dataclass
class _Facts:
    """A column as looked at: its values and how often they occur."""

    name: str
    rows: int
    values: list[str]  # distinct, only those that occur
    counts: NDArray[np.int64]  # [values]
    codes: NDArray[np.int64]  # [rows], places in `values`, -1 for missing
    numbers: NDArray[np.float64] | None  # [values], None if one is no number

    @property
    def known(self) -> int:
        return int(self.counts.sum())

    @property
    def missing(self) -> float:
        return 1 - self.known / self.rows

    @property
    def integers(self) -> bool:
        return self.numbers is not None and bool(
            (np.isfinite(self.numbers) & (np.trunc(self.numbers) == self.numbers)).all()
        )

    def share(self, holds: Sequence[bool]) -> float:
        """Of the known rows, those whose value is so."""
        return float(self.counts[np.asarray(holds, bool)].sum() / max(1, self.known))


def guess(path: str, *, encoding: Encoding = "auto", separator: Separator = "auto", decimal: Decimal = "auto") -> Guess:
    """Look at the first rows of a file and say what its columns seem to be.

    Raises:
        DataError: it cannot be read; see `reading.open_table`.
    """
    return _guessed(open_table(path, encoding, separator, decimal)) if path else _of_the_example()


@lru_cache
def _of_the_example() -> Guess:
    """Asked for by every spec of a table without a path, and always the same."""
    return _guessed(open_table(""))


def _guessed(source: Source) -> Guess:
    head, decimal = source.head(ROWS), source.decimal
    if not len(next(iter(head.values()))):
        raise DataError(f"{source.path.name} has a line of column names and no rows.")
    facts = [_facts(name, *dictionary(column), decimal) for name, column in head.items()]
    columns, labels = [], {}
    for fact in facts:
        column, feature = _judge(fact, decimal)
        columns.append((column, feature))
        if column.use == "label":
            labels[fact.name] = fact
    if not labels:
        columns, labels = _last_binary(columns, facts)
    positive, tasks = _tasks(labels)
    dates = tuple(c.name for c, _ in columns if c.use == "date")
    times = [c.name for c, _ in columns if c.name in dates or "time column" in c.reason]
    notes = [f"`{c.name}` is left out: {c.reason}." for c, _ in columns if c.use == "left out"]
    if source.rows > ROWS:
        notes.append(f"Guessed from the first {ROWS:,} of about {source.rows:,} rows.")
    looked_at, is_text = len(facts[0].codes), source.form != "parquet"
    separators = {sign: name for name, sign in SEPARATORS.items()}
    return Guess(
        # Lines may be blank: counted are those that were read, as far as that was all of them.
        rows=looked_at if looked_at < ROWS else source.rows,
        columns=tuple(c for c, _ in columns),
        features=tuple(f for _, f in columns if f is not None),
        tasks=tasks,
        positive=positive,
        dates=dates,
        time_column=times[0] if times else "",
        notes=tuple(notes),
        encoding=_ENCODINGS.get(source.codec, "auto") if is_text else "auto",
        separator=cast(Separator, separators[source.separator]) if is_text else "auto",
        decimal=decimal if is_text else "auto",
        sha256=source.sha256(),
    )


def _facts(name: str, values: list[str], codes: NDArray[np.int32], decimal: Decimal) -> _Facts:
    counts = np.bincount(codes + 1, minlength=len(values) + 1)[1:]
    used = np.flatnonzero(counts)
    place = np.full(len(values) + 1, -1)
    place[used] = np.arange(len(used))
    kept = [values[i] for i in used]
    numbers = _as_numbers(kept, decimal)
    return _Facts(name, len(codes), kept, counts[used], place[codes], numbers)


def _as_numbers(values: list[str], decimal: Decimal) -> NDArray[np.float64] | None:
    """As the reader would parse them; None: one is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    spelled = [v.replace(",", ".") for v in values] if decimal == "comma" else values
    try:
        parsed = pc.ascii_trim_whitespace(pa.array(spelled, pa.string())).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return np.asarray(parsed.to_numpy(zero_copy_only=False)) if values else None


def _judge(f: _Facts, decimal: Decimal) -> tuple[Column, Feature | None]:
    """What one column seems to be, by its name and values."""
    use, reason, extra = _use(f, decimal)
    shown = FEW if len(f.values) <= FEW else 3
    examples = tuple(f.values[i][:_LONGEST] for i in np.argsort(-f.counts, kind="stable")[:shown])
    column = Column(
        name=f.name, use=use, reason=reason, missing=round(f.missing, 4), distinct=len(f.values), examples=examples
    )
    kind = KINDS.get(use)
    if kind is None:
        return column, None
    return column, Feature(name=f.name, kind=kind, role=_role(f.name, use), **extra)


def _use(f: _Facts, decimal: Decimal) -> tuple[Use, str, dict[str, Any]]:
    distinct = len(f.values)
    if not distinct:
        return "left out", "it holds no value", {}
    reason = _label_reason(f)
    if reason is not None:
        return "label", reason, {}
    if distinct == 1:
        return "left out", f"it holds one value only, {f.values[0][:40]!r}", {}
    if are_dates(f.values):
        return "date", "it holds dates, which are read as days since 1970", {}
    if f.numbers is not None:
        return _number_use(f)
    return _text_use(f, decimal)


def _label_reason(f: _Facts) -> str | None:
    """Why a column seems to be a label; None: it does not."""
    distinct, is_label = len(f.values), _LABEL.fullmatch(f.name) is not None
    if is_label and distinct <= 2:
        return f"its name is that of a label, and it has {'two values' if distinct == 2 else 'one value only'}"
    if f.numbers is not None and distinct > 1 and _AMOUNT.fullmatch(f.name):
        return "its name is that of an amount to be predicted, and it holds numbers"
    if is_label and f.numbers is not None and distinct <= 10:
        return f"its name is that of a label, and it has {distinct} values: regression, or pick the positive one"
    return None


def _number_use(f: _Facts) -> tuple[Use, str, dict[str, Any]]:
    assert f.numbers is not None
    known = f.numbers[np.isfinite(f.numbers)]
    if f.integers and len(known):
        named = _whole_number_use(f, known)
        if named is not None:
            return (*named, {})
    return ("numeric", *_scaling(f, known))


def _whole_number_use(f: _Facts, known: NDArray[np.float64]) -> tuple[Use, str] | None:
    """What whole numbers stand for, if not for an amount."""
    distinct = len(f.values)
    if _POSITION.fullmatch(f.name) and known.min() >= 0 and known.max() <= 1000 and distinct <= 200:
        return "position", "its name is that of a place in a list, and it holds small whole numbers"
    if _ID.fullmatch(f.name):
        if distinct == f.known and f.rows > 100:
            return "left out", "it is different in every row, so it names rows and tells nothing"
        return "id", "its name is that of an id, and it holds whole numbers"
    if _TIME.fullmatch(f.name) and 1e8 < known.min() <= known.max() < 1e14:
        return "left out", "it is a time column: rows can be split by it"
    if distinct <= 10 or (distinct <= 200 and _CODE.fullmatch(f.name)):
        return "categorical", f"it holds {distinct} different whole numbers"
    return None


def _scaling(f: _Facts, known: NDArray[np.float64]) -> tuple[str, dict[str, Any]]:
    """Heavy tails go by rank and by bins, other numbers by mean and deviation."""
    weights = f.counts[np.isfinite(f.numbers)] if f.numbers is not None else f.counts
    if not len(known):
        return "it holds numbers", {}
    order = np.argsort(known)
    cumulated = np.cumsum(weights[order]) / weights.sum()
    low, q1, middle, q3, high = known[order][
        np.searchsorted(cumulated, (0.01, 0.25, 0.5, 0.75, 0.99)).clip(max=len(known) - 1)
    ]
    spread = max(q3 - q1, 1e-12)
    if max(high - middle, middle - low) > 5 * spread or np.abs(known - middle).max() > 30 * spread:
        return "it holds numbers with a heavy tail: scaled by rank and cut into bins", {
            "scaling": "quantile",
            "bins": 32,
        }
    return "it holds numbers", {}


def _text_use(f: _Facts, decimal: Decimal) -> tuple[Use, str, dict[str, Any]]:
    distinct = len(f.values)
    found = _separator(f)
    if found is not None:
        sign, longest = found
        if sign == LIST_SIGN:
            reason = "its cells are lists"
        else:
            reason = f"its cells hold several values with {'blanks' if sign == ' ' else repr(sign)} between"
        extra = {"separator": sign, "max_length": int(min(100, max(2, longest)))}
        return "sequence", reason, extra
    numeric = [re.fullmatch(r"[+-]?[\d.,' ]*\d[\d.,' ]*", v) is not None for v in f.values]
    unusable = _unusable_text(f, numeric, decimal)
    if unusable is not None:
        return "left out", unusable, {}
    if _ID.fullmatch(f.name):
        return "id", "its name is that of an id", {}
    if 0 < sum(numeric) < distinct and f.share(numeric) > 0.5:
        bad = next(v for v, n in zip(f.values, numeric, strict=True) if not n)
        return "categorical", f"it mixes numbers and text such as {bad[:40]!r}, so it is read as text", {}
    return "categorical", f"it holds text of {distinct:,} different values", {}


def _unusable_text(f: _Facts, numeric: Sequence[bool], decimal: Decimal) -> str | None:
    """Why a column of text is left out: misspelled numbers, free text, names of rows. None: it is not."""
    spelled = re.compile(r"[+-]?\d+([,. ']\d{3})*[,.]\d+|[+-]?\d{1,3}([,']\d{3})+")
    hint = next((v for v in f.values if spelled.fullmatch(v)), None)
    if hint is not None and f.share(numeric) > 0.95:
        return "it " + not_a_number(f.name, hint, decimal).partition("` ")[2].rstrip(".")
    if len(f.values) == f.known and f.rows > 100:
        return "it is different in every row: free text or a name of the row"
    length = float(np.average([len(v) for v in f.values], weights=f.counts))
    return "it holds free text" if len(f.values) > 0.5 * f.known and length > 30 else None


def _separator(f: _Facts) -> tuple[str, int] | None:
    """The sign between the values of a cell, and the number of values in a long one; None: cells hold one value."""
    named = _LIST.fullmatch(f.name) is not None
    sample = f.values[:5000]
    for sign in (LIST_SIGN, "|", ";", ",", "^", " "):
        cells = [[v for v in cell.split(sign) if v] for cell in sample]
        several = f.counts[: len(sample)][[len(c) > 1 for c in cells]].sum() / max(1, f.counts[: len(sample)].sum())
        tokens = [v for c in cells for v in c]
        if not tokens or several < (0.05 if named or sign == LIST_SIGN else 0.3):
            continue
        if sign == " " and not named and not all(re.fullmatch(r"[A-Za-z]{0,3}\d+", v) for v in tokens):
            continue  # words with blanks between are a name
        if sign == "," and any(v.startswith(" ") for v in tokens) and not named:
            continue  # "Washington, DC"
        if named or sign == LIST_SIGN or len(set(tokens)) <= 0.5 * len(tokens):
            return sign, int(np.ceil(np.quantile([len(c) for c in cells], 0.99)))
    return None


def _role(name: str, use: Use) -> Role | None:
    if use == "position":
        return "position"
    if _USER.fullmatch(name):
        return "user"
    return "item" if _ITEM.fullmatch(name) else None


def _last_binary(
    columns: list[tuple[Column, Feature | None]], facts: list[_Facts]
) -> tuple[list[tuple[Column, Feature | None]], dict[str, _Facts]]:
    """No column is called like a label: the columns of 0 and 1 at the end of the table may be meant."""
    labels: dict[str, _Facts] = {}
    for place in reversed(range(len(facts))):
        fact = facts[place]
        if {plain(v) for v in fact.values} not in ({"0", "1"}, {"false", "true"}) or len(labels) == len(facts) - 1:
            break
        reason = "it holds 0 and 1 and stands at the end of the table"
        columns[place] = (columns[place][0].model_copy(update={"use": "label", "reason": reason}), None)
        labels = {fact.name: fact, **labels}
    return columns, labels


def _tasks(labels: dict[str, _Facts]) -> tuple[dict[str, str], tuple[Task, ...]]:
    """Tasks in an order in which each comes after the one that must have happened first."""
    positive: dict[str, str] = {}
    happened: dict[str, NDArray[np.bool_]] = {}
    for name, f in labels.items():
        written = [plain(v) for v in f.values]
        if len(written) > 2 or (_AMOUNT.fullmatch(name) and f.numbers is not None and set(written) - {"0", "1"}):
            continue
        if set(written) <= {"0", "1"} or set(written) <= {"true", "false"}:
            one = {"1", "true"}
        else:
            value = next((v for v in f.values if v.lower() in _YES), max(f.values, key=lambda v: (_value(v), v)))
            positive[name], one = value, {plain(value)}
        hit = np.array([w in one for w in written] + [False])
        happened[name] = hit[f.codes]
    order = sorted(happened, key=lambda n: -int(happened[n].sum()))  # the most frequent first; ties as in the table
    tasks = []
    for place, name in enumerate(order):
        f = labels[name]
        before = [n for n in order[:place] if _implies(happened[name], happened[n])]
        first = before[-1] if before else None
        space = first
        if f.missing > 0:
            covered = first is not None and not ((f.codes < 0) & happened[first]).any()
            space = first if covered else f"{name}{KNOWN}"
        tasks.append(Task(name=_task_name(name), label=name, space=space, after=_task_name(first) if first else None))
    for name, f in labels.items():
        if name not in happened:
            space = f"{name}{KNOWN}" if f.missing > 0 else None
            number = Task(name=_task_name(name), kind="regression", label=name, space=space, scaling="standard")
            tasks.append(number)
    return positive, tuple(tasks)


def _implies(late: NDArray[np.bool_], early: NDArray[np.bool_]) -> bool:
    """Does the one never happen without the other, seen often enough not to be chance, and not as often?"""
    often, base = int(late.sum()), float(early.mean())
    return (
        often >= 5 and 0 < base < 0.98 and often < int(early.sum()) and not (late & ~early).any() and base**often < 1e-3
    )


def _task_name(label: str) -> str:
    """A label's own name, but for the few that gates and experts have."""
    return f"{label} label" if label in ("shared", "all tasks", "S") else label


def _value(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
