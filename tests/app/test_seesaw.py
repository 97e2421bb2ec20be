"""The seesaw page: what it draws, what a sweep asks for, how it fills and stops."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from app import analysis, gains, sweeps, wording
from app.jobs.records import RunRecord
from app.jobs.search import advance
from app.jobs.store import RunStore
from app.library import examples
from mtl_core.comparison import baseline_spec, budget_key, is_baseline, preset_spec
from mtl_core.events import Epoch, Finished, Started, Step
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec
from tests.app.conftest import healthy, small, visit

Train = Callable[[RunSpec], RunRecord]


def budget_of(record: RunRecord) -> str:
    return budget_key(RunSpec.parse(record.spec))


def rows(at: AppTest, name: str) -> pd.DataFrame:
    """The data that a chart is given under this name."""
    (data,) = [data for chart in at.get("vega_lite_chart") for data in chart.proto.datasets if data.name == name]
    with pa.ipc.open_stream(data.data.data) as stream:
        return stream.read_pandas()


def sweep_of(at: AppTest, **values: Any) -> AppTest:
    """Set the sweep's controls."""
    for key, value in values.items():
        name = f"sweep.{key}"
        if key in ("trunks", "balancers"):
            at.multiselect(key=name).set_value(value)
        elif key in ("weights", "ratios"):
            at.button_group(key=name).set_value(value)
        elif key in ("seeds", "trials"):
            at.slider(key=name).set_value(value)
        else:
            at.toggle(key=name).set_value(value)
        at.run()
    return healthy(at)


def press(at: AppTest) -> AppTest:
    return healthy(at.button(key="sweep.train").click().run())


@pytest.fixture
def open_small(trained: Train) -> Callable[[], AppTest]:
    """The page on a budget of seconds, in which one run is there already."""
    run = trained(small("mmoe"))
    return lambda: healthy(visit("seesaw_plot", budget=budget_of(run), weights="equal"))


# The picture


def test_the_first_look_shows_a_seesaw() -> None:
    at = healthy(visit("seesaw_plot"))
    told = at.markdown[0].value
    assert re.match(r"With weights 20:1 \w+ gains \+2\d\.\d on A and pays −2\d\.\d on B: the seesaw\.", told)
    table = at.table[0].value
    assert {"MMoE 1:1", "MMoE 20:1", "MMoE 1:20", "PLE 20:1", "CGC", "OMoE", "Shared bottom 1:1"} <= set(table["model"])
    verdicts = dict(zip(table["model"], table["verdict"], strict=True))
    assert (verdicts["MMoE 20:1"], verdicts["MMoE 1:20"]) == ("A gains, B loses", "A loses, B gains")
    # It stays readable: names and intervals for some, no single seeds, and the caption says so.
    assert set(rows(at, "labels")["label"]) == set(table["model"])
    assert len(rows(at, "marks")) == 17
    assert len(rows(at, "bars")) <= 2 * 8
    assert "Single seeds are left out." in " ".join(c.value for c in at.caption)
    fronts = rows(at, "fronts")
    mmoe = fronts[fronts["line"] == "MMoE"]
    assert (mmoe["x"].max() > 20, mmoe["y"].min() < -20) == (True, True)
    # The chart's own table of data shows the points, not its ground.
    (chart,) = at.get("vega_lite_chart")
    assert chart.proto.datasets[0].name == "marks"


def test_the_seesaw_plot_of_equal_weights() -> None:
    budget = budget_of(examples()["example-adult-mmoe-0"].record)
    at = healthy(visit("seesaw_plot", budget=budget))
    table = at.table[0].value
    assert set(table["model"]) == {"MMoE", "PLE", "CGC", "OMoE", "Shared bottom"}
    assert "Every interval touches 0: 8 or more seeds say more." in at.markdown[0].value
    data = "adult"
    assert set(table["n"]) == {sum(f"-{data}-single_task-" in name for name in examples())}
    assert "seesaw.missing" not in {button.key for button in at.button}
    assert set(rows(at, "labels")["label"]) == set(table["model"])
    (chosen,) = [b for b in analysis.budgets([e.record for e in examples().values()]) if b.key == budget]
    tasks = ("income", "never_married")
    groups = analysis.seesaw(chosen, *tasks).groups
    assert [(row["model"], row[f"gain {tasks[1]}"]) for row in table.to_dict("records")] == [
        (group.label, gains.interval(group.y_interval)) for group in groups
    ]
    # Every point knows its run.
    marks = rows(at, "marks")
    assert set(marks["run"]) <= set(examples())
    assert len(marks) == sum(len(group.seeds) + 1 for group in groups)


