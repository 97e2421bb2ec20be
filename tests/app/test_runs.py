"""The runs page: what it lists and finds, and every one of its controls."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app import downloads, exchange, exports, services
from app.components import run_actions
from app.jobs.archive import Archive, Labels
from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from app.library import Library, examples
from mtl_core.comparison import preset_spec
from mtl_core.events import Failed
from mtl_core.spec import RunSpec
from tests.app.conftest import healthy, small, texts, visit, wait_for

Train = Callable[[RunSpec], RunRecord]
EXAMPLE = "example-conflict-mmoe-0"


@pytest.fixture
def archive(store: RunStore) -> Archive:
    return Archive(store)


def ids(at: AppTest) -> list[str]:
    return at.dataframe[0].value["run"].tolist() if at.dataframe.len else []


def tick(at: AppTest, *run_ids: str) -> AppTest:
    """The page with these rows ticked, as a click would leave it."""
    key = at.dataframe[0].key
    assert key is not None
    rows = [ids(at).index(run_id) for run_id in run_ids]
    at.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    return healthy(at.run())


def off(at: AppTest) -> set[str]:
    """Keys of the disabled buttons."""
    buttons = [*at.button, *at.get("download_button")]
    return {str(button.key).removeprefix("runs.") for button in buttons if button.disabled and button.key}


def param(at: AppTest, name: str) -> str:
    value = at.query_params[name]
    return value[0] if isinstance(value, list) else value


# List, filters, order


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
    assert table.iloc[1]["parameters"] == done.parameters


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


def test_filters_narrow_the_list_and_stay_in_the_link(store: RunStore, trained: Train, archive: Archive) -> None:
    done = trained(small("cgc", seed=3))
    waiting, _ = store.submit(small("ple", seed=4))
    archive.tag([waiting.id], add=["paper"])
    archive.note(done.id, "a strange one")
    at = healthy(visit("runs", examples="false"))
    assert ids(at) == [waiting.id, done.id]
    at.multiselect(key="status").set_value(["finished"]).run()
    assert ids(healthy(at)) == [done.id]
    assert param(at, "status") == "finished"
    at.multiselect(key="status").set_value([]).run()
    at.multiselect(key="model").set_value(["ple", "cgc"]).run()
    assert len(ids(at)) == 2
    assert param(at, "model") == "ple,cgc"
    at.multiselect(key="tag").set_value(["paper"]).run()
    assert ids(at) == [waiting.id]
    at.multiselect(key="dataset").set_value(["conflict"]).run()
    assert ids(at) == [waiting.id]
    at.text_input(key="text").set_value("strange").run()
    assert ids(healthy(at)) == []
    assert at.info.len == 1
    again = visit("runs", model="ple,cgc", tag="paper")
    assert ids(again) == [waiting.id]
    assert ids(visit("runs", examples="false", text="strange")) == [done.id]
    assert ids(visit("runs", examples="false", text=done.id)) == [done.id]


def test_bad_filters_in_a_link_are_ignored(store: RunStore) -> None:
    run, _ = store.submit(small())
    at = healthy(
        visit("runs", examples="false", status="nonsense", model="nope,../x", dataset="", tag="<b>", sort="nope",
              selected="0badcafe,../../etc,")
    )  # fmt: skip
    assert ids(at) == [run.id]
    assert "model" not in at.query_params
    assert "selected" not in at.query_params


def test_the_order_can_be_chosen() -> None:
    at = healthy(visit("runs", dataset="conflict"))
    at.selectbox(key="sort").set_value("auc").run()
    table = healthy(at).dataframe[0].value
    assert table["mean AUC"].is_monotonic_decreasing
    assert param(at, "sort") == "auc"
    by_size = visit("runs", dataset="conflict", sort="size").dataframe[0].value
    assert by_size["parameters"].is_monotonic_increasing
    assert by_size["parameters"].nunique() > 1


def test_a_row_has_its_curve_its_scores_and_its_best_epoch(store: RunStore, trained: Train) -> None:
    run = trained(small("cgc"))
    table = visit("runs", examples="false").dataframe[0].value
    (row,) = table.to_dict("records")
    epochs = Library(store).history(run.id).epochs
    assert run.metrics_test is not None
    means = [sum(m["auc"] or 0.0 for m in epoch.metrics["valid"].values()) / 2 for epoch in epochs]
    assert row["validation"] == pytest.approx(means, abs=1e-5)
    assert row["best epoch"] == run.best_epoch
    # All runs have the same tasks, so each has a column of numbers, which sorts as numbers.
    assert row["test A"] == run.metrics_test["A"]["auc"]
    assert "test 1" not in table
    assert {"tags", "note", "progress"}.isdisjoint(table.columns)  # nothing to show in them
    example = visit("runs").dataframe[0].value.set_index("run").loc[EXAMPLE]
    assert len(example["validation"]) == 15
    assert example["test 1"].startswith("A 0.")


def test_ticks_are_in_the_link_and_outlive_a_filter(store: RunStore) -> None:
    first, _ = store.submit(small(seed=1))
    second, _ = store.submit(small(seed=2))
    at = tick(visit("runs", examples="false"), first.id)
    assert param(at, "selected") == first.id
    at.text_input(key="text").set_value("seed 1").run()
    assert ids(at) == [first.id]
    assert "delete" not in off(at)
    at.text_input(key="text").set_value("").run()
    assert param(healthy(at), "selected") == first.id
    # A run that came since has not moved the tick to another row.
    store.submit(small(seed=3))
    assert param(healthy(at.run()), "selected") == first.id
    assert param(visit("runs", selected=second.id), "selected") == second.id


def test_two_hundred_runs_are_listed_and_found(archive: Archive, trained: Train, store: RunStore) -> None:
    run = trained(small("cgc"))
    events = [event.payload for event in store.events(run.id)]
    (one,) = exchange.unpack(exchange.pack([(run, Labels(), events)]))
    archive.add([replace(one, id=f"{n:08x}", tags=("made up",)) for n in range(200)])
    at = healthy(visit("runs"))
    assert len(ids(at)) == 201 + len(examples())
    for word, count in (("made up", 200), (run.id, 1), ("nowhere", 0)):
        at.text_input(key="text").set_value(word)
        assert len(ids(healthy(at.run()))) == count


# Buttons


def test_buttons_are_off_until_they_can_do_something(store: RunStore, trained: Train) -> None:
    done, other = trained(small("cgc")), trained(small("ple"))
    waiting, _ = store.submit(small("mmoe"))
    at = visit("runs")
    assert {"open", "compare", "rerun", "resume", "delete", "export", "report"} <= off(at)
    assert off(tick(at, done.id)) & {"open", "rerun", "delete", "export", "report"} == set()
    assert {"compare", "resume"} <= off(at)
    assert "compare" not in off(tick(at, done.id, other.id))
    assert {"open", "compare", "report"} - off(tick(at, done.id, waiting.id)) == {"report"}
    assert {"delete", "resume"} <= off(tick(at, EXAMPLE))


def test_ticks_do_not_move_the_table(store: RunStore) -> None:
    """There is a line above it, whatever is ticked."""
    at = visit("runs")
    hints = (
        "Tick one run to see it below",
        "1 run is ticked",
        "2 runs are ticked",
        "Only finished runs",
        "at most can",
    )
    for ticked in ([], [EXAMPLE], [EXAMPLE, "example-conflict-ple-0"], [EXAMPLE, "example-conflict-ple-1"]):
        at = tick(at, *ticked) if ticked else at
        lines = [caption.value for caption in at.caption]
        assert sum(any(hint in line for hint in hints) for line in lines) == 1


def test_open_leads_to_the_playground(store: RunStore) -> None:
    run, _ = store.submit(small("ple"))
    at = tick(visit("runs"), run.id)
    at.button(key="runs.open").click().run()
    assert param(healthy(at), "run") == run.id


def test_compare_takes_the_ticked_runs_along(trained: Train) -> None:
    first, second = trained(small("cgc")), trained(small("ple"))
    at = tick(visit("runs"), second.id, first.id, EXAMPLE)
    at.button(key="runs.compare").click().run()
    assert set(param(at, "runs").split(",")) == {first.id, second.id, EXAMPLE}
    assert [element.message for element in at.exception] == []


def test_next_seed_is_the_first_one_that_was_not_used(store: RunStore) -> None:
    run, _ = store.submit(small("ple", seed=4))
    store.submit(small("ple", seed=6))
    store.submit(small("cgc", seed=9))
    at = tick(visit("runs", examples="false"), run.id)
    at.button(key="runs.rerun").click().run()
    made = store.runs()[0]
    assert (made.seed, made.state) == (7, "queued")
    assert {**made.spec, "seed": 4} == run.spec
    assert [toast for toast in healthy(at).toast if "seed 7" in toast.value]
    # The tick has stayed on the run, though a row was added above it.
    assert param(at, "selected") == run.id
    at.button(key="runs.rerun").click().run()
    assert store.runs()[0].seed == 8


def test_an_example_can_be_trained_with_another_seed(store: RunStore) -> None:
    at = tick(visit("runs"), EXAMPLE)
    at.button(key="runs.rerun").click().run()
    (made,) = store.runs()
    assert made.seed == 1 + max(e.record.seed for i, e in examples().items() if i.startswith("example-conflict-mmoe-"))


def test_a_failed_run_goes_on(store: RunStore, claimed: Callable[[RunSpec], RunRecord]) -> None:
    run = claimed(small("ple"))
    store.append(run.id, "w", Failed(run=0, message="The disk is full."))
    at = tick(visit("runs"), run.id)
    assert "The disk is full." in texts(at)
    assert at.dataframe[0].value["state"][0] == "failed: The disk is full."
    at.button(key="runs.resume").click().run()
    healthy(at)
    again = store.get(run.id)
    assert again is not None
    assert again.state == "queued"
    assert "resume" in off(at)


def test_deleted_runs_come_back_by_undo(store: RunStore, trained: Train) -> None:
    first, second = trained(small("cgc")), trained(small("ple"))
    at = tick(visit("runs", examples="false"), first.id, second.id)
    at.button(key="runs.delete").click().run()
    healthy(at)
    assert store.runs() == []
    assert ids(at) == []
    assert "2 runs deleted." in texts(at)
    at.button(key="runs.undo").click().run()
    assert set(ids(healthy(at))) == {first.id, second.id}
    assert store.get(first.id) == first
    assert "runs.undo" not in {button.key for button in at.button}


def test_deleted_runs_wait_in_the_bin_until_it_is_emptied(store: RunStore, archive: Archive, trained: Train) -> None:
    first, second = trained(small("cgc")), trained(small("ple"))
    archive.discard([first.id, second.id])
    at = healthy(visit("runs"))  # another session than the one that deleted them
    assert "runs.undo" not in {button.key for button in at.button}
    at.multiselect(key="runs.bin").set_value([first.id]).run()
    at.button(key="runs.restore").click().run()
    assert [run.id for run in store.runs()] == [first.id]
    at.button(key="runs.empty").click().run()
    assert archive.binned() == []
    assert [run.id for run in store.runs()] == [first.id]
    healthy(at)


# Tags and notes


def test_a_run_is_tagged_and_noted(archive: Archive, store: RunStore) -> None:
    run, _ = store.submit(small("ple"))
    at = tick(visit("runs", examples="false"), run.id)
    (key,) = [box.key for box in at.multiselect if str(box.key).startswith("runs.tags.")]
    at.multiselect(key=key).set_value(["paper", "a, b"]).run()
    assert archive.labels()[run.id].tags == ("paper", "a b")
    assert [list(tags) for tags in healthy(at).dataframe[0].value["tags"]] == [["paper", "a b"]]
    assert at.multiselect(key=key).value == ["paper", "a b"]
    at.multiselect(key=key).set_value(["a b"]).run()
    assert archive.labels()[run.id].tags == ("a b",)
    at.text_area(key=f"runs.note.{run.id}").set_value("keep this").run()
    assert archive.labels()[run.id].note == "keep this"
    assert healthy(at).dataframe[0].value["note"].tolist() == ["keep this"]


def test_several_runs_are_tagged_at_once_without_losing_their_own_tags(archive: Archive, store: RunStore) -> None:
    first, second = (store.submit(small(seed=seed))[0] for seed in (0, 1))
    archive.tag([first.id], add=["one", "both"])
    archive.tag([second.id], add=["both"])
    at = tick(visit("runs"), first.id, second.id, EXAMPLE)
    (key,) = [box.key for box in at.multiselect if str(box.key).startswith("runs.tags.")]
    assert at.multiselect(key=key).value == ["both"]
    at.multiselect(key=key).set_value(["new"]).run()
    healthy(at)
    assert archive.labels()[first.id].tags == ("one", "new")
    assert archive.labels()[second.id].tags == ("new",)
    assert "seed" in at.table[0].value.index  # and what tells the ticked runs apart stands beside


# Import and export


def test_runs_are_exported_and_imported(store: RunStore, archive: Archive, trained: Train) -> None:
    run = trained(small("cgc"))
    archive.tag([run.id], add=["paper"])
    visit("runs")
    data = run_actions.export([run, examples()[EXAMPLE].record])
    before = Library(store).history(run.id)
    store.delete(run.id)
    at = visit("runs", examples="false")
    at.file_uploader(key="runs.import").set_value(("runs.json.gz", data, "application/gzip")).run()
    assert [element.value for element in at.success] == ["2 runs taken in."]
    assert len(store.runs()) == 2
    assert Library(store).history(run.id) == before
    assert archive.labels()[run.id].tags == ("paper",)
    assert run.id in param(at, "selected")
    (imported,) = [r for r in store.runs() if r.id != run.id]
    assert Library(store).history(imported.id) == examples()[EXAMPLE].history
    again = visit("runs")
    again.file_uploader(key="runs.import").set_value(("runs.json.gz", data, "application/gzip")).run()
    # The example has no id of its own that could be recognised; the run has.
    assert [element.value for element in again.success] == ["1 run taken in; 1 run was here already."]


def test_a_bad_file_is_named_and_nothing_is_lost(store: RunStore) -> None:
    run, _ = store.submit(small())
    at = visit("runs")
    at.file_uploader(key="runs.import").set_value(("runs.json", b'{"format": "other"}', "application/json")).run()
    (error,) = at.error
    assert "no file of exported runs" in error.value
    assert [r.id for r in store.runs()] == [run.id]
    assert at.exception.len == 0
    at.run()
    assert at.error.len == 0  # said once


# To take home


def test_a_finished_run_offers_its_files(store: RunStore, trained: Train) -> None:
    run = trained(small("cgc"))
    store.folder(run.id).mkdir(parents=True)
    (store.folder(run.id) / "weights.safetensors").write_bytes(b"weights")
    at = tick(visit("runs"), run.id)
    stem = downloads.file_stem(run)
    offered = {str(b.key).removeprefix("runs.file.") for b in at.get("download_button")} - {
        "runs.export",
        "runs.report",
    }
    figures = [f"-{what}.{kind}" for what in ("architecture", "curves", "gates") for kind in ("svg", "png")]
    endings = (".json", ".yaml", ".csv", ".parquet", ".safetensors", *figures)
    assert offered == {stem + ending for ending in endings}
    assert [code.value for code in at.code] == [downloads.loading_code(stem).rstrip()]


def test_what_is_not_there_yet_is_not_offered(store: RunStore) -> None:
    run, _ = store.submit(small("ple"))
    at = tick(visit("runs"), run.id)
    offered = {str(button.key).rsplit(".", 1)[-1] for button in at.get("download_button")}
    assert offered == {"json", "yaml", "export", "report"}
    assert "once an epoch is done" in texts(at)
    assert "Examples come without weights" in texts(tick(at, EXAMPLE))


def test_the_loading_code_works_as_shown(real_workers: None, store: RunStore, tmp_path: Path) -> None:
    spec = RunSpec.parse(
        {"data": {"name": "funnel", "options": {"rows": 2000}}, "model": {"head": {"name": "esmm"}},
         "training": {"epochs": 1, "device": "cpu"}}
    )  # fmt: skip
    run, _ = store.submit(spec)
    visit("runs")
    services.executor().ensure_worker()

    def finished() -> RunRecord | None:
        record = store.get(run.id)
        assert record is None or record.state != "failed", record
        return record if record is not None and record.state == "finished" else None

    done = wait_for(finished)
    stem = downloads.file_stem(done)
    weights = (store.folder(run.id) / "weights.safetensors").read_bytes()
    (tmp_path / f"{stem}.safetensors").write_bytes(weights)
    (tmp_path / f"{stem}.json").write_text(exports.as_json(spec))
    (tmp_path / "load.py").write_text(downloads.loading_code(stem))
    answer = subprocess.run(
        [sys.executable, "load.py"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=300
    )
    printed = json.loads(answer.stdout)
    assert done.metrics_test is not None
    for task, metrics in done.metrics_test.items():
        for name, value in metrics.items():
            assert printed[task][name] == pytest.approx(value, rel=1e-4), (task, name)


def test_metrics_are_every_number_of_every_epoch(store: RunStore, trained: Train) -> None:
    run = trained(small("cgc"))
    history = Library(store).history(run.id)
    csv = pd.read_csv(io.BytesIO(downloads.metrics_csv(history)))
    parquet = pd.read_parquet(io.BytesIO(downloads.metrics_parquet(history)))
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False)
    assert len(csv) == 2 * 2 + 2
    last = csv[(csv["split"] == "valid") & (csv["epoch"] == 2) & (csv["task"] == "B")].iloc[0]
    epoch = history.epochs[-1]
    assert last["auc"] == epoch.metrics["valid"]["B"]["auc"]
    assert last["loss"] == epoch.losses["B"]
    assert last["weight"] == epoch.weights["B"]
    test = csv[csv["split"] == "test"]
    assert history.finished is not None
    assert set(test["epoch"]) == {history.finished.best_epoch}
    assert test["auc"].tolist() == [m["auc"] for m in history.finished.metrics["test"].values()]


def test_a_data_set_without_auc_is_listed_too(store: RunStore) -> None:
    spec = preset_spec("mmoe_synthetic", "mmoe", data={"name": "mmoe_synthetic", "options": {"rows": 500}})
    store.submit(spec)
    (row,) = healthy(visit("runs", examples="false")).dataframe[0].value.to_dict("records")
    assert not re.search("AUC", " ".join(map(str, row.values())))
