"""Pictures of a data set: label rates, correlation, overlap, the funnel, one feature against one label (Altair)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from app.charts.labels import letters
from app.charts.palette import QUIET, pale, task_colours
from app.data_summary import ALL_ROWS, MISSING, OTHER
from app.gains import signed
from app.i18n import tr

#: Letters on a pale cell, and a cell without a colour of its own: both read in both themes.
INK, BLANK = "#1B1E23", "#DADADA"
#: A table of more tasks goes without its diagonal.
MOST_WITH_DIAGONAL = 30
#: What stands in a cell that has no value.
NONE = "\u2013"
LINE_HEIGHT = 14


def label_rates(labels: pd.DataFrame, tasks: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    """Share of positives per binary task, each in its own sample space."""
    colours = task_colours(tasks)
    binary = labels[labels["kind"] == "binary"]
    y = alt.Y("task:N", sort=list(tasks), axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=13))
    x = alt.X(
        "rate:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title=tr("share of positives"), format="%", tickCount=5)
    )
    colour = alt.Color("task:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    tooltip = [
        alt.Tooltip("task:N", title=tr("task")),
        alt.Tooltip("rate:Q", title=tr("rate"), format=".2%"),
        alt.Tooltip("rows:Q", title=tr("rows"), format=","),
    ]
    counts = zip(binary["rate"], binary["rows"], strict=True)
    said = [tr("{share:.1%} of {rows:,}", share=rate, rows=rows) for rate, rows in counts]
    base = alt.Chart(binary.assign(text=said))
    bars = base.mark_bar(height={"band": 0.55}).encode(x, y, colour, tooltip=tooltip)
    text = base.mark_text(align="left", dx=6, fontSize=12).encode(
        x, y, text="text:N", color=alt.value(QUIET), tooltip=tooltip
    )
    return alt.layer(bars, text).properties(height=50 + 40 * max(len(binary), 1))


def label_correlation(correlation: pd.DataFrame, tasks: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    """Pearson correlation of every two labels, over the rows that both tasks have."""
    # Orange against blue, pale at zero: reads in greyscale by its number and for colour-blind readers by its hue.
    scale = alt.Scale(domain=[-1, 0, 1], range=[pale("#D55E00", 0.8), "#F2F2F2", pale("#0072B2", 0.8)])
    tooltip: list[str | alt.Tooltip] = ["a:N", "b:N"]
    tooltip.append(alt.Tooltip("correlation:Q", title=tr("correlation"), format="+.3f"))
    tooltip.append(alt.Tooltip("rows:Q", title=tr("rows"), format=","))
    if len(tasks) > MOST_WITH_DIAGONAL:
        correlation = correlation[correlation["a"] != correlation["b"]]
    values = correlation["correlation"]
    drawn = correlation.assign(text=[NONE if pd.isna(value) else signed(value, 2) for value in values])
    return _matrix(drawn, tasks, "correlation", scale, tooltip)


def label_overlap(overlap: pd.DataFrame, tasks: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    """Of the rows with the label at the left, the share that has the label below too, and how many rows these are."""
    present = [name for name in tasks if name in set(overlap["a"])]
    text = [
        NONE if pd.isna(given) else f"{given:.1%}|{both:,}"
        for given, both in zip(overlap["given"], overlap["both"], strict=True)
    ]
    itself = pd.DataFrame({"a": present, "b": present, "text": ""}) if len(present) <= MOST_WITH_DIAGONAL else None
    told = overlap.assign(text=text)
    drawn = told if itself is None else pd.concat([told, itself], ignore_index=True)
    tooltip = [
        alt.Tooltip("a:N", title=tr("of the rows with")),
        alt.Tooltip("b:N", title=tr("have too")),
        alt.Tooltip("given:Q", format=".2%", title=tr("share")),
        alt.Tooltip("both:Q", format=",", title=tr("rows with both")),
        alt.Tooltip("positive:Q", format=",", title=tr("rows with the first")),
        alt.Tooltip("rows:Q", format=",", title=tr("rows that know both")),
        alt.Tooltip("share:Q", format=".2%", title=tr("both, of those")),
        alt.Tooltip("jaccard:Q", format=".3f", title=tr("both, of either (Jaccard)")),
    ]
    scale = alt.Scale(domain=[0, 1], range=["#F2F2F2", pale("#0072B2", 0.8)])
    return _matrix(
        drawn, present, "given", scale, tooltip,
        row=_around_label(tr("of {task} rows", task="|")), column=_around_label(tr("also {task}", task="|")), lines=2,
    )  # fmt: skip


def _around_label(text: str) -> str:
    """An expression of Vega: the text with the label where the bar stands."""
    before, after = (json.dumps(part, ensure_ascii=False) for part in text.split("|"))
    return f"{before} + datum.label + {after}"


def _matrix(
    cells: pd.DataFrame, tasks: Sequence[str], field: str, scale: alt.Scale, tooltip: Sequence[str | alt.Tooltip],
    *, row: str = "datum.label", column: str = "datum.label", lines: int = 1,
) -> alt.LayerChart | alt.FacetChart:  # fmt: skip
    """Task against task: `a` is the row, `b` the column, `field` the colour, `text` what it says ("|": new line)."""
    base = alt.Chart(cells)
    quiet: dict[str, Any] = {"title": None, "ticks": False, "domain": False, "labelLimit": 130, "labelOverlap": False}
    slanted = len(tasks) > 4 or max(map(letters, tasks)) * len(tasks) > 44
    x = alt.X("b:N", sort=list(tasks), axis=alt.Axis(labelExpr=column, labelAngle=-40 if slanted else 0, **quiet))
    y = alt.Y("a:N", sort=list(tasks), axis=alt.Axis(labelExpr=row, **quiet))
    shade = alt.Color(f"{field}:Q", scale=scale, legend=None)
    square: dict[str, Any] = {"stroke": "white", "strokeWidth": 2}
    # Vega leaves out marks whose colour has no value: these cells are drawn apart, or they would be holes.
    valid = base.transform_filter(f"isValid(datum.{field})").mark_rect(**square).encode(x, y, shade, tooltip=tooltip)
    blank = base.transform_filter(f"!isValid(datum.{field})").mark_rect(color=BLANK, **square).encode(x, y)
    style: dict[str, Any] = {
        "fontSize": 12,
        "color": INK,
        "lineBreak": "|",
        "lineHeight": LINE_HEIGHT,
        "baseline": "middle",
    }
    text = base.mark_text(dy=-LINE_HEIGHT * (lines - 1) / 2, **style).encode(x, y, text="text:N")
    height = (90 if slanted else 60) + (20 + LINE_HEIGHT * lines) * len(tasks)
    return alt.layer(blank, valid, text).properties(height=height)


def funnel(steps: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """From all rows inwards: bars that narrow, with counts and the share of the step that each comes after."""
    shown = [tr(ALL_ROWS) if step == ALL_ROWS else step for step in steps["step"]]
    before = [tr(ALL_ROWS) if step == ALL_ROWS else step for step in steps["after"]]
    names = [
        tr("{step}  {rows:,} ({share} of {after})", step=step, rows=n, share=_percent(share), after=after)
        if after
        else f"{step}  {n:,}"
        for step, after, n, share in zip(shown, before, steps["rows"], steps["share"], strict=True)
    ]
    drawn = steps.assign(half=steps["rows"] / 2, low=-steps["rows"] / 2, name=names, step=shown)
    y = alt.Y(
        "name:N", sort=names, axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=13, labelLimit=260)
    )
    tooltip = [
        alt.Tooltip("step:N", title=tr("step")),
        alt.Tooltip("rows:Q", title=tr("rows"), format=","),
        alt.Tooltip("share:Q", format=".2%", title=tr("of the step it comes after")),
    ]
    bars = (
        alt.Chart(drawn)
        .mark_bar(color=pale(QUIET, 0.6), height={"band": 0.7})
        .encode(alt.X("low:Q", axis=None), alt.X2("half:Q"), y, tooltip=tooltip)
    )
    return alt.layer(bars).properties(height=40 + 34 * len(steps))


def _percent(share: float) -> str:
    return NONE if pd.isna(share) else f"{share:.1%}"


def feature_against_label(
    rows: pd.DataFrame, feature: str, label: str, colour: str, *, share: bool, ordered: bool
) -> alt.LayerChart | alt.FacetChart:
    """How many rows have each value (bars), and the mean label with its 95% interval (dots).

    Args:
        label: what the right axis is called.
        share: the label is binary, its mean a share.
        ordered: the values have an order, which a line follows; special groups such as "(missing)" stand aside.
    """
    base = alt.Chart(rows)
    form = "%" if share else ""
    x = alt.X(
        "value:N", sort=list(rows["value"]),
        axis=alt.Axis(title=feature, labelAngle=-40, labelLimit=110, ticks=False, labelOverlap=ordered),
    )  # fmt: skip
    tooltip = [
        alt.Tooltip("value:N", title=tr("value")),
        alt.Tooltip("rows:Q", title=tr("rows"), format=","),
        alt.Tooltip("rate:Q", format=".2%" if share else ".3f", title=label),
        alt.Tooltip("low:Q", format=".2%" if share else ".3f", title=tr("95% from")),
        alt.Tooltip("high:Q", format=".2%" if share else ".3f", title=tr("to")),
    ]
    bars = base.mark_bar(color=pale(QUIET, 0.45)).encode(
        x, alt.Y("rows:Q", axis=alt.Axis(title=tr("rows"), grid=False)), tooltip=tooltip
    )
    y = alt.Y(
        "rate:Q", axis=alt.Axis(title=label, titleColor=colour, format=form, grid=False), scale=alt.Scale(zero=share)
    )
    parts: list[alt.Chart] = []
    if ordered:
        line = base.transform_filter(f"datum.value !== '{tr(MISSING)}' && datum.value !== '{tr(OTHER)}'")
        parts.append(line.mark_line(color=colour, strokeWidth=2).encode(x, y))
    parts.append(base.mark_rule(color=colour, strokeWidth=1.5).encode(x, alt.Y("low:Q"), alt.Y2("high:Q")))
    parts.append(base.mark_point(color=colour, filled=True, size=45, opacity=1).encode(x, y, tooltip=tooltip))
    layers: alt.LayerChart = alt.layer(bars, alt.layer(*parts)).resolve_scale(y="independent")
    return layers.properties(height=320)
