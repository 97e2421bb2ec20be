"""Every run: find, tag, compare, go on, take along."""

import streamlit as st

from app import services
from app.components.queue_view import queue_line
from app.components.run_actions import actions, deleted_line, deleted_runs, import_runs
from app.components.run_details import details
from app.components.run_table import all_runs, filtered, run_table

services.library()
queue_line()
with st.container(horizontal=True, vertical_alignment="center"):
    with_examples = st.toggle("Show bundled examples", value=True, key="examples", bind="query-params")
    deleted_line()  # in a line that is there anyway, so that nothing below it jumps
    st.space("stretch")
    import_runs()
    deleted_runs()
runs = all_runs(with_examples)
if not runs:
    st.info("Nothing has been trained here yet. Open the playground and press Train.", title="No runs yet")
    st.page_link("app_pages/playground.py", label="Playground", icon=":material/tune:")
    st.stop()

found = filtered(runs)
if not found:
    st.info(f"None of the {len(runs)} runs matches: take out a filter.", icon=":material/search_off:")
    st.stop()
buttons = st.container()  # above the table, so that they stay in sight; what is ticked is known below
chosen = run_table(found)
st.caption(f"{len(found)} of {len(runs)} runs." if len(found) < len(runs) else f"{len(runs)} runs.")
with buttons:
    actions(chosen)
details(chosen, sorted({tag for run in runs for tag in run.labels.tags}))
