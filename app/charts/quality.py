"""How good the predictions of several runs are: curves over the epochs (Altair, they follow the epoch slider), and ROC,
precision-recall and reliability on the test rows (Plotly: finished runs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.charts.curves import apart, marked_epochs, number_format
from app.charts.drawing import Drawing, template
from app.charts.palette import QUIET, hue
from app.charts.runs import PLOTLY_DASHES, PLOTLY_SHAPES, VEGA_DASHES, VEGA_SHAPES
from app.i18n import by_language, mark, tr

CURVE_COLUMNS = ["epoch", "value", "run"]
LABEL_HEIGHT = 0.1
#: Points of a line that are marked.
MOST_MARKED = 40
#: Most points of a whole figure.
MOST_POINTS = 1800

Kind = Literal["roc", "precision_recall", "reliability"]
AXES: dict[str, tuple[str, str]] = {
    "roc": (mark("false positive rate"), mark("true positive rate")),
    "precision_recall": (mark("recall"), mark("precision")),
    "reliability": (mark("mean prediction"), mark("mean label")),
}


def run_curves(rows: pd.DataFrame, runs: Sequence[str], task: int, epochs: int, metric: str, at: int | None) -> Drawing:
    """One task's validation metric by epoch, a line per run in the task's hue: told apart by dash, mark and number.

    Args:
        rows: columns `epoch`, `value`, `run`.
        runs: names in order, each beginning with its number.
        task: place of the task, which gives the hue.
        epochs: the longest budget.
        metric: what is drawn.
        at: the epoch that the page shows, as an upright line; None: no line.
    """
    known = rows.dropna(subset=["value"])
    labels = pd.DataFrame(columns=[*CURVE_COLUMNS, "text"])
    if not known.empty:
        last = known.sort_values("epoch").groupby("run", sort=False).tail(1).sort_values("value")
        span = float(known["value"].max() - known["value"].min()) or 1.0
        texts = [f"{run.split(' ')[0]}  {value:.4f}" for run, value in zip(last["run"], last["value"], strict=True)]
        places = apart(last["value"].tolist(), LABEL_HEIGHT * span)
        labels = last.assign(value=places, text=texts)
    now = pd.DataFrame({"epoch": [] if at is None else [at]})
    # Marks tell the runs apart, so every line keeps some.
    every = max(-(-epochs // MOST_MARKED), 1)
    marked = known[(known["epoch"] - 1) % every == 0]
    data = {"curves": known[CURVE_COLUMNS], "marked": marked[CURVE_COLUMNS], "labels": labels, "now": now}
    return Drawing(_curves_template(tuple(runs), task, epochs, metric), data)


@by_language(maxsize=64)
def _curves_template(runs: tuple[str, ...], task: int, epochs: int, metric: str) -> dict[str, Any]:
    count = len(runs)
    x = alt.X(
        "epoch:Q",
        scale=alt.Scale(domain=[1, 1 + 1.22 * max(epochs - 1, 1)], nice=False),
        axis=alt.Axis(title=tr("epoch"), values=marked_epochs(epochs, 5), format="d", grid=False),
    )
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(zero=False, nice=True),
        axis=alt.Axis(title=metric, format=number_format(metric), tickCount=5),
    )
    dash = alt.StrokeDash("run:N", scale=alt.Scale(domain=list(runs), range=list(VEGA_DASHES[:count])), legend=None)
    shape = alt.Shape("run:N", scale=alt.Scale(domain=list(runs), range=list(VEGA_SHAPES[:count])), legend=None)
    tooltip = [
        alt.Tooltip("run:N", title=tr("run")),
        alt.Tooltip("epoch:Q", title=tr("epoch"), format="d"),
        alt.Tooltip("value:Q", title=metric, format=".4f"),
    ]
    base = alt.Chart(alt.NamedData("curves"))
    colour = hue(task)
    now = alt.Chart(alt.NamedData("now")).mark_rule(color=QUIET, strokeWidth=2).encode(x=x)
    lines = base.mark_line(color=colour, strokeWidth=2.2).encode(x, y, dash, tooltip=tooltip)
    points = (
        alt.Chart(alt.NamedData("marked"))
        .mark_point(color=colour, filled=True, size=36, opacity=1)
        .encode(x, y, shape, tooltip=tooltip)
    )
    labels = (
        alt.Chart(alt.NamedData("labels"))
        .mark_text(align="left", dx=9, fontSize=12, fontWeight="bold", color=colour)
        .encode(x, y, text="text:N")
    )
    return template(alt.layer(now, lines, points, labels).properties(height=230))


@dataclass(frozen=True)
class QualityLine:
    """One run's curve of one task."""

    #: Name that begins with the run's number.
    run: str
    number: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    #: What it says in the legend beside its name.
    score: str


