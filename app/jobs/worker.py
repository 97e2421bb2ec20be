"""The worker: takes runs from the queue and trains them, those of one structure together.

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
from functools import partial
from pathlib import Path
from typing import Literal, cast

from filelock import FileLock, Timeout

from app.jobs import settings
from app.jobs.answers import answer_one
from app.jobs.questions import Questions
from app.jobs.records import RunRecord
from app.jobs.search import advance
from app.jobs.store import NotOwner, RunStore, StoreError
from mtl_core.events import Checkpoint, Event, Failed, Finished, Started, Step
from mtl_core.spec import RunSpec
from mtl_core.threads import spare_a_core

#: Most runs that are taken together. On two busy cores one of `conflict`'s MMoE runs takes 6.6 s alone, 1.0 s as one of
#: 16 and 0.9 s as one of 32.
MOST_ON_CPU, MOST_ON_GPU = 16, 64
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
        self._questions = Questions(store.home)
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
                advance(self._store)  # also the searches that a dead worker left
                reclaim_at = time.monotonic() + RECLAIM_SECONDS
            if answer_one(self._store, self._questions, self.id):
                idle_since = time.monotonic()
                continue
            runs = self._store.claim_together(self.id, _most_together())
            if runs:
                names = ", ".join(run.id for run in runs)
                log.info("runs %s: %s on %s, attempt %d", names, runs[0].trunk, runs[0].dataset, runs[0].attempts)
                self._train(train, runs)
                advance(self._store)
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= self._idle_seconds:
                return
            else:
                time.sleep(POLL_SECONDS)

    def _train(self, train: Train, runs: list[RunRecord]) -> None:
        hand = Hand(self._store, self.id, [run.id for run in runs])
        try:
            specs = [RunSpec.parse(run.spec) for run in runs]
            folders = [self._store.folder(run.id) for run in runs]
            events = train(specs, folders=folders, find_run=partial(find_run, self._store), dropped=hand.gone)
            with closing(cast("Generator[Event]", events)):
                for event in events:
                    hand.note(event)
                    # Nobody waits for the end of a training; all members tell of a step at once, so look once.
                    if isinstance(event, Step | Checkpoint) and hand.first == event.run:
                        answer_one(self._store, self._questions, self.id)
                    if hand.empty or (self._may_leave(hand, event) and self._wants_to_leave(event)):
                        break
            hand.put_back()
        except StoreError:
            raise  # without the store this worker is of no use; the runs are taken up by the next one
        except Exception as error:
            log.exception("%s failed", hand)
            hand.give_up(error)

    def _may_leave(self, hand: Hand, event: Event) -> bool:
        """Would leaving now cost no more than the epoch under way?"""
        return isinstance(event, Step) or (isinstance(event, Checkpoint) and hand.even)

    def _wants_to_leave(self, event: Event) -> bool:
        """Told to leave; or, once an epoch is safe, asked to make room for a run that somebody waits for."""
        return self._leaving or (isinstance(event, Checkpoint) and self._store.should_yield(self.id))

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            try:
                if not self._store.beat(self.id):
                    self._store.register_worker(self.id, self._slot)
            except StoreError as error:
                log.warning("no heartbeat: %s", error)


class Hand:
    """The runs that a worker trains together: what they tell goes to the store, each to its own row.

    A run that is stopped, lost or over leaves; its number is then in `gone`, which `train` looks at, and the others go
    on without it.
    """

    def __init__(self, store: RunStore, worker_id: str, runs: list[str]) -> None:
        self.gone: set[int] = set()
        self._store, self._worker_id, self._runs = store, worker_id, runs
        #: Runs that have started -> epochs that are safe on disk.
        self._under_way: dict[int, int] = {}
        #: Runs to be stopped as soon as the epoch that they just told of is safe.
        self._stopping: set[int] = set()
        self._steps: dict[int, Step] = {}

    def __str__(self) -> str:
        return f"runs {', '.join(self._runs[i] for i in self._held)}"

    @property
    def empty(self) -> bool:
        """Is there nothing left to train?"""
        return not self._held

    @property
    def first(self) -> int | None:
        """The first of the runs that are left; None: there is none."""
        return next(iter(self._held), None)

    @property
    def even(self) -> bool:
        """Is the same epoch of all runs under way safe on disk, so that they can go on together?"""
        return len(set(self._under_way.values())) == 1

    def note(self, event: Event) -> None:
        """Store what an event says, and let go of runs that are stopped, lost or over."""
        index = event.run
        if index in self.gone:
            return
        if isinstance(event, Step):
            self._steps[index] = event
            if self._steps.keys() >= self._under_way.keys():  # all have told of this step
                self._give_signs_of_life()
        elif isinstance(event, Checkpoint):
            self._under_way[index] = event.epoch
            if index in self._stopping:
                self._let_go(index, "stopped")
        else:
            try:
                stop = self._store.append(self._runs[index], self._worker_id, event)
            except NotOwner as error:
                self._lose(index, error)
                return
            if isinstance(event, Started):
                self._under_way[index] = event.resumed_from
            if isinstance(event, Finished | Failed):
                self._drop(index)
            elif stop:
                # The checkpoint of an epoch comes right after its event: do not lose it.
                self._stopping.add(index)

    def put_back(self) -> None:
        """Let go of what is left: back to its place in the queue, with its checkpoint."""
        for index in self._held:
            self._let_go(index, "queued")

    def give_up(self, error: Exception) -> None:
        """Nothing can go on. A run alone has failed; of several each is to be tried alone, for one is at fault."""
        alone = len(self._held) == 1
        for index in self._held:
            if alone:
                text = " ".join(str(error).split()) or "no further message"
                message = f"Training stopped with {type(error).__name__}: {text[:300]}"
                with suppress(NotOwner):
                    self._store.append(self._runs[index], self._worker_id, Failed(run=index, message=message))
            else:
                self._let_go(index, "queued", suspect=True)

    @property
    def _held(self) -> list[int]:
        return [index for index in range(len(self._runs)) if index not in self.gone]

    def _give_signs_of_life(self) -> None:
        held = {self._runs[index]: index for index in self._held}
        steps = {self._runs[index]: step for index, step in self._steps.items() if index not in self.gone}
        self._steps.clear()
        signs = self._store.signs_of_life(self._worker_id, steps, held)
        for run_id in signs.lost:
            self._lose(held[run_id], NotOwner(f"Run {run_id} is not held by worker {self._worker_id}."))
        for run_id in signs.stop & held.keys():
            self._let_go(held[run_id], "stopped")

    def _let_go(self, index: int, state: Literal["stopped", "queued"], *, suspect: bool = False) -> None:
        self._drop(index)
        try:
            self._store.release(self._runs[index], self._worker_id, state, suspect=suspect)
        except NotOwner as error:
            self._lose(index, error)

    def _lose(self, index: int, error: NotOwner) -> None:
        log.warning("%s Letting go.", error)
        self._drop(index)

    def _drop(self, index: int) -> None:
        # Before anybody else may take the run: from now on nothing more of it is written here.
        self.gone.add(index)
        self._under_way.pop(index, None)
        self._steps.pop(index, None)


def find_run(store: RunStore, name: str) -> Path:
    """The folder of the run that a spec starts from: one of this store, never a path.

    Raises:
        LookupError: there is no such run.
    """
    run = store.get(name)
    if run is None:
        raise LookupError("there is no such run here")
    return store.folder(run.id)


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
    from mtl_core.training import train

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


def _most_together() -> int:
    """Runs per claim. On a CPU more gain little, and all of them are over at once; nobody wants to wait so long."""
    import torch

    return MOST_ON_GPU if torch.cuda.is_available() else MOST_ON_CPU


if __name__ == "__main__":
    sys.exit(main())
