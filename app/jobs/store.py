"""The run store: the one truth about runs, shared by pages, workers and a server that was started again.

    store = open_store()
    run, created = store.submit(spec)

Importing this module does not import torch.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from sqlalchemy import Delete, Select, Update, case, delete, func, insert, select, update
from sqlalchemy.orm import Session, aliased

from app.jobs import journal, liveness, settings
from app.jobs.records import HELD, OPEN, EventRecord, RunRecord, State, SweepRecord, WorkerRecord
from app.jobs.tables import (
    SWEEP_PLACE,
    Binned,
    Event,
    Label,
    Pause,
    Run,
    StoreError,
    Sweep,
    SweepRun,
    Worker,
    open_engine,
    sqlite_url,
    store_errors,
)
from mtl_core.engine.grouping import structure
from mtl_core.events import Epoch, Failed, Finished, Step
from mtl_core.spec import RunSpec, SpecError

if TYPE_CHECKING:
    from sqlalchemy import CursorResult

__all__ = ["NotOwner", "RunStore", "StoreError", "open_store"]

#: A run whose workers die so often in a row, none of them with an epoch done, is given up.
MAX_ATTEMPTS = 3
#: Queued runs that are looked through for some that can train together with the next one.
LOOKED_THROUGH = 1000
_ID = re.compile(r"[0-9a-f]{8}")


class NotOwner(RuntimeError):
    """The run was taken from this worker, or removed: it must let go and write nothing more."""


@dataclass(frozen=True)
class Signs:
    """What a worker learns when it gives signs of life of its runs."""

    #: Ids of the runs that are to be stopped.
    stop: frozenset[str]
    #: Ids of the runs that are no longer its own.
    lost: frozenset[str]


class RunStore:
    """Runs, their events and the workers.

    Args:
        url: any SQLAlchemy URL; by default `SEESAW_STORE`, else the SQLite file `store.sqlite` in the home folder.
        home: the folder that holds the runs' folders; by default `SEESAW_HOME`.

    Raises:
        StoreError: here and in every method, when the database cannot be used.

    May be used from many threads. Methods that change a run answer for an unknown id with None or False.
    """

    def __init__(self, url: str | None = None, *, home: Path | None = None) -> None:
        self.home = (home or settings.home()).absolute()
        self._engine = open_engine(url or settings.store_url() or sqlite_url(self.home / "store.sqlite"))
        self._writer = self._engine.execution_options(writes=True)
        self._watch = liveness.Watch()

    @property
    def url(self) -> str:
        """The store's URL, with an absolute path, as another process may be given it."""
        return self._engine.url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def folder(self, run_id: str) -> Path:
        """Where a run keeps checkpoint, weights and gates. It need not exist."""
        if not _ID.fullmatch(run_id):  # ids come from links
            raise StoreError(f"There is no run {run_id!r}.")
        return self.home / "runs" / run_id

    # What people do

    def submit(self, spec: RunSpec, *, again: bool = False, pause_after: int | None = None) -> tuple[RunRecord, bool]:
        """Put a run in the queue, unless an equal one is queued, under way or finished, which is then the answer.

        Args:
            spec: what to train.
            again: make a new run in any case.
            pause_after: stop a new run when so many epochs are done; 0 leaves it stopped before the first.

        Returns:
            The run, and whether it is a new one.
        """
        with self._writing() as session:
            found = None if again else session.scalar(_same(spec))
            run_id = found or self._new_id(session)
            if found:  # it may wait with a sweep: now somebody waits for it
                waiting = update(Run).where(Run.id == found, Run.state == "queued", Run.place >= SWEEP_PLACE)
                session.execute(waiting.values(place=self._last_place(session) + 1))
            if not found:
                run = Run(id=run_id, state="queued", spec=spec.to_json(), spec_key=spec.key, created_at=time.time())
                run.place = self._last_place(session) + 1
                session.add(run)
                session.flush()
                if pause_after == 0:
                    run.state, run.finished_at = "stopped", time.time()
                elif pause_after is not None:
                    session.add(Pause(run_id=run_id, after_epoch=pause_after))
                session.flush()
            return self._one(session, run_id), not found

    def get(self, run_id: str) -> RunRecord | None:
        """The run, or None if there is none."""
        with self._reading() as session:
            row = session.execute(_RECORDS.where(Run.id == run_id)).one_or_none()
            return RunRecord(*row) if row else None

    def runs(self, limit: int = 1000, *, still_open: bool = False) -> list[RunRecord]:
        """The runs, newest first, in one query and without their events; `still_open`: queued or under way."""
        wanted = _RECORDS.where(Run.state.in_(OPEN)) if still_open else _RECORDS
        newest = wanted.order_by(Run.created_at.desc(), Run.place.desc()).limit(limit)
        with self._reading() as session:
            return [RunRecord(*row) for row in session.execute(newest)]

    def events(self, run_id: str, after_seq: int = 0, kinds: Sequence[str] | None = None) -> list[EventRecord]:
        """Stored events in order: started, epoch, finished, failed; none for an unknown run.

        After a crash a run goes on from its checkpoint and may tell of an epoch again, with a new number; the earlier
        event is then gone. Who collects events with `after_seq` lets the later one of an epoch count.
        """
        query = select(Event.seq, Event.kind, Event.epoch, Event.payload).where(Event.run_id == run_id)
        query = query.where(Event.seq > after_seq).order_by(Event.seq)
        if kinds is not None:
            query = query.where(Event.kind.in_(kinds))
        with self._reading() as session:
            return [EventRecord(*row) for row in session.execute(query)]

    def open_runs(self) -> int:
        """How many runs are queued or under way; a search that may ask for more counts as one."""
        with self._reading() as session:
            runs = session.scalar(select(func.count()).select_from(Run).where(Run.state.in_(OPEN))) or 0
            return runs + (session.scalar(select(func.count()).select_from(Sweep).where(Sweep.searching)) or 0)

    def submit_sweep(self, specs: Sequence[RunSpec], searches: Sequence[Mapping[str, Any]] = ()) -> SweepRecord:
        """Put many runs in the queue at once, behind all that people wait for.

        Equal runs that are there are reused; those that were stopped or failed go on from their checkpoints.

        Args:
            specs: what to train, in this order.
            searches: searches for loss weights (`WeightSearch` as JSON), whose runs the workers will ask for.
        """
        with self._writing() as session:
            while session.get(Sweep, sweep_id := secrets.token_hex(4)) is not None:
                pass
            request = {"searches": [dict(search) for search in searches]}
            session.add(Sweep(id=sweep_id, created_at=time.time(), request=request, searching=bool(searches)))
            session.flush()
            self._add_to_sweep(session, sweep_id, specs)
            (record,) = _sweeps(session, Sweep.id == sweep_id, 1)
            return record

    def extend_sweep(self, sweep_id: str, specs: Sequence[RunSpec]) -> None:
        """Add what a search asks for, unless the sweep was stopped; nothing to add ends the search."""
        with self._writing() as session:
            sweep = session.get(Sweep, sweep_id, with_for_update=True)
            if sweep is not None and sweep.searching:
                self._add_to_sweep(session, sweep_id, specs)
                sweep.searching = bool(specs)

    def sweeps(self, limit: int = 20) -> list[SweepRecord]:
        """The sweeps, newest first."""
        with self._reading() as session:
            return _sweeps(session, True, limit)

    def searching(self) -> list[SweepRecord]:
        """The sweeps with a search that is not over, oldest first."""
        with self._reading() as session:
            return _sweeps(session, Sweep.searching, 1000)[::-1]

    def stop_sweep(self, sweep_id: str) -> None:
        """Stop what is left of a sweep, except for runs that somebody waits for apart from it or with another sweep.

        Runs that have begun can go on later; those that have not hold nothing and are dropped, unless somebody wrote
        beside them. The sweep keeps what it has finished: nothing that is asked for later brings it back.
        """
        with self._writing() as session:
            session.execute(update(Sweep).where(Sweep.id == sweep_id).values(searching=False))
            ours = select(SweepRun.run_id).where(SweepRun.sweep_id == sweep_id)
            theirs = select(SweepRun.run_id).where(SweepRun.sweep_id != sweep_id)
            mine = Run.id.in_(ours), Run.id.not_in(theirs), Run.place >= SWEEP_PLACE
            queued, written = Run.state == "queued", Run.id.in_(select(Label.run_id))
            unbegun = session.scalars(select(Run.id).where(*mine, queued, Run.started_at.is_(None), ~written)).all()
            session.execute(delete(Run).where(Run.id.in_(unbegun)))
            session.execute(update(Run).where(*mine, queued).values(state="stopped", finished_at=time.time()))
            session.execute(update(Run).where(*mine, Run.state == "running").values(state="stopping"))
            unfinished = select(Run.id).where(Run.state != "finished")
            left = delete(SweepRun).where(SweepRun.sweep_id == sweep_id, SweepRun.run_id.in_(unfinished))
            session.execute(left)
        for run_id in unbegun:
            self._remove_folder(run_id)

    def request_stop(self, run_id: str) -> RunRecord | None:
        """Stop a run: a queued one at once, a running one before its next step."""
        with self._writing() as session:
            mine = update(Run).where(Run.id == run_id)
            session.execute(mine.where(Run.state == "queued").values(state="stopped", finished_at=time.time()))
            session.execute(mine.where(Run.state == "running").values(state="stopping"))
        return self.get(run_id)

    def resume(self, run_id: str, *, epochs: int | None = None) -> RunRecord | None:
        """Queue a stopped or failed run again; it goes on from its checkpoint. One just stopping is not stopped.

        Others are left as they are.

        Args:
            run_id: the run.
            epochs: stop again when so many more epochs are done; None goes on to the end.
        """
        with self._writing() as session:
            ended = update(Run).where(Run.id == run_id, Run.state.in_(("stopped", "failed")))
            again = {"state": "queued", "place": self._last_place(session) + 1, "finished_at": None, "message": None}
            leaving = update(Run).where(Run.id == run_id, Run.state == "stopping", Run.deleted.is_(False))
            if _rows(session, ended.values(**again, attempts=0)) or _rows(session, leaving.values(state="running")):
                self._set_pause(session, run_id, epochs)
        return self.get(run_id)

    def pause(self, run_id: str) -> RunRecord | None:
        """Stop a queued run, or one under way, when its next epoch is done; the last epoch ends a run anyway."""
        with self._writing() as session:
            if session.scalar(select(Run.id).where(Run.id == run_id, Run.state.in_(("queued", "running")))):
                self._set_pause(session, run_id, 1)
        return self.get(run_id)

    def delete(self, run_id: str) -> bool:
        """Remove a run and its folder; one under way is stopped, and removed when its worker lets go.

        Returns:
            Whether there was such a run.
        """
        with self._writing() as session:
            mine = Run.id == run_id
            removed = _rows(session, delete(Run).where(mine, Run.state.not_in(HELD))) > 0
            leaving = update(Run).where(mine, Run.state.in_(HELD)).values(state="stopping", deleted=True)
            known = removed or _rows(session, leaving) > 0
        if removed:
            self._remove_folder(run_id)
        return known

    # What workers do

    def claim(self, worker_id: str) -> RunRecord | None:
        """Take the next run of the queue; no two workers get the same one, and one that is given up gets none."""
        return next(iter(self.claim_together(worker_id, 1)), None)

    def claim_together(self, worker_id: str, most: int) -> list[RunRecord]:
        """Take the next run of the queue, and others of its structure, which can train with it as one population.

        A run that somebody waits for is joined by others of that kind only, one of a sweep first by those of the same
        sweep. One whose workers died comes alone, so that it takes no others with it again.

        Args:
            worker_id: who takes them.
            most: how many it can take.

        Returns:
            The next run first; empty where the queue is.
        """
        while chosen := self._choose(most):  # read first: an idle worker asks often and must not hold up writers
            with self._writing() as session:
                # The run of a worker that is not registered would at once be taken for an orphan.
                if session.get(Worker, worker_id) is None:
                    return []
                taken = [run_id for run_id in chosen if self._take(session, run_id, worker_id)]
                if taken:
                    return [self._one(session, run_id) for run_id in taken]
        return []

    def should_yield(self, worker_id: str) -> bool:
        """Does somebody wait for a run while this worker holds runs of sweeps only?"""
        with self._reading() as session:
            waits = select(Run.id).where(Run.state == "queued", Run.place < SWEEP_PLACE).limit(1)
            if session.scalar(waits) is None:
                return False
            own = select(Run.id).where(Run.worker_id == worker_id, Run.state.in_(HELD), Run.place < SWEEP_PLACE)
            return session.scalar(own.limit(1)) is None

    def append(self, run_id: str, worker_id: str, event: journal.Told) -> bool:
        """Store an event; `finished` and `failed` end the run.

        Returns:
            Whether the run is to be stopped.

        Raises:
            NotOwner: the run is no longer this worker's.
        """
        with self._holding(run_id, worker_id) as (session, run):
            stop = run.state == "stopping"
            journal.note(session, run, event)
            if isinstance(event, Epoch) and (pause := session.get(Pause, run_id)) is not None:
                # After its last epoch there is nothing to wait for but the test rows.
                stop = stop or pause.after_epoch <= event.epoch < run.spec["training"]["epochs"]
            if isinstance(event, Finished | Failed):
                _let_go(run, "finished" if isinstance(event, Finished) else "failed")
        return stop

    def progress(self, run_id: str, worker_id: str, event: Step) -> bool:
        """Note a sign of life between epochs; answers and raises like `append`."""
        with self._holding(run_id, worker_id) as (_, run):
            journal.step(run, event)
            return run.state == "stopping"

    def signs_of_life(self, worker_id: str, steps: Mapping[str, Step], held: Iterable[str]) -> Signs:
        """`progress` of many runs at once.

        Args:
            worker_id: who trains them.
            steps: the last step of each run that has one.
            held: every run that the worker believes to hold.
        """
        with self._writing() as session:
            mine = session.scalars(select(Run).where(Run.worker_id == worker_id, Run.state.in_(HELD)))
            runs = {run.id: run for run in mine}
            for run_id in steps.keys() & runs.keys():
                journal.step(runs[run_id], steps[run_id])
            stop = frozenset(run_id for run_id, run in runs.items() if run.state == "stopping")
        return Signs(stop, frozenset(held) - runs.keys())

    def release(
        self, run_id: str, worker_id: str, state: Literal["stopped", "queued"], *, suspect: bool = False
    ) -> None:
        """Let go of a run that is not over: stopped for good, or back to its place in the queue.

        Args:
            run_id: the run.
            worker_id: who lets go.
            state: what becomes of it.
            suspect: it may be at fault that its population could not go on, so it is to be trained alone.

        Raises:
            NotOwner: the run is no longer this worker's.
        """
        with self._holding(run_id, worker_id) as (session, run):
            run.attempts = MAX_ATTEMPTS - 1 if suspect else max(0, run.attempts - 1)  # else no fault of the run's
            if run.state == "stopping":
                state = "stopped"
            elif state == "stopped":
                pause = session.get(Pause, run_id)
                if pause is None or pause.after_epoch > run.epoch:
                    state = "queued"  # somebody wanted it to go on after the worker had read that it was to stop
            _let_go(run, state)

    def register_worker(self, worker_id: str, slot: int) -> None:
        """Say that this process is a worker."""
        host, pid, started = liveness.this_process()
        values = {"host": host, "pid": pid, "process_started": started, "slot": slot, "heartbeat_at": time.time()}
        with self._writing() as session:
            session.execute(delete(Worker).where(Worker.id == worker_id))
            session.execute(insert(Worker).values(id=worker_id, **values))

    def beat(self, worker_id: str) -> bool:
        """A worker's sign of life. False: it was given up and must register again."""
        with self._writing() as session:
            mine = update(Worker).where(Worker.id == worker_id)
            return _rows(session, mine.values(heartbeat_at=time.time())) > 0

    def unregister_worker(self, worker_id: str) -> None:
        """Say that this worker leaves."""
        with self._writing() as session:
            session.execute(delete(Worker).where(Worker.id == worker_id))

    def workers(self) -> list[WorkerRecord]:
        """The workers that registered and were not given up."""
        with self._reading() as session:
            return _workers(session)

    def reclaim_orphans(self) -> list[str]:
        """Take the runs of dead workers from them: back to their place in the queue, with their checkpoint.

        To be called about every second; a silent worker whose process cannot be seen is given up after some calls.

        Returns:
            Ids of the runs that were taken.
        """
        with self._reading() as session:
            held = session.execute(select(Run.id, Run.worker_id).where(Run.state.in_(HELD))).all()
            workers = _workers(session)
        dead = self._watch.dead(workers)
        alive = {worker.id for worker in workers} - dead
        orphans = [(run_id, owner) for run_id, owner in held if owner not in alive]
        taken = []
        for run_id, owner in orphans:
            try:
                with self._holding(run_id, owner or "") as (_, run):
                    if run.state == "stopping":
                        _let_go(run, "stopped")
                    elif run.attempts >= MAX_ATTEMPTS:
                        run.message = f"The worker died {run.attempts} times in a row at this run: see worker.log."
                        _let_go(run, "failed")
                    else:
                        _let_go(run, "queued")
                taken.append(run_id)
            except NotOwner:
                continue  # somebody else was quicker
        for worker in (worker for worker in workers if worker.id in dead):
            with self._writing() as session:  # unless it beat again meanwhile
                same = Worker.id == worker.id, Worker.heartbeat_at == worker.heartbeat_at
                session.execute(delete(Worker).where(*same))
        return taken

    def transaction(self, *, writes: bool = False) -> AbstractContextManager[Session]:
        """A session for the other modules of this package, which keep more than the queue in the same database."""
        return self._writing() if writes else self._reading()

    # Within

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with store_errors(self._engine), Session(self._engine) as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with store_errors(self._engine), Session(self._writer) as session, session.begin():
            yield session

    @contextmanager
    def _holding(self, run_id: str, worker_id: str) -> Iterator[tuple[Session, Run]]:
        """A run in the hands of its worker; one that was let go and is to be deleted is removed at the end."""
        with self._writing() as session:
            run = session.get(Run, run_id, with_for_update=True)
            if run is None or run.worker_id != worker_id or run.state not in HELD:
                raise NotOwner(f"Run {run_id} is not held by worker {worker_id}.")
            yield session, run
            gone = run.deleted and run.state not in HELD and session.get(Binned, run_id) is None
            if gone:
                session.flush()
                session.execute(delete(Run).where(Run.id == run_id))
        if gone:
            self._remove_folder(run_id)

    @staticmethod
    def _set_pause(session: Session, run_id: str, epochs: int | None) -> None:
        """Stop when so many epochs more than now are done; None: not before the end."""
        session.execute(delete(Pause).where(Pause.run_id == run_id))
        if epochs is not None:
            done = session.scalar(select(Run.epoch).where(Run.id == run_id)) or 0
            session.add(Pause(run_id=run_id, after_epoch=done + epochs))

    def _choose(self, most: int) -> list[str]:
        """Ids of the next run and of those that can train with it."""
        queued = select(Run.id, Run.place, Run.attempts, Run.spec).where(Run.state == "queued")
        with self._reading() as session:
            head = session.execute(queued.order_by(Run.place, Run.id).limit(1)).one_or_none()
            if head is None:
                return []
            if most == 1 or head.attempts >= MAX_ATTEMPTS - 1:
                return [head.id]
            sweeps = select(SweepRun.sweep_id).where(SweepRun.run_id == head.id)
            same_sweep = Run.id.in_(select(SweepRun.run_id).where(SweepRun.sweep_id.in_(sweeps)))
            kind = Run.place >= SWEEP_PLACE if head.place >= SWEEP_PLACE else Run.place < SWEEP_PLACE
            others = queued.where(Run.id != head.id, kind, Run.attempts < MAX_ATTEMPTS - 1)
            rows = session.execute(others.order_by(same_sweep.desc(), Run.place, Run.id).limit(LOOKED_THROUGH)).all()
        wanted = _structure(json.dumps(head.spec))
        alike = [row.id for row in rows if wanted is not None and _structure(json.dumps(row.spec)) == wanted]
        return [head.id, *alike[: most - 1]]

    @staticmethod
    def _take(session: Session, run_id: str, worker_id: str) -> bool:
        take = update(Run).where(Run.id == run_id, Run.state == "queued")
        values = {"state": "running", "worker_id": worker_id, "attempts": Run.attempts + 1}
        return _rows(session, take.values(**values, updated_at=time.time())) > 0

    def _add_to_sweep(self, session: Session, sweep_id: str, specs: Sequence[RunSpec]) -> None:
        place = max(SWEEP_PLACE - 1, session.scalar(select(func.max(Run.place))) or 0)
        number = session.scalar(select(func.max(SweepRun.number)).where(SweepRun.sweep_id == sweep_id)) or 0
        linked = set(session.scalars(select(SweepRun.run_id).where(SweepRun.sweep_id == sweep_id)))
        for spec in specs:
            run_id = session.scalar(_same(spec))
            if run_id is None:
                place += 1
                run = session.scalar(select(Run).where(Run.spec_key == spec.key, ~Run.deleted).limit(1))
                if run is None:
                    run = Run(id=self._new_id(session), spec=spec.to_json(), spec_key=spec.key, created_at=time.time())
                    session.add(run)
                run.state, run.place, run.attempts, run.finished_at, run.message = "queued", place, 0, None, None
                session.flush()
                run_id = run.id
            else:  # one that is just stopping goes on
                leaving = update(Run).where(Run.id == run_id, Run.state == "stopping")
                session.execute(leaving.values(state="running"))
            if run_id not in linked:
                linked.add(run_id)
                number += 1
                session.add(SweepRun(sweep_id=sweep_id, run_id=run_id, number=number))

    def _remove_folder(self, run_id: str) -> None:
        shutil.rmtree(self.folder(run_id), ignore_errors=True)

    @staticmethod
    def _one(session: Session, run_id: str) -> RunRecord:
        return RunRecord(*session.execute(_RECORDS.where(Run.id == run_id)).one())

    @staticmethod
    def _new_id(session: Session) -> str:
        while session.get(Run, run_id := secrets.token_hex(4)) is not None:
            pass
        return run_id

    @staticmethod
    def _last_place(session: Session) -> int:
        return session.scalar(select(func.max(Run.place)).where(Run.place < SWEEP_PLACE)) or 0


