"""What people copy runs as it stands: the README's Python, and what the dashboard gives them to paste."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import exports
from mtl_core.checkpoints import WEIGHTS
from mtl_core.spec import RunSpec

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def run(code: str, folder: Path) -> str:
    """Run it in a fresh interpreter, in an empty folder, and return what it prints."""
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_the_readme_has_python_to_copy() -> None:
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("code", BLOCKS)
def test_the_readmes_python_runs(code: str, tmp_path: Path) -> None:
    printed = run(code, tmp_path)
    if "train(" in code:
        assert ast.literal_eval(printed.splitlines()[-1])["event"] == "finished"


def test_the_dashboards_python_trains_what_it_says(tmp_path: Path) -> None:
    spec = RunSpec.parse({"data": {"name": "conflict", "options": {"rows": 600}}, "training": {"epochs": 1}, "seed": 3})
    last = ast.literal_eval(run(exports.python_code(spec), tmp_path).splitlines()[-1])
    assert last["event"] == "finished"
    assert (tmp_path / "run" / WEIGHTS).stat().st_size > 0
