"""The table of runs with its filters."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import run_list, services
from app.components.url_choice import url_choice, url_choices
from app.core_texts import title
from app.i18n import tr
from app.library import examples, is_example
from app.run_list import EXAMPLE, STATES, Filter, Listed
from mtl_core.registry import names
from mtl_core.spec import fingerprint

#: Ids of the ticked runs, in the link and for other parts of the page.
SELECTED = "selected"
#: Of a filter, in pixels: six beside each other on a laptop, two on a phone.
WIDTH = 162
#: Of columns: names, options and tags can be read, whatever else there is.
MODEL, OPTIONS, TAGS, REASON = 150, 300, 150, 260


def all_runs(with_examples: bool) -> list[Listed]:
    """Every run with its labels and its curve."""
    library, archive = services.library(), services.archive()
    records = [r for r in library.records() if with_examples or not is_example(r.id)]
    curves = archive.curves([r for r in records if not is_example(r.id)])
    for record in records:
        if is_example(record.id):
            curves[record.id] = examples()[record.id].curve
    return run_list.listed(records, archive.labels(), curves)


def filtered(runs: Sequence[Listed]) -> list[Listed]:
    """Draw the filters; the runs that they let through, in the chosen order."""
    called = run_list.data_titles(run.record for run in runs)
    places = names("dataset")
    known_data = sorted(called, key=lambda name: (places.index(name.partition("-")[0]), called[name]))
    known_trunks = [name for name in names("trunk") if any(run.record.trunk == name for run in runs)]
    known_tags = sorted({tag for run in runs for tag in run.labels.tags})
    # Not columns: on a phone each of them would take a line of its own.
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            tr("Find"), key="text", bind="query-params", persist_state="page", max_chars=100, live=True, width=220,
            icon=":material/search:", placeholder=tr("name, option, note, id"),
        )  # fmt: skip
        anything = tr("Any")
        data = url_choices(tr("Data"), known_data, "dataset", lambda n: called[n], placeholder=anything, width=WIDTH)
        trunks = url_choices(
            tr("Trunk"), known_trunks, "model", lambda n: title("trunk", n), placeholder=anything, width=WIDTH
        )
        states = url_choices(tr("State"), [*STATES.values(), EXAMPLE], "status", tr, placeholder=anything, width=WIDTH)
        tags = url_choices(
            tr("Tags"), known_tags, "tag", placeholder=anything if known_tags else tr("None yet"),
            disabled=not known_tags, help=tr("Tick a run to tag it. All of the tags chosen here must be on it."),
            width=WIDTH,
        )  # fmt: skip
        order = url_choice(
            tr("Order"), list(run_list.SORTS), "newest", "sort", lambda n: tr(run_list.SORTS[n][0]), width=WIDTH
        )
    chosen = Filter(text or "", tuple(data), tuple(trunks), tuple(states), tuple(tags))
    return run_list.in_order([run for run in runs if chosen.admits(run)], order)


def run_table(runs: Sequence[Listed]) -> list[Listed]:
    """Draw the runs; the ticked ones."""
    asked = set(st.query_params.get(SELECTED, "").split(","))
    table = run_list.table(runs)
    tasks = [name.removeprefix("test ") for name in table.columns if name.startswith("test ")]
    if "1" in tasks:
        told = tr("The task is named in the cell")
        scores = {f"test {n}": st.column_config.TextColumn(tr("test {n}", n=n), help=told) for n in tasks}
    else:
        scores = {
            f"test {task}": st.column_config.NumberColumn(tr("test {task}", task=task), format="%.4f") for task in tasks
        }
    failed = any(run.record.state == "failed" for run in runs)
    picked = st.dataframe(
        table,
        hide_index=True,
        height=min(520, 40 + 36 * len(runs)),
        on_select="rerun",
        selection_mode="multi-row",
        # Ticks are places, not runs: when runs come or go, the places must be found anew, or Delete would meet others.
        key=f"runs.table.{fingerprint([run.record.id for run in runs])}",
        selection_default={"selection": {"rows": [i for i, run in enumerate(runs) if run.record.id in asked]}},
        alt=tr("Runs with their options, validation curve, test scores, size, time and state"),
        placeholder="",
        column_config={
            # Not pinned: pinned cells are grey, as if they could not be used.
            "model": st.column_config.TextColumn(tr("model"), width=MODEL),
            "data": tr("data"),
            "options": st.column_config.TextColumn(tr("options"), width=OPTIONS),
            "seed": tr("seed"),
            "tags": st.column_config.ListColumn(tr("tags"), width=TAGS),
            "validation": st.column_config.LineChartColumn(
                tr("validation"),
                width="small",
                help=tr("Mean validation AUC over the tasks, by epoch; every row has its own scale"),
            ),
            **scores,
            "mean AUC": st.column_config.NumberColumn(
                tr("mean AUC"), format="%.4f", help=tr("Test AUC, mean over the tasks that have one")
            ),
            "best epoch": st.column_config.NumberColumn(
                tr("best epoch"), help=tr("The epoch whose weights were tested")
            ),
            "parameters": st.column_config.NumberColumn(
                tr("parameters"), format="localized", help=tr("Trainable parameters")
            ),
            "time": tr("time"),
            "state": st.column_config.TextColumn(tr("state"), width=REASON if failed else None),
            "progress": st.column_config.ProgressColumn(tr("progress"), min_value=0.0, max_value=1.0, format="percent"),
            "note": st.column_config.TextColumn(tr("note"), width=TAGS),
            "started": st.column_config.TextColumn(tr("started"), help=tr("UTC")),
            "run": tr("run"),
        },
    )
    chosen = [runs[i] for i in picked["selection"]["rows"] if i < len(runs)]
    ids = ",".join(run.record.id for run in chosen)
    if ids:
        st.query_params[SELECTED] = ids
    else:
        st.query_params.pop(SELECTED, None)
    return chosen
