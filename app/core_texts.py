"""Texts that pages show and the core brings: titles, descriptions, options, choices, cards.

The core speaks English and knows of no other language. `core_texts` walks all that is registered and gives each text
as pages look it up, with the places where it stands; the catalogue of the core's texts is made of it, so that a new
part or option has its line there before anybody asks. No Streamlit, no torch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from app.families import FAMILIES
from app.i18n import core
from app.setup_values import PRESETS
from mtl_core import registry
from mtl_core.card import Card
from mtl_core.comparison import preset_spec
from mtl_core.data.base import DatasetOptions
from mtl_core.options import Options
from mtl_core.spec import RunSpec, TrainingSpec
from mtl_core.trunks.wiring import Gate

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

#: A translator is told this many of the places of one text.
PLACES = 4
#: Options with up to this many values are tried one by one for what they make of a data set's tasks.
FEW = 8


def paragraphs(description: str) -> tuple[str, ...]:
    """A part's description paragraph by paragraph, without the line ends of its source."""
    return tuple(" ".join(text.split()) for text in inspect.cleandoc(description).split("\n\n"))


def label(name: str) -> str:
    """expert_layers -> Expert layers; a letter of a formula stays as the formula has it."""
    return name if len(name) == 1 else name.replace("_", " ").capitalize()


def words(value: object) -> str:
    """A choice as people read it: sum_by_role -> sum by role."""
    return str(value).replace("_", " ")


def title(kind: str, name: str) -> str:
    """What a part is called, in the reader's language."""
    return core(registry.title(kind, name))


def in_words(name: str) -> str:
    """An option's name within a sentence: expert layers."""
    said = core(label(name))
    return words(name) if said == label(name) else said


def gate_name(gate: Gate) -> str:
    """What a gate is called: a task's own by the task, others in the reader's language (shared, all tasks, next S2)."""
    if gate.owner is not None:
        return gate.name
    words, number = _numbered(gate.name)
    return core(words) + number


def _numbered(name: str) -> tuple[str, str]:
    """next S2 -> next, S2 with the blank before it; of a name without a number all is words."""
    found = re.fullmatch(r"(.*?)( S\d+)?", name)
    return (found[1], found[2] or "") if found else (name, "")


def core_texts() -> dict[str, list[str]]:
    """Every text with its places, in teaching order."""
    found: dict[str, list[str]] = {}
    for text, place in _walk():
        if text and place not in found.setdefault(text, []):
            found[text].append(place)
    return found


def template() -> Catalog:
    """The texts as a catalogue without translations: what `locale/core.pot` holds."""
    from babel.messages.catalog import Catalog

    catalog = Catalog(
        project="Seesaw", version="1", charset="utf-8", fuzzy=False,
        header_comment="# Texts of the core that pages show. Made by `python -m app.locale.update`: not to be edited.",
    )  # fmt: skip
    for text, places in core_texts().items():
        more = len(places) - PLACES
        told = [*places[:PLACES], *([f"and {more} more"] if more > 0 else [])]
        # Babel takes "20% of exposures" and x^{j-1} for formats.
        catalog.add(text, auto_comments=told).flags.clear()
    return catalog


def _walk() -> Iterator[tuple[str, str]]:
    for preset in PRESETS:
        yield preset, "preset of the playground"
    for kind in registry.KINDS:
        for group in FAMILIES.get(kind, {}):
            yield group, f"group of {kind}s"
        for name in registry.names(kind):
            yield from _part(kind, name)
    for name in registry.names("trunk"):
        for level in preset_spec("conflict", name).wiring.levels:
            for gate in level.gates:
                if gate.owner is None:
                    yield _numbered(gate.name)[0], f"trunk {name}: gate of no task"
    yield from _options(registry.json_schema(TrainingSpec), "training")
    towers = registry.json_schema(RunSpec)["$defs"]["ModelSpec"]["properties"]["towers"]
    yield from _options({"properties": {"towers": towers}}, "model")


def _part(kind: str, name: str) -> Iterator[tuple[str, str]]:
    part, place = registry.get(kind, name), f"{kind} {name}"
    yield registry.title(kind, name), f"{place}: title"
    described = paragraphs(part.__doc__ or "")
    # Of a data set's description pages show the first paragraph only.
    for text in described[:1] if kind == "dataset" else described:
        yield text, f"{place}: description"
    card = cast(Card | None, getattr(part, "card", None))
    if card is not None:
        yield card.problem, f"{place}: the problem it was made for"
    yield from _options(registry.json_schema(part), place)
    if kind == "dataset":
        for task, text in _tasks(part):
            yield text, f"{place}: task {task}"


def _options(schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    for name, field in schema.get("properties", {}).items():
        yield label(name), f"{place}: option"
        yield str(field.get("description", "")), f"{place}: option {name}"
        for value in _choices(field):
            if isinstance(value, str):
                yield words(value), f"{place}: choice of {name}"


def _choices(field: Mapping[str, Any]) -> list[Any]:
    """The values of an option that has a few: choices, yes and no, small whole numbers."""
    if "enum" in field:
        return list(field["enum"])
    if field.get("type") == "boolean":
        return [False, True]
    if field.get("type") == "integer" and field.get("maximum", FEW) - field.get("minimum", 0) < FEW:
        return list(range(field["minimum"], field["maximum"] + 1))
    return []


def _tasks(part: type[Options]) -> Iterator[tuple[str, str]]:
    """What a data set says of its tasks, whatever its options."""
    fields = registry.json_schema(part).get("properties", {})
    variants = [{}, *({name: value} for name, field in fields.items() for value in _choices(field))]
    for variant in variants:
        try:
            data = cast(DatasetOptions, part.model_validate(variant))
        except ValueError:
            continue  # this value asks for another option, too
        for task in data.table_schema().tasks:
            yield task.name, task.description
