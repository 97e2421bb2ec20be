"""How runs are told apart on one chart: by number, by dash and by mark, never by hue, which belongs to the tasks."""

from __future__ import annotations

from app.i18n import mark

#: Most runs on one page.
MOST_RUNS = 6
#: By run, as Vega and as Plotly write them.
VEGA_DASHES = ([1, 0], [6, 3], [2, 2], [9, 3, 2, 3], [12, 4], [4, 1.5])
PLOTLY_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
VEGA_SHAPES = ("circle", "triangle-up", "square", "diamond", "cross", "triangle-down")
PLOTLY_SHAPES = ("circle", "triangle-up", "square", "diamond", "cross", "triangle-down")
#: In words, for captions.
WORDS = (
    mark("solid"), mark("dashed"), mark("dotted"), mark("dash-dot"), mark("long dashes"), mark("short dashes"),
)  # fmt: skip
MARKS = (
    mark("circles"), mark("triangles"), mark("squares"), mark("diamonds"), mark("crosses"), mark("hanging triangles"),
)  # fmt: skip
