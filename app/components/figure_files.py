"""What a card shows, to take along: every chart drawn inside it as SVG, PNG and HTML."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from app.figures import Figure
from app.i18n import as_read, tr

_drawn = threading.local()


def remember(figure: Figure) -> None:
    """Whoever draws a chart says so; outside of any card it is not offered."""
    getattr(_drawn, "figures", []).append(figure)


@contextmanager
def offered(stem: str, about: str = "", key: str | None = None) -> Iterator[None]:
    """Below what is drawn inside: a small button that opens the files of it.

    Args:
        stem: what the files' names begin with.
        about: what the charts' alt texts begin with and the card says already.
        key: tells the buttons of a page apart; the stem, if not given.
    """
    key = key or stem
    outer, _drawn.figures = getattr(_drawn, "figures", []), []
    try:
        yield
        figures: list[Figure] = _drawn.figures
    finally:
        _drawn.figures = outer
    if not figures:
        return
    # Its content is drawn once it is open: most cards are only looked at.
    popover = st.popover(tr("Save"), icon=":material/download:", type="tertiary", key=f"save.{key}", on_change="rerun")
    if not popover.open:
        return
    with popover:
        for number, figure in enumerate(figures, start=1):
            st.caption(_named(figure.alt.removeprefix(about).lstrip(". 。")))
            _files(figure, f"save.{key}.{number}", _slug(stem if len(figures) == 1 else f"{stem}-{number}"))


def _files(figure: Figure, key: str, stem: str) -> None:
    with st.container(horizontal=True):
        for kind, mime, make in (
            ("SVG", "image/svg+xml", figure.svg),
            ("PNG", "image/png", figure.png),
            ("HTML", "text/html", figure.html),
        ):
            st.download_button(
                kind, as_read(make), f"{stem}.{kind.lower()}", mime, key=f"{key}.{kind}", icon=":material/download:",
                on_click="ignore",
            )  # fmt: skip


def _named(alt: str) -> str:
    """What a chart is, without what it says: the first sentence of its alt text."""
    return re.split(r"[.。:：]\s*", alt, maxsplit=1)[0]


def _slug(name: str) -> str:
    return re.sub(r"[^\w]+", "-", name).strip("-").lower()
