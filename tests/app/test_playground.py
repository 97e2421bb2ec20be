"""The playground: controls from schemas, the spec they stand for, and what becomes of a run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from app.components import playback
from app.components.setup_panel import PRESETS
from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from app.library import examples
from app.setup_values import recipe_spec, refusals
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
    at = healthy(visit(data=data))
    spec = preset_spec(data, "mmoe")
    tasks, prefix = spec.schema.task_names, f"play.{data}"
    # A file of one's own is chosen as a whole: its schema was settled on the data page.
    expected = {"file"} if data == "table" else wanted(catalogue["dataset"][data], prefix, tasks)
    for kind, part in (("trunk", spec.model.trunk), ("encoder", spec.model.encoder), ("head", spec.model.head)):
        expected |= wanted(catalogue[kind][part.name], f"{prefix}.{part.name}", tasks)
        for name, value in part.options.items():
            assert shown(at, f"{prefix}.{part.name}.{name}") == as_shown(value)
    expected |= wanted(catalogue["balancer"]["static"], f"{prefix}.static", tasks)
    expected |= wanted(TrainingSpec.model_json_schema(), prefix, tasks)
    expected |= {"data", "trunk", "seed", "recipe", f"{prefix}.towers"}
    expected |= {f"{prefix}.{kind}" for kind in ("encoder", "head", "balancer")}
    assert expected <= drawn(at)
    for name, value in preset["spec"]["training"].items():
        assert shown(at, f"{prefix}.{name}") == value
    assert shown(at, f"{prefix}.towers") == as_shown(preset["spec"]["model"]["towers"])
    assert not at.button(key="train").disabled
    assert not at.warning.len


#: Data on which every part of a kind fits, and the key of the kind's choice there.
FITTING = {
    "trunk": ({"data": "conflict"}, "trunk"),
    "balancer": ({"data": "conflict"}, "play.conflict.balancer"),
    "head": (
        {"data": "funnel", "d.position_feature": "on", "d.tasks": "ctr, cart, cvr", "towers": "8"},
        "play.funnel.head",
    ),
}


@pytest.mark.parametrize("kind", FITTING)
def test_every_part_can_be_chosen_and_trained_as_it_comes(kind: str, store: RunStore) -> None:
    query, key = FITTING[kind]
    data = query["data"]
    at = healthy(visit(**query))
    offered = at.selectbox(key=key).options
    assert len(offered) == len(registry.names(kind))
    for name in registry.names(kind):
        at.selectbox(key=key).select(name).run()
        healthy(at)
        assert not at.button(key="train").disabled
        tasks = ("A", "B") if data == "conflict" else ("ctr", "cart", "cvr")
        schema = registry.catalogue()[kind][name]
        schema = {"properties": {n: f for n, f in schema.get("properties", {}).items() if n != "inner_options"}}
        assert wanted(schema, f"play.{data}.{name}", tasks) <= drawn(at)
    spec = spec_of(at, store)
    chosen = spec.balancer if kind == "balancer" else getattr(spec.model, kind)
    assert chosen.name == registry.names(kind)[-1]


@pytest.mark.parametrize("data", ["conflict", "ecommerce_sequences", "funnel"])
def test_only_encoders_and_heads_that_fit_are_offered(data: str) -> None:
    at = healthy(visit(data=data))
    schema = preset_spec(data, "mmoe").schema
    for kind in ("encoder", "head"):
        refused = refusals(kind, schema)
        assert len(at.selectbox(key=f"play.{data}.{kind}").options) == len(registry.names(kind)) - len(refused)
        assert not refused or f"{len(refused)} more do not fit these data" in texts(at)
    for reason in refusals("head", preset_spec("conflict", "mmoe").schema).values():
        assert "\n" not in reason


def test_a_head_that_no_longer_fits_gives_way() -> None:
    at = healthy(visit(data="funnel", head="shallow_tower", **{"d.position_feature": "on"}))
    assert at.session_state["play.funnel.head"] == "shallow_tower"
    at.toggle(key="play.funnel.position_feature").set_value(False).run()
    assert healthy(at).session_state["play.funnel.head"] == "independent"
    assert "head" not in at.query_params


def test_the_head_inside_a_shallow_tower_has_controls_of_its_own(store: RunStore) -> None:
    at = healthy(visit(data="funnel", head="shallow_tower", **{"d.position_feature": "on"}))
    at.selectbox(key="play.funnel.shallow_tower.inner").select("escm2_dr").run()
    at.number_input(key="play.funnel.shallow_tower.escm2_dr.lambda_cvr").set_value(0.3)
    at.number_input(key="play.funnel.shallow_tower.escm2_dr.kl_bound").set_value(0.5).run()
    assert one(at, "h.inner") == "escm2_dr"
    assert one(at, "h.inner.lambda_cvr") == "0.3"
    head = spec_of(at, store).model.head
    assert head.options["inner"] == "escm2_dr"
    inner = cast(dict[str, Any], head.options["inner_options"])
    assert (inner["lambda_cvr"], inner["kl_bound"], inner["lambda_ctcvr"]) == (0.3, 0.5, 1.0)


def one(at: AppTest, name: str) -> str:
    """A query parameter."""
    value = at.query_params[name]
    return value if isinstance(value, str) else value[0]


LINKS = {
    "everything": (
        {
            "data": "funnel", "d.position_feature": "on", "d.rows": "900", "trunk": "cgc", "t.expert_layers": "9-5",
            "encoder": "nfwfm", "e.dim": "3", "head": "shallow_tower", "h.inner": "esmm", "h.inner.kl_bound": "0.5",
            "balancer": "decay", "b.gamma": "0.5,1", "b.every": "step", "towers": "6", "epochs": "3",
            "optimizer": "sgd", "patience": "2", "learning_rate": "0.0125", "seed": "4",
        },
        {"model.head.options.inner_options.kl_bound": 0.5, "balancer.options.gamma": [0.5, 1.0], "seed": 4,
         "model.trunk.options.expert_layers": [9, 5], "model.encoder.options.dim": 3, "training.patience": 2,
         "data.options.rows": 900, "training.learning_rate": 0.0125, "model.towers": [6]},
    ),
    "weights that the dial does not have": ({"b.weights": "3,0.7"}, {"balancer.options.weights": [3.0, 0.7]}),
    "none": ({"trunk": "mmoe", "towers": "8", "patience": "none"}, {"training.patience": None, "model.towers": [8]}),
}  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
def test_a_link_sets_every_control_and_is_kept(name: str, store: RunStore) -> None:
    query, expected = LINKS[name]
    at = healthy(visit(**query))
    kept = {n: v for n, v in query.items() if v not in ("none", "mmoe")}
    assert {n: one(at, n) for n in at.query_params} == kept
    value: Any = spec_of(at, store).to_json()
    for path, wants in expected.items():
        found = value
        for step in path.split("."):
            found = found[step]
        assert found == wants, path


@pytest.mark.parametrize(
    "query",
    [
        {"t.experts": "0"},
        {"t.experts": "1e9"},
        {"t.expert_layers": "8-x"},
        {"t.levels": "3"},
        {"b.weights": "1,2,3"},
        {"b.weights": "-1,1"},
        {"epochs": "none"},
        {"learning_rate": "nan"},
        {"d.rows": "1"},
        {"optimizer": "lion"},
        {"head": "esmm"},
        {"encoder": "behaviour_sequence"},
        {"balancer": "pcgrad2"},
        {"h.inner.kl_bound": "3"},
        {"device": "<script>"},
    ],
)
def test_a_bad_option_in_a_link_is_ignored(query: dict[str, str], store: RunStore) -> None:
    at = visit(**query)
    assert [element.message for element in at.exception] == []
    if "device" not in query:  # a text is anything; the spec says what is wrong with it
        assert spec_of(healthy(at), store) == preset_spec("conflict", "mmoe")
        assert set(at.query_params) <= {"run"}


def test_what_is_set_is_in_the_url_and_defaults_are_not() -> None:
    at = visit()
    assert dict(at.query_params) == {}
    at.slider(key="play.conflict.mmoe.experts").set_value(5).run()
    assert one(at, "t.experts") == "5"
    at.select_slider(key="play.conflict.static.weights.B").set_value(0.2).run()
    assert one(at, "b.weights") == "1,0.2"
    at.selectbox(key="trunk").select("omoe").run()
    # Another trunk has an option of this name: it is not set to what the first one had.
    assert "t.experts" not in at.query_params
    assert (
        at.session_state["play.conflict.omoe.experts"] == preset_spec("conflict", "omoe").model.trunk.options["experts"]
    )
    at.selectbox(key="trunk").select("mmoe").run()
    assert one(at, "t.experts") == "5"
    at.slider(key="play.conflict.mmoe.experts").set_value(3).run()
    assert set(at.query_params) == {"b.weights"}


def test_the_url_is_there_again_after_another_page() -> None:
    at = visit()
    at.slider(key="play.conflict.mmoe.experts").set_value(5).run()
    at.switch_page("app_pages/runs.py").run()
    at.query_params.clear()
    at.switch_page("app_pages/playground.py").run()
    assert healthy(at).session_state["play.conflict.mmoe.experts"] == 5
    assert one(at, "t.experts") == "5"


@pytest.mark.parametrize("name", ["esm2", "youtube", "ple", "mmoe"])
def test_a_published_system_sets_the_controls(name: str, store: RunStore) -> None:
    at = visit(trunk="ple", seed="3", balancer="famo")
    at.selectbox(key="recipe").select(name).run()
    at.button(key="recipe.use").click().run()
    assert not healthy(at).toast.len
    assert spec_of(at, store) == recipe_spec(name)


def test_the_controls_can_be_set_to_the_run_that_is_shown(store: RunStore) -> None:
    run, _ = store.submit(small("ple", seed=5, balancer={"name": "static", "options": {"weights": [1.0, 0.3]}}))
    at = healthy(visit(run=run.id, trunk="omoe", epochs="3"))
    at.button(key=f"adopt.{run.id}").click().run()
    healthy(at)
    assert one(at, "run") == run.id
    assert one(at, "b.weights") == "1,0.3"
    assert "adopt." not in str([button.key for button in at.button])
    store.request_stop(run.id)
    at.run()
    at.button(key="train").click().run()  # goes on with this very run
    assert [record.state for record in store.runs()] == ["queued"]


def test_private_experts_can_be_one_number_or_one_for_each_task(store: RunStore) -> None:
    at = healthy(visit(trunk="cgc"))
    at.slider(key="play.conflict.cgc.task_experts").set_value(3).run()
    assert one(at, "t.task_experts") == "3"
    at.toggle(key="play.conflict.cgc.task_experts.each").set_value(True).run()
    assert [at.slider(key=f"play.conflict.cgc.task_experts.{task}").value for task in "AB"] == [3, 3]
    assert spec_of(at, store).model.trunk.options["task_experts"] == 3
    at.slider(key="play.conflict.cgc.task_experts.B").set_value(1).run()
    assert one(at, "t.task_experts") == "3-1"
    assert spec_of(at, store).model.trunk.options["task_experts"] == [3, 1]
    at.toggle(key="play.conflict.cgc.task_experts.each").set_value(False).run()
    assert one(at, "t.task_experts") == "3"
    healthy(at)


@pytest.mark.parametrize(("text", "found"), [("2-1", [2, 1]), ("2-2", 2), ("2", 2), ("2-1-1", 1), ("2-99", 1)])
def test_a_link_says_how_many_private_experts_each_task_has(text: str, found: int | list[int], store: RunStore) -> None:
    at = healthy(visit(trunk="ple", **{"t.task_experts": text}))
    assert spec_of(at, store).model.trunk.options["task_experts"] == found


def test_the_controls_take_up_unequal_numbers_of_a_run(store: RunStore) -> None:
    value = small("cgc").to_json()
    value["model"]["trunk"]["options"]["task_experts"] = [2, 1]
    run, _ = store.submit(RunSpec.parse(value))
    at = visit(run=run.id, seed="9")  # not the run alone was asked for
    assert "t.task_experts" not in at.query_params
    at.button(key=f"adopt.{run.id}").click().run()
    assert one(healthy(at), "t.task_experts") == "2-1"
    assert not at.toast


def test_a_run_that_is_opened_sets_the_controls_once(store: RunStore) -> None:
    run, _ = store.submit(small("ple"))
    at = healthy(visit(run=run.id))
    assert (one(at, "trunk"), one(at, "d.rows"), one(at, "epochs")) == ("ple", "500", "2")
    assert not [button.key for button in at.button if (button.key or "").startswith("adopt")]
    at.selectbox(key="trunk").select("cgc").run()
    assert one(healthy(at.run()), "trunk") == "cgc"


def test_what_a_link_asks_for_in_vain_is_told_once() -> None:
    at = visit(data="nosuch", epochs="-5", seed="x", **{"d.rows": "9" * 40})
    (toast,) = at.toast
    for said in ("data=nosuch", "epochs=-5", "seed=x", "d.rows=999999"):
        assert said in toast.value
    assert "9" * 30 not in toast.value
    assert set(at.query_params) <= {"run"}
    assert not healthy(at.run()).toast


def test_options_without_a_control_are_told(store: RunStore) -> None:
    first, _ = store.submit(small("cgc"))
    run, _ = store.submit(small("cgc", init_from=first.id))
    at = visit(run=run.id)
    at.button(key=f"adopt.{run.id}").click().run()
    assert "no control" in at.toast[0].value


def test_share_has_link_command_line_python_and_files(store: RunStore) -> None:
    at = healthy(visit(trunk="ple", **{"t.levels": "3"}))
    assert not at.code
    at.session_state["share"] = True  # opened
    healthy(at.run())
    link, shell, code = (block.value for block in at.code)
    assert "trunk=ple" in link
    assert "t.levels=3" in link
    namespace: dict[str, Any] = {}
    exec(code.split("for event")[0], namespace)
    spec = spec_of(at, store)
    assert namespace["spec"] == spec
    assert "python -m mtl_core train" in shell
    written = shell[shell.index("{") : shell.rindex("}") + 1]
    assert RunSpec.parse(json.loads(written)) == spec


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
        ("", "1 or more entries"),
        ("0", "entry 1: must be at least 1, not 0"),
        ("-3", "-3"),
        ("8.5", "8.5"),
        ("²", "whole number"),
        ("9" * 5000, "whole number"),
        ("1,2,3,4,5,6,7,8,9", "8 or fewer"),
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
    assert error.value.startswith("Trunk expert layers")
    typed = [piece.strip() for piece in text.split(",") if piece.strip()]
    hint = "Whole numbers with commas between" in texts(at)
    assert hint is any(not piece.isdecimal() or len(piece) > 9 for piece in typed)
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
def test_a_preset_sets_the_controls_and_shows_its_example(label: str, store: RunStore) -> None:
    query = PRESETS[label]
    data, trunk = query.get("data", "conflict"), query.get("trunk", "mmoe")
    at = visit(data="conflict", trunk="omoe", seed="3")
    at.button_group(key="preset").select(label).run()
    healthy(at)
    assert (at.session_state["data"], at.session_state["trunk"], at.session_state["seed"]) == (data, trunk, 0)
    example = f"example-{data}-{trunk}-0"
    if set(query) <= {"data", "trunk"} and example in examples():
        assert one(at, "run") == example
        assert registry.title("trunk", trunk) in texts(at)
    # And again, after something else was picked by hand.
    at.selectbox(key="trunk").select("single_task").run()
    at.button_group(key="preset").select(label).run()
    assert healthy(at).session_state["trunk"] == trunk
    changes = {kind: {"name": query[kind]} for kind in ("balancer",) if kind in query}
    expected = preset_spec(data, trunk, **changes).to_json()
    if "head" in query:
        expected["model"]["head"] = {"name": query["head"]}
    assert spec_of(at, store) == RunSpec.parse(expected)


def record_of(store: RunStore, run_id: str) -> RunRecord:
    run = store.get(run_id)
    assert run is not None
    return run


def test_play_is_pause_is_go_on(store: RunStore) -> None:
    at = visit()
    assert at.button(key="train").label == "Train"
    at.button(key="train").click().run()
    (run,) = store.runs()
    assert healthy(at).button(key="train").label == "Pause"
    at.button(key="train").click().run()
    assert record_of(store, run.id).state == "stopped"
    assert at.button(key="train").label == "Train"  # nothing was trained yet
    at.button(key="train").click().run()
    assert record_of(store, run.id).state == "queued"
    assert len(store.runs()) == 1
    # Another setup is another run.
    at.number_input(key="seed").set_value(9).run()
    assert at.button(key="train").label == "Train"
    at.button(key="train").click().run()
    assert [r.seed for r in store.runs()] == [9, 0]


def test_the_button_names_what_it_would_do(store: RunStore, claimed: Claim) -> None:
    run = claimed(preset_spec("conflict", "mmoe"))
    at = visit()
    assert at.button(key="train").label == "Pause"
    store.request_stop(run.id)
    at.run()
    assert at.button(key="train").label == "Pausing"
    assert at.button(key="train").disabled
    assert not at.button(key="step").disabled  # it finishes the epoch under way
    store.append(run.id, "w", Failed(run=0, message="No."))
    at.run()
    assert at.button(key="train").label == "Try again"


def test_the_same_run_of_another_session_is_shown_and_not_trained_again(store: RunStore, trained: Claim) -> None:
    run = trained(small())
    at = visit(**{"d.rows": "500", "epochs": "2", "batch_size": "100", "device": "cpu"})
    at.button(key="train").click().run()
    assert [record.id for record in store.runs()] == [run.id]
    assert one(at, "run") == run.id
    assert "was trained here before: shown again" in at.toast[0].value
    assert at.button(key="step").disabled
    # It is shown as it trained, without its end, until somebody has seen enough.
    (bar,) = at.get("progress")
    assert bar.proto.text == "Shown again as it trained: epoch 1 of 2"
    assert "after epoch 1." in texts(at)
    assert "Test AUC" not in texts(at)
    at.button(key="again.end").click().run()
    assert "Test AUC" in texts(healthy(at))
    assert len(at.get("progress")) == 0


def test_an_example_can_be_watched_as_it_trained(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "SHORTEST", 5000.0)
    monkeypatch.setattr(playback, "LONGEST", 5000.0)
    at = visit(run="example-conflict-mmoe-0")
    at.button(key="again.begin").click().run()
    began = at.session_state["play.again"][1]
    seen = []
    for seconds in (0.0, 2500.0, 4800.0, 6000.0):
        at.session_state["play.again"] = ("example-conflict-mmoe-0", began + (time.monotonic() - began) - seconds)
        healthy(at.run())
        curves = next(c for c in at.get("vega_lite_chart") if c.proto.alt.startswith("AUC"))
        rows = next(table_of(part) for part in curves.proto.datasets if part.name == "curves")
        own = rows[rows["what"] == "validation"]
        seen.append((int(own["epoch"].max()), "test" in set(rows["what"])))
    # In its time through fifteen epochs; its end is the finished run.
    assert seen == [(1, False), (8, False), (15, False), (15, True)]
    assert store.runs() == []


def table_of(part: Any) -> pd.DataFrame:
    """A chart's named data."""
    with pa.ipc.open_stream(part.data.data) as stream:
        return stream.read_pandas()


