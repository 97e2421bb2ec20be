"""The run store: queue, ownership, what a resumed run's curve looks like, and what happens to a broken store."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, event

from app.jobs import liveness, settings
from app.jobs.archive import Archive
from app.jobs.executor import LocalExecutor, get_executor
from app.jobs.journal import Told
from app.jobs.records import RunRecord
from app.jobs.search import advance
from app.jobs.store import MAX_ATTEMPTS, NotOwner, RunStore, StoreError, open_store
from app.jobs.worker import find_run
from mtl_core.events import Checkpoint, Epoch, Failed, Finished, Started, Step
from mtl_core.spec import RunSpec
from mtl_core.sweep import WeightSearch
from mtl_core.training import train

EPOCHS = 4


def small(seed: int = 0) -> RunSpec:
    return RunSpec.parse(
        {
            "data": {"name": "conflict", "options": {"rows": 500}},
            "training": {"epochs": EPOCHS, "batch_size": 100, "device": "cpu"},
            "seed": seed,
        }
    )


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
def dead_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes workers that register from now on look like a process that has ended."""

    def use() -> None:
        child = subprocess.Popen([sys.executable, "-c", "pass"])
        started = psutil.Process(child.pid).create_time()
        child.wait()
        monkeypatch.setattr(liveness, "this_process", lambda: (socket.gethostname(), child.pid, started))

    return use


def queue_up(store: RunStore, count: int) -> list[str]:
    return [store.submit(small(seed))[0].id for seed in range(count)]


def take(store: RunStore, worker_id: str) -> RunRecord | None:
    """Register and claim, as a worker does."""
    store.register_worker(worker_id, 0)
    return store.claim(worker_id)


def must(run: RunRecord | None) -> RunRecord:
    assert run is not None
    return run


def started_again(story: list[Told], epoch: int) -> Started:
    first = story[0]
    assert isinstance(first, Started)
    return first.model_copy(update={"resumed_from": epoch})


def epochs_of(store: RunStore, run_id: str) -> list[int | None]:
    return [stored.epoch for stored in store.events(run_id, kinds=["epoch"])]


# Submitting and reading


def test_pages_can_import_store_and_executor_without_torch() -> None:
    code = "import sys, app.jobs.store, app.jobs.executor; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_submitted_run_can_be_read_back(store: RunStore) -> None:
    run, created = store.submit(small(7))
    assert created
    assert store.get(run.id) == run
    assert (run.state, run.queue_position, run.epoch, run.epochs, run.seed) == ("queued", 1, 0, EPOCHS, 7)
    assert (run.trunk, run.dataset) == ("mmoe", "conflict")
    assert RunSpec.parse(run.spec) == small(7)
    assert run.spec_key == small(7).key
    assert abs(run.created_at - time.time()) < 60


def test_an_equal_spec_is_answered_with_the_run_there_is(store: RunStore, story: list[Told]) -> None:
    run, _ = store.submit(small())
    assert store.submit(small()) == (run, False)
    take(store, "w")
    assert store.submit(small())[0].state == "running"
    store.request_stop(run.id)
    assert store.submit(small())[0].state == "stopping"
    for told in story:
        store.append(run.id, "w", told)
    same, created = store.submit(small())
    assert (same.id, same.state, created) == (run.id, "finished", False)
    again, created = store.submit(small(), again=True)
    assert created
    assert again.id != run.id
    assert len(store.runs()) == 2


@pytest.mark.parametrize("end", ["stopped", "failed", "deleted"])
def test_runs_that_came_to_nothing_are_not_reused(store: RunStore, end: str) -> None:
    run, _ = store.submit(small())
    if end == "stopped":
        store.request_stop(run.id)
    elif end == "failed":
        take(store, "w")
        store.append(run.id, "w", Failed(run=0, message="No."))
    else:
        take(store, "w")
        store.delete(run.id)  # in a worker's hands: marked
    other, created = store.submit(small())
    assert created
    assert other.id != run.id


