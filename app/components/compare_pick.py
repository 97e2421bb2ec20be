"""Which runs are compared: kept in the URL, by their ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from app import analysis, services, wording
from app.charts.runs import MOST_RUNS
from app.comparing import Compared, name_runs
from app.i18n import as_read, tr
from app.jobs.records import RunRecord
from app.library import EXAMPLE_PREFIX, is_example

#: In the session: the runs with which the page began.
KEY, BEGUN = "runs", "runs.begun"
#: So many of the newest runs may be the one that the page begins with.
NEWEST = 20
#: The textbook comparison, for a first visit. A link that says nothing means these.
DEFAULT = (f"{EXAMPLE_PREFIX}conflict-mmoe-0", f"{EXAMPLE_PREFIX}conflict-ple-0")


def pick_runs() -> list[Compared]:
    """The control, and the runs that it names, numbered in the order in which they were picked."""
    library = services.library()
    records = {r.id: r for r in library.records() if r.state == "finished" and library.has_gates(r.id)}
    start = _start(list(records.values()))
    _take_up(records, start)
    told = dict(zip(records, wording.run_names(list(records.values())), strict=True))

    def name(run_id: str) -> str:
        run = told[run_id]
        return tr("{run} (example)", run=run) if is_example(run_id) else f"{run} · {run_id}"

    chosen = st.multiselect(
        tr("Runs to compare (two to {most})", most=MOST_RUNS), list(records), key=KEY, max_selections=MOST_RUNS,
        format_func=as_read(name), persist_state="session", placeholder=tr("Pick finished runs"),
        help=tr("The first one is what the others are measured against."),
    )  # fmt: skip
    written = ",".join(chosen)
    if written == ",".join(DEFAULT) and start == DEFAULT:
        st.query_params.pop(KEY, None)
    elif st.query_params.get(KEY) != written:
        st.query_params[KEY] = written
    st.session_state[f"{KEY}.in_url"] = st.query_params.get(KEY)
    picked = [records[run_id] for run_id in chosen]
    names = name_runs(picked)
    return [
        Compared(number, name, record, library.history(record.id))
        for number, (name, record) in enumerate(zip(names, picked, strict=True), start=1)
    ]


def _start(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """With which runs the page begins: the two newest of one's own that differ in their model and in nothing else.

    Those of one seed go before others of the newest run's budget.
    """
    own = [record for record in records if not is_example(record.id)]
    for newest in own[:NEWEST]:
        budget = analysis.keys(newest).budget
        others = [r for r in own if r.trunk != newest.trunk and analysis.keys(r).budget == budget]
        if others:
            other = next((r for r in others if r.seed == newest.seed), others[0])
            return other.id, newest.id
    return DEFAULT


def _take_up(records: Mapping[str, RunRecord], start: tuple[str, ...]) -> None:
    """What a link, or another page's button, has put into the URL since it was last written here."""
    asked = st.query_params.get(KEY)
    # The two halves of older links.
    halves = {side: st.query_params[side] for side in ("left", "right") if side in st.query_params}
    if halves:
        pairs = zip(("left", "right"), DEFAULT, strict=True)
        asked = ",".join(half if (half := halves.get(side, "")) in records else usual for side, usual in pairs)
        for side in ("left", "right"):
            st.query_params.pop(side, None)
    known = list(dict.fromkeys(run_id for run_id in (asked or "").split(",") if run_id in records))[:MOST_RUNS]
    if known and asked != st.session_state.get(f"{KEY}.in_url"):
        st.session_state[KEY] = known
    # A run may be gone since it was picked; with nothing left the page begins anew. Who empties the field keeps it so.
    picked = st.session_state.get(KEY, list(start))
    if asked is None and st.session_state.get(BEGUN) == picked == list(DEFAULT):
        picked = list(start)  # nobody has chosen the examples, and there is something of one's own meanwhile
    kept = [run_id for run_id in picked if run_id in records]
    st.session_state[KEY] = kept or (list(start) if picked else [])
    if picked == list(start):
        st.session_state[BEGUN] = list(start)
