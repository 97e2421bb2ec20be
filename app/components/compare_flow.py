"""Where each tower's input comes from, as one Sankey diagram per run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

import plotly.graph_objects as go
import streamlit as st

from app import comparing, services, wording
from app.charts.sankey import flow, sankey
from app.charts.still_compare import flow_svg
from app.comparing import Compared
from app.components.compare_view import abreast, card
from app.components.figure_files import remember
from app.figures import of_plotly
from app.library import History


def flow_section(runs: Sequence[Compared]) -> None:
    """One card per run."""
    for run in abreast(runs):
        with card(run, "tested epoch"):
            sentence = shared_sentence(run)
            figure = _figure(run.record.id)
            told = f"{run.name}. Flow from features over experts and gates to towers. {sentence}"
            st.plotly_chart(figure, width="stretch", key=f"flow.{run.number}", alt=told)
            remember(of_plotly(told, figure, partial(flow_svg, run.wiring, run.tasks, _means(run.history))))
            st.caption(sentence)
            if note := comparing.kind_note(run):
                st.caption(f":material/info: {note} Ribbons show shares of their sizes.")
    st.caption(
        "Ribbons are mean gate weights, followed from the towers back to the features: every tower draws the same "
        "amount, so what is thin here hardly reaches any tower. Grey: shared. Tint: private to a task."
    )


# Of finished runs, which no longer change: building a Plotly figure costs more than sending it.
@lru_cache(maxsize=64)
def _figure(run_id: str) -> go.Figure:
    history = services.library().history(run_id)
    assert history.started is not None
    return sankey(history.started.wiring, history.started.tasks, _means(history))


def _means(history: History) -> dict[str, list[float]]:
    return {name: list(summary.mean) for name, summary in history.gates.items()}


def shared_sentence(run: Compared) -> str:
    """How much of what towers read passes shared experts, level by level."""
    _, links = flow(run.wiring, run.tasks, _means(run.history))
    parts = []
    for number, level in enumerate(run.wiring.levels, start=1):
        through = {f"{number}.e{e}": expert.owner is None for e, expert in enumerate(level.experts)}
        out = [(link.value, through[link.source]) for link in links if link.source in through]
        total = sum(value for value, _ in out)
        if total:
            share = sum(value for value, shared in out if shared) / total
            where = f" at level {number}" if len(run.wiring.levels) > 1 else ""
            parts.append(f"{share:.0%}{where}")
    return f"Of what the towers receive, shared experts pass {wording.join(parts)}." if parts else "Nothing flows."
