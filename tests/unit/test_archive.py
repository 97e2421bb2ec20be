"""Tags and notes, deleted runs that come back, and runs that travel in a file."""

from __future__ import annotations

import gzip
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app import exchange
from app.exchange import ExchangeError
from app.jobs import archive as archive_module
from app.jobs.archive import KEPT, Archive, Labels
from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from app.library import EXAMPLES, Library, examples
from mtl_core.comparison import preset_spec
from mtl_core.events import Epoch, Failed, Finished, Started
from mtl_core.spec import RunSpec


@pytest.fixture
def store(home: Path) -> RunStore:
    return RunStore(home=home)


@pytest.fixture
def archive(store: RunStore) -> Archive:
    return Archive(store)


def spec(seed: int = 0, trunk: str = "mmoe") -> RunSpec:
    return preset_spec("conflict", trunk, seed=seed, training={"epochs": 3})


def told(given: RunSpec, epochs: int = 3, **changes: Any) -> list[Started | Epoch | Finished | Failed]:
    """A run's events with made-up numbers."""
    scores = {"A": {"auc": 0.7, "log_loss": 0.5}, "B": {"auc": None, "log_loss": 0.6}}
    start = Started(
        run=0, spec=given.to_json(), tasks=["A", "B"], wiring=given.wiring, parameters=10, device="cpu",
        rows={"train": 8, "valid": 4, "test": 4}, steps=2, label_rates={"A": 0.5, "B": 0.1}, notes=["a note"],
    )  # fmt: skip
    done = [
        Epoch(
            run=0, epoch=n, train_seconds=0.5, samples_per_second=16.0, losses={"A": 0.5, "B": None},
            weights={"A": 1.0, "B": 1.0}, metrics={"valid": scores}, gates={},
        )
        for n in range(1, epochs + 1)
    ]  # fmt: skip
    end = Finished(
        run=0, epoch=epochs, best_epoch=2, metrics={"valid": scores, "test": scores}, gates={}, parameters=10,
        device="cpu", train_seconds=1.5,
    )  # fmt: skip
    return [start, *done, end.model_copy(update=changes)]


@pytest.fixture
def finished(store: RunStore) -> Callable[[int], RunRecord]:
    def make(seed: int) -> RunRecord:
        store.submit(spec(seed))
        store.register_worker("w", 0)
        run = store.claim("w")
        assert run is not None
        for event in told(spec(seed)):
            store.append(run.id, "w", event)
        done = store.get(run.id)
        assert done is not None
        return done

    return make


# Tags and notes


def test_tags_and_notes_are_kept_apart_from_the_run(store: RunStore, archive: Archive) -> None:
    first, _ = store.submit(spec(0))
    second, _ = store.submit(spec(1))
    assert archive.labels() == {}
    archive.tag([first.id, second.id, "0badcafe"], add=["paper", " two\nlines, ", "", "paper"])
    archive.tag([second.id], add=["slow"], remove=["paper"])
    archive.note(first.id, " why it is here\n")
    assert archive.labels() == {
        first.id: Labels(("paper", "two lines"), "why it is here"),
        second.id: Labels(("two lines", "slow"), ""),
    }
    assert store.get(first.id) == first
    store.delete(first.id)
    assert set(archive.labels()) == {second.id}


def test_a_tag_that_is_too_long_is_cut_and_there_are_so_many_at_most(store: RunStore, archive: Archive) -> None:
    run, _ = store.submit(spec())
    archive.tag([run.id], add=["x" * 500, *(str(n) for n in range(100))])
    tags = archive.labels()[run.id].tags
    assert len(tags[0]) == archive_module.LONGEST_TAG
    assert len(tags) == archive_module.MOST_TAGS


def test_a_store_of_an_older_version_is_still_read(store: RunStore, home: Path) -> None:
    run, _ = store.submit(spec())
    store.close()
    with sqlite3.connect(home / "store.sqlite") as connection:
        connection.executescript("DROP TABLE labels; DROP TABLE bin;")
    again = RunStore(home=home)
    archive = Archive(again)
    assert [r.id for r in again.runs()] == [run.id]
    archive.tag([run.id], add=["old"])
    assert archive.labels()[run.id].tags == ("old",)
    archive.discard([run.id])
    archive.restore([run.id])
    assert again.get(run.id) == run


