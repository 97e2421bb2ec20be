"""Files that people bring: kept in the home folder, each with the schema that was settled for it. No Streamlit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.jobs import settings
from mtl_core.atomic import write_atomically
from mtl_core.data.base import DataError
from mtl_core.data.table import Guess, check_upload, guess
from mtl_core.schema import Feature, Task

#: What a column may be used as, and the kind of feature that makes of it.
USES = {
    "numeric": "numeric",
    "categorical": "categorical",
    "id": "categorical",
    "sequence": "sequence",
    "position": "categorical",
    "date": "numeric",
    "label": None,
    "left out": None,
}


@dataclass(frozen=True)
class OwnFile:
    """One file and its settled options for the data set `table`."""

    id: str
    name: str
    options: dict[str, Any]


@dataclass(frozen=True)
class LabelChoice:
    """What is to be predicted from a label column."""

    label: str
    kind: str
    positive: str = ""
    after: str = ""


def folder() -> Path:
    """Where uploads lie."""
    return settings.uploads()


def keep(name: str, content: bytes) -> Path:
    """Store an upload under its hash; the same file twice is kept once.

    Raises:
        DataError: too large.
    """
    check_upload(name, len(content))
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name).name)[-60:] or "table.csv"
    path = folder() / f"{hashlib.sha256(content).hexdigest()[:12]}-{safe}"
    if not path.is_file():
        write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return path


def look(path: Path) -> Guess:
    """What the columns seem to be.

    Raises:
        DataError: no table; the message says why.
    """
    return guess(str(path))


def revise(found: Guess, uses: Mapping[str, str], labels: Sequence[LabelChoice]) -> Guess:
    """The guess, corrected by a person.

    Raises:
        DataError: a choice that does not fit; one sentence.
    """
    known = {feature.name: feature for feature in found.features}
    before = {column.name: column.use for column in found.columns}
    features = []
    for column in found.columns:
        use = uses.get(column.name, column.use)
        kind = USES[use]
        if kind is None:
            continue
        if use == before[column.name] and column.name in known:
            features.append(known[column.name])
        else:
            role = "position" if use == "position" else None
            features.append(Feature(name=column.name, kind=kind, role=role))
    tasks, positive = [], {}
    old = {task.label: task for task in found.tasks}
    for choice in labels:
        if uses.get(choice.label, before.get(choice.label)) != "label":
            continue
        after = choice.after or None
        space = after
        if after is None and choice.label in old and old[choice.label].after is None:
            space = old[choice.label].space
        name = old[choice.label].name if choice.label in old else choice.label
        tasks.append(Task(name=name, label=choice.label, kind=choice.kind, space=space, after=after))
        if choice.kind == "binary" and choice.positive:
            positive[choice.label] = choice.positive
    dates = tuple(name for name, use in uses.items() if use == "date")
    revised = found.model_copy(
        update={"features": tuple(features), "tasks": tuple(tasks), "positive": positive, "dates": dates}
    )
    _ = revised.schema_  # raises in one sentence what does not fit together
    return revised


def settle(path: Path, revised: Guess) -> OwnFile:
    """Keep the schema beside the file, and its options for runs."""
    options = revised.options(str(path))
    write_atomically(_beside(path, ".yaml"), lambda p: p.write_text(revised.to_yaml(), encoding="utf-8"))
    write_atomically(_beside(path, ".json"), lambda p: p.write_text(json.dumps(options), encoding="utf-8"))
    return OwnFile(path.name, _title(path), options)


def settled() -> dict[str, OwnFile]:
    """All files whose schema is settled, by id, newest first."""
    found = {}
    for side in sorted(folder().glob("*.json"), key=lambda p: -p.stat().st_mtime):
        path = side.with_suffix("")
        if path.is_file():
            options = json.loads(side.read_text(encoding="utf-8"))
            found[path.name] = OwnFile(path.name, _title(path), options)
    return found


def upload_path(file_id: str) -> Path:
    """The path of a kept upload.

    Raises:
        DataError: there is none of this id.
    """
    path = folder() / Path(file_id).name
    if not path.is_file():
        raise DataError(f"There is no uploaded file {file_id!r} any more: upload it again.")
    return path


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _title(path: Path) -> str:
    return path.name.split("-", maxsplit=1)[-1]
