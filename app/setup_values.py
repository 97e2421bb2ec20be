"""What the playground's controls start from, and the link that sets them to a given spec. No Streamlit, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from app.url_text import to_text
from mtl_core import registry
from mtl_core.balancing.base import BalancerOptions
from mtl_core.data.base import DatasetOptions
from mtl_core.encoders.base import EncoderOptions
from mtl_core.heads.base import HeadOptions
from mtl_core.recipes.base import RecipeOptions
from mtl_core.schema import Schema
from mtl_core.spec import ModelSpec, PartSpec, RunSpec, TrainingSpec

#: What a part's options begin with in a link; those of the training stand alone.
PREFIXES = {"dataset": "d.", "encoder": "e.", "trunk": "t.", "head": "h.", "balancer": "b."}
DEFAULT_DATA, DEFAULT_TRUNK = "conflict", "mmoe"
#: The presets on top of the page: label -> what the link says. Defaults are left out.
PRESETS: dict[str, dict[str, str]] = {
    "Shared bottom": {"trunk": "shared_bottom"},
    "MMoE": {},
    "PLE": {"trunk": "ple"},
    "PCGrad": {"trunk": "shared_bottom", "balancer": "pcgrad"},
    "MMoE on census data": {"data": "adult"},
    "PLE on census data": {"data": "adult", "trunk": "ple"},
    "ESMM on a funnel": {"data": "funnel", "trunk": "shared_bottom", "head": "esmm"},
    "Your own file": {"data": "table"},
}


def preset_of(dataset: str) -> dict[str, Any]:
    """A data set's preset."""
    return cast(type[DatasetOptions], registry.get("dataset", dataset)).preset()


def default_part(dataset: str, kind: str) -> str:
    """The encoder, head or balancer that a data set's preset begins with."""
    spec = preset_of(dataset)["spec"]
    part = spec.get("balancer", {}) if kind == "balancer" else spec["model"].get(kind, {})
    usual = ModelSpec.model_fields | RunSpec.model_fields
    return str(part.get("name") or usual[kind].get_default(call_default_factory=True).name)


def start_of(dataset: str, kind: str, name: str, tasks: Sequence[str]) -> dict[str, Any]:
    """The options that a part begins with on a data set's preset, every one written out."""
    preset = preset_of(dataset)
    spec = preset["spec"]
    if kind == "trunk":
        given = preset["trunks"].get(name, {})
    else:
        holder = {"dataset": spec["data"], "balancer": spec.get("balancer", {})}.get(kind, spec["model"].get(kind, {}))
        given = holder.get("options", {}) if kind == "dataset" or default_part(dataset, kind) == name else {}
    part = registry.get(kind, name).model_validate(given)
    if isinstance(part, BalancerOptions):
        part = part.canonical(tasks)
    return part.model_dump(mode="json")


def training_start(dataset: str) -> dict[str, Any]:
    """The training options of a data set's preset, every one written out."""
    return TrainingSpec.model_validate(preset_of(dataset)["spec"].get("training", {})).model_dump(mode="json")


def towers_start(dataset: str) -> list[int]:
    """The towers of a data set's preset."""
    return list(preset_of(dataset)["spec"]["model"].get("towers", ModelSpec.model_fields["towers"].default))


def refusals(kind: str, schema: Schema) -> dict[str, str]:
    """Encoders or heads that do not fit these data, with the sentence that says why."""
    found = {}
    for name in registry.names(kind):
        part = cast(EncoderOptions | HeadOptions, registry.get(kind, name)())
        try:
            part.check(schema)
        except ValueError as error:
            found[name] = str(error)
    return found


def query_of(spec: RunSpec, file: str | None = None) -> dict[str, str]:
    """The shortest link that sets the controls to a spec: defaults are left out.

    Args:
        spec: options for which there is no control are left out too.
        file: for a file of one's own, its id.
    """
    data, tasks = spec.data.name, spec.schema.task_names
    query: dict[str, str] = {}

    def put(name: str, value: Any, start: Any) -> None:
        if value != start and (text := to_text(value)) is not None:
            query[name] = text

    def part(kind: str, given: PartSpec, default: str | None, name: str) -> None:
        if default is not None:
            put(name, given.name, default)
        _put_options(put, given.options, start_of(data, kind, given.name, tasks), PREFIXES[kind])

    put("data", data, DEFAULT_DATA)
    if data == "table":
        put("file", file, None)
    else:
        part("dataset", spec.data, None, "data")
    part("trunk", spec.model.trunk, DEFAULT_TRUNK, "trunk")
    for kind, given in (("encoder", spec.model.encoder), ("head", spec.model.head), ("balancer", spec.balancer)):
        part(kind, given, default_part(data, kind), kind)
    put("towers", list(spec.model.towers), towers_start(data))
    _put_options(put, spec.training.model_dump(mode="json"), training_start(data), "")
    put("seed", spec.seed, 0)
    return query


def _put_options(put: Any, options: Mapping[str, Any], starts: Mapping[str, Any], prefix: str) -> None:
    for name, value in options.items():
        holder = name.removesuffix("_options")
        if holder != name and holder in options:
            # The options of the head inside a shallow tower.
            inner = registry.get("head", str(options[holder]))().model_dump(mode="json")
            _put_options(put, value, inner, f"{prefix}{holder}.")
        else:
            put(f"{prefix}{name}", value, starts.get(name))


def recipe_spec(name: str) -> RunSpec:
    """A published system on the data that show what it is for, at a size that suits them."""
    recipe = cast(type[RecipeOptions], registry.get("recipe", name))
    training = preset_of(recipe.suits["name"])["spec"].get("training", {})
    return RunSpec.parse(
        {"data": recipe.suits, "model": {"recipe": name, "options": recipe.sized}, "training": training}
    )
