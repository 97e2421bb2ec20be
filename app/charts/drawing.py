"""A live chart: an Altair chart built once per structure, and the rows that fill it.

Building and validating an Altair chart takes a hundred times as long as filling it, and Vega keeps its view, zoom and
all, as long as nothing but rows changes. So charts that tick are templates over named data.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd


@dataclass(frozen=True)
class Drawing:
    """A Vega-Lite specification over named data, and the data."""

    #: Shared between drawings: never to be changed.
    template: dict[str, Any]
    data: dict[str, pd.DataFrame]
    #: What the picture leaves out, for a line below it; "": nothing.
    note: str = ""

    def spec(self) -> dict[str, Any]:
        """The specification with its data frames, as `st.vega_lite_chart` takes it, which changes nothing inside."""
        return {**self.template, "datasets": self.data}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, rows as records: what a notebook, a file or a test reads."""
        rows = {name: frame.to_dict(orient="records") for name, frame in self.data.items()}
        return {**copy.deepcopy(self.template), "datasets": rows}


def template(chart: alt.LayerChart | alt.FacetChart | alt.Chart) -> dict[str, Any]:
    """A chart over named data as a specification; the theme is the page's, so Altair's own is left out."""
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)
    return spec
