"""Many runs at once: a grid of specs, a search for loss weights, and the Pareto front of what comes out.

    expand({"base": SPEC, "vary": {"model.trunk": [...], "seed": [0, 1, 2]}})
    WeightSearch(base=spec, trials=24).propose(())

Importing this module imports neither torch nor optuna.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mtl_core.atomic import write_atomically
from mtl_core.events import Event, Failed, Finished, Started
from mtl_core.schema import PRIMARY
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec, SpecError

#: What a finished run leaves beside its weights, so that a sweep begun again need not train it again.
FINISHED, SPEC = "finished.json", "spec.json"
#: The widest layer that an option takes.
MOST_UNITS = 4096
#: Bases of the Halton sequence, one per weight to choose: as many as a sweep can search with a handful of trials.
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)


def expand(sweep: object) -> list[RunSpec]:
    """The specs of a sweep `{"base": SPEC, "vary": {"dotted.path": [values]}}`: all combinations, last path fastest.

    Raises:
        SpecError: not a sweep, or one of its specs is wrong.
    """
    if (
        not isinstance(sweep, dict)
        or set(sweep) - {"base", "vary"}
        or not all(isinstance(part, dict) for part in sweep.values())
    ):
        raise SpecError('A sweep is {"base": SPEC, "vary": {"dotted.path": [values, ...]}}.')
    base, vary = sweep.get("base", {}), sweep.get("vary", {})
    for path, values in vary.items():
        if not isinstance(values, list) or not values:
            raise SpecError(f"vary.{path}: give a list with at least one value.")
    specs = []
    for values in itertools.product(*vary.values()):
        # Copies: a later path may reach into what an earlier one put there.
        value = _copy(base)
        for path, item in zip(vary, values, strict=True):
            _put(value, path.split("."), _copy(item))
        specs.append(RunSpec.parse(value))
    return specs


def searches(sweep: object) -> list[WeightSearch]:
    """The searches of `{"base": SPEC, "vary": {...}, "search": {"trials": 24, ...}}`: one per combination of `vary`.

    Raises:
        SpecError: not a search, or one of its specs is wrong.
    """
    if not isinstance(sweep, dict) or not isinstance(sweep.get("search"), dict):
        raise SpecError('A search is {"base": SPEC, "search": {"trials": 24, "seeds": [0, 1, 2]}}.')
    bases = expand({name: part for name, part in sweep.items() if name != "search"})
    return [WeightSearch.parse({**sweep["search"], "base": base}) for base in bases]


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Places of the points that no other one beats: as good in every coordinate and better in one. Larger is better.

    Returns:
        The places, from the smallest first coordinate to the largest.
    """

    def beats(a: Sequence[float], b: Sequence[float]) -> bool:
        return all(x >= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)

    best = [i for i, point in enumerate(points) if not any(beats(other, point) for other in points)]
    return sorted(best, key=lambda i: tuple(points[i]))


def at_size(spec: RunSpec, parameters: int) -> RunSpec:
    """The same model with its trunk's layers widened or narrowed until its parameters are as near as can be.

    Encoder and towers stay. A trunk that has no layer widths among its options stays as it is.
    """
    trunk = spec.model.trunk
    widths = {
        name: value
        for name, value in trunk.options.items()
        if name.endswith("layers") and isinstance(value, list) and value
    }
    if not widths:
        return spec

    def scaled(factor: float) -> RunSpec:
        options = {name: [_width(factor * cast(int, w)) for w in value] for name, value in widths.items()}
        value = spec.to_json()
        value["model"]["trunk"]["options"] |= options
        return RunSpec.parse(value)

    low, high = 1 / 64, 64.0
    tried = [scaled(low), scaled(high), spec]
    for _ in range(16):
        middle = math.sqrt(low * high)
        tried.append(scaled(middle))
        low, high = (middle, high) if parameter_count(tried[-1]).parameters < parameters else (low, middle)
    return min(tried, key=lambda s: abs(parameter_count(s).parameters - parameters))


@dataclass(frozen=True)
class Trial:
    """Loss weights that were tried."""

    weights: tuple[float, ...]
    #: One per task, larger is better, mean over the seeds; None where a run failed or has no score.
    scores: tuple[float, ...] | None


