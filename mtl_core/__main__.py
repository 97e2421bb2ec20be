"""The command line: `python -m mtl_core list | train | sweep`."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from mtl_core import registry
from mtl_core.spec import RunSpec, SpecError

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
        specs = [RunSpec.parse(value)] if chosen.command == "train" else expand(value)
    except SpecError as error:
        print(f"{chosen.spec}: {error}", file=sys.stderr)
        return BAD_SPEC
    folders = None
    if chosen.out is not None:
        folders = [chosen.out] if chosen.command == "train" else [chosen.out / str(i) for i in range(len(specs))]
    return _run(specs, folders)


def expand(sweep: object) -> list[RunSpec]:
    """The specs of a sweep `{"base": SPEC, "vary": {"dotted.path": [values]}}`: all combinations, last path fastest.

    Raises:
        SpecError: not a sweep, or one of its specs is wrong.
    """
    if (
        not isinstance(sweep, dict)
        or set(sweep) - {"base", "vary"}
        or not all(isinstance(part, dict) for part in sweep.values())
    ):
        raise SpecError('A sweep is {"base": SPEC, "vary": {"dotted.path": [values, ...]}}.')
    base, vary = sweep.get("base", {}), sweep.get("vary", {})
    for path, values in vary.items():
        if not isinstance(values, list) or not values:
            raise SpecError(f"vary.{path}: give a list with at least one value.")
    specs = []
    for values in itertools.product(*vary.values()):
        # Copies: a later path may reach into what an earlier one put there.
        value = _copy(base)
        for path, item in zip(vary, values, strict=True):
            _put(value, path.split("."), _copy(item))
        specs.append(RunSpec.parse(value))
    return specs


def _copy(value: object) -> Any:
    return json.loads(json.dumps(value))


def _put(target: Any, path: list[str], value: object) -> None:
    for depth, key in enumerate(path[:-1]):
        target = target.setdefault(key, {}) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise SpecError(f"vary.{'.'.join(path)}: {'.'.join(path[: depth + 1])} of the base is not an object.")
    target[path[-1]] = value


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SpecError(f"is not JSON: {error}.") from error
    except RecursionError as error:
        raise SpecError("is nested too deeply.") from error


def _run(specs: list[RunSpec], folders: list[Path] | None) -> int:
    from mtl_core.threads import spare_a_core
    from mtl_core.train import train

    spare_a_core()
    failed = False
    for event in train(specs, folders=folders):
        print(json.dumps(event.to_json(), allow_nan=False), flush=True)
        if event.event == "failed":
            print(event.message, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
