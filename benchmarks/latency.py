"""From click to curve: `python -m benchmarks.latency` writes a section of docs/benchmarks.md.

What the button does (a run in the store, a worker made sure of) until the first epoch's point is in the store, where
the page finds it at its next look. Warm: a worker waits, as it does while a page is open. Cold: there is none; Python,
torch and the data libraries are loaded first. Every round has a home of its own. The worker's memory is its largest
while it trains `census_income`'s preset, where that file is at hand.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from app.jobs.executor import LocalExecutor
from app.jobs.store import RunStore
from benchmarks import machine, report
from benchmarks.machine import spread
from mtl_core.comparison import preset_spec
from mtl_core.data.base import DataError
from mtl_core.data.census_income import TEST
from mtl_core.data.files import find
from mtl_core.spec import RunSpec

PATIENCE = 120.0
LOOK_SECONDS = 0.01
MIB = 2**20
#: How often the playground looks while a run is open.
TICK_SECONDS = 1.0


class Home:
    """A folder for one round, with a store and an executor."""

    def __init__(self, folder: str) -> None:
        os.environ["SEESAW_HOME"] = folder
        self.store = RunStore(home=Path(folder))
        self.executor = LocalExecutor(self.store)

    def first_point(self, spec: RunSpec) -> float:
        """Seconds from the click to the first epoch's event."""
        start = time.perf_counter()
        run, _ = self.store.submit(spec)
        self.executor.ensure_worker()
        while not self.store.events(run.id, kinds=["epoch"]):
            self._look(run.id, start)
        return time.perf_counter() - start

    def warm(self) -> None:
        """A worker that has loaded everything and waits."""
        self.first_point(preset_spec("conflict", "mmoe", seed=99, training={"epochs": 1}))

    def largest_memory(self, spec: RunSpec) -> float:
        """MiB that the worker held at most while it trained this run."""
        start = time.perf_counter()
        run, _ = self.store.submit(spec)
        self.executor.ensure_worker()
        largest = 0
        while True:
            found = self.store.get(run.id)
            if found is None or found.state == "finished":
                return largest / MIB
            for worker in self.store.workers():
                if psutil.pid_exists(worker.pid):
                    largest = max(largest, psutil.Process(worker.pid).memory_info().rss)
            self._look(run.id, start)

    def close(self) -> None:
        """End the worker."""
        self.executor.close(stop_workers=True)
        self.store.close()

    def _look(self, run_id: str, start: float) -> None:
        run = self.store.get(run_id)
        if run is not None and run.state == "failed":
            raise SystemExit(run.message)
        if time.perf_counter() - start > PATIENCE:
            raise SystemExit(f"Nothing came for {PATIENCE:g} seconds.")
        time.sleep(LOOK_SECONDS)


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    times: dict[str, list[float]] = {"cold": [], "warm": []}
    memory: list[float] = []
    for seed in range(chosen.rounds):
        with tempfile.TemporaryDirectory() as folder:
            home = Home(folder)
            try:
                times["cold"].append(home.first_point(preset_spec("conflict", "mmoe", seed=seed)))
            finally:
                home.close()
        with tempfile.TemporaryDirectory() as folder:
            home = Home(folder)
            try:
                home.warm()
                times["warm"].append(home.first_point(preset_spec("conflict", "mmoe", seed=seed)))
                if seed == 0 and _census_is_here():
                    memory.append(home.largest_memory(preset_spec("census_income", "mmoe")))
            finally:
                home.close()
        print(".", end="", file=sys.stderr, flush=True)
    rows = [[name, spread(values)] for name, values in times.items()]
    if memory:
        rows.append(["worker's memory on census_income, MiB", f"{memory[0]:,.0f}"])
    about = " ".join((__doc__ or "").split("\n\n", 1)[1].split())
    body = (
        f"`python -m benchmarks.latency --rounds {chosen.rounds}`, on {machine.describe()}.\n\n{about}\n\n"
        f"{report.table(['worker', 'seconds to the first point'], rows)}\n\n"
        f"The page looks every {TICK_SECONDS:g} s: that comes on top, half of it on average."
    )
    print(body)
    report.write("From click to curve", body)
    return 0


def _census_is_here() -> bool:
    try:
        return find(TEST) is not None
    except DataError:
        return False


if __name__ == "__main__":
    sys.exit(main())
