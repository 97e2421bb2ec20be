"""Controls drawn from a part's JSON schema: a new part needs no line of interface code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import streamlit as st

from app.components.url_values import UrlValues
from app.core_texts import label, paragraphs, words
from app.i18n import as_read, core, tr
from app.url_text import one_or_each

#: A range up to this wide is a slider, a wider one a number to type.
SLIDER_STEPS = 64
#: Loss weights that the dial offers; anything else can be written in a link or a spec.
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
#: From so many tasks on, their controls stand in two columns.
MANY_TASKS = 4
#: Numbers with more digits after the point are written with an exponent.
MOST_DIGITS = 6

Names = Callable[[str, Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class Form:
    """Where a form's values are kept, and for whom they are.

    Args:
        key: prefix of the controls' keys. Another prefix is another set of remembered values.
        task_names: for options that hold one value per task.
        url: the link that carries the values; None: no link does.
        prefix: what the options' names begin with in the link.
    """

    key: str
    task_names: Sequence[str] = ()
    url: UrlValues | None = None
    prefix: str = ""


def options_form(
    schema: Mapping[str, Any],
    defaults: Mapping[str, Any],
    key: str | Form,
    task_names: Sequence[str] = (),
    *,
    advanced: bool = False,
    nested: Callable[[str], Mapping[str, Any]] | None = None,
    allowed: Names | None = None,
) -> dict[str, Any]:
    """Draw one control per option and return their values.

    Args:
        schema: JSON schema of the options.
        defaults: values to start from; an option that is not in it starts from the schema's default.
        key: where values are kept, or just the prefix of the controls' keys.
        task_names: for options that hold one value per task, unless `key` says them.
        advanced: draw the options marked as advanced, instead of the others.
        nested: the schema of the part with this name. Where an option `x` names a part and `x_options` holds its
            options, these are drawn beneath it; `inner` and `inner_options` of the shallow tower.
        allowed: which of an option's choices may be chosen; all, if not given.
    """
    form = key if isinstance(key, Form) else Form(key, task_names)
    values: dict[str, Any] = {}
    properties = schema.get("properties", {})
    for name, field in properties.items():
        holder = name.removesuffix("_options")
        if nested is not None and holder != name and holder in properties:
            # Its own options decide which of them are advanced, not the mark on the whole.
            chosen = str(st.session_state.get(f"{form.key}.{holder}", properties[holder].get("default")))
            inner = Form(f"{form.key}.{chosen}", form.task_names, form.url, f"{form.prefix}{holder}.")
            values[name] = options_form(nested(chosen), {}, inner, advanced=advanced)
        elif bool(field.get("advanced")) is advanced:
            start = defaults.get(name, field.get("default"))
            values[name] = _control(name, field, start, form, allowed)
    return values


def _named(name: str) -> str:
    return core(label(name))


def _choice(value: object) -> str:
    return core(words(value))


def has_advanced(schema: Mapping[str, Any]) -> bool:
    """Does the schema have options for the "more" section?"""
    return any(field.get("advanced") for field in schema.get("properties", {}).values())


def in_short(schema: Mapping[str, Any]) -> str:
    """The first paragraph of a part's description: what a learner reads beside its controls."""
    return core(paragraphs(str(schema.get("description", "")))[0])