def test_a_missing_yardstick_is_named_and_trained_on_request(store: RunStore, trained: Train) -> None:
    runs = [trained(small("mmoe", seed=seed)) for seed in (0, 1)]
    at = healthy(visit("seesaw_plot", budget=budget_of(runs[0])))
    assert at.table.len == 0
    (note,) = at.info
    assert "MMoE on Conflict, seed 0" in note.value
    assert "seed 1" in note.value
    at.button(key="seesaw.missing").click().run()
    healthy(at)
    queued = [run for run in store.runs() if run.state == "queued"]
    wanted = [baseline_spec(RunSpec.parse(run.spec)) for run in runs]
    assert {run.spec_key for run in queued} == {spec.key for spec in wanted}
    # While they wait, the page says so, and does not offer them again.
    assert [bar.proto.text for bar in at.get("progress")] == ["0 of 2 runs done, 0 training"]
    assert "seesaw.missing" not in {button.key for button in at.button}
    for run in queued:
        store.delete(run.id)
    for spec in wanted:
        trained(spec)
    healthy(at.run())
    assert at.info.len == 0
    (row,) = at.table[0].value.to_dict("records")
    assert (row["model"], row["n"]) == ("MMoE", 2)
    assert at.session_state["budget"] == budget_of(runs[0])


def test_one_seed_has_no_interval(trained: Train) -> None:
    run = trained(small("ple"))
    trained(baseline_spec(RunSpec.parse(run.spec)))
    at = healthy(visit("seesaw_plot", budget=budget_of(run)))
    (row,) = at.table[0].value.to_dict("records")
    assert row["n"] == 1
    assert "±" not in row["gain A"]
    assert "interval" in row["verdict"]


def test_models_of_another_size_can_be_left_out(trained: Train) -> None:
    run = trained(small("mmoe"))
    trained(baseline_spec(RunSpec.parse(run.spec)))
    value = RunSpec.parse(run.spec).to_json()
    value["model"]["trunk"]["options"]["expert_layers"] = [64]
    trained(RunSpec.parse(value))
    at = healthy(visit("seesaw_plot", budget=budget_of(run)))
    assert len(at.table[0].value) == 2
    at.toggle(key="equal").set_value(True).run()
    (row,) = healthy(at).table[0].value.to_dict("records")
    assert row["parameters"] == wording.count(run.parameters or 0)
    assert "1 model of another size is not shown" in " ".join(c.value for c in at.caption)
    linked = visit("seesaw_plot", budget=budget_of(run), equal="true")
    assert len(linked.table[0].value) == 1


def test_three_tasks_are_also_shown_pair_by_pair(trained: Train) -> None:
    data = {"name": "mmoe_synthetic", "options": {"tasks": 3, "rows": 1000, "labels": "binary"}}
    training = {"epochs": 1, "batch_size": 100, "device": "cpu"}
    run = trained(preset_spec("mmoe_synthetic", "mmoe", data=data, training=training))
    trained(baseline_spec(RunSpec.parse(run.spec)))
    at = healthy(visit("seesaw_plot", budget=budget_of(run)))
    pairs = rows(at, "pairs")
    assert list(dict.fromkeys(pairs["pair"])) == ["B up, A across", "C up, A across", "C up, B across"]
    assert len(pairs[pairs["part"] == "marks"]) == 3
    assert len(visit("seesaw_plot").get("vega_lite_chart")) == 1  # two tasks are one pair


