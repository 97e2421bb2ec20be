"""From runs to pictures: who is paired with whom, what is missing, what models are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from app import analysis
from app.charts.curves import TEST, VALIDATION, YARDSTICK
from app.jobs.records import RunRecord
from app.library import History, examples
from mtl_core import registry
from mtl_core.comparison import baseline_spec, paired_interval, preset_spec, run_key
from mtl_core.data.base import DatasetOptions
from mtl_core.schema import Feature, Schema, Task
from mtl_core.spec import RunSpec

COUNT = iter(range(10**6))


def record(spec: RunSpec, state: str = "finished", run_id: str = "", **auc: float | None) -> RunRecord:
    """A run with these test scores."""
    return replace(
        examples()["example-conflict-mmoe-0"].record,
        id=run_id or f"{next(COUNT):08x}",
        state=state,  # type: ignore[arg-type]
        spec=spec.to_json(),
        metrics_test={task: {"auc": value} for task, value in auc.items()} if state == "finished" else None,
        parameters=1000,
    )


def changed(spec: RunSpec, **parts: Any) -> RunSpec:
    value = spec.to_json()
    for name, fields in parts.items():
        value[name] = {**value[name], **fields} if isinstance(fields, dict) else fields
    return RunSpec.parse(value)


def pair(trunk: str, seed: int, gain_a: float, gain_b: float, **parts: Any) -> list[RunRecord]:
    """A run and its yardstick, which has a level of its own per seed."""
    spec = changed(preset_spec("conflict", trunk, seed=seed), **parts)
    base = 0.8 + seed / 100
    return [
        record(spec, A=base + gain_a / 1000, B=base + gain_b / 1000),
        record(baseline_spec(spec), A=base, B=base),
    ]


def picture(records: Sequence[RunRecord], x: str = "A", y: str = "B") -> analysis.Seesaw:
    (budget,) = analysis.budgets(records)
    return analysis.seesaw(budget, x, y)


# Pairing


def test_gains_are_paired_by_seed() -> None:
    """Yardsticks differ by whole hundredths between seeds; only pairs show the gain."""
    gains = {0: (10.0, -5.0), 1: (12.0, -6.0), 2: (11.0, -5.5)}
    runs = [run for seed, (a, b) in gains.items() for run in pair("mmoe", seed, a, b)]
    for order in (runs, runs[::-1], sorted(runs, key=lambda r: r.spec["model"]["trunk"]["name"])):
        (group,) = picture(order).groups
        assert group.seeds == (0, 1, 2)
        assert group.x == pytest.approx((10, 12, 11))
        assert group.y == pytest.approx((-5, -6, -5.5))
        assert group.x_interval.mean == pytest.approx(11)
        assert group.x_interval.half_width == pytest.approx(paired_interval([10, 12, 11]).half_width)
        assert (group.label, group.trunk) == ("MMoE", "mmoe")
    swapped = picture(runs, "B", "A").groups[0]
    assert (swapped.x, swapped.y) == (group.y, group.x)


def test_a_yardstick_from_another_device_counts() -> None:
    run, yardstick = pair("ple", 0, 3, 4)
    elsewhere = replace(yardstick, spec=changed(RunSpec.parse(yardstick.spec), training={"device": "cpu"}).to_json())
    (group,) = picture([run, elsewhere]).groups
    assert group.x == pytest.approx((3,))
    assert analysis.find_baseline(run, [elsewhere]) is elsewhere


def test_a_run_that_was_repeated_counts_once_and_the_newest_counts() -> None:
    old, yardstick = pair("mmoe", 0, 5, 5)
    new = pair("mmoe", 0, 9, 9)[0]
    (group,) = picture([new, old, yardstick]).groups  # newest first, as the store lists them
    assert group.seeds == (0,)
    assert group.x == pytest.approx((9,))


def test_equal_weights_written_out_are_the_same_variant() -> None:
    runs = pair("mmoe", 0, 1, 1)
    spec = preset_spec("conflict", "mmoe", seed=1).to_json()
    spec["balancer"]["options"]["weights"] = None  # as an older store may have it
    runs += [replace(record(preset_spec("conflict", "mmoe", seed=1), A=0.812, B=0.812), spec=spec)]
    runs += [pair("mmoe", 1, 0, 0)[1]]
    (group,) = picture(runs).groups
    assert group.seeds == (0, 1)
    assert group.label == "MMoE"


def test_groups_come_with_sizes_best_first() -> None:
    runs = [*pair("mmoe", 0, 1, 1), *pair("ple", 0, 5, 5), *pair("cgc", 0, -9, 3)]
    answer = picture(runs)
    assert [group.label for group in answer.groups] == ["PLE", "MMoE", "CGC"]
    assert answer.parameters == dict.fromkeys(["PLE", "MMoE", "CGC"], 1000)
    assert answer.baseline_parameters == 1000
    assert answer.missing == ()


def test_an_undefined_score_leaves_the_seed_out() -> None:
    runs = [*pair("mmoe", 0, 5, 5), *pair("mmoe", 1, 7, 7)]
    runs[2] = replace(runs[2], metrics_test={"A": {"auc": None}, "B": {"auc": 0.8}})
    (group,) = picture(runs).groups
    assert group.seeds == (0,)


def weighted(weights: list[float], seed: int = 0, trunk: str = "mmoe") -> list[RunRecord]:
    return pair(trunk, seed, weights[0], weights[1], balancer={"name": "static", "options": {"weights": weights}})


def test_models_that_differ_in_loss_weights_alone_share_a_line() -> None:
    runs = [run for w in ([1.0, 1.0], [1.0, 3.0], [1.6667, 0.3333]) for run in weighted(w)]
    runs += [*weighted([1.0, 1.0], trunk="ple"), *weighted([1.0, 3.0], trunk="ple")]  # two are no line
    runs += pair("mmoe", 0, 5, 5, balancer={"name": "pcgrad", "options": {}})
    groups = picture(runs).groups
    found = {(group.line, group.short, group.balancer) for group in groups if group.trunk == "mmoe"}
    assert found == {
        ("MMoE", "1:1", "static"),
        ("MMoE", "1:3", "static"),
        ("MMoE", "5:1", "static"),
        ("", "", "pcgrad"),
    }
    assert {group.line for group in groups if group.trunk == "ple"} == {""}
    labels = {group.label for group in groups}
    assert labels == {
        "MMoE (weights 1:1)", "MMoE (weights 1:3)", "MMoE (weights 5:1)", "MMoE with PCGrad", "PLE (weights 1:1)",
        "PLE (weights 1:3)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ([1.0, 1.0], "1:1"), ([20.0, 1.0], "20:1"), ([0.1905, 1.8095], "1:9.5"), ([1.0002, 0.9998], "1.0004:1"),
        ([1.0, 0.0], "1:0"), ([0.123, 0.0], "0.123:0"), ([0.5, 1.5], "0.5:1.5"),
    ],
)  # fmt: skip
def test_weights_are_read_as_a_ratio_and_only_equal_ones_are_one_to_one(weights: list[float], text: str) -> None:
    assert analysis.ratio(weights) == text


def test_points_know_their_runs_and_open_runs_their_place() -> None:
    run, yardstick = pair("mmoe", 0, 5, 5)
    (group,) = picture([run, yardstick]).groups
    assert group.runs == (run.id,)
    assert group.parameters == 1000
    # A yardstick under way is not missing; an open run is in its budget only for who asks.
    waiting = replace(yardstick, state="running", metrics_test=None)
    (budget,) = analysis.budgets([waiting, run], with_open=True)
    assert len(budget.records) == 2
    answer = analysis.seesaw(budget, "A", "B")
    assert (answer.groups, answer.missing) == ((), ())
    (alone,) = analysis.budgets([waiting, run])
    assert len(analysis.seesaw(alone, "A", "B").missing) == 1


# Missing yardsticks


def test_runs_without_a_yardstick_are_named_once_per_yardstick() -> None:
    mmoe, base = pair("mmoe", 0, 1, 1)
    ple = pair("ple", 0, 2, 2)[0]
    other_seed = pair("ple", 1, 2, 2)[0]
    answer = picture([mmoe, ple, other_seed])
    assert answer.groups == ()
    assert answer.baseline_parameters is None
    assert [item.baseline.seed for item in answer.missing] == [0, 1]
    assert {run_key(item.baseline) for item in answer.missing[:1]} == {run_key(RunSpec.parse(base.spec))}
    answer = picture([mmoe, ple, other_seed, base])
    assert [group.label for group in answer.groups] == ["PLE", "MMoE"]
    assert [item.record for item in answer.missing] == [other_seed]


def test_a_yardstick_that_is_not_finished_is_none() -> None:
    run, yardstick = pair("mmoe", 0, 1, 1)
    for state in ("queued", "running", "stopped", "failed"):
        open_one = replace(yardstick, state=state)
        assert len(picture([run, open_one]).missing) == 1
        assert analysis.find_baseline(run, [open_one]) is None
    assert analysis.find_baseline(run, [yardstick]) is yardstick
    assert analysis.find_baseline(yardstick, [yardstick]) is yardstick


def test_a_single_task_model_of_another_width_is_a_model_like_any_other() -> None:
    run, yardstick = pair("single_task", 0, 3, 3, model={"trunk": {"name": "single_task", "options": {"layers": [50]}}})
    (group,) = picture([run, yardstick]).groups
    assert group.trunk == "single_task"


# Budgets


def test_budgets_keep_apart_what_may_not_be_compared() -> None:
    spec = preset_spec("conflict", "mmoe")
    other = [
        changed(spec, training={"epochs": 3}),
        changed(spec, training={"batch_size": 64}),
        changed(spec, training={"learning_rate": 0.01}),
        changed(spec, data={"options": {"rows": 700}}),
        preset_spec("adult", "mmoe"),
    ]
    runs = [record(s, A=0.9, B=0.9) for s in [spec, *other]]
    runs += [record(changed(spec, seed=1), A=0.9, B=0.9), record(preset_spec("conflict", "ple"), A=0.9, B=0.9)]
    runs += [record(changed(spec, seed=2), state="failed"), record(changed(spec, seed=3), state="running")]
    budgets = analysis.budgets(runs)
    assert [len(budget.records) for budget in budgets] == [3, 1, 1, 1, 1, 1]
    assert len({budget.key for budget in budgets}) == len({budget.label for budget in budgets}) == 6
    assert [budget.records[0] for budget in budgets] == runs[:6]
    labels = [budget.label for budget in budgets]
    assert "700" in labels[4]
    assert "3 epochs" in labels[1]
    assert "0.01" in labels[3]
    assert analysis.budgets([]) == []


# Names


def test_labels_tell_rivals_apart_by_what_differs() -> None:
    mmoe = preset_spec("conflict", "mmoe")
    wide = changed(mmoe, model={"trunk": {"name": "mmoe", "options": {"experts": 9, "expert_layers": [8]}}})
    weighted = changed(mmoe, balancer={"options": {"weights": [20, 1]}})
    ple = preset_spec("conflict", "ple")
    assert analysis.variant_labels([mmoe]) == ["MMoE"]
    assert analysis.variant_labels([mmoe, ple]) == ["MMoE", "PLE"]
    labels = analysis.variant_labels([mmoe, wide, weighted, ple])
    assert len(set(labels)) == 4
    assert labels[3] == "PLE"
    assert "experts 9" in labels[1]
    assert "20:1" in labels[2] or "20-1" in labels[2]
    assert all("expert layers" not in label for label in labels)  # the same in all of them
    assert analysis.variant_labels([]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([64, 32], "64-32"),
        ([20.0, 1.0], "20:1"),
        ([0.5], "0.5"),
        ([], "none"),
        (True, "on"),
        (False, "off"),
        (None, "equal"),
        (0.005, "0.005"),
        (1e-05, "1e-05"),
        (3, "3"),
        ("hard", "hard"),
        ([{"name": "age"}, {"name": "city"}], "age, city"),
        ([f"column {n}" for n in range(40)], "column 0, column 1, column 2, column 3, column 4, column 5,…"),
    ],
)
def test_option_values_are_short(value: object, text: str) -> None:
    assert analysis.short(value) == text


def test_differences_are_a_table_of_what_differs() -> None:
    mmoe = preset_spec("conflict", "mmoe")
    ple = changed(preset_spec("conflict", "ple", seed=2), training={"epochs": 3})
    table = analysis.differences([mmoe, ple], ["left", "right"])
    assert list(table.columns) == ["left", "right"]
    assert list(table.loc["seed"]) == ["0", "2"]
    assert list(table.loc["training epochs"]) == ["15", "3"]
    assert list(table.loc["trunk"]) == ["MMoE", "PLE"]
    assert list(table.loc["trunk experts"])[1] == ""
    assert "training batch size" not in table.index
    assert analysis.differences([mmoe, mmoe], ["left", "right"]).empty
    assert analysis.differences([mmoe, changed(mmoe, training={"device": "cpu"})], ["a", "b"]).index.tolist() == [
        "training device"
    ]


# Curves


def test_curve_rows_hold_every_epoch_and_the_test_of_the_best_one() -> None:
    history = examples()["example-conflict-mmoe-0"].history
    assert history.finished is not None
    rows = analysis.curve_rows(history, "run")
    assert len(rows) == 2 * len(history.epochs) + 2
    tests = rows[rows["what"] == TEST]
    assert set(tests["epoch"]) == {history.finished.best_epoch}
    assert dict(zip(tests["task"], tests["value"], strict=True)) == {
        task: scores["auc"] for task, scores in history.finished.metrics["test"].items()
    }
    valid = rows[rows["what"] == VALIDATION].set_index(["epoch", "task"])["value"]
    assert valid[3, "B"] == history.epochs[2].metrics["valid"]["B"]["auc"]
    assert len(analysis.curve_rows(history, "run", with_test=False)) == 2 * len(history.epochs)
    assert analysis.curve_rows(History(), "run").empty


def test_the_yardstick_is_a_second_line() -> None:
    history, base = (examples()[f"example-conflict-{trunk}-0"].history for trunk in ("mmoe", "single_task"))
    rows = analysis.with_yardstick(history, base, "run")
    assert set(rows["what"]) == {VALIDATION, YARDSTICK, TEST}
    assert set(rows[rows["what"] == YARDSTICK]["line"]) != set(rows[rows["what"] == VALIDATION]["line"])
    assert len(analysis.with_yardstick(history, None, "run")) == len(analysis.curve_rows(history, "run"))
    waiting = analysis.with_yardstick(History(), base, "run")  # nothing said yet: the yardstick is there already
    assert set(waiting["what"]) == {YARDSTICK}


def test_the_wiring_is_known_before_a_worker_has_spoken() -> None:
    some = [example for example in examples().values() if example.record.seed == 0]
    assert len(some) >= 12
    for example in some:
        assert analysis.wiring(example.record, History()) == analysis.wiring(example.record, example.history)


# Regression


class Prices(DatasetOptions):
    """A data set of one binary and one regression task, that only these tests know."""

    def table_schema(self) -> Schema:
        features = (Feature(name="x", kind="numeric"),)
        tasks = (Task(name="click", label="c"), Task(name="price", kind="regression", label="p"))
        return Schema(features=features, tasks=tasks)

    @classmethod
    def preset(cls) -> dict[str, Any]:
        trunks = {"single_task": {"layers": [4]}, "mmoe": {"experts": 2, "expert_layers": [4]}}
        return {"spec": {"data": {"name": "prices"}, "model": {}}, "trunks": trunks}


@pytest.fixture
def prices() -> Iterator[str]:
    registry.register("dataset", "prices")(Prices)
    yield "prices"
    del registry._parts["dataset"]["prices"]
    del registry._titles["dataset", "prices"]


def test_a_lower_error_is_a_gain(prices: str) -> None:
    spec = preset_spec(prices, "mmoe")
    scores: dict[str, dict[str, float | None]] = {"click": {"auc": 0.75}, "price": {"mse": 0.30, "rmse": 0.55}}
    ours = replace(record(spec), metrics_test=scores)
    theirs = replace(record(baseline_spec(spec)), metrics_test={"click": {"auc": 0.80}, "price": {"mse": 0.35}})
    (group,) = picture([ours, theirs], "click", "price").groups
    assert group.x == pytest.approx((-50,))
    assert group.y == pytest.approx((100 * 0.05 / 0.35,))


# Cost


def test_hundreds_of_runs_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [preset_spec("conflict", trunk, seed=seed) for seed in range(100, 200) for trunk in ("mmoe", "ple", "cgc")]
    runs = [record(spec, A=0.9, B=0.9) for spec in specs]
    runs += [record(spec, A=0.8, B=0.8) for spec in {run_key(b): b for b in map(baseline_spec, specs)}.values()]
    runs += [replace(run, id=f"again{i}") for i, run in enumerate(runs[:100])]
    assert len(runs) == 500
    parsed = []
    parse = RunSpec.parse

    def count(value: object) -> RunSpec:
        parsed.append(value)
        return parse(value)

    monkeypatch.setattr(RunSpec, "parse", count)
    monkeypatch.setattr(analysis, "_known_keys", {})
    assert [group.label for group in picture(runs).groups] == ["MMoE", "PLE", "CGC"]
    first = len(parsed)
    assert first <= 4 * 400  # a run, and its yardstick, which is looked up by the preset's
    for _ in range(10):
        picture(runs)
        for run in runs[:20]:
            analysis.find_baseline(run, runs)
    assert len(parsed) == first
    assert len(analysis._known_keys) == 400
