"""The seesaw plot, its verdict table, the progress of what is being trained for it, and missing yardsticks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from app import analysis, gains, own_files, services, sweeps, wording
from app.analysis import Budget, Seesaw
from app.charts.seesaw import PICK, RUN, seesaw, small_multiples, spoken_of, uneven
from app.components.figure_files import offered, remember
from app.components.live import live_chart
from app.components.sweep_panel import asked_here
from app.figures import of_vega
from app.i18n import language, tr, trn
from app.jobs.records import RunRecord
from app.library import is_example
from mtl_core.spec import RunSpec

#: Pairs of tasks that are drawn small; more would be no picture any more.
MOST_PAIRS = 10
#: A model whose parameters differ by more from the yardstick's is not of equal size.
EQUAL_SIZE = 0.1

#: One model beside nothing is no seesaw.
FEWEST_PLACED = 2
#: In the session: the budget with which the page began.
BEGUN = "budget.begun"

_pictures: dict[Any, Seesaw] = {}


def own_budget(records: Sequence[RunRecord], budgets: Sequence[Budget]) -> str | None:
    """The budget of the newest run that was trained here, if two models of it can be placed."""
    newest = next((r for r in records if r.state == "finished" and not is_example(r.id)), None)
    if newest is None:
        return None
    budget = next(b for b in budgets if b.key == analysis.keys(newest).budget)
    tasks = analysis.keys(newest).spec.schema.task_names
    return budget.key if len(picture(budget, tasks[0], tasks[-1]).groups) >= FEWEST_PLACED else None


def begin_with(budget: str, bundled: str, known: Sequence[str]) -> None:
    """Where nobody has chosen a budget yet, begin with this one; the bundled one makes room for one's own."""
    chosen = st.session_state.get("budget")
    untouched = chosen == st.session_state.get(BEGUN) == bundled and "budget" not in st.query_params
    if chosen not in known or untouched:
        st.session_state["budget"] = st.session_state[BEGUN] = budget


def small_seesaw(run_id: str) -> None:
    """The seesaw picture of the budget that a run belongs to, under the run."""
    library = services.library()
    record = library.record(run_id)
    if record is None:
        return
    key = analysis.keys(record).budget
    budget = next((b for b in analysis.budgets(library.records()) if b.key == key), None)
    with st.container(border=True):
        st.markdown(tr("**Seesaw plot: what each model gains over single-task**"))
        if budget is None:
            st.caption(tr("No finished run of this data and budget yet."))
            return
        tasks = analysis.keys(budget.records[0]).spec.schema.task_names
        # The plot is a square of fixed size, and beside the setup panel there is no room for a table next to it.
        plot(budget, tasks[0], tasks[-1], key="small")
        verdicts(budget, tasks[0], tasks[-1], key="small")


def live_plot(budget_key: str, task_x: str, task_y: str, equal: bool, ticking: bool) -> None:
    """Progress and plot, as a fragment; `ticking`: it has a clock, as it should while runs are open."""
    records = services.library().records()
    budget = _budget(records, budget_key)
    if is_open(budget, records) is not ticking:
        st.rerun()  # the page starts or drops the clock
    with st.container():  # empty or not, it keeps the plot in its place, and the view with it
        _progress(budget, records)
    plot(budget, task_x, task_y, key="seesaw", equal=equal)


def live_verdicts(budget_key: str, task_x: str, task_y: str, equal: bool, ticking: bool) -> None:
    """The sentence, the table and what is missing, as a fragment; its button begins runs, so it wants the clock too."""
    records = services.library().records()
    budget = _budget(records, budget_key)
    if is_open(budget, records) is not ticking:
        st.rerun()  # the page starts or drops the clock
    verdicts(budget, task_x, task_y, key="seesaw", equal=equal)


def live_pairs(budget_key: str, task_x: str, equal: bool) -> None:
    """Small plots of the other pairs of tasks, as a fragment."""
    budget = _budget(services.library().records(), budget_key)
    tasks = analysis.keys(budget.records[0]).spec.schema.task_names
    pairs = [(a, b) for i, a in enumerate(tasks) for b in tasks[i + 1 :]]
    if len(pairs) > MOST_PAIRS:
        pairs = [(task_x, other) for other in tasks if other != task_x]
    pictures = [(a, b, picture(budget, a, b, equal).groups) for a, b in pairs]
    if len(pairs) > len(tasks) - 1:
        st.markdown(tr("**Every pair of tasks**"))
    else:
        st.markdown(tr("**{task} and every other task**", task=task_x))
    told = tr(
        "Gains of {n} pairs of tasks, each with the single-task cross and the intervals of the means", n=len(pictures)
    )
    with offered("seesaw-pairs"):
        live_chart(small_multiples(pictures), told, key="seesaw.pairs", fixed=True)
    counted = tr("Gains: {units}.", units=gains.units(_kinds(budget).values()))
    told = tr("Means and 95% intervals, each pair on a scale of its own. Green: both gain. Orange: both lose.")
    st.caption(wording.passage(told, counted))


