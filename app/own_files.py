"""Files that people bring: kept in the home folder, each with the schema that was settled for it. No Streamlit."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from app import analysis
from app.i18n import mark, tr
from app.jobs import settings
from mtl_core.atomic import write_atomically
from mtl_core.data.base import DataError
from mtl_core.data.table import Column, Guess, Table, check_upload, guess
from mtl_core.data.table.labels import KNOWN, are_dates, binary, plain
from mtl_core.data.table.places import HASH_DIGITS, find, form_of
from mtl_core.data.table.reading import Decimal, Encoding, Separator
from mtl_core.schema import Feature, Task
from mtl_core.spec import fingerprint

#: What a column may be used as, and the kind of feature that makes of it.
USES = {
    mark("numeric"): "numeric",
    mark("categorical"): "categorical",
    mark("id"): "categorical",
    mark("sequence"): "sequence",
    mark("position"): "categorical",
    mark("date"): "numeric",
    mark("label"): None,
    mark("left out"): None,
}
#: Why a column has its use, where this module decides it.
SAID, UNKNOWN, BY_HAND = mark("so says the schema"), mark("not in the schema"), mark("chosen by hand")
REASONS = (SAID, UNKNOWN, BY_HAND)
#: The made-up shop log that stands in until there is a file, as a choice.
EXAMPLE, EXAMPLE_NAME = "example", mark("A made-up shop log (example)")
#: What the data of a run are called in links: this and a fingerprint.
_OF_RUN = re.compile(r"run-[0-9a-f]{16}")


@dataclass(frozen=True)
class OwnFile:
    """One file and its options for the data set `table`: as they were settled, or as a run had them."""

    id: str
    name: str
    options: dict[str, Any]

    @property
    def readable(self) -> dict[str, Any]:
        """The options with the place of the file on this machine, where it is here."""
        place = _place(self.options)
        return self.options if place is None else {**self.options, "path": str(place)}


@dataclass(frozen=True)
class LabelChoice:
    """What is to be predicted from a label column."""

    label: str
    kind: str
    positive: str = ""
    after: str = ""
    #: Of a number: is it standardised for training?
    scaled: bool = True


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
    path = folder() / f"{hashlib.sha256(content).hexdigest()[:HASH_DIGITS]}-{safe}"
    if not path.is_file():
        write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return path


@dataclass(frozen=True)
class Reading:
    """How a file of text is read; auto: as found."""

    separator: Separator = "auto"
    decimal: Decimal = "auto"
    encoding: Encoding = "auto"


def look(path: Path, reading: Reading | None = None) -> Guess:
    """What the columns seem to be.

    Raises:
        DataError: no table; the message says why.
    """
    how = reading or Reading()
    return guess(str(path), encoding=how.encoding, separator=how.separator, decimal=how.decimal)


def is_text(path: Path) -> bool:
    """Is there a choice in how the file is read?"""
    try:
        return path.stat().st_size > 0 and form_of(path) != "parquet"
    except DataError:
        return False


def saved(content: bytes) -> Guess:
    """A schema that was saved before.

    Raises:
        DataError: it is none, or says two things of one column; one sentence.
    """
    try:
        return Guess.from_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(tr("This is no YAML: it is not UTF-8 text.")) from error


def adopt(found: Guess, content: bytes) -> Guess:
    """A schema that was saved before, in place of what was guessed of this file.

    Counts and examples stay those of this file, so that a schema serves the next log of the same columns as well.
    Columns that the schema does not know are left out, and a note names them.

    Raises:
        DataError: no schema, or one for other columns; one sentence.
    """
    given = saved(content)
    schema = given.schema_
    labels = {task.label for task in schema.tasks}
    spaces = {task.space for task in schema.tasks if task.space is not None} - {label + KNOWN for label in labels}
    here = {column.name for column in found.columns}
    times = (given.time_column,) if given.split == "time" else ()
    used = (*(f.name for f in schema.features), *sorted(labels), *sorted(spaces), *times)
    absent = [name for name in used if name not in here]
    if absent:
        raise DataError(
            tr(
                "This schema is for another file: it uses the column `{column}`, which this file does not have.",
                column=absent[0],
            )
        )
    strangers = [name for name in given.positive if name not in labels]
    if strangers:
        raise DataError(
            tr("The schema gives `{column}` a positive value, but it is none of its labels.", column=strangers[0])
        )
    known = {column.name: column.use for column in given.columns}
    features = {feature.name: feature for feature in schema.features}
    columns = []
    for column in found.columns:
        name = column.name
        if name in labels:
            use, reason = "label", SAID
        elif name in features:
            use, reason = _use(features[name], known.get(name, ""), given.dates), SAID
        else:
            use, reason = "left out", SAID if name in known or name in spaces else UNKNOWN
        columns.append(column.model_copy(update={"use": use, "reason": reason}))
    news = [f"`{column.name}`" for column in columns if column.reason == UNKNOWN]
    note = tr("The schema does not know {columns}: left out until you choose a use.", columns=tr(", ").join(news))
    update = {
        "rows": found.rows,
        "sha256": found.sha256,
        "columns": tuple(columns),
        "time_column": given.time_column if given.time_column in here else "",
        "notes": (note,) if news else (),
        "separator": found.separator,
        "decimal": found.decimal,
        "encoding": found.encoding,
    }
    return given.model_copy(update=update)


def _use(feature: Feature, known: str, dates: Sequence[str]) -> str:
    """What a feature of a schema is called in the table of uses."""
    if feature.name in dates:
        return "date"
    if feature.role == "position":
        return "position"
    return "id" if feature.kind == "categorical" and known == "id" else feature.kind


def time_columns(found: Guess, uses: Mapping[str, str]) -> list[str]:
    """Columns that a split by time can go by: dates, and numbers that are read as such; the likeliest first."""
    several = [column for column in found.columns if column.distinct > 2]
    dates = [c.name for c in several if _holds_dates(c) and uses[c.name] != "label"]
    numbers = [c.name for c in several if _holds_numbers(c) and uses[c.name] in ("numeric", "left out")]
    return sorted([*dates, *numbers], key=lambda name: name != found.time_column)


def _holds_dates(column: Column) -> bool:
    return bool(column.examples) and are_dates(column.examples)


def _holds_numbers(column: Column) -> bool:
    try:
        return bool(column.examples) and all(math.isfinite(float(value)) for value in column.examples)
    except ValueError:
        return False


def revise(
    found: Guess, uses: Mapping[str, str], labels: Sequence[LabelChoice], time_column: str | None = None
) -> Guess:
    """The guess, corrected by a person.

    Args:
        found: what it was.
        uses: by column.
        labels: what is to be predicted.
        time_column: the column that a split by time goes by; empty: the split is random; None: as it was.

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
    chosen = [choice for choice in labels if uses.get(choice.label, before.get(choice.label)) == "label"]
    _check_values(found, chosen)
    by_time = found.split == "time" if time_column is None else bool(time_column)
    time = time_column or found.time_column
    goes_by = {c.name for c in found.columns if by_time and c.name == time and _holds_dates(c)}
    dates = tuple(name for name, use in uses.items() if use == "date" or name in goes_by)
    columns = tuple(
        column.model_copy(update={"use": uses[column.name], "reason": BY_HAND})
        if uses.get(column.name, column.use) != column.use
        else column
        for column in found.columns
    )
    revised = found.model_copy(
        update={
            "columns": columns,
            "features": tuple(features),
            "tasks": _tasks(found, chosen),
            "positive": {c.label: c.positive for c in chosen if c.kind == "binary" and c.positive},
            "dates": dates,
            "split": "time" if by_time else "random",
            "time_column": time,
        }
    )
    _ = revised.schema_  # raises in one sentence what does not fit together
    return revised


