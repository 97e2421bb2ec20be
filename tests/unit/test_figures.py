"""Figures as files: what is drawn is what the data say, and a file needs nothing but itself."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

import pandas as pd
import pytest
from PIL import Image

from app import figures
from app.charts.architecture import architecture
from app.charts.drawing import Drawing
from app.charts.quality import QualityLine, quality_figure
from app.charts.sankey import sankey
from app.charts.still_compare import flow_svg, quality_svg
from app.charts.svg import as_file
from app.library import examples
from mtl_core.trunks.wiring import Wiring

SVG = "{http://www.w3.org/2000/svg}"
PNG = b"\x89PNG\r\n\x1a\n"


def ple() -> tuple[Wiring, list[str], Mapping[str, Sequence[float]]]:
    history = examples()["example-conflict-ple-0"].history
    assert history.started is not None
    means = {name: summary.mean for name, summary in history.gates.items()}
    return history.started.wiring, list(history.started.tasks), means


def letters(svg: str) -> set[str]:
    return {node.text or "" for node in ET.fromstring(svg).iter(f"{SVG}text")}


def test_a_live_chart_becomes_svg_png_and_a_page_of_its_own() -> None:
    wiring, tasks, means = ple()
    figure = figures.of_vega("Architecture. It says so.", architecture(wiring, tasks, means).to_dict)
    assert {"features", "A", "B", "A1", "S1", "B1"} <= letters(figure.svg())
    assert figure.png().startswith(PNG)
    page = figure.html()
    assert "vega" in page
    assert not re.search(r"<script[^>]*\ssrc=|<link|@import", page)


def test_rows_without_a_number_are_no_obstacle() -> None:
    template = {"mark": "point", "data": {"name": "rows"}, "encoding": {"x": {"field": "x", "type": "quantitative"}}}
    drawing = Drawing(template, {"rows": pd.DataFrame({"x": [0.5, float("nan"), float("inf")]})})
    assert figures.of_vega("Points.", drawing.to_dict).png().startswith(PNG)


def test_a_picture_that_stands_alone_has_a_white_ground_in_pixels_too() -> None:
    wiring, tasks, means = ple()
    pixels = Image.open(io.BytesIO(figures.png(as_file(flow_svg(wiring, tasks, means)))))
    assert pixels.getpixel((1, 1)) == (255, 255, 255, 255)


def test_the_plain_flow_has_the_nodes_and_the_ribbons_of_the_plotly_one() -> None:
    wiring, tasks, means = ple()
    plain, figure = flow_svg(wiring, tasks, means), sankey(wiring, tasks, means)
    (trace,) = figure.data
    assert letters(plain) == set(trace.node.label)
    root = ET.fromstring(plain)
    told = sorted(path.findtext(f"{SVG}title") or "" for path in root.iter(f"{SVG}path"))
    assert told == sorted(
        f"{about}: {value:.2f} of a tower" for about, value in zip(trace.link.customdata, trace.link.value, strict=True)
    )
    # Every column carries the same, so none may stick out of the picture.
    height = float(root.attrib["height"])
    for box in root.iter(f"{SVG}rect"):
        assert 0 <= float(box.attrib["y"]) <= float(box.attrib["y"]) + float(box.attrib["height"]) <= height


@pytest.mark.parametrize("kind", ["roc", "precision_recall", "reliability"])
def test_plain_quality_curves_name_every_run_with_its_score(kind: str) -> None:
    lines = [QualityLine(f"{n} run", n, (0.0, 0.4, 1.0), (0.0, 0.3 * n, 1.0), f"AUC 0.{n}") for n in (1, 2)]
    panels = [("click", 0, lines), ("buy", 1, lines[:1])]
    svg = quality_svg(kind, panels)
    assert {"click", "buy", "1 run: AUC 0.1", "2 run: AUC 0.2"} <= letters(svg)
    assert len(list(ET.fromstring(svg).iter(f"{SVG}polyline"))) == 3
    page = figures.of_plotly("Curves.", quality_figure(kind, panels), lambda: svg).html()  # type: ignore[arg-type]
    assert "2 run: AUC 0.2" in page
    assert not re.search(r"<script[^>]*\ssrc=", page)
