"""How large a model will be, counted without building it and without torch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import cast

from mtl_core.encoders import EncoderOptions, SequenceTable
from mtl_core.schema import Feature
from mtl_core.spec import RunSpec


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
    encoder, wiring = cast(EncoderOptions, spec.model.encoder.part), spec.wiring
    vocabulary = [_rows(feature) for feature in schema.fields]
    sequences = [SequenceTable(0 if f.table_of else None, 0 if f.table_of else _rows(f)) for f in schema.sequences]
    sizes = (wiring.width, *spec.model.towers, 1)
    towers = len(schema.tasks) * sum((a + 1) * b for a, b in itertools.pairwise(sizes))
    numeric = len(schema.numeric)
    embedded = (*schema.fields, *(f for f in schema.sequences if f.table_of is None))
    count = (
        encoder.parameters(numeric, vocabulary, spec.streams, sequences)
        + wiring.parameters(encoder.width(numeric, vocabulary, sequences))
        + towers
    )
    least = any(f.kind != "numeric" and not f.categories for f in embedded)
    return Size(count, exact=all(f.kind != "numeric" and f.categories for f in embedded), least=least)


def _rows(feature: Feature) -> int:
    """Embedding rows of a field, unknown row included; a numeric one may turn out to have fewer distinct values."""
    return (feature.bins or len(feature.categories or ())) + 1
