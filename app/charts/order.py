"""In which order experts are drawn, the same in every chart."""

from __future__ import annotations

from mtl_core.trunks.wiring import Level


def drawing_order(level: Level) -> list[int]:
    """Private experts of the first half of the tasks, then shared ones, then the rest: each near its own gate."""
    everyone = [gate.owner for gate in level.gates] + [expert.owner for expert in level.experts]
    owners = sorted({owner for owner in everyone if owner is not None})
    half = (len(owners) + 1) // 2
    places: dict[int | None, int] = {owner: i if i < half else i + 1 for i, owner in enumerate(owners)}
    return sorted(range(len(level.experts)), key=lambda e: places.get(level.experts[e].owner, half))
