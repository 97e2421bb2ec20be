"""Every chart of every page can be taken home as SVG, PNG and HTML."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.conftest import healthy, visit

PAGES = [
    ("playground", {}), ("compare", {}), ("compare", {"look": "flow"}), ("seesaw_plot", {}),
    ("data", {"data": "funnel"}), ("zoo", {}),
]  # fmt: skip


def open_all(at: AppTest) -> AppTest:
    """Press every "Save"."""
    for key in [key for key in at.session_state if key.startswith("save.")]:
        at.session_state[key] = True
    return at.run()


def offered(at: AppTest) -> list[str]:
    """Kinds of the files behind the opened buttons."""
    keys = (button.key or "" for button in at.get("download_button"))
    return [key.rsplit(".", 1)[1] for key in keys if key.startswith("save.")]


@pytest.mark.parametrize(("page", "query"), PAGES, ids=[f"{page}-{''.join(query.values())}" for page, query in PAGES])
def test_every_chart_is_offered_in_three_formats(page: str, query: dict[str, str]) -> None:
    at = healthy(visit(page, **query))
    charts = len(at.get("vega_lite_chart")) + len(at.get("plotly_chart"))
    assert charts > 0
    assert offered(at) == []
    assert offered(healthy(open_all(at))) == ["SVG", "PNG", "HTML"] * charts
