"""Which language a person reads: in the link, else as their browser says; and the control that changes it."""

from __future__ import annotations

import json
import threading

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app import i18n
from app.i18n import tr

#: In the link, and in the session: what was chosen there or by the control; and what is shown.
CHOSEN, SHOWN = "lang", "language.shown"
CONTROL = "language"
#: Remembers the answer for a script's thread: texts ask hundreds of times per run, and the session takes 10 µs.
_here = threading.local()


def session_language() -> str:
    """The language of the session whose script runs in this thread; English where none does."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        return i18n.ENGLISH
    if getattr(_here, "context", None) is not context:
        _remember(st.session_state.get(SHOWN, i18n.ENGLISH))
    return str(_here.language)


def _remember(language: str) -> None:
    _here.context, _here.language = get_script_run_ctx(suppress_warning=True), language


def settle_language() -> None:
    """At the head of every run: take the language up from the link, which carries it from then on to every page."""
    i18n.listen_to(session_language)
    asked = st.query_params.get(CHOSEN)
    if asked in i18n.languages():
        st.session_state[CHOSEN] = asked
    usual = i18n.nearest(st.context.locale)
    shown = str(st.session_state.get(CHOSEN, usual))
    if st.session_state.get(SHOWN, shown) != shown:
        _show_anew()
    st.session_state[SHOWN] = shown
    _remember(shown)
    # English goes without saying, unless the browser says otherwise.
    written = st.session_state.get(CHOSEN) if (shown, usual) != (i18n.ENGLISH, i18n.ENGLISH) else None
    if written is None:
        st.query_params.pop(CHOSEN, None)
    elif asked != written:
        st.query_params[CHOSEN] = written


def tell_the_browser() -> None:
    """The page's language, for screen readers, spelling and translation by the browser: Streamlit says English."""
    tag = i18n.language().replace("_", "-")
    with st.container(key="unseen"):
        st.html(f"<script>document.documentElement.lang = {json.dumps(tag)};</script>", unsafe_allow_javascript=True)


def language_control() -> None:
    """A menu in the corner of the page, where `page.css` puts it; nothing where there is one language only."""
    names = i18n.languages()
    if len(names) > 1:
        st.menu_button(
            names[i18n.language()], list(names), format_func=names.__getitem__, key=CONTROL, type="tertiary",
            icon=":material/translate:", help=tr("Language"), on_click=_choose,
        )  # fmt: skip


def _choose() -> None:
    chosen = st.session_state[CONTROL]
    if chosen in i18n.languages():
        st.session_state[CHOSEN] = st.query_params[CHOSEN] = chosen


def _show_anew() -> None:
    """After a change of language: browsers hold choices by the names that were shown, and would send those back.

    By then nobody would know them. What is set before its control is drawn is sent to the browser once more.
    """
    for key, value in st.session_state.items():
        texts = value if isinstance(value, list) else [value]
        if key != CONTROL and all(isinstance(text, str) for text in texts):
            st.session_state[key] = value
