"""A small made-up shop log with the features that a real one has, for a first look at `table` without any file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtl_core.data.table.reading import Kind, Source

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

ROWS = 4000


@dataclass(frozen=True)
class Made(Source):
    """A table in memory in place of a file."""

    held: dict[str, pa.ChunkedArray] = field(default_factory=dict)

    def read(self, kinds: Mapping[str, Kind], keep: NDArray[np.int64] | None = None) -> dict[str, pa.ChunkedArray]:
        from mtl_core.data.table.reading import as_number, as_text

        found = {name: self.held[name] if keep is None else self.held[name].take(keep) for name in kinds}
        return {n: as_text(c) if kinds[n] == "text" else as_number(c, n, kinds[n]) for n, c in found.items()}

    def head(self, rows: int) -> dict[str, pa.ChunkedArray]:
        return self.read(dict.fromkeys(self.columns, "text"), np.arange(min(rows, self.rows)))

    def sha256(self) -> str:
        return ""


@lru_cache(maxsize=1)
def example() -> Source:
    """4,000 exposures of 200 items to 300 people: ids, gaps, a history, a position, a click and a purchase."""
    import pyarrow as pa

    rng = np.random.default_rng(2024)
    user, item = rng.integers(0, 300, ROWS), rng.integers(0, 200, ROWS)
    tastes, kinds = rng.standard_normal((300, 3)), rng.standard_normal((200, 3))
    liking = (tastes[user] * kinds[item]).sum(1)
    age, price = rng.integers(18, 75, 300)[user].astype(np.float64), np.exp(rng.normal(3, 1, 200))[item].round(2)
    position = rng.integers(1, 11, ROWS)
    wanting = 0.8 * liking + 0.6 * rng.standard_normal(300)[user] - 0.3 * np.log(price / 20)
    click = rng.random(ROWS) < 1 / (1 + np.exp(1.2 - 0.9 * liking + 0.15 * position))
    buy = click & (rng.random(ROWS) < 1 / (1 + np.exp(0.8 - wanting)))
    lengths = rng.integers(0, 7, ROWS)
    seen = rng.integers(0, 200, (ROWS, 7))
    city = np.array(["Bern", "Lima", "Oslo", "Pune"])[rng.integers(0, 4, 300)][user]
    held = {
        "user_id": pa.array([f"u{u:03d}" for u in user]),
        "item_id": pa.array([f"i{i:03d}" for i in item]),
        "age": pa.array(age, mask=rng.random(ROWS) < 0.08),
        "city": pa.array(city, mask=rng.random(ROWS) < 0.05),
        "price": pa.array(price),
        "history": pa.array([" ".join(f"i{i:03d}" for i in row[:n]) for row, n in zip(seen, lengths, strict=True)]),
        "position": pa.array(position),
        "click": pa.array(click.astype(np.int8)),
        "buy": pa.array(buy.astype(np.int8)),
    }
    columns = {name: pa.chunked_array([values]) for name, values in held.items()}
    source = Made(Path("example"), "parquet", tuple(columns), ROWS)
    return replace(source, held=columns)
