"""What is said first about the runs that are compared: sentences, scores, sizes and the options that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from app import services, wording
from app.comparing import Compared, differing, sentences, table
from app.components.figure_files import offered
from app.components.url_choice import url_choice
from app.i18n import tr

#: Runs side by side; more begin another row. Long names of tasks need wider pictures.
ABREAST, ABREAST_LONG, LONG = 3, 2, 6


def say(runs: Sequence[Compared]) -> None:
    """What the numbers say, in a few sentences."""
    with st.container(border=True):
        st.markdown(tr("**What the numbers say**"))
        # One text: sentences of their own would stand far apart.
        st.markdown("\n".join(f"- {sentence}" for sentence in sentences(runs, services.library().records())))
        st.caption(" · ".join(dict.fromkeys(wording.source_line(run.history) for run in runs)))


def differences(runs: Sequence[Compared]) -> None:
    """Scores, size and time, and the options that differ."""
    with st.container(border=True):
        st.markdown(tr("**What differs**"))
        st.table(table(runs), border="horizontal", alt=tr("Scores, size, time and differing options of the runs"))
        once = tr("Each column is one run with one seed: its scores are one draw. Intervals stand in the text above.")
        rest = (
            tr("Everything else, the data and the budget included, is the same.")
            if not differing(runs).empty
            else tr("These runs have equal specs: whatever differs is the machine's doing.")
        )
        st.caption(wording.passage(once, rest))


def level_choice(deepest: int) -> int:
    """A control for the level of the gates, where there are several."""
    if deepest == 1:
        return 1
    levels = [str(n) for n in range(1, deepest + 1)]
    return int(
        url_choice(
            tr("Level of the gates"),
            levels,
            str(deepest),
            "level",
            control=st.segmented_control,
            required=True,
            help=tr(
                "Level 1 reads the features, the last one feeds the towers. A run with fewer levels shows its last."
            ),
        )
    )


@contextmanager
def card(run: Compared, title: str | None = None) -> Iterator[None]:
    """A bordered card that names its run."""
    with st.container(border=True), offered(f"compare {run.name}", about=run.name, key=f"compare.{run.number}"):
        if title is None:
            st.markdown(f"**{run.name}**", help=wording.run_name(run.record))
        else:
            st.markdown(f"**{run.name}** · {title}", help=wording.run_name(run.record))
        yield


def alt_text(run: Compared, what: str, claim: str = "") -> str:
    """What a chart of one run says to those who cannot see it."""
    return wording.passage(tr("{claim}.", claim=run.name), what, claim)


def abreast(runs: Sequence[Compared]) -> Iterator[Compared]:
    """Run after run, each within a column of its own; narrow screens put them below each other."""
    most = ABREAST_LONG if max(len(task) for run in runs for task in run.tasks) > LONG else ABREAST
    width = len(runs) if len(runs) <= most else (2 if len(runs) == 4 else most)
    for start in range(0, len(runs), width):
        for column, run in zip(st.columns(width), runs[start : start + width], strict=False):
            with column:
                yield run
