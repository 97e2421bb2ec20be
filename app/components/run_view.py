"""Everything about one run: what it does now, its architecture and gates, its curves."""

from __future__ import annotations

import streamlit as st

from app import analysis, services, wording
from app.charts.architecture import architecture
from app.charts.curves import auc_curves
from app.charts.gates import gate_bars
from app.components.live import live_chart
from app.jobs.records import RunRecord
from app.library import History, is_example

STATES = {
    "queued": ":material/schedule: queued",
    "running": ":material/play_arrow: running",
    "stopping": ":material/stop: stopping",
    "finished": ":material/check: finished",
    "stopped": ":material/stop_circle: stopped",
    "failed": ":material/error: failed",
}


def header(record: RunRecord, history: History) -> None:
    """Name, state, size and result of a run in one line."""
    parts = ["bundled example" if is_example(record.id) else STATES[record.state]]
    if record.parameters:
        parts.append(f"{record.parameters:,} parameters")
    if record.state == "finished":
        parts.append(f"{wording.seconds(record.train_seconds)} of training on {record.device}")
    st.markdown(f"**{wording.run_name(record)}**", help=wording.source_line(history) or None)
    st.caption(" · ".join(parts))
    for note in history.started.notes if history.started else ():
        st.caption(f":material/info: {note}")


def progress(record: RunRecord) -> None:
    """How far the run is, and the buttons that fit its state."""
    if record.state == "queued":
        place = record.queue_position or 1
        ahead = "next in line" if place == 1 else f"{place - 1} before it in the queue"
        st.progress(0.0, text=f"Waiting for a worker: {ahead}")
    elif record.open:
        pieces = [f"epoch {min(record.epoch + 1, record.epochs)} of {record.epochs}"]
        if record.samples_per_second:
            pieces.append(f"{wording.count(record.samples_per_second)} samples/s")
        if record.seconds_left is not None:
            pieces.append(f"{wording.seconds(record.seconds_left)} left")
        st.progress(record.fraction, text="Stopping" if record.state == "stopping" else " · ".join(pieces))
    elif record.state == "failed":
        st.error(record.message or "The run failed.", title="This run failed")
    elif record.state == "stopped":
        st.info(
            f"Stopped after epoch {record.epoch} of {record.epochs}. It can go on from there." if record.epoch
            else "Stopped before the first epoch was done."
        )  # fmt: skip
    if record.state in ("queued", "running"):
        st.button(
            "Stop",
            icon=":material/stop:",
            key=f"stop.{record.id}",
            on_click=_stop,
            args=(record.id,),
            shortcut="Escape",
        )
    elif record.state == "stopped":
        st.button("Go on", icon=":material/play_arrow:", key=f"resume.{record.id}", on_click=_resume, args=(record.id,))


def curves_card(record: RunRecord, history: History, baseline: RunRecord | None) -> None:
    """AUC by epoch."""
    library = services.library()
    with st.container(border=True):
        st.markdown("**AUC by epoch (validation)**")
        base = library.history(baseline.id) if baseline is not None and baseline.id != record.id else None
        rows = analysis.with_yardstick(history, base, wording.run_name(record))
        tasks = _tasks(record, history)
        sentence = wording.curves_sentence(history, base)
        metric = wording.metric_names(history)
        live_chart(auc_curves(rows, tasks, record.epochs, metric), _alt(record, "AUC by epoch.", sentence))
        st.caption(sentence)
        st.caption(
            ("Dotted: single-task with the same seed and budget. Ring: test. " if base else "Ring: test. ")
            + wording.source_line(history)
        )


def gates_card(record: RunRecord, history: History) -> None:
    """Who listens to whom, and the mean gate weights of an epoch that can be chosen."""
    wiring, tasks = analysis.wiring(record, history), _tasks(record, history)
    with st.container(border=True):
        st.markdown("**Who listens to whom**")
        gates = history.gates
        kept = [epoch for epoch in history.epochs if epoch.gates]
        chosen = kept[-1].epoch if kept else 0
        if len(kept) > 1 and not record.open:
            numbers = [epoch.epoch for epoch in kept]
            tested = record.best_epoch if record.best_epoch in numbers else numbers[-1]
            chosen = st.select_slider("Epoch", numbers, tested, key=f"epoch.{record.id}", persist_state="session")
            gates = next(epoch.gates for epoch in kept if epoch.epoch == chosen)
        means = {name: summary.mean for name, summary in gates.items()} or None
        sentence = wording.gates_sentence(wiring, tasks, gates)
        # Of the run, not of the chosen epoch: see _alt.
        claim = wording.gates_sentence(wiring, tasks, history.gates)
        live_chart(architecture(wiring, tasks, means), _alt(record, "Architecture.", claim))
        st.caption(
            f"Line width: mean gate weight{f' after epoch {chosen}' if chosen else ''}. "
            "Grey: shared expert. Tint: private to a task."
        )
        if gates:
            live_chart(gate_bars(wiring, gates), _alt(record, "Mean gate weights.", claim))
        st.caption(sentence)


def run_panel(run_id: str, ticking: bool) -> None:
    """The whole view of one run, as a fragment; `ticking`: it has a clock, as one of an open run should."""
    library = services.library()
    record = library.record(run_id)
    if record is None:
        st.info("This run is no longer there: it was deleted. The example below is always there.")
        return
    history = library.history(run_id)
    header(record, history)
    progress(record)
    if record.open is not ticking:
        st.rerun()  # the page starts or drops the clock, and draws what belongs to a finished run
    baseline = analysis.find_baseline(record, library.records())
    left, right = st.columns([3, 2])
    with left:
        gates_card(record, history)
    with right:
        curves_card(record, history, baseline)


def _alt(record: RunRecord, what: str, claim: str) -> str:
    """What a chart shows, and what it says once the run is over: a new alt text makes the browser draw it anew."""
    return f"{what} The numbers so far are in the text below." if record.open else f"{what} {claim}"


def _tasks(record: RunRecord, history: History) -> list[str]:
    return list(history.started.tasks) if history.started else list(analysis.keys(record).spec.schema.task_names)


def _stop(run_id: str) -> None:
    services.library().store.request_stop(run_id)


def _resume(run_id: str) -> None:
    services.library().store.resume(run_id)
    services.executor().ensure_worker()
