"""Write small files of the made worlds: `python sample_data/make_tables.py`.

Each holds what a practitioner would have (features and labels), not the hidden truth, so that it can be tried as a
file of one's own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import pandas as pd

from mtl_core import registry
from mtl_core.data.base import DatasetOptions

TARGET = Path(__file__).parent
#: World -> options that make it small.
WORLDS: dict[str, dict[str, object]] = {
    "conflict": {"rows": 2000},
    "mmoe_synthetic": {"rows": 1000},
    "funnel": {"rows": 6000},
    "video_feed": {"rows": 6000},
    "ecommerce_sequences": {"rows": 3000},
}


def main() -> int:
    """Write every world."""
    for name, options in WORLDS.items():
        part = cast(DatasetOptions, registry.get("dataset", name).model_validate(options))
        frames = part.frames(seed=0)
        table = pd.concat([frames.train, frames.valid, frames.test], ignore_index=True)
        table = table.drop(columns=list(part.table_schema().hidden))
        table.to_parquet(TARGET / f"{name}.parquet", index=False, compression="zstd")
    return 0


if __name__ == "__main__":
    sys.exit(main())
