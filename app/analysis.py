"""From runs to what the pages draw: curves, seesaw groups, missing yardsticks. No Streamlit, no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePath
from typing import Any, cast

import pandas as pd

from app import gains
from app.charts.curves import COLUMNS, TEST, VALIDATION, YARDSTICK, shortened
from app.charts.seesaw import SeesawGroup
from app.core_texts import in_words, title, words
from app.i18n import core, mark, tr, trn
from app.jobs.records import RunRecord
from app.library import History
from app.names import NOWHERE, changed, model_name
from mtl_core import comparison
from mtl_core.comparison import Interval, paired_interval
from mtl_core.heads.meeting import Meeting
from mtl_core.spec import RunSpec
from mtl_core.trunks.wiring import Wiring

#: The data set that is a person's own file.
OWN_FILE = "table"


@dataclass(frozen=True)
class Keys:
    """What a run can be compared by."""

    spec: RunSpec
    budget: str
    variant: str
    run: str
    baseline: str
    #: What it says otherwise than the data set's preset: path -> value.
    changed: Mapping[str, Any]


#: By the identity of the spec's JSON data, which are held here so that no other data take their place.
_known_keys: dict[int, tuple[dict[str, Any], Keys]] = {}
#: Keys of so many specs are kept.
MOST_KEYS = 4096


@lru_cache(maxsize=512)
def _variant(text: str) -> tuple[RunSpec, str, str, str, Mapping[str, Any]]:
    """What no seed changes: the spec with seed 0, the keys of budget, model and yardstick, and what is changed."""
    spec = RunSpec.parse(json.loads(text))
    own, yardstick = comparison.variant_key(spec), comparison.variant_key(comparison.baseline_spec(spec))
    return spec, comparison.budget_key(spec), own, yardstick, changed(spec)


def _keys(value: Mapping[str, Any]) -> Keys:
    seed = int(value["seed"])
    # Reading a spec and its schema takes a thousand times as long as a copy with another seed, and hundreds differ
    # in nothing else.
    shared, budget, own, yardstick, changes = _variant(json.dumps({**value, "seed": 0}))
    run, baseline = comparison.seed_key(own, seed), comparison.seed_key(yardstick, seed)
    return Keys(shared.with_seed(seed), budget, own, run, baseline, changes)


def keys(record: RunRecord) -> Keys:
    """The keys of a run; remembered, since pages ask for hundreds on every rerun."""
    held = _known_keys.get(id(record.spec))
    if held is None or held[0] is not record.spec:
        while len(_known_keys) >= MOST_KEYS:
            _known_keys.pop(next(iter(_known_keys)), None)
        held = _known_keys[id(record.spec)] = (record.spec, _keys(record.spec))
    return held[1]


def wiring(record: RunRecord, history: History) -> Wiring:
    """Who sees whom in this run's trunk; known from the spec before a worker has said anything."""
    if history.started is not None:
        return history.started.wiring
    return keys(record).spec.wiring


def meeting(record: RunRecord) -> Meeting:
    """What this run's head makes of its towers."""
    return keys(record).spec.meeting


def data_title(spec: Mapping[str, Any]) -> str:
    """What the data are called; a file of one's own by its name."""
    name, path = str(spec["data"]["name"]), str(spec["data"]["options"].get("path") or "")
    if name == OWN_FILE and path:
        # Uploads are kept under their hash, a dash and their name.
        return re.sub(r"^[0-9a-f]{12}-", "", PurePath(path).name)
    return title("dataset", name)


def split_line(name: str, options: Mapping[str, Any]) -> str:
    """How the rows of a file of one's own are split, where chance does not do it."""
    if name != OWN_FILE or options.get("split") != "time":
        return ""
    return tr("split by time ({column})", column=options["time_column"])


def metric_name(metrics: Mapping[str, float | None]) -> str:
    """The metric by which a task with these metrics is judged."""
    return "auc" if "auc" in metrics else "mse"