def _same(spec: RunSpec) -> Select[str]:
    """The run that answers for this spec: equal, and queued, under way or finished."""
    same = select(Run.id).where(Run.spec_key == spec.key, Run.state.in_((*OPEN, "finished")), ~Run.deleted)
    return same.order_by(Run.created_at.desc()).limit(1)


@lru_cache(maxsize=4096)
def _structure(spec_json: str) -> str | None:
    """What runs must have in common to train together; None for a spec that cannot be read, which trains alone."""
    try:
        return structure(RunSpec.parse(json.loads(spec_json)))
    except SpecError:
        return None


def _sweeps(session: Session, which: Any, limit: int) -> list[SweepRecord]:
    sweeps = session.scalars(select(Sweep).where(which).order_by(Sweep.created_at.desc(), Sweep.id).limit(limit)).all()
    ids = [sweep.id for sweep in sweeps]
    rows = select(SweepRun.sweep_id, SweepRun.run_id).where(SweepRun.sweep_id.in_(ids)).order_by(SweepRun.number)
    runs: dict[str, list[str]] = {sweep_id: [] for sweep_id in ids}
    for sweep_id, run_id in session.execute(rows):
        runs[sweep_id].append(run_id)
    return [
        SweepRecord(s.id, s.created_at, tuple(runs[s.id]), tuple(s.request["searches"]), s.searching) for s in sweeps
    ]


