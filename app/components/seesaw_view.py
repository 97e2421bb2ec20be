"""The seesaw plot, its verdict table and the button that trains missing yardsticks."""

from __future__ import annotations

from functools import lru_cache

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import analysis, services, wording
from app.analysis import Budget, Seesaw
from app.charts.seesaw import SeesawGroup, seesaw
from mtl_core.spec import RunSpec


def small_seesaw(run_id: str) -> None:
    """The seesaw picture of the budget that a run belongs to, under the run."""
    library = services.library()
    record = library.record(run_id)
    if record is None:
        return
    key = analysis.keys(record).budget
    budget = next((b for b in analysis.budgets(library.records()) if b.key == key), None)
    with st.container(border=True):
        st.markdown("**Seesaw plot: what each model gains over single-task**")
        if budget is None:
            st.caption("No finished run of this data and budget yet.")
            return
        tasks = analysis.keys(budget.records[0]).spec.schema.task_names
        draw(budget, tasks[0], tasks[-1], key="small")


def draw(budget: Budget, task_x: str, task_y: str, key: str) -> None:
    """Plot at the left, verdicts and missing yardsticks at the right."""
    picture = analysis.seesaw(budget, task_x, task_y)
    sentence = wording.seesaw_sentence(picture.groups, task_x, task_y)
    kinds = {t.name: t.kind for t in analysis.keys(budget.records[0]).spec.schema.tasks}
    by_auc = kinds[task_x] == kinds[task_y] == "binary"
    unit = "AUC, thousandths" if by_auc else "thousandths of each task's metric"
    left, right = st.columns([3, 2])
    with left:
        st.plotly_chart(_figure(picture.groups, task_x, task_y, unit), width="stretch", key=f"{key}.plot", alt=sentence)
    with right:
        st.markdown(sentence)
        if picture.groups:
            table = verdict_table(picture, task_x, task_y)
            st.table(table, border="horizontal", hide_index=True, alt="Gains and verdicts of each model")
        size = f" Single-task has {picture.baseline_parameters:,} parameters." if picture.baseline_parameters else ""
        st.caption(
            f"Gains on the test rows ({unit}) with the 95% interval of the paired difference over n seeds. "
            f"Pale: one seed. Grey: not distinguishable from single-task on at least one task.{size}"
        )
        st.caption(budget.label)
        missing_yardsticks(picture, key)


@lru_cache(maxsize=64)
def _figure(groups: tuple[SeesawGroup, ...], task_x: str, task_y: str, unit: str) -> go.Figure:
    return seesaw(groups, task_x, task_y, unit)


def verdict_table(picture: Seesaw, task_x: str, task_y: str) -> pd.DataFrame:
    """One row per model."""
    return pd.DataFrame(
        [
            {
                "model": group.label,
                f"gain {task_x}": wording.interval(group.x_interval),
                f"gain {task_y}": wording.interval(group.y_interval),
                "n": len(group.seeds),
                "parameters": wording.count(picture.parameters[group.label]),
                "verdict": wording.verdict(group, task_x, task_y),
            }
            for group in picture.groups
        ]
    )


def missing_yardsticks(picture: Seesaw, key: str) -> None:
    """Name the runs that cannot be placed yet, and offer to train what they lack."""
    if not picture.missing:
        return
    names = [wording.run_name(item.record) for item in picture.missing]
    named = names[:3] + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
    st.info(
        f"{wording.join(named)} cannot be placed yet: there is no single-task run "
        "of the same data, seed and budget to measure against.",
        title="Missing yardstick",
    )
    count = len(picture.missing)
    st.button(
        f"Train the missing single-task run{'s' if count > 1 else ''}" + (f" ({count})" if count > 1 else ""),
        icon=":material/play_arrow:", key=f"{key}.missing", on_click=_train,
        args=([m.baseline for m in picture.missing],),
    )  # fmt: skip


def _train(specs: list[RunSpec]) -> None:
    for spec in specs:
        services.library().store.submit(spec)
    services.executor().ensure_worker()
