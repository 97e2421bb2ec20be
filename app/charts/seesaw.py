"""The seesaw plot: gain on one task against gain on another, single-task models at the cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.charts.labels import place_labels
from app.charts.palette import QUIET, family_colour, family_shape, tint
from mtl_core.comparison import Interval

#: Side of the square plot in pixels, roughly: labels are placed by it.
SIDE = 460


@dataclass(frozen=True)
class SeesawGroup:
    """One model: its gains by seed on two tasks, in thousandths of AUC, and their paired intervals."""

    label: str
    trunk: str
    seeds: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    x_interval: Interval
    y_interval: Interval

    @property
    def told_apart(self) -> bool:
        """Is every one of its intervals clear of zero?"""
        return all(i.verdict != "not distinguishable" for i in (self.x_interval, self.y_interval))


def seesaw(groups: Sequence[SeesawGroup], task_x: str, task_y: str, unit: str = "AUC, thousandths") -> go.Figure:
    """A square plot with named quadrants. Pale dot: one seed. Mark: mean. Bar: 95% interval of the paired difference.

    Grey: at least one task cannot be told from single-task.
    """
    figure = go.Figure()
    low, high = span = _span(groups)
    for x0, x1, y0, y1, text, fill, anchor in (
        (0, high, 0, high, "both gain", "rgba(0,158,115,0.10)", ("right", "top")),
        (low, 0, low, 0, "both lose", "rgba(213,94,0,0.10)", ("left", "bottom")),
        (low, 0, 0, high, f"{task_y} gains, {task_x} pays", None, ("left", "top")),
        (0, high, low, 0, f"{task_x} gains, {task_y} pays", None, ("right", "bottom")),
    ):
        if fill:
            figure.add_shape(type="rect", x0=x0, x1=x1, y0=y0, y1=y1, fillcolor=fill, line_width=0, layer="below")
        corner_x, corner_y = (x1 if anchor[0] == "right" else x0), (y1 if anchor[1] == "top" else y0)
        figure.add_annotation(
            x=corner_x, y=corner_y, text=text, showarrow=False, xanchor=anchor[0], yanchor=anchor[1],
            font={"color": QUIET, "size": 13},
        )  # fmt: skip
    figure.add_hline(y=0, line={"color": QUIET, "width": 1.2})
    figure.add_vline(x=0, line={"color": QUIET, "width": 1.2})
    figure.add_annotation(
        x=0, y=0, text="single task", showarrow=False, xanchor="left", yanchor="top", font={"color": QUIET, "size": 11}
    )
    gains = f"<br>{task_x} %{{x:+.1f}}, {task_y} %{{y:+.1f}}<extra></extra>"
    for group in groups:
        figure.add_trace(
            go.Scatter(
                x=group.x,
                y=group.y,
                mode="markers",
                marker={"size": 7, "color": tint(_colour(group), 0.5), "symbol": family_shape(group.trunk)},
                customdata=[[seed] for seed in group.seeds],
                hovertemplate=f"{group.label}, seed %{{customdata[0]}}{gains}",
                showlegend=False,
            )
        )
    for group in groups:
        colour = _colour(group)
        bars = [i.half_width for i in (group.x_interval, group.y_interval)]
        figure.add_trace(
            go.Scatter(
                x=[group.x_interval.mean],
                y=[group.y_interval.mean],
                mode="markers",
                marker={
                    "size": 14,
                    "color": colour,
                    "symbol": family_shape(group.trunk),
                    "line": {"width": 2, "color": colour},
                },
                error_x={"type": "data", "array": [bars[0] or 0], "color": colour, "thickness": 2, "width": 0},
                error_y={"type": "data", "array": [bars[1] or 0], "color": colour, "thickness": 2, "width": 0},
                name=group.label,
                hovertemplate=f"{group.label}, mean of {len(group.seeds)}{gains}",
                showlegend=False,
            )
        )
    _write_labels(figure, groups, span)
    figure.update_xaxes(
        title=f"gain on {task_x} ({unit})", range=[low, high], zeroline=False, tickformat="+.0~f",
        constrain="domain", showgrid=False,
    )  # fmt: skip
    figure.update_yaxes(
        title=f"gain on {task_y} ({unit})", range=[low, high], zeroline=False, tickformat="+.0~f",
        scaleanchor="x", constrain="domain", showgrid=False,
    )  # fmt: skip
    figure.update_layout(height=560, margin={"l": 10, "r": 10, "t": 10, "b": 10}, hovermode="closest")
    return figure


def _colour(group: SeesawGroup) -> str:
    """The family's colour, or grey where a task cannot be told from single-task."""
    return family_colour(group.trunk) if group.told_apart else QUIET


def _span(groups: Sequence[SeesawGroup]) -> tuple[float, float]:
    """One range for both axes, so that the plot is square: every point and bar inside, all four quadrants in sight."""
    low, high = -5.0, 5.0
    for group in groups:
        ends = [*group.x, *group.y]
        for i in (group.x_interval, group.y_interval):
            ends += [i.mean - (i.half_width or 0), i.mean + (i.half_width or 0)]
        low, high = min(low, *ends), max(high, *ends)
    low, high = min(low, -0.3 * high), max(high, -0.3 * low)
    margin = 0.07 * (high - low)
    return low - margin, high + margin


def _write_labels(figure: go.Figure, groups: Sequence[SeesawGroup], span: tuple[float, float]) -> None:
    """Each model's name beside its mark, joined to it by a thin line where others are in the way."""
    scale = SIDE / (span[1] - span[0])
    anchors = [(g.x_interval.mean * scale, g.y_interval.mean * scale) for g in groups]
    bars = []
    for group, (x, y) in zip(groups, anchors, strict=True):
        half_x, half_y = ((i.half_width or 0) * scale for i in (group.x_interval, group.y_interval))
        bars += [(x - half_x, y - 3, x + half_x, y + 3), (x - 3, y - half_y, x + 3, y + half_y)]
    offsets = place_labels(anchors, [g.label for g in groups], bars)
    for group, (dx, dy) in zip(groups, offsets, strict=True):
        figure.add_annotation(
            x=group.x_interval.mean,
            y=group.y_interval.mean,
            ax=dx,
            ay=-dy,
            text=f"<b>{group.label}</b>",
            font={"color": _colour(group), "size": 13},
            showarrow=True,
            arrowhead=0,
            arrowwidth=1,
            arrowcolor=_colour(group),
            standoff=8,
        )