def is_open(budget: Budget, records: list[RunRecord]) -> bool:
    """Is there something that will still change the picture?"""
    return any(record.open for record in budget.records) or _state(budget, records) is not None


def picture(budget: Budget, task_x: str, task_y: str, equal: bool = False) -> Seesaw:
    """The picture of a budget; remembered while nothing finishes, for a clock asks every second."""
    key = (language(), task_x, task_y, tuple((r.id, r.state, r.finished_at) for r in budget.records))
    if key not in _pictures:
        while len(_pictures) > 64:
            _pictures.pop(next(iter(_pictures)), None)
        _pictures[key] = analysis.seesaw(budget, task_x, task_y)
    found = _pictures[key]
    if equal and found.baseline_parameters:
        size = found.baseline_parameters
        same = tuple(g for g in found.groups if abs(g.parameters / size - 1) <= EQUAL_SIZE)
        return replace(found, groups=same)
    return found


def plot(budget: Budget, task_x: str, task_y: str, key: str, equal: bool = False) -> None:
    """The square plot; a click on a point opens its run."""
    found = picture(budget, task_x, task_y, equal)
    kinds = _kinds(budget)
    drawing = seesaw(found.groups, task_x, task_y, (gains.unit(kinds[task_x]), gains.unit(kinds[task_y])))
    # Fixed while runs are open: a new text draws the chart anew.
    alt = wording.passage(
        tr("Gain on {task_x} against gain on {task_y} over single-task models.", task_x=task_x, task_y=task_y),
        tr("The numbers so far are in the table.") if any(r.open for r in budget.records)
        else _in_words(found, kinds, task_x, task_y),
    )  # fmt: skip
    with offered(f"seesaw {task_x} {task_y}", key=f"{key}.plot"):
        remember(of_vega(alt, drawing.to_dict))
        picked = st.vega_lite_chart(
            spec=drawing.spec(), width="content", key=f"{key}.plot", on_select="rerun", selection_mode=[PICK], alt=alt
        )
    hidden = len(picture(budget, task_x, task_y).groups) - len(found.groups)
    notes = _notes(found, gains.units([kinds[task_x], kinds[task_y]]), hidden)
    st.caption(wording.passage(tr("{claim}.", claim=budget.label), notes, drawing.note))
    points = picked["selection"].get(PICK, [])
    run_id = points[0].get(RUN) if points else None
    if run_id:
        st.switch_page("app_pages/playground.py", query_params={"run": run_id})


def verdicts(budget: Budget, task_x: str, task_y: str, key: str, equal: bool = False) -> None:
    """What the picture says in words and numbers, and the runs that cannot be placed."""
    found = picture(budget, task_x, task_y, equal)
    if not found.groups and any(record.open for record in budget.records):
        st.markdown(tr("Points appear as models finish, each beside the single-task runs of its seeds."))
    else:
        st.markdown(_in_words(found, _kinds(budget), task_x, task_y))
    if found.groups:
        table = verdict_table(found, task_x, task_y, _kinds(budget))
        st.table(table, border="horizontal", hide_index=True, alt=tr("Gains and verdicts of each model"))
    missing_yardsticks(found, key)


def _in_words(found: Seesaw, kinds: Mapping[str, str], task_x: str, task_y: str) -> str:
    """Where the seesaw tips, what equal weights and the best ones do, and whether more seeds are needed."""
    return wording.passage(
        wording.where_it_tips(found.groups, kinds, task_x, task_y),
        wording.seesaw_sentence(spoken_of(found.groups, ends=False), task_x, task_y),
        wording.more_seeds(spoken_of(found.groups)),
    )


def verdict_table(picture: Seesaw, task_x: str, task_y: str, kinds: Mapping[str, str]) -> pd.DataFrame:
    """One row per model."""
    return pd.DataFrame(
        [
            {
                tr("model"): group.name,
                tr("gain {task}", task=task_x): gains.interval(group.x_interval, kinds[task_x]),
                tr("gain {task}", task=task_y): gains.interval(group.y_interval, kinds[task_y]),
                "n": len(group.seeds),
                tr("parameters"): wording.count(group.parameters),
                tr("verdict"): wording.verdict(group, task_x, task_y),
            }
            for group in spoken_of(picture.groups)
        ]
    )


