"""What to train for the seesaw plot: models x loss weights x seeds, with one button."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import analysis, services, sweeps, wording
from app.analysis import OWN_FILE, Budget
from app.components.options_form import options_form
from app.core_sentences import sentence
from app.core_texts import title
from app.i18n import as_read, mark, tr, trn
from app.jobs.records import RunRecord
from app.setup_values import preset_of
from app.sweeps import MOST_RUNS, Order, Plan
from mtl_core import comparison, registry
from mtl_core.spec import RunSpec, SpecError, TrainingSpec

EQUAL, GRID, SEARCH = mark("Equal"), mark("Grid"), mark("Search")
#: Ratios of one task's loss weight to the other's that a grid offers.
RATIOS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
FIRST_RATIOS = (0.1, 0.5, 1.0, 2.0, 10.0)
FIRST_TRUNKS = ("shared_bottom", "mmoe", "ple")


def sweep_panel(budget: Budget, task_x: str, task_y: str, records: Sequence[RunRecord]) -> None:
    """Draw the controls and the button, which queues everything and moves the picture to it."""
    with st.container(border=True):
        st.markdown(tr("**Train a sweep**"))
        top = st.container()
        order = _order(budget, task_x, task_y)
        if order is None:
            return
        problem, wanted = None, None
        try:
            wanted = sweeps.plan(order) if order.fits else None
        except SpecError as error:
            problem = sentence(str(error))
        if not order.fits:
            problem = tr(
                "That makes {n:,} runs; one sweep has at most {most}: take fewer models or seeds.",
                n=order.runs, most=MOST_RUNS,
            )  # fmt: skip
        label, text, there = (tr("Train"), "", False) if wanted is None else _outlook(wanted, records)
        # The button comes first on the screen. No callback: it would get what the controls said one run ago.
        nothing = wanted is None or (there and wanted.budget == budget.key)
        if top.button(
            label, type="primary", icon=":material/play_arrow:", width="stretch", key="sweep.train",
            disabled=nothing,
        ) and wanted is not None:  # fmt: skip
            _submit(wanted)
        if problem:
            top.error(problem, title=tr("This sweep cannot be trained"))
        elif text:
            top.caption(text)


def _order(budget: Budget, task_x: str, task_y: str) -> Order | None:
    kept: dict[str, Any] = {"persist_state": "session"}
    trunks = [name for name in registry.names("trunk") if name != comparison.YARDSTICK]
    chosen = st.multiselect(
        tr("Models"),
        trunks,
        FIRST_TRUNKS,
        format_func=as_read(lambda name: title("trunk", name)),
        key="sweep.trunks",
        **kept,
    )
    left, right = st.columns(2)
    with left:
        how = st.segmented_control(
            tr("Loss weights"), (EQUAL, GRID, SEARCH), default=EQUAL, key="sweep.weights", required=True,
            format_func=as_read(tr),
            help=tr(
                "Grid: the ratios you choose. Search: an optimiser looks for weights on the Pareto front, judged by "
                "validation rows."
            ), **kept,
        )  # fmt: skip
    with right:
        seeds = int(
            st.slider(
                tr("Seeds"), 1, 16, 3, key="sweep.seeds", help=tr("Pairs with single-task; 3 or more say most"), **kept
            )
        )
    body, elsewhere = st.container(), st.container()
    spec = analysis.keys(budget.records[0]).spec
    with elsewhere:  # the last on the screen, but ratios need to know its tasks
        dataset, data, training = _elsewhere(spec)
    tasks = _tasks(dataset, data)
    if spec.schema.task_names != tasks:
        task_x, task_y = tasks[0], tasks[-1]
    with body:
        ratios, trials, balancers, equal = _variants(how, task_x, task_y)
    if not chosen:
        st.caption(tr("Choose at least one model."))
        return None
    if how == GRID and not ratios:
        st.caption(tr("Choose at least one ratio."))
        return None
    return Order(
        dataset=dataset,
        data=json.dumps(data, sort_keys=True),
        training=json.dumps(training, sort_keys=True),
        trunks=tuple(chosen),
        weights=tuple(sweeps.weight_pairs(tasks, task_x, task_y, sorted(ratios))),
        balancers=tuple(balancers),
        seeds=seeds,
        trials=trials,
        equal_parameters=equal,
    )


def _variants(how: str | None, task_x: str, task_y: str) -> tuple[Sequence[float], int, Sequence[str], bool]:
    """Ratios of loss weights, trials of a search, balancers, and whether sizes are matched."""
    kept: dict[str, Any] = {"persist_state": "session"}
    ratios: Sequence[float] = (1.0,)
    trials = 0
    if how == GRID:
        name = tr("Weight of {task_x} to that of {task_y}", task_x=task_x, task_y=task_y)
        ratios = st.pills(
            name,
            RATIOS,
            selection_mode="multi",
            default=FIRST_RATIOS,
            format_func=_ratio_name,
            key="sweep.ratios",
            **kept,
        )
    elif how == SEARCH:
        trials = int(st.slider(tr("Trials per model"), 8, 64, 24, step=8, key="sweep.trials", **kept))
    others = [name for name in registry.names("balancer") if name != "static"]
    balancers = st.multiselect(
        tr("Balancers, beside fixed weights"), others, format_func=as_read(lambda name: title("balancer", name)),
        key="sweep.balancers", placeholder=tr("None"), **kept,
    )  # fmt: skip
    equal = st.toggle(
        tr("Equal parameters"), True, key="sweep.equal", **kept,
        help=tr("Every model as large as the single-task yardstick; else each with its own usual widths"),
    )  # fmt: skip
    return ratios, trials, balancers, equal


def _elsewhere(spec: RunSpec) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Data set, data and training: the picture's, unless others are asked for."""
    value = spec.to_json()
    same = value["data"]["name"], value["data"], value["training"]
    with st.expander(tr("Other data or budget")):
        if not st.toggle(
            tr("Not the picture's"), key="sweep.other", persist_state="session",
            help=tr("The plot then moves to the new data and budget"),
        ):  # fmt: skip
            st.caption(tr("Data and budget are those of the picture, so that its points can be compared."))
            return same
        names = [name for name in registry.names("dataset") if name != OWN_FILE]
        dataset = st.selectbox(
            tr("Data set"), names, names.index(same[0]) if same[0] in names else 0, key="sweep.data",
            format_func=as_read(lambda name: title("dataset", name)), persist_state="session",
        )  # fmt: skip
        preset = preset_of(dataset)["spec"]
        start = same[1]["options"] if dataset == same[0] else preset["data"].get("options", {})
        options = options_form(registry.schema_of("dataset", dataset), start, f"sweep.{dataset}")
        start = same[2] if dataset == same[0] else preset["training"]
        training = options_form(registry.json_schema(TrainingSpec), start, f"sweep.{dataset}")
        if dataset == same[0]:  # what has no control here stays as it is
            options, training = {**same[1]["options"], **options}, {**same[2], **training}
        return dataset, {"name": dataset, "options": options}, training


