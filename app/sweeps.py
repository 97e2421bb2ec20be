"""What a sweep of the seesaw page asks for, how long it may take and how far it is. No Streamlit, no torch."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
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
#: So many runs of one structure train together, which is much faster than one by one.
TOGETHER = 4
#: The newest runs, so many of a kind, say how fast this machine is.
NEWEST = 64
#: Before so much of what has begun is done, nobody knows a sweep's pace.
RATE_FROM = 0.05
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
    return spec.with_seed(seed)


@dataclass(frozen=True)
class Outlook:
    """What a sweep would cost."""

    #: What is to be trained apart from searches: the missing specs, then those that are queued or under way already.
    missing: tuple[RunSpec, ...]
    coming: tuple[RunSpec, ...]
    #: Searches that are not going on yet and still have runs to ask for, as the store keeps them.
    searches: tuple[dict[str, Any], ...]
    #: Runs to train; those that are there or under way already do not count.
    runs: int
    #: Runs that are queued or training, with all that a search under way will still ask for.
    under_way: int
    #: Seconds at the pace of earlier runs of this machine; None where there are none.
    seconds: float | None
    #: They trained one by one, which takes far longer: it is a bound.
    at_most: bool = False


def outlook(wanted: Plan, records: Sequence[RunRecord], sweeps: Sequence[SweepRecord] = ()) -> Outlook:
    """Count what is neither there nor under way, and estimate how long it takes."""
    states = _states(records)
    missing: list[RunSpec] = []
    coming: list[RunSpec] = []
    costs: list[tuple[RunSpec, int]] = []
    for spec in wanted.models:
        variant, before = comparison.variant_key(spec), len(missing)
        for seed in range(wanted.order.seeds):
            state = states.get(comparison.seed_key(variant, seed))
            if state != "finished":
                (coming if state else missing).append(_with_seed(spec, seed))
        costs.append((spec, len(missing) - before))
    searches = []
    under_way = len(coming)
    for spec, search in zip(wanted.searched, wanted.searches(), strict=True):
        runs = _runs_of(search, sweeps, records)
        left = _size(search) - len({run.id for run in runs if run.state == "finished"})
        if any(sweep.searching and search in sweep.searches for sweep in sweeps):
            under_way += left
        elif left > 0:
            going = len({run.id for run in runs if run.state in ("queued", "running")})
            under_way += going
            costs.append((spec, left - going))
            searches.append(search)
    costs = [(spec, count) for spec, count in costs if count]
    times = [_time(spec, count, records) for spec, count in costs]
    known = [time for time in times if time is not None]
    return Outlook(
        missing=tuple(missing),
        coming=tuple(coming),
        searches=tuple(searches),
        runs=sum(count for _, count in costs),
        under_way=under_way,
        seconds=sum(seconds for seconds, _ in known) if known and len(known) == len(times) else None,
        at_most=any(bound for _, bound in known),
    )


def _states(records: Iterable[RunRecord]) -> dict[str, str]:
    """What is finished, else queued or under way, by the key of the run."""
    states: dict[str, str] = {}
    for record in records:
        if record.state == "finished":
            states[analysis.keys(record).run] = "finished"
        elif record.state in ("queued", "running"):
            states.setdefault(analysis.keys(record).run, "open")
    return states


def _size(search: Mapping[str, Any]) -> int:
    return int(search["trials"]) * len(search["seeds"])


def _runs_of(search: Mapping[str, Any], sweeps: Iterable[SweepRecord], records: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs of a search: those that it has asked for, now or earlier, and those that it will begin with.

    Later batches follow from the results of earlier ones; a search that is begun again asks for the same runs.
    """
    own = [record for record in records if not is_example(record.id)]  # a search looks at runs of the store alone
    asked = {run_id for sweep in sweeps if search in sweep.searches for run_id in sweep.runs}
    first = _first_batch(json.dumps(search, sort_keys=True))
    return [
        run for run in own
        if run.spec["model"] == search["base"]["model"] and run.spec["balancer"]["name"] == "static"
        and run.seed in search["seeds"] and (run.id in asked or analysis.keys(run).run in first)
    ]  # fmt: skip


@lru_cache(maxsize=64)
def _first_batch(search: str) -> frozenset[str]:
    """Keys of the runs with which a search begins."""
    wanted = WeightSearch.parse(json.loads(search))
    return frozenset(comparison.run_key(spec) for weights in wanted.propose(()) for spec in wanted.specs(weights))


def _time(spec: RunSpec, count: int, records: Sequence[RunRecord]) -> tuple[float, bool] | None:
    """Seconds that so many runs of a structure take, and whether that is a bound only."""
    one = seconds_of(spec, records, together=True) if count >= TOGETHER else None
    if one is not None:
        return count * one, False
    one = seconds_of(spec, records)
    return None if one is None else (count * one, count >= TOGETHER)


