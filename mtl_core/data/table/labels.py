"""Labels, sample spaces and dates of a person's own file: from what the cells say to numbers, or one clear sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mtl_core.data.base import DataError
from mtl_core.data.table.reading import first_bad
from mtl_core.schema import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A sample space of this name after a label's: the rows in which the label is not missing. No column of the file.
KNOWN = " is known"
_WORDS = {"true": 1.0, "false": 0.0}
_DATE = re.compile(r"\d{4}([-/])\d{1,2}\1\d{1,2}([ T]\d{1,2}:\d{2}.*)?|\d{1,2}\.\d{1,2}\.\d{4}([ T]\d{1,2}:\d{2}.*)?")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def plain(value: str) -> str:
    """A value in the one way of writing it: 1, 1.0 and 1e0 are the same, and so are True and true."""
    text = value.strip()
    try:
        number = float(text)
    except ValueError:
        return text.lower() if text.lower() in _WORDS else text
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def binary(name: str, values: Sequence[str], codes: NDArray[np.int32], positive: str | None) -> NDArray[np.float32]:
    """A column of two values as 0 and 1, missing ones as NaN. [n]

    Args:
        values: distinct values; `codes` [n] holds their places, -1 for missing.
        positive: the value that counts as 1; None where the column holds 0 and 1, or true and false.

    Raises:
        DataError: other values than 0 and 1 and nobody said which counts; or the value never occurs.
    """
    used = np.unique(codes[codes >= 0])
    written = [plain(value) for value in values]
    found = sorted({written[i] for i in used}, key=_as_sorted)
    table = np.full(len(values) + 1, np.nan, np.float32)  # the last place is reached by code -1: missing
    if positive is not None:
        if plain(positive) not in found:
            raise DataError(
                f"Label column `{name}` never holds {positive!r}, which was to count as positive. {_holds(found)}"
            )
        table[:-1] = [value == plain(positive) for value in written]
        return np.asarray(table[codes])
    numbers = {"0": 0.0, "1": 1.0} | _WORDS
    if any(value not in numbers for value in found):
        what = f"{_count(len(found))} value{'s' * (len(found) != 1)} ({_listed(found)})"
        if all(_number(value) is not None for value in found):
            raise DataError(
                f"Label column `{name}` has {what}. Choose regression, or pick which value counts as positive."
            )
        raise DataError(f"Label column `{name}` has {what}, not 0 and 1. Pick which value counts as positive.")
    table[:-1] = [numbers.get(value, np.nan) for value in written]
    return np.asarray(table[codes])


def day_numbers(name: str, values: Sequence[str], codes: NDArray[np.int32]) -> NDArray[np.float64]:
    """Dates as days since 1970-01-01 (UTC, with fractions), missing ones as NaN. [n]

    Read are 2024-01-31, 2024/01/31 and 31.01.2024, with a time after it or not. 01/02/2024 is not: day or month?

    Raises:
        DataError: a value that is no such date.
    """
    import pandas as pd

    kept = [value.strip() for value in values]
    used = set(np.unique(codes[codes >= 0]).tolist())
    for place, value in enumerate(kept):
        if place in used and not _DATE.fullmatch(value):
            raise DataError(f"Column `{name}` should hold dates such as 2024-01-31, but holds {value[:40]!r}.")
    iso = [re.sub(r"^(\d{1,2})\.(\d{1,2})\.(\d{4})", _turned, value).replace("/", "-") for value in kept]
    try:
        stamps = pd.to_datetime(pd.Series(iso, dtype="object"), format="ISO8601", utc=True)
    except ValueError as error:
        bad = first_bad(iso, lambda text: pd.to_datetime(text, format="ISO8601", utc=True))
        raise DataError(f"Column `{name}` should hold dates such as 2024-01-31, but holds {bad[:40]!r}.") from error
    days = np.append(((stamps - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)).to_numpy(np.float64), np.nan)
    return np.asarray(days[codes])


def are_dates(values: Sequence[str]) -> bool:
    """Are all of them dates that `day_numbers` reads?"""
    if not all(_DATE.fullmatch(value.strip()) for value in values):
        return False
    try:
        day_numbers("", values, np.arange(len(values), dtype=np.int32))
    except DataError:
        return False
    return True


def check_labels(tasks: Sequence[Task], columns: Mapping[str, NDArray[np.floating]]) -> None:
    """Labels as their tasks need them: finite, not constant, known inside their space, in the funnel's order.

    Args:
        columns: labels and sample spaces as numbers, NaN where missing. [n] each

    Raises:
        DataError: one sentence with the column, the problem and what to do.
    """
    by_name = {task.name: task for task in tasks}
    for task in tasks:
        label = columns[task.label]
        inside = label if task.space is None else label[columns[task.space] == 1]
        where = "" if task.space is None else f" where `{task.space}` is true"
        if not len(inside):
            raise DataError(f"Task {task.name} has no rows: `{task.space}` is never true.")
        if np.isinf(inside).any():
            raise DataError(f"Label column `{task.label}` holds infinite numbers. Replace or remove these rows.")
        missing = int(np.isnan(inside).sum())
        if missing:
            raise DataError(
                f"Label column `{task.label}` is missing in {missing:,} of {len(inside):,} rows{where}. Fill it, or "
                f"give the task the sample space '{task.label}{KNOWN}'."
            )
        if inside.min() == inside.max():
            raise DataError(
                f"Label column `{task.label}` is {inside[0]:g} in all {len(inside):,} rows{where}: there is nothing to "
                f"learn. Choose another label."
            )
        if task.after is not None and task.kind == "binary" and by_name[task.after].kind == "binary":
            _check_order(task, by_name[task.after], label, columns[by_name[task.after].label])


def _check_order(task: Task, before: Task, label: NDArray[np.floating], earlier: NDArray[np.floating]) -> None:
    wrong = int(((label == 1) & (earlier == 0)).sum())
    if wrong:
        reversed_order = not ((earlier == 1) & (label == 0)).any()
        hint = (
            f"Every `{before.label}` has a `{task.label}`: the order seems to be the other way round."
            if reversed_order
            else "Correct these rows, or let the task come after none."
        )
        raise DataError(
            f"Task {task.name} comes after {before.name}, but {wrong:,} row{'s' * (wrong != 1)} have `{task.label}` "
            f"without `{before.label}`. {hint}"
        )


def _turned(match: re.Match[str]) -> str:
    return f"{match[3]}-{int(match[2]):02d}-{int(match[1]):02d}"


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _as_sorted(value: str) -> tuple[bool, float, str]:
    number = _number(value)
    return number is None, number or 0.0, value


def _count(n: int) -> str:
    return _NUMBERS[n] if n < len(_NUMBERS) else f"{n:,}"


def _short(value: str) -> str:
    """A value in one line."""
    text = "".join(c if c.isprintable() else " " for c in value)
    return text if len(text) <= 30 else text[:27] + "..."


def _listed(found: Sequence[str]) -> str:
    return ", ".join(map(_short, found[:6])) + ", ..." * (len(found) > 6)


def _holds(found: Sequence[str]) -> str:
    return f"It holds: {_listed(found)}."
