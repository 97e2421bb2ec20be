"""What each balancer costs: `python -m benchmarks.balancers` writes a section of docs/benchmarks.md.

Time per step on `adult`'s preset model over that of `static`, all balancers in turn, several rounds. A rule that reads
gradients task by task needs K backward passes where `static` needs one, so it should stay within K + 1 times.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from benchmarks import machine, report
from benchmarks.machine import spread
from benchmarks.stepper import Stepper
from mtl_core import registry
from mtl_core.comparison import preset_spec
from mtl_core.data.base import DatasetOptions
from mtl_core.engine.replay import WORKED_OUT
from mtl_core.threads import spare_a_core

DATASET = "adult"


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20)
    chosen = parser.parse_args()
    spare_a_core()
    steppers: dict[str, Stepper] = {}
    for name in registry.names("balancer"):
        preset = registry.get("dataset", DATASET)
        assert issubclass(preset, DatasetOptions)
        trunk = preset.preset()["spec"]["model"]["trunk"]["name"]
        spec = preset_spec(DATASET, trunk, balancer={"name": name})
        steppers[name] = Stepper(spec, chosen.steps)
        for _ in range(2 + WORKED_OUT // chosen.steps):
            steppers[name].lap()  # from here on its steps are played
    laps: dict[str, list[float]] = {name: [] for name in steppers}
    bases: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(chosen.rounds):
        for name, stepper in steppers.items():
            # Static right before and after: other processes' pressure on the caches comes and goes.
            before, lap, after = steppers["static"].lap(), stepper.lap(), steppers["static"].lap()
            laps[name].append(lap)
            bases[name].append((before + after) / 2)
    rows = []
    for name, stepper in steppers.items():
        rule = stepper.population.balancer
        reads = "gradients" if rule.needs_gramian or rule.needs_gradients else "losses"
        ratios = [lap / base for lap, base in zip(laps[name], bases[name], strict=True)]
        rows.append([registry.title("balancer", name), reads, f"{statistics.median(laps[name]):.2f}", spread(ratios)])
    tasks = steppers["static"].tasks
    command = f"python -m benchmarks.balancers --rounds {chosen.rounds} --steps {chosen.steps}"
    head = ["", "reads", "ms per step", "over static"]
    body = (
        f"`{command}`, on {machine.describe()}.\n\nProcessor time of one training step on `{DATASET}`'s preset model "
        f"({tasks} tasks), over that of static loss weights right before and after.\n\n{report.table(head, rows)}"
    )
    print(body)
    report.write("Balancers", body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