def usual_positive(column: Column) -> str | None:
    """The value that counts as positive without a word: the 1 of 0 and 1, the true of true and false."""
    for pair in ({"0", "1"}, {"false", "true"}):
        if column.values and {plain(value) for value in column.values} <= pair:
            return next((value for value in column.values if plain(value) in ("1", "true")), None)
    return None


def _check_values(found: Guess, labels: Sequence[LabelChoice]) -> None:
    """Refuse a binary label of other values than 0 and 1 where nobody has said which of them is meant.

    Raises:
        DataError: as a run of it would.
    """
    values = {column.name: column.values for column in found.columns}
    for choice in labels:
        if choice.kind == "binary" and (all_of_them := values[choice.label]):
            binary(choice.label, all_of_them, np.arange(len(all_of_them), dtype=np.int32), choice.positive or None)


def _tasks(found: Guess, chosen: Sequence[LabelChoice]) -> tuple[Task, ...]:
    """One task per label; those that were there keep their names, and their sample spaces unless the order changed."""
    old = {task.label: task for task in found.tasks}
    names = {choice.label: old[choice.label].name if choice.label in old else choice.label for choice in chosen}
    gaps = {column.name for column in found.columns if column.missing > 0}
    tasks = []
    for choice in chosen:
        label, task = choice.label, old.get(choice.label)
        scaling: Literal["none", "standard"] = "standard" if choice.kind == "regression" and choice.scaled else "none"
        after = names.get(choice.after, choice.after) or None
        if task is not None and task.after == after:
            tasks.append(task.model_copy(update={"kind": choice.kind, "scaling": scaling}))
            continue
        # Learned where the other happened; else everywhere, or wherever it is known.
        space = choice.after or (label + KNOWN if label in gaps else None)
        tasks.append(Task(name=names[label], label=label, kind=choice.kind, space=space, after=after, scaling=scaling))
    return tuple(tasks)


