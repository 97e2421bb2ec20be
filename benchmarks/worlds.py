"""What the made worlds show: `python -m benchmarks.worlds` measures and writes docs/worlds.md (15 minutes, one core).

Every number is a mean over paired seeds with its 95% interval; the same seed draws the same world for every model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from mtl_core.comparison import Interval, paired_interval, preset_spec
from mtl_core.events import Finished
from mtl_core.registry import title
from mtl_core.spec import RunSpec
from mtl_core.threads import spare_a_core
from mtl_core.train import train

REPORT = Path(__file__).parent.parent / "docs" / "worlds.md"
Score = Callable[[Finished], list[float]]


def aucs(finished: Finished) -> list[float]:
    """Test AUC per task."""
    return [float(values["auc"] or float("nan")) for values in finished.metrics["test"].values()]


class Bench:
    """Trains specs once each and remembers what came out."""

    def __init__(self, seeds: int) -> None:
        self.seeds = range(seeds)
        self._known: dict[str, Finished] = {}

    def run(self, spec: RunSpec) -> Finished:
        """The finished event of one run."""
        if spec.key not in self._known:
            for event in train([spec]):
                if isinstance(event, Finished):
                    self._known[spec.key] = event
                elif event.event == "failed":
                    raise SystemExit(event.message)
            print(".", end="", file=sys.stderr, flush=True)
        return self._known[spec.key]

    def gains(
        self, make: Callable[[str, int], RunSpec], trunk: str, seeds: Iterable[int] | None = None
    ) -> list[Interval]:
        """Gain of a trunk over single-task per task, in thousandths of AUC."""
        chosen = seeds or self.seeds
        pairs = [(aucs(self.run(make(trunk, s))), aucs(self.run(make("single_task", s)))) for s in chosen]
        tasks = range(len(pairs[0][0]))
        return [paired_interval([1000 * (ours[k] - theirs[k]) for ours, theirs in pairs]) for k in tasks]


def cell(value: Interval) -> str:
    """+15.7 ±2.8, bold where the interval is clear of zero."""
    text = f"{value.mean:+.1f} ±{value.half_width or 0:.1f}".replace("-", "\u2212")
    return f"**{text}**" if value.verdict != "not distinguishable" else text


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def conflict_spec(trunk: str, seed: int, options: dict[str, Any] | None = None, **model: Any) -> RunSpec:
    """The preset, with other data options, loss weights or trunk options."""
    value = preset_spec("conflict", trunk, seed=seed).to_json()
    value["data"]["options"] |= options or {}
    value["balancer"]["options"]["weights"] = model.get("weights", [1.0, 1.0]) if trunk != "single_task" else [1.0, 1.0]
    value["model"]["trunk"]["options"] |= model.get("trunk_options", {})
    return RunSpec.parse(value)


def conflict_preset(bench: Bench) -> str:
    """The textbook picture at the preset."""
    rows = []
    for trunk in ("shared_bottom", "omoe", "mmoe", "cgc", "ple"):
        size = bench.run(conflict_spec(trunk, 0)).parameters
        rows.append([title("trunk", trunk), f"{size:,}", *map(cell, bench.gains(conflict_spec, trunk))])
    single = bench.run(conflict_spec("single_task", 0)).parameters
    return (
        "### At the preset\n\n"
        f"Gain in test AUC over single-task ({single:,} parameters), in thousandths, "
        f"{len(bench.seeds)} paired seeds.\n\n" + table(["model", "parameters", "A", "B"], rows)
    )


def conflict_weights(bench: Bench) -> str:
    """The loss-weight dial."""
    variants: list[tuple[str, str, dict[str, Any]]] = [
        ("Shared bottom", "shared_bottom", {}),
        ("MMoE", "mmoe", {}),
        ("CGC", "cgc", {}),
        ("PLE, one level", "ple", {"levels": 1, "expert_layers": [8]}),
        ("PLE, two levels", "ple", {}),
    ]
    rows = []
    for weights in ([1.0, 1.0], [5.0, 1.0], [20.0, 1.0]):
        for name, trunk, options in variants:

            def make(chosen: str, seed: int, w: list[float] = weights, o: dict[str, Any] = options) -> RunSpec:
                own = o if chosen != "single_task" else {}
                return conflict_spec(chosen, seed, weights=w, trunk_options=own)

            rows.append([f"{weights[0]:g} : {weights[1]:g}", name, *map(cell, bench.gains(make, trunk))])
    return (
        "### The seesaw: loss weights\n\n"
        "The same runs with the loss of A counted 5 and 20 times. A model whose B goes down while its A goes up moves "
        "along the seesaw.\n\n" + table(["weights A : B", "model", "A", "B"], rows)
    )


def conflict_dials(bench: Bench) -> str:
    """What the world's own dials do."""
    half = range(len(bench.seeds) // 2)
    rows = []
    for name, options in (
        ("relatedness 0", {"relatedness": 0.0}),
        ("relatedness 0.1 (preset)", {}),
        ("relatedness 0.5", {"relatedness": 0.5}),
        ("relatedness 1", {"relatedness": 1.0}),
        ("noise 0.5", {"noise": 0.5}),
        ("5% positives of B", {"rate_b": 0.05}),
        ("6,000 rows", {"rows": 6000}),
    ):

        def make(trunk: str, seed: int, o: dict[str, Any] = options) -> RunSpec:
            return conflict_spec(trunk, seed, o)

        for trunk in ("shared_bottom", "mmoe", "ple"):
            rows.append([name, title("trunk", trunk), *map(cell, bench.gains(make, trunk, half))])
    return (
        "### What happens when the dials move\n\n"
        f"Everything else as in the preset, {len(half)} paired seeds.\n\n" + table(["dial", "model", "A", "B"], rows)
    )


HEAD = """# What the made worlds show

Generated by `python -m benchmarks.worlds`. Bold: the 95% interval of the paired difference is clear of zero. Worlds,
start values and batch orders are drawn by the seed, the same for every model.

## conflict

Two tasks over 32 normal features. Each task's score is the square root of r times a common random tanh network plus the
square root of 1 - r times a network of its own, r = 0.1; labels are the upper half of A's scores and the upper part of
B's. Every model has about 1,000 parameters. **The world was built to show the effect**: the steps of the tanh networks
are steep and there is little in common, so that a narrow shared network cannot follow both. It says what *can* happen,
not what happens on your data.
"""


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--out", type=Path, default=REPORT)
    chosen = parser.parse_args()
    spare_a_core()
    bench = Bench(chosen.seeds)
    parts = [HEAD, conflict_preset(bench), conflict_weights(bench), conflict_dials(bench)]
    chosen.out.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
