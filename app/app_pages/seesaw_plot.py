"""Gain against gain."""

import streamlit as st

from app import analysis, services
from app.components.queue_view import queue_line
from app.components.seesaw_view import begin_with, is_open, live_pairs, live_plot, live_verdicts, own_budget
from app.components.sweep_panel import sweep_panel
from app.components.url_choice import url_choice
from app.i18n import tr
from app.library import EXAMPLE_PREFIX, examples

TICK = "1s"
library = services.library()
services.executor().warm()
records = library.records()
budgets = analysis.budgets(records, with_open=True)
labels = {budget.key: budget.label for budget in budgets}
# One's own runs first; else the bundled comparison on the world that was made to show it, which is what a link without
# a budget means.
bundled = analysis.keys(examples()[f"{EXAMPLE_PREFIX}conflict-mmoe-0"].record).budget
own = own_budget(records, budgets)
begin_with(own or bundled, bundled, list(labels))
default = bundled if own in (None, bundled) else ""  # with another beginning the link always names the budget
with st.container(horizontal=True, vertical_alignment="bottom"):
    chosen = url_choice(
        tr("Data and budget"), list(labels), default, "budget", labels.__getitem__, width=520,
        help=tr("Only runs of the same data and the same training budget may be compared."),
    )  # fmt: skip
    budget = next(b for b in budgets if b.key == chosen)
    tasks = list(analysis.keys(budget.records[0]).spec.schema.task_names)
    if len(tasks) > 2:
        task_x = url_choice(tr("Across"), tasks, tasks[0], "x", width=200)
        others = [task for task in tasks if task != task_x]  # a task against itself is a line
        task_y = url_choice(tr("Up"), others, others[0], "y", width=200)
    else:
        task_x, task_y = tasks[0], tasks[-1]
    equal = st.toggle(
        tr("Equal parameters only"), key="equal", bind="query-params",
        help=tr("Leave out models whose parameters differ by more than a tenth from the single-task yardstick's."),
    )  # fmt: skip
ticking = is_open(budget, records)
if not ticking:
    queue_line()
clock = TICK if ticking else None
left, right = st.columns([5, 4], gap="large")
with left:
    st.fragment(live_plot, run_every=clock)(chosen, task_x, task_y, equal, ticking)
with right:
    st.fragment(live_verdicts, run_every=clock)(chosen, task_x, task_y, equal, ticking)
    sweep_panel(budget, task_x, task_y, records)
if len(tasks) > 2:
    st.fragment(live_pairs, run_every=clock)(chosen, task_x, equal)
