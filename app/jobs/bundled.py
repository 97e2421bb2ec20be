"""The weights of bundled example runs: what the worker looks into when somebody asks about one of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mtl_core.spec import RunSpec

#: A folder per run, with its spec and its weights; not every example has one.
FOLDER = Path(__file__).parents[2] / "sample_data" / "example_weights"
SPEC = "spec.json"
#: Ids come from links.
ID = r"example-[a-z0-9_]{1,40}-[a-z0-9_]{1,40}-[0-9]{1,4}"
_ID = re.compile(ID)


def is_bundled(run_id: str) -> bool:
    """Is this the id of an example?"""
    return _ID.fullmatch(run_id) is not None


def weights_folder(run_id: str) -> Path | None:
    """Where an example's weights lie; None where they were not bundled."""
    folder = FOLDER / run_id
    return folder if is_bundled(run_id) and folder.is_dir() else None


def spec_of(folder: Path) -> RunSpec:
    """What was trained."""
    return RunSpec.parse(json.loads((folder / SPEC).read_text("utf-8")))
