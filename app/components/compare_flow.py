"""Where each tower's input comes from, as one Sankey diagram per run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from app import comparing, services, wording
from app.charts.sankey import Link, Node, flow, sankey, widest
from app.charts.still_compare import flow_svg
from app.comparing import Compared
from app.components.compare_view import abreast, alt_text, card
from app.components.figure_files import remember
from app.figures import of_plotly
from app.i18n import by_language, tr
from app.library import History


def flow_section(runs: Sequence[Compared]) -> None:
    """One card per run."""
    for run in abreast(runs):
        with card(run, tr("tested epoch")):
            nodes, links = flow(run.wiring, run.tasks, _means(run.history))
            sentence = _shared_sentence(run, links)
            figure = _figure(run.record.id)
            told = alt_text(run, tr("Flow from features over experts and gates to towers."), sentence)
            st.plotly_chart(figure, width="stretch", key=f"flow.{run.number}", alt=told)
            remember(of_plotly(told, figure, partial(flow_svg, run.wiring, run.tasks, _means(run.history))))
            st.caption(wording.passage(sentence, _left_out(nodes, links)))
            if note := comparing.kind_note(run):
                note = wording.passage(note, tr("Ribbons show shares of their sizes."))
                st.caption(f":material/info: {note}")
    st.caption(
        tr(
            "Ribbons are mean gate weights, followed from the towers back to the features: every tower draws the same "
            "amount, so what is thin here hardly reaches any tower. Grey: shared. Tint: private to a task."
        )
    )


# Of finished runs, which no longer change: building a Plotly figure costs more than sending it.
@by_language(maxsize=64)
def _figure(run_id: str) -> go.Figure:
    history = services.library().history(run_id)
    assert history.started is not None
    return sankey(history.started.wiring, history.started.tasks, _means(history))


def _means(history: History) -> dict[str, list[float]]:
    return {name: list(summary.mean) for name, summary in history.gates.items()}


def _left_out(nodes: Sequence[Node], links: Sequence[Link]) -> str:
    """What is too narrow to be drawn where there is very much; "": nothing."""
    *_, least = widest(nodes, links)
    return tr("Ribbons of less than {share:.1%} of a tower are not drawn.", share=least) if least else ""


def _shared_sentence(run: Compared, links: Sequence[Link]) -> str:
    """How much of what towers read passes shared experts, level by level."""
    parts = []
    for number, level in enumerate(run.wiring.levels, start=1):
        through = {f"{number}.e{e}": expert.owner is None for e, expert in enumerate(level.experts)}
        out = [(link.value, through[link.source]) for link in links if link.source in through]
        total = sum(value for value, _ in out)
        if total:
            share = sum(value for value, shared in out if shared) / total
            several = len(run.wiring.levels) > 1
            parts.append(tr("{share:.0%} at level {level}", share=share, level=number) if several else f"{share:.0%}")
    if not parts:
        return tr("Nothing flows.")
    return tr("Of what the towers receive, shared experts pass {shares}.", shares=wording.join(parts))