def curve_rows(history: History, line: str, what: str = VALIDATION, with_test: bool = True) -> pd.DataFrame:
    """Rows for `charts.curves.auc_curves`: one per epoch and task, and one per task for the test score."""
    rows = []
    for epoch in history.epochs:
        for task, metrics in epoch.metrics["valid"].items():
            rows.append((epoch.epoch, task, metrics[metric_name(metrics)], line, what))
    if history.finished is not None and with_test:
        for task, metrics in history.finished.metrics["test"].items():
            rows.append((history.finished.best_epoch, task, metrics[metric_name(metrics)], line, TEST))
    return pd.DataFrame(rows, columns=COLUMNS)


def with_yardstick(history: History, baseline: History | None, line: str) -> pd.DataFrame:
    """Curve rows of a run, with its single-task yardstick where there is one."""
    own = curve_rows(history, line)
    if baseline is None or not baseline.epochs:
        return own
    dotted = curve_rows(baseline, tr("single task"), YARDSTICK, with_test=False)
    return pd.concat([own, dotted], ignore_index=True) if len(own) else dotted


def looks_alike(spec: RunSpec, record: RunRecord, history: History) -> bool:
    """Is a spec's untrained model drawn as this run's is: the same wiring and tasks?"""
    return spec.wiring == wiring(record, history) and spec.schema.task_names == keys(record).spec.schema.task_names


def find_baseline(record: RunRecord, records: Iterable[RunRecord]) -> RunRecord | None:
    """The finished single-task run that this run is measured against, if there is one."""
    wanted = keys(record).baseline
    return next((r for r in records if r.state == "finished" and keys(r).run == wanted), None)


def gains_over_seeds(record: RunRecord, records: Sequence[RunRecord]) -> dict[str, Interval]:
    """Of a run's model the gain over single-task on each task, in its unit, over all seeds that have both."""
    wanted = keys(record)
    finished: dict[str, RunRecord] = {}
    for each in (record, *records):
        if each.state == "finished" and keys(each).budget == wanted.budget:
            finished.setdefault(keys(each).run, each)
    found: dict[str, list[float]] = {}
    for each in finished.values():
        known = keys(each)
        yardstick = finished.get(known.baseline)
        if known.variant != wanted.variant or yardstick is None or known.run == known.baseline:
            continue
        for task in known.spec.schema.task_names:
            if (value := _gain(each, yardstick, task, known.spec)) is not None:
                found.setdefault(task, []).append(value)
    return {task: paired_interval(values) for task, values in found.items()}


@dataclass(frozen=True)
class Budget:
    """Runs that may be compared: same data, same training budget."""

    key: str
    label: str
    records: tuple[RunRecord, ...]


def budgets(records: Sequence[RunRecord], *, with_open: bool = False) -> list[Budget]:
    """Finished runs by comparable budget, in the order in which the budgets first appear; on request open ones too."""
    grouped: dict[str, list[RunRecord]] = {}
    for record in records:
        if record.state == "finished" or (with_open and record.open):
            grouped.setdefault(keys(record).budget, []).append(record)
    return [Budget(key, budget_label(keys(group[0]).spec), tuple(group)) for key, group in grouped.items()]


def budget_label(spec: RunSpec) -> str:
    """Data and budget in one line, options that differ from the data set's own defaults named."""
    options = spec.to_json()["data"]["options"]
    usual = {} if spec.data.name == OWN_FILE else type(spec.data.part)().model_dump(mode="json")
    changed = [option_text(name, short(options[name])) for name in usual if options[name] != usual[name]]
    if by_time := split_line(spec.data.name, options):
        changed.append(by_time)
    training = spec.training
    budget = [
        trn("{n} epoch", "{n} epochs", training.epochs),
        tr("batch {size}", size=training.batch_size),
        tr("learning rate {rate:g}", rate=training.learning_rate),
    ]
    return " · ".join([data_title(spec.to_json()), *changed, *budget])


