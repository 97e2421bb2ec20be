"""What of a large architecture is drawn: a browser takes two thousand marks without delay, and no eye takes more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.i18n import tr
from mtl_core.trunks.wiring import Wiring, gate_key

#: Boxes, names, gates and lines of one picture.
MOST_MARKS = 1900
#: With more boxes and gates than this, boxes carry no names: there would be no room to read them.
MOST_NODES = 1200


@dataclass(frozen=True)
class Room:
    """What is drawn. Of lines that all count alike, every so-manieth."""

    named: bool = True
    #: Of lines into experts.
    reads: int = 1
    #: Of lines from experts to gates, where nothing is trained.
    lines: int = 1
    #: Where something is: the mean weight below which no such line is drawn.
    least: float = 0.0

    @property
    def note(self) -> str:
        """What is left out."""
        parts = []
        if self.least:
            parts.append(tr("Gate lines of less than {share:.1%} are not drawn", share=self.least))
        if self.lines > 1:
            parts.append(tr("one gate line of {n} is drawn", n=self.lines))
        if self.reads > 1:
            parts.append(tr("one line into experts of {n} is drawn", n=self.reads))
        if not self.named:
            parts.append(tr("names are shown under the pointer"))
        text = tr("; ").join(parts)
        return tr("{claim}.", claim=text[:1].upper() + text[1:]) if text else ""


def room(wiring: Wiring, weights: Mapping[str, Sequence[float]] | None, beside: int) -> Room:
    """What there is room for.

    Args:
        wiring: the trunk.
        weights: mean weights by gate; None: nothing is trained.
        beside: boxes and lines of the head, of which all are drawn.
    """
    gates = [gate for level in wiring.levels for gate in level.gates]
    boxes = len(wiring.embeddings) + sum(len(level.experts) for level in wiring.levels)
    nodes = 2 * boxes + len(gates)
    named = nodes + beside <= MOST_NODES
    left = MOST_MARKS - beside - (nodes if named else nodes - boxes)
    left -= sum(map(len, wiring.outputs)) + sum(len(gate.native) + gate.modulates for gate in gates)
    left -= sum(len(level.experts) - 1 for level in wiring.levels if level.tied)
    reads = sum(1 + len(expert.also) for level in wiring.levels for expert in level.experts)
    seen = sum(len(gate.sees) for gate in gates)
    few = _every(reads, max(left - seen, left // 2))
    left -= -(-reads // few)
    sizes = sorted(
        (
            abs(mean[e])
            for number, level in enumerate(wiring.levels, start=1)
            for gate in level.gates
            if (mean := (weights or {}).get(gate_key(number, gate.name))) is not None
            for e in gate.sees
        ),
        reverse=True,
    )
    if sizes:
        return Room(named, few, 1, sizes[left] if len(sizes) > left else 0.0)
    return Room(named, few, _every(seen, left))


def _every(count: int, most: int) -> int:
    """Every so-manieth of a count is at most so many."""
    return max(1, -(-count // max(most, 1)))