def _control(name: str, field: Mapping[str, Any], start: Any, form: Form, allowed: Names | None) -> Any:
    key, described = f"{form.key}.{name}", core(field.get("description", "")) or None
    if field.get("per_task"):
        return _per_task(name, field, start, form)
    if one_or_each(field) is not None and len(form.task_names) > 1:
        return _one_or_each(name, field, start, form)
    plain = _first_plain(field)
    if "enum" in plain and allowed is not None:
        plain = {**plain, "enum": list(allowed(name, plain["enum"]))}
    kind = "enum" if "enum" in plain else plain.get("type")
    as_text = kind == "array"
    if form.url is not None:
        form.url.take_up(f"{form.prefix}{name}", {**field, **plain}, key, start, shown=_joined if as_text else None)
    # The state says every value and no control has a default of its own: Streamlit warns where both speak.
    if key not in st.session_state:
        st.session_state[key] = _joined(start) if as_text else str(start) if kind not in _DRAWN else start
    if kind == "enum" and st.session_state[key] not in plain["enum"]:
        st.session_state[key] = plain["enum"][0]  # what no longer fits gives way
    kept: dict[str, Any] = {"key": key, "persist_state": "session", "help": described}
    draw: Callable[..., Any] = _DRAWN.get(str(kind), _text)
    value = draw(name, plain, start, kept)
    if form.url is not None:
        form.url.write_down(f"{form.prefix}{name}", value, start)
    return value


def _pick(name: str, field: Mapping[str, Any], start: Any, kept: dict[str, Any]) -> Any:
    return st.selectbox(_named(name), list(field["enum"]), format_func=as_read(_choice), **kept)


def _integer(name: str, field: Mapping[str, Any], start: int | None, kept: dict[str, Any]) -> int | None:
    if start is None:
        low, high = field.get("minimum"), field.get("maximum")
        return cast(int | None, st.number_input(_named(name), low, high, None, step=1, placeholder=tr("none"), **kept))
    return _whole(_named(name), field, kept)


def _whole(called: str, field: Mapping[str, Any], kept: dict[str, Any]) -> int:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None and high - low <= SLIDER_STEPS:
        return int(st.slider(called, low, high, step=1, **kept))
    return int(st.number_input(called, low, high, step=1, **kept))


def _real(name: str, field: Mapping[str, Any], start: float | None, kept: dict[str, Any]) -> float | None:
    low, high = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum", field.get("exclusiveMaximum"))
    least, most = (None if bound is None else float(bound) for bound in (low, high))
    if start is None:
        return st.number_input(_named(name), least, most, None, placeholder=tr("none"), **kept)
    if field.get("minimum") == 0 and high == 1 and (start == 0 or start >= 0.01):
        return float(st.slider(_named(name), 0.0, 1.0, step=0.01, **kept))
    # A step of the number's own size: 0.005 moves by thousandths, 3 by ones.
    step = 10.0 ** math.floor(math.log10(start)) if start > 0 else 0.1
    digits = max(0, -math.floor(math.log10(step))) + 1
    # What a link brought is shown in full.
    shown = f"{st.session_state[kept['key']]:.10g}"
    if "e" not in shown and "." in shown:
        digits = max(digits, len(shown.split(".")[1]))
    form = f"%.{digits}f" if digits <= MOST_DIGITS else "%g"
    return float(st.number_input(_named(name), least, most, step=step, format=form, **kept))


def _toggle(name: str, field: Mapping[str, Any], start: bool, kept: dict[str, Any]) -> bool:
    return bool(st.toggle(_named(name), **kept))


def _text(name: str, field: Mapping[str, Any], start: object, kept: dict[str, Any]) -> str:
    return str(st.text_input(_named(name), **kept))


def _numbers(name: str, field: Mapping[str, Any], start: Sequence[int], kept: dict[str, Any]) -> list[Any]:
    text = st.text_input(_named(name), placeholder=tr("none"), **kept)
    pieces = [piece for piece in (text or "").replace(";", ",").split(",") if piece.strip()]
    # What is no number is left as it is: the spec says what is wrong with it, in one place for all controls.
    # isdecimal, not isdigit: "²" is a digit. And Python refuses to read thousands of digits.
    read = [int(p) if (p := piece.strip()).isdecimal() and len(p) < 10 else p for piece in pieces]
    if not all(isinstance(piece, int) for piece in read):
        wanted = tr("Whole numbers with commas between, for example 64, 32.")
        st.caption(f":material/error: {wanted}")
    return read


_DRAWN: dict[str, Callable[..., Any]] = {
    "enum": _pick, "integer": _integer, "number": _real, "boolean": _toggle, "array": _numbers,
}  # fmt: skip