def seconds_of(spec: RunSpec, records: Sequence[RunRecord], *, together: bool = False) -> float | None:
    """Seconds that one more run takes: its rows at the pace of finished runs on this machine.

    The pace of runs of the same trunk and data if there are some, else of any trunk on these data, else of any run.

    Args:
        spec: the run.
        records: all runs, newest first.
        together: at the pace of runs that trained with others as a population, of which each takes its share.
    """
    rows = train_rows(spec, records)
    if rows is None:
        return None
    own = [record for record in records if record.state == "finished" and not is_example(record.id)]
    if together:
        company = in_company(own)
        own = [record for record in own if company.get(record.id, 1) >= TOGETHER]
    for alike in (
        [r for r in own if (r.dataset, r.trunk) == (spec.data.name, spec.model.trunk.name)],
        [r for r in own if r.dataset == spec.data.name],
        own,
    ):
        found = pace(alike[:NEWEST])
        if found is not None:
            return rows * spec.training.epochs / found
    return None


def in_company(records: Iterable[RunRecord]) -> dict[str, int]:
    """How many of these runs, itself included, were training in the middle of each one's time."""
    spans = {r.id: (r.started_at, r.finished_at or r.updated_at or 0.0) for r in records if r.started_at}
    starts, ends = sorted(start for start, _ in spans.values()), sorted(end for _, end in spans.values())
    middles = {run_id: (start + end) / 2 for run_id, (start, end) in spans.items()}
    return {run_id: bisect_right(starts, middle) - bisect_left(ends, middle) for run_id, middle in middles.items()}


def pace(records: Iterable[RunRecord]) -> float | None:
    """Rows per second of finished runs, evaluation included; of those trained together all rows count in that time."""
    timed = [r for r in records if r.started_at and r.finished_at and r.steps and not r.resumed_from]
    rows = sum(_rows_of(record) * record.epoch for record in timed)
    busy = _busy((r.started_at or 0.0, r.finished_at or 0.0) for r in timed)
    return rows / busy if busy > 0 and rows > 0 else None


def _busy(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds in which at least one of the spans lies."""
    busy = until = 0.0
    for start, end in sorted(spans):
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy


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

    What was there before a sweep was asked for does not count, as it does not when a sweep is offered.
    """
    by_id = {record.id: record for record in records}
    ours: dict[str, RunRecord] = {}
    ids: list[str] = []
    searches: dict[str, tuple[dict[str, Any], float]] = {}
    for sweep in sweeps:
        runs = [by_id[run_id] for run_id in sweep.runs if run_id in by_id]
        if not _belongs(sweep, runs, budget) or not (sweep.searching or any(run.open for run in runs)):
            continue
        ids.append(sweep.id)
        ours |= {run.id: run for run in runs if run.open or (run.finished_at or 0.0) > sweep.created_at}
        for search in sweep.searches if sweep.searching else ():
            name = json.dumps(search, sort_keys=True)  # two sessions may have asked for one search at once
            began = min(sweep.created_at, searches[name][1]) if name in searches else sweep.created_at
            searches[name] = search, began
    if not ids:
        return None
    to_come = 0
    for search, began in searches.values():
        asked = _runs_of(search, sweeps, records)
        before = {run.id for run in asked if run.state == "finished" and (run.finished_at or 0.0) <= began}
        to_come += max(0, _size(search) - len(before | {run.id for run in asked if run.id in ours}))
    total = len(ours) + to_come
    done = sum(1.0 if not run.open else run.fraction for run in ours.values())
    rate = _rate(list(ours.values()))
    return Progress(
        sweeps=tuple(ids),
        total=total,
        finished=sum(not run.open for run in ours.values()),
        training=sum(run.state in ("running", "stopping") for run in ours.values()),
        fraction=min(1.0, done / max(total, 1)),
        seconds_left=(total - done) / rate if rate else None,
    )


def _belongs(sweep: SweepRecord, runs: Sequence[RunRecord], budget: str) -> bool:
    """Is it of this budget? A search that has nothing yet says so itself."""
    if runs:
        return analysis.keys(runs[0]).budget == budget
    return any(comparison.budget_key(RunSpec.parse(search["base"])) == budget for search in sweep.searches)


def _rate(runs: Sequence[RunRecord]) -> float | None:
    """Runs per second of a sweep so far: of those that trained together if there are some, else of all that began.

    A sweep begins with a few yardsticks, which take as long as sixteen would.
    """
    begun = [run for run in runs if run.started_at and run.state != "queued"]
    company = in_company(begun)
    many = [run for run in begun if company[run.id] >= TOGETHER]
    told = many or begun
    done = sum(run.fraction - run.resumed_from / run.epochs for run in told)
    busy = _busy((run.started_at or 0.0, run.finished_at or run.updated_at or 0.0) for run in told)
    return done / busy if done > RATE_FROM * len(told) and busy > 0 else None


def weight_pairs(tasks: Sequence[str], task_x: str, task_y: str, ratios: Sequence[float]) -> list[tuple[float, ...]]:
    """Loss weights for ratios of one task's weight to another's; they sum to 2, every other task weighs 1."""
    found = []
    for ratio in ratios:
        pair = {task_x: round(2 * ratio / (1 + ratio), 4), task_y: round(2 / (1 + ratio), 4)}
        found.append(tuple(pair.get(task, 1.0) for task in tasks))
    return found
