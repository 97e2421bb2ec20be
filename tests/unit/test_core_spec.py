"""Specs: defaults, JSON and keys, and one clear line for whatever cannot be run."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_core import registry
from mtl_core.spec import RunSpec, SpecError


def refused(value: object) -> str:
    """The message with which a spec is refused: one line, and a sentence."""
    with pytest.raises(SpecError) as caught:
        RunSpec.parse(value)
    message = str(caught.value)
    assert message
    assert message.splitlines() == [message]
    assert message.endswith(".")
    return message


def put(path: str, value: object) -> dict[str, Any]:
    """A spec with one value at a dotted path."""
    spec: dict[str, Any] = {}
    *steps, last = path.split(".")
    target = spec
    for step in steps:
        target = target.setdefault(step, {})
    target[last] = value
    return spec


def test_an_empty_spec_is_a_runnable_one() -> None:
    """Everything has a default: the seesaw preset's world, MMoE, independent heads, equal weights, seed 0."""
    spec = RunSpec.parse({})
    assert [
        part.name for part in (spec.data, spec.model.encoder, spec.model.trunk, spec.model.head, spec.balancer)
    ] == [
        "conflict",
        "embedding",
        "mmoe",
        "independent",
        "static",
    ]
    assert spec.seed == 0
    assert spec.training.device == "auto"
    assert spec.training.selection == "best"
    assert spec.schema.task_names == ("A", "B")


def test_options_are_written_out() -> None:
    """After parsing, the spec holds every option, so that it says what was run."""
    written = RunSpec.parse({"model": {"trunk": {"name": "ple"}}}).to_json()
    assert set(written["model"]["trunk"]["options"]) == {"shared_experts", "task_experts", "levels", "expert_layers"}
    assert {"rows", "relatedness"} <= set(written["data"]["options"])
    assert json.loads(json.dumps(written, allow_nan=False)) == written


SPECS: list[dict[str, Any]] = [
    {},
    {"seed": 2**31 - 1},
    {"model": {"recipe": "mmoe"}},
    {"model": {"trunk": {"name": "ple", "options": {"task_experts": [2, 3], "levels": 3}}, "towers": []}},
    {"model": {"trunk": {"name": "single_task"}}, "balancer": {"options": {"weights": [1, 0.5]}}},
    {"data": {"name": "adult", "options": {"variant": "hard"}}, "training": {"device": "cuda:1", "optimizer": "sgd"}},
    *({"model": {"trunk": {"name": name}}} for name in registry.names("trunk")),
    *({"data": {"name": name}} for name in registry.names("dataset") if name != "table"),
]


@pytest.mark.parametrize("value", SPECS, ids=str)
def test_json_round_trip(value: dict[str, Any]) -> None:
    """Parsed, written, read and parsed again is the same spec with the same key."""
    spec = RunSpec.parse(value)
    again = RunSpec.parse(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.key == spec.key
    assert RunSpec.parse(spec) == spec
    assert again == RunSpec.parse(value)


def test_keys_do_not_depend_on_how_defaults_are_written() -> None:
    """Left out, written out, in another order, an integer for a float: the same key. A recipe is what it stands for."""
    spec = RunSpec.parse({})
    assert RunSpec.parse({"seed": 0, "data": {}, "model": {"trunk": {"name": "mmoe"}}}).key == spec.key
    backwards = dict(reversed(spec.to_json().items()))
    assert RunSpec.parse(backwards).key == spec.key
    one = RunSpec.parse(put("training.learning_rate", 1)).key
    assert one == RunSpec.parse(put("training.learning_rate", 1.0)).key
    recipe = RunSpec.parse({"model": {"recipe": "mmoe"}})
    assert RunSpec.parse({"model": recipe.to_json()["model"]}).key == recipe.key


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        put("training.epochs", 77),
        put("training.device", "cpu"),
        put("data.options.noise", 0.31),
        put("model.trunk.name", "omoe"),
        put("model.trunk.options.experts", 5),
        put("model.towers", []),
        put("balancer.options.weights", [1, 2]),
    ],
    ids=str,
)
def test_keys_tell_different_specs_apart(change: dict[str, Any]) -> None:
    """Whatever decides a run's numbers is in the key."""
    assert RunSpec.parse(change).key != RunSpec.parse({}).key


