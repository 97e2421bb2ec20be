"""Pick, train, watch."""

from pathlib import Path

import streamlit as st

from app import analysis, services
from app.components import playback
from app.components.arriving import arrived
from app.components.player import carry_out, is_same, player
from app.components.preview import preview
from app.components.queue_view import queue_line
from app.components.run_view import run_panel
from app.components.seesaw_view import small_seesaw
from app.components.setup_panel import SHOW, adopt, preset_strip, published_systems, setup_panel
from app.components.share import share
from app.i18n import tr
from app.library import EXAMPLE_PREFIX

#: What a link says that is of a run and not of the controls.
OF_A_RUN = {"run", "epoch", "lang"}
KEYS = Path(__file__).parents[1] / "assets" / "keys.html"
library = services.library()
services.executor().warm()
with st.container(key="unseen-keys"):
    st.html(KEYS, unsafe_allow_javascript=True)


def shown_run() -> str:
    """The run in the URL; else the newest open one, so that a reopened tab finds it; else a finished example."""
    wanted = st.session_state.pop(SHOW, None)
    if wanted is not None:
        dataset, trunk = wanted
        example = f"{EXAMPLE_PREFIX}{dataset}-{trunk}-0"
        if library.record(example) is not None:
            st.query_params["run"] = example
    asked = st.query_params.get("run")
    if asked and library.record(asked) is not None:
        return asked
    if asked:
        del st.query_params["run"]
        st.toast(tr("There is no run called {run}; showing another.", run=asked[:40]))
    still_open = library.store.runs(limit=1, still_open=True)
    if not still_open:
        return f"{EXAMPLE_PREFIX}conflict-mmoe-0"
    st.query_params["run"] = still_open[0].id  # it stays on the screen when it ends
    return still_open[0].id


if arrived() and "run" in st.query_params and set(st.query_params) <= OF_A_RUN:
    # A run was opened, and nothing else was asked for: the controls say what it is.
    opened = library.record(st.query_params["run"])
    if opened is not None:
        adopt(analysis.keys(opened).spec)

with st.sidebar:
    # The buttons come first on the screen but need what the controls below them say.
    top = st.container()
    setup = setup_panel()
    carry_out(setup, library.record(str(st.query_params.get("run", ""))))
    run_id = shown_run()
    record = library.record(run_id)
    with top:
        player(setup, record)
        if setup.spec is not None:
            share(setup.spec)

words, systems = st.columns([4, 1], vertical_alignment="center")
with words:
    st.caption(
        tr(
            "One model predicts several things at once: experts are small networks that tasks share, and each task's "
            "gate mixes them. Choose at the left what to train, or start from a preset; a finished example is shown "
            "until you do."
        )
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.container(key="keys", width="content").caption(
            tr("Keys: Space trains and pauses, S steps one epoch, 0 starts over.")
        )
        st.page_link(
            "app_pages/zoo.py", label=tr("What the words mean"), icon=":material/menu_book:", width="content",
            query_params={"kind": "term"},
        )  # fmt: skip
    st.container(key="on-a-phone").caption(tr("The controls and Train are behind » at the top left."))
with systems:
    published_systems()
preset_strip()
is_open = record is not None and record.open
again = record is not None and playback.epoch_shown(record) is not None
moving = is_open or again
if not moving and not is_same(setup, record):  # who watches a training is not pushed down the page by a dial
    preview(setup, record)
clock = "1s" if is_open else playback.TICK if again else None
st.fragment(run_panel, run_every=clock)(run_id, moving, setup.spec)
if not is_open:
    queue_line()
    small_seesaw(run_id)