def test_the_slider_follows_a_run_until_it_is_moved(store: RunStore, claimed: Claim) -> None:
    from mtl_core.events import Epoch
    from mtl_core.training import train

    spec = RunSpec.parse({**small().to_json(), "training": {**small().to_json()["training"], "epochs": 4}})
    run = claimed(spec)
    told = [event for event in train([spec]) if event.event in ("started", "epoch")]

    def pause() -> None:
        store.request_stop(run.id)
        store.release(run.id, "w", "stopped")

    at = visit(run=run.id)
    for event in told:
        store.append(run.id, "w", cast(Epoch, event))
        if not isinstance(event, Epoch):
            continue
        healthy(at.run())
        (slider,) = [each for each in at.slider if each.key == "play.epoch.now"]
        assert (slider.value, slider.max, slider.disabled) == (event.epoch, 4, True)
        if event.epoch == 2:
            pause()
            assert healthy(at.run()).select_slider(key="play.epoch").value == "2"
            assert "epoch" not in at.query_params
            break
    store.resume(run.id)
    store.register_worker("w", 0)
    store.claim_together("w", 1)
    store.append(run.id, "w", cast(Epoch, told[3]))
    pause()
    assert healthy(at.run()).select_slider(key="play.epoch").value == "3"
    at.select_slider(key="play.epoch").set_value("1").run()
    assert "after epoch 1." in texts(healthy(at.run()))
    assert at.query_params["epoch"] in ("1", ["1"])


