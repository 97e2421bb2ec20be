"""Pick, train, watch."""

import streamlit as st

from app import services, wording
from app.components.queue_view import queue_line
from app.components.run_view import run_panel
from app.components.seesaw_view import small_seesaw
from app.components.setup_panel import Setup, preset_strip, setup_panel
from app.library import EXAMPLE_PREFIX

library = services.library()
services.executor().warm()


def shown_run() -> str:
    """The run in the URL; else the newest open one, so that a reopened tab finds it; else a finished example."""
    wanted = st.session_state.pop("show", None)
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
        st.toast(f"There is no run called {asked[:40]}; showing another.")
    still_open = [record for record in library.store.runs(limit=50) if record.open]
    if not still_open:
        return f"{EXAMPLE_PREFIX}conflict-mmoe-0"
    st.query_params["run"] = still_open[0].id  # it stays on the screen when it ends
    return still_open[0].id


def train(setup: Setup) -> None:
    """Queue what the controls say and show it."""
    if setup.spec is None:
        return
    record, created = library.store.submit(setup.spec)
    services.executor().ensure_worker()
    st.query_params["run"] = record.id
    if not created:
        st.toast(f"{wording.run_name(record)} with these very options is there already; showing it.")


with st.sidebar:
    # The button comes first on the screen but needs what the controls below it say.
    top = st.container()
    setup = setup_panel()
    with top:
        # No callback: it would get what the controls said one run ago, without the number that was typed last.
        if st.button(
            "Train", type="primary", icon=":material/play_arrow:", width="stretch", shortcut="Space",
            disabled=setup.spec is None, key="train",
        ):  # fmt: skip
            train(setup)
        if setup.problem:
            st.error(setup.problem, title="These options cannot be trained")
        if services.executor().problem:
            st.error(str(services.executor().problem), title="No worker can be started")

st.caption("Choose at the left what to train, or start from a preset; a finished example is shown until you do.")
preset_strip()
run_id = shown_run()
record = library.record(run_id)
is_open = record is not None and record.open
st.fragment(run_panel, run_every="1s" if is_open else None)(run_id, is_open)
if not is_open:
    queue_line()
    small_seesaw(run_id)
