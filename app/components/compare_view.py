"""The two halves of a comparison, drawn on the same scales."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import analysis, services, wording
from app.charts.architecture import architecture
from app.charts.curves import YARDSTICK, auc_curves
from app.charts.gates import gate_distributions, gate_heatmap
from app.components.live import live_chart
from app.components.run_view import header
from app.jobs.records import RunRecord
from app.library import History


def one_side(record: RunRecord, history: History, key: str) -> None:
    """Architecture, gate weight distributions and their course over the epochs."""
    started = history.started
    if started is None:
        st.caption("This run has not said anything yet.")
        return
    gates = history.gates
    sentence = wording.gates_sentence(started.wiring, started.tasks, gates)
    with st.container(border=True):
        header(record, history)
        means = {name: summary.mean for name, summary in gates.items()}
        live_chart(
            architecture(started.wiring, started.tasks, means), f"Architecture. {sentence}", key=f"{key}.architecture"
        )
        st.markdown("**Distribution of gate weights** (same scale on both sides)")
        levels = len(started.wiring.levels)
        # Also where there is one level only: the two sides then keep the same heights.
        level = st.segmented_control(
            "Level", list(range(1, levels + 1)), default=levels, key=f"{key}.level.{levels}", required=True,
            format_func=lambda n: f"level {n}" + (" (towers read this)" if n == levels else ""),
        )  # fmt: skip
        st.plotly_chart(_distributions(record.id, level), width="stretch", key=f"{key}.distributions", alt=sentence)
        st.caption(f"{sentence} Bar: mean over {_rows(history):,} validation rows.")
        kept = [(epoch.epoch, epoch.gates) for epoch in history.epochs if epoch.gates]
        if kept:
            st.markdown("**Mean gate weights by epoch**")
            st.plotly_chart(
                _heatmap(record.id), width="stretch", key=f"{key}.heatmap",
                alt=f"Mean gate weights over {len(kept)} epochs. {sentence}",
            )  # fmt: skip
        st.caption(wording.source_line(history))


# Of finished runs, which no longer change: building a Plotly figure costs more than sending it.
@lru_cache(maxsize=128)
def _distributions(run_id: str, level: int) -> go.Figure:
    history = services.library().history(run_id)
    assert history.started is not None
    return gate_distributions(history.started.wiring, history.gates, level)


@lru_cache(maxsize=128)
def _heatmap(run_id: str) -> go.Figure:
    history = services.library().history(run_id)
    assert history.started is not None
    kept = [(epoch.epoch, epoch.gates) for epoch in history.epochs if epoch.gates]
    return gate_heatmap(history.started.wiring, kept)


def curves(sides: Sequence[tuple[RunRecord, History]]) -> None:
    """Validation curves of both runs in one picture: the first solid, the second as the dotted line."""
    (first, history), (second, other) = sides
    with st.container(border=True):
        st.markdown("**AUC by epoch (validation)**")
        names = [wording.run_name(first), wording.run_name(second)]
        rows = pd.concat(
            [
                analysis.curve_rows(history, names[0] + " (left)", with_test=False),
                analysis.curve_rows(other, names[1] + " (right)", YARDSTICK, with_test=False),
            ],
            ignore_index=True,
        )
        tasks = history.started.tasks if history.started else []
        sentence = f"{_scores(history, 'Left')} {_scores(other, 'Right')}"
        live_chart(auc_curves(rows, tasks, max(first.epochs, second.epochs)), sentence)
        st.caption(f"Solid: left. Dotted: right. {sentence}")


def _scores(history: History, side: str) -> str:
    if history.finished is None:
        return ""
    return f"{side}, test: {wording.scores(history.finished.metrics['test'])}."


def _rows(history: History) -> int:
    first = next(iter(history.gates.values()), None)
    return sum(first.histogram[0]) if first else 0
