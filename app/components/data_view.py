"""A data set at a glance, and one feature against one label."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import pandas as pd
import streamlit as st

from app import wording
from app.analysis import split_line
from app.charts.data import NONE, feature_against_label, funnel, label_correlation, label_overlap, label_rates
from app.charts.palette import hue
from app.components.figure_files import offered
from app.components.live import plain_chart
from app.components.url_choice import url_choice
from app.core_sentences import sentence
from app.data_summary import (
    Summary,
    distribution,
    funnel_sentence,
    is_ordered,
    overlap_sentence,
    spread_sentence,
    summarise,
)
from app.i18n import mark, tr
from mtl_core import registry
from mtl_core.data.base import DataError, DatasetOptions, Frames
from mtl_core.data.files import find
from mtl_core.data.leaks import leak_notes
from mtl_core.schema import Schema

#: A made world is previewed with so many rows at most, so that a dial moves its picture at once.
PREVIEW_ROWS = 20_000


@st.cache_data(max_entries=12, show_spinner=False)
def _load(name: str, options: str, seed: int) -> tuple[Frames, Summary]:
    part = cast(DatasetOptions, registry.get("dataset", name).model_validate(json.loads(options)))
    frames, schema = part.frames(seed), part.table_schema()
    frames = replace(frames, notes=(*frames.notes, *leak_notes(frames, schema)))
    return frames, summarise(schema, frames)


def is_here(part: DatasetOptions) -> bool:
    """Can the data be read without a download?"""
    return all(find(file) is not None for file in part.files())


def download_card(part: DatasetOptions) -> bool:
    """Ask before anything is fetched; whether the user said yes."""
    names = wording.join([file.name for file in part.files()])
    st.info(
        tr(
            "{files} is not on this machine. It is fetched once from {source}, checked against its hash and kept; or "
            "put it in a folder and set SEESAW_DATA to that folder.",
            files=names, source=part.files()[0].url.rsplit("/", 1)[0],
        ),
        title=tr("A public data set"),
    )  # fmt: skip
    return st.button(tr("Download"), icon=":material/download:", key="data.download")


def overview(name: str, options: dict[str, Any], seed: int, title: str) -> None:
    """Everything about one data set with these options.

    Args:
        title: what the data are called.
    """
    part = cast(DatasetOptions, registry.get("dataset", name).model_validate(options))
    schema = part.table_schema()
    tasks = list(schema.task_names)
    try:
        if not is_here(part) and not download_card(part):
            return
        with st.spinner(tr("Reading the data")):
            frames, summary = _load(name, json.dumps(options, sort_keys=True), seed)
    except DataError as error:
        st.error(sentence(str(error)), title=tr("These data cannot be read"))
        return
    for note in frames.notes:
        st.warning(sentence(note))
    told = zip(summary.rows["split"], summary.rows["rows"], strict=True)
    sizes = wording.commas([tr("{n:,} {split}", n=n, split=tr(SPLITS[split])) for split, n in told])
    features = len(schema.features)
    line = tr(
        "{data}: {sizes} rows · {features} features · seed {seed}",
        data=title, sizes=sizes, features=features, seed=seed,
    )  # fmt: skip
    st.caption(" · ".join(filter(None, (line, split_line(name, options)))))
    if len(summary.funnel):
        left, right = st.columns(2)
        with left:
            _rates(summary, tasks)
        with right:
            _funnel(summary)
    else:
        _rates(summary, tasks)
    if len(summary.overlap):
        left, right = st.columns(2)
        with left:
            _correlation(summary, tasks)
        with right:
            _overlap(summary, tasks)
    else:
        _correlation(summary, tasks)
    _one_feature(schema, frames.train)
    with st.expander(tr("All {n} features", n=features)):
        st.dataframe(
            _features(summary), hide_index=True, alt=tr("Features with their kind, missing share and distinct values"),
            column_config={
                "feature": tr("feature"), "kind": tr("kind"), "role": tr("role"), "distinct": tr("distinct"),
                "missing": st.column_config.NumberColumn(tr("missing"), format="percent"),
            },
        )  # fmt: skip


#: What the kinds and roles of features are called, and the splits.
KINDS = {
    "numeric": mark("numeric"), "categorical": mark("categorical"), "sequence": mark("sequence"),
    "user": mark("user"), "item": mark("item"), "context": mark("context"), "position": mark("position"),
}  # fmt: skip
SPLITS = {"train": mark("train"), "validation": mark("validation"), "test": mark("test")}


def _features(summary: Summary) -> pd.DataFrame:
    """The list of features, kinds and roles in the reader's language."""

    def said(kind: str) -> str:
        return tr(KINDS[kind]) if kind in KINDS else kind

    features = summary.features
    return features.assign(kind=features["kind"].map(said), role=features["role"].map(said))