def _tasks(dataset: str, data: dict[str, Any]) -> tuple[str, ...]:
    try:
        return RunSpec.parse({"data": data, "model": {"towers": []}}).schema.task_names
    except SpecError:  # shown with the plan
        return RunSpec.parse({"data": {"name": dataset}}).schema.task_names


def _outlook(wanted: Plan, records: Sequence[RunRecord]) -> tuple[str, str, bool]:
    """The button's words, what is known before it is pressed, and whether all of it is there already."""
    ahead = sweeps.outlook(wanted, records)
    models = len(wanted.models) - 1 + len(wanted.searched)
    order = wanted.order
    parts = [
        trn("{n} model and the single-task yardstick", "{n} models and the single-task yardstick", models),
        trn("{n} seed", "{n} seeds", order.seeds),
    ]
    if order.trials:
        parts.append(tr("{n} trials of each searched model", n=order.trials))
    told = [wording.commas(parts)]
    there = order.runs - ahead.runs
    if there:
        told.append(tr("{n} of {all} runs are there already", n=there, all=order.runs))
    text = tr("{claim}.", claim=wording.clauses(told))
    if not ahead.runs:
        return tr("All of these runs are there"), text, True
    label = trn("Train {n} run", "Train {n} runs", ahead.runs)
    if ahead.seconds is None:
        unknown = tr("How long that takes is not known yet: nothing like it was trained on this machine.")
        return label, wording.passage(text, unknown), False
    label = tr("{train}, about {time}", train=label, time=wording.seconds(ahead.seconds))
    return label, wording.passage(text, tr("Time at the pace of earlier runs on this machine.")), False


def _submit(wanted: Plan) -> None:
    services.library().store.submit_sweep(wanted.specs(), wanted.searches())
    services.executor().ensure_worker()
    st.query_params["budget"] = wanted.budget
    st.rerun()


def _ratio_name(ratio: float) -> str:
    return f"{ratio:g}:1" if ratio >= 1 else f"1:{1 / ratio:g}"
