"""A sweep as one population: `python -m benchmarks.sweep` writes a section of docs/benchmarks.md.

Six trunks times eight seeds on `conflict`, as the preset has them: all 48 runs given to `train` at once, the same runs
one by one, and the peers one after another. Not all runs that take turns are waited for: one of each trunk is timed and
counted eight times. The peers have no single-task model and no OMoE: they are credited with the time of their shared
bottom and of their MMoE. Their time is that of training steps alone; ours is that of the whole call, with drawing the
worlds, validation after every epoch, gates, conflict and the test.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable

import torch

from benchmarks import machine, peers, report
from benchmarks.machine import spread
from mtl_core.comparison import preset_spec
from mtl_core.data.load import load
from mtl_core.spec import RunSpec
from mtl_core.threads import spare_a_core
from mtl_core.training import train

TRUNKS = ("single_task", "shared_bottom", "omoe", "mmoe", "cgc", "ple")
#: What a peer trains in a trunk's place.
STAND_INS = {"single_task": "shared_bottom", "omoe": "mmoe"}


#: Seconds on the wall, and of this process on all cores.
Seconds = tuple[float, float]


def seconds_of(specs: list[RunSpec]) -> Seconds:
    """Of the whole call."""
    start, processor = time.perf_counter(), time.process_time()
    for event in train(specs):
        if event.event == "failed":
            raise SystemExit(event.message)
    return time.perf_counter() - start, time.process_time() - processor


def times(factor: int, seconds: Iterable[Seconds]) -> Seconds:
    """So many times the sum."""
    wall, processor = zip(*seconds, strict=True)
    return factor * sum(wall), factor * sum(processor)


def recipe(spec: RunSpec) -> peers.Recipe:
    """The same run for a peer."""
    trunk, training = spec.model.trunk.part, spec.training
    kind = {"cgc": "ple"}.get(spec.model.trunk.name, spec.model.trunk.name)
    return peers.Recipe(
        kind=kind,
        layers=tuple(getattr(trunk, "layers" if kind == "shared_bottom" else "expert_layers")),
        towers=spec.model.towers,
        epochs=training.epochs,
        batch=training.batch_size,
        learning_rate=training.learning_rate,
        experts=getattr(trunk, "experts", getattr(trunk, "shared_experts", 0)),
        own=getattr(trunk, "task_experts", 0),
        levels=getattr(trunk, "levels", 1),
    )


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--threads", type=int, help="of torch, for all alike; default: what a worker takes")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    else:
        spare_a_core()

    def spec(trunk: str, seed: int) -> RunSpec:
        value = preset_spec("conflict", trunk, seed=seed).to_json()
        value["training"] |= {"epochs": chosen.epochs, "device": "cpu"}
        return RunSpec.parse(value)

    runs = len(TRUNKS) * chosen.seeds
    together: list[Seconds] = []
    others: dict[str, list[Seconds]] = {}
    seconds_of([spec("mmoe", 0)])  # the first run of a process loads what all need
    for number in range(chosen.rounds):
        together.append(seconds_of([spec(trunk, seed) for trunk in TRUNKS for seed in range(chosen.seeds)]))
        alone = times(chosen.seeds, (seconds_of([spec(trunk, number)]) for trunk in TRUNKS))
        others.setdefault("one by one", []).append(alone)
        for name, contestant in peers.contestants().items():
            took = {}
            for trunk in dict.fromkeys(STAND_INS.get(trunk, trunk) for trunk in TRUNKS):
                one = spec(trunk, number)
                trained = contestant(recipe(one), load(one.data, number), number)
                took[trunk] = (trained.seconds, trained.processor)
            total = times(chosen.seeds, (took[STAND_INS.get(trunk, trunk)] for trunk in TRUNKS))
            others.setdefault(name, []).append(total)
        print(".", end="", file=sys.stderr, flush=True)

    rows = [["population", spread([wall for wall, _ in together], 1), "", ""]]
    for name, seconds in others.items():
        ratios = [[theirs[i] / ours[i] for ours, theirs in zip(together, seconds, strict=True)] for i in (0, 1)]
        rows.append([name, spread([wall for wall, _ in seconds], 1), *(spread(ratio, 1) for ratio in ratios)])
    listed = [seconds for name, seconds in others.items() if name != "one by one"]
    best = ""
    if listed:
        rounds = list(zip(together, *listed, strict=True))
        fastest = [[min(theirs[i] for theirs in peer) / ours[i] for ours, *peer in rounds] for i in (0, 1)]
        best = (
            f"\n\nOver the fastest peer of each round: {spread(fastest[0], 1)} times, by processor time "
            f"{spread(fastest[1], 1)}."
        )
    threads = f" --threads {chosen.threads}" if chosen.threads else ""
    command = f"python -m benchmarks.sweep --rounds {chosen.rounds} --seeds {chosen.seeds} --epochs {chosen.epochs}"
    command += threads
    head = ["", f"seconds for {runs} runs", "population is faster by", "by processor time"]
    about = " ".join((__doc__ or "").split("\n\n", 1)[1].split())
    body = f"`{command}`, on {machine.describe()}.\n\n{about}\n\n{report.table(head, rows)}{best}"
    print(body)
    report.write("A sweep as a population", body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
