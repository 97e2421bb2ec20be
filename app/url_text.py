"""Option values as short texts in a link, and back: by JSON schema, and None for anything that does not fit it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: Longer texts come from no control.
LONGEST = 500


def to_text(value: Any) -> str | None:
    """12, 0.05, on, ids, 64-32 or 1,0.2; "none" for None. None: such a value is not kept in links."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, int | str):
        return str(value)
    if isinstance(value, Sequence):
        whole = all(isinstance(v, int) for v in value)
        if whole or all(isinstance(v, int | float) for v in value):
            return ("-" if whole else ",").join(f"{v:.10g}" for v in value) or "none"
    return None


def from_text(field: Mapping[str, Any], text: str, tasks: int = 0) -> Any:
    """The value that a text stands for.

    Args:
        field: JSON schema of the option.
        text: from a link: anything.
        tasks: how many numbers an option with one per task must have, if it has several.

    Raises:
        ValueError: it is no value of this option.
    """
    if len(text) > LONGEST:
        raise ValueError("too long")
    choices = field.get("anyOf") or [field]
    if field.get("per_task"):
        items = next(choice for choice in choices if choice.get("type") == "array")
        values = [_number(items["items"], piece) for piece in text.split(",")]
        if len(values) != tasks:
            raise ValueError("one number per task")
        return values
    if text == "none" and any(choice.get("type") == "null" for choice in choices):
        return None
    if (several := one_or_each(field)) is not None and "-" in text.lstrip("-"):
        whole = _whole_numbers(several, text)
        if len(whole) != tasks:
            raise ValueError("one number per task")
        return whole
    plain = {**field, **next(choice for choice in choices if choice.get("type") != "null")}
    if "enum" in plain:
        return _one_of({str(value): value for value in plain["enum"]}, text)
    read = _READ.get(str(plain.get("type")))
    if read is None:
        raise ValueError("not kept in links")
    return read(plain, text)


def one_or_each(field: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Of an option that holds one whole number for all tasks or one for each: the schema of the several."""
    kinds = {choice.get("type"): choice for choice in field.get("anyOf", ())}
    if "integer" in kinds and kinds.get("array", {}).get("items", {}).get("type") == "integer":
        return dict(kinds["array"])
    return None


def _one_of(values: Mapping[str, Any], text: str) -> Any:
    if text not in values:
        raise ValueError("no such value")
    return values[text]


def _string(field: Mapping[str, Any], text: str) -> str:
    if not text.isprintable() or len(text) > field.get("maxLength", LONGEST):
        raise ValueError("no such text")
    return text


def _number(field: Mapping[str, Any], text: str) -> float:
    """A number within the field's limits; the open ends too, which the spec refuses with a sentence."""
    if field.get("type") == "integer":
        if not (text.lstrip("-").isdecimal() and text.isascii() and len(text) < 16):
            raise ValueError("no whole number")
        value: float = int(text)
    else:
        value = float(text)
    low = field.get("minimum", field.get("exclusiveMinimum", -math.inf))
    high = field.get("maximum", field.get("exclusiveMaximum", math.inf))
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError("out of range")
    return value


def _whole_numbers(field: Mapping[str, Any], text: str) -> list[int]:
    pieces = [] if text == "none" else text.split("-")
    values = [int(_number(field["items"], piece)) for piece in pieces]
    if not field.get("minItems", 0) <= len(values) <= field.get("maxItems", LONGEST):
        raise ValueError("too many or too few")
    return values


_READ: dict[str, Callable[[Mapping[str, Any], str], Any]] = {
    "integer": lambda field, text: int(_number(field, text)),
    "number": _number,
    "boolean": lambda field, text: _one_of({"on": True, "off": False}, text),
    "array": _whole_numbers,
    "string": _string,
}
