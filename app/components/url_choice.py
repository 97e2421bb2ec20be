"""Choices that are kept in the URL by their plain names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app.i18n import as_read, tr

#: What a link asked for and cannot have; so much of it is said.
LEFT_OUT = "url.left_out"
MOST_NAMED, MOST_LETTERS = 5, 24
#: Several choices of which none is chosen.
NOTHING = "none"
_SWITCH = {"on": True, "off": False}


def url_choice(
    label: str,
    names: Sequence[str],
    default: str,
    key: str,
    title: Callable[[str], str] = str,
    *,
    name: str | None = None,
    control: Callable[..., Any] = st.selectbox,
    **arguments: Any,
) -> str:
    """A choice whose value is the query parameter `name`, or else `key`: the default left out, unknown ones ignored.

    Streamlit's own binding writes what people read into the URL ("MMoE on Conflict, seed 0"), which no link should
    depend on; this one writes the name.
    """
    asked = st.query_params.get(name or key)
    _take_up(key, asked, asked if asked in names else None, name)
    if st.session_state.get(key) not in names:
        st.session_state[key] = default
    chosen = str(control(label, names, key=key, format_func=as_read(title), persist_state="session", **arguments))
    _write_down(key, asked, chosen, default, name)
    return chosen


def url_choices(
    label: str,
    names: Sequence[str],
    key: str,
    title: Callable[[str], str] = str,
    *,
    default: Sequence[str] = (),
    name: str | None = None,
    control: Callable[..., Any] = st.multiselect,
    **arguments: Any,
) -> list[str]:
    """Several choices as a query parameter by the same rules: names with commas between, or `none`."""
    asked = st.query_params.get(name or key)
    known = [each for each in dict.fromkeys((asked or "").split(",")) if each in names]
    _take_up(key, asked, known if known or asked == NOTHING else None, name)
    st.session_state[key] = [each for each in st.session_state.get(key, default) if each in names]
    chosen = list(control(label, names, key=key, format_func=as_read(title), persist_state="session", **arguments))
    _write_down(key, asked, ",".join(chosen) or NOTHING, ",".join(default) or NOTHING, name)
    return chosen


def url_switch(label: str, default: bool, key: str, *, name: str | None = None, **arguments: Any) -> bool:
    """A toggle as a query parameter by the same rules, on or off."""
    asked = st.query_params.get(name or key)
    _take_up(key, asked, _SWITCH.get(asked or ""), name)
    st.session_state.setdefault(key, default)
    chosen = bool(st.toggle(label, key=key, persist_state="session", **arguments))
    _write_down(key, asked, "on" if chosen else "off", "on" if default else "off", name)
    return chosen


def url_integer(
    label: str,
    low: int,
    high: int,
    default: int,
    key: str,
    name: str | None = None,
    *,
    step: int = 1,
    control: Callable[..., Any] = st.number_input,
    **arguments: Any,
) -> int:
    """A whole number, typed or on a slider, as a query parameter by the same rules.

    Streamlit's own binding ends in a traceback at ?seed=1e400.
    """
    asked = st.query_params.get(name or key)
    digits = asked is not None and asked.isascii() and asked.isdecimal() and len(asked) <= len(str(high))
    number = int(asked) if asked is not None and digits else None
    fits = number is not None and low <= number <= high and (number - low) % step == 0
    _take_up(key, asked, number if fits else None, name)
    st.session_state.setdefault(key, default)
    chosen = int(control(label, low, high, step=step, key=key, persist_state="session", **arguments))
    _write_down(key, asked, str(chosen), str(default), name)
    return chosen


def leave_out(name: str, asked: str) -> None:
    """Remember what a link asked for and cannot have."""
    found: dict[str, str] = st.session_state.setdefault(LEFT_OUT, {})
    found[name] = asked


def tell_what_was_left_out() -> None:
    """Once everything is drawn: say so, once."""
    found: dict[str, str] = st.session_state.pop(LEFT_OUT, {})
    if not found:
        return
    named = [f"{name}={asked[:MOST_LETTERS]}" for name, asked in found.items()][:MOST_NAMED]
    st.toast(
        tr("Left out of the link, for there is no such thing: {names}", names=tr(", ").join(named)), duration="long"
    )


@dataclass(frozen=True)
class _Written:
    """How a control stood when the page last drew it: its value, and what the URL said before and after."""

    value: Any
    texts: tuple[str | None, str | None]


def _take_up(key: str, asked: str | None, value: object, name: str | None = None) -> None:
    """What a link, or another page's button, has put into the URL since it was last written here.

    Whoever moves a control fast sends its next value with the URL of the one before, and may end a run of the page
    half way: a control that has just been moved is right, and neither of the texts about the last writing is news.
    """
    last = _written().get(key)
    if value is None and asked and (last is None or asked not in last.texts):
        leave_out(name or key, asked)
    if value is None or (last is not None and (asked in last.texts or st.session_state.get(key) != last.value)):
        return
    st.session_state[key] = value


def _write_down(key: str, asked: str | None, chosen: str, default: str, name: str | None = None) -> None:
    text = None if chosen == default else chosen
    _written()[key] = _Written(st.session_state.get(key), (asked, text))
    if text is None:
        st.query_params.pop(name or key, None)
    elif asked != text:
        st.query_params[name or key] = text
    # It got this far: from now on the text before is news again, as a browser's way back.
    _written()[key] = _Written(st.session_state.get(key), (text, text))


def _written() -> dict[str, _Written]:
    """By control. One entry of the session: Streamlit looks through all of them for every control that it draws."""
    found: dict[str, _Written] = st.session_state.setdefault("url.choices", {})
    return found
