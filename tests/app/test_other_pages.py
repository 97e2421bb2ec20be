"""Runs: what they list, what they compute, what their buttons do."""

from __future__ import annotations

from collections.abc import Callable

from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from app.library import examples
from mtl_core.spec import RunSpec
from tests.app.conftest import healthy, small, visit

Train = Callable[[RunSpec], RunRecord]


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
