"""`funnel`: what learning from all exposures gains over learning from clicks, and where that ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.worlds.bench import Bench, cell, table
from mtl_core.comparison import preset_spec
from mtl_core.events import Finished
from mtl_core.spec import RunSpec

INTRODUCTION = """## funnel

Exposures of 2,000 items to 2,000 users, of which some are clicked and some of those bought; models see ids. Because the
world is made, the chance of a purchase is known for every exposure, clicked or not. `cvr@click`: AUC on clicked rows,
in thousandths. `soft AUC@all`: AUC to be expected on all exposures if everybody had clicked, in thousandths.
`PCOC@all`: predicted over true purchase rate on all exposures; 1 is perfect. Differences are against BASE of the same
world: a conversion network of its own that learns from clicked rows alone. All models have one network of two layers
(64, 32) per task; the encoder sums embeddings of 8 columns per role.

The world differs from the plainest one in one point: affinities have a part that all users agree on (30% of their
variance), without which even the click rate stays near chance (AUC about .54).
"""
SIZES = {"dim": 8, "layers": [64, 32]}
ORDERING = (
    ("BASE", "base_cvr", "single networks, clicked rows"),
    ("shared on clicks", "shared", "embeddings shared with the click task, clicked rows"),
    ("ESMM-NS", "esmm_ns", "product over all exposures, nothing shared"),
    ("ESMM", "esmm", "product over all exposures, embeddings shared"),
)
OTHERS = (
    ("AMAN", "aman", "a tenth of the unclicked rows as negatives"),
    ("OVERSAMPLING", "oversampling", "conversions counted twice"),
    ("UNBIAS", "unbias", "easily clicked rows rejected more often"),
    ("DIVISION", "division", "click-and-buy over click, learned apart"),
)


def scores(finished: Finished) -> list[float]:
    """cvr@click and soft AUC@all in thousandths, PCOC@all."""
    values = finished.metrics["test"]["cvr"]
    return [1000 * float(values["auc"] or 0), 1000 * float(values["soft_auc@all"] or 0), float(values["pcoc@all"] or 0)]


def make(model: str, **data: Any) -> Callable[[int], RunSpec]:
    """A model on the preset's world with other dials, by seed."""
    training = preset_spec("funnel", "mmoe").to_json()["training"]
    base = {"data": {"name": "funnel", "options": data}, "training": training}

    def spec(seed: int) -> RunSpec:
        if model != "shared":
            return RunSpec.parse({**base, "seed": seed, "model": {"recipe": model, "options": SIZES}})
        esmm = RunSpec.parse({**base, "model": {"recipe": "esmm", "options": SIZES}}).to_json()["model"]
        return RunSpec.parse({**base, "seed": seed, "model": {**esmm, "head": {"name": "independent"}}})

    return spec


def compared(bench: Bench, models: tuple[tuple[str, str, str], ...], **data: Any) -> str:
    """Means, and differences from BASE with their intervals."""
    theirs = [make("base_cvr", **data)(seed) for seed in bench.seeds]
    rows = []
    for name, model, what in models:
        ours = [make(model, **data)(seed) for seed in bench.seeds]
        found = [scores(finished) for finished in bench.run(ours)]
        means = [sum(column) / len(found) for column in zip(*found, strict=True)]
        row = [name, what, f"{means[0]:.0f}", f"{means[1]:.0f}", f"{means[2]:.2f}"]
        if model == "base_cvr":
            row += ["", "", ""]
        else:
            differences = bench.differences(ours, theirs, scores)
            row += [cell(differences[0]), cell(differences[1]), cell(differences[2], 2)]
        rows.append(row)
    head = ["model", "what it does", "cvr@click", "soft AUC@all", "PCOC@all", "cvr@click", "soft AUC@all", "PCOC@all"]
    return table(head, rows)


def report(bench: Bench) -> str:
    """The whole section."""
    n = len(bench.seeds)
    parts = [
        INTRODUCTION,
        f"### At the preset: liking to click and liking to buy correlate with p = 0.8\n\n{n} paired seeds; the last "
        f"three columns are differences from BASE.\n\n{compared(bench, ORDERING)}",
        f"### The paper's other baselines, same worlds\n\n{compared(bench, OTHERS)}",
        f"### Where it ends: p = 0.3\n\n{compared(bench, ORDERING, correlation=0.3)}",
        "### What no model repairs: a hidden intent behind clicks and purchases alike (beta = 1)\n\n"
        f"{compared(bench, ORDERING, confounder=1.0)}",
    ]
    return "\n\n".join(part.strip() for part in parts)
