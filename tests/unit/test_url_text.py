"""Values in links: short, and anything else than a value of the option is refused."""

from __future__ import annotations

from typing import Any, cast

import pytest

from app.setup_values import PREFIXES, query_of, recipe_spec
from app.url_text import LONGEST, from_text, to_text
from mtl_core import registry
from mtl_core.comparison import preset_spec
from mtl_core.options import Options
from mtl_core.spec import RunSpec, TrainingSpec

INTEGER = {"type": "integer", "minimum": 1, "maximum": 64}
REAL = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
WHOLE = {"type": "integer", "minimum": 0, "maximum": 32}
LAYERS = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 4096}, "minItems": 1, "maxItems": 3}
PER_TASK = {
    "per_task": True,
    "anyOf": [{"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 9}}, {"type": "null"}],
}
ONE_OR_EACH = {"anyOf": [WHOLE, {"type": "array", "items": WHOLE}]}
MAYBE = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (INTEGER, 12, "12"),
        (REAL, 0.005, "0.005"),
        (REAL, 1e-8, "1e-08"),
        ({"type": "boolean"}, True, "on"),
        ({"type": "boolean"}, False, "off"),
        ({"enum": ["ctr, cvr", "all"], "type": "string"}, "ctr, cvr", "ctr, cvr"),
        ({"enum": [1, 2], "type": "integer"}, 2, "2"),
        (LAYERS, [64, 32], "64-32"),
        ({**LAYERS, "minItems": 0}, [], "none"),
        (PER_TASK, [1.0, 0.2], "1,0.2"),
        (ONE_OR_EACH, 3, "3"),
        (ONE_OR_EACH, [3, 1], "3-1"),
        (MAYBE, None, "none"),
        (MAYBE, 3, "3"),
        ({"type": "string"}, "x y", "x y"),
    ],
)
def test_a_value_and_its_text(field: dict[str, Any], value: Any, text: str) -> None:
    assert to_text(value) == text
    found = from_text(field, text, tasks=2)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (INTEGER, "0"),
        (INTEGER, "65"),
        (INTEGER, "1.5"),
        (INTEGER, "x"),
        (INTEGER, ""),
        (INTEGER, "9" * 400),
        (INTEGER, "²"),
        (INTEGER, "none"),
        (REAL, "1e400"),
        (REAL, "nan"),
        (REAL, "-0.1"),
        (REAL, "2"),
        ({"type": "boolean"}, "True"),
        ({"enum": ["a"], "type": "string"}, "b"),
        (LAYERS, "none"),
        (LAYERS, "1-2-3-4"),
        (LAYERS, "64--32"),
        (LAYERS, "5000"),
        (PER_TASK, "1"),
        (PER_TASK, "1,2,3"),
        (PER_TASK, "1,99"),
        (ONE_OR_EACH, "3-1-1"),
        (ONE_OR_EACH, "3-99"),
        (ONE_OR_EACH, "-1"),
        (ONE_OR_EACH, "3-"),
        ({"type": "string"}, "x" * (LONGEST + 1)),
        ({"type": "string"}, "a\x00b"),
        ({"type": "object"}, "{}"),
    ],
)
def test_what_is_no_value_is_refused(field: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_text(field, text, tasks=2)


def test_what_was_typed_wrong_is_kept_in_no_link() -> None:
    assert to_text([8, "x"]) is None
    assert to_text({"a": 1}) is None


@pytest.mark.parametrize("kind", [kind for kind in registry.KINDS if kind not in ("dataset", "recipe")])
def test_every_option_of_every_part_survives_its_own_text(kind: str) -> None:
    for name in registry.names(kind):
        part = cast(type[Options], registry.get(kind, name))
        schema = registry.json_schema(part)
        for option, value in part().canonical(("A", "B")).model_dump(mode="json").items():
            if not isinstance(value, dict):
                text = to_text(value)
                assert text is not None
                assert from_text(schema["properties"][option], text, tasks=2) == value, (name, option)


@pytest.mark.parametrize("data", registry.names("dataset"))
def test_a_preset_needs_no_more_than_its_names(data: str) -> None:
    for trunk in registry.names("trunk"):
        assert query_of(preset_spec(data, trunk)).keys() <= {"data", "trunk"}
    assert query_of(preset_spec("conflict", "mmoe")) == {}


def test_a_link_says_what_differs_and_nothing_else() -> None:
    value = preset_spec("funnel", "ple").to_json()
    value["data"]["options"]["position_feature"] = True
    value["model"]["head"] = {"name": "shallow_tower", "options": {"inner": "aitm", "inner_options": {"alpha": 0.9}}}
    value["model"]["trunk"]["options"]["levels"] = 3
    value["model"]["towers"] = [12, 6]
    value["balancer"] = {"name": "decay", "options": {"gamma": [0.5, 1.0]}}
    value["training"]["patience"] = 2
    query = query_of(RunSpec.parse({**value, "seed": 7}))
    assert query == {
        "data": "funnel", "d.position_feature": "on", "trunk": "ple", "t.levels": "3", "head": "shallow_tower",
        "h.inner": "aitm", "h.inner.alpha": "0.9", "towers": "12-6", "balancer": "decay", "b.gamma": "0.5,1",
        "patience": "2", "seed": "7",
    }  # fmt: skip


def test_names_in_links_do_not_collide() -> None:
    plain = {"data", "trunk", "encoder", "head", "balancer", "towers", "seed", "run", "file"}
    assert plain.isdisjoint(TrainingSpec.model_fields)
    assert len(set(PREFIXES.values())) == len(PREFIXES)


@pytest.mark.parametrize("name", registry.names("recipe"))
def test_every_published_system_is_a_spec_that_a_link_can_say(name: str) -> None:
    spec = recipe_spec(name)
    query = query_of(spec)
    assert query.get("data", "conflict") == spec.data.name
    assert all(isinstance(text, str) and len(text) < LONGEST for text in query.values())
