"""Encoded data of a spec, kept for the next run that asks for the same."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import cast

from mtl_core.data.base import DatasetOptions
from mtl_core.data.tables import Encoded, encode
from mtl_core.spec import DataSpec


def load(data: DataSpec, seed: int) -> Encoded:
    """Rows of this data set and seed as arrays.

    Raises:
        DataError: see `DatasetOptions.frames` and `tables.encode`.
    """
    return _load(data.name, json.dumps(data.options, sort_keys=True), seed)


@lru_cache(maxsize=2)
def _load(name: str, options: str, seed: int) -> Encoded:
    dataset = cast(DatasetOptions, DataSpec(name=name, options=json.loads(options)).part)
    return encode(dataset.table_schema(), dataset.frames(seed))
