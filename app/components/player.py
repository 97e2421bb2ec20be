"""Play, pause, step one epoch, start over: what the controls say, as a run of the store."""

from __future__ import annotations

import streamlit as st

from app import analysis, services, wording
from app.components import playback
from app.components.setup_panel import Setup
from app.estimate import estimate, estimate_line
from app.i18n import tr
from app.jobs.records import RunRecord
from app.library import is_example

#: What was pressed, for the run of the page that follows: only there the controls have said everything.
WANTED = "player.wanted"
#: How far back an untouched run of the same spec is looked for.
RECENT = 50


def is_same(setup: Setup, record: RunRecord | None) -> bool:
    """Is the run that is shown the one that the controls describe?"""
    return record is not None and setup.spec is not None and analysis.keys(record).spec.key == setup.spec.key


def carry_out(setup: Setup, record: RunRecord | None) -> None:
    """Do what was pressed; to be called once the controls are drawn.

    Args:
        setup: what the controls say.
        record: the run that is shown.
    """
    wanted = st.session_state.pop(WANTED, None)
    if wanted is None or not setup.trainable:
        return
    mine = record if is_same(setup, record) and record is not None and not is_example(record.id) else None
    {"play": _play, "step": _step, "reset": _reset}[wanted](setup, mine)
    services.executor().ensure_worker()


def player(setup: Setup, record: RunRecord | None) -> None:
    """The buttons, with what is known about the time it will take."""
    mine = record if is_same(setup, record) and record is not None and not is_example(record.id) else None
    state = mine.state if mine is not None else None
    labels = {
        "queued": (tr("Pause"), ":material/pause:"),
        "running": (tr("Pause"), ":material/pause:"),
        "stopping": (tr("Pausing"), ":material/pause:"),
        "stopped": (tr("Go on"), ":material/play_arrow:"),
        "failed": (tr("Try again"), ":material/replay:"),
    }
    label, icon = labels.get(str(state), (tr("Train"), ":material/play_arrow:"))
    untouched = state == "stopped" and mine is not None and mine.epoch == 0
    if untouched:
        label = tr("Train")
    st.button(
        label, key="train", type="primary", icon=icon, width="stretch", shortcut="Space",
        disabled=not setup.trainable or state == "stopping", on_click=_want, args=("play",),
    )  # fmt: skip
    with st.container(horizontal=True):
        st.button(
            tr("Step"), key="step", icon=":material/skip_next:", width="stretch", shortcut="S",
            disabled=not setup.trainable or state == "finished", on_click=_want, args=("step",),
            help=tr("Train one epoch, then pause; while a run is under way, pause when its epoch is done"),
        )  # fmt: skip
        st.button(
            tr("Reset"), key="reset", icon=":material/restart_alt:", width="stretch", shortcut="0",
            disabled=not setup.trainable or untouched, on_click=_want, args=("reset",),
            help=tr("Back to the untrained model; what a finished run has shown stays under Runs"),
        )  # fmt: skip
    if setup.problem:
        st.error(setup.problem, title=tr("These options cannot be trained"))
    problem = services.executor().problem
    if problem:
        st.error(str(problem), title=tr("No worker can be started"))
    if setup.spec is not None and (mine is None or untouched):
        st.caption(_time_line(setup))


def _time_line(setup: Setup) -> str:
    assert setup.spec is not None
    store = services.library().store
    found = estimate(setup.spec, setup.size.parameters if setup.size else None, store.runs(limit=300))
    return estimate_line(setup.spec, found, store.open_runs())


def _want(what: str) -> None:
    st.session_state[WANTED] = what


def _play(setup: Setup, mine: RunRecord | None) -> None:
    """Train it; or pause it, or go on with it, if it is the run that is shown."""
    store = services.library().store
    if mine is not None and mine.state in ("queued", "running"):
        store.request_stop(mine.id)
    elif mine is not None and mine.state in ("stopped", "failed"):
        store.resume(mine.id)
    else:
        _submit(setup)


def _step(setup: Setup, mine: RunRecord | None) -> None:
    """One epoch of it."""
    store = services.library().store
    if mine is not None and mine.state in ("queued", "running"):
        store.pause(mine.id)
    elif mine is not None and mine.state in ("stopping", "stopped", "failed"):
        store.resume(mine.id, epochs=1)  # one that is just stopping finishes its epoch instead
    else:
        _submit(setup, pause_after=1)


def _submit(setup: Setup, pause_after: int | None = None) -> None:
    assert setup.spec is not None
    record, created = services.library().store.submit(setup.spec, pause_after=pause_after)
    st.query_params["run"] = record.id
    if not created:
        name = wording.run_name(record)
        if record.state == "finished":
            playback.begin(record.id)
            st.toast(tr("{run} with these very options was trained here before: shown again as it trained.", run=name))
        else:
            st.toast(tr("{run} with these very options is there already; showing it.", run=name))


def _reset(setup: Setup, mine: RunRecord | None) -> None:
    """Show its beginning: a run of it that has not begun, in place of one that was not finished."""
    assert setup.spec is not None
    store = services.library().store
    if mine is not None and mine.state != "finished":
        store.delete(mine.id)
    waiting = (r for r in store.runs(limit=RECENT) if r.spec_key == setup.spec.key)
    fresh = next((r for r in waiting if r.state == "stopped" and r.epoch == 0), None)
    if fresh is None:
        fresh, _ = store.submit(setup.spec, again=True, pause_after=0)
    st.query_params["run"] = fresh.id
