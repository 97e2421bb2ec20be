"""The seesaw plot: gain on one task against gain on another, single-task models at the cross (Altair).

Points arrive while runs finish, so it is a template over named data: ranges follow from rows, too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import altair as alt
import pandas as pd

from app import gains
from app.charts.drawing import Drawing, template
from app.charts.labels import LETTER, LINE, MARK, Box, letters, place_labels
from app.charts.palette import QUIET, family_colour, family_shape, tint
from app.i18n import by_language, tr
from mtl_core.comparison import Interval
from mtl_core.sweep import front

#: Side of the square plot in pixels, without its axes; labels are placed by it.
SIDE = 560
#: The same for one of several small plots.
SMALL_SIDE = 190
#: The selection that a click makes, and the field in which it holds the run.
PICK, RUN = "pick", "run"
#: The layer of the names' outlines, by which the style sheet finds it.
HALO = "halo"
#: What equal loss weights are called where others stand beside them.
EQUAL_WEIGHTS = "1:1"
GAIN, LOSS = "rgba(0,158,115,0.10)", "rgba(213,94,0,0.10)"
#: The first of the chart's tables is what its toolbar shows as its data: names and numbers come first.
MARKS = ["label", "what", "x", "y", RUN, "shape", "fill", "stroke", "size"]
BARS = ["x", "y", "x2", "y2", "stroke", "strength", "width"]
#: With more models that are spoken of, only those that no other one beats keep their intervals, and no single seed is
#: drawn: all of them would be a thicket.
MOST_INTERVALS = 8
#: Names beyond these would stand on each other.
MOST_NAMES = 24
#: So many marks are drawn; the rest of a plot, its ground and its words, stays below 300.
MOST_MARKS = 1200

_STAR = "M0,-1L.24,-.32L.95,-.31L.38,.12L.59,.81L0,.4L-.59,.81L-.38,.12L-.95,-.31L-.24,-.32Z"
_PENTAGON = "M0,-1L.95,-.31L.59,.81L-.59,.81L-.95,-.31Z"
_HEXAGON = "M0,-1L.87,-.5L.87,.5L0,1L-.87,.5L-.87,-.5Z"
_X = "M-.9,-.5L-.5,-.9L0,-.4L.5,-.9L.9,-.5L.4,0L.9,.5L.5,.9L0,.4L-.5,.9L-.9,.5L-.4,0Z"
_RING = "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0M.3,0A.3,.3,0,1,1,-.3,0A.3,.3,0,1,1,.3,0"
#: Plotly's names of symbols, which the palette speaks, in Vega's words or as paths.
_SHAPES = {
    "cross-thin": "cross", "star": _STAR, "pentagon": _PENTAGON, "hexagon": _HEXAGON, "x": _X, "circle-dot": _RING,
    "hourglass": "M-.8,-.9L.8,-.9L-.8,.9L.8,.9Z",
}  # fmt: skip


@dataclass(frozen=True)
class SeesawGroup:
    """One model: its gains by seed on two tasks, in the units of `app.gains`, and their paired intervals."""

    label: str
    trunk: str
    seeds: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    x_interval: Interval
    y_interval: Interval
    #: Ids of the runs, in the order of the seeds.
    runs: tuple[str, ...] = ()
    #: Models that differ in fixed loss weights alone share a line, on which they are told apart by `short`.
    line: str = ""
    short: str = ""
    #: Anything but fixed weights is drawn as a diamond.
    balancer: str = "static"
    parameters: int = 0

    @property
    def name(self) -> str:
        """What it is called beside its mark."""
        return f"{self.line} {self.short}" if self.line else self.label

    @property
    def told_apart(self) -> bool:
        """Is every one of its intervals clear of zero?"""
        return all(i.verdict != "not distinguishable" for i in (self.x_interval, self.y_interval))


def fronts(groups: Sequence[SeesawGroup]) -> dict[str, list[SeesawGroup]]:
    """Of every line of loss weights the models whose mean gains no other one beats, from left to right.

    They are compared over the seeds that all of them have, where there are some.
    """
    return {line: [members[i] for i in front(_means_of(members))] for line, members in _lines(groups).items()}


def uneven(groups: Sequence[SeesawGroup]) -> bool:
    """Is there a line whose models were not trained with the same seeds?"""
    return any(len({group.seeds for group in members}) > 1 for members in _lines(groups).values())


def unbeaten(groups: Sequence[SeesawGroup]) -> list[SeesawGroup]:
    """Of all models those whose mean gains no other one beats."""
    best = set(front([(g.x_interval.mean, g.y_interval.mean) for g in groups]))
    return [group for i, group in enumerate(groups) if i in best]


def _lines(groups: Sequence[SeesawGroup]) -> dict[str, list[SeesawGroup]]:
    lines: dict[str, list[SeesawGroup]] = {}
    for group in groups:
        if group.line:
            lines.setdefault(group.line, []).append(group)
    return lines


def _means_of(groups: Sequence[SeesawGroup]) -> list[tuple[float, float]]:
    """Mean gains over the seeds that all of the groups have; over each one's own where there is no such seed."""
    common = set(groups[0].seeds).intersection(*(group.seeds for group in groups))

    def mean(group: SeesawGroup, values: Sequence[float]) -> float:
        some = [value for seed, value in zip(group.seeds, values, strict=True) if seed in common or not common]
        return math.fsum(some) / len(some)

    return [(mean(group, group.x), mean(group, group.y)) for group in groups]


