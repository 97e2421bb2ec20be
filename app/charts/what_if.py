"""What every task's score changes by when an expert is switched off. Altair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import pandas as pd

from app.charts.drawing import Drawing, template
from app.charts.matrix import Bounds, matrix
from app.charts.palette import QUIET
from app.i18n import by_language, tr
from app.wording import passage

#: More bars than this are drawn as a table of colours, and so many experts at most.
MOST_BARS, MOST_EXPERTS = 40, 24
#: (expert, task, what it says, change in the unit of gains or None).
Row = tuple[str, str, str, float | None]


def off_changes(rows: Sequence[Row], tasks: Sequence[tuple[str, str]], low: float, high: float, unit: str) -> Drawing:
    """Bars, or a table of colours where there are too many; experts that change little are left out of a long one.

    Args:
        rows: a row per expert and task.
        tasks: (name, colour).
        low: least change of all runs that are compared, at most 0.
        high: largest, at least 0.
        unit: what changes are counted in.
    """
    if len(rows) <= MOST_BARS:
        return off_bars(rows, tasks, low, high, unit)
    changes: dict[str, dict[str, float | None]] = {}
    for expert, task, _, value in rows:
        changes.setdefault(expert, {})[task] = value
    size = {expert: max(abs(value or 0.0) for value in line.values()) for expert, line in changes.items()}
    drawn = set(sorted(changes, key=lambda expert: -size[expert])[:MOST_EXPERTS])
    experts = [expert for expert in changes if expert in drawn]
    names = [name for name, _ in tasks]
    values = [[changes[expert].get(name) for name in names] for expert in experts]
    most = max(-low, high) or 1.0
    drawing = matrix(
        [(expert, QUIET) for expert in experts], names, values, (-most, most),
        what=tr("change, {unit}", unit=unit), missing=tr("undefined"), diverging=True,
    )  # fmt: skip
    left = len(changes) - len(experts)
    if not left:
        return drawing
    note = tr("Drawn: the {n} of {all} experts without which something changes most.", n=len(experts), all=len(changes))
    return replace(drawing, note=passage(drawing.note, note))


def off_bars(rows: Sequence[Row], tasks: Sequence[tuple[str, str]], low: float, high: float, unit: str) -> Drawing:
    """What each task's score changes by when an expert is off: one bar per expert and task, named at its end.

    Args:
        rows: (expert, task, what it says at the end, change or None).
        tasks: (name, colour).
        low: least change of all runs that are compared, at most 0.
        high: largest, at least 0.
        unit: what changes are counted in.
    """
    known = [(expert, task, text, value) for expert, task, text, value in rows if value is not None]
    frame = pd.DataFrame(known, columns=["expert", "task", "text", "value"])
    experts = tuple(dict.fromkeys(expert for expert, *_ in rows))
    return Drawing(_off_template(experts, tuple(tasks), (low, high), unit), {"bars": frame})


@by_language(maxsize=64)
def _off_template(
    experts: tuple[str, ...], tasks: tuple[tuple[str, str], ...], ends: Bounds, unit: str
) -> dict[str, Any]:
    span = (ends[1] - ends[0]) or 1.0
    # Room for what is written at the end of the longest bar.
    x_scale = alt.Scale(domain=[ends[0] - 0.3 * span, ends[1] + 0.3 * span * (ends[1] > 0.1 * span)], nice=False)
    names = [name for name, _ in tasks]
    y = alt.Y("expert:N", sort=list(experts), axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=13))
    offset = alt.YOffset("task:N", sort=names, scale=alt.Scale(domain=names))
    colour = alt.Color("task:N", scale=alt.Scale(domain=names, range=[colour for _, colour in tasks]), legend=None)
    tooltip = [
        alt.Tooltip("expert:N", title=tr("without")),
        alt.Tooltip("task:N", title=tr("task")),
        alt.Tooltip("value:Q", title=tr("change, {unit}", unit=unit), format="+.1f"),
    ]
    base = alt.Chart(alt.NamedData("bars"))
    x = alt.X("value:Q", scale=x_scale, axis=alt.Axis(title=tr("change, {unit}", unit=unit), tickCount=4))
    bars = base.mark_bar().encode(x, y, yOffset=offset, color=colour, tooltip=tooltip)
    zero = alt.Chart(alt.NamedData("bars")).mark_rule(color=QUIET).encode(x=alt.XDatum(0, scale=x_scale))
    layers = [bars, zero]
    for sign, align, dx in (("<", "right", -5), (">=", "left", 5)):
        layers.append(
            base.transform_filter(f"datum.value {sign} 0")
            .mark_text(align=align, dx=dx, fontSize=12, fontWeight="bold")  # type: ignore[arg-type]
            .encode(x, y, yOffset=offset, color=colour, text="text:N", tooltip=tooltip)
        )
    return template(alt.layer(*layers).properties(height=max(120, (18 * len(tasks) + 10) * len(experts) + 56)))
