"""Where a step's time goes: `python -m benchmarks.kernels` writes a section of docs/benchmarks.md.

The kernels of one training step of the models of `benchmarks.throughput`, called one by one with a clock around each:
processor time of one thread, median over many batches. The last lines are the same step as it is played, with fetching
its rows and the optimiser, and the time that its multiply-adds would take at the rate of large matrix products.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor

from benchmarks import contest, machine, report
from benchmarks.stepper import Stepper
from benchmarks.sweep import TRUNKS
from benchmarks.throughput import TITLES
from mtl_core import training
from mtl_core.comparison import preset_spec
from mtl_core.engine import evaluation, replay
from mtl_core.engine.optimizer import Optimizer
from mtl_core.engine.population import Population
from mtl_core.engine.replay import Program, Replay
from mtl_core.engine.rows import Shelf

#: What a kernel is for, by its name; the first line that has it counts.
KINDS = {
    "products with the wide first layers, forward and backward": ("mm", "addmm"),
    "batched products: further layers, towers, mixes": ("bmm", "baddbmm"),
    "embeddings: lookup and its gradient": ("index_select", "index_add", "scatter_add", "index_put_"),
    "activations and sums over rows": ("relu", "relu_", "threshold_backward", "sum"),
    "softmax of the gates": ("_softmax", "_softmax_backward_data"),
    "copies": ("cat", "clone", "copy_", "select_backward", "slice_backward", "stack", "_to_copy"),
}
#: The first of them are products.
PRODUCTS = 2
REST = "all others: losses, weights, views"


def kernels(stepper: Stepper, index: Tensor) -> dict[str, float]:
    """Milliseconds by kind of kernel, in a step on the rows at `index`."""
    population = stepper.population
    slopes = population._slopes
    assert isinstance(slopes, Replay)
    rows = stepper.shelf.shared_batch(index)
    inputs = [*population._tensors, *population.balance.values(), *rows.inputs, *rows[1:]]
    found = dict.fromkeys([*KINDS, REST], 0.0)
    for name, seconds in slopes.programs[0].timed(inputs):
        short = name.removeprefix("aten::")
        found[next((kind for kind, names in KINDS.items() if short in names), REST)] += 1e3 * seconds
    return found


class Clock:
    """Processor time of functions while they are watched, without that of watched functions that they call."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []

    def watch(self, owner: Any, name: str, what: str) -> Callable[[], None]:
        """Count a function's time under `what`; returns what puts the function back."""
        function = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            self._inside.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                whole = time.process_time() - start
                self.seconds[what] = self.seconds.get(what, 0.0) + whole - self._inside.pop()
                if self._inside:
                    self._inside[-1] += whole

        setattr(owner, name, timed)
        return lambda: setattr(owner, name, function)


def sweep() -> str:
    """Where the time of `benchmarks.sweep`'s populations goes."""
    clock = Clock()
    back = [
        clock.watch(Program, "play", "kernels that are played: steps, looks at conflict, outputs"),
        clock.watch(replay, "_record", "recording"),
        clock.watch(Population, "_slopes_worked_out", "steps, looks and outputs that are worked out"),
        clock.watch(Population, "_gramian_worked_out", "steps, looks and outputs that are worked out"),
        clock.watch(Population, "_outputs_worked_out", "steps, looks and outputs that are worked out"),
        clock.watch(Shelf, "batch", "fetching batches"),
        clock.watch(Optimizer, "step", "the optimiser"),
        clock.watch(evaluation, "_scores", "metrics of the validation and test rows"),
        clock.watch(training, "load", "drawing the worlds"),
    ]
    runs = [preset_spec("conflict", trunk, seed=seed) for trunk in TRUNKS for seed in range(8)]
    start = time.process_time()
    for event in training.train(runs):
        assert event.event != "failed", event
    whole = time.process_time() - start
    for put in back:
        put()
    clock.seconds["all others: Python between them, events"] = whole - sum(clock.seconds.values())
    parts = sorted(clock.seconds.items(), key=lambda item: -item[1])
    rows = [[what, f"{seconds:.1f} ({100 * seconds / whole:.0f}%)"] for what, seconds in parts]
    table = report.table(["seconds of processor time", f"{len(runs)} runs"], [*rows, ["together", f"{whole:.1f}"]])
    return (
        "The populations of `benchmarks.sweep` (six trunks times eight seeds on `conflict`, models of about 1,000 "
        f"parameters, 15 epochs), once, by what they do:\n\n{table}"
    )


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    contest.enter()
    columns: dict[str, list[float]] = {}
    for kind in TITLES:
        # Full batches: a program is for one number of rows.
        stepper = Stepper(contest.spec(kind, 0, 1), contest.TRAIN_ROWS // contest.BATCH)
        stepper.lap()  # from here on its steps are played
        laps = [kernels(stepper, index) for index in islice(cycle(stepper.batches), chosen.steps)]
        times = [statistics.median(lap[name] for lap in laps) for name in (*KINDS, REST)]
        limit = 3e3 * contest.BATCH * contest.multiply_adds(kind) / machine.multiply_rate()
        columns[kind] = [*times, sum(times), min(stepper.lap() for _ in range(5)), limit]
    names = [*KINDS, REST, "together", "the step as it is played", "its multiply-adds at the machine's rate"]
    rows = []
    for line, name in enumerate(names):
        cells = []
        for values in columns.values():
            share = f" ({100 * values[line] / values[len(KINDS) + 1]:.0f}%)" if line <= len(KINDS) else ""
            cells.append(f"{values[line]:.2f}{share}")
        rows.append([name, *cells])
    about = " ".join((__doc__ or "").split("\n\n", 1)[1].split())
    command = f"python -m benchmarks.kernels --steps {chosen.steps}"
    head = ["milliseconds", *TITLES.values()]
    bounds = [
        f"{TITLES[kind]} {values[len(KINDS) + 1] / sum(values[:PRODUCTS]):.2f}" for kind, values in columns.items()
    ]
    bound = (
        "Were a step nothing but its products, at the rates that they reach here, it would be faster by a factor of: "
        f"{', '.join(bounds)}. That is all that is left to gain without faster products or fewer of them."
    )
    body = f"`{command}`, on {machine.describe()}.\n\n{about}\n\n{report.table(head, rows)}\n\n{bound}\n\n{sweep()}"
    print(body)
    report.write("Where a step's time goes", body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
