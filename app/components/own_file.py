"""Bring a file: upload, look at what its columns seem to be, correct, settle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from app import own_files
from app.components.url_choice import url_choice
from app.core_sentences import sentence
from app.i18n import language, mark, tr
from app.own_files import EXAMPLE, EXAMPLE_NAME, LabelChoice, OwnFile
from mtl_core.data.base import DataError
from mtl_core.data.table import MAX_UPLOAD_MB, Guess

#: A schema is text; a larger file is something else.
MAX_SCHEMA_MB = 2


def file_choice() -> OwnFile:
    """Which file, the newest at first; a small made-up shop log stands in until there is one.

    The link names it even then: what is the newest file changes. The data of a run are a choice while they are chosen.
    """
    files = own_files.settled()
    asked = st.query_params.get("file")
    for name in (asked, st.session_state.get("file")):
        if (own := own_files.chosen_of_run(str(name))) is not None:
            files[own.id] = own
    files[EXAMPLE] = OwnFile(EXAMPLE, tr(EXAMPLE_NAME), {})
    if st.session_state.get("file") not in files:
        st.session_state["file"] = next(iter(files))
        if asked is not None and asked not in files:
            st.toast(tr("There is no file {file} here; showing another.", file=asked[:40]))
    return files[url_choice(tr("File"), list(files), "", "file", lambda i: files[i].name)]


def upload_card() -> None:
    """Upload, guessed columns, corrections, and the button that settles them."""
    with st.container(border=True):
        st.markdown(tr("**Bring your own file**"))
        uploaded = st.file_uploader(
            tr("CSV, TSV, CSV.gz or Parquet with one row per example and at least one label column"),
            type=["csv", "tsv", "txt", "gz", "parquet"], max_upload_size=MAX_UPLOAD_MB, key="own.upload",
        )  # fmt: skip
        if uploaded is None:
            return
        try:
            path = own_files.keep(uploaded.name, uploaded.getvalue())
            with st.spinner(tr("Looking at the columns")):
                found = _look(str(path))
        except DataError as error:
            st.error(sentence(str(error)), title=tr("This file cannot be used"))
            return
        _correct(path, found)


@st.cache_data(max_entries=8, show_spinner=False)
def _look(path: str) -> Guess:
    return own_files.look(Path(path))


@st.cache_data(max_entries=8, show_spinner=False)
def _adopt(path: str, content: bytes, spoken: str) -> Guess:
    """Notes are in the language of whoever adopts, so each language has its own."""
    return own_files.adopt(_look(path), content)


def _saved_schema(path: Path, guessed: Guess) -> tuple[Guess, str]:
    """A schema that was saved before, where one is given that fits, else the guess; and a name for which of them."""
    with st.expander(tr("Use a schema that you saved before")):
        given = st.file_uploader(
            tr("The YAML that this page wrote, edited or not; it may come from another file with the same columns"),
            type=["yaml", "yml"], max_upload_size=MAX_SCHEMA_MB, key=f"own.schema.{path.name}",
        )  # fmt: skip
    if given is None:
        return guessed, "guess"
    content = given.getvalue()
    try:
        with st.spinner(tr("Reading the schema")):
            adopted = _adopt(str(path), content, language())
    except DataError as error:
        refused = tr("{file} cannot be used; everything below stays as it was", file=given.name)
        st.error(sentence(str(error)), title=refused)
        return guessed, "guess"
    st.success(tr("Columns and labels as {file} says; remove it to go back to the guess.", file=given.name))
    return adopted, hashlib.sha256(content).hexdigest()[:12]


def _correct(path: Path, guessed: Guess) -> None:
    found, source = _saved_schema(path, guessed)
    for note in found.notes:
        st.warning(sentence(note))
    st.caption(
        tr(
            "{rows:,} rows · {columns} columns. What each seems to be, and why; correct what is wrong.",
            rows=found.rows, columns=len(found.columns),
        )
    )  # fmt: skip
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
        hide_index=True, key=f"own.columns.{path.name}.{source}",
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
    choices = _label_choices(found, labels, f"own.labels.{path.name}.{source}.{'|'.join(labels)}")
    try:
        revised = own_files.revise(found, uses, choices)
    except (DataError, ValueError) as error:
        st.error(sentence(str(error)), title=tr("These choices do not fit together"))
        return
    with st.container(horizontal=True):
        st.button(
            tr("Use this file"), type="primary", icon=":material/check:", key="own.settle", on_click=_settle,
            args=(path, revised),
        )  # fmt: skip
        st.download_button(
            tr("Schema as YAML"), revised.to_yaml(), f"{path.stem}.yaml", "application/yaml",
            icon=":material/download:", on_click="ignore", key="own.yaml",
        )  # fmt: skip


def _said(choice: object) -> str:
    return tr(str(choice))


def _why(reason: str) -> str:
    """Why a column has its use: in the words of the core, or of the corrections made here."""
    return tr(reason) if reason in own_files.REASONS else sentence(reason)


def _settle(path: Path, revised: Guess) -> None:
    """Before the page is drawn again, so that every control finds the new choice."""
    st.session_state["data"], st.session_state["file"] = "table", own_files.settle(path, revised).id


def _label_choices(found: Guess, names: list[str], key: str) -> list[LabelChoice]:
    """One line per label: what kind, which value is positive, after which other label."""
    if not names:
        st.info(tr("Choose `label` as the use of at least one column: what is to be predicted."))
        return []
    known = {task.label: task for task in found.tasks}
    by_name = {task.name: task.label for task in found.tasks}
    rows: list[dict[str, Any]] = []
    for name in names:
        task = known.get(name)
        before = by_name.get(task.after or "", "") if task else ""
        rows.append(
            {
                "label": name,
                "kind": task.kind if task else "binary",
                "positive value": found.positive.get(name, ""),
                "comes after": before if before in names else "",
            }
        )
    # In funnel order: a task must stand after the one it follows.
    rows.sort(key=lambda row: [*known].index(row["label"]) if row["label"] in known else len(known))
    st.caption(tr("Labels. A label that comes after another is learned on the rows where the other happened."))
    edited = st.data_editor(
        pd.DataFrame(rows), hide_index=True, disabled=["label"], key=key,
        column_config={
            "label": tr("label"),
            "kind": st.column_config.SelectboxColumn(
                tr("kind"), options=[mark("binary"), mark("regression")], required=True, format_func=_said
            ),
            "positive value": st.column_config.TextColumn(tr("positive value"), help=tr("Empty: 1")),
            "comes after": st.column_config.SelectboxColumn(tr("comes after"), options=["", *names]),
        },
    )  # fmt: skip
    return [
        LabelChoice(str(r["label"]), str(r["kind"]), str(r["positive value"] or ""), str(r["comes after"] or ""))
        for r in edited.to_dict(orient="records")
    ]
