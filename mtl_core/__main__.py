"""The command line: `python -m mtl_core list | train | sweep`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from mtl_core import registry
from mtl_core.events import Epoch, Event, Failed, Finished, Started, Step
from mtl_core.spec import RunSpec, SpecError
from mtl_core.sweep import Trial, WeightSearch, expand, front, search_kept, searches, train_kept

BAD_SPEC = 2


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status: 0 done, 1 a run failed, 2 a spec is wrong."""
    parser = argparse.ArgumentParser(prog="python -m mtl_core", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print every part with its options as JSON")
    for name, what in (("train", "SPEC.json"), ("sweep", "SWEEP.json")):
        command = commands.add_parser(name, help=f"train what {what} says; one JSON object per event on stdout")
        command.add_argument("spec", metavar=what, type=Path)
        command.add_argument("--out", metavar="DIR", type=Path, help="keep checkpoint, weights and gates there")
    chosen = parser.parse_args(arguments)
    if chosen.command == "list":
        print(json.dumps(registry.catalogue(), indent=1))
        return 0
    try:
        value = _read(chosen.spec)
        if chosen.command == "train":
            return _train(RunSpec.parse(value), chosen.out)
        if isinstance(value, dict) and "search" in value:
            return _search(searches(value), chosen.out)
        return _sweep(expand(value), chosen.out)
    except SpecError as error:
        print(f"{chosen.spec}: {error}", file=sys.stderr)
        return BAD_SPEC


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SpecError(f"is not JSON: {error}.") from error
    except RecursionError as error:
        raise SpecError("is nested too deeply.") from error


def _train(spec: RunSpec, out: Path | None) -> int:
    from mtl_core.threads import spare_a_core
    from mtl_core.training import train

    spare_a_core()
    failed = False
    for event in train([spec], folders=None if out is None else [out]):
        _print(event.to_json())
        if isinstance(event, Failed):
            print(event.message, file=sys.stderr)
            failed = True
    return int(failed)


def _sweep(specs: list[RunSpec], out: Path | None) -> int:
    from mtl_core.threads import spare_a_core

    spare_a_core()
    line = ProgressLine(len({spec.key for spec in specs}), specs[0].training.epochs, sys.stderr)
    for event in train_kept(specs, out):
        _print(event.to_json())
        line.note(event)
    return line.end()


def _search(wanted: list[WeightSearch], out: Path | None) -> int:
    from mtl_core.threads import spare_a_core

    spare_a_core()
    runs = sum(search.trials * len(search.seeds) for search in wanted)
    line = ProgressLine(runs, wanted[0].base.training.epochs, sys.stderr)
    before = 0
    for number, search in enumerate(wanted):
        told: list[Trial] = []
        for item in search_kept(search, out):
            if isinstance(item, Trial):
                told.append(item)
            else:
                event = item.model_copy(update={"run": before + item.run})
                _print(event.to_json())
                line.note(event)
        for payload in _told(search, number, told):
            _print(payload)
        before += search.trials * len(search.seeds)
    return line.end()


def _told(search: WeightSearch, number: int, told: list[Trial]) -> Iterator[dict[str, object]]:
    """One JSON object per trial of a search: its weights, its validation scores, and whether it is on the front."""
    known = [trial for trial in told if trial.scores is not None]
    best = {known[place].weights for place in front([trial.scores or () for trial in known])}
    names = search.base.schema.task_names
    for trial in told:
        yield {
            "event": "trial",
            "search": number,
            "weights": dict(zip(names, trial.weights, strict=True)),
            "scores": None if trial.scores is None else dict(zip(names, trial.scores, strict=True)),
            "on_front": trial.weights in best,
        }


class ProgressLine:
    """One line on standard error: overwritten in place on a terminal, written once at the end elsewhere.

    Args:
        runs: how many there are.
        epochs: of one run.
        stream: where the line goes.
    """

    def __init__(self, runs: int, epochs: int, stream: TextIO) -> None:
        self._runs, self._epochs, self._stream = runs, epochs, stream
        self._begun = time.monotonic()
        self._trained: set[int] = set()
        self._under_way: dict[int, int] = {}
        self._kept = self._finished = self._failed = 0

    def note(self, event: Event) -> None:
        """Count the event; a failure is told at once, on a line of its own."""
        match event:
            case Started():
                self._trained.add(event.run)
                self._under_way[event.run] = event.resumed_from
            case Epoch():
                self._under_way[event.run] = event.epoch
            case Finished():
                self._finished += 1
                self._kept += event.run not in self._trained
                self._under_way.pop(event.run, None)
            case Failed():
                self._failed += 1
                self._under_way.pop(event.run, None)
                self._write(f"run {event.run}: {event.message}\n")
        if self._stream.isatty() and not isinstance(event, Step):
            self._write(self._text())

    def end(self) -> int:
        """Say how it ended; the exit status."""
        parts = [f"{self._finished} finished"]
        if self._kept:
            parts[0] += f" ({self._kept} of them before)"
        if self._failed:
            parts.append(f"{self._failed} failed")
        self._write(f"{', '.join(parts)}, {time.monotonic() - self._begun:.0f} s\n")
        return int(self._failed > 0)

    def _text(self) -> str:
        over = self._finished + self._failed
        text = f"{over} of {self._runs} runs"
        if self._under_way:
            text += f", {len(self._under_way)} training (epoch {min(self._under_way.values())} of {self._epochs})"
        done = over - self._kept + sum(self._under_way.values()) / self._epochs
        if done > 0:
            left = (self._runs - self._kept - done) * (time.monotonic() - self._begun) / done
            text += f", about {max(left, 0):.0f} s left"
        return text

    def _write(self, text: str) -> None:
        if self._stream.isatty():
            text = f"\r\x1b[K{text}"
        self._stream.write(text)
        self._stream.flush()


def _print(payload: dict[str, object]) -> None:
    print(json.dumps(payload, allow_nan=False), flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
