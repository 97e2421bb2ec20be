"""Every run: find, tag, compare, go on, take along."""

import streamlit as st

from app import services
from app.components.queue_view import queue_line
from app.components.run_actions import actions, deleted_line, deleted_runs, import_runs
from app.components.run_details import details
from app.components.run_table import all_runs, filtered, run_table
from app.i18n import tr

services.library()
queue_line()
with st.container(horizontal=True, vertical_alignment="center"):
    with_examples = st.toggle(tr("Show bundled examples"), value=True, key="examples", bind="query-params")
    deleted_line()  # in a line that is there anyway, so that nothing below it jumps
    st.space("stretch")
    import_runs()
    deleted_runs()
runs = all_runs(with_examples)
if not runs:
    st.info(tr("Nothing has been trained here yet. Open the playground and press Train."), title=tr("No runs yet"))
    st.page_link("app_pages/playground.py", label=tr("Playground"), icon=":material/tune:")
    st.stop()

found = filtered(runs)
if not found:
    st.info(tr("None of the {n} runs matches: take out a filter.", n=len(runs)), icon=":material/search_off:")
    st.stop()
buttons = st.container()  # above the table, so that they stay in sight; what is ticked is known below
chosen = run_table(found)
if len(found) < len(runs):
    st.caption(tr("{n} of {all} runs.", n=len(found), all=len(runs)))
else:
    st.caption(tr("{n} runs.", n=len(runs)))
with buttons:
    actions(chosen)
details(chosen, sorted({tag for run in runs for tag in run.labels.tags}))
