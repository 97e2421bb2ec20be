"""How the tasks' gradients stand to each other: two arrows and their step, cosines by epoch, a table of pairs (Altair).

A cosine below 0 is a conflict: a step that lowers one task's loss raises the other's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import pandas as pd

from app.charts.curves import apart, dots, epoch_axis, shortened
from app.charts.drawing import Drawing, template
from app.charts.palette import QUIET, hue
from app.i18n import by_language, tr

PAIR_COLUMNS = ["epoch", "pair", "cosine", "negative"]
#: The side of the conflict, in both themes; what it says is also written there.
APART, TOGETHER = "rgba(204,121,167,0.18)", "rgba(0,158,115,0.10)"
#: Half the width and the top of the arrows' picture, in lengths of its longest arrow, and its width in pixels.
REACH, TOP, BOTTOM, PLANE_PIXELS = 1.4, 1.1, -0.42, 330
#: Where a name stands: so far along its arrow, and so far beside it, on the side away from the other one.
NAME_ALONG, NAME_BESIDE = 0.55, 0.12
ARC_POINTS = 25


@dataclass(frozen=True)
class Plane:
    """Two mean gradients and the step made of them, in the plane that they span. Angles in radians, 0 upwards.

    Lengths are those of the gradients; the step is scaled so that both parts of it are together as long as both
    gradients are: with equal weights it is their sum.
    """

    lengths: tuple[float, float]
    angle: float
    step: tuple[float, float]

    @property
    def step_length(self) -> float:
        """How long the step is."""
        return math.hypot(*self.step)

    @property
    def off(self) -> tuple[float, float] | None:
        """The angles between the step and each gradient; None without a step."""
        if self.step_length < 1e-9 * (sum(self.lengths) or 1.0):
            return None
        ends = (_direction(self.angle, task) for task in (0, 1))
        a, b = ((x * self.step[0] + y * self.step[1]) / self.step_length for x, y in ends)
        return math.acos(max(-1.0, min(1.0, a))), math.acos(max(-1.0, min(1.0, b)))


def plane(lengths: Sequence[float], cosine: float, parts: Sequence[float]) -> Plane:
    """The picture of two gradients.

    Args:
        lengths: mean length of each gradient.
        cosine: their mean cosine.
        parts: signed share of each in the length of the step.
    """
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    whole = sum(lengths)
    ends = [_direction(angle, task) for task in (0, 1)]
    x, y = (whole * sum(part * end[axis] for part, end in zip(parts, ends, strict=True)) for axis in (0, 1))
    return Plane((lengths[0], lengths[1]), angle, (x, y))


def _direction(angle: float, task: int) -> tuple[float, float]:
    """The unit vector of a task's gradient: the first to the left of straight up, the second to its right."""
    return (-1 if task == 0 else 1) * math.sin(angle / 2), math.cos(angle / 2)


def arrows(picture: Plane | None, tasks: Sequence[str]) -> Drawing:
    """Both gradients in their tasks' hues, the angle between them, and the step; None: nothing is known yet."""
    data = {
        "shafts": pd.DataFrame(columns=["x", "y", "arrow", "t", "colour", "about"]),
        "tips": pd.DataFrame(columns=["x", "y", "turn", "colour", "about"]),
        "names": pd.DataFrame(columns=["x", "y", "side", "text", "colour"]),
        "arc": pd.DataFrame(columns=["x", "y", "t"]),
    }
    if picture is not None and sum(picture.lengths) > 0:
        data = _arrow_rows(picture, tasks)
    return Drawing(_arrows_template(), data)


def _arrow_rows(picture: Plane, tasks: Sequence[str]) -> dict[str, pd.DataFrame]:
    scale = 1 / max(*picture.lengths, picture.step_length)
    shafts: list[dict[str, object]] = []
    tips: list[dict[str, object]] = []
    names: list[dict[str, object]] = []

    def arrow(x: float, y: float, colour: str, about: str) -> None:
        number = len(tips)
        shafts.extend(
            {"x": x * t, "y": y * t, "arrow": number, "t": t, "colour": colour, "about": about} for t in (0, 1)
        )
        tips.append({"x": x, "y": y, "turn": math.degrees(math.atan2(x, y)), "colour": colour, "about": about})

    for task, (name, length) in enumerate(zip(tasks, picture.lengths, strict=True)):
        x, y = _direction(picture.angle, task)
        about = tr("gradient of {task}, length {length:.3g}", task=name, length=length)
        arrow(x * length * scale, y * length * scale, hue(task), about)
        along, beside = NAME_ALONG * length * scale, (-1 if task == 0 else 1) * NAME_BESIDE
        place = {"x": x * along + y * beside, "y": y * along - x * beside, "side": "left" if task == 0 else "right"}
        names.append({**place, "text": f"{shortened(name)} {length:.2g}", "colour": hue(task)})
    x, y = (part * scale for part in picture.step)
    arrow(x, y, QUIET, tr("the step, from each task's share"))
    off = picture.off
    if off is None:
        said = tr("step: none: the two cancel")
    else:
        turned = [
            tr("{angle:.0f}° off {task}", angle=math.degrees(a), task=shortened(t, 12))
            for a, t in zip(off, tasks, strict=True)
        ]
        said = tr("step: {angles}", angles=tr(", ").join(turned))
    names.append({"x": 0.0, "y": -0.32, "side": "below", "text": said, "colour": QUIET})
    half, radius = picture.angle / 2, 0.3
    turns = [-half + picture.angle * i / (ARC_POINTS - 1) for i in range(ARC_POINTS)]
    arc = [{"x": radius * math.sin(a), "y": radius * math.cos(a), "t": i} for i, a in enumerate(turns)]
    frames = (pd.DataFrame(rows) for rows in (shafts, tips, names, arc))
    return dict(zip(("shafts", "tips", "names", "arc"), frames, strict=True))


