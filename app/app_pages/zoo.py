"""Published systems and the parts they are made of."""

import streamlit as st

from app import services
from app.components.queue_view import queue_line
from app.components.zoo_view import chosen_entry
from app.i18n import tr

services.library()
queue_line()
st.caption(
    tr(
        "Systems from papers and companies, each a composition of encoder, trunk, towers and head. Pick one: which "
        "problem it solves, how, and what it does on data that show it. The parts can be looked up one by one."
    )
)
chosen_entry()
