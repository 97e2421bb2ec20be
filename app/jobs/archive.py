"""What is kept beside the queue: tags and notes, deleted runs, runs that came in a file, and curves in short.

    archive = Archive(store)
    archive.tag([run.id], add={"baseline"})

Importing this module does not import torch.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.jobs import journal
from app.jobs.records import HELD, RunRecord
from app.jobs.store import RunStore
from app.jobs.tables import Binned, Event, Label, Run
from mtl_core.spec import RunSpec

#: A deleted run can be had back for so many seconds.
KEPT = 24 * 3600.0
LONGEST_TAG, LONGEST_NOTE, MOST_TAGS = 40, 4000, 20
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class Labels:
    """What people wrote beside a run."""

    tags: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Arrival:
    """A run from a file, checked. Times are seconds since 1970 (UTC)."""

    #: Its id where it comes from; here it gets another one if a different run has it already.
    id: str
    spec: RunSpec
    state: Literal["finished", "failed", "stopped"]
    created_at: float
    finished_at: float | None
    message: str | None
    tags: tuple[str, ...]
    note: str
    events: tuple[journal.Told, ...]


@dataclass(frozen=True)
class Added:
    """What became of arrivals: ids of new runs, and of runs that were here already."""

    new: tuple[str, ...]
    known: tuple[str, ...]


class Archive:
    """Works on the same database as the store. Unknown ids are left out of account."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._curves: dict[str, tuple[int, list[tuple[int, dict[str, Any]]]]] = {}

    def labels(self) -> dict[str, Labels]:
        """Tags and notes by run; runs without any are left out."""
        with self._store.transaction() as session:
            rows = session.execute(select(Label.run_id, Label.tags, Label.note))
            return {run_id: Labels(tuple(tags), note) for run_id, tags, note in rows}

    def tag(self, run_ids: Iterable[str], add: Collection[str] = (), remove: Collection[str] = ()) -> None:
        """Add tags to runs and take others away. A tag has no comma, at most 40 letters, and stands once."""
        wanted = [tag for tag in (clean_tag(text) for text in add) if tag]
        with self._store.transaction(writes=True) as session:
            for label in self._labels(session, run_ids):
                kept = [tag for tag in label.tags if tag not in remove]
                label.tags = [*kept, *(tag for tag in dict.fromkeys(wanted) if tag not in kept)][:MOST_TAGS]

    def note(self, run_id: str, text: str) -> None:
        """Replace a run's note."""
        with self._store.transaction(writes=True) as session:
            for label in self._labels(session, [run_id]):
                label.note = text.strip()[:LONGEST_NOTE]

    def discard(self, run_ids: Iterable[str]) -> list[str]:
        """Delete runs so that they can be had back for a day. One under way is stopped.

        Returns:
            Ids of those that were there.
        """
        self.empty(before=time.time() - KEPT)
        found = []
        with self._store.transaction(writes=True) as session:
            for run in self._runs(session, run_ids, deleted=False):
                session.merge(Binned(run_id=run.id, at=time.time(), queued=run.state == "queued"))
                run.deleted = True
                if run.state == "queued":
                    run.state, run.finished_at = "stopped", time.time()
                elif run.state == "running":
                    run.state = "stopping"
                found.append(run.id)
        return found

    def restore(self, run_ids: Iterable[str]) -> None:
        """Have deleted runs back: as they were, or stopped if they were under way."""
        with self._store.transaction(writes=True) as session:
            for run in self._runs(session, run_ids, deleted=True):
                binned = session.get(Binned, run.id)
                if binned is None:
                    continue
                run.deleted = False
                if binned.queued and run.state == "stopped":
                    run.state, run.finished_at = "queued", None
                session.delete(binned)

    def binned(self) -> list[RunRecord]:
        """Deleted runs that can be had back, the last deleted first."""
        with self._store.transaction() as session:
            recent = Binned.at >= time.time() - KEPT
            rows = select(Run).join(Binned, Binned.run_id == Run.id).where(Run.deleted, recent)
            return [_record(run) for run in session.scalars(rows.order_by(Binned.at.desc(), Run.id))]

    def empty(self, before: float | None = None) -> None:
        """Remove deleted runs for good, with their folders: all, or those that were deleted before a time."""
        with self._store.transaction() as session:
            old = select(Binned.run_id).where(Binned.at < before) if before is not None else select(Binned.run_id)
            doomed = list(session.scalars(old))
        if not doomed:
            return
        with self._store.transaction(writes=True) as session:
            # One whose worker has not let go yet is then removed when it does.
            session.execute(delete(Binned).where(Binned.run_id.in_(doomed)))
        for run_id in doomed:
            self._store.delete(run_id)

    def curves(self, records: Sequence[RunRecord]) -> dict[str, list[tuple[int, dict[str, Any]]]]:
        """Per run, epochs in order with their validation metrics by task, without anything else that they say.

        Remembered, so that a list of hundreds of runs costs only what is new.
        """
        stale = [r for r in records if r.id not in self._curves or self._curves[r.id][0] != _age(r)]
        if stale:
            valid = Event.payload["metrics"]["valid"]
            query = select(Event.run_id, Event.epoch, valid).where(Event.kind == "epoch")
            read: dict[str, dict[int, dict[str, Any]]] = {record.id: {} for record in stale}
            with self._store.transaction() as session:
                for run_id, epoch, metrics in session.execute(
                    query.where(Event.run_id.in_(list(read))).order_by(Event.seq)
                ):
                    read[run_id][epoch] = metrics
            for record in stale:
                self._curves[record.id] = _age(record), sorted(read[record.id].items())
        return {record.id: self._curves[record.id][1] for record in records}

    def add(self, arrivals: Sequence[Arrival]) -> Added:
        """Take in runs from a file, all of them or, if the database refuses, none.

        One that is here already, by id and content, is not doubled; if it was deleted, it is had back.
        """
        new, known = [], []
        with self._store.transaction(writes=True) as session:
            for arrival in arrivals:
                there = session.get(Run, arrival.id)
                if there is not None and there.spec_key == arrival.spec.key and _same_story(session, there, arrival):
                    session.execute(delete(Binned).where(Binned.run_id == there.id))
                    if there.state not in HELD:
                        there.deleted = False
                    known.append(there.id)
                    continue
                new.append(self._insert(session, arrival, taken=there is not None))
        return Added(tuple(new), tuple(known))

    @staticmethod
    def _insert(session: Session, arrival: Arrival, taken: bool) -> str:
        run_id, spec = arrival.id, arrival.spec
        while taken or not _ID.fullmatch(run_id):
            run_id = secrets.token_hex(4)
            taken = session.get(Run, run_id) is not None
        run = Run(id=run_id, state="stopped", spec=spec.to_json(), spec_key=spec.key, created_at=arrival.created_at)
        run.place = 0
        session.add(run)
        session.flush()
        for event in arrival.events:
            journal.note(session, run, event)
            session.flush()
        run.state, run.message = arrival.state, arrival.message
        # When it was trained, not when it came here: estimates and the order of the list live from these.
        run.started_at, run.updated_at, run.finished_at = None, arrival.finished_at, arrival.finished_at
        if arrival.tags or arrival.note:
            session.add(Label(run_id=run_id, tags=list(arrival.tags), note=arrival.note))
        return run_id

    @staticmethod
    def _runs(session: Session, run_ids: Iterable[str], deleted: bool) -> list[Run]:
        return list(session.scalars(select(Run).where(Run.id.in_(list(run_ids)), Run.deleted == deleted)))

    @classmethod
    def _labels(cls, session: Session, run_ids: Iterable[str]) -> list[Label]:
        """The labels of runs that are there, made where there are none yet."""
        found = []
        for run in cls._runs(session, run_ids, deleted=False):
            label = session.get(Label, run.id)
            if label is None:
                label = Label(run_id=run.id, tags=[], note="")
                session.add(label)
            found.append(label)
        return found


def clean_tag(text: str) -> str:
    """A tag as it is kept: one line without commas, which part tags in links; empty if nothing is left."""
    return " ".join("".join(c if c.isprintable() else " " for c in text.replace(",", " ")).split())[
        :LONGEST_TAG
    ].strip()


def _same_story(session: Session, run: Run, arrival: Arrival) -> bool:
    told = session.scalars(select(Event.payload).where(Event.run_id == run.id).order_by(Event.seq)).all()
    return list(told) == [event.to_json() for event in arrival.events]


def _age(record: RunRecord) -> int:
    """Grows when a run has more to tell; another attempt may say again what an earlier one said."""
    return hash((record.epoch, record.started_at, record.state))


def _record(run: Run) -> RunRecord:
    values = {f.name: getattr(run, f.name) for f in fields(RunRecord) if f.name != "queue_position"}
    return RunRecord(**values, queue_position=None)
