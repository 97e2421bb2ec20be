"""Which runs can train together: those that differ in numbers only, not in structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mtl_core.data.tables import Encoded
from mtl_core.spec import RunSpec, fingerprint

T = TypeVar("T")

#: Training dials that may differ between the members of a population.
FREE = ("learning_rate", "weight_decay", "patience", "selection", "epochs")


def structure(spec: RunSpec) -> str:
    """Equal for runs that may train together, as far as their specs tell.

    They may differ in seed, in what they start from, in the data's dials (rows and columns must then come out alike),
    in step size, weight decay and length, and in those dials of the balancer that are numbers with a decimal point.
    """
    value = spec.to_json()
    training = {name: option for name, option in value["training"].items() if name not in FREE}
    balancer = {name: _shape(option) for name, option in value["balancer"]["options"].items()}
    schema = spec.schema.model_dump(mode="json")
    return fingerprint([value["data"]["name"], schema, value["model"], value["balancer"]["name"], balancer, training])


def groups(specs: Sequence[RunSpec]) -> list[list[int]]:
    """Places of the specs, group by group, in the order in which each group first appears."""
    found: dict[str, list[int]] = {}
    for place, spec in enumerate(specs):
        found.setdefault(structure(spec), []).append(place)
    return list(found.values())


def together(members: Sequence[T], look: Callable[[T], tuple[Encoded, int]]) -> list[list[T]]:
    """Members whose data came out with the same shapes and that have done the same number of epochs."""
    found: dict[Any, list[T]] = {}
    for member in members:
        data, epoch = look(member)
        sizes = tuple(len(split) for split in (data.train, data.valid, data.test))
        found.setdefault((data.columns, sizes, data.train.sequences.shape[1:], epoch), []).append(member)
    return list(found.values())


def _shape(option: Any) -> Any:
    """What is left of an option when its decimal numbers may be any."""
    if isinstance(option, float):
        return "number"
    if isinstance(option, list):
        return [_shape(item) for item in option]
    return option
