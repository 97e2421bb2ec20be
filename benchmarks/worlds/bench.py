"""Runs once each, paired by seed, and tables of what came out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from mtl_core.comparison import Interval, paired_interval
from mtl_core.events import Finished
from mtl_core.spec import RunSpec
from mtl_core.training import train

Score = Callable[[Finished], list[float]]


def aucs(finished: Finished) -> list[float]:
    """Test AUC per task, in thousandths."""
    return [1000 * float(values["auc"] or float("nan")) for values in finished.metrics["test"].values()]


class Bench:
    """Trains specs once each, those of one structure together, and remembers what came out."""

    def __init__(self, seeds: int) -> None:
        self.seeds = range(seeds)
        self._known: dict[str, Finished] = {}

    def run(self, specs: Sequence[RunSpec]) -> list[Finished]:
        """The finished event of each run."""
        new = list({spec.key: spec for spec in specs if spec.key not in self._known}.values())
        for event in train(new):
            if isinstance(event, Finished):
                self._known[new[event.run].key] = event
                print(".", end="", file=sys.stderr, flush=True)
            elif event.event == "failed":
                raise SystemExit(event.message)
        return [self._known[spec.key] for spec in specs]

    def differences(self, ours: Sequence[RunSpec], theirs: Sequence[RunSpec], score: Score) -> list[Interval]:
        """Paired differences of a score's numbers, run by run."""
        pairs = [(score(a), score(b)) for a, b in zip(self.run(ours), self.run(theirs), strict=True)]
        return [paired_interval([a[k] - b[k] for a, b in pairs]) for k in range(len(pairs[0][0]))]

    def gains(
        self, make: Callable[[str, int], RunSpec], trunk: str, score: Score, seeds: Iterable[int] | None = None
    ) -> list[Interval]:
        """Gain of a trunk over single-task per number of the score."""
        chosen = list(seeds or self.seeds)
        return self.differences([make(trunk, s) for s in chosen], [make("single_task", s) for s in chosen], score)


def cell(value: Interval, digits: int = 1) -> str:
    """+15.7 \u00b12.8, bold where the interval is clear of zero."""
    text = f"{value.mean:+.{digits}f} \u00b1{value.half_width or 0:.{digits}f}".replace("-", "\u2212")
    return f"**{text}**" if value.verdict != "not distinguishable" else text


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
