"""Draws a live chart: rows are swapped in a view that stays."""

from __future__ import annotations

import streamlit as st

from app.charts.drawing import Drawing


def live_chart(drawing: Drawing, alt: str, key: str | None = None) -> None:
    """Draw at the width of the container; `alt` states the chart's claim."""
    st.vega_lite_chart(spec=drawing.spec(), width="stretch", alt=alt, key=key)
