"""What to train for the seesaw plot: models x loss weights x seeds, with one button."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from app import analysis, own_files, services, sweeps, wording
from app.analysis import OWN_FILE, Budget
from app.components.options_form import Form, options_form
from app.components.url_choice import url_choice, url_choices, url_integer, url_switch
from app.components.url_values import UrlValues
from app.core_texts import title
from app.i18n import mark, tr, trn
from app.jobs.records import RunRecord
from app.problems import told
from app.setup_values import PREFIXES, preset_of
from app.sweeps import MOST_RUNS, Order, Outlook, Plan
from mtl_core import comparison, registry
from mtl_core.spec import RunSpec, SpecError, TrainingSpec

EQUAL, GRID, SEARCH = "equal", "grid", "search"
#: How loss weights are chosen -> what it is called.
WEIGHTS = {EQUAL: mark("Equal"), GRID: mark("Grid"), SEARCH: mark("Search")}
#: Ratios of one task's loss weight to the other's that a grid offers.
RATIOS = ("0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10", "20")
FIRST_RATIOS = ("0.1", "0.5", "1", "2", "10")
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
            problem = told(error)
        problem = problem or own_files.absent(json.loads(order.data))
        if not order.fits:
            problem = tr(
                "That makes {n:,} runs; one sweep has at most {most}: take fewer models or seeds.",
                n=order.runs, most=MOST_RUNS,
            )  # fmt: skip
        ahead = None if wanted is None else sweeps.outlook(wanted, records, services.library().store.sweeps())
        label, text = (tr("Train"), "") if wanted is None or ahead is None else _words(wanted, ahead)
        # The button comes first on the screen. No callback: it would get what the controls said one run ago.
        idle = ahead is not None and not ahead.runs and wanted is not None and wanted.budget == budget.key
        nothing = wanted is None or problem is not None or idle
        pressed = top.button(
            label, type="primary", icon=":material/play_arrow:", width="stretch", key="sweep.train", disabled=nothing
        )
        if pressed and wanted is not None and ahead is not None and not nothing:  # a second click comes too late
            _submit(wanted, ahead)
        if problem:
            top.error(problem, title=tr("This sweep cannot be trained"))
        elif text:
            top.caption(text)


def _order(budget: Budget, task_x: str, task_y: str) -> Order | None:
    trunks = [name for name in registry.names("trunk") if name != comparison.YARDSTICK]
    chosen = url_choices(
        tr("Models"), trunks, "sweep.trunks", lambda name: title("trunk", name), default=FIRST_TRUNKS, name="models"
    )
    left, right = st.columns(2)
    with left:
        how = url_choice(
            tr("Loss weights"), tuple(WEIGHTS), GRID, "sweep.weights", lambda way: tr(WEIGHTS[way]), name="weights",
            control=st.segmented_control, required=True,
            help=tr(
                "Grid: the ratios you choose. Search: an optimiser looks for weights on the Pareto front, judged by "
                "validation rows."
            ),
        )  # fmt: skip
    with right:
        seeds = url_integer(
            tr("Seeds"), 1, 16, 3, "sweep.seeds", "seeds", control=st.slider,
            help=tr("Pairs with single-task; 3 or more say most"),
        )  # fmt: skip
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


def _variants(how: str, task_x: str, task_y: str) -> tuple[Sequence[float], int, Sequence[str], bool]:
    """Ratios of loss weights, trials of a search, balancers, and whether sizes are matched."""
    ratios: Sequence[float] = (1.0,)
    trials = 0
    if how == GRID:
        called = tr("Weight of {task_x} to that of {task_y}", task_x=task_x, task_y=task_y)
        pills = partial(st.pills, selection_mode="multi")
        chosen = url_choices(
            called, RATIOS, "sweep.ratios", _ratio_name, default=FIRST_RATIOS, name="ratios", control=pills
        )
        ratios = [float(ratio) for ratio in chosen]
    elif how == SEARCH:
        trials = url_integer(tr("Trials per model"), 8, 64, 24, "sweep.trials", "trials", step=8, control=st.slider)
    for name, way in (("ratios", GRID), ("trials", SEARCH)):
        if way != how:
            st.query_params.pop(name, None)
    others = [name for name in registry.names("balancer") if name != "static"]
    balancers = url_choices(
        tr("Balancers, beside fixed weights"), others, "sweep.balancers", lambda name: title("balancer", name),
        name="balancers", placeholder=tr("None"),
    )  # fmt: skip
    equal = url_switch(
        tr("Equal parameters"), True, "sweep.equal", name="sizes",
        help=tr("Every model as large as the single-task yardstick; else each with its own usual widths"),
    )  # fmt: skip
    return ratios, trials, balancers, equal


def _elsewhere(spec: RunSpec) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Data set, data and training: the picture's, unless others are asked for."""
    value = spec.to_json()
    same = value["data"]["name"], value["data"], value["training"]
    url = UrlValues("sweep.")
    with st.expander(tr("Other data or budget")):
        other = url_switch(
            tr("Not the picture's"), False, "sweep.other", name="other",
            help=tr("The plot then moves to the new data and budget"),
        )  # fmt: skip
        if other:
            chosen = _chosen_elsewhere(url, *same)
        else:
            chosen = same
            st.query_params.pop("data", None)
            st.caption(tr("Data and budget are those of the picture, so that its points can be compared."))
    url.forget_others([PREFIXES["dataset"], *TrainingSpec.model_fields])
    return chosen


