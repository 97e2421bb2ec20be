"""Choices that are kept in the URL by their plain names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from app.components import url_memory
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
    _write_down(key, chosen, default, name)
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
    _write_down(key, ",".join(chosen) or NOTHING, ",".join(default) or NOTHING, name)
    return chosen


def url_switch(label: str, default: bool, key: str, *, name: str | None = None, **arguments: Any) -> bool:
    """A toggle as a query parameter by the same rules, on or off."""
    asked = st.query_params.get(name or key)
    _take_up(key, asked, _SWITCH.get(asked or ""), name)
    st.session_state.setdefault(key, default)
    chosen = bool(st.toggle(label, key=key, persist_state="session", **arguments))
    _write_down(key, "on" if chosen else "off", "on" if default else "off", name)
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
    _write_down(key, str(chosen), str(default), name)
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


def _take_up(key: str, asked: str | None, value: object, name: str | None = None) -> None:
    """What a link brings that is new; a text that fits no value is told."""
    if value is None:
        if asked and not url_memory.is_known(key, asked):
            leave_out(name or key, asked)
    elif url_memory.is_news(key, asked, st.session_state.get(key)):
        st.session_state[key] = value


def _write_down(key: str, chosen: str, default: str, name: str | None = None) -> None:
    text = None if chosen == default else chosen
    url_memory.write(key, name or key, text, st.session_state.get(key))
