"""The Plotly pictures of a comparison once more as plain SVG, for files: Plotly itself would need a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.charts.labels import letters
from app.charts.palette import QUIET, hue
from app.charts.quality import AXES, QualityLine
from app.charts.runs import VEGA_DASHES
from app.charts.sankey import ROOM, flow, height_of, middles, names, sizes, widest
from app.charts.still import LETTER
from app.charts.svg import picture, text, title
from app.i18n import tr
from mtl_core.trunks.wiring import Wiring

#: A column of the flow, and a node of it.
COLUMN, NODE = 150.0, 16.0
#: A panel of curves, and the room that its axes take.
SIDE, LEFT, TOP, BELOW = 280.0, 56.0, 26.0, 52.0
LEGEND_LINE = 18.0
INK = "fill='currentColor'"


def flow_svg(wiring: Wiring, tasks: Sequence[str], means: Mapping[str, Sequence[float]]) -> str:
    """Ribbons from features over experts and gates to the towers, as wide as what they carry."""
    nodes, links, _ = widest(*flow(wiring, tasks, means))
    size = sizes(nodes, links)
    named = names(nodes, size, height_of(nodes))
    last = max(node.column for node in nodes)
    height = height_of(nodes)
    width = COLUMN * last + NODE + LETTER * max(letters(node.label) for node in nodes) + 20
    unit = (1 - ROOM) * height / len(tasks)
    left = {node.key: 8 + COLUMN * node.column for node in nodes}
    top = {key: at * height - unit * size[key] / 2 for key, at in middles(nodes, size).items()}
    # Ribbons are stacked at both ends in the order of their other ends, so that those of one node do not cross.
    leaves: dict[tuple[str, str], float] = {}
    used = dict(top)
    for each in sorted(links, key=lambda link: top[link.target]):
        leaves[each.source, each.target] = used[each.source]
        used[each.source] += unit * each.value
    parts, used = [], dict(top)
    for each in sorted(links, key=lambda link: top[link.source]):
        start, end, thick = leaves[each.source, each.target], used[each.target], unit * each.value
        used[each.target] += thick
        a, b = left[each.source] + NODE, left[each.target]
        path = f"M{_bent(a, start, b, end)} v{thick:.1f} L{_bent(b, end + thick, a, start + thick)} Z"
        told = title(f"{each.about}: " + tr("{value} of a tower", value=f"{each.value:.2f}"))
        parts.append(f"<path d='{path}' fill='{each.colour}'>{told}</path>")
    for node in nodes:
        x, y, tall = left[node.key], top[node.key], max(unit * size[node.key], 1.0)
        box = f"x='{x:.1f}' y='{y:.1f}' width='{NODE:g}' height='{tall:.1f}' fill='{node.colour}'"
        told = title(f"{node.label}: " + tr("{value} towers", value=f"{size[node.key]:.2f}"))
        parts.append(f"<rect {box}>{told}</rect>")
        parts.append(text(x + NODE + 5, y + tall / 2 + 4, named[node.key], f"font-weight='600' {INK}"))
    return picture(
        width, height, "".join(parts), tr("Flow from features to the towers {tasks}", tasks=tr(", ").join(tasks))
    )


def _bent(ax: float, ay: float, bx: float, by: float) -> str:
    """From a point to another, leaving and arriving level."""
    middle = (ax + bx) / 2
    return f"{ax:.1f} {ay:.1f} C{middle:.1f} {ay:.1f} {middle:.1f} {by:.1f} {bx:.1f} {by:.1f}"


def quality_svg(kind: str, panels: Sequence[tuple[str, int, Sequence[QualityLine]]]) -> str:
    """ROC, precision-recall or reliability curves: a panel per task, a line per run, named below."""
    wide = LEFT + SIDE + 40
    tall = TOP + SIDE + BELOW + LEGEND_LINE * max(len(lines) for *_, lines in panels)
    columns = min(len(panels), 3)
    inner = "".join(
        f"<g transform='translate({i % columns * wide:g} {i // columns * tall:g})'>{_panel(kind, *panel)}</g>"
        for i, panel in enumerate(panels)
    )
    across, up = (tr(axis) for axis in AXES[kind])
    tasks = tr(", ").join(task for task, *_ in panels)
    what = tr("{up} against {across} of {tasks}", up=up, across=across, tasks=tasks)
    return picture(columns * wide, -(-len(panels) // columns) * tall, inner, what)


def _panel(kind: str, task: str, place: int, lines: Sequence[QualityLine]) -> str:
    ends = [v for line in lines for v in (*line.x, *line.y)] if kind == "reliability" else []
    low, high = min([0.0, *ends]), max(ends, default=1.0)
    across, up = (tr(axis) for axis in AXES[kind])

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * SIDE

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * SIDE

    frame = f"x='{LEFT:g}' y='{TOP:g}' width='{SIDE:g}' height='{SIDE:g}' stroke='{QUIET}' stroke-opacity='0.5'"
    upright = text(0, 0, up, f"text-anchor='middle' {INK}")
    parts = [
        text(LEFT, 16, task, f"font-weight='600' fill='{hue(place)}'", 14),
        f"<rect {frame} fill='none'/>",
        text(LEFT + SIDE / 2, TOP + SIDE + 32, across, f"text-anchor='middle' {INK}"),
        f"<g transform='translate(14 {TOP + SIDE / 2:g}) rotate(-90)'>{upright}</g>",
    ]
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        parts.append(text(x(value), TOP + SIDE + 15, f"{value:.2g}", f"text-anchor='middle' {INK}", 11))
        parts.append(text(LEFT - 6, y(value) + 4, f"{value:.2g}", f"text-anchor='end' {INK}", 11))
    if kind != "precision_recall":
        points = f"x1='{x(low):.1f}' y1='{y(low):.1f}' x2='{x(high):.1f}' y2='{y(high):.1f}'"
        parts.append(f"<line {points} stroke='{QUIET}' stroke-dasharray='2 3'/>")
    for number, line in enumerate(lines):
        style = f"fill='none' stroke='{hue(place)}' stroke-width='2'"
        if line.number > 1:
            style += f" stroke-dasharray='{' '.join(f'{part:g}' for part in VEGA_DASHES[line.number - 1])}'"
        spots = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(line.x, line.y, strict=True))
        parts.append(f"<polyline points='{spots}' {style}>{title(f'{line.run}: {line.score}')}</polyline>")
        at = TOP + SIDE + BELOW + LEGEND_LINE * number
        parts.append(f"<line x1='{LEFT:g}' x2='{LEFT + 34:g}' y1='{at - 4:g}' y2='{at - 4:g}' {style}/>")
        parts.append(text(LEFT + 42, at, f"{line.run}: {line.score}", INK))
    return "".join(parts)