def test_it_opens_on_ones_own_newest_runs(trained: Train) -> None:
    bundled = budget_of(examples()["example-conflict-mmoe-0"].record)
    at = healthy(visit("seesaw_plot"))
    run = trained(small("mmoe"))
    trained(baseline_spec(RunSpec.parse(run.spec)))
    assert healthy(at.run()).session_state["budget"] == bundled  # one model is no seesaw
    trained(small("ple"))
    for page in (healthy(visit("seesaw_plot")), healthy(at.run())):
        assert page.session_state["budget"] == budget_of(run)
        assert said(page) == {"budget": budget_of(run)}  # others' pages would begin otherwise
    page.selectbox(key="budget").select(bundled).run()
    assert said(healthy(page)) == {"budget": bundled}
    assert healthy(page.run()).session_state["budget"] == bundled


# What a sweep asks for


def specs_of(store: RunStore) -> list[RunSpec]:
    """The specs of the newest sweep's runs, in order."""
    runs = [store.get(run_id) for run_id in store.sweeps()[0].runs]
    return [RunSpec.parse(run.spec) for run in runs if run is not None]


def test_one_click_asks_for_models_seeds_and_yardsticks(store: RunStore, open_small: Callable[[], AppTest]) -> None:
    at = sweep_of(open_small(), trunks=["mmoe", "cgc"], seeds=4)
    late = sweep_of(open_small(), trunks=["mmoe", "cgc"], seeds=4)  # its button stays as it is until it is pressed
    button = at.button(key="sweep.train")
    assert button.label.startswith("Train 11 runs, ")  # 3 x 4, and one is there
    assert "1 of 12 runs are there already" in " ".join(c.value for c in at.caption)
    press(at)
    specs = specs_of(store)
    assert [(s.model.trunk.name, s.seed) for s in specs] == [
        (trunk, seed) for trunk in ("single_task", "mmoe", "cgc") for seed in range(4) if (trunk, seed) != ("mmoe", 0)
    ]
    assert all(is_baseline(spec) for spec in specs[:4])
    assert {budget_key(spec) for spec in specs} == {at.session_state["budget"]}
    assert {baseline_spec(spec).key for spec in specs} == {spec.key for spec in specs[:4]}
    (bar,) = at.get("progress")
    assert bar.proto.text == "0 of 11 runs done, 0 training"
    # A second click asks for nothing: all of it is under way, and the button says so.
    for page in (at, press(late)):
        button = page.button(key="sweep.train")
        assert (button.disabled, button.label) == (True, "All of these runs are there or under way")
    assert (len(store.sweeps()), len(store.runs())) == (1, 12)
    (bar,) = at.get("progress")
    assert bar.proto.text == "0 of 11 runs done, 0 training"
    # What has not begun holds nothing, and is not left behind as paused.
    healthy(at.button(key="seesaw.stop").click().run())
    assert [run.state for run in store.runs()] == ["finished"]
    assert len(at.get("progress")) == 0
    assert at.button(key="sweep.train").label.startswith("Train 11 runs, ")


def test_examples_are_not_trained_again(store: RunStore) -> None:
    at = healthy(visit("seesaw_plot"))
    button = at.button(key="sweep.train")
    assert (button.disabled, button.label) == (False, "Train 36 runs")  # 3 models with 4 new ratios, 3 seeds
    assert "12 of 48 runs are there already" in " ".join(c.value for c in at.caption)
    press(at)
    assert len(store.runs()) == 36
    (bar,) = at.get("progress")
    assert bar.proto.text == "0 of 36 runs done, 0 training"
    assert at.button(key="sweep.train").disabled


def test_an_order_that_is_partly_under_way_asks_for_the_rest(
    store: RunStore, open_small: Callable[[], AppTest]
) -> None:
    at = press(sweep_of(open_small(), trunks=["mmoe"], seeds=2))
    assert len(store.sweeps()[0].runs) == 3
    at = sweep_of(at, trunks=["mmoe", "ple"])
    assert at.button(key="sweep.train").label.startswith("Train 2 runs")
    assert "1 of 6 runs are there already; 3 of 6 runs are under way" in " ".join(c.value for c in at.caption)
    press(at)
    (bar,) = at.get("progress")
    assert bar.proto.text == "0 of 5 runs done, 0 training · 2 sweeps"
    assert at.button(key="sweep.train").disabled


