"""Two to six runs side by side."""

import streamlit as st

from app.components.compare_flow import flow_section
from app.components.compare_gates import gates_section
from app.components.compare_inside import experts_section, quality_section, segments_section, what_if_section
from app.components.compare_pick import pick_runs
from app.components.compare_view import differences, say
from app.components.queue_view import queue_line
from app.components.url_choice import url_choice

SECTIONS = {
    "gates": ("Gates by epoch", gates_section),
    "flow": ("Flow", flow_section),
    "segments": ("Gates by segment", segments_section),
    "experts": ("Experts", experts_section),
    "quality": ("ROC and calibration", quality_section),
    "whatif": ("What if", what_if_section),
}

runs = pick_runs()
queue_line()
if not runs:
    st.info("Pick two finished runs, for instance an MMoE and a PLE on the same data.")
    st.stop()
if len(runs) == 1:
    st.info("Pick a second run: differences show only beside each other.")
say(runs)
section = url_choice(
    "Look at", list(SECTIONS), "gates", "look", lambda name: SECTIONS[name][0], control=st.segmented_control,
    required=True, label_visibility="collapsed",
)  # fmt: skip
SECTIONS[section][1](runs)
differences(runs)
