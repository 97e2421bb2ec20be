"""Everything about one run: what it does now, its architecture and gates, its curves, what its tasks pull at."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import analysis, gains, gradients, services, wording
from app.charts.architecture import architecture
from app.charts.conflict import arrows, conflict_shares, cosine_curves, cosine_table
from app.charts.curves import auc_curves
from app.charts.fewer import fewer
from app.charts.gates import gate_bars
from app.charts.weights import LENGTH, SHARE, WEIGHT, task_lines
from app.components import playback
from app.components.figure_files import offered
from app.components.live import live_chart
from app.components.setup_panel import adopt
from app.components.url_choice import url_choice
from app.core_sentences import sentence as core_sentence
from app.downloads import file_stem
from app.glossary import terms_help
from app.i18n import mark, tr
from app.jobs.records import RunRecord
from app.library import History, is_example
from mtl_core import comparison
from mtl_core.spec import RunSpec

STATES = {
    "queued": (":material/schedule:", mark("queued")),
    "running": (":material/play_arrow:", mark("running")),
    "stopping": (":material/pause:", mark("pausing")),
    "finished": (":material/check:", mark("finished")),
    "stopped": (":material/pause_circle:", mark("paused")),
    "failed": (":material/error:", mark("failed")),
}
#: The same of a run that trains: it moves by itself.
NOW = "play.epoch.now"
#: Options that are named where the controls say something else.
MOST_DIFFERENCES = 4
#: The epoch whose gates are shown, in the URL and in the session; the run that it was chosen for, and its default.
EPOCH, EPOCH_KEY, EPOCH_OF = "epoch", "play.epoch", "play.epoch.of"


def state_text(record: RunRecord) -> str:
    """How the run stands, with its sign; or that it came with the program."""
    if is_example(record.id):
        return tr("bundled example")
    icon, word = STATES[record.state]
    return f"{icon} {tr(word)}"


def header(record: RunRecord, history: History, *, watchable: bool) -> None:
    """Name, state, size and time of a run, and the way to watch it train where it is `watchable`."""
    parts = [state_text(record)]
    if record.parameters:
        parts.append(tr("{n:,} parameters", n=record.parameters))
    if record.state == "finished":
        time = wording.seconds(record.train_seconds)
        parts.append(tr("{time} of training on {device}", time=time, device=record.device))
    st.markdown(f"**{wording.run_name(record)}**", help=wording.source_line(history) or None)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(" · ".join(parts), width="content")
        if watchable:
            playback.button(record)
    for note in history.started.notes if history.started else ():
        st.caption(f":material/info: {core_sentence(note)}")


def progress(record: RunRecord, history: History, wanted: RunSpec | None) -> None:
    """How far the run is; and, where it is not the run that the controls describe, what differs and what can be done.

    Args:
        record: the run.
        history: what it has said so far.
        wanted: what the controls say; None: nothing that can be trained.
    """
    if record.state == "queued":
        place = record.queue_position or 1
        if place == 1:
            st.progress(0.0, text=tr("Waiting for a worker: next in line"))
        else:
            st.progress(0.0, text=tr("Waiting for a worker: {n} before it in the queue", n=place - 1))
    elif record.open:
        pieces = [tr("epoch {n} of {all}", n=min(record.epoch + 1, record.epochs), all=record.epochs)]
        if record.samples_per_second:
            pieces.append(tr("{n} samples/s", n=wording.count(record.samples_per_second)))
        if record.seconds_left is not None:
            pieces.append(tr("{time} left", time=wording.seconds(record.seconds_left)))
        st.progress(record.fraction, text=tr("Pausing") if record.state == "stopping" else " · ".join(pieces))
    elif record.state == "failed":
        message = core_sentence(record.message) if record.message else tr("The run failed.")
        st.error(message, title=tr("This run failed"))
    elif record.state == "stopped" and record.epoch:
        paused = tr("Paused after epoch {n} of {all}: it can go on from there", n=record.epoch, all=record.epochs)
        st.progress(record.fraction, text=paused)
    elif record.state == "stopped":
        st.progress(record.fraction, text=tr("At the beginning: nothing is trained yet"))
    if wanted is None or wanted.key != analysis.keys(record).spec.key:
        # A model that is drawn otherwise is drawn above this run.
        if wanted is not None and analysis.looks_alike(wanted, record, history):
            _tell_of_differences(analysis.keys(record).spec, wanted)
        _buttons(record)


def _tell_of_differences(shown: RunSpec, wanted: RunSpec) -> None:
    if differing := _differing(shown, wanted):
        st.info(
            tr("{options}. Press Train to see what that does.", options=wording.capital(differing)),
            title=tr("The controls say something else than this run"),
        )


def _buttons(record: RunRecord) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if record.state in ("queued", "running"):
            st.button(
                tr("Pause"), icon=":material/pause:", key=f"stop.{record.id}", on_click=_stop, args=(record.id,),
                shortcut="Escape",
            )  # fmt: skip
        elif record.state == "stopped":
            st.button(
                tr("Go on"), icon=":material/play_arrow:", key=f"resume.{record.id}", on_click=_resume,
                args=(record.id,),
            )  # fmt: skip
        if st.button(
            tr("Set the controls to this run"), icon=":material/tune:", key=f"adopt.{record.id}", type="tertiary",
            help=tr("So that Train repeats it, or you change one thing of it"),
        ):  # fmt: skip
            adopt(analysis.keys(record).spec)
            st.rerun()


def _differing(shown: RunSpec, wanted: RunSpec) -> str:
    """The first options that both have and that differ: rows 30000 instead of 24000; more are counted."""
    table = analysis.differences([shown, wanted], ["shown", "wanted"])
    both = table[(table["shown"] != "") & (table["wanted"] != "")]
    parts = [
        tr("{option} {new} instead of {old}", option=option, new=new, old=old)
        for option, new, old in zip(both.index, both["wanted"], both["shown"], strict=True)
    ]
    told = parts[:MOST_DIFFERENCES]
    if len(parts) > len(told):
        told.append(tr("{n} more", n=len(parts) - len(told)))
    return wording.clauses(told)


def curves_card(record: RunRecord, history: History, records: Sequence[RunRecord]) -> None:
    """Every task's own metric by epoch: one picture per metric."""
    library = services.library()
    kinds = {task.name: "AUC" if task.kind == "binary" else "MSE" for task in analysis.keys(record).spec.schema.tasks}
    metrics = list(dict.fromkeys(kinds.values()))
    with st.container(border=True), offered(f"{file_stem(record)}-curves"):
        st.markdown(tr("**{metrics} by epoch (validation)**", metrics=wording.join(metrics)))
        baseline = analysis.find_baseline(record, records)
        base = library.history(baseline.id) if baseline is not None and baseline.id != record.id else None
        rows = analysis.with_yardstick(history, base, wording.run_name(record))
        tasks = _tasks(record, history)
        sentence = wording.curves_sentence(history, base)
        for metric in metrics:
            own = rows[rows["task"].map(kinds) == metric]
            alt = _alt(record, tr("{metric} by epoch.", metric=metric), sentence)
            live_chart(auc_curves(own, tasks, record.epochs, metric), alt)
        st.caption(sentence)
        if record.state == "finished" and base is not None:
            st.caption(_over_seeds(record, records))
        if record.state == "finished" and baseline is None:
            _yardstick_button(record)
        ring = tr("Ring: test.")
        legend = tr("Dotted: single-task with the same seed and budget. Ring: test.") if base else ring
        st.caption(wording.passage(legend, wording.source_line(history)))