def spoken_of(groups: Sequence[SeesawGroup], *, ends: bool = True) -> list[SeesawGroup]:
    """The models that get a name, an interval and words.

    Of those that differ in loss weights alone: equal weights, what gains most in all, and on request the front's ends.
    """
    chosen = {id(group) for group in groups if not group.line or group.short == EQUAL_WEIGHTS}
    for members in fronts(groups).values():
        chosen.add(id(max(members, key=lambda g: g.x_interval.mean + g.y_interval.mean)))
        chosen |= {id(group) for group in (members[0], members[-1])} if ends else set()
    return [group for group in groups if id(group) in chosen]


def seesaw(groups: Sequence[SeesawGroup], task_x: str, task_y: str, units: tuple[str, str] | None = None) -> Drawing:
    """A square plot with named quadrants. Pale mark: one seed. Mark: mean. Bar: 95% interval of the paired difference.

    Grey: at least one task cannot be told from single-task. Line: Pareto front of a model's loss weights; small marks
    are means without their intervals.

    Args:
        groups: the models.
        task_x: the task whose gain lies across.
        task_y: the task whose gain lies upwards.
        units: what the gains of the two are counted in; none given means thousandths of AUC.
    """
    chosen = _chosen(groups, MOST_MARKS)
    spoken, barred, notes = chosen.spoken, chosen.barred, list(chosen.notes)
    seeds = _seeds(spoken) if len(spoken) <= MOST_INTERVALS else []
    if len(seeds) + 3 * len(groups) > MOST_MARKS:
        seeds = []
    if any(len(group.seeds) > 1 for group in spoken):
        notes.append(tr("Pale: one seed.") if seeds else tr("Single seeds are left out."))
    span = _span([*chosen.small, *spoken], barred, seeds)
    return Drawing(
        _template(task_x, task_y, units or (gains.unit("binary"), gains.unit("binary"))),
        {
            "marks": pd.DataFrame([*seeds, *_means(chosen.small, 0.25), *_means(spoken)], columns=MARKS),
            **_ground(span, task_x, task_y),
            "bars": pd.DataFrame(_bars(barred), columns=BARS),
            "fronts": pd.DataFrame(_fronts(groups), columns=["x", "y", "line", "stroke", "dashed"]),
            **_labels(tuple(spoken), tuple(barred), bool(seeds), span),
        },
        _passage(notes),
    )


@dataclass(frozen=True)
class _Chosen:
    """What of many models is drawn."""

    #: With a name; those of them with intervals; and those that are small marks.
    spoken: list[SeesawGroup]
    barred: list[SeesawGroup]
    small: list[SeesawGroup]
    notes: tuple[str, ...]