def test_controls_that_say_something_else_say_what() -> None:
    at = visit(run="example-conflict-mmoe-0", **{"b.weights": "20,1", "d.rows": "30000"})
    (info,) = at.info
    assert "rows 30000 instead of 24000" in info.value
    assert "weights 20:1 instead of 1:1" in info.value
    at.button(key="adopt.example-conflict-mmoe-0").click().run()
    assert healthy(at).info.len == 0


def test_a_run_without_a_yardstick_offers_to_train_it(store: RunStore, trained: Claim) -> None:
    run = trained(small())
    at = visit(run=run.id)
    assert "no dotted lines and no gains" in texts(healthy(at))
    at.button(key="yardstick").click().run()
    assert RunSpec.parse(store.runs(limit=1)[0].spec) == baseline_spec(small())


def test_one_seed_stands_beside_what_all_seeds_say() -> None:
    said = texts(healthy(visit(run="example-conflict-mmoe-0")))
    assert "one seed proves nothing" in said
    assert "Over 16 paired seeds: A +25.7 ±9.9 and B +13.2 ±5.4" in said


def test_reset_goes_back_to_the_beginning(store: RunStore, trained: Claim) -> None:
    query = {"d.rows": "500", "epochs": "2", "batch_size": "100", "device": "cpu"}
    done = trained(small())
    at = visit(run=done.id, **query)
    at.button(key="reset").click().run()
    fresh = record_of(store, one(healthy(at), "run"))
    assert (fresh.state, fresh.epoch, fresh.spec_key) == ("stopped", 0, done.spec_key)
    assert record_of(store, done.id).state == "finished"
    assert at.button(key="reset").disabled
    assert "nothing is trained yet" in at.get("progress")[0].proto.text
    assert at.button(key="train").label == "Train"
    # It is reused, not piled up.
    at = visit(run=done.id, **query)
    at.button(key="reset").click().run()
    assert one(at, "run") == fresh.id
    # One that was not finished gives way.
    at.button(key="train").click().run()
    assert record_of(store, fresh.id).state == "queued"
    at.button(key="reset").click().run()
    assert store.get(fresh.id) is None
    assert record_of(store, one(healthy(at), "run")).state == "stopped"


