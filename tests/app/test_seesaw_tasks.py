"""The seesaw page of three tasks: which task's gain lies across and which one's up."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app import analysis, gains
from app.jobs.records import RunRecord
from mtl_core.comparison import baseline_spec, budget_key, preset_spec
from mtl_core.spec import RunSpec
from tests.app.conftest import healthy, visit

TASKS = ("A", "B", "C")


@pytest.fixture
def runs(trained: Callable[[RunSpec], RunRecord]) -> list[RunRecord]:
    """MMoE on three tasks, and its yardstick."""
    spec = preset_spec(
        "mmoe_synthetic", "mmoe",
        data={"name": "mmoe_synthetic", "options": {"tasks": 3, "rows": 1000, "labels": "binary"}},
        training={"epochs": 1, "batch_size": 100, "device": "cpu"},
    )  # fmt: skip
    return [trained(spec), trained(baseline_spec(spec))]


@pytest.fixture
def measured(runs: list[RunRecord]) -> dict[str, float]:
    """Test AUC over the yardstick's, in thousandths, for each task."""
    scores = [{task: m["auc"] or 0.0 for task, m in (run.metrics_test or {}).items()} for run in runs]
    found = {task: 1000 * (scores[0][task] - scores[1][task]) for task in TASKS}
    assert len(set(found.values())) == 3  # or the tests below could not tell one task from another
    return found


def open_page(runs: list[RunRecord], **query: str) -> AppTest:
    spec = RunSpec.parse(runs[0].spec)
    assert spec.schema.task_names == TASKS
    return healthy(visit("seesaw_plot", budget=budget_key(spec), **query))


def shows(at: AppTest, measured: dict[str, float], across: str, up: str) -> None:
    """Selectors, table, axes and the point itself speak of these two tasks."""
    assert (at.selectbox(key="x").value, at.selectbox(key="y").value) == (across, up)
    (row,) = at.table[0].value.to_dict("records")
    assert [name for name in row if name.startswith("gain ")] == [f"gain {across}", f"gain {up}"]
    assert [row[f"gain {t}"] for t in (across, up)] == [gains.signed(measured[t]) for t in (across, up)]
    titles = json.dumps(json.loads(at.get("vega_lite_chart")[0].proto.spec))
    assert titles.index(f"gain on {across} (") < titles.index(f"gain on {up} (")
    (record,) = [b for b in analysis.budgets([*_records()]) if b.key == at.session_state["budget"]]
    (group,) = analysis.seesaw(record, across, up).groups
    assert (group.x, group.y) == (pytest.approx([measured[across]]), pytest.approx([measured[up]]))


def _records() -> list[RunRecord]:
    from app import services

    return services.library().records()


def test_the_first_two_tasks_are_shown_first(runs: list[RunRecord], measured: dict[str, float]) -> None:
    at = open_page(runs)
    assert at.selectbox(key="x").options == list(TASKS)
    shows(at, measured, "A", "B")


def test_choosing_another_task_moves_the_point_and_the_link(runs: list[RunRecord], measured: dict[str, float]) -> None:
    at = open_page(runs)
    at.selectbox(key="y").select("C").run()
    shows(healthy(at), measured, "A", "C")
    at.selectbox(key="x").select("B").run()
    shows(healthy(at), measured, "B", "C")
    assert {name: at.query_params[name] for name in "xy"} in ({"x": "B", "y": "C"}, {"x": ["B"], "y": ["C"]})


def test_no_task_is_set_against_itself(runs: list[RunRecord], measured: dict[str, float]) -> None:
    at = open_page(runs)
    at.selectbox(key="x").select("B").run()
    assert at.selectbox(key="y").options == ["A", "C"]
    shows(healthy(at), measured, "B", "A")
    shows(open_page(runs, x="C", y="C"), measured, "C", "A")


def test_a_link_names_the_tasks(runs: list[RunRecord], measured: dict[str, float]) -> None:
    shows(open_page(runs, x="C", y="A"), measured, "C", "A")


def test_a_link_with_a_task_that_is_none_falls_back(runs: list[RunRecord], measured: dict[str, float]) -> None:
    shows(open_page(runs, x="nonsense", y="C"), measured, "A", "C")


def test_two_tasks_need_no_selectors(runs: list[RunRecord]) -> None:
    """Of the bundled examples every one has two; coming from three tasks, nothing of the choice is left over."""
    at = open_page(runs, x="C", y="A")
    at.selectbox(key="budget").select(next(o for o in at.selectbox(key="budget").options if "Conflict" in o)).run()
    healthy(at)
    assert [box.key for box in at.selectbox] == ["budget"]
    assert "gain A" in at.table[0].value.columns
    assert "gain B" in at.table[0].value.columns