def test_specs_are_frozen() -> None:
    """Nothing changes a spec after it was checked."""
    spec = RunSpec.parse({})
    for target, name in ((spec, "seed"), (spec.training, "epochs"), (spec.model.trunk, "name")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(target, name, 1)


def test_parsing_leaves_the_given_object_alone() -> None:
    """A caller's dict is not filled in behind its back (T7b)."""
    value = {"model": {"trunk": {"name": "cgc", "options": {"task_experts": [1, 2]}}}}
    before = json.dumps(value)
    RunSpec.parse(value)
    assert json.dumps(value) == before


# T33
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("data.name", "dataset"),
        ("model.encoder.name", "encoder"),
        ("model.trunk.name", "trunk"),
        ("model.head.name", "head"),
        ("balancer.name", "balancer"),
        ("model.recipe", "recipe"),
    ],
)
def test_an_unknown_name_lists_the_valid_ones(path: str, kind: str) -> None:
    """And the place in the spec; a near miss is met with a suggestion."""
    message = refused(put(path, "nonsense"))
    assert message.startswith(path.rsplit(".", 1)[0] + ":")
    assert "'nonsense'" in message
    for name in registry.names(kind):
        assert name in message
    near = registry.names(kind)[0][:-1]
    assert f"Did you mean {registry.names(kind)[0]!r}" in refused(put(path, near))


@pytest.mark.parametrize(
    ("path", "choices"),
    [
        ("sed", ["data", "model", "balancer", "training", "seed"]),
        ("training.epoch", ["epochs", "batch_size", "learning_rate"]),
        ("model.tower", ["encoder", "trunk", "towers", "head"]),
        ("model.trunk.nam", ["name", "options"]),
        ("data.seed", ["name", "options"]),
        ("model.trunk.options.expert", ["experts", "expert_layers"]),
        ("data.options.row", ["relatedness", "rows", "noise"]),
        ("balancer.options.weight", ["weights"]),
    ],
)
def test_an_unknown_field_lists_the_fields_of_its_place(path: str, choices: list[str]) -> None:
    """Not those of some other place."""
    message = refused(put(path, 1))
    assert message.startswith(path + ":")
    assert all(choice in message for choice in choices)
    if path.count("."):
        assert "balancer, training" not in message


def test_a_recipe_with_options_it_does_not_have() -> None:
    """The path names the option."""
    message = refused({"model": {"recipe": "mmoe", "options": {"experts": 3}}})
    assert message.startswith("model.options.experts:")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", -1),
        ("seed", 2**31),
        ("seed", 10**30),
        ("seed", 1.5),
        ("seed", "one"),
        ("seed", None),
        ("training.epochs", 0),
        ("training.epochs", 10**400),
        ("training.batch_size", 0),
        ("training.learning_rate", 0),
        ("training.learning_rate", 1.1),
        ("training.learning_rate", float("nan")),
        ("training.learning_rate", float("inf")),
        ("training.learning_rate", "fast"),
        ("training.weight_decay", -0.1),
        ("training.optimizer", "lbfgs"),
        ("training.selection", "first"),
        ("training.device", "gpu"),
        ("training.device", "cuda:x"),
        ("model.towers", [0]),
        ("model.towers", [5000]),
        ("model.towers", [1] * 9),
        ("model.towers", 16),
        ("model.trunk.options.experts", 0),
        ("model.trunk.options.expert_layers", []),
        ("model.encoder.options.dim", 0),
        ("model.encoder.options.embedding_sharing", "none"),
        ("data.options.rows", 10),
        ("data.options.relatedness", float("nan")),
        ("balancer.options.weights", [1, -1]),
        ("balancer.options.weights", [1, float("inf")]),
        ("balancer.options.weights", [1, float("nan")]),
        ("balancer.options.weights", [1, 10**400]),
    ],
)
def test_a_value_out_of_range_is_named(path: str, value: object) -> None:
    """The message begins with the place of the value."""
    assert refused(put(path, value)).startswith(path)


def test_numbers_too_long_to_print_are_refused_too() -> None:
    """Python refuses to print an integer of 5,000 digits; the message must not fail on it."""
    assert refused({"seed": 10**5000}).startswith("seed:")


@pytest.mark.parametrize("name", ["cgc", "ple"])
def test_a_wrong_number_of_task_experts_names_the_tasks(name: str) -> None:
    """Checked against the data set's tasks."""
    message = refused({"model": {"trunk": {"name": name, "options": {"task_experts": [1, 2, 3]}}}})
    assert message.startswith("model.trunk.options:")
    assert "3 numbers for 2 tasks (A, B)" in message


@pytest.mark.parametrize("weights", [[1], [1, 2, 3], []])
def test_a_wrong_number_of_loss_weights_names_the_tasks(weights: list[float]) -> None:
    """One weight per task of the data set, whichever that is."""
    for data, tasks in (("conflict", "A, B"), ("adult", "income, never_married")):
        message = refused({"data": {"name": data}, "balancer": {"options": {"weights": weights}}})
        assert message.startswith("balancer.options:")
        assert f"{len(weights)} numbers for 2 tasks ({tasks})" in message


def test_loss_weights_of_zero_for_all_tasks_are_refused() -> None:
    """Nothing would be trained; one zero among them is fine."""
    assert "all 0" in refused(put("balancer.options.weights", [0, 0]))
    assert RunSpec.parse(put("balancer.options.weights", [1, 0])).balancer.options == {"weights": [1.0, 0.0]}


