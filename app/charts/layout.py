"""Where everything of a drawn model stands: boxes, gates and lines, column by column. No Streamlit, no Altair."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from app.charts.joints import JOINT_STEP, behind, depths, joint_about, joint_name, tower_about, tower_name
from app.charts.labels import letters, wrapped
from app.charts.order import by_owner, drawing_order, features_name, tallest
from app.charts.palette import INK, LINE, SHARED, expert_colour, pale, task_colours
from app.charts.room import Room, room
from app.core_texts import gate_name
from app.i18n import tr
from mtl_core.heads.meeting import Meeting, own_towers
from mtl_core.trunks.wiring import Expert, Gate, Level, Wiring, gate_key

#: A place, or half a width and half a height, in drawing units.
Spot = tuple[float, float]
WIDEST = 13.0
CURVE_POINTS = 16
#: Width of a picture on a small laptop; of a bold letter, as a share of its size; and sizes of letters: the smallest,
#: and the largest of one, two and three lines.
PIXELS, LETTER, SMALLEST, LARGEST = 430, 0.6, 9, (13, 11, 10)
#: From so many columns on boxes take more of the room between them.
AIRY_COLUMNS = 4
#: Width of the line through a gate unit, which scales and does not weigh.
MODULATED = 3.0
#: Boxes of a column that stand apart.
AIRY = 10
#: A selected weight below this is none.
NONE = 0.005


def room_of(wiring: Wiring, tasks: int, weights: Mapping[str, Sequence[float]] | None, meeting: Meeting | None) -> Room:
    """What of the picture is drawn."""
    head = meeting or Meeting(own_towers(tasks))
    boxes = 2 * (len(head.towers) + len(head.joints))
    return room(wiring, weights, boxes + 2 * len(head.passes) + sum(len(joint.reads) for joint in head.joints))


def columns_of(wiring: Wiring, meeting: Meeting | None) -> float:
    """Width of the picture in drawing units."""
    return 2 * len(wiring.levels) + 2 + (0.0 if meeting is None else behind(meeting))


def height_of(wiring: Wiring, tasks: int, meeting: Meeting | None = None) -> int:
    """Pixels: the first boxes of a column stand apart, many of them closer together."""
    towers = tasks if meeting is None else len(meeting.towers)
    count = max(tallest(wiring), towers)
    return max(260, 44 * min(count, AIRY) + 26 * max(0, count - AIRY))


def layout(
    wiring: Wiring,
    tasks: Sequence[str],
    weights: Mapping[str, Sequence[float]] | None,
    meeting: Meeting | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Positions of nodes and points of links, in drawing units: x by column, y in 0..1 from bottom to top."""
    drawn = _Layout(wiring, tasks, weights, meeting or Meeting(own_towers(len(tasks))))
    drawn.tables()
    for number in range(1, len(wiring.levels) + 1):
        drawn.experts(number)
        drawn.gates(number)
    drawn.towers()
    drawn.head()
    return pd.DataFrame(drawn.nodes), pd.DataFrame(drawn.links)


