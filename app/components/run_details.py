"""One ticked run, or several: tags, note, and everything to take home."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from app import analysis, downloads, exports, figures, report, services, wording
from app.charts import still
from app.charts.svg import as_file
from app.components.run_view import state_text
from app.core_sentences import sentence
from app.i18n import as_read, tr
from app.jobs.archive import LONGEST_NOTE, Labels, clean_tag
from app.jobs.records import RunRecord
from app.library import is_example
from app.run_list import Listed
from mtl_core.spec import fingerprint

WEIGHTS = "weights.safetensors"
#: Runs whose options are set beside each other.
MOST_BESIDE = 6


def details(chosen: Sequence[Listed], tags: Sequence[str]) -> None:
    """Below the table: what is ticked.

    Args:
        chosen: the ticked runs.
        tags: all that are in use anywhere.
    """
    if not chosen:
        return
    left, right = st.columns([2, 3])
    with left, st.container(border=True):
        if len(chosen) == 1:
            _what_it_is(chosen[0].record)
        else:
            st.markdown(tr("**{n} runs**", n=len(chosen)))
        _labels(chosen, tags)
    with right, st.container(border=True):
        if len(chosen) == 1:
            _take_home(chosen[0].record)
        else:
            _differences([run.record for run in chosen[:MOST_BESIDE]])
            if len(chosen) > MOST_BESIDE:
                st.caption(tr("The first {n} of the {all} runs.", n=MOST_BESIDE, all=len(chosen)))


def _what_it_is(record: RunRecord) -> None:
    st.markdown(f"**{wording.run_name(record)}**")
    state = state_text(record)
    st.caption(f"{state} · {sentence(record.message)}" if record.message else state)
    if record.metrics_test:
        scores = wording.scores(record.metrics_test)
        st.caption(tr("Test {scores}; weights of epoch {epoch}.", scores=scores, epoch=record.best_epoch))


def _differences(records: Sequence[RunRecord]) -> None:
    """Options that are not the same in all of the runs."""
    st.markdown(tr("**What differs**"))
    names = [f"{number} {name}" for number, name in enumerate(wording.run_names(records), start=1)]
    table = analysis.differences([analysis.keys(record).spec for record in records], names)
    if table.empty:
        st.caption(tr("Nothing: these are runs of one spec."))
    else:
        st.table(table, border="horizontal", alt=tr("Options in which the ticked runs differ"))


def _labels(chosen: Sequence[Listed], tags: Sequence[str]) -> None:
    """Tags that all of the runs have; for one run, its note."""
    own = [run for run in chosen if not is_example(run.record.id)]
    if not own:
        st.caption(tr("Examples come with the program and carry no tags."))
        return
    ids = [run.record.id for run in own]
    common = [tag for tag in own[0].labels.tags if all(tag in run.labels.tags for run in own)]
    key = f"runs.tags.{fingerprint(ids)}"
    st.session_state[key] = common  # another tab may have changed them
    st.multiselect(
        tr("Tags") if len(own) == 1 else tr("Tags of all {n}", n=len(own)), sorted({*tags, *common}), key=key,
        accept_new_options=True, placeholder=tr("Pick or write one"), on_change=_retag, args=(ids, common, key),
    )  # fmt: skip
    if len(own) == 1:
        note = f"runs.note.{ids[0]}"
        st.text_area(
            tr("Note"), own[0].labels.note, key=note, max_chars=LONGEST_NOTE, on_change=_write_note,
            args=(ids[0], note), placeholder=tr("What is it for, what came out?"), height=90,
        )  # fmt: skip


def _retag(ids: Sequence[str], before: Sequence[str], key: str) -> None:
    after = [clean_tag(tag) for tag in st.session_state[key]]
    services.archive().tag(
        ids, add=[tag for tag in after if tag not in before], remove=[tag for tag in before if tag not in after]
    )


def _write_note(run_id: str, key: str) -> None:
    services.archive().note(run_id, str(st.session_state[key] or ""))


def _take_home(record: RunRecord) -> None:
    """Files of a run; each is made when it is asked for."""
    library = services.library()
    spec, stem = analysis.keys(record).spec, downloads.file_stem(record)
    history = library.history(record.id)
    st.markdown(tr("**Take home**"))
    with st.container(horizontal=True):
        _file(tr("Settings, JSON"), f"{stem}.json", "application/json", lambda: exports.as_json(spec))
        _file(tr("Settings, YAML"), f"{stem}.yaml", "application/yaml", lambda: exports.as_yaml(spec))
    if not history.epochs:
        st.caption(tr("Metrics and figures are there once an epoch is done."))
        return
    with st.container(horizontal=True):
        _file(tr("Metrics, CSV"), f"{stem}.csv", "text/csv", lambda: downloads.metrics_csv(history))
        _file(
            tr("Metrics, Parquet"), f"{stem}.parquet", "application/vnd.apache.parquet",
            lambda: downloads.metrics_parquet(history),
        )  # fmt: skip
    wiring, tasks = analysis.wiring(record, history), spec.schema.task_names
    pictures: dict[str, tuple[str, Callable[[], str]]] = {
        "architecture": (
            tr("Architecture"),
            lambda: still.architecture_svg(wiring, tasks, history.gates, analysis.meeting(record)),
        ),
        "curves": (tr("Curves"), lambda: report.run_curves_svg(report.Told(record, history, Labels()))),
    }
    if history.gates:
        pictures["gates"] = tr("Gates"), lambda: still.gates_svg(wiring, history.gates)
    with st.container(horizontal=True):
        for what, (name, draw) in pictures.items():
            svg, png = (tr("{figure}, {kind}", figure=name, kind=kind) for kind in ("SVG", "PNG"))
            _file(svg, f"{stem}-{what}.svg", "image/svg+xml", partial(_drawn, draw))
            _file(png, f"{stem}-{what}.png", "image/png", partial(_pixels, draw))
    _weights(record, stem)


def _drawn(draw: Callable[[], str]) -> str:
    return as_file(draw())


def _pixels(draw: Callable[[], str]) -> bytes:
    return figures.png(_drawn(draw))


def _weights(record: RunRecord, stem: str) -> None:
    """The tested weights, and the lines that load them."""
    if is_example(record.id):
        st.caption(tr("Examples come without weights: train the same to have some."))
        return
    path = services.library().store.folder(record.id) / WEIGHTS
    if record.state != "finished" or not path.is_file():
        st.caption(tr("There are weights once a run has finished on this machine."))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        _file(tr("Weights, safetensors"), f"{stem}.safetensors", "application/octet-stream", path.read_bytes)
        size = path.stat().st_size / 1e6
        st.caption(tr("{size:.2g} MB, of epoch {epoch}", size=size, epoch=record.best_epoch), width="content")
    with st.expander(tr("How to load the weights"), icon=":material/code:"):
        st.caption(tr("With settings (JSON) and weights beside it; it prints the test scores of this run once more."))
        st.code(downloads.loading_code(stem), language="python", wrap_lines=True)


def _file(label: str, name: str, mime: str, make: Callable[[], str | bytes]) -> None:
    key = f"runs.file.{name.removeprefix('.')}"
    st.download_button(label, as_read(make), name, mime, key=key, icon=":material/download:", on_click="ignore")
