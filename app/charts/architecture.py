"""Who listens to whom: a trunk drawn from its wiring, link width = mean gate weight (Altair: it moves live)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from app.charts.drawing import Drawing, template
from app.charts.labels import cut, letters
from app.charts.order import by_owner, drawing_order, features_name, tallest
from app.charts.palette import LINE, expert_colour, pale, task_colours
from app.core_texts import gate_name
from app.i18n import by_language, tr
from mtl_core.trunks.wiring import Expert, Gate, Wiring, gate_key

WIDEST = 13.0
CURVE_POINTS = 16
#: Letters on pale boxes, in both themes.
INK = "#1B1E23"
#: Letters that fit on a line of a box.
LINE_LETTERS = 10
#: A selected weight below this is none.
NONE = 0.005


def architecture(wiring: Wiring, tasks: Sequence[str], weights: Mapping[str, Sequence[float]] | None = None) -> Drawing:
    """The trunk from features (left) to towers (right).

    Args:
        wiring: the levels, experts and gates.
        tasks: task names in order.
        weights: gate key ("level 1 / A") -> mean weight per expert of its level. None: nothing trained yet, every
            visible expert counts alike. A negative weight is drawn dashed, one that was left out is barely there.
    """
    nodes, links = layout(wiring, tasks, weights)
    columns = 2 * len(wiring.levels) + 2
    return Drawing(_template(columns, max(260, 44 * tallest(wiring))), {"nodes": nodes, "links": links})


@by_language(maxsize=64)
def _template(columns: int, height: int) -> dict[str, Any]:
    x = alt.X("x:Q", scale=alt.Scale(domain=[-0.45, columns - 0.55]), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[-0.02, 1.02]), axis=None)
    # Colours are data here (scale=None): shared grey and task hues come from the palette, not from a legend.
    stroke = alt.Color("colour:N", scale=None)
    tooltip = [alt.Tooltip("about:N", title=tr("what"))]
    links_layers = [
        alt.Chart(alt.NamedData("links"))
        .transform_filter(alt.datum.dashed == dashed)
        .mark_line(strokeCap="butt" if dashed else "round", strokeDash=[5, 4] if dashed else [1, 0])
        .encode(
            x,
            y,
            stroke,
            detail="link:N",
            order="t:Q",
            strokeWidth=alt.StrokeWidth("width:Q", scale=None),
            opacity=alt.Opacity("opacity:Q", scale=None),
            tooltip=tooltip,
        )
        for dashed in (False, True)
    ]
    boxes = (
        alt.Chart(alt.NamedData("nodes"))
        .transform_filter(alt.datum.shape != "gate")
        .mark_rect(cornerRadius=5, strokeWidth=1.5)
        .encode(
            # The same scale and no axis, as the other layers: Vega draws nothing at all where layers disagree.
            x=alt.X("x0:Q", scale=alt.Scale(domain=[-0.45, columns - 0.55]), axis=None),
            x2="x1:Q",
            y=alt.Y("y0:Q", scale=alt.Scale(domain=[-0.02, 1.02]), axis=None),
            y2="y1:Q",
            fill=alt.Fill("fill:N", scale=None),
            stroke=stroke,
            tooltip=tooltip,
        )
    )
    gates = (
        alt.Chart(alt.NamedData("nodes"))
        .transform_filter(alt.datum.shape == "gate")
        .mark_point(shape="circle", size=420, strokeWidth=2.4, filled=True, fillOpacity=1)
        .encode(x, y, fill=alt.value("white"), stroke=stroke, tooltip=tooltip)
    )
    texts = [
        alt.Chart(alt.NamedData("nodes"))
        .transform_filter((alt.datum.lines == lines) & (alt.datum.shape == "box"))
        .mark_text(
            fontSize=size, fontWeight="bold", lineBreak="\n", lineHeight=12, dy=-6 * (lines - 1), baseline="middle"
        )
        .encode(x, y, text="label:N", color=alt.Color("ink:N", scale=None), tooltip=tooltip)
        # Vega centres the first line of a text; the others hang below it.
        for lines, size in ((1, 13), (2, 11), (3, 10))
    ]
    return template(alt.layer(*links_layers, boxes, gates, *texts).properties(height=height))


def layout(
    wiring: Wiring, tasks: Sequence[str], weights: Mapping[str, Sequence[float]] | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Positions of nodes and points of links, in drawing units: x by column, y in 0..1 from bottom to top."""
    nodes: list[dict[str, object]] = []
    links: list[dict[str, object]] = []
    colours = task_colours(tasks)

    def box(x: float, y: float, w: float, h: float, label: str, colour: str, fill: float, about: str, ink: str) -> None:
        label = wrapped(label)
        nodes.append(
            {"x": x, "y": y, "x0": x - w, "x1": x + w, "y0": y - h, "y1": y + h, "label": label, "colour": colour}
            | {"fill": pale(colour, fill), "about": about, "shape": "box", "ink": ink, "lines": label.count("\n") + 1}
        )

    def link(
        a: tuple[float, float],
        b: tuple[float, float],
        width: float,
        colour: str,
        opacity: float,
        about: str,
        dashed: bool = False,
    ) -> None:
        name = len(links) // CURVE_POINTS
        for i in range(CURVE_POINTS):
            t = i / (CURVE_POINTS - 1)
            ease = (1 - math.cos(math.pi * t)) / 2  # leaves and arrives level, like a drawn wire
            links.append(
                {"x": a[0] + (b[0] - a[0]) * t, "y": a[1] + (b[1] - a[1]) * ease, "link": name, "t": i}
                | {"width": width, "colour": colour, "opacity": opacity, "about": about, "dashed": dashed}
            )

    #: Per level where its streams leave it: those of the encoder, which is level 0, then the gates' mixes.
    streams: list[dict[int, tuple[float, float]]] = [{}]
    for stream, y, name, colour, about in _tables(wiring, tasks):
        box(0, y, 0.28, min(0.2, 0.4 / len(wiring.embeddings)), name, colour, 0.25, about, INK)
        streams[0][stream] = (0.28, y)
    for number, level in enumerate(wiring.levels, start=1):
        x_expert, x_gate = 2 * number - 1.0, 2 * number - 0.0
        rank = {e: place for place, e in enumerate(drawing_order(level))}
        spots = [1 - (rank[e] + 0.5) / len(rank) for e in range(len(rank))]
        height = min(0.075, 0.36 / len(level.experts))
        for expert, y in zip(level.experts, spots, strict=True):
            box(
                x_expert,
                y,
                0.3,
                height,
                expert.name,
                expert_colour(expert.owner),
                0.5,
                _whose(expert, tasks),
                INK,
            )
            below = streams[-1 if expert.level is None else expert.level]
            for read in (expert.source, *expert.also):
                colour = _table_colour(wiring.embeddings[read]) if below is streams[0] else LINE
                about = tr("what expert {expert} reads", expert=expert.name)
                link(below[read], (x_expert - 0.3, y), 1.4, colour, 0.6, about)
        if level.tied:
            order = drawing_order(level)
            for a, b in itertools.pairwise(order):
                ends = (x_expert, spots[a]), (x_expert, spots[b])
                about = tr(
                    "a penalty pulls the weights of {one} and {other} together",
                    one=level.experts[a].name, other=level.experts[b].name,
                )  # fmt: skip
                link(*ends, 3.0, LINE, 1.0, about, dashed=True)
        gate_spots = _spread_gates([g.owner for g in level.gates], len(tasks))
        mixes: dict[int, tuple[float, float]] = {}
        for g, (gate, y) in enumerate(zip(level.gates, gate_spots, strict=True)):
            colour = expert_colour(gate.owner)
            mean = (weights or {}).get(gate_key(number, gate.name))
            for e in gate.sees:
                share = mean[e] if mean is not None else untrained(gate, e)
                about = _about(gate, level.experts[e].name, share, mean is not None)
                width = max(0.6, WIDEST * min(abs(share), 1.0))
                opacity = 0.15 if gate.kind == "select" and share < NONE else 0.75
                link((x_expert + 0.3, spots[e]), (x_gate - 0.06, y), width, colour, opacity, about, share < 0)
            for e in gate.native:
                start, end = (x_expert + 0.3, spots[e] + 0.025), (x_gate - 0.05, y + 0.03)
                about = tr(
                    "{expert} also reaches {gate} past the gate", expert=level.experts[e].name, gate=gate_name(gate)
                )
                link(start, end, 2.0, colour, 0.9, about, dashed=True)
            nodes.append(
                {"x": x_gate, "y": y, "x0": x_gate, "x1": x_gate, "y0": y, "y1": y, "label": "", "colour": colour}
                | {
                    "fill": "#FFFFFF",
                    "about": tr("gate of {gate}", gate=gate_name(gate)),
                    "shape": "gate",
                    "ink": colour,
                }
                | {"lines": 0}
            )
            mixes[g] = (x_gate + 0.06, y)
        streams.append(mixes)
    x_tower = 2 * len(wiring.levels) + 1.0
    for k, name in enumerate(tasks):
        y = _spread_gates(list(range(len(tasks))), len(tasks))[k]
        for read in wiring.outputs[k]:
            about = tr("what the tower of {task} reads", task=name)
            link(streams[-1][read], (x_tower - 0.3, y), 2.0, colours[name], 0.9, about)
        box(
            x_tower,
            y,
            0.3,
            min(0.075, 0.4 / len(tasks)),
            name,
            colours[name],
            0.22,
            tr("tower of {task}", task=name),
            colours[name],
        )
    return pd.DataFrame(nodes), pd.DataFrame(links)


