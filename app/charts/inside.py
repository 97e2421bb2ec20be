"""What is seen inside models: weights as a matrix, their spread over rows, what an expert that is off costs. Altair."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from app.charts.architecture import wrapped
from app.charts.drawing import Drawing, template
from app.charts.labels import letters
from app.charts.order import drawing_order
from app.charts.palette import QUIET, expert_colour
from app.core_texts import gate_name
from app.i18n import by_language, mark, tr
from mtl_core.events import GateSummary
from mtl_core.trunks.wiring import Wiring, gate_key

Bounds = tuple[float, float]
#: Height of a row of a matrix, of the names above it, and of a gate's band of violins, in pixels.
ROW, HEAD, BAND = 36, 34, 140
#: Of a further line of a name.
LINE = 14
#: Of a band's height: the space between two.
GAP = 0.22
#: Half the width of the widest violin, in columns.
HALF = 0.36
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
) -> Drawing:
    """A table of numbers whose cells are as dark as their numbers are low, every number written out.

    Args:
        rows: (label, colour of the label).
        columns: labels.
        values: [rows][columns]; None is no number, and never drawn as 0.
        scale: the ends of the colours, the same wherever matrices are compared.
        what: what the numbers are, for the tooltip.
        missing: what is written where there is none, unless it is that a gate does not see an expert.
        extent: least width of the rows' labels in pixels, so that matrices below each other have their columns so.
    """
    low, high = scale
    hole = tr(INVISIBLE) if missing is None else missing
    cells = [
        {
            "row": row,
            "column": column,
            "value": value,
            "text": hole if value is None else f"{value:.2f}".replace("-", "\u2212"),
            # Cividis grows from dark blue to yellow: letters change sides in the middle.
            "ink": QUIET if value is None else ("#FFFFFF" if (value - low) / (high - low) < 0.5 else "#000000"),
        }
        for (row, _), line in zip(rows, values, strict=True)
        for column, value in zip(columns, line, strict=True)
    ]
    frame = pd.DataFrame(cells, columns=["row", "column", "value", "text", "ink"])
    return Drawing(_matrix_template(tuple(rows), tuple(columns), scale, what, extent), {"cells": frame})


@by_language(maxsize=128)
def _matrix_template(
    rows: tuple[tuple[str, str], ...], columns: tuple[str, ...], scale: Bounds, what: str, extent: int
) -> dict[str, Any]:
    colours = [{"test": f"datum.value === {row!r}", "value": colour} for row, colour in rows]
    y = alt.Y(
        "row:N",
        sort=[row for row, _ in rows],
        scale=alt.Scale(domain=[row for row, _ in rows]),
        axis=alt.Axis(
            title=None, ticks=False, domain=False, labelFontSize=12, labelFontWeight="bold", labelLimit=150,
            minExtent=extent, labelColor={"condition": colours, "value": QUIET},
        ),
    )  # fmt: skip
    # Cut for the eye alone: shortened names need not differ.
    names = {column: wrapped(column).split("\n") for column in columns}
    x = alt.X(
        "column:N",
        sort=list(columns),
        scale=alt.Scale(domain=list(columns)),
        axis=alt.Axis(
            title=None,
            orient="top",
            ticks=False,
            domain=False,
            labelAngle=0,
            labelFontSize=12,
            labelLimit=90,
            labelExpr=f"({json.dumps(names)})[datum.label]",
            labelLineHeight=LINE,
        ),
    )
    tooltip = [
        alt.Tooltip("row:N", title=tr("row")),
        alt.Tooltip("column:N", title=tr("column")),
        alt.Tooltip("value:Q", title=what, format=".3f"),
    ]
    base = alt.Chart(alt.NamedData("cells"))
    # Fill, and not colour, which the letters have: layers share a channel's scale.
    fill = alt.Fill("value:Q", scale=alt.Scale(domain=list(scale), scheme="cividis", clamp=True), legend=None)
    filled = base.transform_filter("isValid(datum.value)").mark_rect(stroke="white").encode(x, y, fill, tooltip=tooltip)
    empty = (
        base.transform_filter("!isValid(datum.value)")
        .mark_rect(fillOpacity=0, stroke=QUIET, strokeDash=[3, 3], strokeOpacity=0.5)
        .encode(x, y)
    )
    texts = (
        base.transform_filter("isValid(datum.value)")
        .mark_text(fontSize=13, fontWeight="bold")
        .encode(x, y, text="text:N", color=alt.Color("ink:N", scale=None), tooltip=tooltip)
    )
    holes = (
        base.transform_filter("!isValid(datum.value)")
        .mark_text(fontSize=10)
        .encode(x, y, text="text:N", color=alt.Color("ink:N", scale=None))
    )
    return template(
        alt.layer(filled, empty, texts, holes).properties(
            height=ROW * len(rows) + HEAD + LINE * (max(map(len, names.values())) - 1)
        )
    )


def gate_matrix(wiring: Wiring, gates: Mapping[str, GateSummary], level: int, scale: Bounds) -> Drawing:
    """Mean weights of one level: a row per gate, a column per expert."""
    chosen = wiring.levels[level - 1]
    order = drawing_order(chosen)
    values: list[list[float | None]] = []
    for gate in chosen.gates:
        summary = gates.get(gate_key(level, gate.name))
        values.append([summary.mean[e] if summary and e in gate.sees else None for e in order])
    rows = [(gate_name(gate), expert_colour(gate.owner)) for gate in chosen.gates]
    return matrix(rows, [chosen.experts[e].name for e in order], values, scale, what=tr("mean weight"))


def gate_spread(wiring: Wiring, gates: Mapping[str, GateSummary], level: int, scale: Bounds) -> Drawing:
    """How each gate's weight on each expert is spread over the rows: a band of violins per gate, all on one scale."""
    chosen = wiring.levels[level - 1]
    order = drawing_order(chosen)
    low, high = scale
    shapes: list[dict[str, object]] = []
    marks: list[dict[str, object]] = []
    texts: list[dict[str, object]] = []
    count = len(chosen.gates)
    for g, gate in enumerate(chosen.gates):
        base = (count - 1 - g) * (1 + GAP)
        colour = expert_colour(gate.owner)
        summary = gates.get(gate_key(level, gate.name))
        texts.append({"x": -0.62, "y": base + 0.5, "text": gate_name(gate), "colour": colour, "role": "gate"})
        for tick in sorted({low, 0.0, high}):
            y = base + (tick - low) / (high - low)
            marks.append({"x0": -0.5, "x1": len(order) - 0.4, "y": y, "colour": QUIET, "role": "grid", "about": ""})
            texts.append({"x": len(order) - 0.36, "y": y, "text": f"{tick:g}", "colour": QUIET, "role": "tick"})
        for place, e in enumerate(order):
            name = chosen.experts[e].name
            if e not in gate.sees or summary is None:
                text = tr(INVISIBLE) if summary else ""
                texts.append({"x": place, "y": base + 0.5, "text": text, "colour": QUIET, "role": "empty"})
                continue
            counts, bins = summary.histogram[e], len(summary.histogram[e])
            peak = max(counts) or 1
            about = tr("{gate} on {expert}: mean {mean:.3f}", gate=gate_name(gate), expert=name, mean=summary.mean[e])
            filled = [i for i, c in enumerate(counts) if c]
            # One empty bin at each end, so that the outline closes.
            for i in range(max(filled[0] - 1, 0), min(filled[-1] + 2, bins)) if filled else ():
                weight = summary.low + (i + 0.5) / bins * (summary.high - summary.low)
                half = HALF * counts[i] / peak
                shapes.append(
                    {"x0": place - half, "x1": place + half, "y": base + (weight - low) / (high - low)}
                    | {"shape": f"{g}.{e}", "colour": colour, "about": about}
                )
            y = base + (summary.mean[e] - low) / (high - low)
            marks.append({"x0": place - 0.26, "x1": place + 0.26, "y": y, "colour": colour, "role": "mean"})
            marks[-1]["about"] = about
            text = f"{summary.mean[e]:.2f}".replace("-", "\u2212")
            # Beside the violin at this height: letters of its own hue do not read on it.
            bin_of_mean = int((summary.mean[e] - summary.low) / (summary.high - summary.low) * bins)
            beside = max(0.26, *(HALF * c / peak for c in counts[max(bin_of_mean - 2, 0) : bin_of_mean + 3]), 0.0)
            texts.append({"x": place + beside + 0.03, "y": y, "text": text, "colour": colour, "role": "mean"})
    for place, e in enumerate(order):
        name = wrapped(chosen.experts[e].name)
        texts.append({"x": place, "y": -0.07, "text": name, "colour": QUIET, "role": "expert"})
    data = {
        "shapes": pd.DataFrame(shapes, columns=["x0", "x1", "y", "shape", "colour", "about"]),
        "marks": pd.DataFrame(marks, columns=["x0", "x1", "y", "colour", "role", "about"]),
        "texts": pd.DataFrame(texts, columns=["x", "y", "text", "colour", "role"]),
    }
    longest = max(letters(gate_name(gate)) for gate in chosen.gates)
    lines = 1 + max(wrapped(chosen.experts[e].name).count("\n") for e in order)
    return Drawing(_spread_template(count, len(order), min(longest, 14), lines), data)