def test_stop_leaves_the_sweeps_of_others_alone(store: RunStore, open_small: Callable[[], AppTest]) -> None:
    at = press(sweep_of(open_small(), trunks=["mmoe", "ple"], seeds=2))
    other = press(sweep_of(open_small(), trunks=["mmoe", "cgc"], seeds=2))
    healthy(at.run())
    assert len(store.runs()) == 8
    assert at.button(key="seesaw.stop_others").label == "Stop the sweep of another session"
    healthy(at.button(key="seesaw.stop").click().run())
    # PLE is gone; the yardsticks and MMoE are waited for by the other sweep, too.
    assert sorted(run.trunk for run in store.runs() if run.open) == ["cgc"] * 2 + ["mmoe"] + ["single_task"] * 2
    assert len(store.runs()) == 6
    keys = {button.key for button in healthy(at).button}
    assert "seesaw.stop" not in keys
    assert "seesaw.stop" in {button.key for button in healthy(other.run()).button}
    healthy(at.button(key="seesaw.stop_others").click().run())
    assert not any(run.open for run in store.runs())


def test_loss_weights_and_balancers(store: RunStore, open_small: Callable[[], AppTest]) -> None:
    at = sweep_of(
        open_small(), trunks=["mmoe"], seeds=1, weights="grid", ratios=["0.1", "1", "5"], balancers=["pcgrad"]
    )
    press(at)
    specs = specs_of(store)[1:]
    assert [spec.balancer.name for spec in specs] == ["static"] * 2 + ["pcgrad"]  # the run that is there weighs 1:1
    assert [spec.balancer.options["weights"] for spec in specs[:2]] == [[0.1818, 1.8182], [1.6667, 0.3333]]
    at = sweep_of(at, ratios=[])
    assert "sweep.train" not in {button.key for button in at.button}
    assert "Choose at least one ratio." in [c.value for c in at.caption]
    at = sweep_of(at, ratios=["1"], trunks=[])
    assert "Choose at least one model." in [c.value for c in at.caption]


def test_a_search_is_left_to_the_workers(store: RunStore, open_small: Callable[[], AppTest]) -> None:
    at, late = (
        sweep_of(open_small(), trunks=["mmoe", "ple"], seeds=2, weights="search", trials=8) for _ in range(2)
    )  # fmt: skip
    assert at.button(key="sweep.train").label.startswith("Train 33 runs")  # the run that is there is the first trial
    press(at)
    (sweep,) = store.sweeps()
    assert [spec.model.trunk.name for spec in specs_of(store)] == ["single_task"] * 2
    assert [search["base"]["model"]["trunk"]["name"] for search in sweep.searches] == ["mmoe", "ple"]
    (bar,) = at.get("progress")
    assert bar.proto.text == "0 of 33 runs done, 0 training"
    advance(store)
    healthy(at.run())
    assert len(store.sweeps()[0].runs) == 34  # both first batches of 8 trials; the run that was there is one of them
    (bar,) = at.get("progress")
    assert bar.proto.text == "0 of 33 runs done, 0 training"
    assert at.button(key="sweep.train").disabled
    press(late)
    assert len(store.sweeps()) == 1
    healthy(at.button(key="seesaw.stop").click().run())
    assert not store.searching()
    assert [run.state for run in store.runs()] == ["finished"]


