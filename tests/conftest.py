"""What all tests share: where public data files lie, and a home of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[2] / "shared" / "data"
if "SEESAW_DATA" not in os.environ and BESIDE.is_dir():
    os.environ["SEESAW_DATA"] = str(BESIDE)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty SEESAW_HOME for this test."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SEESAW_HOME", str(folder))
    monkeypatch.delenv("SEESAW_STORE", raising=False)
    return folder