def quality_figure(kind: Kind, panels: Sequence[tuple[str, int, Sequence[QualityLine]]]) -> go.Figure:
    """One panel per task, one line per run: dash and mark tell runs apart, the hue is the task's.

    Args:
        kind: which curve; its reference is drawn in grey where there is one for all.
        panels: (task, its place, lines).
    """
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = make_subplots(
        rows=rows, cols=columns, horizontal_spacing=0.09, vertical_spacing=0.34 / rows,
        subplot_titles=[f"<b>{task}</b>" for task, _, _ in panels],
    )  # fmt: skip
    across, up = (tr(title) for title in AXES[kind])
    most = max(8, MOST_POINTS // max(1, sum(len(lines) for *_, lines in panels)))
    for place, (task, index, lines) in enumerate(panels):
        row, column = place // columns + 1, place % columns + 1
        figure.layout.annotations[place].font = {"color": hue(index), "size": 15}
        top = 1.0
        if kind == "reliability":
            ends = [v for line in lines for v in (*line.x, *line.y)]
            low, top = min([0.0, *ends]), max(ends, default=1.0)
            figure.add_trace(_reference([low, top], [low, top]), row=row, col=column)
        elif kind == "roc":
            figure.add_trace(_reference([0, 1], [0, 1]), row=row, col=column)
        for line in lines:
            x, y = _few(line.x, most), _few(line.y, most)
            style = line.number - 1
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    mode="lines+markers" if kind == "reliability" else "lines",
                    line={"color": hue(index), "dash": PLOTLY_DASHES[style], "width": 2},
                    marker={"symbol": PLOTLY_SHAPES[style], "size": 7},
                    name=f"{line.run}: {line.score}",
                    legend="legend" if place == 0 else f"legend{place + 1}",
                    hovertemplate=f"{line.run}, {task}<br>{across} %{{x:.3f}}<br>{up} %{{y:.3f}}<extra></extra>",
                ),
                row=row,
                col=column,
            )
        figure.update_xaxes(title=across, row=row, col=column, zeroline=False, rangemode="tozero")
        figure.update_yaxes(title=up if column == 1 else None, row=row, col=column, zeroline=False, rangemode="tozero")
        axis_x = figure.get_subplot(row, column).xaxis.domain
        axis_y = figure.get_subplot(row, column).yaxis.domain
        # Where the curve is not: below a ROC curve, above a reliability curve.
        corner: dict[str, Any] = {"x": axis_x[1], "xanchor": "right", "y": axis_y[0] + 0.01, "yanchor": "bottom"}
        if kind == "reliability":
            corner = {"x": axis_x[0] + 0.01, "xanchor": "left", "y": axis_y[1], "yanchor": "top"}
        figure.update_layout(
            {"legend" if place == 0 else f"legend{place + 1}": {**corner, "bgcolor": "rgba(0,0,0,0)", "font_size": 12}}
        )
    figure.update_layout(height=60 + 330 * rows, margin={"l": 10, "r": 10, "t": 40, "b": 10}, hovermode="closest")
    return figure


def _reference(x: Sequence[float], y: Sequence[float]) -> go.Scatter:
    line = {"color": QUIET, "width": 1, "dash": "dot"}
    return go.Scatter(x=x, y=y, mode="lines", line=line, showlegend=False, hoverinfo="skip")


def _few(values: Sequence[float], most: int) -> list[float]:
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]
