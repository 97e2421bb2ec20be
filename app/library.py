"""All runs that can be looked at: those of the store, and the finished examples that come with the repository."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from mtl_core.events import Epoch, Finished, GateSummary, Started, adapter

EXAMPLES = Path(__file__).parent.parent / "sample_data" / "example_runs.json.gz"
EXAMPLE_PREFIX = "example-"
KINDS = ("started", "epoch", "finished", "failed")


@dataclass(frozen=True)
class History:
    """What a run has said so far."""

    started: Started | None = None
    epochs: tuple[Epoch, ...] = ()
    finished: Finished | None = None
    last_seq: int = field(default=0, compare=False)

    @property
    def gates(self) -> dict[str, GateSummary]:
        """The gates of the tested epoch, or of the last one so far; empty where none were kept."""
        if self.finished is not None:
            return self.finished.gates
        return self.epochs[-1].gates if self.epochs else {}


@dataclass(frozen=True)
class Example:
    """A bundled finished run. Of hundreds a page shows a handful, so events are read when they are asked for."""

    record: RunRecord
    events: list[dict[str, Any]]

    @cached_property
    def history(self) -> History:
        """What the run has said."""
        return _extend(History(), list(enumerate(self.events, start=1)))

    @property
    def has_gates(self) -> bool:
        """Were gate weights kept?"""
        return bool(self.events[-1]["gates"])

    @property
    def curve(self) -> list[tuple[int, dict[str, Any]]]:
        """Validation metrics by epoch."""
        return [(e["epoch"], e["metrics"]["valid"]) for e in self.events if e["event"] == "epoch"]


class Library:
    """Reads runs; keeps the histories it has read, so that a growing run costs only its new events."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._read: dict[str, History] = {}
        self._lock = threading.Lock()

    def records(self) -> list[RunRecord]:
        """The store's runs, newest first, then the examples."""
        return [*self.store.runs(), *(example.record for example in examples().values())]

    def record(self, run_id: str) -> RunRecord | None:
        """One run, or None if there is none of this id."""
        if run_id in examples():
            return examples()[run_id].record
        return self.store.get(run_id)

    def has_gates(self, run_id: str) -> bool:
        """Were gate weights kept? Some examples carry scores only, to stay small."""
        return run_id not in examples() or examples()[run_id].has_gates

    def history(self, run_id: str) -> History:
        """What the run has said so far; empty for an unknown run."""
        if run_id in examples():
            return examples()[run_id].history
        with self._lock:
            known = self._read.get(run_id, History())
            new = self.store.events(run_id, after_seq=known.last_seq, kinds=KINDS)
            if new:
                known = _extend(known, [(event.seq, event.payload) for event in new])
                self._read[run_id] = known
                while len(self._read) > 64:  # a page shows a handful; the oldest can be read again
                    self._read.pop(next(iter(self._read)))
            return known


def is_example(run_id: str) -> bool:
    """Is this a bundled run, which cannot be deleted?"""
    return run_id.startswith(EXAMPLE_PREFIX)


@lru_cache(maxsize=1)
def examples() -> dict[str, Example]:
    """The bundled runs by id, in the order of their file."""
    with gzip.open(EXAMPLES, "rt", encoding="utf-8") as file:
        stored = json.load(file)
    made_at = float(stored["made_at"])
    return {
        item["id"]: Example(_record(item["id"], item["events"], made_at), item["events"]) for item in stored["runs"]
    }


def _extend(history: History, events: list[tuple[int, dict[str, Any]]]) -> History:
    started, epochs, finished = history.started, {e.epoch: e for e in history.epochs}, history.finished
    for _, payload in events:
        event = adapter.validate_python(payload)
        if isinstance(event, Started):
            # A resumed run says again what came after its checkpoint.
            started, finished = event, None
            epochs = {n: e for n, e in epochs.items() if n <= event.resumed_from}
        elif isinstance(event, Epoch):
            epochs[event.epoch] = event
        elif isinstance(event, Finished):
            finished = event
    return History(started, tuple(epochs[n] for n in sorted(epochs)), finished, events[-1][0])


def _record(run_id: str, events: list[dict[str, Any]], made_at: float) -> RunRecord:
    started, last, finished = events[0], events[-2], events[-1]
    if (started["event"], last["event"], finished["event"]) != ("started", "epoch", "finished"):
        raise ValueError(f"Example {run_id} is not a finished run.")
    return RunRecord(
        id=run_id,
        state="finished",
        spec=started["spec"],
        spec_key="",
        created_at=made_at,
        started_at=made_at,
        updated_at=made_at,
        finished_at=made_at,
        epoch=finished["epoch"],
        step=0,
        steps=started["steps"],
        samples_per_second=last["samples_per_second"],
        resumed_from=0,
        parameters=finished["parameters"],
        device=finished["device"],
        train_seconds=finished["train_seconds"],
        best_epoch=finished["best_epoch"],
        metrics_test=finished["metrics"]["test"],
        message=None,
        attempts=1,
        queue_position=None,
    )
