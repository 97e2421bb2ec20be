"""Histories: bundled examples, runs that grow, resume and are read by many at once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.jobs.journal import Told
from app.jobs.store import RunStore
from app.library import EXAMPLE_PREFIX, History, Library, examples, is_example
from mtl_core.comparison import baseline_spec, preset_spec, run_key
from mtl_core.events import Checkpoint, Epoch, Finished, Started, Step
from mtl_core.spec import RunSpec
from mtl_core.training import train

EPOCHS = 6


def small(seed: int = 0) -> RunSpec:
    training = {"epochs": EPOCHS, "batch_size": 100, "device": "cpu"}
    return RunSpec.parse({"data": {"name": "conflict", "options": {"rows": 500}}, "training": training, "seed": seed})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    store = RunStore(home=tmp_path)
    yield store
    store.close()


@pytest.fixture(scope="module")
def story() -> list[Told]:
    """What a real run tells."""
    return [event for event in train([small()]) if not isinstance(event, Step | Checkpoint)]


@pytest.fixture
def begin(store: RunStore) -> Callable[[], str]:
    """Queues a run, which a worker called `w` then holds."""

    def start() -> str:
        store.submit(small(), again=True)
        store.register_worker("w", 0)
        run = store.claim("w")
        assert run is not None
        return run.id

    return start


# Examples


def test_the_examples_are_complete() -> None:
    found = {(e.record.dataset, e.record.trunk, e.record.seed) for e in examples().values()}
    for data in {data for data, _, _ in found}:
        trunks = {trunk for d, trunk, _ in found if d == data}
        seeds = {seed for d, _, seed in found if d == data}
        assert trunks == {"single_task", "shared_bottom", "omoe", "mmoe", "cgc", "ple"}
        assert {(data, t, s) for t, s in itertools.product(trunks, seeds)} <= found
        assert seeds == set(range(len(seeds)))
    assert {"conflict", "adult"} <= {data for data, _, _ in found}
    assert len({seed for data, _, seed in found if data == "conflict"}) >= 8


def test_every_example_is_the_preset_with_its_yardstick_beside_it() -> None:
    keys = {run_key(RunSpec.parse(example.record.spec)) for example in examples().values()}
    assert len(keys) == len(examples())
    for name, example in examples().items():
        record, history = example.record, example.history
        spec = RunSpec.parse(record.spec)
        assert name == record.id
        assert name.startswith(f"{EXAMPLE_PREFIX}{record.dataset}-{record.trunk}-")
        assert name.endswith(f"-{record.seed}")
        assert is_example(name)
        preset = preset_spec(record.dataset, record.trunk, seed=record.seed).to_json()
        assert spec == RunSpec.parse({**preset, "balancer": record.spec["balancer"]})
        assert spec.balancer.name == "static"
        assert run_key(baseline_spec(spec)) in keys
        assert [epoch.epoch for epoch in history.epochs] == list(range(1, record.epochs + 1))
        assert history.finished is not None
        assert record.metrics_test == history.finished.metrics["test"]
        assert record.state == "finished"
        assert not record.open
        for scores in history.finished.metrics["test"].values():
            assert scores["auc"] is not None
            assert 0.5 < scores["auc"] < 1


def test_seed_zero_of_each_preset_has_gates_and_others_carry_scores_only(store: RunStore) -> None:
    library = Library(store)
    for name, example in examples().items():
        preset = len(set(example.record.spec["balancer"]["options"]["weights"])) == 1
        assert library.has_gates(name) == bool(example.history.gates) == (preset and example.record.seed == 0)
        assert library.history(name) is example.history
        assert library.record(name) == example.record


def test_the_library_lists_the_stores_runs_before_the_examples(store: RunStore) -> None:
    library = Library(store)
    ids = [store.submit(small(seed))[0].id for seed in range(2)]
    assert [record.id for record in library.records()] == [*reversed(ids), *examples()]
    assert library.record(ids[0]) == store.get(ids[0])
    assert library.has_gates(ids[0])
    assert not is_example(ids[0])
    assert library.record("nonsense") is None
    assert library.history("nonsense") == History()


# Runs that grow


def test_reading_bit_by_bit_equals_reading_at_once(
    store: RunStore, story: list[Told], begin: Callable[[], str]
) -> None:
    run_id = begin()
    watching = Library(store)
    assert watching.history(run_id) == History()
    for number, event in enumerate(story, start=1):
        store.append(run_id, "w", event)
        now = watching.history(run_id)
        assert now == Library(store).history(run_id)
        assert len(now.epochs) == min(max(number - 1, 0), EPOCHS)
        assert now == watching.history(run_id)
    assert isinstance(story[-1], Finished)
    assert now.finished == story[-1]
    assert now.started == story[0]
    assert now.gates == story[-1].gates
    assert len(now.epochs) == EPOCHS


def test_only_new_events_are_read(
    store: RunStore, story: list[Told], begin: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin()
    library = Library(store)
    asked: list[int] = []
    events = store.events

    def count(run: str, after_seq: int = 0, kinds: object = None) -> object:
        answer = events(run, after_seq)
        asked.append(len(answer))
        return answer

    monkeypatch.setattr(store, "events", count)
    for event in story:
        store.append(run_id, "w", event)
        library.history(run_id)
    library.history(run_id)
    assert asked == [*[1] * len(story), 0]


def test_gates_are_those_of_the_last_epoch_until_the_tested_one_is_known(
    store: RunStore, story: list[Told], begin: Callable[[], str]
) -> None:
    run_id = begin()
    library = Library(store)
    store.append(run_id, "w", story[0])
    assert library.history(run_id).gates == {}
    for event in story[1:3]:
        store.append(run_id, "w", event)
        assert isinstance(event, Epoch)
        assert library.history(run_id).gates == event.gates


@pytest.mark.parametrize("done", [0, 1, 3])
def test_a_resumed_run_drops_what_came_after_its_checkpoint(
    store: RunStore, story: list[Told], begin: Callable[[], str], done: int
) -> None:
    """The worker died after telling of four epochs; its checkpoint was older."""
    run_id = begin()
    library = Library(store)
    for event in story[:5]:
        store.append(run_id, "w", event)
    assert len(library.history(run_id).epochs) == 4
    store.release(run_id, "w", "queued")
    store.claim("w")
    assert isinstance(story[0], Started)
    store.append(run_id, "w", story[0].model_copy(update={"resumed_from": done}))
    # A fresh reader sees the truth at once; one that has watched has it by the next epoch at the latest.
    assert [epoch.epoch for epoch in Library(store).history(run_id).epochs] == list(range(1, done + 1))
    changed = []
    for event in story[1 + done : -1]:
        assert isinstance(event, Epoch)
        changed.append(event.model_copy(update={"train_seconds": 99.0}))
        store.append(run_id, "w", changed[-1])
        library.history(run_id)
    store.append(run_id, "w", story[-1])
    history, fresh = library.history(run_id), Library(store).history(run_id)
    assert (history.epochs, history.finished) == (fresh.epochs, fresh.finished)
    assert list(history.epochs[done:]) == changed
    assert [epoch.epoch for epoch in history.epochs] == list(range(1, EPOCHS + 1))


def test_many_readers_of_a_growing_run_agree(store: RunStore, story: list[Told], begin: Callable[[], str]) -> None:
    run_id = begin()
    library = Library(store)
    over = threading.Event()

    def watch() -> list[int]:
        seen = []
        while not over.is_set():
            history = library.history(run_id)
            assert [epoch.epoch for epoch in history.epochs] == list(range(1, len(history.epochs) + 1))
            seen.append(len(history.epochs))
        seen.append(len(library.history(run_id).epochs))
        return seen

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(watch) for _ in range(6)]
        try:
            for event in story:
                store.append(run_id, "w", event)
        finally:
            over.set()
        for reader in readers:
            seen = reader.result()
            assert seen == sorted(seen)  # a curve never shrinks
            assert seen[-1] == EPOCHS
    assert library.history(run_id) == Library(store).history(run_id)


def test_old_histories_make_room(store: RunStore, story: list[Told], begin: Callable[[], str]) -> None:
    library = Library(store)
    ids = []
    for _ in range(70):
        ids.append(begin())
        store.append(ids[-1], "w", story[0])
        library.history(ids[-1])
    assert len(library._read) <= 64
    assert library.history(ids[0]).started == story[0]


def test_a_run_that_is_deleted_leaves_no_record(store: RunStore) -> None:
    library = Library(store)
    run, _ = store.submit(small())
    store.delete(run.id)
    assert library.record(run.id) is None
