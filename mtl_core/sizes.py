"""How large a model will be, counted without building it and without torch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from mtl_core.columns import Columns
from mtl_core.encoders import EncoderOptions
from mtl_core.heads import HeadOptions
from mtl_core.schema import Feature, Task
from mtl_core.spec import ModelSpec, RunSpec
from mtl_core.trunks import TrunkOptions


@dataclass(frozen=True)
class Size:
    """Trainable parameters; `exact` where nothing depends on values that only the training rows show."""

    parameters: int
    exact: bool
    #: Some categories are not known before the rows are read: their embeddings come on top.
    least: bool = False


def parameter_count(spec: RunSpec) -> Size:
    """The number that the Started event will report, or an upper bound close to it."""
    schema = spec.schema
    count = parameters_of(spec.model, schema.tasks, Columns.of(schema, _rows))
    embedded = (*schema.fields, *(f for f in schema.sequences if f.table_of is None))
    least = any(f.kind != "numeric" and not f.categories for f in embedded)
    return Size(count, exact=all(f.kind != "numeric" and f.categories for f in embedded), least=least)


def parameters_of(model: ModelSpec, tasks: Sequence[Task], columns: Columns) -> int:
    """Trainable parameters of a model for these tasks and inputs."""
    encoder, trunk = cast(EncoderOptions, model.encoder.part), cast(TrunkOptions, model.trunk.part)
    head = cast(HeadOptions, model.head.part)
    names = [task.name for task in tasks]
    streams = encoder.streams(len(tasks), trunk.embeddings)
    seen = columns.without("position")[0] if head.hides_positions() else columns
    sizes = model.towers if head.vectors else (*model.towers, 1)
    widths = trunk.wire(names, streams).widths
    towers = 0
    for task in head.towers(tasks):
        towers += sum((a + 1) * b for a, b in itertools.pairwise((widths[task], *sizes)))
    return (
        encoder.parameters(seen, streams)
        + trunk.parameters(names, streams, encoder.width(seen))
        + towers
        + head.parameters(tasks, columns, sizes[-1] if sizes else widths[0])
    )


def _rows(feature: Feature) -> int:
    """Embedding rows of a field, unknown row included; a numeric one may turn out to have fewer distinct values."""
    return (feature.bins or len(feature.categories or ())) + 1
