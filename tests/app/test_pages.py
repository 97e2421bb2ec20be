"""Every page, from every door: first visit, deep link, bad link, broken settings."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.conftest import MAIN, PAGES, healthy, texts, visit

APP = MAIN.parent


def test_the_pages_of_these_tests_are_all_pages() -> None:
    assert set(PAGES) == {path.stem for path in (APP / "app_pages").glob("*.py")} - {"__init__"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_reached_from_the_first_one(page: str) -> None:
    at = healthy(visit())
    at.switch_page(f"app_pages/{page}.py").run()
    charts_of(healthy(at), page)
    healthy(at.run())


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_the_first_request_of_a_new_session(page: str) -> None:
    charts_of(healthy(visit(page)), page)


def charts_of(at: AppTest, page: str) -> None:
    """Nothing is empty before anything is trained."""
    for kind, least in PAGES[page].items():
        shown = at.dataframe if kind == "dataframe" else at.get(kind)
        assert len(shown) >= least, kind
    assert at.info.len == 0


LONG = "x" * 5000
COMPARED = ["example-conflict-mmoe-0", "example-conflict-ple-0"]


@pytest.mark.parametrize(
    ("page", "query", "expected"),
    [
        ("playground", {"run": "nonsense"}, {"data": "conflict", "trunk": "mmoe", "seed": 0}),
        ("playground", {"run": "../../etc"}, {"data": "conflict"}),
        ("playground", {"run": LONG, "data": LONG, "trunk": LONG, "seed": LONG}, {"data": "conflict", "trunk": "mmoe"}),
        ("playground", {"run": "%00'; drop table run; --"}, {"data": "conflict"}),
        ("playground", {"data": "nope"}, {"data": "conflict"}),
        ("playground", {"data": "", "trunk": "", "seed": "", "run": ""}, {"data": "conflict", "seed": 0}),
        ("playground", {"trunk": "42"}, {"trunk": "mmoe"}),
        ("playground", {"seed": "-5"}, {"seed": 0}),
        ("playground", {"seed": "abc"}, {"seed": 0}),
        ("playground", {"seed": "1e400"}, {"seed": 0}),
        ("playground", {"seed": str(2**31)}, {"seed": 0}),
        ("playground", {"data": "nope", "trunk": "ple", "seed": "3"}, {"data": "conflict", "trunk": "ple", "seed": 3}),
        ("compare", {"left": "nonsense", "right": LONG}, {"runs": COMPARED}),
        ("compare", {"runs": "../../etc,example-conflict-mmoe-1", "look": "none"}, {"runs": COMPARED, "look": "gates"}),
        ("compare", {"epoch": "99", "level": "-1", "look": LONG}, {"epoch": "tested", "level": "2", "look": "gates"}),
        ("seesaw_plot", {"budget": "nonsense"}, {}),
        ("seesaw_plot", {"budget": LONG, "x": LONG, "y": "nonsense"}, {}),
        ("seesaw_plot", {"x": "B", "y": "B"}, {}),
        ("runs", {"examples": "perhaps"}, {"examples": True}),
        ("data", {"data": "nope"}, {"data": "conflict"}),
    ],
)
def test_a_bad_link_falls_back(page: str, query: dict[str, str], expected: dict[str, object]) -> None:
    at = visit(page, **query)
    charts_of(healthy(at), page)
    for key, value in expected.items():
        assert at.session_state[key] == value
    assert "nonsense" not in str(at.query_params.get("run"))
    healthy(at.run())


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("playground", {"data": "adult", "trunk": "cgc"}),
        ("playground", {"seed": "41"}),
        ("playground", {"run": "example-adult-ple-0"}),
        ("compare", {"epoch": "3", "level": "1"}),
        ("data", {"data": "adult"}),
    ],
)
def test_a_good_link_is_kept(page: str, query: dict[str, str]) -> None:
    at = healthy(visit(page, **query))
    for key, value in query.items():
        assert at.query_params[key] in (value, [value])
        if key != "run":
            assert str(at.session_state[key]) == value


def test_a_link_to_a_run_that_is_not_there_says_so_once() -> None:
    at = visit(run="0badcafe")
    assert [toast for toast in at.toast if "0badcafe" in toast.value]
    assert at.toast.len == 1
    assert "run" not in at.query_params
    assert at.run().toast.len == 0


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("name", "value"),
    [("SEESAW_STORE", "nonsense://"), ("SEESAW_EXECUTOR", "ray"), ("SEESAW_WORKERS", "many"), ("SEESAW_WORKERS", "0")],
)
def test_settings_that_cannot_be_used_are_named(
    page: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    at = visit(page)
    monkeypatch.delenv(name)
    assert [element.message for element in at.exception] == []
    assert at.error.len == 1
    assert re.search(f"{name}|run store", at.error[0].value)
    assert "\n" not in at.error[0].value


@pytest.mark.parametrize("page", PAGES)
def test_a_home_that_is_a_file_is_a_clear_message(page: str, home: Path) -> None:
    home.write_text("")
    at = visit(page)
    assert [element.message for element in at.exception] == []
    assert at.error.len == 1
    assert str(home) in at.error[0].value
    assert "Traceback" not in texts(at)


def test_no_page_loads_torch(home: Path) -> None:
    code = (
        "import sys\n"
        "from app.jobs.executor import LocalExecutor\n"
        "LocalExecutor._ensure = lambda self, wanted: None\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"at = AppTest.from_file({str(MAIN)!r}, default_timeout=60).run()\n"
        f"for page in {list(PAGES)!r}:\n"
        "    at.switch_page(f'app_pages/{page}.py').run()\n"
        "    assert not at.exception, (page, at.exception)\n"
        "heavy = ('torch', 'sklearn', 'app.jobs.worker', 'mtl_core.training')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300)
    assert answer.stdout.strip().splitlines()[-1] == "[]"


def test_the_layout_that_streamlit_needs() -> None:
    # A folder of this name would be run by Streamlit's older router, without main.py.
    assert not (APP / "pages").exists()
    config = tomllib.loads((APP / ".streamlit" / "config.toml").read_text())
    assert config["runner"]["postScriptGC"] is False
    assert config["server"]["showEmailPrompt"] is False
    assert config["server"]["address"] == "127.0.0.1"
    assert config["browser"]["gatherUsageStats"] is False
    assert {"light", "dark"} <= set(config["theme"])


def test_what_is_set_on_the_data_page_is_in_the_link() -> None:
    at = healthy(visit("data", data="funnel", seed="7", feature="item", label="cvr", **{"d.rows": "2000"}))
    assert at.number_input(key="data.seed").value == 7
    assert at.number_input(key="data.funnel.rows").value == 2000
    assert (at.selectbox(key="feature").value, at.selectbox(key="label").value) == ("item", "cvr")
    at.number_input(key="data.funnel.rows").set_value(3000).run()
    at.selectbox(key="label").set_value("ctr").run()
    assert at.query_params["d.rows"] in ("3000", ["3000"])
    assert "label" not in at.query_params  # the default is left out
    at.selectbox(key="data").set_value("conflict").run()
    assert not [name for name in at.query_params if name.startswith("d.")]
    # Bad values are ignored.
    at = healthy(visit("data", data="funnel", seed="1e400", feature="nothing", **{"d.rows": "-5"}))
    assert at.number_input(key="data.seed").value == 0
