"""Did somebody just come to this page, by a link or from another one, or is it drawn again?"""

from __future__ import annotations

import streamlit as st

_LAST, _ARRIVED = "page.last", "page.arrived"


def note_page(path: str) -> None:
    """Before a page is drawn: which one it is."""
    st.session_state[_ARRIVED] = st.session_state.get(_LAST) != path
    st.session_state[_LAST] = path


def arrived() -> bool:
    """Is this the first time that the page is drawn since somebody came to it?"""
    return bool(st.session_state.get(_ARRIVED, True))
