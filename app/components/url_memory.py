"""What the page last wrote into the URL of each control, and so what in it is news: a link's, or another page's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st


@dataclass(frozen=True)
class _Written:
    """How a control stood when the page last drew it: what it held, and what the URL said before and after."""

    held: Any
    texts: tuple[str | None, str | None]


def is_known(control: str, asked: str | None) -> bool:
    """Does this text come from the last writing, before or after it?"""
    last = _written().get(control)
    return last is not None and asked in last.texts


def is_news(control: str, asked: str | None, held: Any) -> bool:
    """Has a link, or another page's button, put this text into the URL since it was last written here?

    Whoever moves a control fast sends its next value with the URL of the one before, and may end a run of the page
    half way: a control that has just been moved is right, and neither of the texts about the last writing is news.
    """
    last = _written().get(control)
    return last is None or (asked not in last.texts and held == last.held)


def write(control: str, name: str, text: str | None, held: Any) -> None:
    """The parameter of this name says the text, or nothing.

    Args:
        control: whose it is.
        name: of the parameter.
        text: None: the control's default.
        held: what the control holds.
    """
    asked = st.query_params.get(name)
    _written()[control] = _Written(held, (asked, text))
    if text is None:
        st.query_params.pop(name, None)
    elif asked != text:
        st.query_params[name] = text
    # It got this far: from now on the text before is news again, as a browser's way back.
    _written()[control] = _Written(held, (text, text))


def forget(control: str) -> None:
    """Its next text is news, whatever it is."""
    _written().pop(control, None)


def _written() -> dict[str, _Written]:
    """By control. One entry of the session: Streamlit looks through all of them for every control that it draws."""
    found: dict[str, _Written] = st.session_state.setdefault("url.written", {})
    return found
