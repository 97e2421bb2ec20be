"""Sweeps: the Pareto front, models of equal size, and the search for loss weights, also one that is interrupted."""

from __future__ import annotations

import itertools
import json
import math
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mtl_core.comparison import baseline_spec, preset_spec
from mtl_core.events import Event, Finished, Started
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec, SpecError
from mtl_core.sweep import FINISHED, SPEC, Trial, WeightSearch, at_size, front, search_kept, searches, train_kept
from tests.unit.test_core_cli import SMALL

BASE = RunSpec.parse({**SMALL, "training": {**SMALL["training"], "epochs": 1}})


def tasks(count: int) -> RunSpec:
    """A spec of a world with so many tasks."""
    return RunSpec.parse({"data": {"name": "mmoe_synthetic", "options": {"tasks": count}}})


# The front


def test_the_front_of_a_hand_drawn_cloud() -> None:
    points = [(0, 3), (1, 1), (2, 2), (3, 0), (2, 1), (0, 0), (2, 2)]
    assert front(points) == [0, 2, 6, 3]  # (2, 2) twice: neither beats the other
    assert front([]) == []
    assert front([(1.0, math.nan)]) == [0]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_what_is_on_the_front_is_beaten_by_nothing_and_beats_all_the_rest(dimensions: int) -> None:
    draw = random.Random(dimensions)
    points = [tuple(draw.randint(0, 6) for _ in range(dimensions)) for _ in range(60)]
    best = front(points)

    def beats(a: Sequence[int], b: Sequence[int]) -> bool:
        return all(x >= y for x, y in zip(a, b, strict=True)) and any(x > y for x, y in zip(a, b, strict=True))

    assert not [1 for i, j in itertools.product(best, range(60)) if beats(points[j], points[i])]
    rest = set(range(60)) - set(best)
    assert all(any(beats(points[i], points[j]) for i in best) for j in rest)
    assert [points[i] for i in best] == sorted(points[i] for i in best)


# Equal sizes


@pytest.mark.parametrize("trunk", ["shared_bottom", "omoe", "mmoe", "cgc", "ple"])
def test_every_trunk_can_be_brought_to_the_yardsticks_size(trunk: str) -> None:
    """Also from options that are far from it; the towers and the rest of the spec stay."""
    wide = RunSpec.parse({"data": {"name": "conflict"}, "model": {"trunk": {"name": trunk}}, "seed": 3})
    wanted = parameter_count(baseline_spec(wide)).parameters
    found = at_size(wide, wanted)
    assert abs(parameter_count(found).parameters / wanted - 1) < 0.1
    assert found.model.towers == wide.model.towers
    assert (found.data, found.seed, found.model.trunk.name) == (wide.data, wide.seed, trunk)
    assert at_size(found, parameter_count(found).parameters) == found


# The search


def test_the_first_batch_covers_the_range_and_begins_with_equal_weights() -> None:
    search = WeightSearch(base=BASE, trials=20, at_once=8, ratio=16)
    batch = search.propose([])
    assert batch[0] == (1.0, 1.0)
    assert len(set(batch)) == 8
    assert all(sum(weights) == pytest.approx(2, abs=1e-3) for weights in batch)
    ratios = sorted(math.log2(b / a) for a, b in batch)
    # 1/2, 1/4, 3/4, 1/8 ... of the way from 1/16 to 16; the eighth is 1/16 of the way.
    assert ratios == pytest.approx([-3.5, -3, -2, -1, 0, 1, 2, 3], abs=0.01)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_search_ends_after_its_trials_and_never_repeats_itself(count: int) -> None:
    """Whatever comes back, failures among it."""
    search = WeightSearch(base=tasks(count), trials=21, at_once=6)
    told: list[Trial] = []
    while batch := search.propose(told):
        assert search.propose(list(told)) == batch  # the same question has the same answer
        told += [
            Trial(weights, None if i % 5 == 4 else tuple(-((w - 1) ** 2) for w in weights))
            for i, weights in enumerate(batch, start=len(told))
        ]
    assert len(told) == len({trial.weights for trial in told}) == 21
    assert all(1 / 20.01 <= w / trial.weights[0] <= 20.01 for trial in told for w in trial.weights)


def test_the_search_goes_where_the_front_is() -> None:
    """Both tasks are best at one known ratio: later batches are nearer to it than an even cover would be."""
    best = 2.5
    search = WeightSearch(base=BASE, trials=48, at_once=8)
    told: list[Trial] = []
    while batch := search.propose(told):
        for weights in batch:
            miss = abs(math.log2(weights[1] / weights[0]) - best)
            told.append(Trial(weights, (-miss, -(miss**2))))
    late = sorted(-(trial.scores or (0,))[0] for trial in told[-16:])
    even = sorted(-(trial.scores or (0,))[0] for trial in told[:8])
    assert late[8] < even[4] / 3


