"""The table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from app import analysis, wording
from app.jobs.records import RunRecord
from app.library import is_example
from mtl_core.registry import title
from mtl_core.spec import fingerprint


def run_table(records: Sequence[RunRecord]) -> list[int]:
    """Draw the runs; the places of the ticked ones."""
    table = pd.DataFrame([_row(record) for record in records])
    picked = st.dataframe(
        table,
        hide_index=True,
        height=min(620, 40 + 36 * len(records)),
        on_select="rerun",
        selection_mode="multi-row",
        # Ticks are places, not runs: when runs come or go, the ticks must go too, or Delete would meet another run.
        key=f"runs.table.{fingerprint([record.id for record in records])}",
        alt="All runs with their options, size, test AUC, time and state",
        column_config={
            "parameters": st.column_config.NumberColumn(format="localized", help="Trainable parameters"),
            "options": st.column_config.TextColumn(width="medium"),
            "test AUC 1": st.column_config.TextColumn(help="First task, named in the cell"),
            "test AUC 2": st.column_config.TextColumn(help="Second task, named in the cell"),
            "progress": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="percent"),
        },
    )
    return list(picked["selection"]["rows"])


def _row(record: RunRecord) -> dict[str, object]:
    metrics = list((record.metrics_test or {}).items())
    cells = [
        f"{task} {wording.auc(values['auc']) if 'auc' in values else wording.score(values)}" for task, values in metrics
    ] + ["", ""]
    return {
        "model": title("trunk", record.trunk),
        "data": analysis.data_title(record.spec),
        "options": _options(record),
        "seed": record.seed,
        "parameters": record.parameters,
        "test AUC 1": cells[0],
        "test AUC 2": cells[1],
        "time": wording.seconds(record.train_seconds) if record.train_seconds else "",
        "state": "example" if is_example(record.id) else record.state,
        "progress": record.fraction if record.state != "finished" else None,
        "started": datetime.fromtimestamp(record.created_at, tz=UTC).strftime("%Y-%m-%d %H:%M"),
        "run": record.id,
    }


def _options(record: RunRecord) -> str:
    trunk = record.spec["model"]["trunk"]["options"]
    parts = [f"{name.replace('_', ' ')} {analysis.short(value)}" for name, value in trunk.items()]
    weights = record.spec["balancer"]["options"].get("weights")
    if weights and len(set(weights)) > 1:
        parts.append(f"weights {analysis.short(weights)}")
    return ", ".join(parts)
