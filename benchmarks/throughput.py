"""Samples per second beside peers: `python -m benchmarks.throughput` writes a section of docs/benchmarks.md.

The same MMoE and PLE on the same rows, batch size, optimiser, step size and epochs, in turn, several rounds. The peers
come with `pip install -r benchmarks/requirements.txt`; those that are not there are left out. The limit is what the
machine could do if a step consisted of nothing but its large matrix products, at the rate measured in the same round.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch

from benchmarks import contest, machine, peers, report
from benchmarks.machine import spread
from mtl_core.data.load import load
from mtl_core.data.tables import Encoded
from mtl_core.events import Finished
from mtl_core.threads import spare_a_core
from mtl_core.training import train

OURS = "Seesaw"
TITLES = {"mmoe": "MMoE", "ple": "PLE"}


def ours(kind: str, seed: int, epochs: int) -> tuple[peers.Trained, float]:
    """This project's run through `train`: its steps, and the seconds of the whole call."""
    start, processor = time.perf_counter(), time.process_time()
    *_, finished = train([contest.spec(kind, seed, epochs)])
    assert isinstance(finished, Finished), finished
    whole, used = time.perf_counter() - start, time.process_time() - processor
    aucs = [float(values["auc"] or float("nan")) for values in finished.metrics["test"].values()]
    # One process alone: its processor time is spread over the call as its wall-clock time is.
    return peers.Trained(finished.train_seconds, used * finished.train_seconds / whole, aucs), whole


def recipe(kind: str, epochs: int) -> peers.Recipe:
    """The same for the peers."""
    mmoe = kind == "mmoe"
    return peers.Recipe(
        kind=kind,
        layers=contest.MMOE_LAYERS if mmoe else (contest.PLE_WIDTH,),
        towers=(contest.TOWER,),
        epochs=epochs,
        batch=contest.BATCH,
        learning_rate=contest.LEARNING_RATE,
        dim=contest.EMBEDDING,
        experts=contest.MMOE_EXPERTS if mmoe else contest.PLE_SHARED,
        own=0 if mmoe else contest.PLE_OWN,
        levels=1 if mmoe else contest.PLE_LEVELS,
    )


class Rounds:
    """What the contestants did, round after round."""

    def __init__(self, kind: str, epochs: int) -> None:
        self.kind = kind
        self.samples = epochs * contest.TRAIN_ROWS
        self.limits: list[float] = []
        self.whole: list[float] = []
        self.trained: dict[str, list[peers.Trained]] = {}

    def add(self, data: Encoded, seed: int, epochs: int, who: dict[str, peers.Contestant]) -> None:
        """One round."""
        # Six: a multiply-add forward, two backward, and each is counted as one by the rate.
        rate = machine.multiply_rate()
        self.limits.append(rate / (3 * contest.multiply_adds(self.kind)))
        result, whole = ours(self.kind, seed, epochs)
        self.whole.append(self.samples / whole)
        self.trained.setdefault(OURS, []).append(result)
        for name, contestant in who.items():
            self.trained.setdefault(name, []).append(contestant(recipe(self.kind, epochs), data, seed))
            print(".", end="", file=sys.stderr, flush=True)

    def section(self) -> str:
        """A table, and what it comes to."""
        mine = self.trained[OURS]
        rows = []
        for name, results in self.trained.items():
            rates = [self.samples / r.seconds for r in results]
            ratios = [theirs.seconds / own.seconds for own, theirs in zip(mine, results, strict=True)]
            used = [theirs.processor / own.processor for own, theirs in zip(mine, results, strict=True)]
            aucs = [statistics.mean(r.aucs[k] for r in results) for k in range(contest.TASKS)]
            cells = ["", ""] if name == OURS else [spread(ratios), spread(used)]
            rows.append([name, spread(rates, 0), *cells, *(f"{value:.4f}" for value in aucs)])
        head = ["", "samples per second", "Seesaw is faster by", "by processor time", "AUC income", "AUC never married"]
        limit = [self.samples / r.seconds / top for r, top in zip(mine, self.limits, strict=True)]
        text = (
            f"### {TITLES[self.kind]}\n\n{report.table(head, rows)}\n\n"
            f"Limit by multiply-adds: {spread(self.limits, 0)} samples per second; Seesaw reaches "
            f"{spread([100 * value for value in limit], 0)}% of it. With loading the data, validation, conflict, gates "
            f"and the test, its whole call makes {spread(self.whole, 0)} samples per second."
        )
        others = [name for name in self.trained if name != OURS]
        if others:
            best = [min(self.trained[name][i].seconds for name in others) / mine[i].seconds for i in range(len(mine))]
            text += f" Over the fastest peer of each round: {spread(best)} times."
        return text


def _what() -> str:
    """What is trained, in words."""
    own, shared = contest.PLE_OWN, contest.PLE_SHARED
    return (
        f"The first {contest.TRAIN_ROWS:,} rows of the census test file, shuffled: {len(contest.FIELDS)} categorical "
        f"and {len(contest.NUMBERS)} numeric columns; the others for validation and test. MMoE of "
        f"{contest.MMOE_EXPERTS} experts of {contest.MMOE_LAYERS}; PLE of {shared} shared and {own} experts per task "
        f"on {contest.PLE_LEVELS} levels of {contest.PLE_WIDTH}; towers of {contest.TOWER}, embeddings of "
        f"{contest.EMBEDDING}, Adam, batches of {contest.BATCH:,}, float32. Seconds are those of training steps, "
        f"without evaluation. torch-rechub normalises every layer's batch; deepctr-torch's PLE has {own} shared "
        f"experts per level instead of {shared}, since it cannot build more shared than task experts."
    )


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of torch, for all alike; default: what a worker takes")
    parser.add_argument("--without-peers", action="store_true")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    else:
        spare_a_core()
    contest.enter()
    who: dict[str, Callable[..., peers.Trained]] = {} if chosen.without_peers else peers.contestants()
    sections = []
    for kind in TITLES:
        rounds = Rounds(kind, chosen.epochs)
        for seed in range(chosen.rounds):
            rounds.add(load(contest.spec(kind, seed, chosen.epochs).data, seed), seed, chosen.epochs, who)
        sections.append(rounds.section())
        print(f"\n{sections[-1]}\n")
    threads = f" --threads {chosen.threads}" if chosen.threads else ""
    command = f"python -m benchmarks.throughput --rounds {chosen.rounds} --epochs {chosen.epochs}{threads}"
    absent = "" if who else " No peer was installed."
    head = f"`{command}`, on {machine.describe()}.{absent}\n\n{_what()}"
    report.write("Throughput", "\n\n".join([head, *sections]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