def _chosen(groups: Sequence[SeesawGroup], most: int) -> _Chosen:
    """A mark each and two bars for some, at most so many in all."""
    spoken, notes = spoken_of(groups), list[str]()
    if len(spoken) > MOST_NAMES:
        told = {"n": MOST_NAMES, "all": len(spoken)}
        spoken = _first(spoken, MOST_NAMES)
        notes.append(tr("Named are {n} of {all} models, those that no other one beats first.", **told))
    barred = spoken if len(spoken) <= MOST_INTERVALS else unbeaten(spoken)
    if len(barred) < len(spoken):
        notes.append(tr("Intervals are drawn of the {n} models that no other one beats.", n=len(barred)))
    named = {id(group) for group in spoken}
    small = [group for group in groups if id(group) not in named]
    room = max(0, most - len(spoken) - 2 * len(barred))
    if len(small) > room:
        small = _first(small, room)
        told = {"n": len(small) + len(spoken), "all": len(groups)}
        notes.append(tr("Drawn are {n} of {all} models.", **told))
    return _Chosen(spoken, barred, small, tuple(notes))


def _first(groups: Sequence[SeesawGroup], most: int) -> list[SeesawGroup]:
    """So many of the models, in their order: those of a front, then those that gain most in all."""
    best = {id(group) for group in (*unbeaten(groups), *(g for members in fronts(groups).values() for g in members))}
    chosen = {id(group) for group in sorted(groups, key=lambda group: id(group) not in best)[:most]}
    return [group for group in groups if id(group) in chosen]


def _passage(notes: Sequence[str]) -> str:
    return reduce(lambda before, after: tr("{before} {after}", before=before, after=after), notes) if notes else ""


