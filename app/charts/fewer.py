"""Fewer experts where a level has too many to be told apart: those that the gates weigh most are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core_texts import gate_name
from app.i18n import tr
from mtl_core.events import GateSummary
from mtl_core.trunks.wiring import Expert, Gate, Level, Wiring, gate_key

#: Experts of a level that are drawn: a column of a matrix is then as wide as two digits on a small laptop.
MOST_EXPERTS = 24


@dataclass(frozen=True)
class Fewer:
    """A trunk without the experts that are not drawn."""

    wiring: Wiring
    whole: Wiring
    #: Per level the places of its experts that are drawn, ascending.
    kept: tuple[tuple[int, ...], ...]

    @property
    def all_drawn(self) -> bool:
        """Is nothing left out?"""
        return self.wiring is self.whole

    def gates(self, gates: Mapping[str, GateSummary]) -> dict[str, GateSummary]:
        """Summaries of the experts that are drawn; their weights stay as they are and need not sum to 1."""
        if self.all_drawn:
            return dict(gates)
        found = {}
        for number, (level, kept) in enumerate(zip(self.whole.levels, self.kept, strict=True), start=1):
            for gate in level.gates:
                summary = gates.get(gate_key(number, gate.name))
                if summary is not None:
                    mean, histogram = ([values[e] for e in kept] for values in (summary.mean, summary.histogram))
                    update = {"mean": mean, "histogram": histogram}
                    found[gate_key(number, gate.name)] = summary.model_copy(update=update)
        return found

    def note(self, level: int, gates: Mapping[str, GateSummary]) -> str:
        """What is not drawn of a level, counted from 1, and how much of each task's mix that is; "" if all is drawn."""
        whole, kept = self.whole.levels[level - 1], self.kept[level - 1]
        if len(kept) == len(whole.experts):
            return ""
        told = {"n": len(kept), "all": len(whole.experts)}
        own = [gate for gate in whole.gates if gate.chooses and gate_key(level, gate.name) in gates]
        if not own:
            return tr("Drawn: {n} of {all} experts.", **told)
        parts = []
        for gate in own:
            mean = gates[gate_key(level, gate.name)].mean
            share = sum(mean[e] for e in gate.sees if e not in kept)
            parts.append(tr("{share:.0%} of the mix of {gate}", share=share, gate=gate_name(gate)))
        return tr(
            "Drawn: the {n} of {all} experts that a gate weighs most. The others hold {shares}.",
            shares=tr(", ").join(parts), **told,
        )  # fmt: skip


def fewer(wiring: Wiring, gates: Mapping[str, GateSummary], most: int = MOST_EXPERTS) -> Fewer:
    """Choose the experts to draw.

    Args:
        wiring: the trunk.
        gates: of the tested epoch, whatever epoch is drawn, so that no expert comes and goes with a slider; empty
            where nothing is trained.
        most: of a level. A few more are drawn where each gate's first one and a reader of each stream need them.
    """
    kept = tuple(_chosen(number, level, gates, most) for number, level in enumerate(wiring.levels, start=1))
    pairs = list(zip(wiring.levels, kept, strict=True))
    if all(len(places) == len(level.experts) for level, places in pairs):
        return Fewer(wiring, wiring, kept)
    levels = tuple(_cut(level, places) for level, places in pairs)
    return Fewer(wiring.model_copy(update={"levels": levels}), wiring, kept)


def _chosen(number: int, level: Level, gates: Mapping[str, GateSummary], most: int) -> tuple[int, ...]:
    everyone = range(len(level.experts))
    if len(level.experts) <= most:
        return tuple(everyone)
    weight = [0.0] * len(level.experts)
    needed: set[int] = set()
    for gate in level.gates:
        summary = gates.get(gate_key(number, gate.name))
        sizes = {e: abs(summary.mean[e]) if summary else 1 / len(gate.sees) for e in gate.sees}
        needed.add(max(sizes, key=lambda e: (sizes[e], -e)))
        for e, size in sizes.items():
            weight[e] = max(weight[e], size)
    ranked = sorted(everyone, key=lambda e: (-weight[e], e))
    streams: set[tuple[int, ...]] = set()
    for e in ranked:  # the picture keeps every stream that anyone reads
        if (reads := _reads(level.experts[e])) not in streams:
            streams.add(reads)
            needed.add(e)
    for e in ranked:
        if len(needed) >= most:
            break
        needed.add(e)
    return tuple(sorted(needed))


def _reads(expert: Expert) -> tuple[int, ...]:
    return (-1 if expert.level is None else expert.level, expert.source, *expert.also)


def _cut(level: Level, kept: Sequence[int]) -> Level:
    place = {e: i for i, e in enumerate(kept)}
    experts = tuple(level.experts[e] for e in kept)
    return level.model_copy(update={"experts": experts, "gates": tuple(_seen(gate, place) for gate in level.gates)})


def _seen(gate: Gate, place: Mapping[int, int]) -> Gate:
    def mapped(experts: Sequence[int]) -> tuple[int, ...]:
        return tuple(place[e] for e in experts if e in place)

    fixed = tuple(weight for e, weight in zip(gate.sees, gate.fixed, strict=True) if e in place) if gate.fixed else ()
    update = {
        "sees": mapped(gate.sees), "detached": mapped(gate.detached), "native": mapped(gate.native), "fixed": fixed,
    }  # fmt: skip
    return gate.model_copy(update=update)