@by_language(maxsize=64)
def _spread_template(gates: int, experts: int, longest: int, lines: int) -> dict[str, Any]:
    # A letter takes about an eightieth of the width, however many columns there are.
    room = 0.7 + (experts + 1) * longest / 70
    x_scale = alt.Scale(domain=[-room, experts - 0.1], nice=False)
    y_scale = alt.Scale(domain=[-0.07 - (LINE * lines + 4) / BAND, gates * (1 + GAP) - GAP + 0.06], nice=False)
    y = alt.Y("y:Q", scale=y_scale, axis=None)
    colour = alt.Color("colour:N", scale=None)
    violins = (
        alt.Chart(alt.NamedData("shapes"))
        .mark_area(orient="horizontal", opacity=0.45, interpolate="linear")
        .encode(
            x=alt.X("x0:Q", scale=x_scale, axis=None),
            x2="x1:Q",
            y=y,
            detail="shape:N",
            color=colour,
            tooltip=alt.Tooltip("about:N", title=tr("what")),
        )
    )

    def rules(role: str, width: float, opacity: float) -> alt.Chart:
        found: alt.Chart = (
            alt.Chart(alt.NamedData("marks"))
            .transform_filter(alt.datum.role == role)
            .mark_rule(strokeWidth=width, opacity=opacity)
            .encode(x=alt.X("x0:Q", scale=x_scale, axis=None), x2="x1:Q", y=y, color=colour)
        )
        return found

    def words(role: str, size: int, align: str, weight: str = "normal") -> alt.Chart:
        found: alt.Chart = (
            alt.Chart(alt.NamedData("texts"))
            .transform_filter(alt.datum.role == role)
            .mark_text(
                fontSize=size,
                align=align,  # type: ignore[arg-type]
                fontWeight=weight,  # type: ignore[arg-type]
                baseline="top" if role == "expert" else "middle",
                lineBreak="\n",
                lineHeight=LINE,
            )
            .encode(x=alt.X("x:Q", scale=x_scale, axis=None), y=y, text="text:N", color=colour)
        )
        return found

    layers = alt.layer(
        rules("grid", 1, 0.3),
        violins,
        rules("mean", 3, 1),
        words("mean", 12, "left", "bold"),
        words("empty", 10, "center"),
        words("gate", 13, "right", "bold"),
        words("tick", 10, "left"),
        words("expert", 12, "center"),
    )
    return template(layers.properties(height=BAND * gates + 16 + LINE * lines))


def off_bars(
    rows: Sequence[tuple[str, str, str, float | None]], tasks: Sequence[tuple[str, str]], low: float, high: float
) -> Drawing:
    """What each task's score changes by when an expert is off: one bar per expert and task, named at its end.

    Args:
        rows: (expert, task, what it says at the end, change in thousandths or None).
        tasks: (name, colour).
        low: least change of all runs that are compared, at most 0.
        high: largest, at least 0.
    """
    known = [(expert, task, text, value) for expert, task, text, value in rows if value is not None]
    frame = pd.DataFrame(known, columns=["expert", "task", "text", "value"])
    experts = tuple(dict.fromkeys(expert for expert, *_ in rows))
    return Drawing(_off_template(experts, tuple(tasks), (low, high)), {"bars": frame})


@by_language(maxsize=64)
def _off_template(experts: tuple[str, ...], tasks: tuple[tuple[str, str], ...], ends: Bounds) -> dict[str, Any]:
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
        alt.Tooltip("value:Q", title=tr("change, thousandths"), format="+.1f"),
    ]
    base = alt.Chart(alt.NamedData("bars"))
    x = alt.X("value:Q", scale=x_scale, axis=alt.Axis(title=tr("change of the score, thousandths"), tickCount=4))
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