def _rates(summary: Summary, tasks: list[str]) -> None:
    with st.container(border=True, height="stretch"), offered("data-labels"):
        st.markdown(tr("**Labels**"))
        rates = summary.labels[summary.labels["kind"] == "binary"]
        if len(rates):
            claim = wording.join([f"{r.task} {r.rate:.1%}" for r in rates.itertuples()])
            plain_chart(tr("Share of positives: {shares}", shares=claim), label_rates, summary.labels, tasks)
            st.caption(tr("Each share is taken in the task's own sample space: the rows in which the label is known."))
        for row in summary.labels[summary.labels["kind"] == "regression"].itertuples():
            st.caption(
                tr("{task}: a number, {mean:.3g} on average over {n:,} rows.", task=row.task, mean=row.rate, n=row.rows)
            )


def _funnel(summary: Summary) -> None:
    with st.container(border=True, height="stretch"), offered("data-funnel"):
        st.markdown(tr("**Funnel**"))
        claim = funnel_sentence(summary.funnel)
        plain_chart(wording.passage(tr("Funnel."), claim), funnel, summary.funnel)
        st.caption(claim)


def _correlation(summary: Summary, tasks: list[str]) -> None:
    with st.container(border=True, height="stretch"), offered("data-correlation"):
        st.markdown(tr("**How the labels go together: correlation**"))
        told = tr("Correlation of the labels of {tasks}", tasks=wording.join(tasks))
        plain_chart(told, label_correlation, summary.correlation, tasks)
        st.caption(
            tr("Pearson correlation over the rows that both tasks have: +1 alike, 0 unrelated, \u22121 opposite.")
        )
        if summary.correlation["correlation"].isna().any():
            st.caption(
                tr(
                    "{sign}: undefined, since one of the two is the same in all these rows, as a click is in every row "
                    "that can hold a purchase.",
                    sign=NONE,
                )
            )


def _overlap(summary: Summary, tasks: list[str]) -> None:
    with st.container(border=True, height="stretch"), offered("data-overlap"):
        st.markdown(tr("**How the labels go together: overlap**"))
        claim = overlap_sentence(summary.overlap)
        plain_chart(wording.passage(tr("Overlap of the labels."), claim), label_overlap, summary.overlap, tasks)
        below = tr("Below each share: how many rows have both, among the rows in which both are known.")
        st.caption(wording.passage(claim, below))


def _one_feature(schema: Schema, train: pd.DataFrame) -> None:
    tasks = list(schema.task_names)
    with st.container(border=True), offered("data-feature"):
        st.markdown(tr("**One feature against one label**"))
        with st.container(horizontal=True):
            features = [f.name for f in schema.features]
            feature = url_choice(tr("Feature"), features, features[0], "feature", width=260)
            task = url_choice(tr("Label"), tasks, tasks[0], "label", width=260)
        rows = distribution(schema, train, feature, task)
        if not len(rows):
            st.caption(tr("No training row of {task} is known.", task=task))
            return
        share = next(t for t in schema.tasks if t.name == task).kind == "binary"
        ordered = is_ordered(next(f for f in schema.features if f.name == feature))
        label = tr("share with {task}", task=task) if share else tr("mean {task}", task=task)
        claim = spread_sentence(rows, label, share)
        told = wording.passage(tr("{feature} against {task}.", feature=feature, task=task), claim)
        colour = hue(tasks.index(task))
        plain_chart(told, feature_against_label, rows, feature, label, colour, share=share, ordered=ordered)
        st.caption(
            wording.passage(
                claim,
                tr(
                    "Bars: training rows. Dots: {label}, with its 95% interval; where intervals overlap, chance may be "
                    "all there is.",
                    label=label,
                ),
            )
        )
