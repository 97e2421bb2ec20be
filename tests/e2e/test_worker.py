"""Real worker processes: what a kill, a stop, a second worker and a restart do to a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
import torch
from filelock import FileLock

from app.jobs import liveness
from app.jobs.executor import LocalExecutor
from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from mtl_core.checkpoints import WEIGHTS, load_checkpoint
from mtl_core.spec import RunSpec
from mtl_core.sweep import WeightSearch
from mtl_core.training import train

#: Generous: these tests wait for something to happen, however slow the machine is.
PATIENCE = 120.0
T = TypeVar("T")


def conflict(*, seed: int = 0, rows: int = 500, epochs: int = 3, batch_size: int = 100) -> RunSpec:
    return RunSpec.parse(
        {
            "data": {"name": "conflict", "options": {"rows": rows}},
            "training": {"epochs": epochs, "batch_size": batch_size, "device": "cpu"},
            "seed": seed,
        }
    )


def endless(seed: int = 0) -> RunSpec:
    """Minutes of training, in short steps."""
    return conflict(seed=seed, rows=5000, epochs=1000, batch_size=32)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder of its own; whatever process was started for it is gone afterwards."""
    monkeypatch.setenv("SEESAW_HOME", str(tmp_path))
    monkeypatch.setenv("SEESAW_WORKER_IDLE", "300")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("SEESAW_STORE", "SEESAW_EXECUTOR", "SEESAW_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    for process in worker_processes(tmp_path):
        with suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(timeout=10)


@pytest.fixture
def store(home: Path) -> Iterator[RunStore]:
    store = RunStore(home=home)
    yield store
    store.close()


@pytest.fixture
def executor(store: RunStore) -> Iterator[LocalExecutor]:
    executor = LocalExecutor(store)
    yield executor
    executor.close(stop_workers=True)


@pytest.fixture
def start_worker(home: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    children = []

    def start(**environment: str) -> subprocess.Popen[bytes]:
        children.append(
            subprocess.Popen([sys.executable, "-m", "app.jobs.worker"], env=os.environ | environment, cwd=home)
        )
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.wait()


def worker_processes(home: Path) -> list[psutil.Process]:
    """Every worker of this home folder, also one whose parent is gone."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get("SEESAW_HOME") == str(home)
            if ours and "app.jobs.worker" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_for(look: Callable[[], T | None], seconds: float = PATIENCE) -> T:
    """The first true answer of `look`."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.03)
    return answer


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def read(store: RunStore, run_id: str) -> RunRecord:
    run = store.get(run_id)
    assert run is not None
    return run


def wait_until_over(store: RunStore, run_id: str) -> RunRecord:
    return wait_for(lambda: (run := read(store, run_id)) and (None if run.open else run))


def wait_for_epoch(store: RunStore, run_id: str, epoch: int) -> None:
    wait_for(lambda: read(store, run_id).epoch >= epoch)


def events_by_train(spec: RunSpec, folder: Path) -> list[dict[str, Any]]:
    """What an uninterrupted run tells, with as many threads as the workers here have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [event.to_json() for event in train([spec], folders=[folder], step_seconds=1e9)]
    finally:
        torch.set_num_threads(threads)


def numbers(payload: dict[str, Any]) -> dict[str, Any]:
    """All but the times."""
    return {name: value for name, value in payload.items() if name not in ("train_seconds", "samples_per_second")}


def test_a_run_is_trained_to_the_end(store: RunStore, executor: LocalExecutor, tmp_path: Path) -> None:
    spec = conflict()
    run, _ = store.submit(spec)
    executor.ensure_worker()
    run = wait_until_over(store, run.id)
    assert (run.state, run.message, run.epoch, run.device) == ("finished", None, 3, "cpu")
    told = [entry.payload for entry in store.events(run.id)]
    expected = [event for event in events_by_train(spec, tmp_path / "plain") if event["event"] != "checkpoint"]
    assert [numbers(payload) for payload in told] == [numbers(payload) for payload in expected]
    assert run.metrics_test == expected[-1]["metrics"]["test"]
    assert sorted(path.name for path in store.folder(run.id).iterdir()) == [
        "checkpoint.pt",
        "gates.npz",
        "weights.safetensors",
    ]
    assert executor.problem is None


def test_a_killed_worker_is_replaced_and_the_run_goes_on_bit_for_bit(
    store: RunStore, executor: LocalExecutor, tmp_path: Path
) -> None:
    spec = conflict(rows=5000, epochs=24, batch_size=32)
    executor.start_supervisor()
    run, _ = store.submit(spec)
    for epoch in (2, 5):  # twice, at whatever step it is just then
        wait_for_epoch(store, run.id, epoch)
        (victim,) = worker_processes(store.home)
        victim.kill()
        wait_for(partial(is_gone, victim.pid))  # not a zombie either, though nobody asked
    run = wait_until_over(store, run.id)
    assert (run.state, run.message) == ("finished", None)
    assert run.resumed_from >= 4
    stored = store.events(run.id)
    assert [entry.kind for entry in stored] == ["started", *["epoch"] * 24, "finished"]
    assert [entry.epoch for entry in stored[1:-1]] == list(range(1, 25))
    expected = [event for event in events_by_train(spec, tmp_path / "plain") if event["event"] != "checkpoint"]
    assert [numbers(entry.payload) for entry in stored[1:]] == [numbers(event) for event in expected[1:]]
    assert (store.folder(run.id) / WEIGHTS).read_bytes() == (tmp_path / "plain" / WEIGHTS).read_bytes()


def test_a_worker_that_was_frozen_lets_go_of_its_run(
    store: RunStore, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 1.5)  # for the supervisor, which lives in this process
    run, _ = store.submit(endless())
    executor.ensure_worker()
    wait_for_epoch(store, run.id, 2)
    (worker,) = worker_processes(store.home)
    worker.suspend()
    executor.start_supervisor()
    wait_for(lambda: read(store, run.id).state == "queued")
    wait_for(lambda: store.workers() == [])
    worker.resume()
    done = read(store, run.id).epoch
    wait_for_epoch(store, run.id, done + 3)
    # It noticed, registered again and went on from the checkpoint like any other.
    assert worker_processes(store.home) == [worker]
    told = [entry.epoch for entry in store.events(run.id, kinds=["epoch"])]
    assert told == list(range(1, len(told) + 1))
    assert "Letting go." in (store.home / "worker.log").read_text()


def test_a_run_outlives_the_process_that_asked_for_it(store: RunStore) -> None:
    code = (
        "import os, signal; from app.jobs.executor import get_executor; from app.jobs.store import open_store\n"
        "from mtl_core.spec import RunSpec; store = open_store()\n"
        "spec = {'data': {'name': 'conflict', 'options': {'rows': 500}}, 'training': {'epochs': 3, 'device': 'cpu'}}\n"
        "print(store.submit(RunSpec.parse(spec))[0].id, flush=True); get_executor().ensure_worker()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    server = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert server.returncode == -signal.SIGKILL
    assert wait_until_over(store, server.stdout.strip()).state == "finished"


def test_stop_takes_effect_within_two_seconds_and_the_run_can_go_on(store: RunStore, executor: LocalExecutor) -> None:
    run, _ = store.submit(endless())
    executor.ensure_worker()
    wait_for_epoch(store, run.id, 2)
    assert read(store, run.id).seconds_left is not None
    asked = time.monotonic()
    store.request_stop(run.id)
    assert wait_until_over(store, run.id).state == "stopped"
    assert time.monotonic() - asked < 2
    done = read(store, run.id).epoch
    store.resume(run.id)
    wait_for_epoch(store, run.id, done + 1)
    assert read(store, run.id).resumed_from == done
    # The same worker is still there; a deleted run is out of its hands as quickly.
    assert len(worker_processes(store.home)) == 1
    store.delete(run.id)
    wait_for(lambda: not store.folder(run.id).exists(), seconds=10)


def test_queued_runs_are_trained_in_order_and_one_may_be_taken_out(store: RunStore, executor: LocalExecutor) -> None:
    # Of four structures: those of one would train together.
    ids = [store.submit(conflict(batch_size=size))[0].id for size in (50, 60, 70, 80)]
    assert [read(store, run_id).queue_position for run_id in ids] == [1, 2, 3, 4]
    store.request_stop(ids[1])
    executor.ensure_worker()
    runs = [wait_until_over(store, run_id) for run_id in ids]
    assert [run.state for run in runs] == ["finished", "stopped", "finished", "finished"]
    trained = [run for run in runs if run.state == "finished"]
    for before, after in pairwise(trained):
        assert before.finished_at is not None
        assert after.started_at is not None
        assert before.finished_at <= after.started_at


def members(store: RunStore, run_id: str) -> int:
    """How many runs its population has, as its last start told."""
    return int(store.events(run_id, kinds=["started"])[-1].payload["members"])


def epochs_of(store: RunStore, run_id: str) -> list[int | None]:
    return [entry.epoch for entry in store.events(run_id, kinds=["epoch"])]


def test_runs_of_one_structure_train_together_and_each_tells_its_own_story(
    store: RunStore, executor: LocalExecutor
) -> None:
    specs = [conflict(seed=0), conflict(seed=1, epochs=2), conflict(seed=2)]
    runs = [store.submit(spec)[0].id for spec in specs]
    executor.ensure_worker()
    for run_id, spec in zip(runs, specs, strict=True):
        run = wait_until_over(store, run_id)
        assert (run.state, run.seed, run.epoch, run.attempts) == ("finished", spec.seed, spec.training.epochs, 0)
        assert members(store, run_id) == 3
        stored = store.events(run_id)
        assert [entry.kind for entry in stored] == ["started", *["epoch"] * spec.training.epochs, "finished"]
        assert stored[0].payload["spec"] == spec.to_json()
        assert (store.folder(run_id) / WEIGHTS).exists()
    with_seed = [read(store, run_id).metrics_test for run_id in runs]
    assert with_seed[0] != with_seed[1] != with_seed[2]


def test_one_of_a_population_is_stopped_and_the_others_go_on(store: RunStore, executor: LocalExecutor) -> None:
    ids = [store.submit(endless(seed))[0].id for seed in range(3)]
    executor.ensure_worker()
    wait_for_epoch(store, ids[2], 2)
    asked = time.monotonic()
    store.request_stop(ids[1])
    assert wait_until_over(store, ids[1]).state == "stopped"
    assert time.monotonic() - asked < 2
    stopped = read(store, ids[1]).epoch
    for run_id in (ids[0], ids[2]):
        wait_for_epoch(store, run_id, stopped + 2)
        assert epochs_of(store, run_id) == list(range(1, read(store, run_id).epoch + 1))
        assert members(store, run_id) == 3  # the population was never taken apart
    saved = load_checkpoint(store.folder(ids[1]))
    assert saved is not None
    assert saved["epoch"] == stopped == len(epochs_of(store, ids[1]))
    # It waits until the others are done, unless they are stopped, too; a deleted one leaves no file behind.
    store.resume(ids[1])
    store.delete(ids[0])
    wait_for(lambda: store.get(ids[0]) is None)
    store.request_stop(ids[2])
    wait_for_epoch(store, ids[1], stopped + 1)
    assert read(store, ids[1]).resumed_from == stopped
    assert not store.folder(ids[0]).exists()
    assert len(worker_processes(store.home)) == 1


def test_a_killed_worker_loses_nothing_of_a_population(store: RunStore, executor: LocalExecutor) -> None:
    executor.start_supervisor()
    specs = [conflict(seed=seed, rows=2000, epochs=20, batch_size=32) for seed in range(3)]
    ids = [store.submit(spec)[0].id for spec in specs]
    for epoch in (2, 5):
        wait_for_epoch(store, ids[0], epoch)
        (victim,) = worker_processes(store.home)
        victim.kill()
        wait_for(partial(is_gone, victim.pid))
    for run_id in ids:
        run = wait_until_over(store, run_id)
        assert (run.state, run.message) == ("finished", None)
        # Killed between two members' checkpoints they are an epoch apart, and no longer train together.
        assert run.resumed_from >= 1
        assert epochs_of(store, run_id) == list(range(1, 21))


def test_a_population_that_fails_is_tried_run_by_run(store: RunStore, executor: LocalExecutor) -> None:
    ids = [store.submit(conflict(seed=seed))[0].id for seed in range(3)]
    # An error that nobody foresaw, and that stops all three.
    store.folder(ids[1]).parent.mkdir(parents=True)
    store.folder(ids[1]).write_text("")
    executor.ensure_worker()
    runs = [wait_until_over(store, run_id) for run_id in ids]
    assert [run.state for run in runs] == ["finished", "failed", "finished"]
    assert (runs[1].message or "").startswith("Training stopped with ")
    assert [epochs_of(store, run_id) for run_id in (ids[0], ids[2])] == [[1, 2, 3]] * 2


def test_a_run_that_somebody_waits_for_does_not_wait_for_a_sweep(store: RunStore, executor: LocalExecutor) -> None:
    sweep = store.submit_sweep([endless(seed) for seed in range(3)])
    executor.ensure_worker()
    for run_id in sweep.runs:
        wait_for_epoch(store, run_id, 1)
    mine, _ = store.submit(conflict(seed=9))
    assert wait_until_over(store, mine.id).state == "finished"
    done = [read(store, run_id).epoch for run_id in sweep.runs]
    # It gave way between two epochs of all, and goes on as one population.
    assert len(set(done)) == 1
    for run_id in sweep.runs:
        wait_for_epoch(store, run_id, done[0] + 2)
        assert members(store, run_id) == 3
        assert epochs_of(store, run_id) == list(range(1, read(store, run_id).epoch + 1))
        assert read(store, run_id).attempts == 0
    asked = time.monotonic()
    store.stop_sweep(sweep.id)
    for run_id in sweep.runs:
        assert wait_until_over(store, run_id).state == "stopped"
    assert time.monotonic() - asked < 3


def test_a_search_is_carried_on_by_whichever_worker_there_is(store: RunStore, executor: LocalExecutor) -> None:
    search = WeightSearch(base=conflict(epochs=2), trials=5, at_once=2, seeds=(0, 1))
    sweep = store.submit_sweep([conflict(seed=5)], [search.model_dump(mode="json")])
    executor.start_supervisor()
    wait_for(lambda: len(store.sweeps()[0].runs) > 5)
    (victim,) = worker_processes(store.home)
    victim.kill()
    wait_for(lambda: not store.searching())
    runs = [wait_until_over(store, run_id) for run_id in store.sweeps()[0].runs]
    assert [run.state for run in runs] == ["finished"] * 11
    weights = [tuple(run.spec["balancer"]["options"]["weights"]) for run in runs[1:]]
    assert {weights.count(pair) for pair in weights} == {2}
    assert weights[0] == (1.0, 1.0)
    assert sweep.runs == (runs[0].id,)


def test_a_run_starts_from_the_weights_of_a_run_in_the_store(store: RunStore, executor: LocalExecutor) -> None:
    first, _ = store.submit(conflict(epochs=3))
    executor.ensure_worker()
    assert wait_until_over(store, first.id).state == "finished"

    def after(name: str) -> RunRecord:
        value = conflict(epochs=1).to_json() | {"init_from": name}
        return wait_until_over(store, store.submit(RunSpec.parse(value))[0].id)

    second = after(first.id)
    assert (second.state, second.message) == ("finished", None)
    loss = [store.events(run_id, kinds=["epoch"])[0].payload["losses"]["A"] for run_id in (first.id, second.id)]
    assert loss[1] < loss[0]
    refused = after(str(store.folder(first.id)))  # a path, though there are weights
    assert refused.state == "failed"
    assert "there is no such run here" in (refused.message or "")


def test_of_two_workers_one_leaves(
    store: RunStore, start_worker: Callable[..., subprocess.Popen[bytes]], home: Path
) -> None:
    both = [start_worker(), start_worker()]
    loser = wait_for(lambda: next((child for child in both if child.poll() is not None), None))
    assert loser.returncode == 0
    (worker,) = wait_for(store.workers)
    winner = next(child for child in both if child is not loser)
    assert worker.pid == winner.pid
    # The lock goes with the process, however it ends.
    winner.kill()
    winner.wait()
    with FileLock(home / "workers" / "slot-0.lock").acquire(timeout=0):
        pass


def test_two_slots_train_two_runs_at_once(
    store: RunStore, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEESAW_WORKERS", "2")
    first, second = (store.submit(endless(seed))[0].id for seed in range(2))
    executor.ensure_worker()
    wait_for(lambda: read(store, first).epoch >= 1 and read(store, second).epoch >= 1)
    assert sorted(worker.slot for worker in store.workers()) == [0, 1]
    assert (read(store, first).attempts, read(store, second).attempts) == (0, 0)


def test_sigterm_puts_the_run_back_in_its_place(
    store: RunStore, start_worker: Callable[..., subprocess.Popen[bytes]]
) -> None:
    run, _ = store.submit(endless())
    other, _ = store.submit(endless(1))
    worker = start_worker()
    wait_for_epoch(store, run.id, 2)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=30) == 0
    run = read(store, run.id)
    assert (run.state, run.queue_position, run.attempts) == ("queued", 1, 0)
    assert read(store, other.id).queue_position == 2
    assert store.workers() == []
    saved = load_checkpoint(store.folder(run.id))
    assert saved is not None
    assert saved["epoch"] == len(store.events(run.id, kinds=["epoch"]))


def test_a_run_that_cannot_go_on_says_why_and_the_worker_takes_the_next(
    store: RunStore, executor: LocalExecutor
) -> None:
    bad, _ = store.submit(conflict(seed=1))
    # A file where the run's folder should be: an error that nobody foresaw.
    store.folder(bad.id).parent.mkdir(parents=True)
    store.folder(bad.id).write_text("")
    good, _ = store.submit(conflict(seed=2))
    executor.ensure_worker()
    assert wait_until_over(store, good.id).state == "finished"
    failed = read(store, bad.id)
    assert failed.state == "failed"
    assert failed.message is not None
    assert failed.message.startswith("Training stopped with ")
    assert "Traceback" in (store.home / "worker.log").read_text()
    assert len(worker_processes(store.home)) == 1


def test_an_idle_worker_leaves(store: RunStore, start_worker: Callable[..., subprocess.Popen[bytes]]) -> None:
    worker = start_worker(SEESAW_WORKER_IDLE="0.5")
    assert worker.wait(timeout=PATIENCE) == 0
    assert store.workers() == []


def test_a_worker_leaves_a_home_that_is_gone(
    store: RunStore, start_worker: Callable[..., subprocess.Popen[bytes]], home: Path
) -> None:
    worker = start_worker()
    wait_for(store.workers)
    (home / "workers" / "slot-0.lock").unlink()
    assert worker.wait(timeout=PATIENCE) == 0


def test_many_calls_start_one_worker(store: RunStore, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    spawned = []
    popen = subprocess.Popen

    def count(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        spawned.append(popen(*arguments, **options))
        return spawned[-1]

    monkeypatch.setattr(subprocess, "Popen", count)
    executor.start_supervisor()
    deadline = time.monotonic() + PATIENCE
    while not store.workers():
        executor.warm()
        executor.ensure_worker()
        assert time.monotonic() < deadline
    executor.warm()
    assert len(spawned) == 1
    # Nothing to do: nobody is started in place of one that left.
    executor.close(stop_workers=True)
    executor.ensure_worker()
    assert len(spawned) == 1


def test_a_worker_that_cannot_start_is_reported_and_not_tried_without_end(
    store: RunStore, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEESAW_WORKER_IDLE", "soon")
    store.submit(conflict())
    executor.start_supervisor()
    problem = wait_for(lambda: executor.problem)
    assert problem == f"The worker could not go on: see {store.home / 'worker.log'}."
    log = (store.home / "worker.log").read_text()
    assert log == "worker: SEESAW_WORKER_IDLE must be a number from 0 to 1e+09, not 'soon'.\n"
    executor.ensure_worker()
    assert worker_processes(store.home) == []