def _records() -> Select[Any]:
    ahead = aliased(Run)
    before = select(func.count()).where(ahead.state == "queued", ahead.place <= Run.place)
    position = case((Run.state == "queued", before.correlate(Run).scalar_subquery())).label("queue_position")
    names = [field.name for field in fields(RunRecord)]
    columns = [position if name == "queue_position" else getattr(Run, name) for name in names]
    return select(*columns).where(~Run.deleted)


#: Columns in the order of RunRecord's fields. Built once: it costs more than the answer for one run.
_RECORDS = _records()


def _workers(session: Session) -> list[WorkerRecord]:
    columns = (getattr(Worker, field.name) for field in fields(WorkerRecord))
    return [WorkerRecord(*row) for row in session.execute(select(*columns))]


def _rows(session: Session, statement: Update | Delete) -> int:
    return cast("CursorResult[Any]", session.execute(statement)).rowcount


def _let_go(run: Run, state: State) -> None:
    run.state, run.worker_id = state, None
    if state != "queued":
        run.finished_at = time.time()


_stores: dict[tuple[str | None, Path], RunStore] = {}
_stores_lock = threading.Lock()


def open_store() -> RunStore:
    """The store that the environment names; one object per process, shared by all sessions."""
    key = (settings.store_url(), settings.home())
    with _stores_lock:
        if key not in _stores:
            _stores[key] = RunStore()
        return _stores[key]
