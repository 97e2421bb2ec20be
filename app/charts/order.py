"""In which order experts are drawn, the same in every chart."""

from __future__ import annotations

from collections.abc import Sequence

from app.i18n import tr
from mtl_core.trunks.wiring import Level, Wiring


def drawing_order(level: Level) -> list[int]:
    """Private experts of the first half of the tasks, then shared ones, then the rest: each near its own gate."""
    return by_owner([expert.owner for expert in level.experts], [gate.owner for gate in level.gates])


def tallest(wiring: Wiring) -> int:
    """Nodes of the fullest column."""
    return max(len(wiring.embeddings), *(len(level.experts) for level in wiring.levels))


def features_name(wiring: Wiring, stream: int, tasks: Sequence[str]) -> str:
    """What the box of one of the encoder's streams is called."""
    owner = wiring.embeddings[stream]
    if len(wiring.embeddings) == 1:
        return tr("features")
    return tr("shared embeddings") if owner is None else tr("embeddings of {task}", task=tasks[owner])


def by_owner(owners: Sequence[int | None], others: Sequence[int | None] = ()) -> list[int]:
    """Places of `owners` in drawing order; `others` are drawn in the next column, and count where tasks are halved."""
    tasks = sorted({owner for owner in (*owners, *others) if owner is not None})
    half = (len(tasks) + 1) // 2
    places: dict[int | None, int] = {owner: i if i < half else i + 1 for i, owner in enumerate(tasks)}
    return sorted(range(len(owners)), key=lambda e: places.get(owners[e], half))