@pytest.mark.usefixtures("real_workers")
def test_step_trains_one_epoch_at_a_time(store: RunStore) -> None:
    at = visit(**{"d.rows": "500", "epochs": "3", "batch_size": "100", "device": "cpu"})
    at.button(key="step").click().run()
    (run,) = store.runs()
    for epoch in (1, 2):
        wait_for(lambda: record_of(store, run.id).state == "stopped")
        assert record_of(store, run.id).epoch == epoch
        at.run()
        assert f"Paused after epoch {epoch} of 3" in healthy(at).get("progress")[0].proto.text
        assert at.button(key="train").label == "Go on"
        at.button(key="step").click().run()
    # The last step ends the run.
    wait_for(lambda: record_of(store, run.id).state == "finished")


def test_the_time_is_not_promised_before_anybody_knows(store: RunStore, trained: Claim) -> None:
    at = visit()
    assert "not known yet" in texts(at)
    trained(small())
    at = visit(**{"d.rows": "500", "epochs": "9", "batch_size": "100", "device": "cpu"})
    assert "as an earlier run on this machine" in texts(at)


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
    at = visit(trunk="ple")
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
    at.number_input(key="play.conflict.rows").set_value(2500)
    at.number_input(key="play.conflict.batch_size").set_value(32)
    at.number_input(key="play.conflict.epochs").set_value(40)
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
    at.button(key="train").click().run()
    stopped = state("stopped", epoch=2)
    at.run()
    assert f"epoch {stopped.epoch} of 40" in at.get("progress")[0].proto.text
    at.button(key="train").click().run()
    done = state("finished")
    assert done.resumed_from == stopped.epoch
    at.run()
    assert "Test AUC" in texts(healthy(at))
    curves = [chart for chart in at.get("vega_lite_chart") if chart.proto.alt.startswith("AUC")]
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
    at.select_slider(key="play.epoch").set_value(str(epoch)).run()
    after = [data(chart) for chart in at.get("vega_lite_chart")]
    assert len(after) == charts
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 2  # architecture and bars; the curves stay
    assert f"epoch {epoch}" in texts(healthy(at))


