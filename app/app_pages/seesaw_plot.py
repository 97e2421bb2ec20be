"""Gain against gain."""

import streamlit as st

from app import analysis, services
from app.components.queue_view import queue_line
from app.components.seesaw_view import draw
from app.components.url_choice import url_choice
from app.library import EXAMPLE_PREFIX, examples

library = services.library()
queue_line()
budgets = analysis.budgets(library.records())
labels = {budget.key: budget.label for budget in budgets}
# The textbook picture first: the bundled comparison on the world that was made to show it.
default = analysis.keys(examples()[f"{EXAMPLE_PREFIX}conflict-mmoe-0"].record).budget
with st.container(horizontal=True, vertical_alignment="bottom"):
    chosen = url_choice(
        "Data and budget", list(labels), default, "budget", labels.__getitem__, width=520,
        help="Only runs of the same data and the same training budget may be compared.",
    )  # fmt: skip
    budget = next(b for b in budgets if b.key == chosen)
    tasks = list(analysis.keys(budget.records[0]).spec.schema.task_names)
    if len(tasks) > 2:
        task_x = url_choice("Across", tasks, tasks[0], "x", width=200)
        others = [task for task in tasks if task != task_x]  # a task against itself is a line
        task_y = url_choice("Up", others, others[0], "y", width=200)
    else:
        task_x, task_y = tasks[0], tasks[-1]
draw(budget, task_x, task_y, key="seesaw")