def _over_seeds(record: RunRecord, records: Sequence[RunRecord]) -> str:
    """The gains of this model over all seeds that are there: what one seed cannot say."""
    intervals = analysis.gains_over_seeds(record, records)
    kinds = {task.name: task.kind for task in analysis.keys(record).spec.schema.tasks}
    told = [f"{task} {gains.interval(interval, kinds[task])}" for task, interval in intervals.items()]
    n = max((interval.n for interval in intervals.values()), default=0)
    if n < 2:
        return ""
    units = gains.units(kinds[task] for task in intervals)
    said = wording.join(told)
    return tr("Over {n} paired seeds: {gains} ({units}, 95% interval).", n=n, gains=said, units=units)


def _yardstick_button(record: RunRecord) -> None:
    """Say that there is nothing to measure against, and offer to train it."""
    spec = analysis.keys(record).spec
    st.caption(tr("No single-task run of the same data, seed and budget is here: so no dotted lines and no gains."))
    st.button(
        tr("Train single-task to compare"), key="yardstick", icon=":material/play_arrow:", type="tertiary",
        on_click=_train_yardstick, args=(spec,),
    )  # fmt: skip


def _train_yardstick(spec: RunSpec) -> None:
    services.library().store.submit(comparison.baseline_spec(spec))
    services.executor().ensure_worker()


