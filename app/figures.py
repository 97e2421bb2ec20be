"""Figures as files: SVG and PNG for papers and slides, HTML with what a pointer shows. No Streamlit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.charts.svg import as_file

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Of charts that are as wide as their card on the page.
WIDTH = 680
#: Pixels of a PNG per unit of the picture: sharp on slides.
PNG_SCALE = 2
THEME: dict[str, Any] = {
    "background": "#FFFFFF",
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#E3E6EA", "domainColor": "#80868F", "tickColor": "#80868F", "labelColor": "#3C4148"},
}


@dataclass(frozen=True)
class Figure:
    """One picture of a page, and how to make files of it: when they are asked for, for that takes up to seconds."""

    #: Its alt text: what it is, then what it says.
    alt: str
    svg: Callable[[], str]
    html: Callable[[], str]

    def png(self) -> bytes:
        """The picture as pixels, on white."""
        return png(self.svg())


def png(svg: str) -> bytes:
    """Any picture as pixels, letters and all."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(svg, scale=PNG_SCALE))


def of_vega(alt: str, spec: Callable[[], dict[str, Any]]) -> Figure:
    """A Vega-Lite specification with its rows in it."""

    def text() -> str:
        found = spec()
        # A chart that fills its card on the page has no width of its own.
        sized = found if "width" in found or "facet" in found else {**found, "width": WIDTH}
        return json.dumps(_known({**sized, "config": {**THEME, **found.get("config", {})}}), allow_nan=False)

    def svg() -> str:
        import vl_convert

        return str(vl_convert.vegalite_to_svg(text()))

    def html() -> str:
        import vl_convert

        return str(vl_convert.vegalite_to_html(text(), bundle=True))

    return Figure(alt, svg, html)


def of_plotly(alt: str, figure: go.Figure, svg: Callable[[], str]) -> Figure:
    """A Plotly figure: its page carries the library, so it opens anywhere; `svg` draws the same as a plain picture."""
    return Figure(alt, lambda: as_file(svg()), lambda: str(figure.to_html(include_plotlyjs=True, full_html=True)))


def _known(value: Any) -> Any:
    """JSON has no numbers that are none: they become null."""
    if isinstance(value, dict):
        return {name: _known(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_known(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