@pytest.mark.parametrize("value", [None, [], [{}], "mmoe", "{}", 3, 1.5, True, float("nan")])
def test_what_is_no_object_is_no_spec(value: object) -> None:
    """Whole specs and their parts alike."""
    assert "dictionary" in refused(value)
    for path in ("data", "model", "model.trunk", "training", "model.trunk.options"):
        assert refused(put(path, value)).startswith(path)


@pytest.mark.parametrize("part", ["trunk", "encoder", "head", "towers"])
def test_a_recipe_names_the_whole_model(part: str) -> None:
    """Together with a part of its own choosing it would be ambiguous."""
    message = refused({"model": {"recipe": "mmoe", part: [4] if part == "towers" else {}}})
    assert message.startswith("model:")
    assert "recipe" in message


def test_several_problems_come_in_one_line() -> None:
    """All are told at once."""
    message = refused({"seed": -1, "training": {"epochs": 0, "batch_size": 0}})
    assert all(path in message for path in ("seed:", "training.epochs:", "training.batch_size:"))


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\u2028b", "a\x1b[31mb"])
def test_names_with_line_breaks_stay_in_one_line(text: str) -> None:
    """What a spec holds cannot break the line or colour the terminal, wherever it stands."""
    for value in (
        {text: 1},
        {"training": {text: 1}},
        {"model": {"trunk": {"options": {text: 1}}}},
        put("data.name", text),
        put("model.recipe", text),
        put("training.optimizer", text),
    ):
        message = refused(value)
        assert message.isprintable()


def test_nesting_without_end_is_refused() -> None:
    """A few thousand brackets end in a sentence, not in a RecursionError."""
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    for value in (deep, put("data.options", deep), put("data.options.rows", deep), put("model.trunk.name", deep)):
        refused(value)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["mmoe", "ple", "cgc", "conflict", "adult", "auto", "sgd", 0, 1, 2, 0.5, "\ud800", "a\nb"])
)
keys = st.text(max_size=5) | st.sampled_from(
    ["name", "options", "recipe", "weights", "experts", "rows", "seed", "\ud800"]
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)
#: JSON in the shape of a spec, with anything at each place, so that the search gets past the first check.
parts = st.fixed_dictionaries({}, optional={"name": scalars, "options": json_values})
shaped = st.fixed_dictionaries(
    {},
    optional={
        "data": parts | json_values,
        "model": st.fixed_dictionaries(
            {},
            optional={
                "encoder": parts,
                "trunk": parts | json_values,
                "towers": json_values,
                "head": parts,
                "recipe": json_values,
                "options": json_values,
            },
        )
        | json_values,
        "balancer": parts | json_values,
        "training": json_values,
        "seed": scalars,
    },
)


@settings(max_examples=300)
@given(json_values | shaped)
def test_any_json_is_a_spec_or_a_spec_error(value: object) -> None:
    """Nothing else comes out, whatever goes in; what parses, parses again to the same."""
    try:
        spec = RunSpec.parse(value)
    except SpecError as error:
        message = str(error)
        assert message.splitlines() == [message]
        assert message.isprintable()
    else:
        assert RunSpec.parse(spec.to_json()) == spec


def test_specs_and_catalogue_need_neither_torch_nor_pandas() -> None:
    """A page validates specs and renders options without loading them; none of the modules comes in by a side door."""
    code = (
        "import sys, mtl_core.spec; from mtl_core import registry\n"
        "registry.catalogue(); mtl_core.spec.RunSpec.parse({'data': {'name': 'adult'}}).key\n"
        "print([m for m in ('torch', 'pandas', 'sklearn', 'streamlit', 'app') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


def test_catalogue_describes_every_option() -> None:
    """The six kinds, and for each part a schema in which every option has a description and a default."""
    catalogue = registry.catalogue()
    assert tuple(catalogue) == ("encoder", "trunk", "head", "balancer", "dataset", "recipe")
    for kind, known in catalogue.items():
        assert tuple(known) == registry.names(kind)
        for name, entry in known.items():
            assert entry["description"], (kind, name)
            for option, schema in entry.get("properties", {}).items():
                assert schema.get("description"), (kind, name, option)
                if kind != "dataset":
                    assert "default" in schema, (kind, name, option)


def test_a_name_is_registered_once() -> None:
    """A second part of the same name would replace the first without a word."""
    known = registry.get("trunk", "mmoe")
    with pytest.raises(ValueError, match="two parts of kind trunk called 'mmoe'"):
        registry.register("trunk", "mmoe")(known)
    assert registry.get("trunk", "mmoe") is known


def test_a_spec_with_another_seed_is_as_if_read() -> None:
    spec = RunSpec.parse({"data": {"name": "conflict"}, "seed": 3})
    assert spec.key
    other = spec.with_seed(7)
    assert other.key == RunSpec.parse(spec.to_json() | {"seed": 7}).key != spec.key
    assert other.schema is spec.schema
