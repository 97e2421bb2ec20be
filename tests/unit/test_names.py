"""What models and runs are called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app import comparing, wording
from app.jobs.records import RunRecord
from app.library import examples
from app.names import changed, model_name, system_of
from app.setup_values import recipe_spec
from mtl_core import registry
from mtl_core.comparison import baseline_spec, preset_spec
from mtl_core.spec import RunSpec

RECIPES = registry.names("recipe")


def spec_of(trunk: str = "mmoe", dataset: str = "conflict", **changes: Any) -> RunSpec:
    """A trunk on a data set's preset, with some fields of its parts changed."""
    value = preset_spec(dataset, trunk).to_json()
    for part, fields in changes.items():
        value[part] = {**value[part], **fields} if isinstance(fields, dict) else fields
    return RunSpec.parse(value)


def run(spec: RunSpec) -> RunRecord:
    return replace(examples()["example-conflict-mmoe-0"].record, spec=spec.to_json())


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_published_system_is_called_by_its_name(recipe: str) -> None:
    name = model_name(recipe_spec(recipe).to_json())
    assert name.split(" with ")[0] == registry.title("recipe", recipe)
    assert (" with " in name) == (recipe == "ple")  # whose recipe brings weights that PLE has not by itself


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name not in ("zhihu", "base_cvr")])
def test_widths_make_no_other_system(recipe: str) -> None:
    spec = recipe_spec(recipe).to_json()
    for part in ("encoder", "trunk"):
        options = spec["model"][part]["options"]
        options |= {name: [9, 7] for name, value in options.items() if isinstance(value, list)}
        options |= {name: 6 for name in ("dim", "experts") if options.get(name, 0) > 1}
    spec["model"]["towers"] = [5]
    assert system_of(RunSpec.parse(spec).to_json()) == system_of(recipe_spec(recipe).to_json())


def test_what_makes_a_system_is_not_its_widths() -> None:
    """Shared experts, another way of joining embeddings, another head: none of these is ESMM any more."""
    spec = recipe_spec("esmm").to_json()
    model = spec["model"]
    for changes in (
        {"trunk": {"name": "cgc", "options": {**model["trunk"]["options"], "shared_experts": 1}}},
        {"encoder": {"name": "embedding", "options": {**model["encoder"]["options"], "join": "concat"}}},
        {"trunk": {"name": "shared_bottom", "options": {}}},
    ):
        other = RunSpec.parse({**spec, "model": {**model, **changes}}).to_json()
        assert system_of(other) is None
        assert model_name(other).endswith(" with ESMM")
    assert model_name({**spec, "balancer": {"name": "pcgrad", "options": {}}}) == "ESMM with PCGrad"


def test_a_plain_trunk_is_nobodys_system() -> None:
    """Zhihu's parts are those of every shared bottom, BASE's those of the yardstick of every ESMM."""
    assert model_name(spec_of("shared_bottom", "video_feed").to_json()) == "Shared bottom"
    assert model_name(baseline_spec(recipe_spec("esmm")).to_json()) == "Single task"


@pytest.mark.parametrize(
    ("trunk", "data", "parts", "name"),
    [
        ("mmoe", "conflict", {}, "MMoE"),
        ("shared_bottom", "conflict", {"balancer": {"name": "pcgrad", "options": {}}}, "Shared bottom with PCGrad"),
        ("shared_bottom", "funnel", {"head": "esmm"}, "Shared bottom with ESMM"),
        ("mmoe", "funnel", {"head": "dcmt", "balancer": {"name": "rlw", "options": {}}},
         "MMoE with DCMT and Random loss weighting"),
    ],
)  # fmt: skip
def test_else_a_model_is_called_by_its_parts(trunk: str, data: str, parts: dict[str, Any], name: str) -> None:
    head = parts.pop("head", None)
    spec = spec_of(trunk, data, **parts).to_json()
    if head is not None:
        spec["model"]["head"] = {"name": head, "options": {}}
    record = run(RunSpec.parse(spec))
    assert model_name(record.spec) == name
    assert wording.run_name(record).startswith(f"{name} on ")


def test_what_a_spec_has_otherwise_than_its_preset() -> None:
    assert changed(spec_of()) == {}
    spec = spec_of(
        data={"options": {"rows": 30_000}},
        balancer={"options": {"weights": [20, 1]}},
        training={"epochs": 100, "device": "cpu"},
        seed=3,
    )
    assert changed(spec) == {
        "data.options.rows": 30_000,
        "balancer.options.weights": [20.0, 1.0],
        "training.epochs": 100,
    }


def test_runs_of_one_name_say_in_lists_what_else_they_have() -> None:
    """Only runs of the same name do, and only what is not in all of them."""
    specs = [
        spec_of(),
        spec_of(balancer={"options": {"weights": [20, 1]}}),
        spec_of(data={"options": {"rows": 30_000}}),
        spec_of(training={"epochs": 100}),
        spec_of("ple", training={"epochs": 100}),
    ]
    records = [run(spec) for spec in specs]
    assert wording.run_names(records) == [
        "MMoE on Conflict, seed 0",
        "MMoE (weights 20:1) on Conflict, seed 0",
        "MMoE (rows 30000) on Conflict, seed 0",
        "MMoE (100 epochs) on Conflict, seed 0",
        "PLE on Conflict, seed 0",
    ]
    chips = comparing.name_runs(records)
    assert len({name.split(" ", 1)[1] for name in chips}) == len(records)
    assert "rows 30000" in chips[2]
    assert "100 epochs" in chips[3]
    both = [run(spec_of(seed=seed, training={"epochs": 100})) for seed in (0, 1)]
    assert wording.run_names(both) == ["MMoE on Conflict, seed 0", "MMoE on Conflict, seed 1"]
