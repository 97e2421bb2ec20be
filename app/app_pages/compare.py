"""Two runs side by side."""

import streamlit as st

from app import analysis, services, wording
from app.components.compare_view import curves, one_side
from app.components.url_choice import url_choice
from app.library import EXAMPLE_PREFIX, is_example

library = services.library()
choices = {r.id: r for r in library.records() if r.state == "finished" and library.has_gates(r.id)}


def name(run_id: str) -> str:
    """How a run is called in the two lists."""
    return wording.run_name(choices[run_id]) + (" (example)" if is_example(run_id) else f" · {run_id}")


left, right = st.columns(2)
with left:
    first = url_choice("Left", list(choices), f"{EXAMPLE_PREFIX}conflict-mmoe-0", "left", name)
with right:
    second = url_choice("Right", list(choices), f"{EXAMPLE_PREFIX}conflict-ple-0", "right", name)
sides = [(choices[i], library.history(i)) for i in (first, second)]
for column, (record, history) in zip((left, right), sides, strict=True):
    with column:
        one_side(record, history, key="left" if column is left else "right")

left, right = st.columns([3, 2])
with left:
    curves(sides)
with right, st.container(border=True):
    st.markdown("**What differs**")
    table = analysis.differences([analysis.keys(record).spec for record, _ in sides], ["left", "right"])
    if table.empty:
        st.caption("Nothing: these are equal specs.")
    else:
        st.table(table, border="horizontal", alt="Options in which the two runs differ")
    st.caption("Only options that differ. Everything else, the data and the budget included, is the same.")
