"""Pausing at the end of an epoch: what "step" is made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.journal import Told
from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from mtl_core.events import Checkpoint, Epoch, Step
from mtl_core.spec import RunSpec
from mtl_core.training import train

EPOCHS = 4


def small(seed: int = 0) -> RunSpec:
    training = {"epochs": EPOCHS, "batch_size": 100, "device": "cpu"}
    return RunSpec.parse({"data": {"name": "conflict", "options": {"rows": 500}}, "training": training, "seed": seed})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    store = RunStore(home=tmp_path)
    store.register_worker("w", 0)
    yield store
    store.close()


@pytest.fixture(scope="module")
def story() -> list[Told]:
    return [event for event in train([small()]) if not isinstance(event, Step | Checkpoint)]


def work(store: RunStore, story: list[Told]) -> RunRecord:
    """Take the next run and train it until it is over or to be stopped, as a worker does."""
    run = store.claim("w")
    assert run is not None
    begin = story[0].model_copy(update={"resumed_from": run.epoch})
    for event in (begin, *story[1:]):
        if isinstance(event, Epoch) and event.epoch <= run.epoch:
            continue
        if store.append(run.id, "w", event):
            store.release(run.id, "w", "stopped")
            break
    done = store.get(run.id)
    assert done is not None
    return done


def test_a_run_that_is_to_be_paused_stops_after_its_epoch(store: RunStore, story: list[Told]) -> None:
    store.submit(small(), pause_after=1)
    done = work(store, story)
    assert (done.state, done.epoch) == ("stopped", 1)


def test_step_by_step_to_the_end(store: RunStore, story: list[Told]) -> None:
    run, _ = store.submit(small(), pause_after=0)
    assert (run.state, run.epoch) == ("stopped", 0)
    assert store.claim("w") is None
    for epoch in range(1, EPOCHS):
        store.resume(run.id, epochs=1)
        done = work(store, story)
        assert (done.state, done.epoch) == ("stopped", epoch)
    store.resume(run.id, epochs=1)
    # The last epoch is not waited after: there is nothing left but the test rows.
    assert work(store, story).state == "finished"


def test_going_on_forgets_the_pause(store: RunStore, story: list[Told]) -> None:
    run, _ = store.submit(small(), pause_after=1)
    work(store, story)
    store.resume(run.id)
    assert work(store, story).state == "finished"


def test_a_run_under_way_is_paused_after_its_next_epoch(store: RunStore, story: list[Told]) -> None:
    run, _ = store.submit(small())
    store.pause(run.id)
    assert work(store, story).epoch == 1
    store.pause(run.id)  # it is not under way
    store.resume(run.id)
    assert work(store, story).state == "finished"
    assert store.pause("00000000") is None


def test_a_run_that_is_just_stopping_can_be_told_to_go_on_for_an_epoch(store: RunStore, story: list[Told]) -> None:
    run, _ = store.submit(small())
    store.claim("w")
    store.request_stop(run.id)
    again = store.resume(run.id, epochs=1)
    assert again is not None
    assert again.state == "running"
    store.append(run.id, "w", story[0])
    assert store.append(run.id, "w", story[1])
    store.release(run.id, "w", "stopped")
    done = store.get(run.id)
    assert done is not None
    assert (done.state, done.epoch) == ("stopped", 1)


def test_a_worker_that_has_read_the_stop_already_puts_the_run_back(store: RunStore) -> None:
    run, _ = store.submit(small())
    store.claim("w")
    store.request_stop(run.id)
    store.resume(run.id, epochs=1)
    store.release(run.id, "w", "stopped")
    again = store.claim("w")
    assert again is not None
    assert again.id == run.id


def test_a_run_that_is_being_deleted_does_not_come_back(store: RunStore) -> None:
    run, _ = store.submit(small())
    store.claim("w")
    store.delete(run.id)
    store.resume(run.id)
    store.release(run.id, "w", "stopped")
    assert store.get(run.id) is None


def test_a_finished_twin_is_the_answer_unless_a_new_run_is_wanted(store: RunStore, story: list[Told]) -> None:
    run, _ = store.submit(small())
    work(store, story)
    assert store.submit(small(), pause_after=0)[0].id == run.id
    fresh, created = store.submit(small(), again=True, pause_after=0)
    assert created
    assert fresh.state == "stopped"


def test_a_deleted_run_takes_its_pause_along(store: RunStore) -> None:
    run, _ = store.submit(small(), pause_after=2)
    assert store.delete(run.id)
    assert store.claim("w") is None
