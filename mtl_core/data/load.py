"""Encoded data of a spec, kept for the next run that asks for the same."""

from __future__ import annotations

import json
import threading
from typing import cast

from mtl_core.data.base import DatasetOptions
from mtl_core.data.tables import Encoded, encode
from mtl_core.spec import DataSpec

#: The last two are kept whatever their size; older ones as long as all together are no larger than this. A sweep over
#: trunks and seeds comes back to each world once per trunk.
KEPT_BYTES = 256 * 2**20

_kept: dict[tuple[str, str, int], Encoded] = {}
_lock = threading.Lock()


def load(data: DataSpec, seed: int) -> Encoded:
    """Rows of this data set and seed as arrays.

    Raises:
        DataError: see `DatasetOptions.frames` and `tables.encode`.
    """
    key = (data.name, json.dumps(data.options, sort_keys=True), seed)
    with _lock:
        found = _kept.pop(key, None)
        if found is None:
            dataset = cast(DatasetOptions, data.part)
            found = encode(dataset.table_schema(), dataset.frames(seed))
        _kept[key] = found
        while len(_kept) > 2 and sum(encoded.bytes for encoded in _kept.values()) > KEPT_BYTES:
            del _kept[next(iter(_kept))]  # the one that was asked for longest ago
    return found
