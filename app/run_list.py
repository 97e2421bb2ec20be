"""The list of runs: what is filtered, sorted and shown of each. No Streamlit, no torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from app import analysis, wording
from app.core_sentences import sentence
from app.core_texts import title
from app.i18n import mark, tr
from app.jobs.archive import Labels
from app.jobs.records import RunRecord
from app.library import is_example
from app.names import USUAL, model_name, system_of
from mtl_core.spec import RunSpec, fingerprint

#: State -> the word for it, also in links; what people pause is "stopped" in the store.
STATES = {
    "queued": mark("queued"), "running": mark("running"), "stopping": mark("pausing"), "finished": mark("finished"),
    "stopped": mark("paused"), "failed": mark("failed"),
}  # fmt: skip
EXAMPLE = mark("example")
#: With more tasks than this, a row names the first few only.
MOST_TASKS = 4

Curve = Sequence[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class Listed:
    """A run with what people wrote beside it, and its validation scores by epoch."""

    record: RunRecord
    labels: Labels
    curve: tuple[float, ...]

    @property
    def state(self) -> str:
        """The English word for it, by which lists are filtered."""
        return EXAMPLE if is_example(self.record.id) else STATES[self.record.state]

    @property
    def mean_auc(self) -> float | None:
        """Mean test AUC over the tasks that have one."""
        return _mean_auc(self.record.metrics_test or {})


def listed(records: Sequence[RunRecord], labels: Mapping[str, Labels], curves: Mapping[str, Curve]) -> list[Listed]:
    """The runs in this order."""
    return [Listed(r, labels.get(r.id, Labels()), sparkline(curves.get(r.id, ()))) for r in records]


def sparkline(curve: Curve) -> tuple[float, ...]:
    """Mean validation AUC over tasks by epoch; epochs without one are left out."""
    means = [_mean_auc(metrics) for _, metrics in curve]
    return tuple(round(mean, 5) for mean in means if mean is not None)


def _mean_auc(metrics: Mapping[str, Mapping[str, float | None]]) -> float | None:
    values = [value for task in metrics.values() if (value := task.get("auc")) is not None]
    return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class Filter:
    """What is looked for; empty means anything."""

    text: str = ""
    #: As `data_key` calls them.
    data: tuple[str, ...] = ()
    trunks: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def admits(self, run: Listed) -> bool:
        """Of each kind any choice will do; of the words and tags, all must be there."""
        record = run.record
        return (
            (not self.data or data_key(record) in self.data)
            and (not self.trunks or record.trunk in self.trunks)
            and (not self.states or run.state in self.states)
            and set(self.tags) <= set(run.labels.tags)
            and all(_says(run, word) for word in self.text.casefold().split())
        )


def data_key(record: RunRecord) -> str:
    """By what runs of the same data are filtered: the data set, or the file of one's own."""
    options = record.spec["data"]["options"]
    if record.dataset != analysis.OWN_FILE or not options["path"]:
        return record.dataset
    return f"{record.dataset}-{options['sha256'][:12] or fingerprint(options['path'])}"


def data_titles(records: Iterable[RunRecord]) -> dict[str, str]:
    """What the data of these runs are called, by their keys; files of one name have their hashes behind it."""
    found = {data_key(record): analysis.data_title(record.spec) for record in records}
    often = Counter(found.values())
    return {key: name if often[name] == 1 else f"{name} ({key.partition('-')[2][:4]})" for key, name in found.items()}


def _says(run: Listed, word: str) -> bool:
    """Part of a word will do; a number must be there as it is, or 1 would be found in 14; an id by its beginning."""
    told = _told(run)
    if word.isdecimal() and word in re.findall(r"[\w.]+", told):
        return True
    return (word in told and not word.isdecimal()) or (len(word) >= 4 and run.record.id.startswith(word))


def _told(run: Listed) -> str:
    """What a search for words looks through."""
    spec = run.record.spec
    model = (spec["model"]["encoder"]["name"], spec["model"]["head"]["name"], spec["balancer"]["name"])
    parts = (
        wording.run_name(run.record), options_text(run.record), run.labels.note, *run.labels.tags,
        run.state, tr(run.state), run.record.message or "", *model,
    )  # fmt: skip
    return " ".join(parts).casefold()


#: Name in the link -> what it is called, and the key by which runs are put in order (None comes last).
SORTS: dict[str, tuple[str, Callable[[Listed], float | None]]] = {
    "newest": (mark("Newest first"), lambda run: -run.record.created_at),
    "oldest": (mark("Oldest first"), lambda run: run.record.created_at),
    "auc": (mark("Best mean test AUC"), lambda run: None if run.mean_auc is None else -run.mean_auc),
    "time": (mark("Shortest training"), lambda run: run.record.train_seconds or None),
    "size": (mark("Fewest parameters"), lambda run: run.record.parameters),
}