#: Where a name stands -> how it is set: away from its arrow.
_ALIGNED: dict[str, Literal["left", "center", "right"]] = {"left": "right", "right": "left", "below": "center"}


@by_language(maxsize=4)
def _arrows_template() -> dict[str, Any]:
    # One unit is as long to the right as upwards: anything else would draw another angle.
    height = round(PLANE_PIXELS * (TOP - BOTTOM) / (2 * REACH))
    x = alt.X("x:Q", scale=alt.Scale(domain=[-REACH, REACH], nice=False), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[BOTTOM, TOP], nice=False), axis=None)
    colour = alt.Color("colour:N", scale=None)
    tooltip = [alt.Tooltip("about:N", title=tr("what"))]
    arc = (
        alt.Chart(alt.NamedData("arc"))
        .mark_line(strokeWidth=1.5, strokeDash=[3, 3], color=QUIET)
        .encode(x, y, order="t:Q")
    )
    shafts = (
        alt.Chart(alt.NamedData("shafts"))
        .mark_line(strokeWidth=4, strokeCap="round")
        .encode(x, y, colour, detail="arrow:N", order="t:Q", tooltip=tooltip)
    )
    tips = (
        alt.Chart(alt.NamedData("tips"))
        .mark_point(shape="triangle-up", size=220, filled=True, opacity=1)
        .encode(x, y, colour, angle=alt.Angle("turn:Q", scale=None), tooltip=tooltip)
    )
    names = [
        alt.Chart(alt.NamedData("names"))
        .transform_filter(alt.datum.side == side)
        .mark_text(fontSize=12.5, fontWeight="bold", align=align)
        .encode(x, y, colour, text="text:N")
        for side, align in _ALIGNED.items()
    ]
    return template(alt.layer(arc, shafts, tips, *names).properties(width=PLANE_PIXELS, height=height))


def cosine_curves(rows: pd.DataFrame, epochs: int) -> Drawing:
    """Mean cosine of each pair's gradients by epoch; below 0 the tasks pull apart.

    Args:
        rows: columns `epoch`, `pair`, `cosine`, `negative` (share of the steps in which the pair pulled apart).
        epochs: the budget: the length of the axis.
    """
    data = {"pairs": rows[PAIR_COLUMNS], "labels": _ends(rows, "cosine", 2.0), "sides": _sides()}
    return Drawing(_pairs_template("cosine", epochs, rows["pair"].nunique()), data)


def conflict_shares(rows: pd.DataFrame, epochs: int) -> Drawing:
    """Share of the steps in which each pair's gradients pulled apart, by epoch; rows as for `cosine_curves`."""
    data = {"pairs": rows[PAIR_COLUMNS], "labels": _ends(rows, "negative", 1.0)}
    return Drawing(_pairs_template("negative", epochs, rows["pair"].nunique()), data)


@by_language(maxsize=4)
def _sides() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "low": [-1.0, 0.0],
            "high": [0.0, 1.0],
            "at": [-0.86, 0.86],
            "text": [tr("pull apart"), tr("pull together")],
            "fill": [APART, TOGETHER],
        }
    )


