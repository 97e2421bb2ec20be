"""What each task puts into the step, by epoch: its loss weight, its gradient's length, its share. Live, so Altair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from app.charts.curves import apart, dots, epoch_axis, label_room, label_texts, whole_where_it_fits
from app.charts.drawing import Drawing, template
from app.charts.labels import letters
from app.charts.palette import task_colours
from app.i18n import by_language, mark, tr

COLUMNS = ["epoch", "task", "value"]
#: Of the whole picture, and about the width of its plot on a small laptop.
HEIGHT, PLOT_PIXELS = 220, 190
#: Height of a label's line, as a share of the plot.
LABEL_HEIGHT = 0.115
#: From so many tasks on, names are written smaller.
MANY = 5
#: Letters of a task's name that fit beside a small plot, and the width of one.
LETTERS, LETTER_PIXELS = 10, 7.0


@dataclass(frozen=True)
class Quantity:
    """One of the three pictures."""

    title: str
    #: As Vega and Python write it.
    format: str
    #: Top of the scale; None: it follows the values.
    top: float | None = None


WEIGHT = Quantity(mark("loss weight"), ".2f")
LENGTH = Quantity(mark("gradient length"), ".2g")
SHARE = Quantity(mark("share of the step"), ".0%", 1.0)


def task_lines(rows: pd.DataFrame, tasks: Sequence[str], epochs: int, quantity: Quantity) -> Drawing:
    """One line per task in its hue, named at its end.

    Args:
        rows: columns `epoch`, `task`, `value`; a None leaves a gap. May be empty.
        tasks: task names in order; the order gives the hue.
        epochs: the budget: the length of the axis.
        quantity: what is drawn.
    """
    data = {"lines": rows[COLUMNS], "labels": _end_labels(rows, quantity)}
    return Drawing(_template(tuple(tasks), epochs, quantity), data)


@by_language(maxsize=64)
def _template(tasks: tuple[str, ...], epochs: int, quantity: Quantity) -> dict[str, Any]:
    colours = task_colours(tasks)
    colour = alt.Color("task:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    longest = min(LETTERS, max(map(letters, tasks), default=0))
    room = label_room(longest + 5, PLOT_PIXELS, LETTER_PIXELS)
    x = epoch_axis(epochs, room, ticks=2, titled=False)
    # Zero is in sight: half as long looks half as long.
    scale = alt.Scale(domainMin=0, nice=True) if quantity.top is None else alt.Scale(domain=[0, quantity.top])
    y = alt.Y("value:Q", scale=scale, axis=alt.Axis(title=None, format=quantity.format, tickCount=3))
    tooltip = [
        alt.Tooltip("task:N", title=tr("task")),
        alt.Tooltip("epoch:Q", title=tr("epoch"), format="d"),
        alt.Tooltip("value:Q", title=tr(quantity.title), format=quantity.format.replace("0%", "1%")),
    ]
    lines = (
        alt.Chart(alt.NamedData("lines"))
        .mark_line(strokeWidth=2.2, point=dots(epochs, len(tasks), 14))
        .encode(x, y, colour, tooltip=tooltip)
    )
    labels = (
        alt.Chart(alt.NamedData("labels"))
        .transform_calculate(said=whole_where_it_fits(room))
        .mark_text(align="left", dx=7, fontSize=12 if len(tasks) < MANY else 10.5, fontWeight="bold")
        .encode(x, y, colour, text="said:N", tooltip=tooltip)
    )
    return template(alt.layer(lines, labels).properties(height=HEIGHT))


def _end_labels(rows: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """Name and last value of every line, moved apart where they meet."""
    known = rows.dropna(subset=["value"])
    if known.empty:
        return pd.DataFrame(columns=[*COLUMNS, "text", "whole", "need"])
    last = known.sort_values("epoch").groupby("task", sort=False).tail(1).sort_values("value")
    span = quantity.top or max(float(known["value"].max()), 0.0) - min(float(known["value"].min()), 0.0) or 1.0
    places = apart(last["value"].tolist(), LABEL_HEIGHT * span)
    numbers = [f"{value:{quantity.format}}" for value in last["value"]]
    return pd.DataFrame(
        {"epoch": last["epoch"].tolist(), "task": last["task"].tolist(), "value": places}
        | label_texts(last["task"].tolist(), numbers, LETTERS, LETTER_PIXELS)
    )