def missing_yardsticks(picture: Seesaw, key: str) -> None:
    """Name the runs that cannot be placed yet, and offer to train what they lack."""
    if not picture.missing:
        return
    names = wording.run_names([item.record for item in picture.missing])
    named = names[:3] + ([tr("{n} more", n=len(names) - 3)] if len(names) > 3 else [])
    st.info(
        tr(
            "{runs} cannot be placed yet: there is no single-task run of the same data, seed and budget to measure "
            "against.",
            runs=wording.join(named),
        ),
        title=tr("Missing yardstick"),
    )
    count = len(picture.missing)
    absent = own_files.absent(picture.missing[0].record.spec["data"])  # they are all of the same data
    if absent:
        st.caption(absent)
        return
    st.button(
        trn("Train the missing single-task run", "Train the missing single-task runs ({n})", count),
        icon=":material/play_arrow:", key=f"{key}.missing", on_click=_train,
        args=([m.baseline for m in picture.missing],),
    )  # fmt: skip


def _train(specs: list[RunSpec]) -> None:
    store = services.library().store
    if len(specs) == 1:
        store.submit(specs[0])
    else:
        asked_here().add(store.submit_sweep(specs).id)
    services.executor().ensure_worker()


def _progress(budget: Budget, records: list[RunRecord]) -> None:
    """One bar for everything that is trained for this picture, and a button that stops what was asked for here.

    A server may be shared: what others asked for has a quieter button of its own.
    """
    state = _state(budget, records)
    if state is None:
        return
    own = tuple(sweep for sweep in state.sweeps if sweep in asked_here())
    others = tuple(sweep for sweep in state.sweeps if sweep not in own)
    told = {"n": state.finished, "all": state.total, "training": state.training}
    parts = [tr("{n} of {all} runs done, {training} training", **told)]
    if len(state.sweeps) > 1:
        parts.append(trn("{n} sweep", "{n} sweeps", len(state.sweeps)))
    if state.seconds_left is not None:
        parts.append(tr("about {time} left", time=wording.seconds(state.seconds_left)))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.progress(state.fraction, text=" · ".join(parts))
        if own:
            st.button(
                tr("Stop"), icon=":material/stop:", key="seesaw.stop", on_click=_stop, args=(own,),
                help=tr("What has begun can go on later from its last checkpoint; the rest leaves the queue."),
            )  # fmt: skip
        if others:
            st.button(
                trn("Stop the sweep of another session", "Stop {n} sweeps of other sessions", len(others)),
                key="seesaw.stop_others", type="tertiary", on_click=_stop, args=(others,),
                help=tr("Asked for in another tab, before this page was loaded, or by somebody else on this server."),
            )  # fmt: skip


def _state(budget: Budget, records: list[RunRecord]) -> sweeps.Progress | None:
    return sweeps.progress(services.library().store.sweeps(), records, budget.key)


def _stop(ids: tuple[str, ...]) -> None:
    for sweep_id in ids:
        services.library().store.stop_sweep(sweep_id)


def _budget(records: list[RunRecord], key: str) -> Budget:
    found = [budget for budget in analysis.budgets(records, with_open=True) if budget.key == key]
    if not found:
        st.rerun()  # its last run was deleted: the page chooses another
    return found[0]


def _kinds(budget: Budget) -> dict[str, str]:
    """Task -> binary or regression."""
    return {t.name: t.kind for t in analysis.keys(budget.records[0]).spec.schema.tasks}


def _notes(found: Seesaw, unit: str, hidden: int) -> str:
    told = [
        tr("Gains on the test rows ({unit}) with the 95% interval of the paired difference over n seeds.", unit=unit),
        tr("Grey: not distinguishable from single-task on at least one task."),
    ]
    if uneven(found.groups):
        told.append(tr("A line compares the seeds that all of its models have."))
    if any(group.line for group in found.groups):
        told.append(
            tr(
                "Line: the loss weights that no others of the model beat on both tasks; the best of many test scores "
                "is flattering, so a front needs seeds, too."
            )
        )
    if found.baseline_parameters:
        told.append(tr("Single-task has {n:,} parameters.", n=found.baseline_parameters))
    if hidden:
        told.append(trn("{n} model of another size is not shown.", "{n} models of another size are not shown.", hidden))
    return wording.passage(*told)
