"""Every run, newest first."""

import streamlit as st

from app import services, wording
from app.components.queue_view import queue_line
from app.components.run_table import run_table
from app.jobs.records import RunRecord
from app.library import is_example

library = services.library()
queue_line()
with_examples = st.toggle("Show bundled examples", value=True, key="examples", bind="query-params")
records = [r for r in library.records() if with_examples or not is_example(r.id)]
if not records:
    st.info("Nothing has been trained here yet. Open the playground and press Train.", title="No runs yet")
    st.page_link("app_pages/playground.py", label="Playground", icon=":material/tune:")
    st.stop()

chosen = [records[i] for i in run_table(records)]


def delete(doomed: list[RunRecord]) -> None:
    """Delete runs for good."""
    for record in doomed:
        library.store.delete(record.id)


with st.container(horizontal=True, vertical_alignment="center"):
    if st.button("Open", icon=":material/open_in_new:", disabled=len(chosen) != 1):
        st.switch_page("app_pages/playground.py", query_params={"run": chosen[0].id})
    comparable = [r for r in chosen if r.state == "finished" and library.has_gates(r.id)]
    if st.button("Compare", icon=":material/compare:", disabled=len(chosen) != 2 or len(comparable) != 2):
        st.switch_page("app_pages/compare.py", query_params={"left": chosen[0].id, "right": chosen[1].id})
    own = [r for r in chosen if not is_example(r.id)]
    st.button("Delete", icon=":material/delete:", disabled=not own, on_click=delete, args=(own,))
    if not chosen:
        st.caption("Tick one run to open it, two to compare them.")
    elif len(chosen) == 1:
        st.caption(f"{wording.run_name(chosen[0])}: {chosen[0].message or chosen[0].state}")
    elif len(chosen) == 2 and len(comparable) < 2:
        st.caption("Only finished runs whose gate weights were kept can be compared.")