@by_language(maxsize=64)
def _pairs_template(what: str, epochs: int, pairs: int) -> dict[str, Any]:
    cosine = what == "cosine"
    x = epoch_axis(epochs, 1.75, ticks=3, titled=not cosine)
    domain, title, form = ([-1, 1], tr("mean cosine"), "+.1f") if cosine else ([0, 1], tr("in conflict"), "%")
    axis = alt.Axis(title=title, format=form, values=[-1, -0.5, 0, 0.5, 1] if cosine else [0, 0.5, 1])
    y = alt.Y(f"{what}:Q", scale=alt.Scale(domain=domain, nice=False), axis=axis)
    tooltip = [
        alt.Tooltip("pair:N", title=tr("pair")),
        alt.Tooltip("epoch:Q", title=tr("epoch"), format="d"),
        alt.Tooltip("cosine:Q", title=tr("mean cosine"), format="+.3f"),
        alt.Tooltip("negative:Q", title=tr("steps in conflict"), format=".1%"),
    ]
    lines = (
        alt.Chart(alt.NamedData("pairs"))
        .mark_line(strokeWidth=2, point=dots(epochs, pairs, 14, color=QUIET), color=QUIET)
        .encode(x, y, detail="pair:N", tooltip=tooltip)
    )
    labels = (
        alt.Chart(alt.NamedData("labels"))
        .mark_text(align="left", dx=8, fontSize=12, fontWeight="bold", color=QUIET)
        .encode(x, alt.Y("place:Q", scale=alt.Scale(domain=domain, nice=False), axis=axis), text="text:N")
    )
    if not cosine:
        return template(alt.layer(lines, labels).properties(height=150))
    bands = (
        alt.Chart(alt.NamedData("sides"))
        .mark_rect()
        .encode(
            y=alt.Y("low:Q", scale=alt.Scale(domain=domain, nice=False), axis=axis),
            y2="high:Q",
            color=alt.Color("fill:N", scale=None),
        )
    )
    words = (
        alt.Chart(alt.NamedData("sides"))
        .mark_text(align="right", dx=-6, fontSize=12, color=QUIET)
        .encode(
            x=alt.value("width"),
            y=alt.Y("at:Q", scale=alt.Scale(domain=domain, nice=False), axis=axis),
            text="text:N",
        )
    )
    return template(alt.layer(bands, words, lines, labels).properties(height=210))


def _ends(rows: pd.DataFrame, column: str, span: float) -> pd.DataFrame:
    """The last value of the lowest and of the highest pair: names of all would not fit where there are many."""
    known = rows.dropna(subset=[column])
    if known.empty:
        return pd.DataFrame(columns=["epoch", "place", "text"])
    last = known[known["epoch"] == known["epoch"].max()].sort_values(column)
    if len(last) > 3:
        last = last.iloc[[0, -1]]
    texts = [
        f"{pair} {value:{'+.2f' if column == 'cosine' else '.0%'}}".replace("-", "\u2212")
        for pair, value in zip(last["pair"], last[column], strict=True)
    ]
    places = apart(last[column].tolist(), 0.11 * span if column == "cosine" else 0.16 * span)
    return pd.DataFrame({"epoch": last["epoch"].tolist(), "place": places, "text": texts})


def cosine_table(cosine: Sequence[Sequence[float | None]], tasks: Sequence[str]) -> Drawing:
    """Mean cosine of every two tasks' gradients, as a table with the number in each field.

    Args:
        cosine: [K][K]; None where there is none.
        tasks: task names in order.
    """
    rows = [
        {"one": a, "other": b, "cosine": cosine[i][j], "text": f"{cosine[i][j]:+.2f}".replace("-", "\u2212")}
        for i, a in enumerate(tasks)
        for j, b in enumerate(tasks)
        if i > j and cosine and cosine[i][j] is not None
    ]
    frame = pd.DataFrame(rows, columns=["one", "other", "cosine", "text"])
    return Drawing(_table_template(tuple(tasks)), {"fields": frame})


@by_language(maxsize=16)
def _table_template(tasks: tuple[str, ...]) -> dict[str, Any]:
    across, down = list(tasks[:-1]), list(tasks[1:])
    axis = alt.Axis(title=None, labelLimit=90, labelAngle=-40, domain=False, ticks=False)
    x = alt.X("other:N", scale=alt.Scale(domain=across), axis=axis)
    y = alt.Y(
        "one:N", scale=alt.Scale(domain=down), axis=alt.Axis(title=None, labelLimit=110, domain=False, ticks=False)
    )
    tooltip = [
        alt.Tooltip("one:N", title=tr("one")),
        alt.Tooltip("other:N", title=tr("other")),
        alt.Tooltip("cosine:Q", title=tr("mean cosine"), format="+.3f"),
    ]
    fields = (
        alt.Chart(alt.NamedData("fields"))
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            x, y,
            color=alt.Color("cosine:Q", scale=alt.Scale(scheme="purplegreen", domain=[-1, 1]), legend=None),
            tooltip=tooltip,
        )
    )  # fmt: skip
    texts = (
        alt.Chart(alt.NamedData("fields"))
        .mark_text(fontSize=11)
        .encode(
            x, y, text="text:N", tooltip=tooltip,
            # Dark fields at both ends of the scale.
            color=alt.condition("abs(datum.cosine) > 0.65", alt.value("#FFFFFF"), alt.value("#1B1E23")),
        )
    )  # fmt: skip
    return template(alt.layer(fields, texts).properties(height=60 + 30 * len(down)))
