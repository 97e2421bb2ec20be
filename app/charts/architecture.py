"""Who listens to whom: a model drawn from its wiring, link width = mean gate weight (Altair: it moves live)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from app.charts.drawing import Drawing, template
from app.charts.layout import columns_of, height_of, layout, room_of
from app.i18n import by_language, tr
from mtl_core.heads.meeting import Meeting
from mtl_core.trunks.wiring import Wiring


def architecture(
    wiring: Wiring,
    tasks: Sequence[str],
    weights: Mapping[str, Sequence[float]] | None = None,
    meeting: Meeting | None = None,
) -> Drawing:
    """The model from features (left) over the trunk to towers and to what the head makes of them (right).

    Args:
        wiring: the levels, experts and gates.
        tasks: task names in order.
        weights: gate key ("level 1 / A") -> mean weight per expert of its level. None: nothing trained yet, every
            visible expert counts alike. A negative weight is drawn dashed, one that was left out is barely there.
        meeting: where towers meet; None: each gives its task's prediction.
    """
    nodes, links = layout(wiring, tasks, weights, meeting)
    drawn = _template(columns_of(wiring, meeting), height_of(wiring, len(tasks), meeting))
    return Drawing(drawn, {"nodes": nodes, "links": links}, room_of(wiring, len(tasks), weights, meeting).note)


@by_language(maxsize=64)
def _template(columns: float, height: int) -> dict[str, Any]:
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
    nodes = alt.Chart(alt.NamedData("nodes"))
    boxes = (
        nodes.transform_filter(alt.datum.shape == "box")
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
    marks: dict[str, dict[str, Any]] = {
        "gate": {"shape": "circle", "size": 420, "strokeWidth": 2.4},
        "unit": {"shape": "diamond", "size": 300, "strokeWidth": 2.4},
    }
    gates = [
        nodes.transform_filter(alt.datum.shape == shape)
        .mark_point(filled=True, fillOpacity=1, **style)
        .encode(x, y, fill=alt.value("white"), stroke=stroke, tooltip=tooltip)
        for shape, style in marks.items()
    ]
    tips = (
        nodes.transform_filter(alt.datum.shape == "tip")
        .mark_point(shape="triangle-left", size=110, filled=True, opacity=1)
        .encode(x, y, stroke, tooltip=tooltip)
    )
    texts = [
        nodes.transform_filter((alt.datum.lines == lines) & (alt.datum.shape == "box") & (alt.datum.label != ""))
        # Vega centres the first line of a text; the others hang below it.
        .mark_text(fontWeight="bold", lineBreak="\n", lineHeight=12, dy=-6 * (lines - 1), baseline="middle")
        .encode(
            x,
            y,
            text="label:N",
            size=alt.Size("size:Q", scale=None, legend=None),
            color=alt.Color("ink:N", scale=None),
            tooltip=tooltip,
        )
        for lines in (1, 2, 3)
    ]
    return template(alt.layer(*links_layers, boxes, *gates, tips, *texts).properties(height=height))
