"""Figures of the compare page, for every registered trunk: what they claim is what they were given."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pandas as pd
import pytest

from app.charts.matrix import CROWDED, bounds, gate_matrix, matrix
from app.charts.order import drawing_order
from app.charts.palette import QUIET, hue
from app.charts.quality import MOST_POINTS, QualityLine, quality_figure, run_curves
from app.charts.runs import MARKS, MOST_RUNS, PLOTLY_DASHES, PLOTLY_SHAPES, VEGA_DASHES, VEGA_SHAPES, WORDS
from app.charts.sankey import flow, sankey, shares
from app.charts.spread import gate_spread
from app.charts.what_if import off_bars
from app.jobs.questions import WEIGHTS
from mtl_core import checkpoints, registry
from mtl_core.events import GateSummary
from mtl_core.trunks.wiring import Gate, gate_key
from tests.unit.test_charts import TASKS, summaries, wiring


def rows_of(drawing: Any, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = drawing.to_dict()["datasets"][name]
    return rows


@pytest.mark.parametrize("trunk", registry.names("trunk"))
@pytest.mark.parametrize("tasks", [2, 3])
def test_a_flow_loses_nothing_in_any_trunk(trunk: str, tasks: int) -> None:
    wired = wiring(trunk, tasks)
    means = {name: summary.mean for name, summary in summaries(wired).items()}
    nodes, links = flow(wired, TASKS[:tasks], means)
    into, out = dict.fromkeys((n.key for n in nodes), 0.0), dict.fromkeys((n.key for n in nodes), 0.0)
    for link in links:
        assert link.value > 0
        out[link.source] += link.value
        into[link.target] += link.value
    lost = len(links) * 0.01  # links too thin to be drawn
    for k in range(tasks):
        assert into[f"t{k}"] == pytest.approx(1.0)
    assert sum(out[node.key] for node in nodes if node.column == 0) == pytest.approx(tasks, abs=lost)
    for node in nodes:
        if node.column != 0 and not node.key.startswith("t"):
            assert into[node.key] == pytest.approx(out[node.key], abs=lost)
    (trace,) = sankey(wired, TASKS[:tasks], means).data
    assert all(0 < y < 1 for y in trace.node.y)


def test_shares_of_weights_that_may_be_negative_are_those_of_their_sizes() -> None:
    mixed = Gate(name="A", owner=0, source=0, sees=(0, 2), kind="mix")
    assert shares(mixed, [0.5, 9.0, -1.5]) == {0: 0.25, 2: 0.75}
    assert shares(mixed, [0.0, 1.0, 0.0]) == {}


def test_the_flow_of_a_mixture_by_hand() -> None:
    wired = wiring("mmoe", 2, experts=2)
    tasks = TASKS[:2]
    means = {gate_key(1, tasks[0]): [0.75, 0.25], gate_key(1, tasks[1]): [0.5, 0.5]}
    _, links = flow(wired, tasks, means)
    found = {(link.source, link.target): link.value for link in links}
    assert found["1.e0", "1.g0"] == 0.75
    assert found["0.g0", "1.e0"] == 1.25
    assert found["0.g0", "1.e1"] == 0.75


@pytest.mark.parametrize("trunk", registry.names("trunk"))
def test_matrix_and_spread_show_every_gate_on_the_scale_of_all(trunk: str) -> None:
    wired = wiring(trunk, 3)
    gates = summaries(wired)
    scale = bounds([gates])
    for number, level in enumerate(wired.levels, start=1):
        drawing = gate_matrix(wired, gates, number, scale)
        cells = rows_of(drawing, "cells")
        shown = {(c["row"], c["column"]): c for c in cells}
        spread = gate_spread(wired, gates, number, scale)
        json.dumps(spread.to_dict(), allow_nan=False)
        means = [m for m in rows_of(spread, "marks") if m["role"] == "mean"]
        assert len(means) == sum(len(gate.sees) for gate in level.gates)
        for gate in level.gates:
            for e in drawing_order(level):
                cell = shown[gate.name, level.experts[e].name]
                if e in gate.sees:
                    assert cell["value"] == gates[gate_key(number, gate.name)].mean[e]
                    assert scale[0] <= cell["value"] <= scale[1]
                else:
                    assert pd.isna(cell["value"])
                    # Where the words do not fit into the cells they stand below the picture.
                    fits = len(level.experts) < CROWDED
                    assert (cell["text"], cell["ink"]) == ("not visible" if fits else "", QUIET)
                    assert ("not visible" in drawing.note) is not fits
        heights = [row["y"] for row in rows_of(spread, "shapes")]
        assert min(heights) >= 0
        assert max(heights) <= len(level.gates) * 1.22


def test_the_scale_is_zero_to_one_unless_a_weight_of_any_run_lies_beyond() -> None:
    def summary(low: float, high: float) -> dict[str, GateSummary]:
        return {"g": GateSummary(mean=[0.5], histogram=[[1]], entropy=None, low=low, high=high)}

    assert bounds([summary(0, 1), summary(0, 1)]) == (0.0, 1.0)
    assert bounds([summary(0, 1), summary(-0.26, 1.94)]) == (-0.3, 1.9)
    assert bounds([]) == (0.0, 1.0)


def test_letters_of_a_matrix_read_on_their_cells() -> None:
    cells = rows_of(matrix([("r", QUIET)], ["a", "b", "c"], [[0.1, 0.9, None]], (0.0, 1.0), what="w"), "cells")
    assert [c["ink"] for c in cells] == ["#FFFFFF", "#000000", QUIET]
    assert [c["text"] for c in cells] == ["0.10", "0.90", "not visible"]


def test_before_an_epoch_was_kept_nothing_is_drawn_and_nothing_breaks() -> None:
    wired = wiring("ple", 2)
    assert all(pd.isna(c["value"]) for c in rows_of(gate_matrix(wired, {}, 2, (0.0, 1.0)), "cells"))
    assert rows_of(gate_spread(wired, {}, 2, (0.0, 1.0)), "shapes") == []


def test_bars_say_their_task_and_undefined_changes_have_none() -> None:
    rows = [("without S1", "A", "A −3.0", -3.0), ("without S1", "B", "", None)]
    drawing = off_bars(rows, [("A", hue(0)), ("B", hue(1))], -3.0, 0.0, "thousandths of AUC")
    assert [b["text"] for b in rows_of(drawing, "bars")] == ["A −3.0"]


def test_six_runs_are_told_apart_without_a_colour() -> None:
    for marks in (VEGA_DASHES, VEGA_SHAPES, PLOTLY_DASHES, PLOTLY_SHAPES, WORDS, MARKS):
        assert len({str(mark) for mark in marks}) == MOST_RUNS
    names = [f"{n} run" for n in range(1, 7)]
    rows = pd.DataFrame([(e, 0.5 + 0.01 * n, name) for n, name in enumerate(names) for e in (1, 2)])
    rows.columns = pd.Index(["epoch", "value", "run"])
    drawing = run_curves(rows, names, 1, 2, "AUC", at=1)
    assert hue(1) in str(drawing.to_dict())
    assert [label["text"].split()[0] for label in rows_of(drawing, "labels")] == list("123456")
    places = [label["value"] for label in rows_of(drawing, "labels")]
    assert min(b - a for a, b in itertools.pairwise(places)) > 0.004
    assert rows_of(run_curves(rows.iloc[:0], names, 0, 2, "AUC", at=None), "labels") == []


def test_quality_figures_hold_few_points_and_name_both_axes() -> None:
    points = tuple(i / 199 for i in range(200))
    lines = tuple(QualityLine(f"{n} m", n, points, points, "AUC 0.5") for n in range(1, 7))
    panels = [(task, k, lines) for k, task in enumerate("ABCDEF")]
    for kind in ("roc", "precision_recall", "reliability"):
        figure = quality_figure(kind, panels)  # type: ignore[arg-type]
        named = [t for t in figure.data if t.name]
        assert len(named) == 36
        assert sum(len(t.x) for t in named) <= MOST_POINTS
        assert all((t.x[0], t.x[-1]) == (0.0, 1.0) for t in named)
        assert figure.layout.yaxis.title.text
        assert figure.layout.xaxis.title.text


def test_pages_know_the_file_of_weights_by_its_name() -> None:
    assert WEIGHTS == checkpoints.WEIGHTS
