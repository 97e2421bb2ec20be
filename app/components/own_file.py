"""Bring a file: upload, look at what its columns seem to be, correct, settle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import streamlit as st

from app import own_files
from app.components.url_choice import url_choice
from app.core_sentences import sentence
from app.i18n import as_read, language, mark, tr
from app.own_files import EXAMPLE, EXAMPLE_NAME, LabelChoice, OwnFile, Reading
from mtl_core.data.base import DataError
from mtl_core.data.table import MAX_UPLOAD_MB, Column, Guess
from mtl_core.data.table.reading import Decimal, Encoding, Separator
from mtl_core.spec import fingerprint

#: A schema is text; a larger file is something else.
MAX_SCHEMA_MB = 2
#: The table of columns shows so many without a scroll bar; a row of it and its head have so many pixels.
MOST_COLUMNS, ROW = 20, 35
#: Why the schema with this fingerprint was not taken.
REFUSED = "own.refused"
#: What the signs and the decimal marks are called.
SIGNS = {
    "comma": mark("comma"), "tab": mark("tab"), "semicolon": mark("semicolon"), "pipe": mark("pipe"),
    "point": mark("point"),
}  # fmt: skip
SPLITS = {"random": mark("at random"), "time": mark("by time")}


def file_choice() -> OwnFile:
    """Which file, the newest at first; a small made-up shop log stands in until there is one.

    The link names it even then: what is the newest file changes. The data of a run are a choice while they are chosen.
    """
    files = own_files.settled()
    for name in (st.query_params.get("file"), st.session_state.get("file")):
        if (own := own_files.chosen_of_run(str(name))) is not None:
            files[own.id] = own
    files[EXAMPLE] = OwnFile(EXAMPLE, tr(EXAMPLE_NAME), {})
    if st.session_state.get("file") not in files:
        st.session_state["file"] = next(iter(files))
    return files[url_choice(tr("File"), list(files), "", "file", lambda i: files[i].name)]


def upload_card(used: OwnFile) -> bool:
    """Upload, guessed columns, corrections, and the button that settles them.

    Args:
        used: the file that the rest of the page shows.

    Returns:
        Whether what was uploaded is another file than that, or the same with other columns.
    """
    with st.container(border=True):
        st.markdown(tr("**Bring your own file**"))
        uploaded = st.file_uploader(
            tr("CSV, TSV, CSV.gz or Parquet with one row per example and at least one label column"),
            type=["csv", "tsv", "txt", "gz", "parquet"], max_upload_size=MAX_UPLOAD_MB, key="own.upload",
        )  # fmt: skip
        if uploaded is None:
            return False
        try:
            path = own_files.keep(uploaded.name, uploaded.getvalue())
        except DataError as error:
            _refuse(error)
            return True
        revised = _corrected(path)
        return revised is None or not _in_use(path, revised, used)


def _refuse(error: Exception) -> None:
    st.error(sentence(str(error)), title=tr("This file cannot be used"))


@st.cache_data(max_entries=8, show_spinner=False)
def _look(path: str, reading: Reading) -> Guess:
    return own_files.look(Path(path), reading)


@st.cache_data(max_entries=8, show_spinner=False)
def _adopt(path: str, reading: Reading, content: bytes, spoken: str) -> Guess:
    """Notes are in the language of whoever adopts, so each language has its own."""
    return own_files.adopt(_look(path, reading), content)


def _corrected(path: Path) -> Guess | None:
    """What the columns are, as corrected here; None, and a sentence, where that cannot be."""
    given = _saved_schema(path)
    try:
        reading = _reading(path, given.schema if given else None) if own_files.is_text(path) else Reading()
        with st.spinner(tr("Looking at the columns")):
            found = _look(str(path), reading)
    except DataError as error:
        _refuse(error)
        return None
    source = fingerprint([reading.separator, reading.decimal, reading.encoding])
    if given is not None:
        try:
            found = _adopt(str(path), reading, given.content, language())
            source += hashlib.sha256(given.content).hexdigest()[:12]
            st.success(tr("Columns and labels as {file} says; remove it to go back to the guess.", file=given.name))
        except DataError as error:
            _refuse_schema(given.name, error)
    return _edited(found, f"own.{path.name}.{source}")


@dataclass(frozen=True)
class _Saved:
    """A schema that was saved before."""

    name: str
    content: bytes
    schema: Guess


def _saved_schema(path: Path) -> _Saved | None:
    """A schema that was saved before, where one is given that can be read."""
    with st.expander(tr("Use a schema that you saved before")):
        given = st.file_uploader(
            tr("The YAML that this page wrote, edited or not; it may come from another file with the same columns"),
            type=["yaml", "yml"], max_upload_size=MAX_SCHEMA_MB, key=f"own.schema.{path.name}",
        )  # fmt: skip
    if given is None:
        return None
    try:
        return _Saved(given.name, given.getvalue(), own_files.saved(given.getvalue()))
    except DataError as error:
        _refuse_schema(given.name, error)
        return None


def _refuse_schema(name: str, error: Exception) -> None:
    refused = tr("{file} cannot be used; everything below stays as it was", file=name)
    st.error(sentence(str(error)), title=refused)


def _reading(path: Path, schema: Guess | None) -> Reading:
    """Separator, decimal mark and encoding: as found, as a schema says, or as chosen here."""
    names: dict[str, tuple[str, tuple[str, ...]]] = {
        "separator": (tr("Separator"), get_args(Separator)), "decimal": (tr("Decimal mark"), get_args(Decimal)),
        "encoding": (tr("Encoding"), get_args(Encoding)),
    }  # fmt: skip
    told: Guess | None = schema
    if told is None:
        try:
            told = _look(str(path), Reading())
        except DataError:
            told = None  # shown below, if choosing something else does not help
    chosen: dict[str, Any] = {}
    for column, (name, (label, values)) in zip(st.columns(len(names)), names.items(), strict=True):
        start = str(getattr(told, name)) if told is not None else "auto"

        def said(value: str, start: str = start) -> str:
            if value != "auto":
                return tr(SIGNS[value]) if value in SIGNS else value
            return tr("as found") if start == "auto" else tr("as found: {value}", value=said(start))

        with column:
            picked = st.selectbox(label, values, format_func=as_read(said), key=f"own.{name}.{path.name}")
        chosen[name] = start if picked == "auto" and schema is not None else picked
    return Reading(**chosen)


def _edited(found: Guess, key: str) -> Guess | None:
    """The table of columns, the labels and the split, as corrected by hand."""
    for note in found.notes:
        st.warning(sentence(note))
    told = (
        tr("About {rows:,} rows · {columns} columns. What each seems to be, and why; correct what is wrong.",
           rows=found.rows, columns=len(found.columns))
        if found.is_estimated
        else tr("{rows:,} rows · {columns} columns. What each seems to be, and why; correct what is wrong.",
                rows=found.rows, columns=len(found.columns))
    )  # fmt: skip
    st.caption(told)
    columns = st.data_editor(
        pd.DataFrame(
            [
                {
                    "column": c.name, "use": c.use, "why": _why(c.reason), "missing": c.missing, "distinct": c.distinct,
                    "examples": ", ".join(c.examples),
                }
                for c in found.columns
            ]
        ),
        hide_index=True, key=f"{key}.columns", height=ROW * (1 + min(MOST_COLUMNS, len(found.columns))) + 3,
        disabled=["column", "why", "missing", "distinct", "examples"],
        column_config={
            "column": tr("column"), "why": tr("why"), "distinct": tr("distinct"), "examples": tr("examples"),
            "use": st.column_config.SelectboxColumn(
                tr("use"), options=list(own_files.USES), required=True, format_func=_said
            ),
            "missing": st.column_config.NumberColumn(tr("missing"), format="percent"),
        },
    )  # fmt: skip
    uses = dict(zip(columns["column"], columns["use"], strict=True))
    labels = [name for name, use in uses.items() if use == "label"]
    left_out = sum(use == "left out" for use in uses.values())
    st.caption(
        tr(
            "{features} features, {labels} labels, {left_out} left out: is any feature known only after the outcome?",
            features=len(uses) - len(labels) - left_out, labels=len(labels), left_out=left_out,
        )
    )  # fmt: skip
    choices = _label_choices(found, labels, f"{key}.labels")
    time_column = _split(found, uses, f"{key}.split")
    try:
        return own_files.revise(found, uses, choices, time_column)
    except (DataError, ValueError) as error:
        st.error(sentence(str(error)), title=tr("These choices do not fit together"))
        return None


def _said(choice: object) -> str:
    return tr(str(choice))


def _why(reason: str) -> str:
    """Why a column has its use: in the words of the core, or of the corrections made here."""
    return tr(reason) if reason in own_files.REASONS else sentence(reason)


def _label_choices(found: Guess, names: list[str], key: str) -> list[LabelChoice]:
    """One line per label: what kind, which value is positive, after which other label."""
    if not names:
        st.info(tr("Choose `label` as the use of at least one column: what is to be predicted."))
        return []
    known = {task.label: task for task in found.tasks}
    by_name = {task.name: task.label for task in found.tasks}
    columns = {column.name: column for column in found.columns}
    st.caption(tr("Labels. A label that comes after another is learned on the rows where the other happened."))
    choices: list[LabelChoice] = []
    # In funnel order: a task must stand after the one it follows.
    for name in sorted(names, key=lambda name: [*known].index(name) if name in known else len(known)):
        task, others = known.get(name), ["", *(other for other in names if other != name)]
        before = by_name.get(task.after or "", "") if task else ""
        # What the controls are is said once, above the first line.
        told: Literal["visible", "collapsed"] = "collapsed" if choices else "visible"
        label, kind, positive, after = st.columns(4, vertical_alignment="bottom")
        label.markdown(f"`{name}`")
        kinds = [mark("binary"), mark("regression")]
        how = kind.selectbox(
            tr("kind"),
            kinds,
            kinds.index(task.kind) if task else 0,
            key=f"{key}.{name}.kind",
            format_func=_said,
            label_visibility=told,
        )
        value, scaled = "", True
        with positive:
            if how == "binary":
                value = _positive(columns[name], found.positive.get(name), f"{key}.{name}", told)
            else:
                kept = task is not None and task.kind == "regression" and task.scaling == "none"
                scaled = _scaled(not kept, f"{key}.{name}")
        first = after.selectbox(
            tr("comes after"), others, others.index(before) if before in others else 0,
            key=f"{key}.{name}.{len(names)}.after", format_func=lambda other: other or tr("no other"),
            label_visibility=told,
        )  # fmt: skip
        choices.append(LabelChoice(name, str(how), value, str(first), scaled))
    return choices


def _positive(column: Column, given: str | None, key: str, told: Literal["visible", "collapsed"]) -> str:
    """Which value of a label counts as positive; empty for the 1 of a column of 0 and 1."""
    usual = own_files.usual_positive(column)
    values = list(column.values or column.examples)
    start = given if given is not None else usual
    if start is not None and start not in values:
        values.append(start)
    chosen = st.selectbox(
        tr("positive value"), values, None if start is None else values.index(start), key=f"{key}.positive",
        accept_new_options=not column.values, placeholder=tr("Choose one"), label_visibility=told,
    )  # fmt: skip
    return "" if chosen is None or chosen == usual else str(chosen)


def _scaled(start: bool, key: str) -> bool:
    """Whether a number is standardised for training."""
    chosen = st.selectbox(
        tr("scale in training"), (True, False), 0 if start else 1, key=f"{key}.scaled",
        format_func=lambda scaled: tr("standardised") if scaled else tr("as it is"),
        help=tr(
            "By mean and standard deviation of the training rows: large numbers would drown the other tasks. Metrics "
            "are in its own units either way."
        ),
    )  # fmt: skip
    return bool(chosen)


def _split(found: Guess, uses: Mapping[str, str], key: str) -> str:
    """By chance, or the column by which the latest rows become the test."""
    columns = own_files.time_columns(found, uses)
    if not columns:
        return ""
    left, right = st.columns(2)
    with left:
        how = st.selectbox(
            tr("Split"), list(SPLITS), list(SPLITS).index(found.split), key=f"{key}.how",
            format_func=lambda name: tr(SPLITS[name]),
            help=tr("By time the latest rows are the test and those before them the validation, as in production"),
        )  # fmt: skip
    if how == "random":
        return ""
    with right:
        start = columns.index(found.time_column) if found.time_column in columns else 0
        return str(st.selectbox(tr("Time column"), columns, start, key=f"{key}.column"))


def _in_use(path: Path, revised: Guess, used: OwnFile) -> bool:
    """The button that settles it; or, where that was done, what to do with it."""
    in_use = used.id == path.name and used.options == revised.options(str(path))
    if in_use:
        told = tr("{file} is in use, with these columns and labels.", file=used.name)
        st.success(told)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link(
                "app_pages/playground.py", label=tr("Train on this file"), icon=":material/play_arrow:",
                query_params={"data": "table", "file": used.id},
            )  # fmt: skip
            _schema_file(path, revised)
        return True
    with st.container(horizontal=True):
        st.button(
            tr("Use this file"), type="primary", icon=":material/check:", key="own.settle", on_click=_settle,
            args=(path, revised),
        )  # fmt: skip
        _schema_file(path, revised)
    what, why = st.session_state.get(REFUSED, ("", ""))
    if what == _print_of(path, revised):
        st.error(sentence(why), title=tr("The file is not in use with these choices"))
    return False


def _schema_file(path: Path, revised: Guess) -> None:
    st.download_button(
        tr("Schema as YAML"), revised.to_yaml(), f"{Path(own_files.title(path)).stem}.yaml", "application/yaml",
        icon=":material/download:", on_click="ignore", key="own.yaml",
    )  # fmt: skip


def _settle(path: Path, revised: Guess) -> None:
    """Before the page is drawn again, so that every control finds the new choice."""
    try:
        own = own_files.settle(path, revised)
    except DataError as error:
        st.session_state[REFUSED] = _print_of(path, revised), str(error)
        return
    st.session_state["data"], st.session_state["file"] = "table", own.id


def _print_of(path: Path, revised: Guess) -> str:
    return fingerprint(revised.options(str(path)))
