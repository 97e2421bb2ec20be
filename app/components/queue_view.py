"""What is being trained right now, in one line that any page can carry."""

from __future__ import annotations

import streamlit as st

from app import services, wording
from app.i18n import tr
from app.jobs.records import RunRecord

TICK = "2s"


def queue_line() -> None:
    """One line while runs are open; when the last one ends, the page is drawn again with its result."""
    runs = _open_runs()
    st.fragment(_line, run_every=TICK if runs else None)(tuple(run.id for run in runs))


def _line(known: tuple[str, ...]) -> None:
    runs = _open_runs()
    if known and tuple(run.id for run in runs) != known:
        st.rerun()
    if runs:
        running = [run for run in runs if run.state != "queued"]
        first = running[0] if running else runs[-1]
        together, waiting = len(running) - 1, len(runs) - len(running)
        epoch = min(first.epoch + 1, first.epochs)
        parts = [tr("{run}: epoch {n} of {all}", run=wording.run_name(first), n=epoch, all=first.epochs)]
        parts += [tr("{n} more training", n=together)] if together > 0 else []
        parts += [tr("{n} waiting", n=waiting)] if waiting else []
        st.progress(first.fraction, text=" · ".join(parts))


def _open_runs() -> list[RunRecord]:
    return services.library().store.runs(still_open=True)