def settle(path: Path, revised: Guess) -> OwnFile:
    """Keep the schema beside the file, and its options for runs; a schema that no run could have changes nothing.

    Raises:
        DataError: labels, dates or numbers are not what the schema says of them; one sentence.
    """
    options = revised.options(str(path))
    Table.model_validate(options).frames(0)
    write_atomically(_beside(path, ".yaml"), lambda p: p.write_text(revised.to_yaml(), encoding="utf-8"))
    write_atomically(_beside(path, ".json"), lambda p: p.write_text(json.dumps(options), encoding="utf-8"))
    return OwnFile(path.name, title(path), options)


def settled() -> dict[str, OwnFile]:
    """All files whose schema is settled, by id, newest first."""
    found = {}
    for side in sorted(folder().glob("*.json"), key=lambda p: -p.stat().st_mtime):
        path = side.with_suffix("")
        if path.is_file():
            options = json.loads(side.read_text(encoding="utf-8"))
            found[path.name] = OwnFile(path.name, title(path), options)
    return found


def of_run(options: Mapping[str, Any]) -> str:
    """The id by which the data of a run can be chosen: its file with its own schema, whatever was settled since."""
    wanted = _written_out(options)
    if wanted == _written_out({}):
        return EXAMPLE
    for own in settled().values():
        if _written_out(own.options) == wanted:
            return own.id
    name = f"run-{fingerprint(wanted)}"
    text = json.dumps(wanted)
    write_atomically(_of_run_file(name), lambda p: p.write_text(text, encoding="utf-8"))
    return name


def chosen_of_run(name: str) -> OwnFile | None:
    """The data of a run that `of_run` has kept under this id."""
    if not _OF_RUN.fullmatch(name) or not _of_run_file(name).is_file():
        return None
    options = json.loads(_of_run_file(name).read_text(encoding="utf-8"))
    called = _called(options)
    return OwnFile(name, tr("{file}, as a run had it", file=called), options)


def absent(data: Mapping[str, Any]) -> str | None:
    """Why the data of a spec cannot be trained on here: their file is not here. None: it is, or they need none."""
    options = data["options"]
    if data["name"] != analysis.OWN_FILE or not options.get("path") or _place(options) is not None:
        return None
    return tr("This run used {file}, which is not here; bring the same file to go on.", file=_called(options))


def _place(options: Mapping[str, Any]) -> Path | None:
    """Where a worker would find the file."""
    try:
        return find(str(options.get("path", "")), str(options.get("sha256", "")), settings.table_folders())
    except DataError:
        return None


def _called(options: Mapping[str, Any]) -> str:
    return analysis.data_title({"data": {"name": analysis.OWN_FILE, "options": options}})


def _written_out(options: Mapping[str, Any]) -> dict[str, Any]:
    return Table.model_validate(dict(options)).model_dump(mode="json")


def _of_run_file(name: str) -> Path:
    return folder() / "of-runs" / f"{name}.json"


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def title(path: Path) -> str:
    """The name under which an upload was brought."""
    return path.name.split("-", maxsplit=1)[-1]
