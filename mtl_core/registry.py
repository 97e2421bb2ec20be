"""The one place where parts are looked up by name.

A part is an `Options` class: `@register("trunk", "mmoe")` on it makes the name known to specs, to the command line, to
the dashboard and to the common test suite.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from mtl_core.options import Options

KINDS = ("encoder", "trunk", "head", "balancer", "dataset", "recipe")
_HOMES = {
    "encoder": "mtl_core.encoders",
    "trunk": "mtl_core.trunks",
    "head": "mtl_core.heads",
    "balancer": "mtl_core.balancing",
    "dataset": "mtl_core.data",
    "recipe": "mtl_core.recipes",
}
_parts: dict[str, dict[str, type[Options]]] = {kind: {} for kind in KINDS}
_titles: dict[tuple[str, str], str] = {}

P = TypeVar("P", bound=type[Options])


class UnknownName(ValueError):
    """A name that no part of its kind has; the message lists the valid ones."""


def register(kind: str, name: str, title: str | None = None) -> Callable[[P], P]:
    """Class decorator: make an `Options` class known as the `kind` called `name`; people read `title`."""

    def add(part: P) -> P:
        if name in _parts[kind]:
            raise ValueError(f"There are two parts of kind {kind} called {name!r}")
        _parts[kind][name] = part
        _titles[kind, name] = title or name.replace("_", " ").capitalize()
        return part

    return add


def names(kind: str) -> tuple[str, ...]:
    """All names of a kind, in the order in which they are taught."""
    importlib.import_module(_HOMES[kind])
    return tuple(_parts[kind])


def get(kind: str, name: str) -> type[Options]:
    """The options class of a part.

    Raises:
        UnknownName: no such part; the message names the valid ones and the nearest.
    """
    known = names(kind)
    if name in known:
        return _parts[kind][name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownName(f"There is no {kind} called {name!r}.{hint} Choose one of: {', '.join(known)}.")


def title(kind: str, name: str) -> str:
    """What people read in place of the name, such as "Shared bottom" for shared_bottom."""
    get(kind, name)
    return _titles[kind, name]


@lru_cache(maxsize=256)
def json_schema(part: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of an options class, made once; shared, so never to be changed."""
    return part.model_json_schema()


@lru_cache(maxsize=256)
def _entry(card: Any) -> dict[str, Any]:
    """A card as plain data, made once; shared, so never to be changed."""
    return asdict(card)


def schema_of(kind: str, name: str) -> dict[str, Any]:
    """The JSON schema of a part's options; shared, so never to be changed."""
    return json_schema(get(kind, name))


def catalogue() -> dict[str, dict[str, Any]]:
    """Every part with the JSON schema of its options (`python -m mtl_core list`).

    Data sets carry their preset too, recipes the data that suit them, and architectures a card: what problem they were
    made for, what they compute, and where they were published.
    """
    result: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        result[kind] = {}
        for name in names(kind):
            part = _parts[kind][name]
            entry: dict[str, Any] = {**json_schema(part), "title": title(kind, name)}
            preset, card = getattr(part, "preset", None), getattr(part, "card", None)
            if preset is not None:
                entry["preset"] = preset()
            if card is not None:
                entry["card"] = _entry(card)
            if kind == "recipe":
                entry["suits"] = cast(Any, part).suits
            result[kind][name] = entry
    return result
