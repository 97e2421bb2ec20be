"""How large a model will be, counted without building it and without torch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import cast

from mtl_core.columns import Columns
from mtl_core.encoders import EncoderOptions
from mtl_core.heads import HeadOptions
from mtl_core.schema import Feature
from mtl_core.spec import RunSpec
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
    schema, streams = spec.schema, spec.streams
    encoder, trunk = cast(EncoderOptions, spec.model.encoder.part), cast(TrunkOptions, spec.model.trunk.part)
    head = cast(HeadOptions, spec.model.head.part)
    columns = Columns.of(schema, _rows)
    seen = columns.without("position")[0] if head.hides_positions() else columns
    width = encoder.width(seen)
    sizes = spec.model.towers if head.vectors else (*spec.model.towers, 1)
    widths = spec.wiring.widths
    towers = 0
    for task in head.towers(schema.tasks):
        towers += sum((a + 1) * b for a, b in itertools.pairwise((widths[task], *sizes)))
    embedded = (*schema.fields, *(f for f in schema.sequences if f.table_of is None))
    count = (
        encoder.parameters(seen, streams)
        + trunk.parameters(schema.task_names, streams, width)
        + towers
        + head.parameters(schema.tasks, columns, sizes[-1] if sizes else widths[0])
    )
    least = any(f.kind != "numeric" and not f.categories for f in embedded)
    return Size(count, exact=all(f.kind != "numeric" and f.categories for f in embedded), least=least)


def _rows(feature: Feature) -> int:
    """Embedding rows of a field, unknown row included; a numeric one may turn out to have fewer distinct values."""
    return (feature.bins or len(feature.categories or ())) + 1