def _chosen_elsewhere(
    url: UrlValues, dataset: str, data: dict[str, Any], training: dict[str, Any]
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Controls for other data or another training, which begin at these."""
    names = [name for name in registry.names("dataset") if name != OWN_FILE]
    chosen = url_choice(
        tr("Data set"), names, dataset if dataset in names else names[0], "sweep.data",
        lambda name: title("dataset", name), name="data",
    )  # fmt: skip
    same, preset = chosen == dataset, preset_of(chosen)["spec"]
    start = data["options"] if same else preset["data"].get("options", {})
    form = Form(f"sweep.{chosen}", (), url, PREFIXES["dataset"])
    options = options_form(registry.schema_of("dataset", chosen), start, form)
    start = training if same else preset["training"]
    budget = options_form(registry.json_schema(TrainingSpec), start, Form(f"sweep.{chosen}", (), url))
    if same:  # what has no control here stays as it is
        options, budget = {**data["options"], **options}, {**training, **budget}
    return chosen, {"name": chosen, "options": options}, budget


def _tasks(dataset: str, data: dict[str, Any]) -> tuple[str, ...]:
    try:
        return RunSpec.parse({"data": data, "model": {"towers": []}}).schema.task_names
    except SpecError:  # shown with the plan
        return RunSpec.parse({"data": {"name": dataset}}).schema.task_names


def _words(wanted: Plan, ahead: Outlook) -> tuple[str, str]:
    """The button's words, and what is known before it is pressed."""
    models = len(wanted.models) - 1 + len(wanted.searched)
    order = wanted.order
    parts = [
        trn("{n} model and the single-task yardstick", "{n} models and the single-task yardstick", models),
        trn("{n} seed", "{n} seeds", order.seeds),
    ]
    if order.trials:
        parts.append(tr("{n} trials of each searched model", n=order.trials))
    told = [wording.commas(parts)]
    there = order.runs - ahead.runs - ahead.under_way
    if not ahead.runs:
        return _nothing_to_do(there, ahead.under_way, tr("{claim}.", claim=told[0]))
    if there > 0:
        told.append(tr("{n} of {all} runs are there already", n=there, all=order.runs))
    if ahead.under_way:
        told.append(tr("{n} of {all} runs are under way", n=ahead.under_way, all=order.runs))
    label, time = _time(trn("Train {n} run", "Train {n} runs", ahead.runs), ahead)
    return label, wording.passage(tr("{claim}.", claim=wording.clauses(told)), time)


def _nothing_to_do(there: int, under_way: int, text: str) -> tuple[str, str]:
    if under_way:
        some, every = tr("All of these runs are there or under way"), tr("All of these runs are under way")
        return some if there > 0 else every, text
    more = tr("More seeds narrow the intervals; a grid of loss weights shows what a gain costs the other task.")
    return tr("All of these runs are there"), wording.passage(text, more)


def _time(label: str, ahead: Outlook) -> tuple[str, str]:
    """The button's words with the time that it takes, and where that is known from."""
    if ahead.seconds is None:
        return label, tr("How long that takes is not known yet: nothing like it was trained on this machine.")
    time = wording.seconds(ahead.seconds)
    if ahead.seconds < 1:
        return tr("{train}, {time}", train=label, time=time), ""
    if ahead.at_most:
        bound = tr("Time as if one by one, as earlier runs on this machine; runs of one model train together.")
        return tr("{train}, at most {time}", train=label, time=time), bound
    return tr("{train}, about {time}", train=label, time=time), tr("Time at the pace of earlier runs on this machine.")


def _submit(wanted: Plan, ahead: Outlook) -> None:
    if ahead.runs:
        # What is under way belongs to this sweep, too: stopping the other one then leaves it alone.
        sweep = services.library().store.submit_sweep([*ahead.missing, *ahead.coming], ahead.searches)
        asked_here().add(sweep.id)
        services.executor().ensure_worker()
    st.query_params["budget"] = wanted.budget
    st.rerun()


def asked_here() -> set[str]:
    """Ids of the sweeps that were asked for in this session."""
    found: set[str] = st.session_state.setdefault("sweep.asked_here", set())
    return found


def _ratio_name(text: str) -> str:
    ratio = float(text)
    return f"{ratio:g}:1" if ratio >= 1 else f"1:{1 / ratio:g}"
