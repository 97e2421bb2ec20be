"""Pictures of a data set: label rates, correlation, overlap, the funnel, one feature against one label (Altair)."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from app.charts.palette import QUIET, pale, task_colours

#: Letters on a pale cell, and a cell without a colour of its own: both read in both themes.
INK, BLANK = "#1B1E23", "#DADADA"
#: What stands in a cell that has no value.
NONE = "\u2013"


def label_rates(labels: pd.DataFrame, tasks: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    """Share of positives per binary task, each in its own sample space."""
    colours = task_colours(tasks)
    binary = labels[labels["kind"] == "binary"]
    y = alt.Y("task:N", sort=list(tasks), axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=13))
    x = alt.X(
        "rate:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="share of positives", format="%", tickCount=5)
    )
    colour = alt.Color("task:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    tooltip = ["task:N", alt.Tooltip("rate:Q", format=".2%"), alt.Tooltip("rows:Q", format=",")]
    base = alt.Chart(binary)
    bars = base.mark_bar(height={"band": 0.55}).encode(x, y, colour, tooltip=tooltip)
    text = (
        base.transform_calculate(text="format(datum.rate, '.1%') + ' of ' + format(datum.rows, ',')")
        .mark_text(align="left", dx=6, fontSize=12)
        .encode(x, y, text="text:N", color=alt.value(QUIET), tooltip=tooltip)
    )
    return alt.layer(bars, text).properties(height=50 + 40 * max(len(binary), 1))


def label_correlation(correlation: pd.DataFrame, tasks: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    """Pearson correlation of every two labels, over the rows that both tasks have."""
    # Orange against blue, pale at zero: reads in greyscale by its number and for colour-blind readers by its hue.
    scale = alt.Scale(domain=[-1, 0, 1], range=[pale("#D55E00", 0.8), "#F2F2F2", pale("#0072B2", 0.8)])
    tooltip = ["a:N", "b:N", alt.Tooltip("correlation:Q", format="+.3f"), alt.Tooltip("rows:Q", format=",")]
    drawn = correlation.assign(
        text=[NONE if pd.isna(value) else f"{value:+.2f}" for value in correlation["correlation"]]
    )
    return _matrix(drawn, tasks, alt.Color("correlation:Q", scale=scale, legend=None), tooltip, (None, None))


def label_overlap(overlap: pd.DataFrame, tasks: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    """Of the rows with the label at the left, the share (and count) that has the label at the bottom too."""
    scale = alt.Scale(domain=[0, 1], range=["#F2F2F2", pale("#0072B2", 0.8)])
    present = [name for name in tasks if name in set(overlap["a"])]
    own = pd.DataFrame({"a": present, "b": present, "text": ""})
    drawn = pd.concat([overlap.assign(text=[_share_and_count(row) for _, row in overlap.iterrows()]), own])
    tooltip = [
        alt.Tooltip("a:N", title="of the rows with"),
        alt.Tooltip("b:N", title="have too"),
        alt.Tooltip("given:Q", format=".2%", title="share"),
        alt.Tooltip("both:Q", format=",", title="rows with both"),
        alt.Tooltip("positive:Q", format=",", title="rows with the first"),
        alt.Tooltip("rows:Q", format=",", title="rows that know both"),
        alt.Tooltip("share:Q", format=".2%", title="both, of those"),
        alt.Tooltip("jaccard:Q", format=".3f", title="Jaccard: both, of either"),
    ]
    shade = alt.Color("given:Q", scale=scale, legend=None)
    # Vega's own field names: a is the row, b the column.
    return _matrix(drawn.rename(columns={"a": "b", "b": "a"}), present, shade, _swapped(tooltip), ("have too", "of rows with"))


def label_correlation(correlation: pd.DataFrame, tasks: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    """Pearson correlation of every two labels, over the rows that both tasks have."""
    base = alt.Chart(correlation)
    x = alt.X("a:N", sort=list(tasks), axis=alt.Axis(title=None, labelAngle=0, ticks=False, domain=False))
    y = alt.Y("b:N", sort=list(tasks), axis=alt.Axis(title=None, ticks=False, domain=False))
    # Orange against blue, pale at zero: reads in greyscale by its number and for colour-blind readers by its hue.
    scale = alt.Scale(domain=[-1, 0, 1], range=[pale("#D55E00", 0.8), "#F2F2F2", pale("#0072B2", 0.8)])
    tooltip = ["a:N", "b:N", alt.Tooltip("correlation:Q", format="+.3f"), alt.Tooltip("rows:Q", format=",")]
    shade = alt.Color("correlation:Q", scale=scale, legend=None)
    # An undefined one is grey, not a hole: the letters on it read in both themes.
    colour = alt.condition("isValid(datum.correlation)", shade, alt.value("#DADADA"))
    cells = base.mark_rect(stroke="white", strokeWidth=2).encode(x, y, color=colour, tooltip=tooltip)
    text = (
        base.transform_calculate(text="isValid(datum.correlation) ? format(datum.correlation, '+.2f') : 'undefined'")
        .mark_text(fontSize=12, color="#1B1E23")
        .encode(x, y, text="text:N")
    )
    return alt.layer(cells, text).properties(height=60 + 34 * len(tasks))


def funnel(steps: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """From all rows to the last task: bars that narrow, with counts and the share of the step before."""
    of_last = (steps["rows"] / steps["rows"].shift()).fillna(1.0)
    names = [
        f"{step}  {n:,} ({share:.1%})" for step, n, share in zip(steps["step"], steps["rows"], of_last, strict=True)
    ]
    drawn = steps.assign(half=steps["rows"] / 2, low=-steps["rows"] / 2, of_last=of_last, name=names)
    y = alt.Y(
        "name:N", sort=names, axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=13, labelLimit=260)
    )
    tooltip = [
        "step:N",
        alt.Tooltip("rows:Q", format=","),
        alt.Tooltip("of_last:Q", format=".2%", title="of the step before"),
    ]
    bars = (
        alt.Chart(drawn)
        .mark_bar(color=pale(QUIET, 0.6), height={"band": 0.7})
        .encode(alt.X("low:Q", axis=None), alt.X2("half:Q"), y, tooltip=tooltip)
    )
    return alt.layer(bars).properties(height=40 + 44 * len(steps))


def feature_against_label(rows: pd.DataFrame, feature: str, task: str, colour: str) -> alt.LayerChart | alt.FacetChart:
    """How many rows have each value (bars) and what share of them is positive (line with dots)."""
    base = alt.Chart(rows)
    x = alt.X(
        "value:N", sort=list(rows["value"]),
        axis=alt.Axis(title=feature, labelAngle=-40, labelLimit=110, ticks=False, labelOverlap=True),
    )  # fmt: skip
    tooltip = [
        "value:N",
        alt.Tooltip("rows:Q", format=","),
        alt.Tooltip("rate:Q", format=".3f", title=f"mean of {task}"),
    ]
    bars = base.mark_bar(color=pale(QUIET, 0.45)).encode(
        x, alt.Y("rows:Q", axis=alt.Axis(title="rows", grid=False)), tooltip=tooltip
    )
    line = base.mark_line(color=colour, point=alt.OverlayMarkDef(color=colour, size=40), strokeWidth=2).encode(
        x,
        alt.Y("rate:Q", axis=alt.Axis(title=f"mean of {task}", titleColor=colour), scale=alt.Scale(zero=True)),
        tooltip=tooltip,
    )
    layers: alt.LayerChart = alt.layer(bars, line).resolve_scale(y="independent")
    return layers.properties(height=320)
