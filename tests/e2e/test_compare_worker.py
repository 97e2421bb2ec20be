"""A question to a real worker that is in the middle of a long training."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from app.jobs.questions import Answer, Question, Questions
from app.jobs.store import RunStore
from mtl_core.spec import RunSpec

PATIENCE = 120.0
T = TypeVar("T")


def conflict(**training: int) -> RunSpec:
    data = {"name": "conflict", "options": {"rows": 5000}}
    return RunSpec.parse({"data": data, "training": {"batch_size": 32, "device": "cpu", **training}})


def wait_for(look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + PATIENCE
    while not (answer := look()):
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)
    return answer


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    """A store with one worker."""
    for name, value in {"SEESAW_WORKER_IDLE": "60", "SEESAW_WORKERS": "1", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    store = RunStore(home=home)
    worker = subprocess.Popen([sys.executable, "-m", "app.jobs.worker"])
    yield store
    worker.kill()
    worker.wait()
    store.close()


def test_a_question_does_not_wait_for_the_end_of_a_training(store: RunStore) -> None:
    questions = Questions(store.home)
    short, _ = store.submit(conflict(epochs=1))
    wait_for(lambda: (run := store.get(short.id)) and run.state == "finished")
    endless, _ = store.submit(conflict(epochs=1000))
    wait_for(lambda: (run := store.get(endless.id)) and run.epoch >= 1)
    asked = Question(short.id, "switch_off")
    questions.ask(asked)
    found = wait_for(lambda: look if isinstance(look := questions.look(asked), Answer) else None)
    assert found.content["off"]
    run = store.get(endless.id)
    assert run is not None
    assert run.state == "running"
    # The training goes on, undisturbed.
    assert wait_for(lambda: (now := store.get(endless.id)) and now.epoch > run.epoch and now).state == "running"
