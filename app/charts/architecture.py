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
from mtl_core.trunks.wiring import Expert, Gate, Level, Wiring, gate_key

#: A place, or half a width and half a height, in drawing units.
Spot = tuple[float, float]
WIDEST = 13.0
CURVE_POINTS = 16
#: Letters on pale boxes, in both themes.
INK = "#1B1E23"
#: Letters that fit on a line of a box.
LINE_LETTERS = 10
#: The same where there are several levels, and so less room.
FEWER_LETTERS = 7
#: Boxes of a column that stand apart, and lines from experts to gates that are drawn.
AIRY, MOST_LINES = 10, 1000
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
    least = thinnest(wiring, weights)
    note = tr("Gate lines of less than {share:.1%} are not drawn.", share=least) if least else ""
    return Drawing(_template(columns, height_of(wiring, len(tasks))), {"nodes": nodes, "links": links}, note)


def height_of(wiring: Wiring, tasks: int) -> int:
    """Pixels: the first boxes of a column stand apart, many of them closer together."""
    count = max(tallest(wiring), tasks)
    return max(260, 44 * min(count, AIRY) + 26 * max(0, count - AIRY))


def thinnest(wiring: Wiring, weights: Mapping[str, Sequence[float]] | None) -> float:
    """The mean weight below which no line from an expert to a gate is drawn: 0 unless there are very many."""
    sizes = sorted(
        (
            abs(mean[e])
            for number, level in enumerate(wiring.levels, start=1)
            for gate in level.gates
            if (mean := (weights or {}).get(gate_key(number, gate.name))) is not None
            for e in gate.sees
        ),
        reverse=True,
    )
    return sizes[MOST_LINES] if len(sizes) > MOST_LINES else 0.0


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
        for lines, size in ((1, 13 if columns <= 4 else 11), (2, 11 if columns <= 4 else 10), (3, 10))
    ]
    return template(alt.layer(*links_layers, boxes, gates, *texts).properties(height=height))


