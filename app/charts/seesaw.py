"""The seesaw plot: gain on one task against gain on another, single-task models at the cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.charts.palette import QUIET, family_shape, tint
from mtl_core.comparison import Interval

#: Models have neither a task's hue nor a family's shape to themselves: they carry shape and a direct label. Ink that
#: reads on both themes.
MARK = "#6E4FA8"


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
    reach = _reach(groups)
    for x0, x1, y0, y1, text, fill, anchor in (
        (0, reach, 0, reach, "both gain", "rgba(0,158,115,0.10)", ("right", "top")),
        (-reach, 0, -reach, 0, "both lose", "rgba(213,94,0,0.10)", ("left", "bottom")),
        (-reach, 0, 0, reach, f"{task_y} gains, {task_x} pays", None, ("left", "top")),
        (0, reach, -reach, 0, f"{task_x} gains, {task_y} pays", None, ("right", "bottom")),
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
        colour = MARK if group.told_apart else QUIET
        figure.add_trace(
            go.Scatter(
                x=group.x,
                y=group.y,
                mode="markers",
                marker={"size": 7, "color": tint(colour, 0.35), "symbol": family_shape(group.trunk)},
                customdata=[[seed] for seed in group.seeds],
                hovertemplate=f"{group.label}, seed %{{customdata[0]}}{gains}",
                showlegend=False,
            )
        )
    for group, place in zip(groups, _label_places(groups), strict=True):
        colour = MARK if group.told_apart else QUIET
        bars = [i.half_width for i in (group.x_interval, group.y_interval)]
        figure.add_trace(
            go.Scatter(
                x=[group.x_interval.mean],
                y=[group.y_interval.mean],
                mode="markers+text",
                text=[f"<b>{group.label}</b>"],
                textposition=place,
                textfont={"color": colour, "size": 13},
                marker={
                    "size": 14,
                    "color": colour,
                    "symbol": family_shape(group.trunk),
                    "line": {"width": 2, "color": colour},
                },
                error_x={"type": "data", "array": [bars[0] or 0], "color": colour, "thickness": 2, "width": 0},
                error_y={"type": "data", "array": [bars[1] or 0], "color": colour, "thickness": 2, "width": 0},
                hovertemplate=f"{group.label}, mean of {len(group.seeds)}{gains}",
                showlegend=False,
            )
        )
    figure.update_xaxes(
        title=f"gain on {task_x} ({unit})", range=[-reach, reach], zeroline=False, tickformat="+.0~f",
        constrain="domain", showgrid=False,
    )  # fmt: skip
    figure.update_yaxes(
        title=f"gain on {task_y} ({unit})", range=[-reach, reach], zeroline=False, tickformat="+.0~f",
        scaleanchor="x", constrain="domain", showgrid=False,
    )  # fmt: skip
    figure.update_layout(height=560, margin={"l": 10, "r": 10, "t": 10, "b": 10}, hovermode="closest")
    return figure


def _reach(groups: Sequence[SeesawGroup]) -> float:
    """Half the side of the square: all points and bars inside, with room for labels; never less than 5 thousandths."""
    far = [5.0]
    for group in groups:
        far += [abs(v) for v in (*group.x, *group.y)]
        far += [abs(i.mean) + (i.half_width or 0) for i in (group.x_interval, group.y_interval)]
    return max(far) * 1.18


def _label_places(groups: Sequence[SeesawGroup]) -> list[str]:
    """Labels away from neighbours: the lowest of a crowd writes below its mark, the highest above, others beside."""
    order = sorted(range(len(groups)), key=lambda i: groups[i].y_interval.mean)
    cycle = ["bottom right", "middle right", "top right", "top left", "middle left", "bottom left"]
    places = [""] * len(groups)
    for rank, i in enumerate(order):
        places[i] = cycle[rank % len(cycle)]
    return places
