"""How each gate's weights on the experts are spread over the rows. Altair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import pandas as pd

from app.charts.curves import shortened
from app.charts.drawing import Drawing, template
from app.charts.labels import letters, wrapped
from app.charts.matrix import INVISIBLE, LETTER, LINE, NAME_LETTERS, Bounds
from app.charts.order import drawing_order
from app.charts.palette import QUIET, expert_colour
from app.core_texts import gate_name
from app.i18n import by_language, tr
from mtl_core.events import GateSummary
from mtl_core.trunks.wiring import Level, Wiring, gate_key

#: Height of a gate's band in pixels, and, in bands, the space between two.
BAND, GAP = 140, 0.22
#: Half the width of the widest violin, in columns.
HALF = 0.36
#: From so many experts on, bars take the place of violins, and so many of a gate's are named.
SLIM, NAMED = 10, 3
#: Bars of all gates, each with its mean; a gate's smallest are left out first.
MOST_SPREADS = 750
#: The rows that a bar spans.
ENDS = (0.1, 0.9)


def gate_spread(wiring: Wiring, gates: Mapping[str, GateSummary], level: int, scale: Bounds) -> Drawing:
    """A band per gate, all on one scale: a violin per expert, or, from `SLIM` experts on, a bar over most rows."""
    chosen = wiring.levels[level - 1]
    order = drawing_order(chosen)
    names = [chosen.experts[e].name for e in order]
    slim = len(order) >= SLIM
    rows = _Rows(chosen, tuple(order), scale, slim)
    for g, gate in enumerate(chosen.gates):
        rows.band(g, gates.get(gate_key(level, gate.name)))
    for place, name in enumerate(names):
        short = shortened(name, NAME_LETTERS) if slim else wrapped(name)
        rows.texts.append({"x": place, "y": -0.07, "text": short, "colour": QUIET, "role": "expert"})
    below = LINE * (1 + max(wrapped(name).count("\n") for name in names))
    if slim:
        below = round(LETTER * max(letters(shortened(name, NAME_LETTERS)) for name in names))
    longest = max(letters(gate_name(gate)) for gate in chosen.gates)
    drawn = _spread_template(len(chosen.gates), len(order), min(longest, 14), below, slim)
    note = tr("Pale bar: the middle 80% of the rows. Of each gate the largest means are named.") if slim else ""
    if any(len(gate.sees) > rows.most for gate in chosen.gates):
        left_out = tr("Drawn of each gate: the {n} experts that it weighs most.", n=rows.most)
        note = tr("{before} {after}", before=note, after=left_out)
    return Drawing(drawn, rows.frames(), note)


def quantile(summary: GateSummary, expert: int, share: float) -> float:
    """The weight that so large a share of the rows is below: in its bin as if the bin's rows were spread evenly."""
    counts = summary.histogram[expert]
    width = (summary.high - summary.low) / len(counts)
    wanted, below = share * sum(counts), 0
    for i, count in enumerate(counts):
        if count and below + count >= wanted:
            return summary.low + (i + (wanted - below) / count) * width
        below += count
    return summary.high


