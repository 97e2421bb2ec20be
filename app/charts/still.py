"""Pictures that stand still: plain SVG for files and reports, drawn from the same rows as the live charts.

Letters and axes take the colour of the text around them (`currentColor`), so that a report reads in light and dark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.charts.curves import apart, shortened
from app.charts.gates import bar_rows
from app.charts.labels import letters
from app.charts.layout import WIDEST, columns_of, height_of, layout
from app.charts.palette import QUIET, task_colours
from app.charts.svg import picture, text, title
from app.i18n import tr
from mtl_core.events import GateSummary
from mtl_core.heads.meeting import Meeting
from mtl_core.trunks.wiring import Wiring

#: Lines of one hue are told apart by their dashes, and by the label at their end.
DASHES = ("", "8 4", "2 3", "10 3 2 3", "5 2", "1 5", "14 4", "6 2 2 2 2 2")
LETTER, BOLD_LETTER = 6.6, 7.9
MOST_LETTERS = 32
Place = Callable[[float], float]


@dataclass(frozen=True)
class Line:
    """One curve: a name, and a value per epoch."""

    name: str
    task: str
    points: tuple[tuple[int, float], ...]


def architecture_svg(
    wiring: Wiring,
    tasks: Sequence[str],
    gates: Mapping[str, GateSummary] | None = None,
    meeting: Meeting | None = None,
) -> str:
    """The model from features to towers and what the head makes of them; line width is mean gate weight, or equal where
    nothing is trained.
    """
    means = {name: summary.mean for name, summary in (gates or {}).items()} or None
    nodes, links = layout(wiring, tasks, means, meeting)
    columns = columns_of(wiring, meeting)
    width, height = 130.0 * columns, float(height_of(wiring, len(tasks), meeting))

    def x(value: float) -> float:
        return (value + 0.45) / (columns - 0.1) * width

    def y(value: float) -> float:
        return (1 - value) * (height - 16) + 8

    parts = []
    for _, points in links.groupby("link", sort=True):
        first = points.iloc[0]
        path = "M" + " L".join(f"{x(px):.1f} {y(py):.1f}" for px, py in zip(points["x"], points["y"], strict=True))
        dash = " stroke-dasharray='5 4'" if first["dashed"] else ""
        parts.append(
            f"<path d='{path}' fill='none' stroke='{first['colour']}' stroke-width='{min(first['width'], WIDEST):.1f}' "
            f"stroke-opacity='{first['opacity']:g}' stroke-linecap='round'{dash}>{title(first['about'])}</path>"
        )
    for node in nodes.to_dict("records"):
        cx, cy = x(node["x"]), y(node["y"])
        if node["shape"] != "box":
            parts.append(_mark(node, cx, cy))
            continue
        left, top = x(node["x0"]), y(node["y1"])
        wide, tall = x(node["x1"]) - left, y(node["y0"]) - top
        parts.append(
            f"<rect x='{left:.1f}' y='{top:.1f}' width='{wide:.1f}' height='{tall:.1f}' rx='5' fill='{node['fill']}' "
            f"stroke='{node['colour']}' stroke-width='1.5'>{title(node['about'])}</rect>"
        )
        lines = str(node["label"]).split("\n")
        size = node["size"]
        for i, line in enumerate(lines):
            at = cy + (i - (len(lines) - 1) / 2) * (size + 1) + size / 3
            parts.append(text(cx, at, line, f"text-anchor='middle' font-weight='600' fill='{node['ink']}'", size))
    return picture(
        width, height, "".join(parts), tr("Architecture with the towers {tasks}", tasks=tr(", ").join(tasks))
    )


def _mark(node: Mapping[Any, Any], x: float, y: float) -> str:
    """A gate, a gate unit, or the tip of an arrow."""
    told, colour = title(node["about"]), node["colour"]
    if node["shape"] == "gate":
        return (
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='11' fill='#fff' stroke='{colour}' stroke-width='2.4'>{told}</circle>"
        )
    if node["shape"] == "unit":
        path = f"M{x:.1f} {y - 11:.1f} l9 11 l-9 11 l-9 -11 Z"
        return f"<path d='{path}' fill='#fff' stroke='{colour}' stroke-width='2.4'>{told}</path>"
    return f"<path d='M{x - 6:.1f} {y:.1f} l10 -6 v12 Z' fill='{colour}'>{told}</path>"


def curves_svg(lines: Sequence[Line], metric: str, colour: str, width: float = 560.0, height: float = 300.0) -> str:
    """Curves of one task: a line per run or model, with its name and last value at its end."""
    drawn = [line for line in lines if line.points]
    if not drawn:
        return picture(width, 40, text(8, 24, tr("Nothing was measured."), f"fill='{QUIET}'"), tr("No curves"))
    values = [value for line in drawn for _, value in line.points]
    epochs = max(epoch for line in drawn for epoch, _ in line.points)
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.01
    low, high = low - margin, high + margin
    texts = [f"{shortened(line.name, MOST_LETTERS)} {line.points[-1][1]:.4f}" for line in drawn]
    left, right, top, bottom = 56.0, 16 + BOLD_LETTER * max(map(letters, texts)), 12.0, 34.0

    def x(epoch: float) -> float:
        return left + (epoch - 1) / max(epochs - 1, 1) * (width - left - right)

    def y(value: float) -> float:
        return top + (high - value) / (high - low) * (height - top - bottom)

    parts = [_axes(x, y, epochs, (low, high), metric, height - bottom, width - right)]
    for number, line in enumerate(drawn):
        dash = f" stroke-dasharray='{DASHES[number % len(DASHES)]}'" if number % len(DASHES) else ""
        spots = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in line.points)
        parts.append(
            f"<polyline points='{spots}' fill='none' stroke='{colour}' stroke-width='2'{dash}>"
            f"{title(f'{line.name} {line.points[-1][1]:.4f}')}</polyline>"
        )
    order = sorted(range(len(drawn)), key=lambda i: drawn[i].points[-1][1])
    places = apart([drawn[i].points[-1][1] for i in order], 14 * (high - low) / (height - top - bottom))
    for i, place in zip(order, places, strict=True):
        end = x(drawn[i].points[-1][0])
        parts.append(text(end + 6, y(place) + 4, texts[i], f"fill='{colour}' font-weight='600'"))
    alt = tr("{metric} of {task} by epoch: {lines}", metric=metric, task=drawn[0].task, lines=tr("; ").join(texts))
    return picture(width, height, "".join(parts), alt)


def run_curves_svg(tasks: Sequence[str], curves: Sequence[tuple[str, Line]]) -> str:
    """The curves of one run, a panel per task.

    Args:
        tasks: all of the run's tasks, in order: their places give the hues.
        curves: metric and line of each.
    """
    colours = task_colours(tasks)
    panels = [curves_svg([line], metric, colours[line.task]) for metric, line in curves]
    return stacked(panels, width=560.0, each=300.0)


def gates_svg(wiring: Wiring, gates: Mapping[str, GateSummary], width: float = 560.0) -> str:
    """Mean gate weights of the last level: a bar per gate, cut into experts."""
    rows = bar_rows(wiring, gates)
    names = list(dict.fromkeys(rows["gate"]))
    left, each = min(150.0, 14 + LETTER * max(map(letters, names))), 40.0
    low, high = min(0.0, float(rows["end"].min())), max(1.0, float(rows["end"].max()))

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - 10)

    parts = []
    for number, name in enumerate(names):
        top = 6 + number * each
        parts.append(text(left - 8, top + 19, name, "text-anchor='end' fill='currentColor'"))
        for row in rows[rows["gate"] == name].to_dict("records"):
            start, end = sorted((x(row["start"]), x(row["end"])))
            what = f"{row['expert']} {row['mean']:.2f}"
            parts.append(
                f"<rect x='{start:.1f}' y='{top}' width='{end - start:.1f}' height='28' fill='{row['colour']}' "
                f"stroke='#fff'>{title(f'{name}: {what}')}</rect>"
            )
            if end - start > LETTER * letters(what):
                parts.append(text((start + end) / 2, top + 18, what, "text-anchor='middle' fill='#1B1E23'", 11))
    alt = tr("Mean gate weights of {gates}", gates=tr(", ").join(names))
    return picture(width, 12 + each * len(names), "".join(parts), alt)


def stacked(pictures: Sequence[str], width: float, each: float) -> str:
    """Pictures of one height above each other, as one."""
    inner = [one.replace("<svg ", f"<svg y='{i * each:g}' ", 1) for i, one in enumerate(pictures)]
    return picture(width, each * len(pictures), "".join(inner), tr("Curves by task"))


def _axes(x: Place, y: Place, epochs: int, span: tuple[float, float], metric: str, base: float, end: float) -> str:
    low, high = span
    quiet = "fill='currentColor' fill-opacity='0.7'"
    parts = [f"<line x1='{x(1):.1f}' x2='{end:.1f}' y1='{base:.1f}' y2='{base:.1f}' stroke='{QUIET}'/>"]
    ticks = _ticks(low, high)
    digits = max(len(f"{tick:g}".partition(".")[2]) for tick in ticks)
    for tick in ticks:
        parts.append(
            f"<line x1='{x(1):.1f}' x2='{end:.1f}' y1='{y(tick):.1f}' y2='{y(tick):.1f}' stroke='{QUIET}' "
            f"stroke-opacity='0.25'/>"
        )
        parts.append(text(x(1) - 6, y(tick) + 4, f"{tick:.{digits}f}", f"text-anchor='end' {quiet}", 11))
    step = max(1, -(-epochs // 6))
    for epoch in sorted({1, epochs, *range(step, epochs - step // 2, step)}):
        parts.append(text(x(epoch), base + 15, str(epoch), f"text-anchor='middle' {quiet}", 11))
    said = tr("epoch ({metric}, validation)", metric=metric)
    parts.append(text((x(1) + end) / 2, base + 30, said, f"text-anchor='middle' {quiet}", 11))
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """About four round numbers between the ends."""
    raw = (high - low) / 4
    power = 10.0 ** int(f"{raw:e}".split("e")[1])
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
    first = -(-low // step)
    return [round(step * (first + i), 10) for i in range(6) if step * (first + i) <= high]
