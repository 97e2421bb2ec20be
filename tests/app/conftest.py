"""The dashboard's pages in Streamlit's own test harness: no browser, and no worker unless a test asks for one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app import services
from app.jobs import liveness
from app.jobs.executor import LocalExecutor, get_executor
from app.jobs.records import RunRecord
from app.jobs.store import RunStore, open_store
from mtl_core.comparison import preset_spec
from mtl_core.events import Checkpoint, Step
from mtl_core.spec import RunSpec

MAIN = Path(__file__).parents[2] / "app" / "main.py"
#: Generous: tests wait for something to happen, however slow the machine is.
PATIENCE = 120.0
#: Every page, and how many charts of which kind it shows before anything is trained.
PAGES = {
    "playground": {"vega_lite_chart": 4},
    "compare": {"vega_lite_chart": 8},
    "seesaw_plot": {"vega_lite_chart": 1},
    "runs": {"dataframe": 1},
    "data": {"vega_lite_chart": 2},
    "zoo": {"vega_lite_chart": 1},
}
#: The key of a control that no other page has.
LANDMARKS = {
    "playground": "trunk", "compare": "look", "seesaw_plot": "budget", "runs": "examples", "data": "data.seed",
    "zoo": "kind",
}  # fmt: skip
T = TypeVar("T")


def visit(page: str | None = None, **query: str) -> AppTest:
    """A new session whose first request is this page (None: the address alone) with these query parameters."""
    at = AppTest.from_file(str(MAIN), default_timeout=30)
    at.query_params.update(query)
    if page is not None:
        # Before the first run `switch_page` takes the file's name for the page's address.
        at._page_hash = calc_hash({"seesaw_plot": "seesaw", "playground": ""}.get(page, page))
    at.run()
    assert page is None or at.error.len or at.exception.len or LANDMARKS[page] in at.session_state
    return at


def healthy(at: AppTest) -> AppTest:
    """The page, which showed neither a traceback nor an error."""
    assert [element.message for element in at.exception] == []
    assert [element.value for element in at.error] == []
    return at


def texts(at: AppTest) -> str:
    """Everything that the page says in words."""
    kinds = (at.markdown, at.caption, at.info, at.error, at.toast)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def wait_for(look: Callable[[], T | None], seconds: float = PATIENCE, every: float = 0.05) -> T:
    """The first true answer of `look`, which is asked again and again, `every` so many seconds."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(every)
    return answer


def small(trunk: str = "mmoe", **changes: Any) -> RunSpec:
    """A run of a second."""
    training = {"epochs": 2, "batch_size": 100, "learning_rate": 0.005, "device": "cpu"}
    return preset_spec(
        "conflict",
        trunk,
        **{"data": {"name": "conflict", "options": {"rows": 500}}, "training": training, **changes},
    )


@pytest.fixture(scope="package", autouse=True)
def packages_are_looked_through_once() -> Iterator[None]:
    """Each test session of a page would read every installed package's metadata, in search of components."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(autouse=True)
def place(home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A home of its own; without the fixture `real_workers` nobody works on what is queued."""
    for name in ("SEESAW_EXECUTOR", "SEESAW_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEESAW_WORKER_IDLE", "60")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    if "real_workers" not in request.fixturenames:
        # The workers of these tests have no heartbeat: they are this process, which may be long at training a run.
        monkeypatch.setattr(liveness, "SILENCE_SECONDS", 1e9)
        monkeypatch.setattr(LocalExecutor, "_ensure", lambda self, wanted: None)
    yield home
    services._services.cache_clear()
    monkeypatch.setenv("SEESAW_EXECUTOR", "local")
    if not home.is_file():
        store = open_store()
        get_executor(store).close(stop_workers=True)
        store.close()


@pytest.fixture
def real_workers() -> None:
    """Runs are trained by real worker processes."""


@pytest.fixture
def store(place: Path) -> RunStore:
    """The store that the pages see."""
    return open_store()


@pytest.fixture
def claimed(store: RunStore) -> Callable[[RunSpec], RunRecord]:
    """Queues a run and takes it, as a worker called `w` does."""

    def take(spec: RunSpec) -> RunRecord:
        store.submit(spec)
        store.register_worker("w", 0)
        run = store.claim("w")
        assert run is not None
        return run

    return take


@pytest.fixture
def trained(store: RunStore, claimed: Callable[[RunSpec], RunRecord]) -> Callable[[RunSpec], RunRecord]:
    """Trains a run within this process."""
    from mtl_core.training import train

    def finish(spec: RunSpec) -> RunRecord:
        run = claimed(spec)
        for event in train([spec]):
            if not isinstance(event, Step | Checkpoint):
                store.append(run.id, "w", event)
        done = store.get(run.id)
        assert done is not None
        assert done.state == "finished"
        return done

    return finish
