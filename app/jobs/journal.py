"""What an event does to the rows of its run."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from app.jobs.tables import Event, Run
from mtl_core.events import Epoch, Failed, Finished, Started, Step

Told = Started | Epoch | Finished | Failed


def note(session: Session, run: Run, event: Told) -> None:
    """Store the event and bring the run's row up to date. State and owner are not touched."""
    run.updated_at = time.time()
    payload = event.to_json()
    match event:
        case Started():
            _begin(session, run, event, payload)
        case Epoch():
            run.epoch, run.step = event.epoch, 0
            run.samples_per_second = event.samples_per_second
            run.train_seconds += event.train_seconds
            # The run makes progress, so it is not what kills its workers.
            run.attempts = 0
            _store(session, run, event.event, event.epoch, payload)
        case Finished():
            run.epoch, run.step = event.epoch, 0
            run.parameters, run.device = event.parameters, event.device
            run.train_seconds, run.best_epoch = event.train_seconds, event.best_epoch
            run.metrics_test = payload["metrics"].get("test")
            _store(session, run, event.event, event.epoch, payload)
        case Failed():
            run.message = event.message
            _store(session, run, event.event, None, payload)


def step(run: Run, event: Step) -> None:
    """Bring the run's row up to date with a sign of life."""
    run.epoch, run.step, run.steps = event.epoch - 1, event.step, event.steps
    run.samples_per_second = event.samples_per_second
    run.updated_at = time.time()


def _begin(session: Session, run: Run, event: Started, payload: dict[str, Any]) -> None:
    run.started_at = run.updated_at
    run.epoch = run.resumed_from = event.resumed_from
    run.step, run.steps = 0, event.steps
    run.parameters, run.device, run.message = event.parameters, event.device, None
    mine = Event.run_id == run.id
    # The last attempt may have told of an epoch whose checkpoint was never written: it will be trained again.
    session.execute(delete(Event).where(mine, or_(Event.epoch > event.resumed_from, Event.epoch.is_(None))))
    seconds = func.sum(Event.payload["train_seconds"].as_float())
    run.train_seconds = session.scalar(select(seconds).where(mine, Event.kind == "epoch")) or 0.0
    first = session.scalar(select(Event).where(mine, Event.kind == "started"))
    if first is not None and event.resumed_from > 0:
        # In its old place, so that a curve begins with `started` and has it once.
        first.payload = payload
        return
    session.execute(delete(Event).where(mine))
    _store(session, run, event.event, 0, payload)


def _store(session: Session, run: Run, kind: str, epoch: int | None, payload: dict[str, Any]) -> None:
    run.last_seq += 1
    session.add(Event(run_id=run.id, seq=run.last_seq, kind=kind, epoch=epoch, payload=payload))