def test_another_budget_and_the_plot_moves_to_it(store: RunStore) -> None:
    at = healthy(visit("seesaw_plot", weights="equal"))
    at.toggle(key="sweep.other").set_value(True).run()
    at.number_input(key="sweep.conflict.rows").set_value(600).run()
    at.number_input(key="sweep.conflict.epochs").set_value(2).run()
    sweep_of(at, seeds=1, trunks=["mmoe"])
    assert at.button(key="sweep.train").label == "Train 2 runs"
    assert "not known yet" in " ".join(c.value for c in at.caption)
    press(at)
    (spec, _) = specs_of(store)
    assert (spec.data.options["rows"], spec.training.epochs, spec.training.batch_size) == (600, 2, 256)
    assert at.session_state["budget"] == budget_key(spec)
    assert "rows 600" in at.selectbox(key="budget").options[at.selectbox(key="budget").index or 0]
    assert "Points appear as models finish" in " ".join(m.value for m in at.markdown)
    assert rows(at, "marks").empty
    at.selectbox(key="sweep.data").select("adult").run()
    assert at.number_input(key="sweep.adult.epochs").value == 10
    healthy(at)


# What a link says of it

SWEPT = {
    "models": "mmoe,ple", "ratios": "0.2,5", "seeds": "2", "balancers": "pcgrad", "sizes": "off",
    "other": "on", "data": "adult", "epochs": "2", "batch_size": "1000",
}  # fmt: skip


def said(at: AppTest) -> dict[str, str]:
    return {name: value if isinstance(value, str) else value[-1] for name, value in at.query_params.items()}


def test_a_link_asks_for_the_same_sweep(store: RunStore) -> None:
    at = healthy(visit("seesaw_plot"))
    assert said(at) == {}
    sweep_of(
        at, trunks=["mmoe", "ple"], weights="grid", ratios=["0.2", "5"], seeds=2, balancers=["pcgrad"], equal=False
    )
    at.toggle(key="sweep.other").set_value(True).run()
    at.selectbox(key="sweep.data").select("adult").run()
    at.number_input(key="sweep.adult.epochs").set_value(2).run()
    healthy(at.number_input(key="sweep.adult.batch_size").set_value(1000).run())
    assert said(at) == SWEPT
    again = healthy(visit("seesaw_plot", **SWEPT))
    assert said(again) == SWEPT
    # Two models with three settings each, and the yardstick, with two seeds.
    assert again.button(key="sweep.train").label == at.button(key="sweep.train").label == "Train 14 runs"
    press(again)
    specs = specs_of(store)
    assert {(s.data.name, s.training.epochs, s.training.batch_size) for s in specs} == {("adult", 2, 1000)}
    assert {s.model.trunk.name for s in specs} == {"single_task", "mmoe", "ple"}


def test_what_is_not_asked_for_is_not_in_the_link() -> None:
    at = healthy(visit("seesaw_plot", weights="search", trials="40", ratios="0.2", other="on", epochs="3"))
    assert said(at) == {"weights": "search", "trials": "40", "other": "on", "epochs": "3"}
    sweep_of(at, weights="grid", other=False, ratios=[])
    assert said(at) == {"ratios": "none"}
    sweep_of(at, weights="equal", trunks=[])
    assert said(at) == {"weights": "equal", "models": "none"}
    assert [c.value for c in at.caption if c.value == "Choose at least one model."]
    sweep_of(at, trunks=["shared_bottom", "mmoe", "ple"], weights="grid")
    sweep_of(at, ratios=["0.1", "0.5", "1", "2", "10"])
    assert said(at) == {}


@pytest.mark.parametrize("text", ["", "x" * 5000, "-3", "1e400", "٣", "nope,nope", "off"])
def test_what_a_link_says_wrongly_is_left_out(text: str) -> None:
    names = ("models", "weights", "ratios", "seeds", "trials", "balancers", "sizes", "data", "epochs", "d.rows")
    at = healthy(visit("seesaw_plot", **dict.fromkeys(names, text) | {"other": "on"}))
    assert said(at) == {"other": "on"} | ({"sizes": "off"} if text == "off" else {})
    assert at.slider(key="sweep.seeds").value == 3
    assert at.multiselect(key="sweep.trunks").value == ["shared_bottom", "mmoe", "ple"]