def in_order(runs: Iterable[Listed], by: str) -> list[Listed]:
    """Sorted; equals stay as they were."""
    key = SORTS[by][1]

    def place(run: Listed) -> tuple[bool, float]:
        value = key(run)
        return value is None, value or 0.0

    return list(runs) if by == "newest" else sorted(runs, key=place)


def table(runs: Sequence[Listed]) -> pd.DataFrame:
    """One row per run. Empty columns are left out; tasks have columns where all runs have the same ones."""
    tasks = {tuple(run.record.metrics_test) for run in runs if run.record.metrics_test}
    common = next(iter(tasks)) if len(tasks) == 1 and len(next(iter(tasks))) <= MOST_TASKS else None
    frame = pd.DataFrame([{**_row(run), **_scores(run.record, common)} for run in runs])
    idle = {"tags": any(run.labels.tags for run in runs), "note": any(run.labels.note for run in runs),
            "progress": any(run.record.open for run in runs), "state": True}  # fmt: skip
    return frame[[name for name in _order(list(frame.columns)) if idle.get(name, True)]]


def _order(names: list[str]) -> list[str]:
    """What is read first stands first."""
    first = ["model", "data", "options", "seed", "tags", "validation"]
    last = ["mean AUC", "best epoch", "parameters", "time", "state", "progress", "note", "started", "run"]
    return [*first, *(name for name in names if name not in (*first, *last)), *last]


def _row(run: Listed) -> dict[str, Any]:
    record = run.record
    return {
        "model": model_name(record.spec),
        "data": analysis.data_title(record.spec),
        "options": options_text(record),
        "seed": record.seed,
        "tags": list(run.labels.tags),
        "validation": list(run.curve),
        "mean AUC": run.mean_auc,
        "best epoch": record.best_epoch,
        "parameters": record.parameters,
        "time": wording.seconds(record.train_seconds) if record.train_seconds else "",
        "state": _state(run),
        "progress": record.fraction if record.open else None,
        "note": run.labels.note,
        "started": datetime.fromtimestamp(record.created_at, tz=UTC).strftime("%Y-%m-%d %H:%M"),
        "run": record.id,
    }


def _state(run: Listed) -> str:
    """Of a failed run with its reason."""
    failed = run.record.state == "failed" and run.record.message
    return tr("{state}: {reason}", state=tr(run.state), reason=sentence(failed)) if failed else tr(run.state)


def _scores(record: RunRecord, common: Sequence[str] | None) -> dict[str, Any]:
    """Test scores: a number per task where all runs have the same ones, else the first two with their names."""
    metrics = record.metrics_test or {}
    if common is not None:
        return {f"test {task}": metrics.get(task, {}).get(_judged(metrics.get(task, {}))) for task in common}
    cells = [
        f"{task} {wording.auc(values['auc']) if 'auc' in values else wording.score(values)}"
        for task, values in metrics.items()
    ]
    return dict(zip(("test 1", "test 2"), [*cells, "", ""], strict=False))


def _judged(metrics: Mapping[str, float | None]) -> str:
    return analysis.metric_name(metrics)


def options_text(record: RunRecord) -> str:
    """What tells one run from another at a glance: what is not as in the data set's preset, and the trunk's options."""
    model, spec = record.spec["model"], record.spec
    named = [("trunk", model["trunk"])] if system_of(spec) else []
    if not named and model["encoder"]["name"] != USUAL["encoder"]:
        named = [("encoder", model["encoder"])]
    parts = [title(kind, part["name"]) for kind, part in named]
    own = analysis.own_options(record)
    trunk = [analysis.said(name, value) for name, value in model["trunk"]["options"].items()]
    return wording.commas(list(dict.fromkeys([*parts, *own, *trunk])))


def next_seed(record: RunRecord, records: Iterable[RunRecord]) -> RunSpec:
    """The same spec with the seed after the highest that it was run with."""
    own = analysis.keys(record)
    seeds = [
        other.seed for other in records if _maybe_alike(record, other) and analysis.keys(other).variant == own.variant
    ]
    return RunSpec.parse({**record.spec, "seed": max([record.seed, *seeds]) + 1})


def _maybe_alike(a: RunRecord, b: RunRecord) -> bool:
    """A look that costs nothing before the one that compares all."""
    return a.spec["model"] == b.spec["model"] and a.dataset == b.dataset
