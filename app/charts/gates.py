"""Gate weights as bars, while a run trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from app.charts.drawing import Drawing, template
from app.charts.labels import letters
from app.charts.layout import untrained
from app.charts.order import drawing_order
from app.charts.palette import INK, expert_colour, pale
from app.core_texts import gate_name
from app.i18n import by_language, tr
from mtl_core.events import GateSummary
from mtl_core.trunks.wiring import Wiring, gate_key

#: Width of a letter as a share of a bar on a small laptop, and letters of a number with its blank.
LETTER, DIGITS = 0.0145, 4
#: Pieces of all bars; each may carry a name, too.
MOST_PIECES = 900


def gate_bars(wiring: Wiring, gates: Mapping[str, GateSummary]) -> Drawing:
    """Mean gate weights of the last level as one bar per gate, cut into experts.

    A softmax's bar has length 1. Weights of other kinds need not sum to 1; negative ones go to the left of 0.
    """
    last = wiring.levels[-1].gates
    bounded = all(gate.kind == "softmax" for gate in last)
    rows, note = bar_rows(wiring, gates), ""
    if len(rows) > MOST_PIECES:
        note = tr("Drawn: the {n} largest of {all} pieces.", n=MOST_PIECES, all=len(rows))
        rows = rows.loc[rows["mean"].abs().nlargest(MOST_PIECES).index.sort_values()]
    return Drawing(_bars_template(len(last), bounded), {"bars": rows}, note)


@by_language(maxsize=16)
def _bars_template(count: int, bounded: bool) -> dict[str, Any]:
    scale = alt.Scale(domain=[0, 1]) if bounded else alt.Scale(zero=True)
    style, shown = ("%", ".0%") if bounded else (".1f", ".2f")
    x = alt.X("start:Q", scale=scale, axis=alt.Axis(title=None, format=style, tickCount=5, grid=False))
    y = alt.Y(
        "gate:N", sort=None, axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=13, labelLimit=130)
    )
    tooltip = [
        alt.Tooltip("gate:N", title=tr("gate")),
        alt.Tooltip("expert:N", title=tr("expert")),
        alt.Tooltip("mean:Q", title=tr("mean weight"), format=".3f"),
    ]
    bars = (
        alt.Chart(alt.NamedData("bars"))
        .mark_bar(stroke="white", strokeWidth=1, height={"band": 0.62})
        .encode(
            x,
            alt.X2("end:Q"),
            y,
            color=alt.Color("colour:N", scale=None),
            tooltip=tooltip,
        )
    )
    names = (
        alt.Chart(alt.NamedData("bars"))
        .transform_filter("abs(datum.mean) > datum.room")
        .transform_calculate(
            text=f"datum.expert + ' ' + format(datum.mean, '{shown}')", middle="(datum.start + datum.end) / 2"
        )
        .mark_text(fontSize=12, color=INK)
        .encode(alt.X("middle:Q"), y, text="text:N", tooltip=tooltip)
    )
    return template(alt.layer(bars, names).properties(height=40 + 56 * count))


def bar_rows(wiring: Wiring, gates: Mapping[str, GateSummary]) -> pd.DataFrame:
    """One row per (gate, visible expert) of the last level, with the ends of its piece of the bar."""
    number, level = len(wiring.levels), wiring.levels[-1]
    rows = []
    for gate in level.gates:
        summary = gates.get(gate_key(number, gate.name))
        right, left = 0.0, 0.0
        for place, e in enumerate(e for e in drawing_order(level) if e in gate.sees):
            mean = summary.mean[e] if summary else untrained(gate, e)
            expert = level.experts[e]
            # Neighbouring shared experts alternate in strength, so that the cut between them can be seen.
            start = left if mean < 0 else right
            strength = 0.5 if expert.owner is not None else (0.75 if place % 2 else 0.5)
            rows.append(
                {"gate": gate_name(gate), "expert": expert.name, "mean": mean, "start": start, "end": start + mean}
                | {"colour": pale(expert_colour(expert.owner), strength)}
                | {"room": LETTER * (letters(expert.name) + DIGITS)}
            )
            right, left = (right, left + mean) if mean < 0 else (right + mean, left)
    return pd.DataFrame(rows)
