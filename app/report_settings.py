"""The part of a report that says how its runs were set: data, split, every option, and the specs themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import PurePath
from typing import Any

from app import analysis, wording
from app.i18n import mark, tr, trn
from app.library import History
from mtl_core.spec import RunSpec

#: Digits of a file's hash that are shown beside its name; the whole hash stands in the spec.
DIGITS = 16
#: Kind of a feature -> the word for it.
_KINDS = {"categorical": mark("categorical"), "numeric": mark("numeric"), "sequence": mark("sequence")}


def data_section(found: Sequence[tuple[RunSpec, History]]) -> str:
    """A list with one entry per data set: what it is, how it is split, its labels and features."""
    lines = dict.fromkeys(_data(spec, history) for spec, history in found)
    return "<ul>" + "".join(f"<li>{escape(line, quote=False)}</li>" for line in lines) + "</ul>"


def _data(spec: RunSpec, history: History) -> str:
    schema, options = spec.schema, spec.data.options
    parts = [analysis.data_title(spec.to_json())]
    if spec.data.name == analysis.OWN_FILE and options.get("sha256"):
        parts.append(tr("SHA-256 {digits}…", digits=str(options["sha256"])[:DIGITS]))
    if history.started is not None:
        rows = history.started.rows
        parts.append(
            tr(
                "{train:,} training, {valid:,} validation and {test:,} test rows",
                train=rows["train"], valid=rows["valid"], test=rows["test"],
            )
        )  # fmt: skip
    if "split" in options:
        parts.append(analysis.option_text("split", analysis.short(options["split"])))
    labels = [
        tr("{task} (yes or no)", task=task.name) if task.kind == "binary" else tr("{task} (a number)", task=task.name)
        for task in schema.tasks
    ]
    parts.append(tr("labels: {labels}", labels=wording.commas(labels)))
    kinds = [feature.kind for feature in schema.features]
    counts = [f"{kinds.count(kind)} {tr(_KINDS[kind])}" for kind in dict.fromkeys(kinds)]
    count = trn("{n} feature", "{n} features", len(kinds))
    parts.append(tr("{count} ({kinds})", count=count, kinds=wording.commas(counts)))
    return tr("{claim}.", claim=wording.clauses(parts))


def model_section(name: str, spec: RunSpec) -> str:
    """Folded: every option of a model, and its spec as JSON."""
    rows = "".join(
        f"<tr><td>{escape(option)}</td><td>{escape(value)}</td></tr>" for option, value in analysis.all_options(spec)
    )
    told = json.dumps(_without_folder(spec.to_json()), indent=2, ensure_ascii=False)
    options, whole = tr("{model}: every option", model=name), tr("{model}: the spec", model=name)
    return (
        f"<details><summary>{escape(options, quote=False)}</summary>"
        f"<div class='wide'><table><tbody>{rows}</tbody></table></div></details>"
        f"<details><summary>{escape(whole, quote=False)}</summary>"
        f"<pre>{escape(told, quote=False)}</pre></details>"
    )


def _without_folder(value: dict[str, Any]) -> Mapping[str, Any]:
    """A spec that tells a file's name and not where it lies on this machine."""
    options = value["data"]["options"]
    if options.get("path"):
        options["path"] = PurePath(str(options["path"])).name
    if value.get("init_from"):
        value["init_from"] = PurePath(str(value["init_from"])).name
    return value
