"""What a sweep of the seesaw page asks for, how long it may take and how far it is. No Streamlit, no torch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app import analysis
from app.jobs.records import RunRecord, SweepRecord
from app.library import is_example
from mtl_core import comparison
from mtl_core.comparison import baseline_spec, preset_spec
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec
from mtl_core.sweep import WeightSearch, at_size

#: Most runs that one click may ask for.
MOST_RUNS = 600
#: Presets are matched to this share of each other; what is further off is resized.
NEAR = 0.1


@dataclass(frozen=True)
class Order:
    """What the controls of a sweep say."""

    #: Data, training and own parts of the models, as JSON: what all runs have in common.
    dataset: str
    data: str
    training: str
    trunks: tuple[str, ...]
    #: Loss weights of fixed-weight models, one tuple per variant.
    weights: tuple[tuple[float, ...], ...]
    #: Balancers beside fixed weights.
    balancers: tuple[str, ...]
    seeds: int
    #: Trials of a weight search per model; 0: no search.
    trials: int
    #: Every model as large as the yardstick; else each with the widths that its options begin with.
    equal_parameters: bool

    @property
    def fits(self) -> bool:
        """Is it few enough?"""
        return self.runs <= MOST_RUNS

    @property
    def runs(self) -> int:
        """Runs in all, yardsticks included."""
        variants = len(self.weights) * (self.trials == 0) + len(self.balancers) + self.trials
        return self.seeds * (len(self.trunks) * variants + 1)


@dataclass(frozen=True)
class Plan:
    """An order worked out: one spec per model and yardstick, each to be run with every seed."""

    order: Order
    #: The yardstick first: points appear as soon as a model is done.
    models: tuple[RunSpec, ...]
    #: What to search the weights of.
    searched: tuple[RunSpec, ...]

    @property
    def budget(self) -> str:
        """The key of the budget that all its runs belong to."""
        return comparison.budget_key(self.models[0])

    def specs(self) -> list[RunSpec]:
        """Every run but those of searches."""
        return [_with_seed(spec, seed) for spec in self.models for seed in range(self.order.seeds)]

    def searches(self) -> list[dict[str, Any]]:
        """The searches, as the store keeps them."""
        seeds = tuple(range(self.order.seeds))
        wanted = (WeightSearch(base=spec, trials=self.order.trials, seeds=seeds) for spec in self.searched)
        return [search.model_dump(mode="json") for search in wanted]


@lru_cache(maxsize=64)
def plan(order: Order) -> Plan:
    """Work an order out.

    Raises:
        SpecError: a combination that cannot be trained; the message names it.
    """
    data, training = json.loads(order.data), json.loads(order.training)
    yardstick: RunSpec | None = None
    models: list[RunSpec] = []
    searched: list[RunSpec] = []
    for trunk in order.trunks:
        spec = preset_spec(order.dataset, trunk, data=data, training=training, balancer={"name": "static"})
        yardstick = yardstick or baseline_spec(spec)
        value = spec.to_json()
        if not order.equal_parameters:
            value["model"]["trunk"] = {"name": trunk}
            spec = RunSpec.parse(value)
        elif not _near(spec, yardstick):
            spec = at_size(spec, parameter_count(yardstick).parameters)
        value = spec.to_json()
        if order.trials:
            searched.append(spec)
        else:
            fixed = ({"name": "static", "options": {"weights": list(weights)}} for weights in order.weights)
            models += [RunSpec.parse(value | {"balancer": balancer}) for balancer in fixed]
        models += [RunSpec.parse(value | {"balancer": {"name": name}}) for name in order.balancers]
    assert yardstick is not None
    return Plan(order, (yardstick, *models), tuple(searched))


def _near(spec: RunSpec, yardstick: RunSpec) -> bool:
    return abs(parameter_count(spec).parameters / parameter_count(yardstick).parameters - 1) <= NEAR


def _with_seed(spec: RunSpec, seed: int) -> RunSpec:
    return RunSpec.parse(spec.to_json() | {"seed": seed})


@dataclass(frozen=True)
class Outlook:
    """What a sweep would cost."""

    #: Runs to train; those that are there already do not count.
    runs: int
    #: Seconds at the pace of earlier runs of this machine; None where there are none.
    seconds: float | None


def outlook(wanted: Plan, records: Sequence[RunRecord]) -> Outlook:
    """Count what is not there yet, and estimate how long it takes."""
    there = {analysis.keys(record).run for record in records if record.state == "finished"}
    missing: list[tuple[RunSpec, int]] = []
    for spec in wanted.models:
        variant = comparison.variant_key(spec)
        known = sum(comparison.seed_key(variant, seed) in there for seed in range(wanted.order.seeds))
        missing.append((spec, wanted.order.seeds - known))
    missing += [(spec, wanted.order.seeds * wanted.order.trials) for spec in wanted.searched]
    runs = sum(count for _, count in missing)
    times = [(count, seconds_of(spec, records)) for spec, count in missing if count]
    known_times = [count * one for count, one in times if one is not None]
    return Outlook(runs, sum(known_times) if len(known_times) == len(times) and times else None)


def seconds_of(spec: RunSpec, records: Sequence[RunRecord]) -> float | None:
    """Seconds that one more run takes: its rows at the pace of finished runs on this machine.

    The pace of runs of the same trunk and data if there are some, else of any trunk on these data, else of any run.
    """
    rows = train_rows(spec, records)
    if rows is None:
        return None
    own = [record for record in records if record.state == "finished" and not is_example(record.id)]
    for alike in (
        [r for r in own if (r.dataset, r.trunk) == (spec.data.name, spec.model.trunk.name)],
        [r for r in own if r.dataset == spec.data.name],
        own,
    ):
        found = pace(alike)
        if found is not None:
            return rows * spec.training.epochs / found
    return None


def pace(records: Iterable[RunRecord]) -> float | None:
    """Rows per second of finished runs, evaluation included; of those trained together all rows count in that time."""
    rows = busy = 0.0
    until = 0.0
    timed = (r for r in records if r.started_at and r.finished_at and r.steps and not r.resumed_from)
    for record in sorted(timed, key=lambda r: r.started_at or 0.0):
        start, end = record.started_at or 0.0, record.finished_at or 0.0
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
        rows += _rows_of(record) * record.epoch
    return rows / busy if busy > 0 and rows > 0 else None


def train_rows(spec: RunSpec, records: Iterable[RunRecord]) -> int | None:
    """Training rows, as an earlier run on the same data counted them; of made worlds in proportion to their rows."""
    options = spec.to_json()["data"]["options"]
    near = None
    for record in records:
        if record.dataset != spec.data.name or not record.steps:
            continue
        theirs = record.spec["data"]["options"]
        if theirs == options:
            return _rows_of(record)
        if near is None and theirs.get("rows") and options.get("rows"):
            near = round(_rows_of(record) * options["rows"] / theirs["rows"])
    return near


def _rows_of(record: RunRecord) -> int:
    return record.steps * int(record.spec["training"]["batch_size"])


@dataclass(frozen=True)
class Progress:
    """How far the sweeps of one budget are, in runs."""

    sweeps: tuple[str, ...]
    total: int
    finished: int
    training: int
    fraction: float
    seconds_left: float | None


def progress(sweeps: Sequence[SweepRecord], records: Sequence[RunRecord], budget: str) -> Progress | None:
    """Of all sweeps of this budget that are not over; None if there are none.

    What was there before a sweep was asked for does not count.
    """
    by_id = {record.id: record for record in records}
    ours: dict[str, RunRecord] = {}
    ids: list[str] = []
    total = 0
    for sweep in sweeps:
        runs = [by_id[run_id] for run_id in sweep.runs if run_id in by_id]
        if not runs or analysis.keys(runs[0]).budget != budget:
            continue
        if not sweep.searching and not any(run.open for run in runs):
            continue
        ids.append(sweep.id)
        new = {run.id: run for run in runs if run.open or (run.finished_at or 0.0) > sweep.created_at}
        total += len(new.keys() - ours.keys())
        ours |= new
        total += sum(_to_come(search, runs) for search in sweep.searches) if sweep.searching else 0
    if not ids:
        return None
    done = sum(1.0 if not run.open else run.fraction for run in ours.values())
    fraction = min(1.0, done / max(total, 1))
    begun = [run.started_at for run in ours.values() if run.started_at]
    left = None
    if begun and fraction > 0.02:
        left = (time.time() - min(begun)) * (1 - fraction) / fraction
    return Progress(
        sweeps=tuple(ids),
        total=total,
        finished=sum(not run.open for run in ours.values()),
        training=sum(run.state in ("running", "stopping") for run in ours.values()),
        fraction=fraction,
        seconds_left=left,
    )


def _to_come(search: Mapping[str, Any], runs: Sequence[RunRecord]) -> int:
    """Runs that a search will still ask for."""
    base = search["base"]
    asked = sum(run.spec["model"] == base["model"] and run.spec["balancer"]["name"] == "static" for run in runs)
    return max(0, int(search["trials"]) * len(search["seeds"]) - int(asked))


def weight_pairs(tasks: Sequence[str], task_x: str, task_y: str, ratios: Sequence[float]) -> list[tuple[float, ...]]:
    """Loss weights for ratios of one task's weight to another's; they sum to 2, every other task weighs 1."""
    found = []
    for ratio in ratios:
        pair = {task_x: round(2 * ratio / (1 + ratio), 4), task_y: round(2 / (1 + ratio), 4)}
        found.append(tuple(pair.get(task, 1.0) for task in tasks))
    return found
