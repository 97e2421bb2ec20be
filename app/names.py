"""What models are called: the published system that they are, else the parts that they are made of.

No Streamlit, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from app.core_texts import title
from app.i18n import tr
from app.setup_values import recipe_spec, start_of, towers_start, training_start
from mtl_core import registry
from mtl_core.spec import RunSpec

#: Parts that go without saying.
USUAL = {"encoder": "embedding", "head": "independent", "balancer": "static"}
#: The parts of a model by which a system is known.
KINDS = ("encoder", "trunk", "head")
#: Fields of a spec that say where it is computed, not what.
NOWHERE = "training.device"

Spec = Mapping[str, Any]


def model_name(spec: Spec, *, with_balancer: bool = True) -> str:
    """ESMM; ESMM with PCGrad; Shared bottom with ESMM and PCGrad; MMoE.

    Args:
        spec: of a run, as JSON data.
        with_balancer: without, models that differ in nothing else have the same name.
    """
    model, balancer = spec["model"], spec["balancer"]["name"]
    system = system_of(spec)
    name = title("recipe", system) if system else title("trunk", model["trunk"]["name"])
    more = []
    if not system and model["head"]["name"] != USUAL["head"]:
        more.append(title("head", model["head"]["name"]))
    if with_balancer and balancer != (_system(system).balancer if system else USUAL["balancer"]):
        more.append(title("balancer", balancer))
    if not more:
        return name
    joined = more[0] if len(more) == 1 else tr("{first} and {last}", first=more[0], last=more[1])
    return tr("{model} with {parts}", model=name, parts=joined)


@dataclass(frozen=True)
class _System:
    """What makes a recipe, by which other models are told to be the same."""

    #: Its parts without their sizes; None: its name says no more than its trunk's.
    traits: Mapping[str, Any] | None
    #: Where its parts are those of many models: data and model down to their sizes.
    exactly: Any
    balancer: str


def system_of(spec: Spec) -> str | None:
    """The recipe that has exactly this encoder, trunk and head, whatever their widths; None where there is none.

    A recipe of a trunk with plain parts around it is a system in its very sizes and on its data only: every shared
    bottom is made of the same parts as Zhihu's.
    """
    model = spec["model"]
    rivals = _made_of().get(tuple(model[kind]["name"] for kind in KINDS), ())  # most models are nobody's: at once
    return next((name for name in rivals if _is(spec, _system(name))), None)


def _is(spec: Spec, system: _System) -> bool:
    return system.exactly in (None, _exactly(spec)) and system.traits == _traits(spec["model"])


@cache
def _made_of() -> dict[tuple[str, ...], list[str]]:
    """Names of encoder, trunk and head -> the recipes that are made of them."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name in registry.names("recipe"):
        if (traits := _system(name).traits) is not None:
            found.setdefault(tuple(traits[kind][0] for kind in KINDS), []).append(name)
    return found


@cache
def _system(recipe: str) -> _System:
    spec = recipe_spec(recipe).to_json()
    model, traits = spec["model"], _traits(spec["model"])
    plain = _sizeless(registry.get("head", USUAL["head"])().model_dump(mode="json"))
    common = model["encoder"]["name"] == USUAL["encoder"] and traits["head"] == (USUAL["head"], plain)
    as_its_trunk = registry.title("recipe", recipe) == registry.title("trunk", model["trunk"]["name"])
    return _System(None if as_its_trunk else traits, _exactly(spec) if common else None, spec["balancer"]["name"])


def _exactly(spec: Spec) -> tuple[str, Any]:
    return str(spec["data"]["name"]), spec["model"]


def _traits(model: Mapping[str, Any]) -> dict[str, Any]:
    parts = {kind: model[kind] for kind in KINDS}
    return {kind: (part["name"], _sizeless(part["options"])) for kind, part in parts.items()}


def _sizeless(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without sizes. Of a count it matters whether there are none, one or several, of a weight if there is one;
    lists are widths.
    """
    return {name: _trait(value) for name, value in options.items() if not isinstance(value, list)}


def _trait(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _sizeless(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return min(value, 2) if isinstance(value, int) else value != 0


def changed(spec: RunSpec) -> dict[str, Any]:
    """What a spec says otherwise than its data set's preset does with these parts: path -> value."""
    value, tasks, data = spec.to_json(), spec.schema.task_names, spec.data.name
    parts = {f"model.{kind}": (kind, value["model"][kind]) for kind in KINDS}
    parts["balancer"] = ("balancer", value["balancer"])
    if data != "table":  # a file of one's own is its own preset
        parts = {"data": ("dataset", value["data"]), **parts}
    found: dict[str, Any] = {}
    for place, (kind, part) in parts.items():
        starts = start_of(data, kind, part["name"], tasks)
        found |= {f"{place}.options.{k}": v for k, v in part["options"].items() if v != starts.get(k)}
    if value["model"]["towers"] != towers_start(data):
        found["model.towers"] = value["model"]["towers"]
    starts = training_start(data)
    found |= {f"training.{k}": v for k, v in value["training"].items() if v != starts[k]}
    found.pop(NOWHERE, None)
    return found
