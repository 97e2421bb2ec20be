"""What the models learn from."""

import streamlit as st

from app.components.data_view import PREVIEW_ROWS, overview
from app.components.options_form import has_advanced, in_short, options_form
from app.components.own_file import file_choice, upload_card
from app.components.url_choice import url_choice
from mtl_core import registry
from mtl_core.spec import options_problem

names = registry.names("dataset")
with st.sidebar:
    name = url_choice("Data set", names, "conflict", "data", lambda n: registry.title("dataset", n))
    schema = registry.catalogue()["dataset"][name]
    st.caption(in_short(schema))
    if name == "table":
        own = file_choice()
        options, title = dict(own.options), own.name
    else:
        title = registry.title("dataset", name)
        options = options_form(schema, {}, f"data.{name}", ())
        if has_advanced(schema):
            with st.expander("More"):
                options |= options_form(schema, {}, f"data.{name}", (), advanced=True)
    seed = int(st.number_input("Seed", 0, 2**31 - 1, 0, key="data.seed"))

if name == "table":
    upload_card()
rows = options.get("rows")
if isinstance(rows, int) and rows > PREVIEW_ROWS:
    options["rows"] = PREVIEW_ROWS
    st.caption(f"A preview of {PREVIEW_ROWS:,} of the {rows:,} rows that a run would draw.")
problem = options_problem(registry.get("dataset", name), options)
if problem:
    st.error(problem, title="These options cannot be used")
else:
    overview(name, options, seed, title)
