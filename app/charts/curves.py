"""Per-task AUC by epoch: live while a run trains, so Altair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from app.charts.drawing import Drawing, template
from app.charts.labels import cut, letters
from app.charts.palette import task_colours
from app.i18n import ENGLISH, by_language, language, mark, tr

COLUMNS = ["epoch", "task", "value", "line", "what"]
#: Width of a plot on a small laptop, of a letter of a label, and letters of its number with a blank.
PLOT_PIXELS, LETTER_PIXELS, DIGITS = 260, 7.7, 7
#: Letters of a task's name that fit beside a plot.
LETTERS = 10
#: Height of a label's line, as a share of the range of the values.
LABEL_HEIGHT = 0.075
#: Points of a line, and of all lines of a chart, that are marked one by one.
MOST_OF_A_LINE, MOST_DOTS = 60, 400
#: What a row of `auc_curves` is.
VALIDATION, YARDSTICK, TEST = mark("validation"), mark("single-task"), mark("test")


def auc_curves(rows: pd.DataFrame, tasks: Sequence[str], epochs: int, metric: str = "AUC") -> Drawing:
    """Validation curves (solid), the single-task yardstick (dotted) and the test score (a ringed dot).

    Args:
        rows: columns `epoch`, `task`, `value`, `line` (one drawn line per value: a run's name) and `what`
            (`validation`, `single-task` or `test`). May be empty.
        tasks: task names in order; the order gives the hue.
        epochs: the budget; the axis has this length from the start, so nothing jumps while the curve grows.
        metric: what is drawn.
    """
    shown = rows[COLUMNS]
    if language() != ENGLISH:
        shown = shown.assign(what=[tr(what) for what in shown["what"]])
    return Drawing(_template(tuple(tasks), epochs, metric), {"curves": shown, "labels": end_labels(rows)})


@by_language(maxsize=64)
def _template(tasks: tuple[str, ...], epochs: int, metric: str) -> dict[str, Any]:
    colours = task_colours(tasks)
    colour = alt.Color("task:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    room = label_room(max(map(letters, tasks), default=0) + DIGITS, PLOT_PIXELS)
    x = epoch_axis(epochs, room)
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(zero=False, nice=True),
        axis=alt.Axis(title=metric, format=number_format(metric), tickCount=5),
    )
    tooltip = [
        alt.Tooltip("task:N", title=tr("task")),
        alt.Tooltip("line:N", title=tr("run")),
        alt.Tooltip("what:N", title=tr("split")),
        alt.Tooltip("epoch:Q", title=tr("epoch"), format="d"),
        alt.Tooltip("value:Q", title=metric, format=".4f"),
    ]
    base = alt.Chart(alt.NamedData("curves"))
    detail = alt.Detail("line:N")
    solid = (
        base.transform_filter(alt.datum.what == tr(VALIDATION))
        .mark_line(strokeWidth=2.2, interpolate="linear", point=dots(epochs, len(tasks), 12))
        .encode(x, y, colour, detail, tooltip=tooltip)
    )
    dotted = (
        base.transform_filter(alt.datum.what == tr(YARDSTICK))
        .mark_line(strokeDash=[2, 3], strokeWidth=1.6, opacity=0.9)
        .encode(x, y, colour, detail, tooltip=tooltip)
    )
    end = (
        base.transform_filter(alt.datum.what == tr(TEST))
        .mark_point(filled=False, size=90, strokeWidth=2.2)
        .encode(x, y, colour, detail, tooltip=tooltip)
    )
    # The last point of each solid line carries the task's name and number: no legend to look up.
    label = (
        alt.Chart(alt.NamedData("labels"))
        .transform_calculate(said=whole_where_it_fits(room))
        .mark_text(align="left", dx=12, fontSize=13, fontWeight="bold")
        .encode(x, y, colour, text="said:N")
    )
    return template(alt.layer(dotted, solid, end, label).properties(height=300))


def number_format(metric: str) -> str:
    """How an axis writes its numbers: an AUC is known by its thousandths, an error may be of any size."""
    return ".3f" if metric == "AUC" else "~g"


def dots(epochs: int, lines: int, size: int, **style: Any) -> alt.OverlayMarkDef | bool:
    """Marks on the lines' points, unless there are so many that they would only thicken them."""
    few = epochs <= MOST_OF_A_LINE and epochs * lines <= MOST_DOTS
    return alt.OverlayMarkDef(size=size, **style) if few else False


def end_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """One label per solid line at its last epoch: `epoch`, `value`, `task`, `text`; near ones are moved apart."""
    solid = rows[rows["what"] == VALIDATION].dropna(subset=["value"])
    if solid.empty:
        return pd.DataFrame(columns=["epoch", "value", "task", "text", "whole", "need"])
    last = solid.sort_values("epoch").groupby(["task", "line"], sort=False).tail(1).sort_values("value")
    span = float(rows["value"].max() - rows["value"].min()) or 1.0
    places = apart(last["value"].tolist(), LABEL_HEIGHT * span)
    numbers = [f"{value:.4f}" for value in last["value"]]
    return pd.DataFrame(
        {"epoch": last["epoch"].tolist(), "value": places, "task": last["task"].tolist()}
        | label_texts(last["task"].tolist(), numbers, LETTERS, LETTER_PIXELS)
    )


def label_texts(names: Sequence[str], numbers: Sequence[str], most: int, letter: float) -> dict[str, list[Any]]:
    """Labels with shortened names, with whole ones, and the pixels that those need."""
    whole = [f"{name} {number}" for name, number in zip(names, numbers, strict=True)]
    return {
        "text": [f"{shortened(name, most)} {number}" for name, number in zip(names, numbers, strict=True)],
        "whole": whole,
        "need": [letters(text) * letter + 14 for text in whole],
    }


def whole_where_it_fits(room: float) -> str:
    """What a label says, in Vega's words: it knows the width of the plot, whose part beyond the last epoch is free."""
    return f"width * {1 - 1 / room:.4f} >= datum.need ? datum.whole : datum.text"


def shortened(name: str, most: int = LETTERS) -> str:
    """A task's name as far as it fits."""
    return name if letters(name) <= most else f"{cut(name, most - 1)}…"


def label_room(most: int, pixels: float, letter: float = LETTER_PIXELS) -> float:
    """How many times its data's length an axis must be for labels of so many letters at their end."""
    share = min(0.52, (min(most, LETTERS + DIGITS) * letter + 14) / pixels)
    return 1 / (1 - share)


def apart(values: Sequence[float], least: float) -> list[float]:
    """Places for labels of these ascending values, near them and at least `least` from each other."""
    places: list[float] = []
    for value in values:
        places.append(max(float(value), places[-1] + least) if places else float(value))
    # They were pushed upwards only: half of the last one's push back down keeps them all near their lines.
    slack = (places[-1] - float(values[-1])) / 2 if places else 0.0
    return [place - slack for place in places]


def epoch_axis(epochs: int, room: float, ticks: int = 4, titled: bool = True) -> alt.X:
    """The whole budget from the start, so that nothing jumps while a curve grows, and `room` for labels at its right.

    Args:
        epochs: the budget.
        room: length of the scale, in budgets. A label that grew out of the plot would shrink it.
        ticks: about how many epochs are written.
        titled: does it say what it shows?
    """
    return alt.X(
        "epoch:Q",
        scale=alt.Scale(domain=[1, 1 + room * max(epochs - 1, 1)], nice=False),
        axis=alt.Axis(
            title=tr("epoch") if titled else None, values=marked_epochs(epochs, ticks), format="d", grid=False
        ),
    )


def marked_epochs(epochs: int, ticks: int) -> list[int]:
    """About so many round epochs, the first one and the last one, none of them too near to another."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if epochs / s <= ticks + 0.5)
    between = [epoch for epoch in range(step, epochs, step) if epoch - 1 > 0.4 * step and epochs - epoch > 0.6 * step]
    return [1, *between, *([epochs] if epochs > 1 else [])]