def gates_card(record: RunRecord, history: History) -> None:
    """Who listens to whom, and the mean gate weights of an epoch that can be chosen."""
    wiring, tasks, meeting = analysis.wiring(record, history), _tasks(record, history), analysis.meeting(record)
    with st.container(border=True), offered(f"{file_stem(record)}-gates"):
        st.markdown(tr("**Who listens to whom**"), help=terms_help("expert", "gate", "tower"))
        gates = history.gates
        kept = [epoch for epoch in history.epochs if epoch.gates]
        chosen = kept[-1].epoch if kept else 0
        if record.open and record.epochs > 1:
            # Where the slider will stand: the picture does not jump when the run ends.
            st.session_state[NOW] = max(chosen, 1)
            st.slider(tr("Epoch"), 1, record.epochs, key=NOW, disabled=True)
        elif len(kept) > 1:
            chosen = _epoch_choice(record, [epoch.epoch for epoch in kept])
            gates = next(epoch.gates for epoch in kept if epoch.epoch == chosen)
        few = fewer(wiring, history.gates)
        drawn = few.gates(gates)
        means = {name: summary.mean for name, summary in drawn.items()} or None
        sentence = wording.gates_sentence(wiring, tasks, gates, meeting)
        # Of the run, not of the chosen epoch: see _alt.
        claim = wording.gates_sentence(wiring, tasks, history.gates, meeting)
        live_chart(architecture(few.wiring, tasks, means, meeting), _alt(record, tr("Architecture."), claim))
        if chosen:
            width = tr("Line width: mean gate weight after epoch {epoch}.", epoch=chosen)
        else:
            width = tr("Line width: mean gate weight.")
        st.caption(wording.passage(width, tr("Grey: shared expert. Tint: private to a task.")))
        if gates:
            live_chart(gate_bars(few.wiring, drawn), _alt(record, tr("Mean gate weights."), claim))
        st.caption(wording.passage(sentence, few.note(len(wiring.levels), gates)))


def _epoch_choice(record: RunRecord, numbers: Sequence[int]) -> int:
    """A slider over the epochs, kept in the URL for the run that is shown.

    Until somebody moves it, it follows a run that grows, and ends at the tested epoch. Another run begins anew.
    """
    names = [str(number) for number in numbers]
    tested = record.state == "finished" and record.best_epoch in numbers
    default = str(record.best_epoch) if tested else names[-1]
    run_id, before = st.session_state.get(EPOCH_OF, (record.id, default))
    st.session_state[EPOCH_OF] = record.id, default
    if run_id != record.id:
        st.session_state.pop(EPOCH_KEY, None)
        st.query_params.pop(EPOCH, None)
    elif st.session_state.get(EPOCH_KEY) == before:
        st.session_state[EPOCH_KEY] = default
    return int(url_choice(tr("Epoch"), names, default, EPOCH_KEY, name=EPOCH, control=st.select_slider))


def weights_card(record: RunRecord, history: History) -> None:
    """Loss weight times gradient length is a task's share of the step: the three by epoch."""
    tasks = _tasks(record, history)
    with st.container(border=True), offered(f"{file_stem(record)}-weights"):
        st.markdown(tr("**What each task puts into the shared step, by epoch**"))
        sentence = gradients.weights_sentence(history, tasks)
        titles = (tr("Loss weight"), tr("× length of its gradient"), tr("= share of the step"))
        for column, title, quantity in zip(st.columns(3), titles, (WEIGHT, LENGTH, SHARE), strict=True):
            with column:
                st.caption(title)
                drawing = task_lines(gradients.task_rows(history, tasks, quantity), tasks, record.epochs, quantity)
                what = tr("{quantity} of each task by epoch.", quantity=wording.capital(tr(quantity.title)))
                live_chart(drawing, _alt(record, what, sentence))
        st.caption(sentence)
        shared = tr("Shared parameters only; means over batches of an epoch.")
        st.caption(wording.passage(shared, wording.source_line(history)))


