"""A finished run shown once more as it trained, epoch by epoch, for whoever was not there; nothing is trained anew."""

from __future__ import annotations

import time
from dataclasses import replace

import streamlit as st

from app.i18n import tr
from app.jobs.records import RunRecord
from app.library import History

#: The run, and when its first epoch was shown.
SHOWN = "play.again"
#: Seconds that it takes: as long as the training did, within these.
SHORTEST, LONGEST = 5.0, 12.0
TICK = "0.5s"


def begin(run_id: str) -> None:
    """From the first epoch, on the next drawing of the page."""
    st.session_state[SHOWN] = run_id, time.monotonic()


def end() -> None:
    """Back to the finished run."""
    st.session_state.pop(SHOWN, None)


def epoch_shown(record: RunRecord) -> int | None:
    """The epoch that is due; None where this run is not being shown again, or has been to its end."""
    run_id, since = st.session_state.get(SHOWN, (None, 0.0))
    if run_id != record.id or record.state != "finished":
        return None
    whole = min(max(record.train_seconds, SHORTEST), LONGEST)
    epoch = 1 + int((time.monotonic() - since) / whole * record.epoch)
    return epoch if epoch <= record.epoch else None


def as_it_was(record: RunRecord, history: History, epoch: int) -> tuple[RunRecord, History]:
    """The run as somebody saw it who watched it after this epoch."""
    then = replace(record, state="running", epoch=epoch, best_epoch=None, metrics_test=None)
    kept = tuple(each for each in history.epochs if each.epoch <= epoch)
    return then, History(history.started, kept, None, history.last_seq)


def bar(record: RunRecord, epoch: int) -> None:
    """How far it is, and the way to its end."""
    with st.container(horizontal=True, vertical_alignment="center"):
        told = tr("Shown again as it trained: epoch {n} of {all}", n=epoch, all=record.epoch)
        st.progress(epoch / record.epoch, text=told)
        if st.button(tr("To the end"), key="again.end", icon=":material/skip_next:", shortcut="Escape"):
            end()
            st.rerun()


def button(record: RunRecord) -> None:
    """Beside a finished run: watch it train."""
    if st.button(
        tr("Watch it train"), key="again.begin", icon=":material/replay:", type="tertiary",
        help=tr("What was recorded, epoch by epoch; nothing is trained anew"),
    ):  # fmt: skip
        begin(record.id)
        st.rerun()
