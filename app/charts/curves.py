"""Per-task AUC by epoch: live while a run trains, so Altair, whose view stays and only swaps its rows."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from app.charts.palette import task_colours

COLUMNS = ["epoch", "task", "value", "line", "what"]
VALIDATION, YARDSTICK, TEST = "validation", "single-task", "test"


def auc_curves(
    rows: pd.DataFrame, tasks: Sequence[str], epochs: int, metric: str = "AUC"
) -> alt.LayerChart | alt.FacetChart:
    """Validation curves (solid), the single-task yardstick (dotted) and the test score (a ringed dot).

    Args:
        rows: columns `epoch`, `task`, `value`, `line` (one drawn line per value: a run's name) and `what`
            (`validation`, `single-task` or `test`). May be empty.
        tasks: task names in order; the order gives the hue.
        epochs: the budget; the axis has this length from the start, so nothing jumps while the curve grows.
        metric: what is drawn.
    """
    colours = task_colours(tasks)
    colour = alt.Color("task:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    ticks = sorted({1, *range(5, epochs, max(5, epochs // 4 // 5 * 5)), epochs})
    x = alt.X(
        "epoch:Q",
        scale=alt.Scale(domain=[1, max(epochs, 2)], nice=False),
        axis=alt.Axis(title="epoch", values=ticks, format="d", grid=False),
    )
    y = alt.Y("value:Q", scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(title=metric, format=".3f", tickCount=5))
    tooltip = [
        alt.Tooltip("task:N"),
        alt.Tooltip("line:N", title="run"),
        alt.Tooltip("what:N", title="split"),
        alt.Tooltip("epoch:Q", format="d"),
        alt.Tooltip("value:Q", title=metric, format=".4f"),
    ]
    base = alt.Chart(rows if len(rows) else pd.DataFrame(columns=COLUMNS))
    detail = alt.Detail("line:N")
    solid = (
        base.transform_filter(alt.datum.what == VALIDATION)
        .mark_line(strokeWidth=2.2, interpolate="linear", point=alt.OverlayMarkDef(size=12))
        .encode(x, y, colour, detail, tooltip=tooltip)
    )
    dotted = (
        base.transform_filter(alt.datum.what == YARDSTICK)
        .mark_line(strokeDash=[2, 3], strokeWidth=1.6, opacity=0.9)
        .encode(x, y, colour, detail, tooltip=tooltip)
    )
    end = (
        base.transform_filter(alt.datum.what == TEST)
        .mark_point(filled=False, size=90, strokeWidth=2.2)
        .encode(x, y, colour, detail, tooltip=tooltip)
    )
    # The last point of each solid line carries the task's name and number: no legend to look up.
    label = (
        base.transform_filter(alt.datum.what == VALIDATION)
        .transform_window(
            sort=[alt.SortField("epoch", order="descending")], last="row_number()", groupby=["task", "line"]
        )
        .transform_filter(alt.datum.last == 1)
        .transform_calculate(text="datum.task + ' ' + format(datum.value, '.4f')")
        .mark_text(align="left", dx=12, fontSize=13, fontWeight="bold", clip=False)
        .encode(x, y, colour, detail, text="text:N")
    )
    return alt.layer(dotted, solid, end, label).properties(height=300)