def conflict_card(record: RunRecord, history: History) -> None:
    """How the tasks' gradients stand to each other: as arrows for two tasks, as a table for more; and by epoch."""
    tasks = _tasks(record, history)
    epoch = gradients.latest(history)
    with st.container(border=True), offered(f"{file_stem(record)}-conflict"):
        st.markdown(tr("**Do the tasks pull apart?**"))
        sentence = gradients.conflict_sentence(history, tasks)
        left, right = st.columns([2, 3])
        with left:
            if len(tasks) == 2:
                picture = gradients.plane_of(epoch, tasks) if epoch else None
                live_chart(
                    arrows(picture, tasks), _alt(record, tr("Two gradients and the step."), sentence), fixed=True
                )
                st.caption(tr("Colours: the two tasks' gradients. Grey: the step. Dashed: the angle between the two."))
            else:
                cosines = epoch.conflict.cosine if epoch and epoch.conflict else []
                live_chart(cosine_table(cosines, tasks), _alt(record, tr("Cosine of every two gradients."), sentence))
                st.caption(tr("Mean cosine of two tasks' gradients: below 0 they pull apart."))
        with right:
            rows = gradients.pair_rows(history, tasks)
            live_chart(cosine_curves(rows, record.epochs), _alt(record, tr("Mean cosine by epoch."), sentence))
            live_chart(conflict_shares(rows, record.epochs), _alt(record, tr("Steps in conflict by epoch."), sentence))
        st.caption(sentence)
        st.caption(
            tr(
                "Averages over batches of the last epoch, not one batch: lengths are mean lengths, the angle is that "
                "of the mean cosine, the step follows the mean shares (its own length is scaled)."
            )
            if len(tasks) == 2
            else tr("Averages over batches of the last epoch; a conflict is a batch with a cosine below 0.")
        )


def gradient_cards(record: RunRecord, history: History) -> None:
    """What the tasks pull at; a sentence where there is nothing to draw."""
    reason = gradients.nothing_to_compare(
        history, analysis.wiring(record, history), _tasks(record, history), is_example(record.id)
    )
    if reason is None:
        weights_card(record, history)
        conflict_card(record, history)
        return
    with st.container(border=True):
        st.markdown(tr("**Do the tasks pull apart?**"))
        st.caption(reason)


def run_panel(run_id: str, ticking: bool, wanted: RunSpec | None) -> None:
    """The whole view of one run, as a fragment.

    Args:
        run_id: the run.
        ticking: it has a clock, as one should that is open or shown again.
        wanted: what the controls say; None: nothing that can be trained.
    """
    library = services.library()
    record = library.record(run_id)
    if record is None:
        st.info(tr("This run is no longer there: it was deleted. The example below is always there."))
        return
    history = library.history(run_id)
    again = playback.epoch_shown(record)
    over = record.state == "finished" and len(history.epochs) > 1
    header(record, history, watchable=over and again is None)
    if again is None:
        progress(record, history, wanted)
    else:
        playback.bar(record, again)
    if (record.open or again is not None) is not ticking:
        st.rerun()  # the page starts or drops the clock, and draws what belongs to a finished run
    records = library.records()
    if again is not None:
        record, history = playback.as_it_was(record, history, again)
    left, right = st.columns([4, 3])
    with left:
        gates_card(record, history)
    with right:
        curves_card(record, history, records)
    gradient_cards(record, history)


def _alt(record: RunRecord, what: str, claim: str) -> str:
    """What a chart shows, and what it says once the run is over: a new alt text makes the browser draw it anew."""
    return wording.passage(what, tr("The numbers so far are in the text below.") if record.open else claim)


def _tasks(record: RunRecord, history: History) -> list[str]:
    return list(history.started.tasks) if history.started else list(analysis.keys(record).spec.schema.task_names)


def _stop(run_id: str) -> None:
    services.library().store.request_stop(run_id)


def _resume(run_id: str) -> None:
    services.library().store.resume(run_id)
    services.executor().ensure_worker()