class WeightSearch(BaseModel):
    """A search for the loss weights of one model that are on its Pareto front, in batches that train together.

    Weights are positive and sum to the number of tasks. The first batch covers the range evenly, equal weights first;
    later ones are drawn by a multi-objective tree-structured Parzen estimator (Ozaki et al., GECCO 2020). Trials are
    judged on validation rows: test rows judge what was chosen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    base: RunSpec
    trials: int = Field(24, ge=1, le=500)
    #: Trials of one batch, which know nothing of each other.
    at_once: int = Field(8, ge=1, le=64)
    #: Largest ratio between the weight of the first task and that of another, either way.
    ratio: float = Field(20.0, gt=1, le=1000)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field((0,), min_length=1, max_length=64)

    @field_validator("base")
    @classmethod
    def _weighted(cls, base: RunSpec) -> RunSpec:
        tasks = len(base.schema.task_names)
        if base.balancer.name != "static":
            raise ValueError(f"weights are searched for the static balancer, not for {base.balancer.name}.")
        if not 2 <= tasks <= len(_PRIMES) + 1:
            raise ValueError(f"weights are searched for 2 to {len(_PRIMES) + 1} tasks; there {_are(tasks)}.")
        return base

    @classmethod
    def parse(cls, value: object) -> WeightSearch:
        """A search from JSON-like data, or a clear one-line `SpecError`."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            item = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in item["loc"])
            raise SpecError(f"search.{where}: {str(item['msg']).removeprefix('Value error, ')}.") from error

    def specs(self, weights: Sequence[float]) -> list[RunSpec]:
        """The runs of a trial: one per seed."""
        value = self.base.to_json() | {"balancer": {"name": "static", "options": {"weights": list(weights)}}}
        return [RunSpec.parse(value | {"seed": seed}) for seed in self.seeds]

    def propose(self, told: Sequence[Trial]) -> list[tuple[float, ...]]:
        """The next batch, given every earlier trial; empty when the search is over.

        The same trials give the same answer, in any process.
        """
        count = min(self.at_once, self.trials - len(told))
        seen = {trial.weights for trial in told}
        batch: list[tuple[float, ...]] = []
        drawn = iter(()) if len(told) < self.at_once else self._drawn(told, count)
        # What was drawn before, or cannot be told from it, makes room for the next point of the even cover.
        for weights in itertools.chain(drawn, map(self._weights, self._even())):
            if len(batch) >= count:
                break
            if weights not in seen:
                seen.add(weights)
                batch.append(weights)
        return batch

    def trial(self, weights: Sequence[float], metrics: Sequence[dict[str, dict[str, float | None]] | None]) -> Trial:
        """Sum up the runs of a trial.

        Args:
            weights: its weights.
            metrics: validation metrics by task of each seed's run; None for one that failed.
        """
        scores = []
        for task in self.base.schema.tasks:
            name, sign = PRIMARY[task.kind]
            values = [None if of_run is None else of_run[task.name][name] for of_run in metrics]
            known = [sign * value for value in values if value is not None]
            if not known or len(known) < len(values):
                return Trial(tuple(weights), None)
            scores.append(math.fsum(known) / len(known))
        return Trial(tuple(weights), tuple(scores))

    def _even(self) -> Iterator[list[float]]:
        """Logarithms of the ratios to the first task's weight, evenly over the range (Halton), equal weights first."""
        reach, others = math.log2(self.ratio), len(self.base.schema.task_names) - 1
        yield [0.0] * others
        for i in itertools.count(1):
            yield [reach * (2 * _van_der_corput(i, prime) - 1) for prime in _PRIMES[:others]]

    def _drawn(self, told: Sequence[Trial], count: int) -> Iterator[tuple[float, ...]]:
        import optuna
        from optuna.distributions import FloatDistribution
        from optuna.trial import TrialState, create_trial

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        reach, tasks = math.log2(self.ratio), len(self.base.schema.task_names)
        space = {f"ratio_{k}": FloatDistribution(-reach, reach) for k in range(1, tasks)}
        # Each batch draws anew, and again the same when it is asked for again.
        sampler = optuna.samplers.TPESampler(n_startup_trials=0, multivariate=True, constant_liar=True, seed=len(told))
        study = optuna.create_study(directions=["maximize"] * tasks, sampler=sampler)
        for trial in told:
            logs = [math.log2(w / trial.weights[0]) for w in trial.weights[1:]]
            params = {name: min(reach, max(-reach, log)) for name, log in zip(space, logs, strict=True)}
            state = TrialState.FAIL if trial.scores is None else TrialState.COMPLETE
            study.add_trial(
                create_trial(params=params, distributions=cast(Any, space), values=trial.scores, state=state)
            )
        for _ in range(count):
            params = study.ask(cast(Any, space)).params
            yield self._weights([params[name] for name in space])

    def _weights(self, logs: Sequence[float]) -> tuple[float, ...]:
        shares = [1.0, *(2.0**log for log in logs)]
        # Few digits: people read them, and a spec is found again by them.
        return tuple(float(f"{len(shares) * share / sum(shares):.4g}") for share in shares)