def small_multiples(pictures: Sequence[tuple[str, str, Sequence[SeesawGroup]]]) -> Drawing:
    """Means and intervals of several pairs of tasks, each in a square of its own range."""
    frames: dict[str, list[pd.DataFrame]] = {"marks": [], "bars": [], "zones": []}
    notes: list[str] = []
    for task_x, task_y, groups in pictures:
        pair = tr("{task_y} up, {task_x} across", task_x=task_x, task_y=task_y)
        chosen = _chosen(groups, MOST_MARKS // len(pictures))
        notes += chosen.notes
        span = _span([*chosen.small, *chosen.spoken], chosen.barred)
        ground = _ground(span, task_x, task_y)["zones"]
        bars = pd.DataFrame(_bars(chosen.barred), columns=BARS)
        marks = pd.DataFrame([*_means(chosen.small, 0.15), *_means(chosen.spoken, 0.5)], columns=MARKS)
        for name, frame in (("zones", ground), ("bars", bars), ("marks", marks)):
            frames[name].append(frame.assign(pair=pair))
    # One table, so that all layers are split by the same facets.
    tables = [pd.concat(parts, ignore_index=True).assign(part=name) for name, parts in frames.items() if parts]
    rows = pd.concat(tables, ignore_index=True).astype(object)
    note = (
        tr("Where models are many, those that no other one beats are drawn, or have their intervals.") if notes else ""
    )
    return Drawing(_small_template(), {"pairs": rows.where(rows.notna(), None)}, note)


# Templates


def _scale() -> alt.Scale:
    return alt.Scale(zero=False, nice=False)


def _field(name: str) -> Any:
    """A channel that takes the value of a field as it is."""
    return {"field": name, "type": "nominal", "scale": None, "legend": None}


def _exactly(name: str) -> Any:
    """The same for a number."""
    return {"field": name, "type": "quantitative", "scale": None, "legend": None}


@by_language(maxsize=64)
def _template(task_x: str, task_y: str, units: tuple[str, str]) -> dict[str, Any]:
    axis: dict[str, Any] = {"format": "+.0~f", "grid": False, "tickCount": 7}
    titles = [
        tr("gain on {task} ({unit})", task=task, unit=unit) for task, unit in zip((task_x, task_y), units, strict=True)
    ]
    x = alt.X("x:Q", scale=_scale(), axis=alt.Axis(title=titles[0], **axis))
    y = alt.Y("y:Q", scale=_scale(), axis=alt.Axis(title=titles[1], **axis))
    zones = alt.Chart(alt.NamedData("zones")).mark_rect().encode(
        x=x, y=y, x2="x2", y2="y2", fill=_field("fill")
    )  # fmt: skip
    rules = [
        alt.Chart(alt.NamedData("cross")).mark_rule(color=QUIET, strokeWidth=1.2).encode(x=x),
        alt.Chart(alt.NamedData("cross")).mark_rule(color=QUIET, strokeWidth=1.2).encode(y=y),
    ]
    words = [
        alt.Chart(alt.NamedData("words"))
        .transform_filter(alt.datum.align == side)
        .mark_text(align=side, baseline="middle", color=QUIET, fontSize=13)
        .encode(x=x, y=y, text="text:N")
        for side in ("left", "right")
    ]
    lines = [
        alt.Chart(alt.NamedData("fronts"))
        .transform_filter(alt.datum.dashed == dashed)
        .mark_line(strokeWidth=2.5, strokeDash=[6, 4] if dashed else [1, 0])
        .encode(x=x, y=y, detail="line:N", stroke=_field("stroke"), order="x:Q")
        for dashed in (False, True)
    ]
    bars = [
        alt.Chart(alt.NamedData("bars"))
        .mark_rule()
        .encode(
            x=x,
            y=y,
            x2="x2",
            y2="y2",
            stroke=_field("stroke"),
            strokeOpacity=_exactly("strength"),
            strokeWidth=_exactly("width"),
        )
    ]
    pick = alt.selection_point(name=PICK, fields=[RUN], on="click", toggle=False, empty=False)
    marks = (
        alt.Chart(alt.NamedData("marks"))
        .mark_point(strokeWidth=2, opacity=1, cursor="pointer")
        .encode(
            x=x, y=y, shape=_field("shape"), fill=_field("fill"), stroke=_field("stroke"),
            size=alt.Size("size:Q", scale=None, legend=None),
            tooltip=[
                alt.Tooltip("label:N", title=tr("model")),
                alt.Tooltip("what:N", title=tr("shows")),
                alt.Tooltip("x:Q", title=tr("gain on {task}", task=task_x), format="+.1f"),
                alt.Tooltip("y:Q", title=tr("gain on {task}", task=task_y), format="+.1f"),
            ],
        )
        .add_params(pick)
    )  # fmt: skip
    leaders = alt.Chart(alt.NamedData("leaders")).mark_rule(strokeWidth=1).encode(
        x=x, y=y, x2="x2", y2="y2", stroke=_field("stroke")
    )  # fmt: skip
    written = alt.Chart(alt.NamedData("labels")).encode(x=x, y=y, text="label:N")
    style: dict[str, Any] = {"baseline": "middle", "fontSize": 13, "fontWeight": "bold"}
    # Letters keep clear of what is below them; on the page, which may be dark, the style sheet says the colour.
    halo = written.mark_text(stroke="white", fill="white", strokeWidth=4, strokeJoin="round", **style)
    halo = halo.properties(name=HALO)
    names = written.mark_text(**style).encode(color=_field("colour"))
    chart = alt.layer(zones, *rules, *words, *bars, *lines, leaders, marks, halo, names)
    # The sizes are those of the plot itself: fitted in with its axes it would be no square.
    return template(chart.properties(width=SIDE, height=SIDE, autosize=alt.AutoSizeParams(type="pad")))


@by_language(maxsize=4)
def _small_template() -> dict[str, Any]:
    axis: dict[str, Any] = {"format": "+.0~f", "grid": False, "tickCount": 3, "title": None}
    x = alt.X("x:Q", scale=_scale(), axis=alt.Axis(**axis))
    y = alt.Y("y:Q", scale=_scale(), axis=alt.Axis(**axis))
    base = alt.Chart()
    zones = base.transform_filter(alt.datum.part == "zones").mark_rect().encode(
        x=x, y=y, x2="x2", y2="y2", fill=_field("fill")
    )  # fmt: skip
    bars = base.transform_filter(alt.datum.part == "bars").mark_rule(strokeWidth=1.5).encode(
        x=x, y=y, x2="x2", y2="y2", stroke=_field("stroke"), strokeOpacity=_exactly("strength")
    )  # fmt: skip
    marks = (
        base.transform_filter(alt.datum.part == "marks")
        .mark_point(strokeWidth=2, opacity=1)
        .encode(
            x=x, y=y, shape=_field("shape"), fill=_field("fill"), stroke=_field("stroke"),
            size=alt.Size("size:Q", scale=None, legend=None),
            tooltip=[
                alt.Tooltip("label:N", title=tr("model")),
                alt.Tooltip("x:Q", title=tr("across"), format="+.1f"),
                alt.Tooltip("y:Q", title=tr("up"), format="+.1f"),
            ],
        )
    )  # fmt: skip
    layers = alt.layer(zones, bars, marks).properties(width=SMALL_SIDE, height=SMALL_SIDE)
    chart = layers.facet(
        facet=alt.Facet("pair:N", title=None, sort=None, header=alt.Header(labelColor=QUIET, labelFontSize=13)),
        columns=5,
        data=alt.NamedData("pairs"),
    ).resolve_scale(x="independent", y="independent")
    return template(chart)


# Rows


def _colour(group: SeesawGroup) -> str:
    """The family's colour, or grey where a task cannot be told from single-task."""
    return family_colour(group.trunk) if group.told_apart else QUIET


def _symbol(group: SeesawGroup) -> tuple[str, bool]:
    """Vega's shape, and whether it is filled."""
    if group.balancer != "static":
        return "diamond", True
    name = family_shape(group.trunk)
    plain = name.removesuffix("-open")
    return _SHAPES.get(plain, plain), plain == name and plain not in ("cross-thin", "circle-dot")


def _means(groups: Sequence[SeesawGroup], scale: float = 1.0) -> list[dict[str, Any]]:
    rows = []
    for group in groups:
        colour, (shape, filled) = _colour(group), _symbol(group)
        n = len(group.seeds)
        rows.append(
            {
                "x": group.x_interval.mean, "y": group.y_interval.mean, "label": group.label,
                "what": tr("mean of {n} seeds", n=n) if n > 1 else tr("seed {seed}", seed=group.seeds[0]),
                "shape": shape, "fill": colour if filled else "transparent", "stroke": colour,
                "size": scale * 190.0, RUN: group.runs[0] if group.runs else None,
            }
        )  # fmt: skip
    return rows


def _seeds(groups: Sequence[SeesawGroup]) -> list[dict[str, Any]]:
    rows = []
    for group in (group for group in groups if len(group.seeds) > 1):
        colour, (shape, filled) = tint(_colour(group), 0.5), _symbol(group)
        for i, seed in enumerate(group.seeds):
            rows.append(
                {
                    "x": group.x[i], "y": group.y[i], "label": group.label, "what": tr("seed {seed}", seed=seed),
                    "shape": shape, "fill": colour if filled else "transparent", "stroke": colour, "size": 40.0,
                    RUN: group.runs[i] if group.runs else None,
                }
            )  # fmt: skip
    return rows


def _bars(groups: Sequence[SeesawGroup]) -> list[tuple[float, float, float, float, str, float, float]]:
    """Intervals; those of models that cannot be told from single-task are thin and pale."""
    rows = []
    for group in groups:
        x, y = group.x_interval, group.y_interval
        if x.half_width is not None and y.half_width is not None:
            style = (_colour(group), 1.0, 2.0) if group.told_apart else (_colour(group), 0.6, 1.0)
            rows.append((x.mean - x.half_width, y.mean, x.mean + x.half_width, y.mean, *style))
            rows.append((x.mean, y.mean - y.half_width, x.mean, y.mean + y.half_width, *style))
    return rows


def _fronts(groups: Sequence[SeesawGroup]) -> list[tuple[float, float, str, str, bool]]:
    return [
        (g.x_interval.mean, g.y_interval.mean, line, family_colour(g.trunk), family_shape(g.trunk).endswith("-open"))
        for line, members in fronts(groups).items()
        for g in members
    ]


def _ground(span: tuple[float, float], task_x: str, task_y: str) -> dict[str, pd.DataFrame]:
    """What lies under the points. The zones reach into the corners: both axes get their range from them."""
    low, high = span
    inset = 0.03 * (high - low)
    zones = [(0.0, 0.0, high, high, GAIN), (low, low, 0.0, 0.0, LOSS)]
    words = [
        (high - inset, high - inset, tr("both gain"), "right"),
        (low + inset, low + inset, tr("both lose"), "left"),
        (low + inset, high - inset, tr("{one} gains, {other} pays", one=task_y, other=task_x), "left"),
        (high - inset, low + inset, tr("{one} gains, {other} pays", one=task_x, other=task_y), "right"),
        (0.3 * inset, -0.6 * inset, tr("single task"), "left"),
    ]
    return {
        "zones": pd.DataFrame(zones, columns=["x", "y", "x2", "y2", "fill"]),
        "cross": pd.DataFrame({"x": [0.0], "y": [0.0]}),
        "words": pd.DataFrame(words, columns=["x", "y", "text", "align"]),
    }


def _span(
    groups: Sequence[SeesawGroup], barred: Sequence[SeesawGroup], seeds: Sequence[dict[str, Any]] = ()
) -> tuple[float, float]:
    """One range for both axes, so that the plot is square: every point and bar inside, all four quadrants in sight."""
    ends = [-5.0, 5.0, *(value for row in seeds for value in (row["x"], row["y"]))]
    ends += [mean for group in groups for mean in (group.x_interval.mean, group.y_interval.mean)]
    for interval in (interval for group in barred for interval in (group.x_interval, group.y_interval)):
        ends += [interval.mean - (interval.half_width or 0), interval.mean + (interval.half_width or 0)]
    low, high = min(ends), max(ends)
    low, high = min(low, -0.3 * high), max(high, -0.3 * low)
    margin = 0.07 * (high - low)
    return low - margin, high + margin


@lru_cache(maxsize=64)
def _labels(
    groups: tuple[SeesawGroup, ...], barred: tuple[SeesawGroup, ...], seeds: bool, span: tuple[float, float]
) -> dict[str, pd.DataFrame]:
    """Each name beside its mark, joined to it by a thin line where it stands away from it.

    Remembered: looking for room takes longer than everything else on the plot.
    """
    scale = SIDE / (span[1] - span[0])
    texts = [group.name for group in groups]
    anchors = [(g.x_interval.mean * scale, g.y_interval.mean * scale) for g in groups]
    low, high, far = span[0] * scale, span[1] * scale, 10.0 * SIDE
    # Nothing is written outside the plot, or over the words in its corners.
    taken: list[Box] = [(-far, -far, low, far), (high, -far, far, far), (-far, -far, far, low), (-far, high, far, far)]
    taken += [(low, high - 26, low + 150, high), (high - 70, high - 26, high, high)]
    taken += [(low, low, low + 70, low + 26), (high - 150, low, high, low + 26), (0, -16, 84, 0)]
    for group in barred:
        x, y = group.x_interval.mean * scale, group.y_interval.mean * scale
        half_x, half_y = ((i.half_width or 0) * scale for i in (group.x_interval, group.y_interval))
        taken += [(x - half_x, y - 3, x + half_x, y + 3), (x - 3, y - half_y, x + 3, y + half_y)]
    for members in fronts(groups).values():
        ends = [(g.x_interval.mean * scale, g.y_interval.mean * scale) for g in members]
        for (x, y), (x2, y2) in itertools.pairwise(ends):
            steps = range(1, max(2, round(math.hypot(x2 - x, y2 - y) / 8)))
            along = [(x + (x2 - x) * i / (steps.stop), y + (y2 - y) * i / (steps.stop)) for i in steps]
            taken += [(a - 4, b - 4, a + 4, b + 4) for a, b in along]
    for group in groups if seeds else ():
        taken += [
            (a * scale - 4, b * scale - 4, a * scale + 4, b * scale + 4) for a, b in zip(group.x, group.y, strict=True)
        ]
    names, leaders = [], []
    offsets = place_labels(anchors, texts, taken)
    for group, text, (x, y), (dx, dy) in zip(groups, texts, anchors, offsets, strict=True):
        names.append(((x + dx) / scale, (y + dy) / scale, text, _colour(group)))
        # A thin line from the mark's edge to the nearest edge of the name.
        to_x = math.copysign(max(0.0, abs(dx) - letters(text) * LETTER / 2), dx)
        to_y = math.copysign(max(0.0, abs(dy) - LINE / 2), dy)
        length = math.hypot(to_x, to_y)
        if length > 2 * MARK:
            begin = MARK / length
            line = (x + begin * to_x, y + begin * to_y, x + to_x, y + to_y)
            leaders.append((*(end / scale for end in line), _colour(group)))
    return {
        "labels": pd.DataFrame(names, columns=["x", "y", "label", "colour"]),
        "leaders": pd.DataFrame(leaders, columns=["x", "y", "x2", "y2", "stroke"]),
    }
