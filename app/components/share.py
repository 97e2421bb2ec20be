"""Take a setup along: link, command line, Python, files."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from app import exports
from app.i18n import tr
from mtl_core.spec import RunSpec


@st.fragment
def share(spec: RunSpec) -> None:
    """A popover with everything to copy; each block has a button for it. It is filled when it is opened."""
    popover = st.popover(tr("Share"), icon=":material/share:", width="stretch", key="share", on_change="rerun")
    if not popover.open:
        return
    with popover:
        st.caption(tr("A link that sets these controls; the run that is shown is part of it on this machine"))
        st.code(link(), language=None, wrap_lines=True)
        st.caption(tr("The same on the command line"))
        st.code(exports.command_line(spec), language="bash", wrap_lines=True)
        st.caption(tr("The same in Python"))
        st.code(exports.python_code(spec), language="python", wrap_lines=True)
        with st.container(horizontal=True):
            name = f"{spec.data.name}-{spec.model.trunk.name}-{spec.seed}"
            st.download_button(
                "JSON", exports.as_json(spec), f"{name}.json", "application/json", key="share.json",
                icon=":material/download:", on_click="ignore", help=tr("Every option written out"),
            )  # fmt: skip
            st.download_button(
                "YAML", exports.as_yaml(spec), f"{name}.yaml", "application/yaml", key="share.yaml",
                icon=":material/download:", on_click="ignore", help=tr("Every option written out"),
            )  # fmt: skip


def link() -> str:
    """The address of the page with everything that was set."""
    query = urlencode({name: st.query_params[name] for name in st.query_params})
    return (st.context.url or "") + (f"?{query}" if query else "")