def test_models_have_the_yardsticks_size_unless_told_otherwise(
    store: RunStore, open_small: Callable[[], AppTest]
) -> None:
    at = sweep_of(open_small(), trunks=["mmoe"], seeds=1, equal=False)
    press(at)
    yardstick, wide = specs_of(store)
    assert parameter_count(wide).parameters > 2 * parameter_count(yardstick).parameters
    press(sweep_of(at, equal=True, trunks=["ple"]))
    yardstick, same = specs_of(store)
    assert abs(parameter_count(same).parameters / parameter_count(yardstick).parameters - 1) <= 0.1


def test_more_than_a_sweep_can_hold_is_refused(open_small: Callable[[], AppTest]) -> None:
    at = open_small()
    every = at.multiselect(key="sweep.trunks").options
    assert len(every) > 10
    at.multiselect(key="sweep.trunks").set_value(["mmoe", "ple", "cgc", "omoe"]).run()
    at.button_group(key="sweep.weights").set_value("search").run()
    at.slider(key="sweep.seeds").set_value(16).run()
    assert [e.message for e in at.exception] == []
    (error,) = at.error
    assert "1,552 runs; one sweep has at most 600" in error.value
    assert at.button(key="sweep.train").disabled


# How it fills


def test_points_appear_one_by_one(store: RunStore, trained: Train, open_small: Callable[[], AppTest]) -> None:
    at = press(sweep_of(open_small(), trunks=["mmoe", "ple"], seeds=2))
    seen = []
    for run_id in store.sweeps()[0].runs:
        run = store.get(run_id)
        assert run is not None
        if run.state == "queued":
            finish(store, run)
        healthy(at.run())
        seen.append(len(rows(at, "marks")))
    # Two yardsticks place the run that was there; then one point per run, and a mean beside two seeds.
    assert seen == [1, 1, 3, 4, 6]
    assert len(at.get("progress")) == 0
    assert at.button(key="sweep.train").disabled
    assert at.button(key="sweep.train").label == "All of these runs are there"


def finish(store: RunStore, run: RunRecord) -> None:
    """Train it within this process, as a worker would."""
    from mtl_core.training import train

    store.register_worker("v", 0)
    (claimed,) = store.claim_together("v", 1)
    assert claimed.id == run.id
    for event in train([RunSpec.parse(run.spec)]):
        if isinstance(event, Started | Epoch | Finished):
            store.append(run.id, "v", event)


def test_the_bar_counts_what_was_not_there_before(store: RunStore, open_small: Callable[[], AppTest]) -> None:
    at = press(sweep_of(open_small(), trunks=["mmoe"], seeds=2))
    store.register_worker("v", 0)
    first, second = store.claim_together("v", 2)
    step = Step(run=0, epoch=2, step=0, steps=3, samples_per_second=9.0)
    store.signs_of_life("v", {first.id: step}, [first.id, second.id])
    healthy(at.run())
    (bar,) = at.get("progress")
    assert bar.proto.text == "0 of 3 runs done, 2 training"
    assert bar.proto.value == int(100 * 0.5 / 3)  # one of two epochs of one of three runs


# The estimate


def timed(record: RunRecord, start: float, end: float) -> RunRecord:
    return replace(record, started_at=start, finished_at=end, steps=10, epoch=2, resumed_from=0)


def test_pace_counts_runs_that_trained_together_in_the_time_they_took_together(trained: Train) -> None:
    run = trained(small("mmoe"))  # batches of 100 rows
    alone = timed(run, 100.0, 110.0)
    assert sweeps.pace([alone]) == pytest.approx(2000 / 10)
    together = [timed(run, 100.0, 110.0), timed(run, 100.0, 112.0)]
    assert sweeps.pace(together) == pytest.approx(4000 / 12)
    apart = [timed(run, 100.0, 110.0), timed(run, 200.0, 202.0)]
    assert sweeps.pace(apart) == pytest.approx(4000 / 12)
    assert sweeps.pace([replace(alone, resumed_from=1)]) is None
    assert sweeps.pace([]) is None


