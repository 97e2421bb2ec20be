"""Controls drawn from a part's JSON schema: a new part needs no line of interface code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import streamlit as st

#: A range up to this wide is a slider, a wider one a number to type.
SLIDER_STEPS = 64
#: Loss weights that the dial offers; anything else can be written in a spec.
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


def options_form(
    schema: Mapping[str, Any],
    defaults: Mapping[str, Any],
    key: str,
    task_names: Sequence[str],
    *,
    advanced: bool = False,
) -> dict[str, Any]:
    """Draw one control per option and return their values.

    Args:
        schema: JSON schema of the options.
        defaults: values to start from; an option that is not in it starts from the schema's default.
        key: prefix of the controls' keys. Another prefix is another set of remembered values.
        task_names: for options that hold one value per task.
        advanced: draw the options marked as advanced, instead of the others.
    """
    values: dict[str, Any] = {}
    for name, field in schema.get("properties", {}).items():
        if bool(field.get("advanced")) is advanced:
            start = defaults.get(name, field.get("default"))
            values[name] = _control(name, field, start, f"{key}.{name}", task_names)
    return values


def has_advanced(schema: Mapping[str, Any]) -> bool:
    """Does the schema have options for the "more" section?"""
    return any(field.get("advanced") for field in schema.get("properties", {}).values())


def in_short(schema: Mapping[str, Any]) -> str:
    """The first paragraph of a part's description: what a learner reads beside its controls."""
    return str(schema.get("description", "")).split("\n\n", maxsplit=1)[0].replace("\n", " ")


def label(name: str) -> str:
    """expert_layers -> Expert layers."""
    return name.replace("_", " ").capitalize()


def _control(name: str, field: Mapping[str, Any], start: Any, key: str, task_names: Sequence[str]) -> Any:
    kept: dict[str, Any] = {"key": key, "persist_state": "session", "help": field.get("description")}
    if field.get("per_task"):
        return _per_task(start, key, task_names)
    field = _first_plain(field)
    kind = "enum" if "enum" in field else field.get("type")
    draw: Callable[..., Any]
    draw = {"enum": _pick, "integer": _integer, "number": _real, "boolean": _toggle, "array": _numbers}.get(
        str(kind), _text
    )
    return draw(name, field, start, kept)


def _pick(name: str, field: Mapping[str, Any], start: Any, kept: dict[str, Any]) -> Any:
    choices = list(field["enum"])
    return st.selectbox(label(name), choices, index=choices.index(start), format_func=_words, **kept)


def _integer(name: str, field: Mapping[str, Any], start: int | None, kept: dict[str, Any]) -> int | None:
    low, high = field.get("minimum"), field.get("maximum")
    if start is None:
        return cast(int | None, st.number_input(label(name), low, high, None, step=1, placeholder="none", **kept))
    if low is not None and high is not None and high - low <= SLIDER_STEPS:
        return int(st.slider(label(name), low, high, start, step=1, **kept))
    return int(st.number_input(label(name), low, high, start, step=1, **kept))


def _real(name: str, field: Mapping[str, Any], start: float, kept: dict[str, Any]) -> float:
    low, high = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum")
    if field.get("minimum") == 0 and high == 1 and (start == 0 or start >= 0.01):
        return float(st.slider(label(name), 0.0, 1.0, float(start), step=0.01, **kept))
    # A step of the number's own size: 0.005 moves by thousandths, 3 by ones.
    step = 10.0 ** math.floor(math.log10(start)) if start > 0 else 0.1
    digits = max(0, -math.floor(math.log10(step))) + 1
    least, most = (None if bound is None else float(bound) for bound in (low, high))
    return float(st.number_input(label(name), least, most, float(start), step=step, format=f"%.{digits}f", **kept))


def _toggle(name: str, field: Mapping[str, Any], start: bool, kept: dict[str, Any]) -> bool:
    return bool(st.toggle(label(name), start, **kept))


def _text(name: str, field: Mapping[str, Any], start: object, kept: dict[str, Any]) -> str:
    return str(st.text_input(label(name), str(start), **kept))


def _numbers(name: str, field: Mapping[str, Any], start: Sequence[int], kept: dict[str, Any]) -> list[Any]:
    text = st.text_input(label(name), ", ".join(map(str, start)), placeholder="none", **kept)
    pieces = [piece for piece in (text or "").replace(";", ",").split(",") if piece.strip()]
    # What is no number is left as it is: the spec says what is wrong with it, in one place for all controls.
    # isdecimal, not isdigit: "²" is a digit. And Python refuses to read thousands of digits.
    return [int(p) if (p := piece.strip()).isdecimal() and len(p) < 10 else p for piece in pieces]


def _per_task(start: Sequence[float] | None, key: str, task_names: Sequence[str]) -> list[float]:
    values = []
    for k, name in enumerate(task_names):
        value = float(start[k]) if start is not None else 1.0
        values.append(
            st.select_slider(
                f"Weight of {name}",
                WEIGHTS if value in WEIGHTS else sorted({*WEIGHTS, value}),
                value,
                format_func="{:g}".format,
                key=f"{key}.{name}",
                persist_state="session",
                help="How much this task's loss counts. The dial that moves a model along the seesaw.",
            )
        )
    return values


def _first_plain(field: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of several allowed types the first that is not null: the controls offer the simple form."""
    for choice in field.get("anyOf", ()):
        if choice.get("type") != "null":
            return {**field, **choice}
    return field


def _words(value: object) -> str:
    return str(value).replace("_", " ")