def test_the_epoch_is_in_the_link_of_its_run_and_of_no_other() -> None:
    at = healthy(visit(run="example-conflict-mmoe-0", epoch="3"))
    assert at.select_slider(key="play.epoch").value == "3"
    assert "after epoch 3" in texts(at)
    assert at.query_params["epoch"] in ("3", ["3"])
    at.query_params["run"] = "example-conflict-ple-0"
    assert "after epoch 15" in texts(healthy(at.run()))
    assert "epoch" not in at.query_params


@pytest.mark.parametrize("epoch", ["0", "99", "-1", "3.5", "x" * 3000, ""])
def test_an_epoch_that_the_run_does_not_have_is_left_out(epoch: str) -> None:
    at = healthy(visit(run="example-conflict-mmoe-0", epoch=epoch))
    assert at.select_slider(key="play.epoch").value == "15"
    assert "epoch" not in at.query_params


def data(chart: Any) -> list[bytes]:
    return [chart.proto.data.data, *(part.data.data for part in chart.proto.datasets)]


def test_a_growing_run_changes_rows_and_nothing_else_in_its_charts(store: RunStore, claimed: Claim) -> None:
    """The browser draws a chart anew when its spec or its alt text changes."""
    from mtl_core.events import Epoch
    from mtl_core.training import train

    spec = small()
    run = claimed(spec)
    told = [event for event in train([spec]) if event.event in ("started", "epoch")]
    at, seen = None, []
    for event in told:
        store.append(run.id, "w", cast(Epoch, event))
        at = visit(run=run.id) if at is None else at.run()
        charts = healthy(at).get("vega_lite_chart")
        seen.append([(chart.proto.spec, chart.proto.alt, data(chart)) for chart in charts])
    first, second = seen[1], seen[2]  # after the first and the second epoch
    # Architecture, gates, curves; weight, length and share; arrows, cosines and conflicts.
    assert len(first) == len(second) == 9
    assert [chart[:2] for chart in first] == [chart[:2] for chart in second]
    assert all(a[2] != b[2] for a, b in zip(first, second, strict=True))
    assert all(alt for chart in second for alt in chart[1:2])
    assert json.loads(first[-1][0])["layer"]


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


def test_the_model_that_the_controls_describe_is_drawn_before_it_is_trained() -> None:
    at = healthy(visit())
    assert not [chart for chart in at.get("vega_lite_chart") if "untrained" in chart.proto.alt]
    at.slider(key="play.conflict.mmoe.experts").set_value(5).run()
    (chart,) = [chart for chart in healthy(at).get("vega_lite_chart") if "untrained" in chart.proto.alt]
    assert chart.proto.alt == "Architecture of MMoE on Conflict, untrained."
    nodes = next(data for data in chart.proto.datasets if data.name == "nodes")
    assert b"S5" in nodes.data.data


def test_words_are_explained_where_they_first_appear() -> None:
    at = visit()
    (title,) = [each for each in at.markdown if "Who listens to whom" in each.value]
    for word in ("**Expert**: ", "**Gate**: ", "**Tower**: "):
        assert word in title.proto.help
    (link,) = [each for each in at.get("page_link") if each.proto.label == "What the words mean"]
    assert link.proto.query_string == "kind=term"
