"""Gate weights: bars while a run trains (Altair), distributions and heat maps of finished runs (Plotly)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import altair as alt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.charts.architecture import untrained
from app.charts.drawing import Drawing, template
from app.charts.order import drawing_order
from app.charts.palette import QUIET, expert_colour, pale, tint
from mtl_core.events import GateSummary
from mtl_core.trunks.wiring import Gate, Level, Wiring, gate_key

#: Half the width of the widest violin, in units of one expert's column.
HALF_WIDTH = 0.4


def gate_bars(wiring: Wiring, gates: Mapping[str, GateSummary]) -> Drawing:
    """Mean gate weights of the last level as one bar per gate, cut into experts.

    A softmax's bar has length 1. Weights of other kinds need not sum to 1; negative ones go to the left of 0.
    """
    last = wiring.levels[-1].gates
    bounded = all(gate.kind == "softmax" for gate in last)
    return Drawing(_bars_template(len(last), bounded), {"bars": bar_rows(wiring, gates)})


@lru_cache(maxsize=16)
def _bars_template(count: int, bounded: bool) -> dict[str, Any]:
    scale = alt.Scale(domain=[0, 1]) if bounded else alt.Scale(zero=True)
    style, shown = ("%", ".0%") if bounded else (".1f", ".2f")
    x = alt.X("start:Q", scale=scale, axis=alt.Axis(title=None, format=style, tickCount=5, grid=False))
    y = alt.Y(
        "gate:N", sort=None, axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=13, labelLimit=130)
    )
    tooltip = [alt.Tooltip("gate:N"), alt.Tooltip("expert:N"), alt.Tooltip("mean:Q", title="mean weight", format=".3f")]
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
        .transform_filter(alt.datum.mean > 0.07)
        .transform_calculate(
            text=f"datum.expert + ' ' + format(datum.mean, '{shown}')", middle="(datum.start + datum.end) / 2"
        )
        .mark_text(fontSize=12)
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
                {"gate": gate.name, "expert": expert.name, "mean": mean, "start": start, "end": start + mean}
                | {"colour": pale(expert_colour(expert.owner), strength)}
            )
            right, left = (right, left + mean) if mean < 0 else (right + mean, left)
    return pd.DataFrame(rows)


def gate_distributions(wiring: Wiring, gates: Mapping[str, GateSummary], level: int | None = None) -> go.Figure:
    """How each gate's weight on each expert is spread over the probe rows: one row of violins per gate, scale 0..1.

    An expert that the gate may not see is written "not visible". The scale is fixed, so that two figures side by side
    compare at a glance; only weights beyond it, as constants may be, make it longer.
    """
    number = level or len(wiring.levels)
    chosen = wiring.levels[number - 1]
    figure = make_subplots(
        rows=len(chosen.gates), cols=1, shared_xaxes=True, vertical_spacing=min(0.08, 0.3 / len(chosen.gates))
    )
    for row, gate in enumerate(chosen.gates, start=1):
        _distribution_row(figure, row, chosen, gate, gates.get(gate_key(number, gate.name)))
    last = len(chosen.gates)
    order = drawing_order(chosen)
    ticks = {"tickvals": list(range(len(order))), "ticktext": [chosen.experts[e].name for e in order]}
    figure.update_xaxes(range=[-0.6, len(chosen.experts) - 0.4], showgrid=False, zeroline=False, showticklabels=False)
    figure.update_xaxes(row=last, col=1, showticklabels=True, **ticks)
    ends = [(s.low, s.high) for gate in chosen.gates if (s := gates.get(gate_key(number, gate.name)))]
    low, high = min([0.0, *(low for low, _ in ends)]), max([1.0, *(high for _, high in ends)])
    marks = [0, 0.5, 1] if (low, high) == (0, 1) else sorted({0.0, 1.0, round(low, 1), round(high, 1)})
    figure.update_yaxes(range=[low - 0.02, high + 0.02], tickvals=marks, zeroline=low < 0)
    figure.update_layout(
        height=70 + 170 * last, margin={"l": 10, "r": 10, "t": 10, "b": 10}, showlegend=False, hovermode="closest"
    )
    return figure


def _distribution_row(figure: go.Figure, row: int, level: Level, gate: Gate, summary: GateSummary | None) -> None:
    colour = expert_colour(gate.owner)
    figure.update_yaxes(
        title={"text": gate.name.replace("_", "<br>"), "font": {"color": colour, "size": 14}}, row=row, col=1
    )
    for place, e in enumerate(drawing_order(level)):
        expert = level.experts[e]
        if e not in gate.sees or summary is None:
            figure.add_annotation(
                x=place, y=0.5, text="not visible" if summary else "", showarrow=False,
                font={"color": QUIET, "size": 11}, textangle=-90 if len(level.experts) > 6 else 0, row=row, col=1,
            )  # fmt: skip
            continue
        counts, mean = summary.histogram[e], summary.mean[e]
        peak, bins = max(counts), len(counts)
        heights = [summary.low + (i + 0.5) / bins * (summary.high - summary.low) for i in range(bins)]
        # Only the bins that hold rows, one empty bin kept at each end so that the outline closes.
        first = max(min(i for i, c in enumerate(counts) if c) - 1, 0)
        last = min(max(i for i, c in enumerate(counts) if c) + 2, bins)
        half = [HALF_WIDTH * c / peak for c in counts[first:last]]
        y = heights[first:last]
        figure.add_trace(
            go.Scatter(
                x=[place + h for h in half] + [place - h for h in reversed(half)],
                y=y + list(reversed(y)),
                fill="toself",
                mode="lines",
                line={"color": colour, "width": 1, "shape": "linear"},
                fillcolor=tint(colour, 0.35),
                hoverinfo="text",
                text=f"{gate.name} on {expert.name}: mean {mean:.3f}",
            ),
            row=row,
            col=1,
        )
        figure.add_trace(
            go.Scatter(
                x=[place - 0.28, place + 0.28],
                y=[mean, mean],
                mode="lines",
                line={"color": colour, "width": 3},
                hoverinfo="skip",
            ),
            row=row,
            col=1,
        )
        figure.add_annotation(
            x=place + 0.3,
            y=mean,
            text=f"<b>{mean:.2f}</b>",
            showarrow=False,
            xanchor="left",
            font={"size": 12, "color": colour},
            row=row,
            col=1,
        )


def gate_heatmap(wiring: Wiring, epochs: Sequence[tuple[int, Mapping[str, GateSummary]]]) -> go.Figure:
    """Mean gate weights by epoch: one block of rows per gate of every level, one row per expert it may see.

    Args:
        wiring: the trunk.
        epochs: (epoch, gates) in order.
    """
    labels: list[str] = []
    values: list[list[float]] = []
    cuts: list[int] = []
    for number, level in enumerate(wiring.levels, start=1):
        for gate in level.gates:
            prefix = f"{number}: " if len(wiring.levels) > 1 else ""
            for e in (e for e in drawing_order(level) if e in gate.sees):
                labels.append(f"{prefix}{gate.name} ← {level.experts[e].name}")
                values.append([gates[gate_key(number, gate.name)].mean[e] for _, gates in epochs])
            cuts.append(len(labels))
    numbers = [epoch for epoch, _ in epochs]
    low, high = min(map(min, values), default=0.0), max(map(max, values), default=1.0)
    ends = min(0.0, round(low, 1)), max(1.0, round(high, 1))
    figure = go.Figure(
        go.Heatmap(
            x=numbers,
            y=list(range(len(labels))),
            z=values,
            zmin=ends[0],
            zmax=ends[1],
            colorscale="Cividis",
            xgap=1,
            ygap=1,
            customdata=[[label] * len(numbers) for label in labels],
            hovertemplate="%{customdata}<br>epoch %{x}: %{z:.3f}<extra></extra>",
            colorbar={
                "title": {"text": "mean weight", "side": "right"},
                "thickness": 12,
                "tickvals": sorted({*ends, 0, 0.5, 1}),
            },
        )
    )
    for cut in cuts[:-1]:
        figure.add_hline(y=cut - 0.5, line={"color": QUIET, "width": 2})
    figure.update_yaxes(tickvals=list(range(len(labels))), ticktext=labels, autorange="reversed", showgrid=False)
    figure.update_xaxes(title="epoch", showgrid=False, tickformat="d", tickvals=_few(numbers))
    figure.update_layout(height=90 + 24 * len(labels), margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def _few(numbers: Sequence[int]) -> list[int]:
    """At most eight of the epochs as tick labels, first and last among them."""
    if len(numbers) <= 8:
        return list(numbers)
    step = -(-len(numbers) // 7)
    return [*numbers[:-1:step], numbers[-1]]