def train_kept(specs: Sequence[RunSpec], out: Path | None) -> Iterator[Event]:
    """`train`, except that a run which finished there in an earlier call is told again and not trained again.

    Args:
        specs: the runs; equal ones are one, and bear the number of the first.
        out: each run keeps its files in a folder of its own in here, named by its spec's key. None: nowhere.
    """
    from mtl_core.training import train

    first: dict[str, int] = {}
    for place, spec in enumerate(specs):
        first.setdefault(spec.key, place)
    folders = {place: out / key for key, place in first.items()} if out is not None else {}
    waiting = []
    for place in first.values():
        known = _finished(folders[place]) if out is not None else None
        if known is None:
            waiting.append(place)
        else:
            yield known.model_copy(update={"run": place})
    kept = [folders[place] for place in waiting] if out is not None else None
    for event in train([specs[place] for place in waiting], folders=kept):
        place = waiting[event.run]
        if out is not None and isinstance(event, Started):
            _write(folders[place] / SPEC, specs[place].to_json())
        if out is not None and isinstance(event, Finished):
            _write(folders[place] / FINISHED, event.to_json())
        yield event.model_copy(update={"run": place})


def search_kept(search: WeightSearch, out: Path | None) -> Iterator[Event | Trial]:
    """Train the batches of a search, each as one population: the runs' events, and each trial when it is over.

    Runs are numbered in the order in which they are proposed. With `out` the search goes on where it was left.
    """
    told: list[Trial] = []
    count = 0
    while batch := search.propose(told):
        specs = [spec for weights in batch for spec in search.specs(weights)]
        results: dict[int, dict[str, dict[str, float | None]] | None] = {}
        for event in train_kept(specs, out):
            if isinstance(event, Finished | Failed):
                results[event.run] = event.metrics["valid"] if isinstance(event, Finished) else None
            yield event.model_copy(update={"run": count + event.run})
        for i, weights in enumerate(batch):
            of_trial = range(i * len(search.seeds), (i + 1) * len(search.seeds))
            told.append(search.trial(weights, [results.get(run) for run in of_trial]))
            yield told[-1]
        count += len(specs)


def _finished(folder: Path) -> Finished | None:
    try:
        return Finished.model_validate_json((folder / FINISHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or half a file: it is trained
        return None


def _write(path: Path, value: object) -> None:
    write_atomically(path, lambda part: part.write_text(json.dumps(value, indent=1), encoding="utf-8"))


def _van_der_corput(i: int, base: int) -> float:
    """i with its digits mirrored at the point: 1, 2, 3, 4 in base 2 are 1/2, 1/4, 3/4, 1/8."""
    value, digit = 0.0, 1.0
    while i:
        digit /= base
        i, rest = divmod(i, base)
        value += digit * rest
    return value


def _width(wanted: float) -> int:
    return min(max(1, round(wanted)), MOST_UNITS)


def _are(count: int) -> str:
    return "is one" if count == 1 else f"are {count}"


def _copy(value: object) -> Any:
    return json.loads(json.dumps(value))


def _put(target: Any, path: list[str], value: object) -> None:
    for depth, key in enumerate(path[:-1]):
        target = target.setdefault(key, {}) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise SpecError(f"vary.{'.'.join(path)}: {'.'.join(path[: depth + 1])} of the base is not an object.")
    target[path[-1]] = value