class _Layout:
    """Boxes, gates and lines, column by column; each column joins the streams that the one before it gave."""

    def __init__(
        self,
        wiring: Wiring,
        tasks: Sequence[str],
        weights: Mapping[str, Sequence[float]] | None,
        meeting: Meeting,
    ) -> None:
        self.wiring, self.tasks, self.weights, self.meeting = wiring, tasks, weights or {}, meeting
        self.nodes: list[dict[str, object]] = []
        self.links: list[dict[str, object]] = []
        self._colours = task_colours(tasks)
        self._room = room_of(wiring, len(tasks), weights, self.meeting)
        self._reads, self._lines = itertools.count(), itertools.count()
        self._columns = columns_of(wiring, meeting)
        #: Per level where its streams leave it: those of the encoder, which is level 0, then the gates' mixes.
        self._streams: list[dict[int, Spot]] = [{}]
        #: Height of each expert of the level that was drawn last.
        self._spots: list[float] = []
        #: Where towers, and then joints, give their numbers.
        self._numbers: list[Spot] = []
        self._joint_spots: dict[int, Spot] = {}

    def tables(self) -> None:
        """What the encoder gives."""
        half = 0.34 if self._columns > AIRY_COLUMNS else 0.28
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
            name = _in_a_box(expert, self._letters(size[0]))
            self._box((x, y), size, name, expert_colour(expert.owner), 0.5, _whose(expert, self.tasks))
            below = self._streams[-1 if expert.level is None else expert.level]
            for read in (expert.source, *expert.also):
                if next(self._reads) % self._room.reads:
                    continue
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
        spots = _spread_gates([gate.owner for gate in level.gates], len(self.tasks))
        for g, gate in enumerate(level.gates):
            y = self._spots[gate.sees[0]] if gate.modulates else spots[g]
            if not gate.mixes and not gate.modulates:  # there is nothing to mix: what it sees goes on as it is
                mixes[g] = (x - 0.7, self._spots[gate.sees[0]])
                continue
            colour, about = expert_colour(gate.owner), tr("gate of {gate}", gate=gate_name(gate))
            if gate.modulates:
                about = tr("gate unit of {gate}: scales every unit of its network, row by row", gate=gate_name(gate))
                reads = tr("what the gate unit of {gate} reads", gate=gate_name(gate))
                self._link(self._streams[0][gate.source], (x, y + 0.03), 1.2, colour, 0.6, reads, dashed=True)
            self._gate_lines(number, level, gate, (x, y))
            shape = "unit" if gate.modulates else "gate"
            self.nodes.append(
                {"x": x, "y": y, "x0": x, "x1": x, "y0": y, "y1": y, "label": "", "lines": 0, "size": 0.0}
                | {"colour": colour, "fill": "#FFFFFF", "about": about, "shape": shape, "ink": INK}
            )
            mixes[g] = (x + 0.06, y)
        self._streams.append(mixes)

    def _gate_lines(self, number: int, level: Level, gate: Gate, at: Spot) -> None:
        colour, (x, y) = expert_colour(gate.owner), at
        start = x - 1 + 0.3
        mean = self.weights.get(gate_key(number, gate.name))
        for e in gate.sees:
            share = mean[e] if mean is not None else untrained(gate, e)
            if (mean is not None and abs(share) < self._room.least) or next(self._lines) % self._room.lines:
                continue
            about = _about(gate, level.experts[e].name, share, mean is not None)
            width = MODULATED if gate.modulates else max(0.6, WIDEST * min(abs(share), 1.0))
            opacity = 0.15 if gate.kind == "select" and share < NONE else 0.75
            self._link((start, self._spots[e]), (x - 0.06, y), width, colour, opacity, about, share < 0)
        for e in gate.native:
            ends = (start, self._spots[e] + 0.025), (x - 0.05, y + 0.03)
            about = tr("{expert} also reaches {gate} past the gate", expert=level.experts[e].name, gate=gate_name(gate))
            self._link(*ends, 2.0, colour, 0.9, about, dashed=True)

    def towers(self) -> None:
        """The head's towers, a task's own first, and the mixes that they read."""
        x = 2 * len(self.wiring.levels) + 1.0
        towers = self.meeting.towers
        half = 0.34 if self._columns > AIRY_COLUMNS else 0.3
        size = half, min(0.075, 0.4 / len(towers))
        order = sorted(range(len(towers)), key=lambda j: (towers[j].task, j))
        spots = dict(zip(order, _spread(len(towers)), strict=True))
        for j, tower in enumerate(towers):
            name, y = self.tasks[tower.task], spots[j]
            colour = self._colours[name]
            for read in self.wiring.outputs[tower.task]:
                about = tr("what the tower of {task} reads", task=name)
                self._link(self._streams[-1][read], (x - half, y), 2.0, colour, 0.9, about)
            self._box((x, y), size, tower_name(tower, self.tasks), colour, 0.22, tower_about(tower, self.tasks))
            self._numbers.append((x + half, y))

    def head(self) -> None:
        """What goes on between towers: arrows from one that is heard to one that hears, boxes for what is computed."""
        colours = [self._colours[self.tasks[tower.task]] for tower in self.meeting.towers]
        for place, (a, b) in enumerate(self.meeting.passes):
            (x, start), (_, end) = self._numbers[a], self._numbers[b]
            about = tr(
                "{task} hears from {other}",
                task=self.tasks[self.meeting.towers[b].task], other=self.tasks[self.meeting.towers[a].task],
            )  # fmt: skip
            # Each leaves a little lower than the one before and swings out further, so that none hides another.
            self._bow((x, start - 0.02 * place), (x + 0.05, end + 0.02), 0.2 + 0.12 * place, colours[a], about)
            self.nodes.append(
                {"x": x + 0.05, "y": end + 0.02, "x0": x, "x1": x, "y0": end, "y1": end, "label": "", "lines": 0}
                | {"size": 0.0, "colour": colours[a], "fill": colours[a], "about": about, "shape": "tip", "ink": INK}
            )
        self._joints(colours)

    def _joints(self, colours: Sequence[str]) -> None:
        joints, towers = self.meeting.joints, self.meeting.towers
        depth, x0 = depths(self.meeting), 2 * len(self.wiring.levels) + 1.0
        for column in range(1, max(depth, default=0) + 1):
            members = [place for place, at in enumerate(depth) if at == column]
            wanted = {p: sum(self._height(r) for r in joints[p].reads) / len(joints[p].reads) for p in members}
            # In the order of what they read, so that lines cross as little as can be.
            order = sorted(members, key=lambda p: -wanted[p])
            size = 0.36, min(0.075, 0.4 / len(members))
            for place, y in zip(order, _near([wanted[p] for p in order], 2.4 * size[1]), strict=True):
                joint, x = joints[place], x0 + JOINT_STEP * column
                label, about = joint_name(self.meeting, place, self.tasks), joint_about(self.meeting, place, self.tasks)
                for read in joint.reads:
                    colour = colours[read] if read < len(towers) else LINE
                    self._link(self._spot(read), (x - size[0], y), 2.0, colour, 0.8, about)
                self._box((x, y), size, label, SHARED, 0.22, about)
                self._joint_spots[place] = (x + size[0], y)

    def _spot(self, read: int) -> Spot:
        """Where a tower or a joint gives its number."""
        count = len(self._numbers)
        return self._numbers[read] if read < count else self._joint_spots[read - count]

    def _height(self, read: int) -> float:
        return self._spot(read)[1]

    def _letters(self, half: float) -> int:
        """Letters that fit on a line of a box of this half width, at their smallest."""
        return max(3, int(self._pixels(half) / (LETTER * SMALLEST)))

    def _pixels(self, half: float) -> float:
        """Width of a box on a small laptop, without its margin."""
        return 2 * half / (self._columns - 0.1) * PIXELS - 4

    def _box(self, at: Spot, size: Spot, label: str, colour: str, fill: float, about: str) -> None:
        (x, y), (w, h) = at, size
        label = wrapped(label, self._letters(w)) if self._room.named else ""
        lines = label.split("\n")
        fit = self._pixels(w) / (LETTER * max(1, *map(letters, lines)))
        self.nodes.append(
            {"x": x, "y": y, "x0": x - w, "x1": x + w, "y0": y - h, "y1": y + h, "label": label, "colour": colour}
            | {"fill": pale(colour, fill), "about": about, "shape": "box", "ink": INK, "lines": len(lines)}
            | {"size": round(max(SMALLEST, min(LARGEST[len(lines) - 1], fit)), 1)}
        )

    def _bow(self, a: Spot, b: Spot, out: float, colour: str, about: str) -> None:
        """A line that swings out to the right."""
        name = len(self.links) // CURVE_POINTS
        for i in range(CURVE_POINTS):
            t = i / (CURVE_POINTS - 1)
            self.links.append(
                {"x": a[0] + (b[0] - a[0]) * t + out * math.sin(math.pi * t), "y": a[1] + (b[1] - a[1]) * t}
                | {"link": name, "t": i, "width": 2.4, "colour": colour, "opacity": 0.9, "about": about}
                | {"dashed": False}
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


def _in_a_box(expert: Expert, most: int) -> str:
    """An expert's name, or its number alone where the name is too long for its box: its hue says whose it is."""
    if expert.owner is not None and letters(expert.name) > most:
        return expert.name.split()[-1]
    return expert.name


def _spread(count: int) -> list[float]:
    """Evenly from top to bottom."""
    return [1 - (i + 0.5) / count for i in range(count)]


def _near(wanted: Sequence[float], least: float) -> list[float]:
    """Places near these descending ones, at least so far from each other, and all of them in sight."""
    places: list[float] = []
    for value in wanted:
        places.append(min(value, places[-1] - least) if places else value)
    low = places[-1] - least / 2
    return [place - min(0.0, low) for place in places]


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
