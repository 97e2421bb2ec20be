"""Honest comparison: paired intervals, yardsticks, and presets of equal size."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtl_core import registry
from mtl_core.columns import Columns
from mtl_core.comparison import (
    Interval,
    baseline_spec,
    budget_key,
    gain,
    is_baseline,
    paired_interval,
    preset_spec,
    run_key,
    variant_key,
)
from mtl_core.data.base import DataError, DatasetOptions
from mtl_core.data.load import load
from mtl_core.encoders import EncoderOptions
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec
from mtl_core.training import build_model

TRUNKS = registry.names("trunk")


def dataset(name: str) -> type[DatasetOptions]:
    return cast(type[DatasetOptions], registry.get("dataset", name))


#: Data sets that can be shown before anybody brings a file.
DATASETS = tuple(name for name in registry.names("dataset") if dataset(name).preset())


def changed(spec: RunSpec, **parts: Any) -> RunSpec:
    """A spec with other options in some parts; `training={"epochs": 3}` changes that field only."""
    value = spec.to_json()
    for name, fields in parts.items():
        value[name] = {**value[name], **fields} if isinstance(fields, dict) else fields
    return RunSpec.parse(value)


# Intervals


@given(st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=2, max_size=30))
def test_the_interval_is_that_of_a_paired_t_test(differences: list[float]) -> None:
    ours = paired_interval(differences)
    assert ours.n == len(differences)
    assert ours.mean == pytest.approx(np.mean(differences), abs=1e-9)
    assert ours.half_width is not None
    spread = np.std(differences, ddof=1)
    expected = stats.t.ppf(0.975, ours.n - 1) * spread / math.sqrt(ours.n)
    assert ours.half_width == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_verdict_agrees_with_scipys_paired_test() -> None:
    rng = np.random.default_rng(0)
    verdicts = set()
    for _ in range(300):
        n = int(rng.integers(2, 12))
        baseline = rng.normal(0.8, 0.01, n)
        model = baseline + rng.normal(rng.choice([-0.002, 0, 0.002]), 0.002, n)
        verdict = paired_interval((model - baseline).tolist()).verdict
        p = stats.ttest_rel(model, baseline).pvalue
        assert (verdict != "not distinguishable") == (p < 0.05)
        if p < 0.05:
            assert verdict == ("gains" if model.mean() > baseline.mean() else "loses")
        verdicts.add(verdict)
    assert len(verdicts) == 3


def test_an_interval_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, standard deviation 1, t(2) = 4.3027.
    answer = paired_interval([1, 2, 3])
    assert answer.mean == 2
    assert answer.half_width == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert answer.verdict == "not distinguishable"
    assert paired_interval([10, 11, 12]).verdict == "gains"
    assert paired_interval([-10, -11, -12]).verdict == "loses"


def test_one_seed_has_no_interval_and_none_is_an_error() -> None:
    assert paired_interval([5.0]) == Interval(5.0, None, 1)
    assert paired_interval([5.0]).verdict == "not distinguishable"
    with pytest.raises(ValueError, match="at least one"):
        paired_interval([])


@pytest.mark.parametrize(
    ("mean", "half_width", "verdict"),
    [
        (1.0, 0.999, "gains"),
        (1.0, 1.0, "not distinguishable"),
        (1.0, 1.001, "not distinguishable"),
        (-1.0, 0.999, "loses"),
        (-1.0, 1.0, "not distinguishable"),
        (0.0, 0.0, "not distinguishable"),
        (1e-9, 0.0, "gains"),
        (9.0, None, "not distinguishable"),
    ],
)
def test_an_interval_that_touches_zero_tells_nothing(mean: float, half_width: float | None, verdict: str) -> None:
    assert Interval(mean, half_width, 3).verdict == verdict


# Gains


def test_a_gain_is_higher_auc_or_lower_error() -> None:
    assert gain({"auc": 0.9}, {"auc": 0.8}, "binary") == pytest.approx(0.1)
    assert gain({"mse": 0.9}, {"mse": 0.8}, "regression") == pytest.approx(-0.125)
    assert gain({"mse": 0.5, "auc": None}, {"mse": 0.8}, "regression") == pytest.approx(0.375)
    # The unit of the label is no part of it: seconds or hours.
    assert gain({"mse": 0.5 * 3600**2}, {"mse": 0.8 * 3600**2}, "regression") == pytest.approx(0.375)
    assert gain({"mse": 0.5}, {"mse": 0.0}, "regression") is None
    assert gain({"auc": None}, {"auc": 0.8}, "binary") is None
    assert gain({"auc": 0.8}, {}, "binary") is None


# Keys


def test_keys_say_what_may_be_compared() -> None:
    spec = preset_spec("conflict", "mmoe")
    twin = changed(spec, seed=1)
    assert budget_key(twin) == budget_key(spec)
    assert variant_key(twin) == variant_key(spec)
    assert run_key(twin) != run_key(spec)
    elsewhere = changed(spec, training={"device": "cpu"})
    assert run_key(elsewhere) == run_key(spec)
    other = preset_spec("conflict", "ple")
    assert budget_key(other) == budget_key(spec)
    assert variant_key(other) != variant_key(spec)
    for part in (
        {"epochs": 3},
        {"batch_size": 64},
        {"learning_rate": 0.1},
        {"optimizer": "sgd"},
        {"selection": "last"},
    ):
        assert budget_key(changed(spec, training=part)) != budget_key(spec)
    assert budget_key(changed(spec, data={"options": {"rows": 500}})) != budget_key(spec)
    weighted = changed(spec, balancer={"options": {"weights": [2, 1]}})
    assert budget_key(weighted) == budget_key(spec)
    assert variant_key(weighted) != variant_key(spec)


def test_equal_weights_written_out_or_left_out_are_the_same_run() -> None:
    spec = preset_spec("conflict", "ple")
    for weights in (None, [1, 1], [1.0, 1]):
        assert run_key(changed(spec, balancer={"name": "static", "options": {"weights": weights}})) == run_key(spec)


# Yardsticks


# T18
@pytest.mark.parametrize("data", DATASETS)
@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_yardstick_is_its_own_yardstick_and_shares_the_budget(data: str, trunk: str) -> None:
    spec = preset_spec(data, trunk, seed=4)
    tasks = len(spec.schema.task_names)
    spec = changed(
        spec,
        training={"epochs": 3, "device": "cpu"},
        balancer={"options": {"weights": [2, *[1] * (tasks - 1)]}},
    )
    yardstick = baseline_spec(spec)
    assert baseline_spec(yardstick) == yardstick
    assert is_baseline(yardstick)
    assert not is_baseline(spec)
    assert yardstick.model.trunk.name == "single_task"
    assert (yardstick.data, yardstick.training, yardstick.seed) == (spec.data, spec.training, 4)
    assert budget_key(yardstick) == budget_key(spec)
    assert yardstick.balancer == preset_spec(data, trunk).balancer  # equal weights


def test_a_yardstick_does_not_follow_the_runs_width_but_its_encoder() -> None:
    wide = preset_spec("conflict", "mmoe").to_json()
    wide["model"]["trunk"]["options"] = {"experts": 20, "expert_layers": [99]}
    wide["model"]["towers"] = [50]
    assert baseline_spec(RunSpec.parse(wide)) == baseline_spec(preset_spec("conflict", "ple"))
    wide["model"]["encoder"] = {"options": {"dim": 3}}
    assert baseline_spec(RunSpec.parse(wide)).model.encoder.part.model_dump()["dim"] == 3


def test_a_single_task_run_of_another_width_is_no_yardstick() -> None:
    spec = preset_spec("conflict", "single_task").to_json()
    spec["model"]["trunk"]["options"] = {"layers": [99]}
    assert not is_baseline(RunSpec.parse(spec))


# Presets


#: Data whose embedding tables, one per task and a shared one, are larger than whole models: STEM is matched without.
LARGE_TABLES = ("funnel", "video_feed", "movielens_100k")


def tables(spec: RunSpec) -> int:
    """Parameters of the encoder."""
    columns = Columns.of(spec.schema, lambda feature: (feature.bins or len(feature.categories or ())) + 1)
    return cast(EncoderOptions, spec.model.encoder.part).parameters(columns, spec.streams)


# Of a person's own file nobody knows the columns beforehand.
@pytest.mark.parametrize("data", [name for name in DATASETS if name != "table"])
def test_the_trunks_of_a_preset_have_about_the_same_number_of_parameters(
    data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each within 5% of their mean: what differs is the architecture, not the size."""
    monkeypatch.setattr("pooch.retrieve", _no_network)
    specs = {trunk: preset_spec(data, trunk) for trunk in TRUNKS}
    counts = {trunk: parameter_count(spec).parameters for trunk, spec in specs.items()}
    try:
        encoded = load(specs["mmoe"].data, 0)
    except DataError:
        pass  # files that are not on this machine: what the page says before it has them is all there is
    else:
        built = {trunk: build_model(spec, encoded).parameter_count() for trunk, spec in specs.items()}
        assert {t: n for t, n in counts.items() if parameter_count(specs[t]).exact and n != built[t]} == {}
        counts = built
        if data == "table":  # matched without the embedding tables, whose sizes only a file shows
            counts = {
                t: n - sum(p.numel() for p in build_model(specs[t], encoded).encoder.parameters())
                for t, n in built.items()
            }
    if data in LARGE_TABLES:
        networks = {
            trunk: parameter_count(specs[trunk]).parameters - tables(specs[trunk]) for trunk in ("stem", "mmoe")
        }
        assert networks["stem"] == pytest.approx(networks["mmoe"], rel=0.05)
        del counts["stem"]
    mean = sum(counts.values()) / len(counts)
    assert {trunk: n for trunk, n in counts.items() if abs(n - mean) > 0.05 * mean} == {}, counts


