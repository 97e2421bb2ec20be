"""`conflict`: what happens at its preset, along the loss weights, and when its dials move."""

from __future__ import annotations

from typing import Any

from benchmarks.worlds.bench import Bench, aucs, cell, table
from mtl_core.comparison import preset_spec
from mtl_core.registry import title
from mtl_core.spec import RunSpec

INTRODUCTION = """## conflict

Two tasks over 32 normal features. Each task's score is the square root of r times a common random tanh network plus the
square root of 1 - r times a network of its own, r = 0.1; labels are the upper half of A's scores and the upper part of
B's. Every model has about 1,000 parameters. **The world was built to show the effect**: the steps of the tanh networks
are steep and there is little in common, so that a narrow shared network cannot follow both. It says what *can* happen,
not what happens on your data.

MMoE and PLE cannot be told apart here at equal size: in a search over hidden units (3 to 64), steepness (1 to 6), label
noise, base rates and relatedness no world was found in which MMoE lay clearly between shared bottom and PLE while PLE
gained on both tasks.
"""


def report(bench: Bench) -> str:
    """The whole section."""
    return "\n\n".join(part.strip() for part in (INTRODUCTION, at_preset(bench), weights(bench), dials(bench)))


def conflict_spec(trunk: str, seed: int, options: dict[str, Any] | None = None, **model: Any) -> RunSpec:
    """The preset, with other data options, loss weights or trunk options."""
    value = preset_spec("conflict", trunk, seed=seed).to_json()
    value["data"]["options"] |= options or {}
    value["balancer"]["options"]["weights"] = model.get("weights", [1.0, 1.0]) if trunk != "single_task" else [1.0, 1.0]
    value["model"]["trunk"]["options"] |= model.get("trunk_options", {})
    return RunSpec.parse(value)


def at_preset(bench: Bench) -> str:
    """The textbook picture at the preset."""
    rows = []
    for trunk in ("shared_bottom", "omoe", "mmoe", "cgc", "ple"):
        size = bench.run([conflict_spec(trunk, 0)])[0].parameters
        rows.append([title("trunk", trunk), f"{size:,}", *map(cell, bench.gains(conflict_spec, trunk, aucs))])
    single = bench.run([conflict_spec("single_task", 0)])[0].parameters
    return (
        "### At the preset\n\n"
        f"Gain in test AUC over single-task ({single:,} parameters), in thousandths, "
        f"{len(bench.seeds)} paired seeds.\n\n" + table(["model", "parameters", "A", "B"], rows)
    )


def weights(bench: Bench) -> str:
    """The loss-weight dial."""
    variants: list[tuple[str, str, dict[str, Any]]] = [
        ("Shared bottom", "shared_bottom", {}),
        ("MMoE", "mmoe", {}),
        ("CGC", "cgc", {}),
        ("PLE, one level", "ple", {"levels": 1, "expert_layers": [8]}),
        ("PLE, two levels", "ple", {}),
    ]
    rows = []
    for pair in ([1.0, 1.0], [5.0, 1.0], [20.0, 1.0]):
        for name, trunk, options in variants:

            def make(chosen: str, seed: int, w: list[float] = pair, o: dict[str, Any] = options) -> RunSpec:
                own = o if chosen != "single_task" else {}
                return conflict_spec(chosen, seed, weights=w, trunk_options=own)

            rows.append([f"{pair[0]:g} : {pair[1]:g}", name, *map(cell, bench.gains(make, trunk, aucs))])
    return (
        "### The seesaw: loss weights\n\n"
        "The same runs with the loss of A counted 5 and 20 times. A model whose B goes down while its A goes up moves "
        "along the seesaw.\n\n" + table(["weights A : B", "model", "A", "B"], rows)
    )


def dials(bench: Bench) -> str:
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
            rows.append([name, title("trunk", trunk), *map(cell, bench.gains(make, trunk, aucs, half))])
    return (
        "### What happens when the dials move\n\n"
        f"Everything else as in the preset, {len(half)} paired seeds.\n\n" + table(["dial", "model", "A", "B"], rows)
    )