def test_equal_specs_submitted_at_once_make_one_run(store: RunStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: store.submit(small()), range(16)))
    assert len({run.id for run, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1


def test_unknown_ids(store: RunStore) -> None:
    assert store.get("nothere") is None
    assert store.request_stop("nothere") is None
    assert store.resume("nothere") is None
    assert store.delete("../..") is False
    assert store.events("nothere") == []
    with pytest.raises(StoreError, match="There is no run"):
        store.folder("../..")


def test_300_runs_are_listed_newest_first_in_one_query(store: RunStore) -> None:
    ids = queue_up(store, 300)
    take(store, "w")
    statements: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        runs = store.runs()
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    assert [text.split()[0] for text in statements] == ["BEGIN", "SELECT"]
    assert "events" not in statements[1]
    assert [run.id for run in runs] == ids[::-1]
    assert [run.queue_position for run in runs] == [*range(299, 0, -1), None]
    assert [run.id for run in store.runs(limit=5)] == ids[:-6:-1]
    # The place in the queue counts all runs, not only those listed.
    assert store.runs(limit=1)[0].queue_position == 299


# The queue


def test_runs_are_claimed_in_order_and_once(store: RunStore) -> None:
    ids = queue_up(store, 3)
    store.request_stop(ids[1])
    claimed = [take(store, "a"), take(store, "b")]
    assert [must(run).id for run in claimed] == [ids[0], ids[2]]
    assert all(must(run).state == "running" for run in claimed)
    assert take(store, "a") is None


def test_threads_never_claim_the_same_run(tmp_path: Path, store: RunStore) -> None:
    ids = queue_up(store, 40)
    stores = [RunStore(home=tmp_path) for _ in range(4)]

    def drain(number: int) -> list[str]:
        mine = []
        store.register_worker(f"w{number}", number)
        while (run := stores[number % 4].claim(f"w{number}")) is not None:
            mine.append(run.id)
        return mine

    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(drain, range(8)))
    for other in stores:
        other.close()
    assert sorted(run_id for share in shares for run_id in share) == sorted(ids)


def test_processes_never_claim_the_same_run(tmp_path: Path, store: RunStore) -> None:
    ids = queue_up(store, 30)
    code = (
        "import os, sys; from app.jobs.store import RunStore\n"
        "store = RunStore(); store.register_worker(str(os.getpid()), 0)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "while (run := store.claim(str(os.getpid()))) is not None: print(run.id)"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "SEESAW_HOME": str(tmp_path), "SEESAW_STORE": ""},
            text=True,
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    shares = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, _ = child.communicate(timeout=60)
        shares += out.split()
        assert child.returncode == 0
    assert sorted(shares) == sorted(ids)


def test_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    code = "from app.jobs.store import RunStore; print(RunStore().runs())"
    environment = {**os.environ, "SEESAW_HOME": str(tmp_path / "new"), "SEESAW_STORE": ""}
    children = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(4)]
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0, 0]


def test_threads_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def open_and_close(_: int) -> int:
        barrier.wait()
        store = RunStore(home=tmp_path / "new")
        try:
            return len(store.runs())
        finally:
            store.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(open_and_close, range(8))) == [0] * 8


def wider(seed: int = 0) -> RunSpec:
    """Of another structure."""
    value = small(seed).to_json()
    value["training"]["batch_size"] = 50
    return RunSpec.parse(value)


def seeds_of(runs: list[RunRecord]) -> list[int]:
    return [run.seed for run in runs]


def test_runs_of_one_structure_are_claimed_together_up_to_a_limit(store: RunStore) -> None:
    for spec in (small(0), wider(1), small(2), small(3), wider(4), small(5)):
        store.submit(spec)
    store.register_worker("w", 0)
    assert seeds_of(store.claim_together("w", 3)) == [0, 2, 3]
    assert [(run.seed, run.queue_position) for run in store.runs() if run.queue_position] == [(5, 3), (4, 2), (1, 1)]
    # Who is next stays next: nobody overtakes the head of the queue.
    assert seeds_of(store.claim_together("w", 16)) == [1, 4]
    assert seeds_of(store.claim_together("w", 16)) == [5]
    assert store.claim_together("w", 16) == []
    assert store.claim_together("nobody", 16) == []
    assert {run.attempts for run in store.runs()} == {1}


def test_processes_that_claim_together_share_nothing(tmp_path: Path, store: RunStore) -> None:
    queue_up(store, 40)
    code = (
        "import sys; from pathlib import Path; from app.jobs.store import RunStore\n"
        f"store = RunStore(home=Path({str(tmp_path)!r})); store.register_worker(sys.argv[1], 0)\n"
        "while runs := store.claim_together(sys.argv[1], 3): print(*[run.id for run in runs], flush=True)"
    )
    root = str(Path(__file__).parents[2])
    both = [
        subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE, text=True, cwd=root)
        for name in ("a", "b")
    ]
    taken = [child.communicate()[0].split() for child in both]
    assert len(taken[0]) + len(taken[1]) == 40
    assert len({*taken[0], *taken[1]}) == 40


