"""What can be done with ticked runs, with runs that were deleted, and with a file of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import exchange, own_files, report, run_list, services, wording
from app.charts.runs import MOST_RUNS
from app.components.run_table import SELECTED
from app.downloads import file_stem
from app.exchange import ExchangeError
from app.i18n import as_read, tr, trn
from app.jobs.archive import Labels
from app.jobs.records import RunRecord
from app.library import History, is_example
from app.run_list import Listed

#: One run beside nothing is no comparison.
FEWEST_COMPARED = 2
#: Deleted runs of the last press, for Undo; what was said of the last file.
DELETED, SAID = "runs.deleted", "runs.said"
#: Why the ticked runs could not be queued, and which they were.
REFUSED = "runs.refused"
#: Megabytes of a file of runs.
LARGEST_FILE = 50


def actions(chosen: Sequence[Listed]) -> None:
    """The row of buttons for the ticked runs."""
    records = [run.record for run in chosen]
    own = [record for record in records if not is_example(record.id)]
    library = services.library()
    comparable = [r for r in records if r.state == "finished" and library.has_gates(r.id)]
    ended = [record for record in own if record.state in ("stopped", "failed")]
    finished = [record for record in records if record.state == "finished"]
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(tr("Open"), icon=":material/open_in_new:", disabled=len(records) != 1, key="runs.open"):
            st.switch_page("app_pages/playground.py", query_params={"run": records[0].id})
        few = FEWEST_COMPARED <= len(comparable) == len(records) <= MOST_RUNS
        if st.button(tr("Compare"), icon=":material/compare:", disabled=not few, key="runs.compare"):
            st.switch_page("app_pages/compare.py", query_params={"runs": ",".join(r.id for r in records)})
        st.button(
            tr("Next seed"), icon=":material/replay:", disabled=not records, key="runs.rerun", on_click=_rerun,
            args=(records,), help=tr("Train the same once more with the next seed that was not used yet"),
        )  # fmt: skip
        st.button(
            tr("Go on"), icon=":material/play_arrow:", disabled=not ended, key="runs.resume", on_click=_resume,
            args=(ended,), help=tr("Paused and failed runs go on from their last checkpoint"),
        )  # fmt: skip
        st.button(
            tr("Delete"), icon=":material/delete:", disabled=not own, key="runs.delete", on_click=_delete, args=(own,),
            help=tr("They can be had back for a day"),
        )  # fmt: skip
        st.download_button(
            tr("Export"), lambda: export(records), f"{_stem(records)}.seesaw.json.gz", "application/gzip",
            icon=":material/download:", disabled=not records, key="runs.export", on_click="ignore",
            help=tr("One file with settings, curves, gates, tags and notes; import it on another machine"),
        )  # fmt: skip
        st.download_button(
            tr("Report"), as_read(lambda: _report(finished)), f"{_stem(finished)}.html", "text/html",
            icon=":material/description:", disabled=not finished, key="runs.report", on_click="ignore",
            help=tr("One HTML page that opens without a network: differences, scores with intervals, curves, gates"),
        )  # fmt: skip
    refused, why = st.session_state.get(REFUSED, ((), ""))
    if why and {record.id for record in records}.issuperset(refused):
        st.error(why, title=tr("Nothing was queued"))
    # There is always a line, so that the table stays where it is.
    if not chosen:
        st.caption(tr("Tick one run to see it below, two to six to compare them."))
    elif len(records) > 1 and not few:
        st.caption(_why_not(records, comparable))
    else:
        st.caption(trn("{n} run is ticked: more of it below.", "{n} runs are ticked: more of them below.", len(chosen)))


def _why_not(records: Sequence[RunRecord], comparable: Sequence[RunRecord]) -> str:
    if len(comparable) < len(records):
        return tr("Only finished runs whose gate weights were kept can be compared.")
    return tr(
        "{n} runs are ticked: {most} at most can be compared; a report takes any number.",
        n=len(records),
        most=MOST_RUNS,
    )


def _stem(records: Sequence[RunRecord]) -> str:
    return file_stem(records[0]) if len(records) == 1 else f"seesaw-{len(records)}-runs"


def export(records: Sequence[RunRecord]) -> bytes:
    """A file with these runs."""
    library, labels = services.library(), services.archive().labels()
    told = [
        _events(library.history(record.id)) if is_example(record.id)
        else [event.payload for event in library.store.events(record.id)]
        for record in records
    ]  # fmt: skip
    return exchange.pack([(r, labels.get(r.id, Labels()), events) for r, events in zip(records, told, strict=True)])


def _events(history: History) -> list[dict[str, Any]]:
    ends = (history.started, *history.epochs, history.finished)
    return [event.to_json() for event in ends if event is not None]


def _report(records: Sequence[RunRecord]) -> str:
    library, labels = services.library(), services.archive().labels()
    return report.page([report.Told(r, library.history(r.id), labels.get(r.id, Labels())) for r in records])


def _refused(records: Sequence[RunRecord]) -> bool:
    """Would one of them only fail, for want of its file? Said below the buttons while these runs are ticked."""
    why = list(dict.fromkeys(filter(None, (own_files.absent(record.spec["data"]) for record in records))))
    st.session_state[REFUSED] = [record.id for record in records], wording.passage(*why)
    return bool(why)


def _rerun(records: Sequence[RunRecord]) -> None:
    if _refused(records):
        return
    library = services.library()
    known, names = library.records(), []
    for record in records:
        run, _ = library.store.submit(run_list.next_seed(record, known))
        known.insert(0, run)
        names.append(wording.run_name(run))
    services.executor().ensure_worker()
    told = wording.join(names[:3])
    if len(names) > 3:
        told = tr("{first} and {n} more", first=told, n=len(names) - 3)
    st.toast(tr("Queued: {runs}", runs=told))


def _resume(records: Sequence[RunRecord]) -> None:
    if _refused(records):
        return
    for record in records:
        services.library().store.resume(record.id)
    services.executor().ensure_worker()


def _delete(records: Sequence[RunRecord]) -> None:
    st.session_state[DELETED] = services.archive().discard([record.id for record in records])


def _restore(run_ids: Sequence[str]) -> None:
    services.archive().restore(run_ids)
    services.executor().ensure_worker()  # one that was queued is queued again
    st.session_state.pop(DELETED, None)


def deleted_line() -> None:
    """What was just deleted, and how to have it back."""
    binned = {record.id for record in services.archive().binned()}
    ids = [run_id for run_id in st.session_state.get(DELETED, ()) if run_id in binned]
    if ids:
        st.caption(trn("{n} run deleted.", "{n} runs deleted.", len(ids)), width="content")
        st.button(tr("Undo"), key="runs.undo", icon=":material/undo:", type="tertiary", on_click=_restore, args=(ids,))


def deleted_runs() -> None:
    """All that was deleted within a day."""
    binned = services.archive().binned()
    with st.popover(tr("Deleted"), icon=":material/delete_sweep:", disabled=not binned):
        told = zip(binned, wording.run_names(binned), strict=True)
        names = {record.id: f"{name} · {record.id}" for record, name in told}
        chosen = st.multiselect(
            tr("Deleted runs, kept for a day"), list(names), key="runs.bin", format_func=lambda n: names.get(n, n),
            placeholder=tr("Pick some"),
        )  # fmt: skip
        st.button(
            tr("Have them back"), key="runs.restore", icon=":material/undo:", disabled=not chosen, on_click=_restore,
            args=(chosen,),
        )  # fmt: skip
        st.button(
            tr("Delete all {n} for good", n=len(binned)), key="runs.empty", icon=":material/delete_forever:",
            on_click=services.archive().empty,
        )  # fmt: skip


def import_runs() -> None:
    """Take in a file that another machine, or this page, has written."""
    with st.popover(tr("Import"), icon=":material/upload_file:"):
        st.caption(tr("A file that Export has written. Nothing is taken in unless all of it can be read."))
        st.file_uploader(
            tr("File of runs"), type=["gz", "json"], key="runs.import", max_upload_size=LARGEST_FILE, on_change=_import
        )
        problem, said = st.session_state.pop(SAID, (False, ""))
        if said:
            (st.error if problem else st.success)(said)


def _import() -> None:
    file = st.session_state.get("runs.import")
    if file is None:
        return
    try:
        added = services.archive().add(exchange.unpack(file.getvalue()))
    except ExchangeError as error:
        st.session_state[SAID] = True, str(error)
        return
    parts = [trn("{n} run taken in", "{n} runs taken in", len(added.new))] if added.new else []
    if added.known:
        parts.append(trn("{n} run was here already", "{n} runs were here already", len(added.known)))
    st.session_state[SAID] = False, tr("{claim}.", claim=wording.capital(wording.clauses(parts)))
    st.query_params[SELECTED] = ",".join((*added.new, *added.known))
