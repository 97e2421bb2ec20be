"""Make the finished example runs that the dashboard opens with: `python sample_data/make_examples.py`.

Trains the presets of `conflict` and `adult` for several seeds, those of `conflict` with other loss weights, too, and
writes everything the runs said. Gate weights are kept for the first seed of the presets only, scores for all.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mtl_core.comparison import preset_spec
from mtl_core.spec import RunSpec
from mtl_core.threads import spare_a_core
from mtl_core.training import train

TARGET = Path(__file__).parent / "example_runs.json.gz"
SEEDS = {"conflict": range(16), "adult": range(5)}
#: The trunks of the first lessons; every other one is a click away.
TRUNKS = ("single_task", "shared_bottom", "omoe", "mmoe", "cgc", "ple")
#: The seesaw: models of `conflict` whose loss weights are moved, and weights of A and B by their name.
SEESAW = ("shared_bottom", "mmoe", "ple")
WEIGHTS = {"1to20": (0.0952, 1.9048), "1to5": (0.3333, 1.6667), "5to1": (1.6667, 0.3333), "20to1": (1.9048, 0.0952)}


def specs() -> Iterator[tuple[str, RunSpec]]:
    """Id and spec of every example."""
    for dataset, seeds in SEEDS.items():
        for trunk in TRUNKS:
            for seed in seeds:
                yield f"example-{dataset}-{trunk}-{seed}", preset_spec(dataset, trunk, seed=seed)
    for trunk in SEESAW:
        for name, weights in WEIGHTS.items():
            balancer = {"name": "static", "options": {"weights": list(weights)}}
            for seed in SEEDS["conflict"]:
                run_id = f"example-conflict-{trunk}-{name}-{seed}"
                yield run_id, preset_spec("conflict", trunk, seed=seed, balancer=balancer)


def run(specs: Sequence[RunSpec]) -> list[list[dict[str, Any]]]:
    """Train runs of one structure together; the events of each, slimmed."""
    events: list[list[dict[str, Any]]] = [[] for _ in specs]
    for event in train(specs):
        payload = event.to_json()
        if event.event == "failed":
            raise SystemExit(event.message)
        if event.event == "step":
            continue
        spec = specs[event.run]
        if "gates" in payload and (spec.seed or len(set(spec.balancer.options["weights"])) > 1):
            payload["gates"] = {}
        events[event.run].append(_rounded({**payload, "run": 0}))
    return events


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Train all examples and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=TARGET)
    chosen = parser.parse_args(arguments)
    spare_a_core()
    wanted = list(specs())
    told = run([spec for _, spec in wanted])
    runs = [{"id": run_id, "events": events} for (run_id, _), events in zip(wanted, told, strict=True)]
    text = json.dumps({"made_at": int(time.time()), "runs": runs}, separators=(",", ":"))
    chosen.out.write_bytes(gzip.compress(text.encode(), mtime=0))
    return 0


if __name__ == "__main__":
    sys.exit(main())