def _joined(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _per_task(name: str, field: Mapping[str, Any], start: Sequence[float] | None, form: Form) -> list[float]:
    """One control per task, each with a key of its own; in a link they are one list."""
    tasks = form.task_names
    starts = [float(value) for value in start] if start is not None else [1.0] * len(tasks)
    keys = [f"{form.key}.{name}.{task}" for task in tasks]
    items = next(choice for choice in field.get("anyOf", [field]) if choice.get("type") == "array")["items"]
    if form.url is not None:
        form.url.take_up_each(f"{form.prefix}{name}", field, keys, starts)
    described = core(field.get("description", "")) or None
    columns = st.columns(2) if len(tasks) >= MANY_TASKS else [st.container()]
    values = []
    for k, (task, key) in enumerate(zip(tasks, keys, strict=True)):
        kept: dict[str, Any] = {"key": key, "persist_state": "session", "help": described}
        with columns[k % len(columns)]:
            st.session_state.setdefault(key, starts[k])
            if items.get("maximum") == 1:
                said = tr("{option} of {task}", option=_named(name), task=task)
                values.append(float(st.slider(said, 0.0, 1.0, step=0.01, **kept)))
                continue
            # The smallest weight that the option allows is 0 or just above it: only the dial's own 0 matters.
            dial = [w for w in WEIGHTS if w > 0 or "exclusiveMinimum" not in items]
            offered = sorted({*dial, starts[k], float(st.session_state[key])})
            what = tr("Weight") if name == "weights" else _named(name)
            said = tr("{option} of {task}", option=what, task=task)
            values.append(float(st.select_slider(said, offered, format_func="{:g}".format, **kept)))
    if form.url is not None:
        form.url.write_down(f"{form.prefix}{name}", values, starts)
    return values


def _one_or_each(name: str, field: Mapping[str, Any], start: int | Sequence[int], form: Form) -> int | list[int]:
    """A whole number for all tasks, or, where a switch says so, one for each; equal ones are written as one."""
    key, plain = f"{form.key}.{name}", _first_plain(field)
    switch, keys = f"{key}.each", [f"{key}.{task}" for task in form.task_names]

    def hold(value: int | Sequence[int]) -> None:
        st.session_state[switch] = not isinstance(value, int)
        st.session_state.update([(key, value)] if isinstance(value, int) else zip(keys, value, strict=True))

    held = [switch, key, *keys]
    brought = form.url.brought(f"{form.prefix}{name}", field, start, len(keys), held) if form.url is not None else []
    for value in brought or ([] if switch in st.session_state else [start]):
        hold(value)

    kept: dict[str, Any] = {"persist_state": "session", "help": core(field.get("description", "")) or None}
    if st.session_state[switch]:
        for each in keys:  # what is not known yet begins where the common number stands
            st.session_state.setdefault(each, st.session_state.get(key))
        columns = st.columns(2) if len(keys) >= MANY_TASKS else [st.container()]
        numbers = []
        for k, (task, each) in enumerate(zip(form.task_names, keys, strict=True)):
            with columns[k % len(columns)]:
                numbers.append(
                    _whole(tr("{option} of {task}", option=_named(name), task=task), plain, kept | {"key": each})
                )
        found: int | list[int] = numbers if len(set(numbers)) > 1 else numbers[0]
    else:
        if key not in st.session_state:
            st.session_state[key] = max(st.session_state[each] for each in keys)
        found = _whole(_named(name), plain, kept | {"key": key})
    st.toggle(tr("A number for each task"), key=switch, persist_state="session")
    if form.url is not None:
        form.url.write_down(f"{form.prefix}{name}", found, start)
    return found


def _first_plain(field: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of several allowed types the first that is not null: the controls offer the simple form."""
    for choice in field.get("anyOf", ()):
        if choice.get("type") != "null":
            return {**field, **choice}
    return field
