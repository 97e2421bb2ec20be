"""Two to six runs side by side."""

import streamlit as st

from app.components.compare_flow import flow_section
from app.components.compare_gates import gates_section
from app.components.compare_inside import experts_section, quality_section, segments_section, what_if_section
from app.components.compare_pick import pick_runs
from app.components.compare_view import differences, say
from app.components.queue_view import queue_line
from app.components.url_choice import url_choice
from app.i18n import mark, tr

SECTIONS = {
    "gates": (mark("Gates by epoch"), gates_section),
    "flow": (mark("Flow"), flow_section),
    "segments": (mark("Gates by segment"), segments_section),
    "experts": (mark("Experts"), experts_section),
    "quality": (mark("ROC and calibration"), quality_section),
    "whatif": (mark("What if"), what_if_section),
}

runs = pick_runs()
queue_line()
if not runs:
    st.info(tr("Pick two finished runs, for instance an MMoE and a PLE on the same data."))
    st.stop()
if len(runs) == 1:
    st.info(tr("Pick a second run: differences show only beside each other."))
say(runs)
section = url_choice(
    tr("Look at"), list(SECTIONS), "gates", "look", lambda name: tr(SECTIONS[name][0]), control=st.segmented_control,
    required=True, label_visibility="collapsed",
)  # fmt: skip
SECTIONS[section][1](runs)
differences(runs)