def _no_network(*_args: Any, **_options: Any) -> str:
    raise OSError("tests do not download")


@pytest.mark.parametrize("data", DATASETS)
def test_a_preset_names_options_for_every_trunk(data: str) -> None:
    preset = dataset(data).preset()
    assert set(preset["trunks"]) == set(TRUNKS)
    spec = RunSpec.parse(preset["spec"])
    assert spec == preset_spec(data, spec.model.trunk.name)


def test_a_yardstick_has_one_weight_per_task_of_the_run() -> None:
    """The preset may have fewer tasks than the data of the run."""
    spec = RunSpec.parse({"data": {"name": "mmoe_synthetic", "options": {"tasks": 3}}})
    assert baseline_spec(spec).balancer.options["weights"] == [1.0, 1.0, 1.0]
    assert is_baseline(baseline_spec(spec))


def test_the_same_file_elsewhere_is_the_same_data() -> None:
    """A run of another machine pairs with one of here, where the hash says that both had the same rows."""

    def run(path: str, sha256: str, seed: int = 0) -> RunSpec:
        value = preset_spec("table", "mmoe", seed=seed).to_json()
        value["data"]["options"] |= {"path": path, "sha256": sha256}
        return RunSpec.parse(value)

    there, here, other = run("/there/a.csv", "a" * 64), run("/here/a.csv", "a" * 64), run("/here/a.csv", "b" * 64)
    assert there.key != here.key
    for key in (budget_key, variant_key, run_key):
        assert key(there) == key(here) != key(other)
        assert key(run("/there/a.csv", "")) != key(run("/here/a.csv", ""))
    assert run_key(baseline_spec(there)) == run_key(baseline_spec(here))
