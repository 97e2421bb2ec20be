"""Every chart in its largest allowed state stays below 2,000 marks: browsers draw that many without delay."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import vl_convert

from app.charts import data as data_charts
from app.charts.architecture import architecture
from app.charts.conflict import arrows, conflict_shares, cosine_curves, cosine_table, plane
from app.charts.curves import COLUMNS, TEST, VALIDATION, YARDSTICK, auc_curves
from app.charts.drawing import Drawing, template
from app.charts.fewer import fewer
from app.charts.gates import gate_bars
from app.charts.matrix import bounds, gate_matrix
from app.charts.quality import QualityLine, quality_figure, run_curves
from app.charts.runs import MOST_RUNS
from app.charts.sankey import sankey
from app.charts.seesaw import SeesawGroup, seesaw, small_multiples
from app.charts.spread import gate_spread
from app.charts.weights import LENGTH, task_lines
from app.charts.what_if import off_changes
from app.figures import of_vega
from mtl_core import registry
from mtl_core.comparison import paired_interval
from mtl_core.events import GateSummary
from mtl_core.trunks.wiring import Wiring, gate_key

MOST = 2000
TASKS = tuple(f"task_{i}" for i in range(32))
EPOCHS = 1000
RNG = np.random.default_rng(0)
#: The trunks with the most experts, gates and lines that options allow.
LARGEST = {
    "ml_mmoe": {"experts": 64, "levels": 6},
    "ple": {"shared_experts": 32, "task_experts": 2, "levels": 6},
    "adatt": {"shared_experts": 32, "task_experts": 1, "levels": 6},
    "sluice": {"levels": 6, "subspaces": 4},
}


def marks(spec: Mapping[str, Any]) -> int:
    """Marks of a Vega-Lite chart as drawn: a line or an area is one, and so is every symbol, bar, rule and text."""
    text = json.dumps({"width": 680, **spec} if "facet" not in spec else spec)
    known = json.loads(text, parse_constant=lambda _: None)  # JSON has no numbers that are none
    return _below(vl_convert.vegalite_to_scenegraph(known)["scenegraph"])


def _below(node: Any) -> int:
    if isinstance(node, list):
        return sum(map(_below, node))
    kind, items = node.get("marktype"), node.get("items", [])
    if kind in (None, "group"):
        return _below(items)
    if not str(node.get("role", "")).startswith("mark"):
        return 0  # axes, legends and titles
    return (len(items) > 0) if kind in ("line", "area", "trail") else len(items)


def test_marks_are_counted() -> None:
    rows = pd.DataFrame({"x": range(7), "y": range(7), "c": list("aabbccc")})
    base = alt.Chart(rows).encode(x="x:Q", y="y:Q")
    assert marks(base.mark_point().to_dict()) == 7
    assert marks(base.mark_line().encode(color="c:N").to_dict()) == 3
    assert marks((base.mark_line() + base.mark_text()).to_dict()) == 8
    assert marks(base.mark_bar().facet("c:N").to_dict()) == 7


def largest(trunk: str) -> tuple[Wiring, dict[str, GateSummary]]:
    """The trunk with 32 tasks, trained: with what a worker says of its gates."""
    part: Any = registry.get("trunk", trunk).model_validate(LARGEST[trunk])
    streams = {None: 1, "shared": 1, "per_task": len(TASKS), "both": len(TASKS) + 1}[part.embeddings]
    wiring: Wiring = part.wire(TASKS, streams)
    gates = {}
    for number, level in enumerate(wiring.levels, start=1):
        for gate in level.gates:
            mean = np.zeros(len(level.experts))
            mean[list(gate.sees)] = RNG.dirichlet(np.ones(len(gate.sees)))
            histogram = RNG.integers(0, 90, (len(level.experts), 20)).tolist()
            gates[gate_key(number, gate.name)] = GateSummary(
                mean=mean.tolist(), histogram=histogram, entropy=0.5, low=0.0, high=1.0
            )
    return wiring, gates


@pytest.mark.parametrize("trunk", LARGEST)
def test_pictures_of_a_trunk(trunk: str) -> None:
    """As the pages draw them: of many experts the ones that count."""
    wiring, gates = largest(trunk)
    for weighed in (gates, dict[str, GateSummary]()):
        few = fewer(wiring, weighed)
        drawn = few.gates(weighed)
        means: dict[str, Sequence[float]] = {name: summary.mean for name, summary in drawn.items()}
        pictures = [architecture(few.wiring, TASKS, means or None), gate_bars(few.wiring, drawn)]
        if weighed:
            last, scale = len(wiring.levels), bounds([drawn])
            pictures.append(gate_matrix(few.wiring, drawn, last, scale))
            if any(gate.chooses for gate in few.wiring.levels[-1].gates):
                pictures.append(gate_spread(few.wiring, drawn, last, scale))
        for picture in pictures:
            assert marks(picture.to_dict()) <= MOST
    figure = sankey(few.wiring, TASKS, {name: summary.mean for name, summary in few.gates(gates).items()})
    assert points(figure) <= MOST


def points(figure: go.Figure) -> int:
    """Marks of a Plotly figure: points of its lines where they are marked, else lines; nodes and ribbons."""
    count = 0
    for trace in figure.data:
        if trace.type == "sankey":
            count += len(trace.node.label) + len(trace.link.value)
        else:
            count += len(trace.x) if "markers" in (trace.mode or "") else 1
    return count


def values(count: int) -> np.ndarray:
    return RNG.uniform(0.5, 0.9, count)


def lines_of_tasks() -> Drawing:
    frames = [
        pd.DataFrame(
            {"epoch": range(1, EPOCHS + 1, 20), "task": task, "value": values(EPOCHS // 20), "line": line, "what": what}
        )
        for task in TASKS
        for line, what in (("run", VALIDATION), ("single task", YARDSTICK))
    ]
    ends = pd.DataFrame({"epoch": EPOCHS, "task": TASKS, "value": values(len(TASKS)), "line": "run", "what": TEST})
    return auc_curves(pd.concat([*frames, ends])[COLUMNS], TASKS, EPOCHS)


def quantities() -> Drawing:
    frames = [
        pd.DataFrame({"epoch": range(1, EPOCHS + 1, 20), "task": task, "value": values(EPOCHS // 20)}) for task in TASKS
    ]
    return task_lines(pd.concat(frames), TASKS, EPOCHS, LENGTH)


def pairs() -> pd.DataFrame:
    names = [f"{a}, {b}" for i, a in enumerate(TASKS) for b in TASKS[:i]]
    return pd.concat(
        pd.DataFrame({"epoch": [1, EPOCHS], "pair": name, "cosine": values(2), "negative": values(2)}) for name in names
    )


def few_epochs() -> Drawing:
    """Epochs and tasks at which single points are still marked."""
    rows = [(epoch, task, 0.7, "run", VALIDATION) for task in TASKS for epoch in range(1, 60)]
    return auc_curves(pd.DataFrame(rows, columns=COLUMNS), TASKS, 59)


def compared() -> Drawing:
    runs = [f"{i} PLE (weights 20:1)" for i in range(1, MOST_RUNS + 1)]
    frames = [
        pd.DataFrame({"epoch": range(1, EPOCHS + 1, 20), "value": values(EPOCHS // 20), "run": run}) for run in runs
    ]
    return run_curves(pd.concat(frames), runs, 0, EPOCHS, "AUC", 17)


def what_if() -> Drawing:
    rows = [(f"expert {e}", task, "-1.2", float(RNG.normal())) for e in range(64) for task in TASKS]
    return off_changes(rows, [(task, "#0072B2") for task in TASKS], -4.0, 4.0, "thousandths")


def models(count: int, seeds: int, lines: bool) -> list[SeesawGroup]:
    found = []
    for i in range(count):
        x, y = RNG.normal(0, 20, seeds), RNG.normal(0, 20, seeds)
        line = f"PLE {i // 20}" if lines else ""
        found.append(
            SeesawGroup(
                f"model {i}", "ple", tuple(range(seeds)), tuple(x), tuple(y), paired_interval(x), paired_interval(y),
                tuple(f"{i}-{s}" for s in range(seeds)), line, f"{i}:1" if line else "",
            )
        )  # fmt: skip
    return found


#: Models, seeds of each, and whether they differ in loss weights alone: the store is asked for a thousand runs.
CROWDS = [(8, 120, False), (8, 170, False), (333, 3, False), (333, 3, True), (1300, 1, False)]


@pytest.mark.parametrize("crowd", CROWDS)
def test_the_seesaw_plot(crowd: tuple[int, int, bool]) -> None:
    groups = models(*crowd)
    plot = seesaw(groups, "A", "B")
    assert marks(plot.to_dict()) <= MOST
    every = sum(len(group.seeds) + (len(group.seeds) > 1) for group in groups)
    if len(plot.data["marks"]) < every:
        assert "left out" in plot.note or "Drawn are" in plot.note
    else:
        assert every <= 1200


@pytest.mark.parametrize(("pairs_of_tasks", "crowd"), [(10, CROWDS[3]), (31, CROWDS[2])])
def test_small_seesaw_plots(pairs_of_tasks: int, crowd: tuple[int, int, bool]) -> None:
    """As many as a page shows: ten pairs, or one task of 32 with every other."""
    groups = models(*crowd)
    small = small_multiples([("A", f"task {i}", groups) for i in range(pairs_of_tasks)])
    assert marks(small.to_dict()) <= MOST
    assert small.note


@pytest.mark.parametrize(
    "make",
    [
        lines_of_tasks, quantities, few_epochs, compared, what_if,
        lambda: cosine_curves(pairs(), EPOCHS),
        lambda: conflict_shares(pairs(), EPOCHS),
        lambda: cosine_table((2 * values(32 * 32) - 1).reshape(32, 32).tolist(), TASKS),
        lambda: arrows(plane([1.0, 2.0], -0.4, [0.5, 0.5]), TASKS[:2]),
    ],
)  # fmt: skip
def test_pictures_of_a_training(make: Callable[[], Drawing]) -> None:
    assert marks(make().to_dict()) <= MOST


@pytest.mark.parametrize("kind", ["roc", "precision_recall", "reliability"])
def test_curves_of_the_test_rows(kind: Any) -> None:
    curve = tuple(np.linspace(0, 1, 400))
    lines = [QualityLine(f"{i} PLE", i, curve, curve, "0.9") for i in range(1, MOST_RUNS + 1)]
    figure = quality_figure(kind, [(task, i, lines) for i, task in enumerate(TASKS)])
    assert points(figure) <= MOST


def test_pictures_of_data() -> None:
    every = [(a, b) for a in TASKS for b in TASKS]
    rates = pd.DataFrame({"task": TASKS, "kind": "binary", "rate": values(32), "rows": 10_000, "positives": 100})
    one, other = zip(*every, strict=True)
    square = pd.DataFrame({"a": one, "b": other, "correlation": values(1024), "given": values(1024)})
    square = square.assign(rows=1000, both=100, positive=300, share=0.1, jaccard=0.1)
    charts = [
        data_charts.label_rates(rates, TASKS),
        data_charts.label_correlation(square, TASKS),
        data_charts.label_overlap(square[square["a"] != square["b"]], TASKS),
    ]
    for chart in charts:
        assert marks(template(chart)) <= MOST


def test_what_is_drawn_is_what_files_show() -> None:
    """The count is of the picture that people save, too."""
    plot = seesaw(models(6, 3, lines=False), "A", "B")
    assert of_vega("", plot.to_dict).svg().count("<path") >= marks(plot.to_dict()) // 2