# Deleting and having back


def test_a_deleted_run_comes_back_as_it_was(
    store: RunStore, archive: Archive, finished: Callable[[int], RunRecord]
) -> None:
    run = finished(0)
    folder = store.folder(run.id)
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"w")
    archive.tag([run.id], add=["paper"])
    events = store.events(run.id)
    assert archive.discard([run.id, "0badcafe"]) == [run.id]
    assert store.get(run.id) is None
    assert store.runs() == []
    assert [r.id for r in archive.binned()] == [run.id]
    archive.restore([run.id, "0badcafe"])
    assert store.get(run.id) == run
    assert store.events(run.id) == events
    assert (folder / "weights.safetensors").read_bytes() == b"w"
    assert archive.labels()[run.id].tags == ("paper",)
    assert archive.binned() == []


def test_a_deleted_run_answers_for_no_spec(
    store: RunStore, archive: Archive, finished: Callable[[int], RunRecord]
) -> None:
    run = finished(0)
    archive.discard([run.id])
    again, new = store.submit(spec(0))
    assert new
    assert again.id != run.id


def test_a_deleted_run_is_not_trained_and_takes_its_place_in_the_queue_again(store: RunStore, archive: Archive) -> None:
    first, _ = store.submit(spec(0))
    second, _ = store.submit(spec(1))
    store.register_worker("w", 0)
    archive.discard([first.id])
    archive.restore([first.id])
    assert [r.id for r in store.runs() if r.queue_position == 1] == [first.id]
    archive.discard([first.id])
    claimed = store.claim("w")
    assert claimed is not None
    assert claimed.id == second.id
    assert store.claim("w") is None


def test_a_run_under_way_is_stopped_and_can_be_had_back(store: RunStore, archive: Archive) -> None:
    store.submit(spec())
    store.register_worker("w", 0)
    run = store.claim("w")
    assert run is not None
    archive.discard([run.id])
    assert store.append(run.id, "w", told(spec())[0])  # it is to stop
    store.release(run.id, "w", "stopped")
    archive.restore([run.id])
    back = store.get(run.id)
    assert back is not None
    assert back.state == "stopped"
    assert store.resume(run.id) is not None