def test_a_trial_is_the_mean_over_seeds_and_larger_is_better() -> None:
    spec = RunSpec.parse({"data": {"name": "video_feed"}})
    names = spec.schema.task_names
    search = WeightSearch(base=spec, seeds=(0, 1))

    def metrics(shift: float) -> dict[str, dict[str, float | None]]:
        return {task.name: {"auc": 0.5 + shift} if task.kind == "binary" else {"mse": 2 + shift} for task in
                spec.schema.tasks}  # fmt: skip

    trial = search.trial([1.0] * len(names), [metrics(0.1), metrics(0.3)])
    assert trial.scores == pytest.approx([0.7 if t.kind == "binary" else -2.2 for t in spec.schema.tasks])
    assert {t.kind for t in spec.schema.tasks} == {"binary", "regression"}
    assert search.trial([1.0] * len(names), [metrics(0.1), None]).scores is None
    undefined = metrics(0.1) | {names[0]: {"auc": None}}
    assert search.trial([1.0] * len(names), [metrics(0.1), undefined]).scores is None


def test_a_trial_has_one_run_per_seed() -> None:
    specs = WeightSearch(base=BASE, seeds=(3, 5)).specs((0.5, 1.5))
    assert [(spec.seed, spec.balancer.options["weights"]) for spec in specs] == [(3, [0.5, 1.5]), (5, [0.5, 1.5])]
    assert [spec.model for spec in specs] == [BASE.model] * 2


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"base": {}, "search": {"trials": 0}}, "trials"),
        ({"base": {}, "search": {"trails": 3}}, "trails"),
        ({"base": {}, "search": {"seeds": []}}, "seeds"),
        ({"base": {}, "search": 3}, "search"),
        ({"base": {"balancer": {"name": "dwa"}}, "search": {}}, "static balancer, not for dwa"),
        ({"base": {"seed": -1}, "search": {}}, "seed"),
    ],
)
def test_a_bad_search_is_refused_in_one_line(value: object, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        searches(value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_search_comes_back_from_json() -> None:
    (search,) = searches({"base": SMALL, "search": {"trials": 5, "seeds": [1]}})
    assert WeightSearch.parse(search.model_dump(mode="json")) == search
    assert len(searches({"base": SMALL, "vary": {"model.towers": [[], [4]]}, "search": {}})) == 2


def test_only_a_search_loads_optuna_and_nothing_loads_torch() -> None:
    code = (
        "import sys; from mtl_core.sweep import Trial, WeightSearch; from mtl_core.spec import RunSpec\n"
        "search = WeightSearch(base=RunSpec(), at_once=2); batch = search.propose([])\n"
        "assert 'optuna' not in sys.modules\n"
        "search.propose([Trial(weights, (0.5, 0.5)) for weights in batch])\n"
        "assert 'optuna' in sys.modules and 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Going on


def finished(events: Sequence[Event | Trial]) -> dict[int, Finished]:
    return {e.run: e for e in events if isinstance(e, Finished)}


def test_a_sweep_begun_again_trains_only_what_is_missing(tmp_path: Path) -> None:
    specs = [preset_spec("conflict", "mmoe", seed=seed, data=SMALL["data"], training=SMALL["training"]) for seed in
             (0, 1, 0, 2)]  # fmt: skip
    whole = list(train_kept(specs, tmp_path / "whole"))
    assert sorted(finished(whole)) == [0, 1, 3]  # the third is the first
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {spec.key for spec in specs}
    # Broken off in the middle of the second epoch, then again where one run was over.
    begun = train_kept(specs[:2], tmp_path / "parts")
    for event in begun:
        if event.event == "checkpoint":
            break
    begun.close()  # type: ignore[attr-defined]
    assert not list((tmp_path / "parts").rglob(FINISHED))
    list(train_kept(specs[1:2], tmp_path / "parts"))
    again = list(train_kept(specs, tmp_path / "parts"))
    assert {e.run: e.resumed_from for e in again if isinstance(e, Started)} == {0: 1, 3: 0}
    for run, event in finished(whole).items():
        told, expected = finished(again)[run].metrics["test"], event.metrics["test"]
        for task, values in expected.items():
            # Runs of another population: equal up to the rounding of its larger products.
            assert told[task]["log_loss"] == pytest.approx(values["log_loss"], rel=1e-3)
    assert [e.event for e in train_kept(specs, tmp_path / "parts")] == ["finished"] * 3


def test_a_search_goes_on_where_it_was_left(tmp_path: Path) -> None:
    search = WeightSearch(base=BASE, trials=5, at_once=2, seeds=(0, 1))
    begun: list[Event | Trial] = []
    for item in (process := search_kept(search, tmp_path)):
        begun.append(item)
        if isinstance(item, Trial) and len([b for b in begun if isinstance(b, Trial)]) == 3:
            break
    process.close()  # type: ignore[attr-defined]
    again = list(search_kept(search, tmp_path))
    assert [t for t in again if isinstance(t, Trial)][:3] == [t for t in begun if isinstance(t, Trial)]
    assert len([t for t in again if isinstance(t, Trial)]) == 5
    trained = {e.run for e in begun + again if isinstance(e, Started)}
    assert trained == set(range(10))
    assert not {e.run for e in again if isinstance(e, Started)} & {e.run for e in begun if isinstance(e, Finished)}


def test_half_a_result_is_no_result(tmp_path: Path) -> None:
    (event,) = [e for e in train_kept([BASE], tmp_path) if isinstance(e, Finished)]
    (tmp_path / BASE.key / FINISHED).write_text(event.model_dump_json()[:-40])
    assert [e.event for e in train_kept([BASE], tmp_path) if e.event in ("started", "finished")] == [
        "started",
        "finished",
    ]
    assert RunSpec.parse(json.loads((tmp_path / BASE.key / SPEC).read_text())) == BASE
