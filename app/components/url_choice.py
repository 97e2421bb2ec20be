"""A choice that is kept in the URL by its plain name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st


def url_choice(
    label: str, names: Sequence[str], default: str, key: str, title: Callable[[str], str] = str, **arguments: Any
) -> str:
    """A selectbox whose value is the query parameter `key`: left out for the default, ignored when unknown.

    Streamlit's own binding writes what people read into the URL ("MMoE on Conflict, seed 0"), which no link should
    depend on; this one writes the name.
    """
    asked, seen = st.query_params.get(key), f"{key}.in_url"
    # A link, or another page's button, has changed the URL since it was last written here.
    if asked in names and asked != st.session_state.get(seen):
        st.session_state[key] = asked
    if st.session_state.get(key) not in names:
        st.session_state[key] = default
    chosen = str(st.selectbox(label, names, key=key, format_func=title, persist_state="session", **arguments))
    if chosen == default:
        st.query_params.pop(key, None)
    elif asked != chosen:
        st.query_params[key] = chosen
    st.session_state[seen] = None if chosen == default else chosen
    return chosen