def test_time_is_known_from_this_machine_alone(trained: Train) -> None:
    bundled = [example.record for example in examples().values()]
    spec = small("mmoe", training={"epochs": 6, "batch_size": 100, "device": "cpu"})
    assert sweeps.seconds_of(spec, bundled) is None
    own = timed(trained(small("mmoe")), 100.0, 110.0)
    # 1000 rows (10 steps of 100) six times at 200 rows a second.
    assert sweeps.seconds_of(spec, [own, *bundled]) == pytest.approx(30)
    # Of another trunk on these data: as good a guess as there is.
    assert sweeps.seconds_of(small("ple"), [own]) == pytest.approx(10)
    double = small("mmoe", data={"name": "conflict", "options": {"rows": 1000}})
    assert sweeps.seconds_of(double, [own]) == pytest.approx(20)
    adult = preset_spec("adult", "mmoe")
    assert sweeps.seconds_of(adult, [own]) is None  # nobody has counted its rows
    assert sweeps.seconds_of(adult, [own, *bundled]) is not None


def test_a_sweep_is_estimated_from_runs_that_trained_together(store: RunStore, trained: Train) -> None:
    run = trained(small("mmoe"))  # batches of 100 rows
    budget = {"data": {"name": "conflict", "options": {"rows": 500}}, "training": run.spec["training"]}
    order = sweeps.Order(
        dataset="conflict", data=json.dumps(budget["data"]), training=json.dumps(budget["training"]),
        trunks=("mmoe",), weights=((1.0, 1.0),), balancers=(), seeds=9, trials=0, equal_parameters=True,
    )  # fmt: skip
    wanted = sweeps.plan(order)
    alone = timed(run, 100.0, 110.0)
    ahead = sweeps.outlook(wanted, [alone])
    assert (ahead.runs, ahead.at_most) == (17, True)
    assert ahead.seconds == pytest.approx(170)
    # Eight that took 16 seconds together: two seconds each.
    many = [
        replace(timed(run, 200.0 + 0.1 * i, 216.0), id=f"{i:08}", spec={**run.spec, "seed": 20 + i}) for i in range(8)
    ]
    ahead = sweeps.outlook(wanted, [*many, alone])
    assert not ahead.at_most
    assert ahead.seconds == pytest.approx(17 * 2)
    # A run or two train as one alone does.
    assert sweeps.outlook(sweeps.plan(replace(order, seeds=1)), [*many]).at_most is False


def test_the_time_left_follows_those_that_train_together(store: RunStore, trained: Train) -> None:
    run = trained(small("mmoe"))
    sweep = store.submit_sweep([small("ple", seed=seed) for seed in range(20)])
    queued = [r for r in store.runs() if r.state == "queued"]
    # Two yardsticks in ten seconds, then eight in eight, of which each is half done; ten wait.
    assert run.finished_at is not None
    late = run.finished_at + 100
    done = [replace(r, state="finished", started_at=late, finished_at=late + 10) for r in queued[:2]]
    busy = [replace(r, state="running", started_at=late + 10, updated_at=late + 18, epoch=1) for r in queued[2:10]]
    state = sweeps.progress([sweep], [*done, *busy, *queued[10:]], budget_of(run))
    assert state is not None
    assert (state.finished, state.training, state.total) == (2, 8, 20)
    # 14 runs are left at half a run per second.
    assert state.seconds_left == pytest.approx(28)
    early = sweeps.progress([sweep], queued, budget_of(run))
    assert early is not None
    assert early.seconds_left is None


def test_a_rerun_stays_quick_with_many_runs(store: RunStore, open_small: Callable[[], AppTest]) -> None:
    at = open_small()
    specs = [small(trunk, seed=seed) for trunk in ("mmoe", "ple", "cgc", "shared_bottom") for seed in range(50)]
    store.submit_sweep(specs)
    at.run()
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        healthy(at.run())
        took.append(time.perf_counter() - begun)
    # Generous: 150 ms is meant, of an idle machine; this catches what grows with the square of the runs.
    assert min(took) < 1.5