@dataclass(frozen=True)
class Missing:
    """A finished run without its yardstick, and the spec that would give it one."""

    record: RunRecord
    baseline: RunSpec


@dataclass(frozen=True)
class Seesaw:
    """The seesaw picture of one budget and two tasks."""

    groups: tuple[SeesawGroup, ...]
    parameters: dict[str, int]
    baseline_parameters: int | None
    missing: tuple[Missing, ...]


def seesaw(budget: Budget, task_x: str, task_y: str) -> Seesaw:
    """Gains of every model of the budget over single-task, paired by seed."""
    by_run: dict[str, RunRecord] = {}
    for record in (record for record in budget.records if record.state == "finished"):
        by_run.setdefault(keys(record).run, record)  # newest first: a run that was repeated counts once
    coming = {keys(record).run for record in budget.records if record.open}
    points: dict[str, list[tuple[int, float, float, str]]] = {}
    first: dict[str, RunRecord] = {}
    missing: dict[str, Missing] = {}
    baselines: list[RunRecord] = []
    for record in by_run.values():
        known = keys(record)
        if known.run == known.baseline:
            baselines.append(record)
            continue
        yardstick = by_run.get(known.baseline)
        if yardstick is None:
            if known.baseline in coming:
                continue
            missing.setdefault(known.baseline, Missing(record, comparison.baseline_spec(known.spec)))
            continue
        x_gain, y_gain = (_gain(record, yardstick, task, known.spec) for task in (task_x, task_y))
        if x_gain is None or y_gain is None:
            continue
        first.setdefault(known.variant, record)
        points.setdefault(known.variant, []).append((known.spec.seed, x_gain, y_gain, record.id))
    specs = [keys(first[variant]).spec for variant in points]
    labels, lines = variant_labels(specs), weight_lines(specs)
    groups = []
    for (variant, values), label, line, spec in zip(points.items(), labels, lines, specs, strict=True):
        seeds, x, y, runs = zip(*sorted(values), strict=True)
        group = SeesawGroup(label, spec.model.trunk.name, seeds, x, y, paired_interval(x), paired_interval(y), runs)
        short_name = ratio(cast(list[float], spec.balancer.options["weights"])) if line else ""
        size = first[variant].parameters or 0
        groups.append(replace(group, line=line, short=short_name, balancer=spec.balancer.name, parameters=size))
    return Seesaw(
        groups=tuple(sorted(groups, key=lambda g: -(g.x_interval.mean + g.y_interval.mean))),
        parameters={label: first[variant].parameters or 0 for label, variant in zip(labels, points, strict=True)},
        baseline_parameters=baselines[0].parameters if baselines else None,
        missing=tuple(missing.values()),
    )


def weight_lines(specs: Sequence[RunSpec]) -> list[str]:
    """For each model the name shared with at least two others that differ in fixed loss weights alone; else ""."""
    models = [json.dumps(spec.to_json()["model"]) if spec.balancer.name == "static" else None for spec in specs]
    names = variant_labels(specs, with_balancers=False)
    swept = [model is not None and models.count(model) > 2 for model in models]
    return [name if line else "" for name, line in zip(names, swept, strict=True)]


def ratio(weights: Sequence[float]) -> str:
    """Loss weights as 1:9.5, unless they are round numbers as they stand."""
    if all(weight == float(f"{weight:.2g}") for weight in weights) or not all(weights):
        return short(list(weights))
    least, most = min(weights), max(weights)
    digits = 3 if most / least >= 1.005 else 5  # only equal weights are 1:1
    return ":".join(f"{weight / least:.{digits}g}" for weight in weights)


def _gain(record: RunRecord, yardstick: RunRecord, task: str, spec: RunSpec) -> float | None:
    if record.metrics_test is None or yardstick.metrics_test is None:
        return None
    kind = next(t.kind for t in spec.schema.tasks if t.name == task)
    value = comparison.gain(record.metrics_test[task], yardstick.metrics_test[task], kind)
    return None if value is None else gains.scaled(value, kind)