def test_a_run_whose_workers_died_twice_comes_alone(
    store: RunStore, dead_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one run which kills its workers takes no others with it."""
    ids = queue_up(store, 3)
    dead_process()
    for name in ("first", "second"):
        store.register_worker(name, 0)
        assert len(store.claim_together(name, 16)) == 3
        store.reclaim_orphans()
    monkeypatch.undo()
    store.register_worker("third", 0)
    assert [run.id for run in store.claim_together("third", 16)] == ids[:1]
    assert [run.id for run in store.claim_together("third", 16)] == ids[1:2]


def test_a_suspect_comes_alone_until_an_epoch_is_done(store: RunStore, story: list[Told]) -> None:
    first, second = queue_up(store, 2)
    store.register_worker("w", 0)
    store.claim_together("w", 2)
    store.release(first, "w", "queued", suspect=True)
    store.release(second, "w", "queued")
    assert [run.id for run in store.claim_together("w", 2)] == [first]
    for told in story[:2]:
        store.append(first, "w", told)
    store.release(first, "w", "queued")
    assert [run.id for run in store.claim_together("w", 2)] == [first, second]


def test_a_spec_that_can_no_longer_be_read_comes_alone(store: RunStore, tmp_path: Path) -> None:
    ids = queue_up(store, 3)
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("UPDATE runs SET spec = replace(spec, 'mmoe', 'mnoe') WHERE id IN (?, ?)", ids[:2])
    store.register_worker("w", 0)
    assert [[run.id for run in store.claim_together("w", 16)] for _ in range(3)] == [[run_id] for run_id in ids]


def test_signs_of_life_of_many_runs_at_once(store: RunStore) -> None:
    ids = queue_up(store, 4)
    store.register_worker("w", 0)
    store.claim_together("w", 3)
    step = Step(run=0, epoch=2, step=3, steps=9, samples_per_second=70.0)
    store.request_stop(ids[1])
    store.delete(ids[2])
    signs = store.signs_of_life("w", dict.fromkeys(ids[:2], step), ids[:4])
    assert (signs.stop, signs.lost) == ({ids[1], ids[2]}, {ids[3]})
    assert [(must(store.get(i)).epoch, must(store.get(i)).step) for i in ids[:2]] == [(1, 3)] * 2
    assert must(store.get(ids[0])).samples_per_second == 70
    assert store.signs_of_life("v", {ids[0]: step.model_copy(update={"step": 5})}, ids[:1]).lost == {ids[0]}
    assert must(store.get(ids[0])).step == 3


# Sweeps


def test_a_sweep_waits_behind_those_that_somebody_waits_for(store: RunStore) -> None:
    sweep = store.submit_sweep([small(seed) for seed in range(3)])
    mine, _ = store.submit(wider(9))
    assert [must(store.get(run_id)).queue_position for run_id in (mine.id, *sweep.runs)] == [1, 2, 3, 4]
    # Somebody asks for a run of the sweep: it is moved to those that are waited for.
    asked, created = store.submit(small(2))
    assert (asked.id, created, asked.queue_position) == (sweep.runs[2], False, 2)
    store.register_worker("w", 0)
    assert seeds_of(store.claim_together("w", 16)) == [9]
    assert seeds_of(store.claim_together("w", 16)) == [2]  # alone, though two of its structure wait
    assert seeds_of(store.claim_together("w", 16)) == [0, 1]


def test_runs_of_the_same_sweep_are_taken_first(store: RunStore) -> None:
    first = store.submit_sweep([small(0), wider(0), small(1)])
    store.submit_sweep([small(2), small(3)])
    store.extend_sweep(first.id, [small(4)])  # not a search: nothing happens
    late = store.submit_sweep([small(0), small(5)])
    store.register_worker("w", 0)
    assert seeds_of(store.claim_together("w", 3)) == [0, 1, 5]  # run 0 is in the first and in the last sweep
    assert late.runs[0] == first.runs[0]
    assert seeds_of(store.claim_together("w", 3)) == [0]


def test_a_sweep_gives_way(store: RunStore) -> None:
    store.register_worker("w", 0)
    store.submit_sweep([small(seed) for seed in range(2)])
    runs = store.claim_together("w", 16)
    assert not store.should_yield("w")
    store.submit(wider())
    assert store.should_yield("w")
    for run in runs:
        store.release(run.id, "w", "queued")
    store.claim_together("w", 16)
    store.submit(wider(1))
    assert not store.should_yield("w")  # it holds a run that somebody waits for
    assert store.should_yield("another")


def test_a_sweep_reuses_what_is_there_and_goes_on_with_what_was_stopped(store: RunStore, story: list[Told]) -> None:
    done = must(take_run(store, small(0)))
    for told in story:
        store.append(done.id, "w", told)
    queued, _ = store.submit(small(1))
    stopped, _ = store.submit(small(2))
    store.request_stop(stopped.id)
    sweep = store.submit_sweep([small(0), small(1), small(2), small(3), small(3)])
    assert sweep.runs[:3] == (done.id, queued.id, stopped.id)
    assert len(sweep.runs) == 4
    assert [must(store.get(i)).state for i in sweep.runs] == ["finished", "queued", "queued", "queued"]
    assert [must(store.get(i)).queue_position for i in sweep.runs] == [None, 1, 2, 3]
    assert store.sweeps() == [sweep]
    store.delete(queued.id)
    assert store.sweeps()[0].runs == (done.id, stopped.id, sweep.runs[3])


def take_run(store: RunStore, spec: RunSpec) -> RunRecord | None:
    store.submit(spec)
    return take(store, "w")


def test_stopping_a_sweep_stops_all_of_it_and_nothing_else(store: RunStore) -> None:
    sweep = store.submit_sweep([small(seed) for seed in range(4)], [{"any": 1}])
    waited_for, _ = store.submit(small(3))
    other, _ = store.submit(wider())
    store.register_worker("w", 0)
    store.request_stop(other.id)
    store.resume(other.id)
    store.request_stop(waited_for.id)
    store.resume(waited_for.id)
    assert seeds_of(store.claim_together("w", 1)) == [0]  # `wider`
    assert seeds_of(store.claim_together("w", 1)) == [3]
    assert seeds_of(store.claim_together("w", 1)) == [0]
    store.stop_sweep(sweep.id)
    states = [run.state if (run := store.get(run_id)) else "gone" for run_id in sweep.runs]
    assert states == ["stopping", "gone", "gone", "running"]
    assert must(store.get(other.id)).state == "running"
    assert store.searching() == []
    store.extend_sweep(sweep.id, [small(7)])
    assert store.sweeps()[0].runs == ()


def test_of_a_stopped_sweep_what_has_begun_or_belongs_elsewhere_stays(store: RunStore, story: list[Told]) -> None:
    store.register_worker("w", 0)
    first = store.submit_sweep([small(seed) for seed in range(5)])
    begun, done, noted, shared, unbegun = first.runs
    store.claim_together("w", 2)
    for run_id in (begun, done):
        store.append(run_id, "w", story[0])
    store.append(done, "w", story[-1])
    store.release(begun, "w", "queued")
    Archive(store).note(noted, "mine")
    second = store.submit_sweep([small(3)])
    store.stop_sweep(first.id)
    states = [run.state if (run := store.get(run_id)) else "gone" for run_id in first.runs]
    assert states == ["stopped", "finished", "stopped", "queued", "gone"]
    # What was finished stays with it, so that a search that is begun again finds its trials.
    assert {sweep.id: sweep.runs for sweep in store.sweeps()} == {first.id: (done,), second.id: (shared,)}
    store.stop_sweep(second.id)
    assert store.get(shared) is None
    assert store.get(unbegun) is None
    again = store.submit_sweep([small(0), small(4)])
    assert again.runs[0] == begun
    assert [must(store.get(run_id)).state for run_id in again.runs] == ["queued", "queued"]


def test_a_sweep_takes_up_a_run_that_is_just_stopping(store: RunStore) -> None:
    store.register_worker("w", 0)
    sweep = store.submit_sweep([small(0)])
    store.claim_together("w", 1)
    store.stop_sweep(sweep.id)
    assert must(store.get(sweep.runs[0])).state == "stopping"
    assert store.submit_sweep([small(0)]).runs == sweep.runs
    assert must(store.get(sweep.runs[0])).state == "running"


def test_a_search_counts_as_work_until_it_is_over(store: RunStore) -> None:
    assert store.open_runs() == 0
    sweep = store.submit_sweep([], [{"any": 1}])
    assert (store.open_runs(), store.searching(), sweep.searching) == (1, [sweep], True)
    store.extend_sweep(sweep.id, [small(0), small(1)])
    assert store.open_runs() == 3
    assert len(store.sweeps()[0].runs) == 2
    store.extend_sweep(sweep.id, [])
    assert (store.open_runs(), store.searching()) == (2, [])


def test_a_search_asks_batch_by_batch(store: RunStore) -> None:
    """Its state is in its runs: whoever asks, and however often, the same batch is queued once."""
    search = WeightSearch(base=small(0), trials=5, at_once=3, seeds=(0, 1))
    equal = store.submit_sweep([small(0), small(1)])  # equal weights, which the search would try, too
    sweep = store.submit_sweep([wider(0)], [search.model_dump(mode="json")])
    store.register_worker("w", 0)
    batches = []
    while store.searching():
        advance(store)
        advance(store)
        runs = [must(store.get(run_id)) for run_id in store.sweeps()[0].runs]
        batches.append({tuple(run.spec["balancer"]["options"]["weights"]) for run in runs if run.open})
        for run in runs:
            if run.open:
                store.request_stop(run.id) if run.seed == 1 and len(batches) == 2 else finish(store, run)
    assert [len(batch) for batch in batches] == [3, 2, 0]
    assert not batches[0] & batches[1]
    assert (1.0, 1.0) in batches[0]
    assert set(equal.runs) < {*store.sweeps()[0].runs}
    assert len(store.sweeps()[0].runs) == 1 + 10
    assert sweep.id == store.sweeps()[0].id


def finish(store: RunStore, run: RunRecord) -> None:
    """Train it, as a worker would."""
    while must(store.get(run.id)).state == "queued":
        store.claim("w")
    for told in train([RunSpec.parse(run.spec)]):
        if not isinstance(told, Step | Checkpoint):
            store.append(run.id, "w", told)


def test_a_search_of_another_version_ends(store: RunStore) -> None:
    store.submit_sweep([], [{"no": "search"}])
    advance(store)
    assert store.searching() == []


def test_a_run_starts_from_runs_of_the_store_only(store: RunStore, tmp_path: Path) -> None:
    run, _ = store.submit(small())
    assert find_run(store, run.id) == store.folder(run.id)
    for name in ("00000000", "example-conflict-mmoe-0", str(tmp_path), "../" + run.id, "", "."):
        with pytest.raises(LookupError, match="there is no such run here"):
            find_run(store, name)


def test_a_stopped_run_goes_to_the_end_of_the_queue_and_on(store: RunStore) -> None:
    first, second = queue_up(store, 2)
    assert must(store.request_stop(first)).state == "stopped"
    run = must(store.resume(first))
    assert (run.state, run.queue_position, run.finished_at) == ("queued", 2, None)
    assert must(take(store, "w")).id == second
    # Those that are not stopped are left alone.
    assert must(store.resume(second)).state == "running"


# What a worker writes


def test_a_run_from_claim_to_end(store: RunStore, story: list[Told]) -> None:
    (run_id,) = queue_up(store, 1)
    take(store, "w")
    for told in story:
        assert store.append(run_id, "w", told) is False
    run = must(store.get(run_id))
    finished = story[-1]
    assert isinstance(finished, Finished)
    assert run.state == "finished"
    assert run.metrics_test == finished.metrics["test"]
    assert (run.epoch, run.best_epoch, run.fraction) == (EPOCHS, finished.best_epoch, 1.0)
    assert (run.parameters, run.device) == (finished.parameters, "cpu")
    assert run.train_seconds == finished.train_seconds
    assert run.finished_at is not None
    stored = store.events(run_id)
    assert [entry.kind for entry in stored] == ["started", *["epoch"] * EPOCHS, "finished"]
    assert [entry.payload for entry in stored] == [told.to_json() for told in story]
    assert store.events(run_id, after_seq=stored[2].seq) == stored[3:]
    assert store.events(run_id, kinds=["finished"]) == stored[-1:]
    with pytest.raises(NotOwner):
        store.append(run_id, "w", finished)


def test_progress_and_the_time_left(store: RunStore, story: list[Told]) -> None:
    (run_id,) = queue_up(store, 1)
    take(store, "w")
    assert must(store.get(run_id)).seconds_left is None
    store.append(run_id, "w", story[0])
    store.append(run_id, "w", story[1])
    assert store.progress(run_id, "w", Step(run=0, epoch=2, step=1, steps=2, samples_per_second=10.0)) is False
    run = must(store.get(run_id))
    assert (run.epoch, run.step, run.steps, run.samples_per_second) == (1, 1, 2, 10.0)
    assert run.fraction == 1.5 / EPOCHS
    assert run.started_at is not None
    assert run.updated_at is not None
    assert run.seconds_left == pytest.approx((run.updated_at - run.started_at) * (EPOCHS - 1.5) / 1.5)
    store.request_stop(run_id)
    assert store.progress(run_id, "w", Step(run=0, epoch=2, step=1, steps=2, samples_per_second=10.0)) is True
    assert store.append(run_id, "w", story[2]) is True


def test_only_the_owner_writes(store: RunStore, story: list[Told]) -> None:
    (run_id,) = queue_up(store, 1)
    with pytest.raises(NotOwner):
        store.append(run_id, "w", story[0])
    take(store, "w")
    step = Step(run=0, epoch=1, step=1, steps=2, samples_per_second=1.0)
    for write in (
        lambda: store.append(run_id, "other", story[0]),
        lambda: store.progress(run_id, "other", step),
        lambda: store.release(run_id, "other", "queued"),
        lambda: store.append("00000000", "w", story[0]),
    ):
        with pytest.raises(NotOwner):
            write()
    assert store.events(run_id) == []
    store.release(run_id, "w", "queued")
    with pytest.raises(NotOwner):
        store.append(run_id, "w", story[0])


@pytest.mark.parametrize("checkpoint", [0, 1, 2, 3])
def test_a_resumed_run_tells_each_epoch_once(store: RunStore, story: list[Told], checkpoint: int) -> None:
    (run_id,) = queue_up(store, 1)
    take(store, "a")
    for told in story[:4]:  # epoch 3 is told, and its checkpoint was perhaps not written any more
        store.append(run_id, "a", told)
    before = [entry.seq for entry in store.events(run_id)]
    store.release(run_id, "a", "queued")
    take(store, "b")
    store.append(run_id, "b", started_again(story, checkpoint))
    assert epochs_of(store, run_id) == list(range(1, checkpoint + 1))
    run = must(store.get(run_id))
    assert (run.epoch, run.resumed_from) == (checkpoint, checkpoint)
    kept = [told.train_seconds for told in story if isinstance(told, Epoch)][:checkpoint]
    assert run.train_seconds == pytest.approx(sum(kept))
    for told in story[1 + checkpoint :]:
        store.append(run_id, "b", told)
    stored = store.events(run_id)
    assert [entry.kind for entry in stored] == ["started", *["epoch"] * EPOCHS, "finished"]
    assert stored[0].payload["resumed_from"] == checkpoint
    assert epochs_of(store, run_id) == list(range(1, EPOCHS + 1))
    # Numbers are never used twice, or a reader that asks with after_seq would miss events.
    new = [entry.seq for entry in stored[1 + checkpoint :]]
    assert min(new) > max(before)


def test_a_failed_run_can_be_tried_again(store: RunStore, story: list[Told]) -> None:
    (run_id,) = queue_up(store, 1)
    take(store, "w")
    store.append(run_id, "w", story[0])
    store.append(run_id, "w", Failed(run=0, message="The device ran out of memory."))
    run = must(store.get(run_id))
    assert (run.state, run.message) == ("failed", "The device ran out of memory.")
    assert must(store.resume(run_id)).message is None
    take(store, "w")
    store.append(run_id, "w", started_again(story, 0))
    assert [entry.kind for entry in store.events(run_id)] == ["started"]


# Stopping and deleting


def test_stop_of_a_running_run_waits_for_the_worker(store: RunStore) -> None:
    (run_id,) = queue_up(store, 1)
    take(store, "w")
    assert must(store.request_stop(run_id)).state == "stopping"
    store.release(run_id, "w", "queued")  # the worker leaves and knows nothing yet: the wish to stop counts
    run = must(store.get(run_id))
    assert run.state == "stopped"
    assert must(store.request_stop(run_id)) == run


def test_delete_removes_rows_and_folder(store: RunStore, story: list[Told]) -> None:
    run_id, kept = queue_up(store, 2)
    take(store, "w")
    for told in story:
        store.append(run_id, "w", told)
    store.folder(run_id).mkdir(parents=True)
    (store.folder(run_id) / "checkpoint.pt").write_bytes(b"x")
    assert store.delete(run_id) is True
    assert store.get(run_id) is None
    assert store.events(run_id) == []
    assert not store.folder(run_id).exists()
    assert [run.id for run in store.runs()] == [kept]
    assert store.delete(run_id) is False


@pytest.mark.parametrize("end", ["release", "finish", "die"])
def test_delete_of_a_running_run_happens_when_the_worker_lets_go(
    store: RunStore, story: list[Told], end: str, dead_process: Callable[[], None]
) -> None:
    (run_id,) = queue_up(store, 1)
    dead_process()
    store.register_worker("w", 0)
    store.claim("w")
    store.folder(run_id).mkdir(parents=True)
    assert store.delete(run_id) is True
    assert store.get(run_id) is None
    assert store.runs() == []
    assert store.folder(run_id).exists()
    if end == "release":
        assert store.append(run_id, "w", story[0]) is True
        store.release(run_id, "w", "stopped")
    elif end == "finish":
        store.append(run_id, "w", story[-1])
    else:
        store.reclaim_orphans()
    assert not store.folder(run_id).exists()
    assert store.events(run_id) == []
    assert store.delete(run_id) is False


# Dead workers


def test_the_run_of_a_dead_worker_keeps_its_place(
    store: RunStore, story: list[Told], dead_process: Callable[[], None]
) -> None:
    first, second = queue_up(store, 2)
    dead_process()
    store.register_worker("dead", 0)
    store.claim("dead")
    store.append(first, "dead", story[0])
    assert store.reclaim_orphans() == [first]
    assert store.workers() == []
    assert store.reclaim_orphans() == []
    with pytest.raises(NotOwner):
        store.append(first, "dead", story[1])
    assert must(store.get(first)).queue_position == 1
    assert must(take(store, "w")).id == first
    assert must(take(store, "w")).id == second


def test_a_living_worker_keeps_its_run(store: RunStore) -> None:
    (run_id,) = queue_up(store, 1)
    store.register_worker("w", 0)
    store.claim("w")
    assert store.reclaim_orphans() == []
    assert must(store.get(run_id)).state == "running"
    assert store.beat("w") is True


def test_a_run_that_kills_its_workers_is_given_up(store: RunStore, dead_process: Callable[[], None]) -> None:
    (run_id,) = queue_up(store, 1)
    dead_process()
    for attempt in range(MAX_ATTEMPTS):
        store.register_worker(f"w{attempt}", 0)
        assert must(store.claim(f"w{attempt}")).attempts == attempt + 1
        store.reclaim_orphans()
    run = must(store.get(run_id))
    assert run.state == "failed"
    assert run.message == "The worker died 3 times in a row at this run: see worker.log."


def test_a_run_that_goes_forward_is_not_given_up(
    store: RunStore, story: list[Told], dead_process: Callable[[], None]
) -> None:
    (run_id,) = queue_up(store, 1)
    dead_process()
    for epoch in range(EPOCHS):
        store.register_worker(f"w{epoch}", 0)
        store.claim(f"w{epoch}")
        store.append(run_id, f"w{epoch}", started_again(story, epoch))
        store.append(run_id, f"w{epoch}", story[1 + epoch])
        store.reclaim_orphans()
    assert must(store.get(run_id)).state == "queued"


def test_the_stop_of_a_dead_workers_run_is_honoured(store: RunStore, dead_process: Callable[[], None]) -> None:
    (run_id,) = queue_up(store, 1)
    dead_process()
    store.register_worker("w", 0)
    store.claim("w")
    store.request_stop(run_id)
    store.reclaim_orphans()
    assert must(store.get(run_id)).state == "stopped"


@pytest.mark.parametrize("elsewhere", [True, False], ids=["other host", "pid of another process"])
def test_a_worker_that_cannot_be_seen_is_judged_by_its_heartbeat(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    (run_id,) = queue_up(store, 1)
    host, pid, started = liveness.this_process()
    seen = ("elsewhere", 1, 0.0) if elsewhere else (host, pid, started - 1000)
    monkeypatch.setattr(liveness, "this_process", lambda: seen)
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(liveness, "SHORT_SILENCE_SECONDS", 0.5)
    store.register_worker("far", 0)
    store.claim("far")
    # As long as it beats, whatever the clocks say, it is left alone.
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert store.beat("far") is True
        assert store.reclaim_orphans() == []
        time.sleep(0.01)
    deadline = time.monotonic() + 20
    while store.reclaim_orphans() != [run_id]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # Given up, it gets nothing more until it registers again.
    assert store.beat("far") is False
    assert store.claim("far") is None
    assert must(take(store, "far")).id == run_id


# A store that cannot be used


def test_a_file_that_is_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"this is no database" * 500)
    with pytest.raises(StoreError, match=r"store\.sqlite is not a sound SQLite database: move it away"):
        RunStore(home=tmp_path)


def test_a_damaged_database(tmp_path: Path) -> None:
    store = RunStore(home=tmp_path)
    queue_up(store, 50)
    store.close()
    file = tmp_path / "store.sqlite"
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * (file.stat().st_size - 4096))
    with pytest.raises(StoreError, match="is not a sound SQLite database"):
        RunStore(home=tmp_path).runs()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be made: set SEESAW_HOME"):
        RunStore(home=tmp_path / "file")
    (tmp_path / "store.sqlite").mkdir()
    with pytest.raises(StoreError, match=r"cannot be written: check its rights, or set SEESAW_HOME"):
        RunStore(home=tmp_path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("not a url", "is not an SQLAlchemy URL"),
        ("nodatabase://somewhere/x", "driver of SEESAW_STORE is not installed"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("oracle://user:secret@host/db", "driver of SEESAW_STORE is not installed"),
    ],
)
def test_a_url_that_cannot_be_used(url: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEESAW_HOME", str(tmp_path))
    monkeypatch.setenv("SEESAW_STORE", url)
    with pytest.raises(StoreError, match=message) as caught:
        RunStore()
    assert "secret" not in str(caught.value)


def test_a_store_of_another_version(tmp_path: Path) -> None:
    RunStore(home=tmp_path).close()
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("ALTER TABLE runs DROP COLUMN message")
    connection.close()
    with pytest.raises(StoreError, match="written by another version"):
        RunStore(home=tmp_path)


def test_a_store_removed_while_in_use(store: RunStore) -> None:
    with sqlite3.connect(store.home / "store.sqlite") as connection:
        connection.execute("DROP TABLE runs")
    connection.close()
    with pytest.raises(StoreError, match="removed or replaced while in use"):
        store.runs()


def test_sqlite_runs_in_wal_mode(store: RunStore) -> None:
    connection = sqlite3.connect(store.home / "store.sqlite")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


# The environment


def test_the_environment_names_home_and_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEESAW_HOME", raising=False)
    monkeypatch.delenv("SEESAW_STORE", raising=False)
    store = open_store()
    assert open_store() is store
    assert store.home == tmp_path / "runs"
    assert (tmp_path / "runs" / "store.sqlite").is_file()
    monkeypatch.setenv("SEESAW_STORE", "sqlite:///elsewhere/s.db")
    other = open_store()
    assert other is not store
    assert other.url == f"sqlite:///{tmp_path}/elsewhere/s.db"
    store.close()
    other.close()


@pytest.mark.parametrize(("name", "value"), [("SEESAW_WORKERS", "many"), ("SEESAW_WORKERS", "0")])
def test_a_setting_that_is_no_number(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(settings.SettingsError, match=f"{name} must be a number from 1 to 64, not '{value}'."):
        settings.workers()


def test_one_executor_per_store(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEESAW_EXECUTOR", raising=False)
    assert isinstance(get_executor(store), LocalExecutor)
    assert get_executor(store) is get_executor(store)
    monkeypatch.setenv("SEESAW_EXECUTOR", "ray")
    with pytest.raises(settings.SettingsError, match="SEESAW_EXECUTOR must be 'local', not 'ray'"):
        get_executor(store)


def test_home_can_be_copied_while_in_use(store: RunStore, tmp_path: Path) -> None:
    """People move their runs to another machine; paths in the store must not tie it to a place."""
    run_id = queue_up(store, 1)[0]
    shutil.copytree(store.home, tmp_path / "copy", ignore=shutil.ignore_patterns("copy"))
    copy = RunStore(home=tmp_path / "copy")
    assert must(copy.get(run_id)).id == run_id
    assert copy.folder(run_id) == tmp_path / "copy" / "runs" / run_id
    copy.close()
