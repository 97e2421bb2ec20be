"""Draws a live chart: rows are swapped in a view that stays."""

from __future__ import annotations

import streamlit as st

from app.charts.drawing import Drawing


def live_chart(drawing: Drawing, alt: str, key: str | None = None, *, fixed: bool = False) -> None:
    """Draw at the width of the container, or at the drawing's own where it is `fixed`; `alt` states the claim."""
    st.vega_lite_chart(spec=drawing.spec(), width="content" if fixed else "stretch", alt=alt, key=key)
