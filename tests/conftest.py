"""What all tests share: where public data files lie, and a home of one's own."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[2] / "shared" / "data"
if "SEESAW_DATA" not in os.environ and BESIDE.is_dir():
    os.environ["SEESAW_DATA"] = str(BESIDE)


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
