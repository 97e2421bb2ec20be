"""A data set at a glance, and one feature against one label."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import streamlit as st

from app import wording
from app.charts.data import feature_against_label, funnel, label_correlation, label_rates
from app.charts.palette import hue
from app.data_summary import Summary, distribution, summarise
from mtl_core import registry
from mtl_core.data.base import DataError, DatasetOptions, Frames
from mtl_core.data.files import find
from mtl_core.data.leaks import leak_notes

#: A made world is previewed with so many rows at most, so that a dial moves its picture at once.
PREVIEW_ROWS = 20_000


@st.cache_data(max_entries=12, show_spinner="Reading the data")
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
        f"{names} is not on this machine. It is fetched once from {part.files()[0].url.rsplit('/', 1)[0]}, checked "
        "against its hash and kept; or put it in a folder and set SEESAW_DATA to that folder.",
        title="A public data set",
    )
    return st.button("Download", icon=":material/download:", key="data.download")


def overview(name: str, options: dict[str, Any], seed: int) -> None:
    """Everything about one data set with these options."""
    part = cast(DatasetOptions, registry.get("dataset", name).model_validate(options))
    schema = part.table_schema()
    tasks = list(schema.task_names)
    try:
        if not is_here(part) and not download_card(part):
            return
        frames, summary = _load(name, json.dumps(options, sort_keys=True), seed)
    except DataError as error:
        st.error(str(error), title="These data cannot be read")
        return
    for note in frames.notes:
        st.warning(note)
    sizes = ", ".join(f"{n:,} {split}" for split, n in zip(summary.rows["split"], summary.rows["rows"], strict=True))
    st.caption(f"{registry.title('dataset', name)}: {sizes} rows · {len(schema.features)} features · seed {seed}")
    left, right = st.columns(2)
    with left, st.container(border=True, height="stretch"):
        st.markdown("**Labels**")
        rates = summary.labels[summary.labels["kind"] == "binary"]
        claim = wording.join([f"{r.task} {r.rate:.1%}" for r in rates.itertuples()]) if len(rates) else "no binary task"
        if len(rates):
            st.altair_chart(label_rates(summary.labels, tasks), width="stretch", alt=f"Share of positives: {claim}")
        others = summary.labels[summary.labels["kind"] == "regression"]
        for row in others.itertuples():
            st.caption(f"{row.task}: a number, {row.rate:.3g} on average over {row.rows:,} rows.")
        st.caption("Each share is taken in the task's own sample space.")
    with right, st.container(border=True, height="stretch"):
        st.markdown("**How the labels go together**")
        st.altair_chart(
            label_correlation(summary.correlation, tasks), width="stretch",
            alt=f"Correlation of the labels of {wording.join(tasks)}",
        )  # fmt: skip
        st.caption("Pearson correlation over the rows that both tasks have.")
    if len(summary.funnel):
        with st.container(border=True):
            st.markdown("**Funnel**")
            ends = summary.funnel.iloc[[0, -1]]
            claim = f"{ends['rows'].iloc[1]:,} of {ends['rows'].iloc[0]:,} rows reach the last step"
            st.altair_chart(funnel(summary.funnel), width="stretch", alt=claim)
            st.caption(f"{claim}. In brackets: share of the step before.")
    with st.container(border=True):
        st.markdown("**One feature against one label**")
        with st.container(horizontal=True):
            feature = str(
                st.selectbox("Feature", [f.name for f in schema.features], key=f"data.feature.{name}", width=260)
            )
            task = str(st.selectbox("Label", tasks, key=f"data.task.{name}", width=260))
        rows = distribution(schema, frames.train, feature, task)
        spread = rows["rate"].max() - rows["rate"].min()
        count = rows["rows"].sum()
        claim = f"The mean of {task} moves by {spread:.2f} between values of {feature}, over {count:,} training rows."
        st.altair_chart(
            feature_against_label(rows, feature, task, hue(tasks.index(task))), width="stretch", alt=claim
        )  # fmt: skip
        st.caption(f"Bars: rows. Line: mean label. {claim}")
    with st.expander(f"All {len(schema.features)} features"):
        st.dataframe(
            summary.features, hide_index=True, alt="Features with their kind, missing share and distinct values",
            column_config={"missing": st.column_config.NumberColumn(format="percent")},
        )  # fmt: skip