def variant_labels(specs: Sequence[RunSpec], *, with_balancers: bool = True, with_budgets: bool = False) -> list[str]:
    """Short names that tell these models apart: what each is called, and the options in which same-named ones differ.

    Args:
        specs: the models.
        with_balancers: without, models that differ in their balancers alone have the same name.
        with_budgets: name options of the data and the training too, where models on the same data differ in them.
    """
    flat = [_flat(spec, with_budgets) for spec in specs]
    if not with_balancers:
        flat = [{k: v for k, v in own.items() if not k.startswith("balancer.")} for own in flat]
    names = [model_name(spec.to_json(), with_balancer=with_balancers) for spec in specs]
    alike = list(zip(names, [spec.data.name for spec in specs], strict=True)) if with_budgets else names
    labels = []
    for name, same, own in zip(names, alike, flat, strict=True):
        rivals = [other for who, other in zip(alike, flat, strict=True) if who == same]
        extra = [said(k, own[k]) for k in own if k not in _NAMED and any(r.get(k) != own[k] for r in rivals)]
        labels.append(with_options(name, extra))
    return labels


#: What the name of a model says already.
_NAMED = ("model.head.name", "balancer.name")


def with_options(name: str, options: Sequence[str]) -> str:
    """MMoE (experts 9, weights 20:1)."""
    return tr("{model} ({options})", model=name, options=tr(", ").join(options)) if options else name


def said(path: str, value: object) -> str:
    """An option and its value in a few words: expert layers 64-32, weights 20:1, 100 epochs."""
    field = path.rsplit(".", 1)[-1]
    if field == "name":
        return title(path.split(".")[-2], str(value))
    if path == "training.epochs" and isinstance(value, int):
        return trn("{n} epoch", "{n} epochs", value)
    weights = path == "balancer.options.weights" and isinstance(value, list)
    return option_text(field, ratio(value) if weights else short(value))  # type: ignore[arg-type]


def own_options(record: RunRecord) -> list[str]:
    """What the run says otherwise than its data set's preset, in a few words each."""
    return [said(path, value) for path, value in keys(record).changed.items()]


def apart(names: Sequence[str], records: Sequence[RunRecord]) -> list[list[str]]:
    """Per run the options that tell it from the runs of the same name, as far as they are not the preset's."""
    groups: dict[str, list[RunRecord]] = {}
    for name, record in zip(names, records, strict=True):
        groups.setdefault(name, []).append(record)
    found = []
    for name, record in zip(names, records, strict=True):
        own = keys(record).changed if len(groups[name]) > 1 else {}
        others = [keys(other).changed for other in groups[name]]
        found.append([said(k, v) for k, v in own.items() if any(other.get(k) != v for other in others)])
    return found


def option_text(name: str, value: str) -> str:
    """An option with its value: expert layers 64-32."""
    return tr("{option} {value}", option=in_words(name), value=value)


#: Of a list of names.
MOST_LETTERS = 60


def short(value: object) -> str:
    """An option's value as a reader writes it: 20:1, 64-32, on; columns of a file by their names."""
    if isinstance(value, list) and not all(isinstance(v, int | float) for v in value):
        names = tr(", ").join(str(v.get("name", "")) if isinstance(v, dict) else str(v) for v in value)
        return shortened(names, MOST_LETTERS)
    if isinstance(value, list):
        whole = all(isinstance(v, int) for v in value)
        return ("-" if whole else ":").join(f"{v:g}" for v in value) if value else tr("none")
    if isinstance(value, bool):
        return tr("on") if value else tr("off")
    if value is None:
        return tr("equal")
    return f"{value:g}" if isinstance(value, float) else _choice(value)


def _choice(value: object) -> str:
    """A choice by its own name, unless it has another one in this language."""
    said = core(words(value))
    return str(value) if said == words(value) else said


