"""Choices that are kept in the URL by their plain names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from app.i18n import as_read


def url_choice(
    label: str,
    names: Sequence[str],
    default: str,
    key: str,
    title: Callable[[str], str] = str,
    *,
    control: Callable[..., Any] = st.selectbox,
    **arguments: Any,
) -> str:
    """A choice whose value is the query parameter `key`: left out for the default, ignored when unknown.

    Streamlit's own binding writes what people read into the URL ("MMoE on Conflict, seed 0"), which no link should
    depend on; this one writes the name.
    """
    asked = st.query_params.get(key)
    _take_up(key, asked, asked if asked in names else None)
    if st.session_state.get(key) not in names:
        st.session_state[key] = default
    chosen = str(control(label, names, key=key, format_func=as_read(title), persist_state="session", **arguments))
    _write_down(key, asked, chosen, default)
    return chosen


def url_choices(
    label: str, names: Sequence[str], key: str, title: Callable[[str], str] = str, **arguments: Any
) -> list[str]:
    """A multiselect whose value is the query parameter `key`: names with commas between, unknown ones ignored."""
    asked = st.query_params.get(key)
    known = [name for name in dict.fromkeys((asked or "").split(",")) if name in names]
    _take_up(key, asked, known or None)
    st.session_state[key] = [name for name in st.session_state.get(key, ()) if name in names]
    chosen = list(
        st.multiselect(label, names, key=key, format_func=as_read(title), persist_state="session", **arguments)
    )
    _write_down(key, asked, ",".join(chosen), "")
    return chosen


def url_integer(
    label: str, low: int, high: int, default: int, key: str, name: str | None = None, **arguments: Any
) -> int:
    """A field for a whole number whose value is the query parameter `name`, or else `key`, by the same rules.

    Streamlit's own binding ends in a traceback at ?seed=1e400.
    """
    asked = st.query_params.get(name or key)
    digits = asked is not None and asked.isascii() and asked.isdecimal() and len(asked) <= len(str(high))
    number = int(asked) if asked is not None and digits else None
    _take_up(key, asked, number if number is not None and low <= number <= high else None)
    if key not in st.session_state:
        st.session_state[key] = default
    chosen = int(st.number_input(label, low, high, step=1, key=key, persist_state="session", **arguments))
    _write_down(key, asked, str(chosen), str(default), name)
    return chosen


def _take_up(key: str, asked: str | None, value: object) -> None:
    """What a link, or another page's button, has put into the URL since it was last written here."""
    if value is not None and asked != st.session_state.get(f"{key}.in_url"):
        st.session_state[key] = value


def _write_down(key: str, asked: str | None, chosen: str, default: str, name: str | None = None) -> None:
    if chosen == default:
        st.query_params.pop(name or key, None)
    elif asked != chosen:
        st.query_params[name or key] = chosen
    st.session_state[f"{key}.in_url"] = None if chosen == default else chosen