def test_after_a_day_a_deleted_run_is_gone_with_its_folder(
    store: RunStore, archive: Archive, finished: Callable[[int], RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = finished(0), finished(1)
    store.folder(old.id).mkdir(parents=True)
    archive.discard([old.id])
    now = time.time()
    monkeypatch.setattr(archive_module.time, "time", lambda: now + KEPT + 1)
    assert archive.binned() == []
    archive.discard([new.id])  # which clears away what is old
    assert [r.id for r in archive.binned()] == [new.id]
    assert not store.folder(old.id).exists()
    archive.empty()
    assert archive.binned() == []
    archive.restore([new.id])
    assert store.runs() == []


def test_a_run_under_way_that_is_deleted_for_good_goes_when_its_worker_lets_go(
    store: RunStore, archive: Archive
) -> None:
    store.submit(spec())
    store.register_worker("w", 0)
    run = store.claim("w")
    assert run is not None
    archive.discard([run.id])
    archive.empty()
    store.folder(run.id).mkdir(parents=True)
    store.release(run.id, "w", "stopped")
    assert not store.folder(run.id).exists()
    archive.restore([run.id])
    assert store.get(run.id) is None


# Curves


def test_curves_are_the_epochs_validation_scores_and_grow_with_the_run(store: RunStore, archive: Archive) -> None:
    store.submit(spec())
    store.register_worker("w", 0)
    run = store.claim("w")
    assert run is not None
    story = told(spec())
    seen = []
    for event in story:
        store.append(run.id, "w", event)
        (record,) = store.runs()
        seen.append([epoch for epoch, _ in archive.curves([record])[run.id]])
    assert seen == [[], [1], [1, 2], [1, 2, 3], [1, 2, 3]]
    assert archive.curves([record])[run.id][0][1] == {
        "A": {"auc": 0.7, "log_loss": 0.5},
        "B": {"auc": None, "log_loss": 0.6},
    }


# Files


def packed(store: RunStore, archive: Archive, *run_ids: str) -> bytes:
    labels = archive.labels()
    runs = []
    for run_id in run_ids:
        record = store.get(run_id)
        assert record is not None
        events = [event.payload for event in store.events(run_id)]
        runs.append((record, labels.get(run_id, Labels()), events))
    return exchange.pack(runs)


def test_runs_travel_to_another_store_and_nothing_is_lost(
    store: RunStore, archive: Archive, finished: Callable[[int], RunRecord], tmp_path: Path
) -> None:
    run = finished(4)
    waiting, _ = store.submit(spec(5))
    archive.tag([run.id], add=["paper"])
    archive.note(run.id, "kept")
    data = packed(store, archive, run.id, waiting.id)
    there = RunStore(home=tmp_path / "there")
    other = Archive(there)
    added = other.add(exchange.unpack(data))
    assert added.new == (run.id, waiting.id)
    arrived = there.get(run.id)
    assert arrived is not None
    fields = ("state", "spec", "spec_key", "created_at", "finished_at", "epoch", "parameters", "train_seconds",
              "best_epoch", "metrics_test", "message", "device")  # fmt: skip
    assert [getattr(arrived, name) for name in fields] == [getattr(run, name) for name in fields]
    assert Library(there).history(run.id) == Library(store).history(run.id)
    assert other.labels() == archive.labels()
    held = there.get(waiting.id)
    assert held is not None
    assert held.state == "stopped"  # nobody there has asked for it
    assert packed(there, other, run.id) == packed(store, archive, run.id)


def test_what_is_here_already_is_not_doubled(
    store: RunStore, archive: Archive, finished: Callable[[int], RunRecord]
) -> None:
    run = finished(0)
    data = packed(store, archive, run.id)
    assert archive.add(exchange.unpack(data)).known == (run.id,)
    assert len(store.runs()) == 1
    archive.discard([run.id])
    assert archive.add(exchange.unpack(data)).known == (run.id,)
    assert [r.id for r in store.runs()] == [run.id]
    assert archive.binned() == []


def test_another_run_of_the_same_id_gets_a_new_one(
    store: RunStore, archive: Archive, finished: Callable[[int], RunRecord]
) -> None:
    run = finished(0)
    (arrival,) = exchange.unpack(packed(store, archive, run.id))
    value = json.loads(gzip.decompress(packed(store, archive, run.id)))
    value["runs"][0]["events"][1]["losses"]["A"] = 0.25
    (new,) = archive.add(exchange.unpack(json.dumps(value).encode())).new
    assert new != run.id
    assert store.get(run.id) == run
    assert arrival.id == run.id


def test_every_bundled_example_can_be_exported_and_imported(archive: Archive, store: RunStore) -> None:
    with gzip.open(EXAMPLES, "rt", encoding="utf-8") as file:
        stories = {run["id"]: run["events"] for run in json.load(file)["runs"]}
    some = list(examples().values())[::25]
    data = exchange.pack([(e.record, Labels(), stories[e.record.id]) for e in some])
    added = archive.add(exchange.unpack(data))
    assert len(added.new) == len(some)
    for run_id, example in zip(added.new, some, strict=True):
        assert Library(store).history(run_id) == example.history


def broken(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A good file of one run, spoilt."""
    given = spec()
    run: dict[str, Any] = {
        "id": "0badcafe", "state": "finished", "created_at": 1.0, "finished_at": 2.0, "spec": given.to_json(),
        "events": [event.to_json() for event in told(given)],
    }  # fmt: skip
    value: dict[str, Any] = {"format": "seesaw-runs", "version": 1, "runs": [run]}
    changed = change(value)
    return changed if isinstance(changed, bytes) else json.dumps(value).encode()


def set_in(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(value: Any) -> None:
        for step in path[:-1]:
            value = value[step]
        value[path[-1]] = to

    return change


EVENTS = ("runs", 0, "events")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda value: b"", "not JSON"),
        (lambda value: b"\x80\x04\x95pickle", "not JSON"),
        (lambda value: b"[" * 100_000, "not JSON"),
        (lambda value: gzip.compress(json.dumps(value).encode())[:-20], "damaged"),
        (lambda value: b"\x1f\x8b nonsense", "damaged"),
        (lambda value: b"[]", "seesaw-runs"),
        (set_in("format", to="mlflow"), "seesaw-runs"),
        (set_in("version", to=2), "version"),
        (set_in("runs", to=[]), "no runs"),
        (lambda value: value["runs"].append(value["runs"][0]), "same id"),
        (set_in("runs", 0, "spec", "model", "trunk", "name", to="nope"), "nope"),
        (set_in("runs", 0, "state", to="running"), "state"),
        (set_in("runs", 0, "state", to="stopped"), "state"),
        (set_in("runs", 0, "created_at", to="today"), "created_at"),
        (set_in("runs", 0, "secret", to=1), "secret"),
        (set_in("runs", 0, "tags", to=["x" * 100]), "tags"),
        (set_in(*EVENTS, 0, to={"event": "started"}), "events"),
        (set_in(*EVENTS, 0, "tasks", to=["A", "<script>"]), "of another spec"),
        (set_in(*EVENTS, 0, "spec", "seed", to=7), "of another spec"),
        (set_in(*EVENTS, 0, "wiring", "outputs", to=[[0]]), "wiring"),
        (set_in(*EVENTS, 2, "epoch", to=7), "1, 2, 3"),
        (set_in(*EVENTS, 1, "metrics", to={"valid": {"A": {"auc": 0.5}}}), "other tasks"),
        (set_in(*EVENTS, 1, "metrics", to={}), "validation"),
        (set_in(*EVENTS, 0, "rows", to={}), "rows"),
        (set_in(*EVENTS, 1, "losses", to={"C": 1.0}), "losses"),
        (set_in(*EVENTS, 1, "conflict", to={"steps": 1, "cosine": [], "negative": [], "norms": [], "effective": []}),
         "gradients"),
        (set_in(*EVENTS, 1, "gates", to={"level 1 / A": {"mean": [1], "histogram": [[1]], "entropy": 0}}), "gate"),
        (set_in(*EVENTS, 4, "best_epoch", to=9), "best epoch"),
        (lambda value: value["runs"][0]["events"].reverse(), "begin with"),
        (lambda value: value["runs"][0]["events"].insert(2, value["runs"][0]["events"][-1]), "1, 2, 3|order"),
        (lambda value: json.dumps(value).replace("0.7", "NaN").encode(), "not JSON"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_in_one_sentence(
    archive: Archive, store: RunStore, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    with pytest.raises(ExchangeError, match=says) as caught:
        archive.add(exchange.unpack(broken(change)))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert store.runs() == []


def test_the_file_that_the_bad_ones_are_made_from_is_good(archive: Archive, store: RunStore) -> None:
    archive.add(exchange.unpack(broken(lambda value: None)))
    (run,) = store.runs()
    assert (run.id, run.state, run.best_epoch) == ("0badcafe", "finished", 2)


def test_a_file_that_unpacks_to_far_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MOST_BYTES", 2**20)
    with pytest.raises(ExchangeError, match="larger"):
        exchange.unpack(gzip.compress(b"[" + b" " * 2**21))


def test_a_run_that_failed_before_it_began_travels(store: RunStore, archive: Archive, tmp_path: Path) -> None:
    store.submit(spec())
    store.register_worker("w", 0)
    run = store.claim("w")
    assert run is not None
    store.append(run.id, "w", Failed(run=0, message="No such file."))
    other = Archive(RunStore(home=tmp_path / "there"))
    (arrival,) = exchange.unpack(packed(store, archive, run.id))
    assert (arrival.state, arrival.message) == ("failed", "No such file.")
    assert other.add([arrival]).new == (run.id,)
