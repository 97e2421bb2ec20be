"""Gates beside each other: architecture, mean weights and their spread, and curves, all at one epoch of one slider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from app import analysis, comparing, wording
from app.charts.architecture import architecture
from app.charts.fewer import fewer
from app.charts.matrix import Bounds, bounds, gate_matrix
from app.charts.quality import run_curves
from app.charts.runs import MARKS, WORDS
from app.charts.spread import gate_spread
from app.comparing import TESTED, Compared, epochs_shown
from app.components.compare_view import abreast, alt_text, card, level_choice
from app.components.figure_files import offered
from app.components.live import live_chart
from app.components.url_choice import url_choice
from app.i18n import tr
from mtl_core.events import GateSummary


@st.fragment
def gates_section(runs: Sequence[Compared]) -> None:
    """Everything that follows the epoch slider. A fragment: moving the slider draws nothing else anew."""
    epochs = epochs_shown(runs)
    deepest = max(len(run.wiring.levels) for run in runs)
    with st.container(horizontal=True, vertical_alignment="center", gap="large"):
        epoch = url_choice(
            tr("Epoch"), epochs, TESTED, "epoch", lambda e: tr("tested") if e == TESTED else e,
            control=st.select_slider, width=520,
            help=tr("Moves gates and curves together; the last stop is each run's own tested epoch."),
        )  # fmt: skip
        level = level_choice(deepest)
    shown = [run.gates_at(epoch) for run in runs]
    scale = bounds(shown)
    for run in abreast(runs):
        _gates_card(run, shown[run.number - 1], epoch, level, scale)
    _scale_note(runs, scale)
    curves(runs, epoch)


def _gates_card(run: Compared, gates: Mapping[str, GateSummary], epoch: str, level: int, scale: Bounds) -> None:
    wiring, tasks, meeting = run.wiring, run.tasks, analysis.meeting(run.record)
    level = min(level, len(wiring.levels))
    sentence = wording.gates_sentence(wiring, tasks, dict(gates), meeting)
    # The alt text speaks of the tested epoch: a text that changes builds the view anew.
    claim = wording.gates_sentence(wiring, tasks, run.history.gates, meeting)
    number = run.epoch_at(epoch)
    few = fewer(wiring, run.history.gates)
    drawn, weights = few.wiring, few.gates(gates)
    with card(run, tr("epoch {n} (tested)", n=number) if epoch == TESTED else tr("epoch {n}", n=number)):
        means = {name: summary.mean for name, summary in weights.items()} or None
        live_chart(architecture(drawn, tasks, means, meeting), alt_text(run, tr("Architecture."), claim))
        where: dict[str, int] = {"level": level, "all": len(wiring.levels)}
        several = len(wiring.levels) > 1
        if several:
            st.markdown(tr("**Mean gate weights, level {level} of {all}**", **where))
        else:
            st.markdown(tr("**Mean gate weights**"))
        drawing = gate_matrix(drawn, weights, level, scale)
        live_chart(drawing, alt_text(run, tr("Mean gate weights, tasks by experts."), claim))
        if several:
            st.markdown(tr("**Spread over rows, level {level} of {all}**", **where))
        else:
            st.markdown(tr("**Spread over rows**"))
        live_chart(gate_spread(drawn, weights, level, scale), alt_text(run, tr("Spread of the gate weights."), claim))
        if left := few.note(level, gates):
            st.caption(left)
        rows = tr("{n} validation rows; bar: mean.", n=wording.count(_rows(gates)))
        st.caption(wording.passage(sentence, rows))
        if note := comparing.kind_note(run):
            st.caption(f":material/info: {note}")


def _scale_note(runs: Sequence[Compared], scale: Bounds) -> None:
    if scale == (0.0, 1.0):
        st.caption(tr("One scale for all: gate weights from 0 to 1. Line width and colour show the same means."))
    else:
        low, high = (f"{end:g}".replace("-", "\u2212") for end in scale)
        st.caption(
            tr("One scale for all, from {low} to {high}: some of these weights lie beyond 0 to 1.", low=low, high=high)
        )


def curves(runs: Sequence[Compared], epoch: str) -> None:
    """Validation curves: a panel per task, a line per run."""
    at = None if epoch == TESTED else int(epoch)
    longest = max(run.record.epochs for run in runs)
    tasks = {
        task.name: (place, "AUC" if task.kind == "binary" else "MSE")
        for run in reversed(runs)
        for place, task in enumerate(analysis.keys(run.record).spec.schema.tasks)
    }
    rows = pd.concat([analysis.curve_rows(run.history, run.name, with_test=False) for run in runs], ignore_index=True)
    rows = rows.rename(columns={"line": "run"})
    with st.container(border=True), offered("compare-curves"):
        st.markdown(tr("**Validation by epoch, task by task**"))
        names = [name for name in tasks if (rows["task"] == name).any()]
        for start in range(0, len(names), 3):
            for column, name in zip(st.columns(min(3, len(names))), names[start : start + 3], strict=False):
                place, metric = tasks[name]
                own = rows[rows["task"] == name]
                with column:
                    st.markdown(f"**{name}**")
                    drawing = run_curves(own, [run.name for run in runs], place, longest, metric, at)
                    ends = _last(own, metric)
                    what = tr("Validation {metric} of {task} by epoch.", metric=metric, task=name)
                    live_chart(drawing, wording.passage(what, ends))
                    st.caption(ends)
        legend = [
            tr("{run}: {dash}, {mark}", run=r.name, dash=tr(WORDS[r.number - 1]), mark=tr(MARKS[r.number - 1]))
            for r in runs
        ]
        legend += [tr("Upright line: the epoch above.")] if at else []
        st.caption(" · ".join(legend))


def _last(rows: pd.DataFrame, metric: str) -> str:
    """Where the lines end, best first."""
    known = rows.dropna(subset=["value"]).sort_values("epoch")
    last = dict(zip(known["run"], known["value"], strict=True))  # the last epoch of each run stays
    ends = sorted(last.items(), key=lambda end: end[1], reverse=metric != "MSE")
    parts = [f"{run} {value:.4f}" for run, value in ends]
    return tr("After the last epoch {scores}.", scores=wording.join(parts)) if parts else tr("No epoch has a score.")


def _rows(gates: Mapping[str, GateSummary]) -> int:
    first = next(iter(gates.values()), None)
    return sum(first.histogram[0]) if first else 0
