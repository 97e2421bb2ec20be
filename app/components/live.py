"""Draws charts: live ones, whose rows are swapped in a view that stays, and plain ones."""

from __future__ import annotations

import altair
import streamlit as st

from app.charts.drawing import Drawing
from app.components.figure_files import remember
from app.figures import of_vega


def live_chart(drawing: Drawing, alt: str, key: str | None = None, *, fixed: bool = False) -> None:
    """Draw at the width of the container, or at the drawing's own where it is `fixed`; `alt` states the claim."""
    remember(of_vega(alt, drawing.to_dict))
    st.vega_lite_chart(spec=drawing.spec(), width="content" if fixed else "stretch", alt=alt, key=key)


def plain_chart(chart: altair.LayerChart | altair.FacetChart, alt: str) -> None:
    """Draw a chart of data that stay as they are, at the width of the container."""
    remember(of_vega(alt, chart.to_dict))
    st.altair_chart(chart, width="stretch", alt=alt)