def layout(
    wiring: Wiring, tasks: Sequence[str], weights: Mapping[str, Sequence[float]] | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Positions of nodes and points of links, in drawing units: x by column, y in 0..1 from bottom to top."""
    drawn = _Layout(wiring, tasks, weights)
    drawn.tables()
    for number in range(1, len(wiring.levels) + 1):
        drawn.experts(number)
        drawn.gates(number)
    drawn.towers()
    return pd.DataFrame(drawn.nodes), pd.DataFrame(drawn.links)


class _Layout:
    """Boxes, gates and lines, column by column; each column joins the streams that the one before it gave."""

    def __init__(self, wiring: Wiring, tasks: Sequence[str], weights: Mapping[str, Sequence[float]] | None) -> None:
        self.wiring, self.tasks, self.weights = wiring, tasks, weights or {}
        self.nodes: list[dict[str, object]] = []
        self.links: list[dict[str, object]] = []
        self._colours = task_colours(tasks)
        self._least = thinnest(wiring, weights)
        self._narrow = len(wiring.levels) > 1
        #: Per level where its streams leave it: those of the encoder, which is level 0, then the gates' mixes.
        self._streams: list[dict[int, Spot]] = [{}]
        #: Height of each expert of the level that was drawn last.
        self._spots: list[float] = []

    def tables(self) -> None:
        """What the encoder gives."""
        half = 0.34 if self._narrow else 0.28
        tall = min(0.2, 0.4 / len(self.wiring.embeddings))
        for stream, y, name, colour, about in _tables(self.wiring, self.tasks):
            self._box((0, y), (half, tall), name, colour, 0.25, about)
            self._streams[0][stream] = (half, y)

    def experts(self, number: int) -> None:
        """The experts of a level, what each reads, and what ties them."""
        level, x = self.wiring.levels[number - 1], 2 * number - 1.0
        order = drawing_order(level)
        rank = {e: place for place, e in enumerate(order)}
        self._spots = [1 - (rank[e] + 0.5) / len(rank) for e in range(len(rank))]
        size = 0.3, min(0.075, 0.36 / len(level.experts))
        for expert, y in zip(level.experts, self._spots, strict=True):
            name = _in_a_box(expert, self._narrow)
            self._box((x, y), size, name, expert_colour(expert.owner), 0.5, _whose(expert, self.tasks))
            below = self._streams[-1 if expert.level is None else expert.level]
            for read in (expert.source, *expert.also):
                of_encoder = below is self._streams[0]
                colour = _table_colour(self.wiring.embeddings[read]) if of_encoder else LINE
                about = tr("what expert {expert} reads", expert=expert.name)
                self._link(below[read], (x - 0.3, y), 1.4, colour, 0.6, about)
        for a, b in itertools.pairwise(order) if level.tied else ():
            about = tr(
                "a penalty pulls the weights of {one} and {other} together",
                one=level.experts[a].name, other=level.experts[b].name,
            )  # fmt: skip
            self._link((x, self._spots[a]), (x, self._spots[b]), 3.0, LINE, 1.0, about, dashed=True)

    def gates(self, number: int) -> None:
        """The gates of a level and their lines to the experts that they see."""
        level, x = self.wiring.levels[number - 1], 2.0 * number
        mixes: dict[int, Spot] = {}
        for g, y in enumerate(_spread_gates([gate.owner for gate in level.gates], len(self.tasks))):
            gate = level.gates[g]
            self._gate_lines(number, level, gate, (x, y))
            colour, about = expert_colour(gate.owner), tr("gate of {gate}", gate=gate_name(gate))
            self.nodes.append(
                {"x": x, "y": y, "x0": x, "x1": x, "y0": y, "y1": y, "label": "", "lines": 0}
                | {"colour": colour, "fill": "#FFFFFF", "about": about, "shape": "gate", "ink": colour}
            )
            mixes[g] = (x + 0.06, y)
        self._streams.append(mixes)

    def _gate_lines(self, number: int, level: Level, gate: Gate, at: Spot) -> None:
        colour, (x, y) = expert_colour(gate.owner), at
        start = x - 1 + 0.3
        mean = self.weights.get(gate_key(number, gate.name))
        for e in gate.sees:
            share = mean[e] if mean is not None else untrained(gate, e)
            if mean is not None and abs(share) < self._least:
                continue
            about = _about(gate, level.experts[e].name, share, mean is not None)
            width = max(0.6, WIDEST * min(abs(share), 1.0))
            opacity = 0.15 if gate.kind == "select" and share < NONE else 0.75
            self._link((start, self._spots[e]), (x - 0.06, y), width, colour, opacity, about, share < 0)
        for e in gate.native:
            ends = (start, self._spots[e] + 0.025), (x - 0.05, y + 0.03)
            about = tr("{expert} also reaches {gate} past the gate", expert=level.experts[e].name, gate=gate_name(gate))
            self._link(*ends, 2.0, colour, 0.9, about, dashed=True)

    def towers(self) -> None:
        """One per task, and the mixes that it reads."""
        x = 2 * len(self.wiring.levels) + 1.0
        size = 0.34 if self._narrow else 0.3, min(0.075, 0.4 / len(self.tasks))
        spots = _spread_gates(list(range(len(self.tasks))), len(self.tasks))
        for k, (name, y) in enumerate(zip(self.tasks, spots, strict=True)):
            colour = self._colours[name]
            for read in self.wiring.outputs[k]:
                about = tr("what the tower of {task} reads", task=name)
                self._link(self._streams[-1][read], (x - size[0], y), 2.0, colour, 0.9, about)
            self._box((x, y), size, name, colour, 0.22, tr("tower of {task}", task=name), ink=colour)

    def _box(
        self, at: Spot, size: Spot, label: str, colour: str, fill: float, about: str, ink: str = INK
    ) -> None:  # fmt: skip
        (x, y), (w, h) = at, size
        label = wrapped(label, FEWER_LETTERS if self._narrow else LINE_LETTERS)
        self.nodes.append(
            {"x": x, "y": y, "x0": x - w, "x1": x + w, "y0": y - h, "y1": y + h, "label": label, "colour": colour}
            | {"fill": pale(colour, fill), "about": about, "shape": "box", "ink": ink, "lines": label.count("\n") + 1}
        )

    def _link(
        self, a: Spot, b: Spot, width: float, colour: str, opacity: float, about: str, dashed: bool = False
    ) -> None:  # fmt: skip
        name = len(self.links) // CURVE_POINTS
        for i in range(CURVE_POINTS):
            t = i / (CURVE_POINTS - 1)
            ease = (1 - math.cos(math.pi * t)) / 2  # leaves and arrives level, like a drawn wire
            self.links.append(
                {"x": a[0] + (b[0] - a[0]) * t, "y": a[1] + (b[1] - a[1]) * ease, "link": name, "t": i}
                | {"width": width, "colour": colour, "opacity": opacity, "about": about, "dashed": dashed}
            )


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


def _in_a_box(expert: Expert, several: bool) -> str:
    """An expert's name, or its number alone where the name is too long for a narrow box: its hue says whose it is."""
    if several and expert.owner is not None and letters(expert.name) > FEWER_LETTERS:
        return expert.name.split()[-1]
    return expert.name


def wrapped(name: str, most: int = LINE_LETTERS) -> str:
    """A name cut at underscores and blanks so that it fits a box of so many letters; three lines at most."""
    lines = [""]
    for word in name.replace("_", " ").split():
        if lines[-1] and letters(lines[-1]) + 1 + letters(word) > most and len(lines) < 3:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(line if letters(line) <= most + 3 else cut(line, most + 2) + "…" for line in lines)


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
