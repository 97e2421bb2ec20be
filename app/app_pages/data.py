"""What the models learn from."""

import streamlit as st

from app import own_files
from app.components.data_view import PREVIEW_ROWS, overview
from app.components.options_form import Form, has_advanced, in_short, options_form
from app.components.own_file import file_choice, upload_card
from app.components.url_choice import url_choice, url_integer
from app.components.url_values import UrlValues
from app.core_sentences import sentence
from app.core_texts import title as title_of
from app.i18n import tr
from app.setup_values import PREFIXES
from mtl_core import registry
from mtl_core.spec import options_problem

names = registry.names("dataset")
with st.sidebar:
    name = url_choice(tr("Data set"), names, "conflict", "data", lambda n: title_of("dataset", n))
    schema = registry.schema_of("dataset", name)
    st.caption(in_short(schema))
    if name == "table":
        own = file_choice()
        options, title = dict(own.readable), own.name
    else:
        title = title_of("dataset", name)
        url = UrlValues("data")
        form = Form(f"data.{name}", (), url, PREFIXES["dataset"])
        options = options_form(schema, {}, form)
        if has_advanced(schema):
            with st.expander(tr("More")):
                options |= options_form(schema, {}, form, advanced=True)
        url.forget_others([PREFIXES["dataset"]])
    seed = url_integer(tr("Seed"), 0, 2**31 - 1, 0, "data.seed", "seed")

if name == "table":
    if upload_card(own):
        st.subheader(tr("Still in use: {file}", file=title))
else:
    st.query_params.pop("file", None)
rows = options.get("rows")
if isinstance(rows, int) and rows > PREVIEW_ROWS:
    options["rows"] = PREVIEW_ROWS
    st.caption(tr("A preview of {shown:,} of the {rows:,} rows that a run would draw.", shown=PREVIEW_ROWS, rows=rows))
problem = options_problem(registry.get("dataset", name), options)
absent = own_files.absent({"name": name, "options": options})
if absent:
    st.error(absent, title=tr("These data cannot be read"))
elif problem:
    st.error(sentence(problem), title=tr("These options cannot be used"))
else:
    overview(name, options, seed, title)
