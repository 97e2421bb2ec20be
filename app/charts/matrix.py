"""Tables of numbers as colours: gate weights, the likeness of experts, what an expert that is off costs. Altair."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import pandas as pd

from app.charts.curves import shortened
from app.charts.drawing import Drawing, template
from app.charts.labels import letters, wrapped
from app.charts.order import drawing_order
from app.charts.palette import QUIET, expert_colour, pale
from app.core_texts import gate_name
from app.i18n import by_language, mark, tr
from mtl_core.events import GateSummary
from mtl_core.trunks.wiring import Wiring, gate_key

Bounds = tuple[float, float]
#: Height of a row, of one of many, and of a further line of a name, in pixels.
ROW, LOW_ROW, LINE = 36, 20, 14
#: Rows are low from so many on.
MANY_ROWS = 8
#: From so many columns on, words do not fit into cells any more and names stand upright; from so many on, not even
#: numbers fit.
CROWDED, WORDLESS = 9, 15
#: From so many on, a cell's words stand below each other.
NARROW = 6
#: Cells of one table.
MOST_CELLS = 1500
#: Height of the colours' key.
KEY = 84
#: Letters of an upright name, and the width of one.
NAME_LETTERS, LETTER = 14, 6.4
#: Where on Cividis black letters begin to read better than white ones.
LETTERS_TURN = 0.46
#: Colours of losses and gains.
BELOW, ABOVE = "#D55E00", "#0072B2"
INVISIBLE = mark("not visible")


def bounds(summaries: Sequence[Mapping[str, GateSummary]]) -> Bounds:
    """The one scale of all these gates: 0..1, and as far beyond as any of them reaches."""
    ends = [(gate.low, gate.high) for gates in summaries for gate in gates.values()]
    return min([0.0, *(round(low, 1) for low, _ in ends)]), max([1.0, *(round(high, 1) for _, high in ends)])


def matrix(
    rows: Sequence[tuple[str, str]],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    scale: Bounds,
    *,
    what: str,
    missing: str | None = None,
    extent: int = 0,
    diverging: bool = False,
    root: bool = False,
) -> Drawing:
    """A table of numbers as colours, every number written out where there is room for it.

    Args:
        rows: (label, colour of the label).
        columns: labels.
        values: [rows][columns]; None is no number, and never drawn as 0.
        scale: the ends of the colours, the same wherever matrices are compared.
        what: what the numbers are, for the tooltip.
        missing: what is written where there is none, unless it is that a gate does not see an expert.
        extent: least width of the rows' labels in pixels, so that matrices below each other have their columns so.
        diverging: numbers around 0 with one digit and a sign: orange below, blue above. Else as dark as they are low.
        root: where there is no room for numbers, colours follow their root: many experts share one whole.
    """
    low, high = scale
    count = len(columns)
    hole = tr(INVISIBLE) if missing is None else missing
    words = hole if count < CROWDED else ""

    def ink(value: float) -> str:
        # Cividis grows from dark blue to yellow; losses and gains are never so dark that black would not read.
        dark = not diverging and (value - low) / (high - low) < LETTERS_TURN
        return "#FFFFFF" if dark else "#000000"

    cells = [
        {
            "row": row,
            "column": column,
            "value": value,
            "text": words if value is None else _number(value, count, diverging),
            "ink": QUIET if value is None else ink(value),
        }
        for (row, _), line in zip(rows, values, strict=True)
        for column, value in zip(columns, line, strict=True)
    ]
    frame = pd.DataFrame(cells, columns=["row", "column", "value", "text", "ink"])
    drawn = _matrix_template(tuple(rows), tuple(columns), scale, what, extent, diverging, root)
    holes = hole and not words and any(value is None for line in values for value in line)
    return Drawing(drawn, {"cells": frame}, tr("Empty cell: {what}.", what=hole) if holes else "")


def _number(value: float, columns: int, signed: bool) -> str:
    if columns >= WORDLESS:
        return ""
    text = (f"{value:+.1f}" if round(value, 1) else "0.0") if signed else f"{value:.2f}"
    if columns >= CROWDED and not signed:
        text = text.replace("0.", ".", 1)
    return text.replace("-", "\u2212")


@by_language(maxsize=128)
def _matrix_template(
    rows: tuple[tuple[str, str], ...],
    columns: tuple[str, ...],
    scale: Bounds,
    what: str,
    extent: int,
    diverging: bool,
    root: bool,
) -> dict[str, Any]:
    crowded, wordless = len(columns) >= CROWDED, len(columns) >= WORDLESS
    colours = [{"test": f"datum.value === {row!r}", "value": colour} for row, colour in rows]
    y = alt.Y(
        "row:N",
        sort=[row for row, _ in rows],
        scale=alt.Scale(domain=[row for row, _ in rows]),
        axis=alt.Axis(
            title=None, ticks=False, domain=False, labelFontSize=12, labelFontWeight="bold", labelLimit=150,
            labelOverlap=False,
            minExtent=extent, labelColor={"condition": colours, "value": QUIET},
        ),
    )  # fmt: skip
    # Cut for the eye alone: shortened names need not differ.
    names = {
        column: [shortened(column, NAME_LETTERS)] if crowded else wrapped(column).split("\n") for column in columns
    }
    head = LINE * max(map(len, names.values())) + 20
    if crowded:
        head = 20 + round(LETTER * max(letters(shortened(column, NAME_LETTERS)) for column in columns))
    x = alt.X(
        "column:N",
        sort=list(columns),
        scale=alt.Scale(domain=list(columns)),
        axis=alt.Axis(
            title=None,
            orient="top",
            ticks=False,
            domain=False,
            labelAngle=-90 if crowded else 0,
            labelFontSize=11 if crowded else 12,
            labelLimit=0 if crowded else 90,
            labelOverlap=not crowded,
            labelExpr=f"({json.dumps(names)})[datum.label]",
            labelLineHeight=LINE,
        ),
    )
    tooltip = [
        alt.Tooltip("row:N", title=tr("row")),
        alt.Tooltip("column:N", title=tr("column")),
        alt.Tooltip("value:Q", title=what, format="+.2f" if diverging else ".3f"),
    ]
    base = alt.Chart(alt.NamedData("cells"))
    # Without numbers in the cells the colours need a key.
    key = alt.Legend(title=what, orient="bottom", direction="horizontal", gradientLength=180) if wordless else None
    colour = alt.Scale(domain=list(scale), scheme="cividis", clamp=True)
    if diverging:
        colour = alt.Scale(domain=[scale[0], 0, scale[1]], range=[pale(BELOW, 0.9), "#F2F2F2", pale(ABOVE, 0.9)])
    elif root and wordless and scale[0] == 0:
        colour = alt.Scale(domain=list(scale), scheme="cividis", clamp=True, type="sqrt")
    # Fill, and not colour, which the letters have: layers share a channel's scale.
    fill = alt.Fill("value:Q", scale=colour, legend=key)
    filled = base.transform_filter("isValid(datum.value)").mark_rect(stroke="white").encode(x, y, fill, tooltip=tooltip)
    empty = (
        base.transform_filter("!isValid(datum.value)")
        .mark_rect(fillOpacity=0, stroke=QUIET, strokeDash=[3, 3], strokeOpacity=0.5)
        .encode(x, y, tooltip=tooltip[:2])
    )
    texts = (
        base.transform_filter("isValid(datum.value) && datum.text !== ''")
        .mark_text(fontSize=11 if crowded else 13, fontWeight="bold")
        .encode(x, y, text="text:N", color=alt.Color("ink:N", scale=None), tooltip=tooltip)
    )
    holes = (
        base.transform_filter("!isValid(datum.value) && datum.text !== ''")
        .mark_text(fontSize=10, baseline="middle", lineHeight=10, **_broken(len(columns)))
        .encode(x, y, text="text:N", color=alt.Color("ink:N", scale=None))
    )
    row = ROW if len(rows) < MANY_ROWS else LOW_ROW
    return template(
        alt.layer(filled, empty, texts, holes).properties(height=row * len(rows) + head + (KEY if wordless else 0))
    )


def _broken(columns: int) -> dict[str, Any]:
    """How a text mark writes words into a narrow cell: one below the other."""
    return {"lineBreak": " ", "dy": -5} if columns >= NARROW else {}


def gate_matrix(wiring: Wiring, gates: Mapping[str, GateSummary], level: int, scale: Bounds) -> Drawing:
    """Mean weights of one level: a row per gate, a column per expert."""
    chosen = wiring.levels[level - 1]
    means = {
        g: summary.mean for g, gate in enumerate(chosen.gates) if (summary := gates.get(gate_key(level, gate.name)))
    }
    order, most = drawing_order(chosen), max(1, MOST_CELLS // len(chosen.gates))
    kept = set(sorted(order, key=lambda e: -max((abs(mean[e]) for mean in means.values()), default=0.0))[:most])
    drawn = [e for e in order if e in kept]
    values: list[list[float | None]] = []
    for g, gate in enumerate(chosen.gates):
        values.append([means[g][e] if g in means and e in gate.sees else None for e in drawn])
    rows = [(gate_name(gate), expert_colour(gate.owner)) for gate in chosen.gates]
    drawing = matrix(rows, [chosen.experts[e].name for e in drawn], values, scale, what=tr("mean weight"), root=True)
    if len(drawn) == len(order):
        return drawing
    left_out = tr("Drawn: the {n} of {all} experts that a gate weighs most.", n=len(drawn), all=len(order))
    note = tr("{before} {after}", before=drawing.note, after=left_out) if drawing.note else left_out
    return replace(drawing, note=note)
