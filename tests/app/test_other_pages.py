"""Compare, seesaw plot and runs: what they list, what they compute, what their buttons do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import analysis, wording
from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from app.library import examples
from mtl_core.comparison import baseline_spec, budget_key
from mtl_core.spec import RunSpec
from tests.app.conftest import healthy, small, visit

Train = Callable[[RunSpec], RunRecord]


def figure(at: AppTest, key: str) -> dict[str, Any]:
    """The Plotly figure with this key."""
    (chart,) = [chart for chart in at.get("plotly_chart") if chart.proto.id.endswith(f"-{key}")]
    spec: dict[str, Any] = json.loads(chart.proto.spec)
    return spec


def names_in(spec: dict[str, Any]) -> str:
    """Every text of a figure."""
    return json.dumps(
        [trace.get("name") for trace in spec["data"]] + [a["text"] for a in spec["layout"]["annotations"]]
    )


# Compare


def test_compare_opens_with_mmoe_against_ple() -> None:
    at = healthy(visit("compare"))
    assert at.session_state["left"] == "example-conflict-mmoe-0"
    assert at.session_state["right"] == "example-conflict-ple-0"
    # PLE has two levels; the one that towers read is shown first, on the same scale as MMoE's.
    for side, levels in (("left", 1), ("right", 2)):
        assert at.button_group(key=f"{side}.level.{levels}").value == levels
        axes = {k: v for k, v in figure(at, f"{side}.distributions")["layout"].items() if k.startswith("yaxis")}
        assert {tuple(axis["range"]) for axis in axes.values()} == {(-0.02, 1.02)}


def test_compare_shows_the_level_that_is_asked_for() -> None:
    at = visit("compare")
    before = figure(at, "right.distributions"), figure(at, "left.distributions")
    at.button_group(key="right.level.2").select(1).run()
    healthy(at)
    assert figure(at, "right.distributions") != before[0]
    assert figure(at, "left.distributions") == before[1]
    # Level 1 has a gate more: the one that feeds the shared stream.
    rows = [
        len([k for k in f["layout"] if k.startswith("yaxis")]) for f in (before[0], figure(at, "right.distributions"))
    ]
    assert rows == [2, 3]


def test_compare_lists_only_what_differs() -> None:
    at = visit("compare")
    table = at.table[0].value
    assert list(table.columns) == ["left", "right"]
    assert set(table.loc["trunk"]) == {"MMoE", "PLE"}
    assert list(table.loc["trunk levels"]) == ["", "2"]
    assert not [row for row in table.index if row.startswith(("data", "training", "seed"))]
    at = healthy(visit("compare", left="example-conflict-mmoe-0", right="example-conflict-mmoe-0"))
    assert at.table.len == 0


def test_compare_offers_finished_runs_with_gates_only(store: RunStore, trained: Train) -> None:
    done = trained(small("cgc"))
    queued, _ = store.submit(small(seed=9))
    at = healthy(visit("compare", left=done.id, right=queued.id))
    assert at.session_state["left"] == done.id
    assert at.session_state["right"] == "example-conflict-ple-0"  # one that is not finished cannot be compared
    offered = at.selectbox(key="left").options
    assert len(offered) == 1 + sum(bool(example.history.gates) for example in examples().values())
    assert [option for option in offered if done.id in option]
    assert {"data rows", "training epochs"} <= set(at.table[0].value.index)
    # Neither does it break where data sets of other tasks are compared.
    at.selectbox(key="right").set_value("example-adult-omoe-0").run()
    assert "data" in healthy(at).table[0].value.index


def test_compare_outlives_a_run_that_is_deleted(store: RunStore, trained: Train) -> None:
    done = trained(small("shared_bottom"))
    at = healthy(visit("compare", right=done.id))
    store.delete(done.id)
    assert healthy(at.run()).session_state["right"] == "example-conflict-ple-0"


# Seesaw plot


def budget_of(record: RunRecord) -> str:
    return budget_key(RunSpec.parse(record.spec))


@pytest.mark.parametrize("data", ["conflict", "adult"])
def test_the_seesaw_plot_of_the_examples(data: str) -> None:
    budget = budget_of(examples()[f"example-{data}-mmoe-0"].record)
    at = healthy(visit("seesaw_plot", budget=budget))
    table = at.table[0].value
    assert set(table["model"]) == {"MMoE", "PLE", "CGC", "OMoE", "Shared bottom"}
    assert set(table["n"]) == {sum(f"-{data}-single_task-" in name for name in examples())}
    assert "seesaw.missing" not in {button.key for button in at.button}
    spec = figure(at, "seesaw.plot")
    for name in table["model"]:
        assert name in names_in(spec)
    (chosen,) = [b for b in analysis.budgets([e.record for e in examples().values()]) if b.key == budget]
    tasks = ("A", "B") if data == "conflict" else ("income", "never_married")
    groups = analysis.seesaw(chosen, *tasks).groups
    assert [(row["model"], row[f"gain {tasks[1]}"]) for row in table.to_dict("records")] == [
        (group.label, wording.interval(group.y_interval)) for group in groups
    ]


def test_a_missing_yardstick_is_named_and_trained_on_request(store: RunStore, trained: Train) -> None:
    runs = [trained(small("mmoe", seed=seed)) for seed in (0, 1)]
    at = healthy(visit("seesaw_plot", budget=budget_of(runs[0])))
    assert at.table.len == 0
    (note,) = at.info
    assert "MMoE on Conflict, seed 0" in note.value
    assert "seed 1" in note.value
    at.button(key="seesaw.missing").click().run()
    healthy(at)
    queued = [run for run in store.runs() if run.state == "queued"]
    wanted = [baseline_spec(RunSpec.parse(run.spec)) for run in runs]
    assert {run.spec_key for run in queued} == {spec.key for spec in wanted}
    # While they wait, the page says so; pressing again makes no more.
    assert len(at.get("progress")) == 1
    at.button(key="seesaw.missing").click().run()
    assert len(store.runs()) == 4
    for run in queued:
        store.delete(run.id)
    for spec in wanted:
        trained(spec)
    healthy(at.run())
    assert at.info.len == 0
    (row,) = at.table[0].value.to_dict("records")
    assert (row["model"], row["n"]) == ("MMoE", 2)
    assert at.session_state["budget"] == budget_of(runs[0])


def test_one_seed_has_no_interval(trained: Train) -> None:
    run = trained(small("ple"))
    trained(baseline_spec(RunSpec.parse(run.spec)))
    at = healthy(visit("seesaw_plot", budget=budget_of(run)))
    (row,) = at.table[0].value.to_dict("records")
    assert row["n"] == 1
    assert "±" not in row["gain A"]
    assert "interval" in row["verdict"]


# Runs


def test_the_table_lists_the_stores_runs_then_the_examples(store: RunStore, trained: Train) -> None:
    done = trained(small("cgc", seed=3))
    queued, _ = store.submit(small("ple"))
    at = healthy(visit("runs"))
    table = at.dataframe[0].value
    assert list(table["run"][:2]) == [queued.id, done.id]
    assert set(table["run"][2:]) == set(examples())
    assert list(table["state"][:3]) == ["queued", "finished", "example"]
    assert list(table["seed"][:2]) == [0, 3]
    assert done.metrics_test is not None
    auc = done.metrics_test["A"]["auc"]
    assert auc is not None
    assert f"{auc:.4f}" in " ".join(map(str, table.iloc[1]))
    assert done.parameters in list(table.iloc[1])


def test_examples_can_be_hidden(store: RunStore) -> None:
    at = visit("runs")
    at.toggle(key="examples").set_value(False).run()
    healthy(at)
    assert at.dataframe.len == 0
    assert at.info.len == 1  # nothing was trained: the next step is named
    assert at.get("page_link")
    run, _ = store.submit(small())
    at.run()
    assert list(healthy(at).dataframe[0].value["run"]) == [run.id]
    assert at.info.len == 0
    assert visit("runs", examples="false").dataframe[0].value["run"].tolist() == [run.id]


def test_open_runs_are_announced_on_the_pages_that_list_results(store: RunStore) -> None:
    store.submit(small("ple", seed=6))
    store.submit(small("mmoe", seed=7))
    for page in ("runs", "seesaw_plot"):
        (bar,) = [bar for bar in healthy(visit(page)).get("progress") if "Conflict" in bar.proto.text]
        assert "PLE on Conflict, seed 6" in bar.proto.text


def test_no_button_acts_without_a_tick() -> None:
    at = visit("runs")
    labels = {button.label: button.disabled for button in at.button}
    assert {label: labels[label] for label in ("Open", "Compare", "Delete")} == dict.fromkeys(
        ("Open", "Compare", "Delete"), True
    )
