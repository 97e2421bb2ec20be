"""What all tests share: where public data files lie, and a home of one's own."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# No time limit per example: a busy machine is not a wrong answer.
settings.register_profile("seesaw", deadline=None)
settings.load_profile("seesaw")

# Tiny products only: handing each to several threads takes far longer than computing it. Set before torch is imported,
# and inherited by whatever tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

BESIDE = Path(__file__).parents[2] / "shared" / "data"
if "SEESAW_DATA" not in os.environ and BESIDE.is_dir():
    os.environ["SEESAW_DATA"] = str(BESIDE)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`pytest -n 2`: file by file, and one process alone has all of those that start servers, browsers and workers."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return "tests/e2e" if file.startswith("tests/e2e/") else file

    config.option.loadscopereorder = False  # in the order of `testpaths`, the longest first
    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """What the libraries keep for good is set aside, so that no collection of garbage looks through it again.

    There are some million objects by now, a third of a second each time, and every run of a page ends with one.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty SEESAW_HOME for this test."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SEESAW_HOME", str(folder))
    monkeypatch.delenv("SEESAW_STORE", raising=False)
    return folder