@dataclass
class _Rows:
    """The rows of the picture: areas, lines and words."""

    level: Level
    order: tuple[int, ...]
    scale: Bounds
    slim: bool
    shapes: list[dict[str, object]] = field(default_factory=list)
    marks: list[dict[str, object]] = field(default_factory=list)
    texts: list[dict[str, object]] = field(default_factory=list)

    @property
    def most(self) -> int:
        """Experts of a gate that are drawn."""
        return max(SLIM, MOST_SPREADS // len(self.level.gates))

    def band(self, g: int, summary: GateSummary | None) -> None:
        """One gate; the first one is on top."""
        gate, base, (low, high) = self.level.gates[g], self._base(g), self.scale
        end = len(self.order)
        name = {"text": gate_name(gate), "colour": expert_colour(gate.owner), "role": "gate"}
        self.texts.append({"x": -0.62, "y": base + 0.5, **name})
        for tick in sorted({low, 0.0, high}):
            y = base + (tick - low) / (high - low)
            self.marks.append({"x0": -0.5, "x1": end - 0.4, "y": y, "colour": QUIET, "role": "grid", "about": ""})
            self.texts.append({"x": end - 0.36, "y": y, "text": f"{tick:g}", "colour": QUIET, "role": "tick"})
        if summary is None:
            return
        sizes = sorted((e for e in self.order if e in gate.sees), key=lambda e: -abs(summary.mean[e]))
        named, drawn = sizes[:NAMED] if self.slim else sizes, sizes[: self.most]
        for place, e in enumerate(self.order):
            if e in drawn:
                self._weights(g, summary, e, place, e in named)
            elif not self.slim:
                word = {"text": tr(INVISIBLE), "colour": QUIET, "role": "empty"}
                self.texts.append({"x": place, "y": base + 0.5, **word})

    def _base(self, g: int) -> float:
        return (len(self.level.gates) - 1 - g) * (1 + GAP)

    def _weights(self, g: int, summary: GateSummary, e: int, place: int, named: bool) -> None:
        """One gate's weights on one expert: their spread, their mean, and what it is."""
        gate, base, (low, high) = self.level.gates[g], self._base(g), self.scale
        mean, colour = summary.mean[e], expert_colour(gate.owner)
        about = tr(
            "{gate} on {expert}: mean {mean:.3f}",
            gate=gate_name(gate), expert=self.level.experts[e].name, mean=mean,
        )  # fmt: skip
        outline = [(0.2, quantile(summary, e, end)) for end in ENDS] if self.slim else _violin(summary, e)
        for half, weight in outline:
            y = base + (weight - low) / (high - low)
            about_shape = {"shape": f"{g}.{e}", "colour": colour, "about": about}
            self.shapes.append({"x0": place - half, "x1": place + half, "y": y, **about_shape})
        y, half = base + (mean - low) / (high - low), 0.34 if self.slim else 0.26
        bar = {"colour": colour, "role": "mean", "about": about}
        self.marks.append({"x0": place - half, "x1": place + half, "y": y, **bar})
        if named:
            # Beside the violin at this height: letters of its own hue do not read on it.
            beside = half if self.slim else max(half, _width_at(summary, e, mean))
            word = {"text": f"{mean:.2f}".replace("-", "\u2212"), "colour": colour, "role": "mean"}
            self.texts.append({"x": place + beside + 0.03, "y": y, **word})

    def frames(self) -> dict[str, pd.DataFrame]:
        """Everything, as the template's named data."""
        return {
            "shapes": pd.DataFrame(self.shapes, columns=["x0", "x1", "y", "shape", "colour", "about"]),
            "marks": pd.DataFrame(self.marks, columns=["x0", "x1", "y", "colour", "role", "about"]),
            "texts": pd.DataFrame(self.texts, columns=["x", "y", "text", "colour", "role"]),
        }


def _violin(summary: GateSummary, expert: int) -> list[tuple[float, float]]:
    """(half a width in columns, weight) from below to above."""
    counts = summary.histogram[expert]
    bins, peak = len(counts), max(counts) or 1
    filled = [i for i, c in enumerate(counts) if c]
    # One empty bin at each end, so that the outline closes.
    within = range(max(filled[0] - 1, 0), min(filled[-1] + 2, bins)) if filled else range(0)
    span = summary.high - summary.low
    return [(HALF * counts[i] / peak, summary.low + (i + 0.5) / bins * span) for i in within]


def _width_at(summary: GateSummary, expert: int, weight: float) -> float:
    """Half the width of a violin about this weight, in columns."""
    counts = summary.histogram[expert]
    middle = int((weight - summary.low) / (summary.high - summary.low) * len(counts))
    return max([0.0, *(HALF * c / (max(counts) or 1) for c in counts[max(middle - 2, 0) : middle + 3])])


@by_language(maxsize=64)
def _spread_template(gates: int, experts: int, longest: int, below: int, slim: bool) -> dict[str, Any]:
    # A letter takes about an eightieth of the width, however many columns there are.
    room = 0.7 + (experts + 1) * longest / 70
    x_scale = alt.Scale(domain=[-room, experts - 0.1], nice=False)
    y_scale = alt.Scale(domain=[-0.07 - (below + 4) / BAND, gates * (1 + GAP) - GAP + 0.06], nice=False)
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

    def words(role: str, size: int, align: str, weight: str = "normal", **style: Any) -> alt.Chart:
        found: alt.Chart = (
            alt.Chart(alt.NamedData("texts"))
            .transform_filter(alt.datum.role == role)
            .mark_text(
                fontSize=size,
                align=align,  # type: ignore[arg-type]
                fontWeight=weight,  # type: ignore[arg-type]
                **{"baseline": "middle", "lineBreak": "\n", "lineHeight": LINE, **style},
            )
            .encode(x=alt.X("x:Q", scale=x_scale, axis=None), y=y, text="text:N", color=colour)
        )
        return found

    layers = alt.layer(
        rules("grid", 1, 0.3),
        violins,
        rules("mean", 3, 1),
        words("mean", 11 if slim else 12, "left", "bold"),
        words("empty", 10, "center"),
        words("gate", 13, "right", "bold"),
        words("tick", 10, "left"),
        words("expert", 11, "right", angle=270) if slim else words("expert", 12, "center", baseline="top"),
    )
    return template(layers.properties(height=BAND * gates + 16 + below))
