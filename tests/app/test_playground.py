"""The playground: controls from schemas, the spec they stand for, and what becomes of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from streamlit.testing.v1 import AppTest

from app.components.setup_panel import PRESETS
from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from mtl_core import registry
from mtl_core.comparison import baseline_spec, preset_spec
from mtl_core.data.base import DatasetOptions
from mtl_core.events import Failed
from mtl_core.options import Layers, option
from mtl_core.spec import RunSpec, TrainingSpec
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Wiring, mixture
from tests.app.conftest import healthy, small, texts, visit, wait_for

Claim = Callable[[RunSpec], RunRecord]


def dataset(name: str) -> type[DatasetOptions]:
    return cast(type[DatasetOptions], registry.get("dataset", name))


def shown(at: AppTest, key: str) -> Any:
    """What the control with this key says, a list as its text."""
    return at.session_state[key]


def drawn(at: AppTest) -> set[str]:
    """Keys of all controls on the page."""
    kinds = (at.slider, at.number_input, at.text_input, at.selectbox, at.toggle, at.select_slider)
    return {element.key for kind in kinds for element in kind if element.key}


def wanted(schema: dict[str, Any], prefix: str, task_names: Sequence[str]) -> set[str]:
    """Keys that the options of a schema should have."""
    keys = set()
    for name, field in schema.get("properties", {}).items():
        keys |= {f"{prefix}.{name}.{task}" for task in task_names} if field.get("per_task") else {f"{prefix}.{name}"}
    return keys


def as_shown(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def spec_of(at: AppTest, store: RunStore) -> RunSpec:
    """What Train queues."""
    at.button(key="train").click().run()
    healthy(at)
    return RunSpec.parse(store.runs(limit=1)[0].spec)


@pytest.mark.parametrize("data", registry.names("dataset"))
def test_every_option_has_a_control_that_starts_from_the_preset(data: str) -> None:
    preset = dataset(data).preset()
    catalogue = registry.catalogue()
    at = visit(data=data)
    for trunk in registry.names("trunk"):
        at.selectbox(key="trunk").select(trunk).run()
        healthy(at)
        spec = preset_spec(data, trunk)
        tasks = spec.schema.task_names
        prefix = f"play.{data}"
        # A file of one's own is chosen as a whole: its schema was settled on the data page.
        expected = {"file"} if data == "table" else wanted(catalogue["dataset"][data], prefix, tasks)
        expected |= wanted(catalogue["trunk"][trunk], f"{prefix}.{trunk}", tasks)
        expected |= wanted(catalogue["balancer"]["static"], f"{prefix}.static", tasks)
        encoder = spec.model.encoder.name
        expected |= wanted(catalogue["encoder"][encoder], f"{prefix}.{encoder}", tasks)
        expected |= wanted(TrainingSpec.model_json_schema(), prefix, tasks)
        expected |= {"data", "trunk", "seed", f"{prefix}.towers"}
        assert expected <= drawn(at)
        for name, value in spec.model.trunk.options.items():
            assert shown(at, f"{prefix}.{trunk}.{name}") == as_shown(value)
        for name, value in preset["spec"]["training"].items():
            assert shown(at, f"{prefix}.{name}") == value
        assert shown(at, f"{prefix}.towers") == as_shown(preset["spec"]["model"]["towers"])
        assert not at.button(key="train").disabled


@pytest.mark.parametrize("data", registry.names("dataset"))
def test_train_without_touching_anything_queues_the_preset(data: str, store: RunStore) -> None:
    assert spec_of(visit(data=data, trunk="ple", seed="3"), store) == preset_spec(data, "ple", seed=3)


def test_changing_the_data_changes_the_numbers_and_back(store: RunStore) -> None:
    at = visit()
    at.number_input(key="play.conflict.epochs").set_value(7)
    at.selectbox(key="data").select("adult").run()
    adult = dataset("adult").preset()["spec"]
    assert at.number_input(key="play.adult.epochs").value == adult["training"]["epochs"]
    assert at.query_params["data"] in ("adult", ["adult"])
    at.selectbox(key="data").select("conflict").run()
    # What was typed there is still there.
    assert at.number_input(key="play.conflict.epochs").value == 7
    assert spec_of(at, store).training.epochs == 7


def test_train_queues_exactly_what_the_controls_say(store: RunStore) -> None:
    at = visit(trunk="cgc")
    at.number_input(key="play.conflict.rows").set_value(700)
    at.slider(key="play.conflict.relatedness").set_value(0.4)
    at.slider(key="play.conflict.cgc.shared_experts").set_value(3)
    at.text_input(key="play.conflict.cgc.expert_layers").set_value("9; 5")
    at.text_input(key="play.conflict.towers").set_value(" 4 ")
    at.select_slider(key="play.conflict.static.weights.B").set_value(0.2)
    at.number_input(key="play.conflict.batch_size").set_value(64)
    at.number_input(key="play.conflict.learning_rate").set_value(0.0125)
    at.selectbox(key="play.conflict.optimizer").select("sgd")
    at.selectbox(key="play.conflict.selection").select("last")
    at.number_input(key="play.conflict.rate_a").set_value(0.25)
    # Pressed in the same breath as the last keystroke: it counts too.
    at.number_input(key="seed").set_value(11)
    at.button(key="train").click().run()
    healthy(at)
    (run,) = store.runs()
    preset = preset_spec("conflict", "cgc")
    value = preset.to_json()
    value["data"]["options"] |= {"rows": 700, "relatedness": 0.4, "rate_a": 0.25}
    value["model"]["trunk"]["options"] |= {"shared_experts": 3, "expert_layers": [9, 5]}
    value["model"]["towers"] = [4]
    value["balancer"]["options"] = {"weights": [1, 0.2]}
    value["training"] |= {"batch_size": 64, "learning_rate": 0.0125, "optimizer": "sgd", "selection": "last"}
    assert RunSpec.parse(run.spec) == RunSpec.parse({**value, "seed": 11})
    assert at.query_params["run"] in (run.id, [run.id])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8, x", "x"),
        ("", "at least 1"),
        ("0", "greater than or equal to 1"),
        ("-3", "-3"),
        ("8.5", "8.5"),
        ("²", "integer"),
        ("9" * 5000, "expert_layers"),
        ("1,2,3,4,5,6,7,8,9", "at most 8"),
        ("<script>alert(1)</script>", "script"),
    ],
)
def test_layers_that_are_none_disable_train_and_say_why(text: str, says: str, store: RunStore) -> None:
    at = visit()
    field = at.text_input(key="play.conflict.mmoe.expert_layers")
    before = field.value
    field.set_value(text).run()
    assert [element.message for element in at.exception] == []
    assert at.button(key="train").disabled
    (error,) = at.error
    assert says in error.value
    assert "expert_layers" in error.value
    assert "\n" not in error.value
    assert store.runs() == []
    at.text_input(key="play.conflict.mmoe.expert_layers").set_value(before).run()
    assert not healthy(at).button(key="train").disabled


def test_a_weight_of_zero_for_every_task_cannot_be_trained() -> None:
    at = visit()
    for task in "AB":
        at.select_slider(key=f"play.conflict.static.weights.{task}").set_value(0.0)
    at.run()
    assert at.button(key="train").disabled
    assert "weights" in at.error[0].value


@pytest.mark.parametrize("label", PRESETS)
def test_a_preset_sets_data_and_trunk_and_shows_its_example(label: str, store: RunStore) -> None:
    data, trunk = PRESETS[label]
    at = visit(data="conflict", trunk="omoe")
    at.button_group(key="preset").select(label).run()
    healthy(at)
    assert (at.session_state["data"], at.session_state["trunk"]) == (data, trunk)
    assert at.query_params["run"] in (example := f"example-{data}-{trunk}-0", [example])
    assert registry.title("trunk", trunk) in texts(at)
    # And again, after something else was picked by hand.
    at.selectbox(key="trunk").select("single_task").run()
    at.button_group(key="preset").select(label).run()
    assert healthy(at).session_state["trunk"] == trunk
    assert spec_of(at, store) == preset_spec(data, trunk)


def test_train_twice_is_one_run(store: RunStore) -> None:
    at = visit()
    at.button(key="train").click().run()
    assert at.toast.len == 0
    at.button(key="train").click().run()
    assert len(store.runs()) == 1
    assert at.toast.len == 1
    assert len(visit().button(key="train").click().run().query_params["run"]) > 0
    assert len(store.runs()) == 1


def test_another_session_without_a_link_finds_the_open_run_and_keeps_it(store: RunStore) -> None:
    at = visit(trunk="ple")
    at.button(key="train").click().run()
    (run,) = store.runs()
    other = healthy(visit())
    assert other.button(key=f"stop.{run.id}")
    store.request_stop(run.id)
    other.run()
    assert other.button(key=f"resume.{run.id}")
    assert "PLE" in texts(other)


def test_a_queued_run_shows_its_place_its_architecture_and_an_empty_curve(store: RunStore) -> None:
    store.submit(small(seed=5))
    run, _ = store.submit(small("ple"))
    at = healthy(visit(run=run.id))
    (bar,) = at.get("progress")
    assert "1 before it" in bar.proto.text
    assert len(at.get("vega_lite_chart")) >= 2


def test_stop_before_a_worker_came(store: RunStore) -> None:
    run, _ = store.submit(small())
    at = visit()
    at.button(key=f"stop.{run.id}").click().run()
    healthy(at)
    stopped = store.get(run.id)
    assert stopped is not None
    assert stopped.state == "stopped"
    at.button(key=f"resume.{run.id}").click().run()
    again = store.get(run.id)
    assert again is not None
    assert again.state == "queued"
    assert healthy(at).button(key=f"stop.{run.id}")


@pytest.mark.usefixtures("real_workers")
def test_a_real_run_is_stopped_goes_on_and_finishes(store: RunStore) -> None:
    at = visit(trunk="mmoe")
    at.number_input(key="play.conflict.rows").set_value(5000)
    at.number_input(key="play.conflict.batch_size").set_value(32)
    at.number_input(key="play.conflict.epochs").set_value(60)
    at.button(key="train").click().run()
    (queued,) = store.runs()

    def state(*wanted: str, epoch: int = 0) -> RunRecord:
        def look() -> RunRecord | None:
            run = store.get(queued.id)
            assert run is not None
            assert run.state != "failed", run.message
            return run if run.state in wanted and run.epoch >= epoch else None

        return wait_for(look)

    state("running", epoch=2)
    healthy(at.run())
    at.button(key=f"stop.{queued.id}").click().run()
    stopped = state("stopped", epoch=2)
    assert f"epoch {stopped.epoch} of 60" in texts(at.run())
    at.button(key=f"resume.{queued.id}").click().run()
    done = state("finished")
    assert done.resumed_from == stopped.epoch
    at.run()
    assert "Test AUC" in texts(healthy(at))
    curves = [chart for chart in at.get("vega_lite_chart") if "AUC" in chart.proto.alt]
    assert len(curves) == 1
    # Finished: its place is offered on the seesaw plot, once the yardstick is trained.
    at.button(key="small.missing").click().run()
    assert RunSpec.parse(store.runs(limit=1)[0].spec) == baseline_spec(RunSpec.parse(done.spec))
    assert len(at.get("progress")) == 1


def test_a_run_that_failed_says_why(store: RunStore, claimed: Claim) -> None:
    run = claimed(small())
    store.append(run.id, "w", Failed(run=0, message="The loss is no longer a number: lower the learning rate."))
    at = visit(run=run.id)
    assert at.exception.len == 0
    assert [error.value for error in at.error] == ["The loss is no longer a number: lower the learning rate."]


def test_a_run_deleted_while_it_is_shown_gives_way_to_another(store: RunStore) -> None:
    run, _ = store.submit(small())
    at = healthy(visit(run=run.id))
    store.delete(run.id)
    healthy(at.run())
    assert "run" not in at.query_params
    assert len(at.get("vega_lite_chart")) >= 3


@pytest.mark.parametrize("epoch", [1, 7])
def test_the_epoch_slider_of_a_finished_run_moves_the_gates(epoch: int) -> None:
    at = visit(run="example-conflict-mmoe-0")
    (charts,) = {len(at.get("vega_lite_chart"))}
    before = [data(chart) for chart in at.get("vega_lite_chart")]
    at.select_slider(key="epoch.example-conflict-mmoe-0").set_value(epoch).run()
    after = [data(chart) for chart in at.get("vega_lite_chart")]
    assert len(after) == charts
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 2  # architecture and bars; the curves stay
    assert f"epoch {epoch}" in texts(healthy(at))


def data(chart: Any) -> list[bytes]:
    return [chart.proto.data.data, *(part.data.data for part in chart.proto.datasets)]


def test_a_growing_run_changes_rows_and_nothing_else_in_its_charts(store: RunStore, claimed: Claim) -> None:
    """The browser draws a chart anew when its spec or its alt text changes."""
    from mtl_core.events import Epoch
    from mtl_core.train import train

    spec = small()
    run = claimed(spec)
    told = [event for event in train([spec]) if event.event in ("started", "epoch")]
    at, seen = None, []
    for event in told:
        store.append(run.id, "w", cast(Epoch, event))
        at = visit(run=run.id) if at is None else at.run()
        charts = healthy(at).get("vega_lite_chart")
        seen.append([(chart.proto.spec, chart.proto.alt, data(chart)) for chart in charts])
    one, two = seen[1], seen[2]  # after the first and the second epoch
    assert len(one) == len(two) == 3
    assert [chart[:2] for chart in one] == [chart[:2] for chart in two]
    assert all(a[2] != b[2] for a, b in zip(one, two, strict=True))
    assert json.loads(one[-1][0])["layer"]


class TwoPools(TrunkOptions):
    """A trunk that only this test knows."""

    experts: int = option(2, "Experts, all shared", ge=1, le=5)
    expert_layers: Layers = option((6,), "Hidden layer widths of each expert", min_length=1)
    strength: float = option(0.5, "A dial", ge=0, le=1)
    kind: str = option("plain", "A word")
    often: bool = option(True, "A switch", advanced=True)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        gates = [(name, k, range(self.experts)) for k, name in enumerate(task_names)]
        sources: dict[int | None, int] = dict.fromkeys([None, *range(len(task_names))], 0)
        level = mixture([None] * self.experts, gates, self.expert_layers, task_names, sources)
        return Wiring(levels=(level,), outputs=tuple(range(len(task_names))))


@pytest.fixture
def two_pools() -> Iterator[str]:
    registry.register("trunk", "two_pools", "Two pools")(TwoPools)
    yield "two_pools"
    del registry._parts["trunk"]["two_pools"]
    del registry._titles["trunk", "two_pools"]


def test_a_trunk_that_is_registered_appears_without_any_other_change(two_pools: str, store: RunStore) -> None:
    at = healthy(visit(trunk=two_pools))
    assert at.session_state["trunk"] == two_pools
    assert "Two pools" in at.selectbox(key="trunk").options
    assert "A trunk that only this test knows." in texts(at)
    at.slider(key="play.conflict.two_pools.experts").set_value(4)
    at.text_input(key="play.conflict.two_pools.expert_layers").set_value("3")
    at.slider(key="play.conflict.two_pools.strength").set_value(0.25)
    at.text_input(key="play.conflict.two_pools.kind").set_value("odd")
    spec = spec_of(at, store)
    assert spec.model.trunk.name == two_pools
    options = {"experts": 4, "expert_layers": [3], "strength": 0.25, "kind": "odd", "often": True}
    assert spec.model.trunk.options == options
    for page in ("runs", "seesaw_plot", "compare"):
        healthy(at.switch_page(f"app_pages/{page}.py").run())
