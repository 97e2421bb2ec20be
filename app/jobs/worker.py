"""The worker: takes runs from the queue and trains them, one after another.

    python -m app.jobs.worker

At most `SEESAW_WORKERS` of them run under one home folder; one more leaves at once. The only module of the
dashboard that trains.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal, cast

from filelock import FileLock, Timeout

from app.jobs import settings
from app.jobs.records import RunRecord
from app.jobs.store import NotOwner, RunStore, StoreError
from mtl_core.events import Checkpoint, Event, Failed, Finished, Step
from mtl_core.spec import RunSpec
from mtl_core.threads import spare_a_core

BEAT_SECONDS = 1.0
POLL_SECONDS = 0.2
RECLAIM_SECONDS = 1.0

Train = Callable[..., Iterator[Event]]
log = logging.getLogger("seesaw.worker")


class Worker:
    """One worker over its life.

    Args:
        store: where runs come from and events go.
        slot: the number of the lock it holds.
        idle_seconds: it leaves after so long without work.
    """

    def __init__(self, store: RunStore, slot: int, idle_seconds: float) -> None:
        self.id = secrets.token_hex(8)
        self._store, self._slot, self._idle_seconds = store, slot, idle_seconds
        # A plain flag: a signal handler that sets a threading.Event can lock up a main thread that waits on it.
        self._leaving = False
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def leave(self, *_signal: object) -> None:
        """Put the run under way back in the queue and leave, at the next sign of life. Safe in a signal handler."""
        self._leaving = True

    def work(self) -> None:
        """Until told to leave, or idle for long, or the home folder is gone."""
        self._store.register_worker(self.id, self._slot)
        self._heart.start()
        try:
            self._take_runs(_warm_up(settings.workers()))
        finally:
            self._over.set()
            self._heart.join()
            with suppress(StoreError):
                self._store.unregister_worker(self.id)

    def _take_runs(self, train: Train) -> None:
        idle_since = time.monotonic()
        reclaim_at = 0.0
        # Where somebody removed the home folder, this process must not live on in a store that nobody else can see.
        while not self._leaving and _slot_file(self._store.home, self._slot).exists():
            if time.monotonic() >= reclaim_at:
                self._store.reclaim_orphans()
                reclaim_at = time.monotonic() + RECLAIM_SECONDS
            run = self._store.claim(self.id)
            if run is not None:
                log.info("run %s: %s on %s, attempt %d", run.id, run.trunk, run.dataset, run.attempts)
                self._train(train, run)
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= self._idle_seconds:
                return
            else:
                time.sleep(POLL_SECONDS)

    def _train(self, train: Train, run: RunRecord) -> None:
        try:
            spec = RunSpec.parse(run.spec)
            events = cast("Generator[Event]", train([spec], folders=[self._store.folder(run.id)]))
            with closing(events):
                outcome = self._follow(run.id, events)
            if outcome is not None:
                self._store.release(run.id, self.id, outcome)
        except NotOwner as error:
            log.warning("%s Letting go.", error)
        except StoreError:
            raise  # without the store this worker is of no use; the run is taken up by the next one
        except Exception as error:
            log.exception("run %s failed", run.id)
            text = " ".join(str(error).split()) or "no further message"
            message = f"Training stopped with {type(error).__name__}: {text[:300]}"
            with suppress(NotOwner):
                self._store.append(run.id, self.id, Failed(run=0, message=message))

    def _follow(self, run_id: str, events: Iterator[Event]) -> Literal["stopped", "queued"] | None:
        """Store what happens; the state to leave the run in, or None when it is over."""
        stop = False
        for event in events:
            if isinstance(event, Step):
                stop = self._store.progress(run_id, self.id, event)
            elif not isinstance(event, Checkpoint):
                stop = self._store.append(run_id, self.id, event)
                if isinstance(event, Finished | Failed):
                    return None
                # The checkpoint of an epoch comes right after its event: do not lose it.
                continue
            if stop:
                return "stopped"
            if self._leaving:
                return "queued"
        return None

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            try:
                if not self._store.beat(self.id):
                    self._store.register_worker(self.id, self._slot)
            except StoreError as error:
                log.warning("no heartbeat: %s", error)


def take_slot(home: Path, slots: int) -> tuple[int, FileLock] | None:
    """The first free slot and its lock, which the system releases however this process ends; None: all are taken."""
    for slot in range(slots):
        path = _slot_file(home, slot)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        with suppress(Timeout):
            lock.acquire(timeout=0)
            return slot, lock
    return None


def main() -> int:
    """Work until there is none; exit status 2 where the settings or the store are at fault."""
    try:
        slots, idle = settings.workers(), settings.idle_seconds()
        home = settings.home()
        taken = take_slot(home, slots)
    except (settings.SettingsError, OSError) as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    if taken is None:
        return 0
    slot, lock = taken
    with lock:
        _log_to(home / "worker.log")
        try:
            store = RunStore()
        except StoreError as error:
            log.error("%s", error)
            return 2
        worker = Worker(store, slot, idle)
        signal.signal(signal.SIGTERM, worker.leave)
        signal.signal(signal.SIGINT, worker.leave)
        log.info("worker %s begins", worker.id)
        try:
            worker.work()
        except StoreError as error:
            log.error("%s", error)
            return 2
        finally:
            store.close()
        log.info("worker %s leaves", worker.id)
    return 0


def _slot_file(home: Path, slot: int) -> Path:
    return home / "workers" / f"slot-{slot}.lock"


def _log_to(path: Path) -> None:
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    faulthandler.enable()


def _warm_up(workers: int) -> Train:
    """Load what takes seconds: before the first run needs it, and only where this worker got a slot."""
    from mtl_core.train import train

    if hasattr(os, "nice"):
        os.nice(5)  # pages come first
    spare_a_core(workers)
    try:
        # Data libraries and the device are loaded at their first use.
        tiny = {"data": {"name": "conflict", "options": {"rows": 500}}, "training": {"epochs": 1}}
        for _ in train([RunSpec.parse(tiny)]):
            pass
    except Exception:
        log.exception("warming up failed")  # if it matters, the first run will say so to its owner
    return train


if __name__ == "__main__":
    sys.exit(main())