def _flat(spec: RunSpec, with_budget: bool = False) -> dict[str, object]:
    value = spec.to_json()
    result: dict[str, object] = {}

    def walk(prefix: str, item: object) -> None:
        if isinstance(item, dict):
            for key, inner in item.items():
                walk(f"{prefix}.{key}" if prefix else key, inner)
        else:
            result[prefix] = item

    parts = ("model", "balancer", "data", "training") if with_budget else ("model", "balancer")
    walk("", {part: value[part] for part in parts})
    for told_elsewhere in ("model.trunk.name", "data.name", NOWHERE):
        result.pop(told_elsewhere, None)
    if spec.data.name == OWN_FILE:  # its name, columns and tasks are no options of a model
        result = {k: v for k, v in result.items() if not k.startswith("data.")}
    return result


def differences(specs: Sequence[RunSpec], names: Sequence[str]) -> pd.DataFrame:
    """The fields in which these specs differ: one row per field, one named column per spec ("": no such field)."""
    flat = []
    for spec in specs:
        value = spec.to_json()
        own: dict[str, object] = {"model.trunk.name": title("trunk", spec.model.trunk.name), **_flat(spec)}
        own |= {f"data.{k}": v for k, v in {"name": value["data"]["name"], **value["data"]["options"]}.items()}
        own |= {f"training.{k}": v for k, v in value["training"].items()} | {"seed": value["seed"]}
        flat.append(own)
    rows = {}
    for name in dict.fromkeys(name for own in flat for name in own):
        values = [own.get(name, "") for own in flat]
        if any(v != values[0] for v in values):
            rows[option_name(name)] = ["" if v == "" else short(v) for v in values]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(names))


def all_options(spec: RunSpec) -> list[tuple[str, str]]:
    """Every option of a spec with its value, in the order in which data pass the parts.

    Columns and labels of a file of one's own are no options of a model; they stand in the spec.
    """
    value = spec.to_json()
    parts = [
        ("data.name", data_title(value)),
        *((f"data.{k}", v) for k, v in value["data"]["options"].items() if k not in _OF_A_FILE),
    ]
    for kind in ("encoder", "trunk", "head"):
        part = value["model"][kind]
        parts.append((f"{kind}.name", title(kind, part["name"])))
        parts += [(f"{kind}.{k}", v) for k, v in part["options"].items()]
    parts.append(("towers", value["model"]["towers"]))
    balancer = value["balancer"]
    parts += [("balancer.name", title("balancer", balancer["name"]))]
    parts += [(f"balancer.{k}", v) for k, v in balancer["options"].items()]
    parts += [(f"training.{k}", v) for k, v in value["training"].items()]
    return [(option_name(path), _listed(item)) for path, item in [*parts, ("seed", value["seed"])]]


#: Of a file of one's own: what it holds and where it lies.
_OF_A_FILE = ("path", "features", "tasks", "positive", "dates")


def _listed(value: object) -> str:
    """An option's value, whatever it holds."""
    if isinstance(value, dict):
        return tr(", ").join(option_text(name, _listed(inner)) for name, inner in value.items()) or tr("none")
    if isinstance(value, list) and not all(isinstance(v, int | float) for v in value):
        return tr(", ").join(map(str, value))
    return short(value)


#: Where an option belongs, as the table of differences says it.
_PLACES = {
    "data": mark("data"), "encoder": mark("encoder"), "trunk": mark("trunk"), "head": mark("head"),
    "balancer": mark("balancer"), "training": mark("training"), "seed": mark("seed"),
}  # fmt: skip


def option_name(path: str) -> str:
    """model.trunk.options.expert_layers -> trunk expert layers; an entry of a list by its place, counted from 1."""
    steps = path.replace(".options", "").replace("model.", "").split(".")
    if len(steps) > 1 and steps[-1].isdecimal():
        return tr("{option}, entry {n}", option=option_name(".".join(steps[:-1])), n=int(steps[-1]) + 1)
    if steps[-1] == "name":
        steps = steps[:-1]
    return " ".join(tr(_PLACES[step]) if step in _PLACES else in_words(step) for step in steps)