def _table_colour(owner: int | None) -> str:
    return LINE if owner is None else expert_colour(owner)


def _tables(wiring: Wiring, tasks: Sequence[str]) -> Iterator[tuple[int, float, str, str, str]]:
    """The encoder's streams from top to bottom: number, height, name, colour, and what each holds."""
    for place, stream in enumerate(by_owner(wiring.embeddings)):
        owner = wiring.embeddings[stream]
        shared = tr("embeddings that all tasks share")
        about = shared if owner is None else tr("embeddings of {task}'s own", task=tasks[owner])
        y = 1 - (place + 0.5) / len(wiring.embeddings)
        yield stream, y, features_name(wiring, stream, tasks), _table_colour(owner), about


def untrained(gate: Gate, expert: int) -> float:
    """The weight that a gate gives an expert as far as is known without training: all alike, unless it is fixed."""
    if gate.fixed:
        return gate.fixed[gate.sees.index(expert)]
    return 1 / len(gate.sees)


def _whose(expert: Expert, tasks: Sequence[str]) -> str:
    if expert.owner is None:
        return tr("expert {expert}: shared", expert=expert.name)
    return tr("expert {expert}: private to {task}", expert=expert.name, task=tasks[expert.owner])


def _about(gate: Gate, expert: str, share: float, trained: bool) -> str:
    if not trained:
        return tr("{gate} may mix {expert}", gate=gate_name(gate), expert=expert)
    if gate.kind == "softmax":
        return tr("{gate} takes {share:.0%} from {expert}", gate=gate_name(gate), expert=expert, share=share)
    if gate.kind == "select" and share < NONE:
        return tr("{gate} leaves out {expert}", gate=gate_name(gate), expert=expert)
    return tr("{gate} weighs {expert} by {share:.2f}", gate=gate_name(gate), expert=expert, share=share)


def wrapped(name: str) -> str:
    """A name cut at underscores and blanks so that it fits a box; three lines at most."""
    lines = [""]
    for word in name.replace("_", " ").split():
        if lines[-1] and letters(lines[-1]) + 1 + letters(word) > LINE_LETTERS and len(lines) < 3:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(line if letters(line) <= LINE_LETTERS + 3 else cut(line, LINE_LETTERS + 2) + "…" for line in lines)


def _spread(count: int) -> list[float]:
    """Evenly from top to bottom."""
    return [1 - (i + 0.5) / count for i in range(count)]


def _spread_gates(owners: Sequence[int | None], tasks: int) -> list[float]:
    """Tasks from top to bottom, a shared gate in the middle (between the tasks of an even number).

    Where an owner has several gates, all are spread evenly.
    """
    spots = _spread(tasks)
    if len(owners) == 1:
        return [0.5]
    if len(set(owners)) < len(owners):
        place = dict(zip(by_owner(owners), _spread(len(owners)), strict=True))
        return [place[g] for g in range(len(owners))]
    shared = 0.5 if tasks % 2 == 0 else 0.5 - 0.5 / tasks
    return [shared if owner is None else spots[owner] for owner in owners]
