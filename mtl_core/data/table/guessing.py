"""What the columns of a file seem to be: a first schema with a reason for each choice, to be corrected by a person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from mtl_core.data.base import DataError
from mtl_core.data.table.labels import KNOWN, are_dates, plain
from mtl_core.data.table.reading import (
    LIST_SIGN,
    Decimal,
    Encoding,
    Separator,
    Source,
    dictionary,
    not_a_number,
    open_table,
)
from mtl_core.schema import Feature, Role, Schema, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows that are looked at, from the start of the file.
ROWS = 50_000
#: A YAML file larger than this is no schema.
_MAX_YAML = 2_000_000

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
    examples: tuple[str, ...] = ()


class Guess(BaseModel):
    """A first schema of a file. Correct it with `model_copy(update=...)`, or as YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    columns: tuple[Column, ...]
    features: tuple[Feature, ...]
    tasks: tuple[Task, ...]
    positive: dict[str, str] = {}
    dates: tuple[str, ...] = ()
    #: A column that a split by time could go by.
    time_column: str = ""
    notes: tuple[str, ...] = ()
    sha256: str = ""

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
        given = self.model_dump(mode="json", include={"features", "tasks", "positive", "dates", "sha256"})
        return {"path": path, **given, **changes}

    def to_yaml(self) -> str:
        """As YAML, for keeping and for editing by hand."""
        import yaml

        value = self.model_dump(mode="json")
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
            return cls.model_validate(yaml.safe_load(text))
        except (yaml.YAMLError, RecursionError) as error:
            raise DataError(f"This is no YAML: {' '.join(str(error).split())[:160]}.") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise DataError(f"This is no schema: {where}: {first['msg'].removeprefix('Value error, ')}.") from error


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


def guess(
    path: str, *, encoding: Encoding = "auto", separator: Separator = "auto", decimal: Decimal = "point"
) -> Guess:
    """Look at the first rows of a file and say what its columns seem to be.

    Raises:
        DataError: it cannot be read; see `reading.open_table`.
    """
    return _guessed(open_table(path, encoding, separator, decimal), decimal) if path else _of_the_example(decimal)


@lru_cache
def _of_the_example(decimal: Decimal) -> Guess:
    """Asked for by every spec of a table without a path, and always the same."""
    return _guessed(open_table("", decimal=decimal), decimal)


def _guessed(source: Source, decimal: Decimal) -> Guess:
    head = source.head(ROWS)
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
    return Guess(
        rows=source.rows,
        columns=tuple(c for c, _ in columns),
        features=tuple(f for _, f in columns if f is not None),
        tasks=tasks,
        positive=positive,
        dates=dates,
        time_column=times[0] if times else "",
        notes=tuple(notes),
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
    examples = tuple(v[:40] for v in (f.values[i] for i in np.argsort(-f.counts, kind="stable")[:3]))
    column = Column(
        name=f.name, use=use, reason=reason, missing=round(f.missing, 4), distinct=len(f.values), examples=examples
    )
    kind = {
        "numeric": "numeric", "date": "numeric", "categorical": "categorical", "id": "categorical",
        "position": "categorical", "sequence": "sequence",
    }.get(use)  # fmt: skip
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
            tasks.append(Task(name=_task_name(name), kind="regression", label=name, space=space))
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
