"""The cut of the dashboard; what may import what is checked by `lint-imports`."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
PAGES = sorted((APP / "app_pages").glob("*.py"))


def test_there_are_pages() -> None:
    assert len(PAGES) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_thin(page: Path) -> None:
    assert len(page.read_text().splitlines()) < 150


@pytest.mark.parametrize("page", [*PAGES, APP / "main.py"], ids=lambda page: page.stem)
def test_a_page_draws_no_chart_and_defines_no_class_itself(page: Path) -> None:
    tree = ast.parse(page.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    imported = {alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    imported |= {str(n.module).split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not imported & {"altair", "plotly", "pandas", "numpy", "torch", "sqlalchemy", "multiprocessing"}


def test_pages_start_no_process_and_no_thread() -> None:
    """What a thread keeps for itself (`threading.local`) is another matter: pages of two people run in two threads."""
    starts = r"\b(multiprocessing|subprocess|os\.fork|time\.sleep|threading\.(?!local\b)\w+|from threading)\b"
    for path in [*PAGES, *(APP / "components").glob("*.py")]:
        assert re.findall(starts, path.read_text()) == [], path


# T5
def test_every_module_of_the_core_can_be_imported_from_anywhere(tmp_path: Path) -> None:
    """In one fresh process whose folder is another one, so that no module finds a neighbour by luck."""
    import mtl_core

    names = [m.name for m in pkgutil.walk_packages(mtl_core.__path__, "mtl_core.") if not m.name.endswith("__main__")]
    assert len(names) > 80
    code = f"import importlib; [importlib.import_module(name) for name in {names!r}]"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
