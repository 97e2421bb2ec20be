"""Runs as one file, to be taken along and read in elsewhere: spec, events, tags and notes. No pickles, no torch.

The file is JSON, compressed with gzip:

    {"format": "seesaw-runs", "version": 1, "runs": [{"id": ..., "spec": {...}, "events": [...], ...}]}
"""

from __future__ import annotations

import gzip
import io
import json
import math
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.i18n import mark, tr
from app.jobs.archive import LONGEST_NOTE, LONGEST_TAG, MOST_TAGS, Arrival, Labels, clean_tag
from app.jobs.records import RunRecord
from mtl_core.events import Epoch, Failed, Finished, GateSummary, Metrics, Started
from mtl_core.spec import RunSpec, SpecError
from mtl_core.trunks.wiring import Wiring, gate_key

FORMAT, VERSION = "seesaw-runs", 1
#: Bytes of a file once it is unpacked, and runs in it: far beyond any class, far below what hurts.
MOST_BYTES, MOST_RUNS = 256 * 2**20, 2000

Told = Started | Epoch | Finished | Failed
Time = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]


class ExchangeError(ValueError):
    """A file that holds no runs that can be read. The message is one sentence."""


class _Run(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=100)]
    state: Literal["finished", "failed", "stopped"]
    created_at: Time
    finished_at: Time | None = None
    message: Annotated[str, Field(max_length=2000)] | None = None
    tags: Annotated[list[Annotated[str, Field(max_length=LONGEST_TAG)]], Field(max_length=MOST_TAGS)] = []
    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""
    spec: dict[str, Any]
    events: list[Annotated[Told, Field(discriminator="event")]]


_run: TypeAdapter[_Run] = TypeAdapter(_Run)


def pack(runs: Sequence[tuple[RunRecord, Labels, Sequence[dict[str, Any]]]]) -> bytes:
    """A file with these runs: record, labels, and stored events in order. An open run is packed as far as it got."""
    packed = [
        {
            "id": record.id,
            "state": record.state if record.state in ("finished", "failed") else "stopped",
            "created_at": record.created_at,
            "finished_at": record.finished_at,
            "message": record.message,
            "tags": list(labels.tags),
            "note": labels.note,
            "spec": record.spec,
            "events": list(events),
        }
        for record, labels, events in runs
    ]
    text = json.dumps({"format": FORMAT, "version": VERSION, "runs": packed}, separators=(",", ":"), allow_nan=False)
    return gzip.compress(text.encode(), mtime=0)  # the same runs give the same file


def unpack(data: bytes) -> list[Arrival]:
    """The runs of a file that `pack` has written, every one of them checked.

    Raises:
        ExchangeError: not such a file, or one of its runs contradicts itself; the message says which and why.
    """
    value = _parsed(data)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ExchangeError(tr('This is no file of exported runs: it does not say "format": "seesaw-runs".'))
    if value.get("version") != VERSION:
        raise ExchangeError(
            tr(
                "This file has version {version:.40}; this program reads version {known}.",
                version=repr(value.get("version")), known=VERSION,
            )
        )  # fmt: skip
    runs = value.get("runs")
    if not isinstance(runs, list) or not runs:
        raise ExchangeError(tr("This file holds no runs."))
    if len(runs) > MOST_RUNS:
        raise ExchangeError(tr("This file holds {n} runs; {most} at a time is the most.", n=len(runs), most=MOST_RUNS))
    arrivals = []
    for number, run in enumerate(runs, start=1):
        try:
            arrivals.append(_arrival(run))
        except ValueError as error:
            raise ExchangeError(
                tr(
                    "Run {number} of {all} in this file cannot be read: {problem}",
                    number=number, all=len(runs), problem=error,
                )
            ) from error  # fmt: skip
    if len({arrival.id for arrival in arrivals}) < len(arrivals):
        raise ExchangeError(tr("Two runs in this file have the same id."))
    return arrivals


def _parsed(data: bytes) -> Any:
    try:
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ExchangeError(tr("Unpacked, this file is larger than {most} MB.", most=MOST_BYTES // 2**20))
        return json.loads(data.decode(), parse_constant=_no_constant)
    except ExchangeError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise ExchangeError(tr("This file is damaged: it cannot be unpacked.")) from error
    except (ValueError, RecursionError) as error:
        raise ExchangeError(tr("This is no file of exported runs: it is not JSON.")) from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _arrival(value: Any) -> Arrival:
    try:
        run = _run.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ValueError(f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}."[:300]) from error
    try:
        spec = RunSpec.parse(run.spec)
    except SpecError as error:
        raise ValueError(tr("its spec is not valid here ({problem})", problem=error)[:300]) from error
    _check_story(run, spec)
    return Arrival(
        id=run.id,
        spec=spec,
        state=run.state,
        created_at=run.created_at,
        finished_at=run.finished_at,
        message=run.message,
        tags=tuple(dict.fromkeys(tag for tag in map(clean_tag, run.tags) if tag)),
        note=run.note,
        events=tuple(run.events),
    )


def _check_story(run: _Run, spec: RunSpec) -> None:
    """Do the events tell one run of this spec? Pages draw what they say without looking twice."""
    if (run.state == "finished") != any(isinstance(event, Finished) for event in run.events):
        raise ValueError(tr("its state does not fit its events."))
    if not run.events or (run.state == "failed" and isinstance(run.events[0], Failed)):
        _only(len(run.events) <= 1, mark("its events do not begin with 'started'."))
        return  # it failed before it began, or nobody asked for it yet
    first, *rest = run.events
    if not isinstance(first, Started):
        raise ValueError(tr("its events do not begin with 'started'."))
    tasks = spec.schema.task_names
    told = mark("its events are of another spec.")
    _only(tuple(first.tasks) == tasks and RunSpec.parse(first.spec).key == spec.key, told)
    _only(first.wiring == spec.wiring, mark("its wiring is not what its spec stands for here."))
    _only({"train", "valid", "test"} <= set(first.rows), mark("it does not say how many rows it had."))
    epochs = [event for event in rest if isinstance(event, Epoch)]
    counted = [event.epoch for event in epochs] == list(range(1, len(epochs) + 1))
    _only(counted, mark("its epochs are not 1, 2, 3 and so on."))
    end = rest[len(epochs) :]
    in_order = rest[: len(epochs)] == epochs and len(end) <= 1 and not any(isinstance(e, Started) for e in end)
    _only(in_order, mark("its events are not in the order started, epochs, then finished or failed."))
    for event in rest:
        if isinstance(event, Epoch | Finished):
            _check_scores(event.metrics, tasks)
            _check_gates(event.gates, first.wiring)
        if isinstance(event, Epoch):
            _check_tasks(event, tasks)
        if isinstance(event, Finished):
            known = 1 <= event.best_epoch <= len(epochs) and event.epoch == len(epochs)
            _only(known, mark("its best epoch is none of its epochs."))
            _only("test" in event.metrics, mark("it is finished but has no test scores."))


def _only(right: bool, problem: str) -> None:
    if not right:
        raise ValueError(tr(problem))


def _check_scores(metrics: Metrics, tasks: Sequence[str]) -> None:
    _only("valid" in metrics, mark("an epoch has no validation scores."))
    _only(all(list(split) == list(tasks) for split in metrics.values()), mark("its scores are those of other tasks."))
    values = (value for split in metrics.values() for task in split.values() for value in task.values())
    _only(all(value is None or math.isfinite(value) for value in values), mark("one of its scores is no number."))


def _check_tasks(epoch: Epoch, tasks: Sequence[str]) -> None:
    told = set(epoch.losses) == set(epoch.weights) == set(tasks)
    _only(told, mark("its losses are those of other tasks."))
    if (conflict := epoch.conflict) is not None:
        rows = (*conflict.cosine, *conflict.negative, conflict.norms, conflict.effective)
        square = len(conflict.cosine) == len(conflict.negative) == len(tasks)
        fits = square and all(len(row) == len(tasks) for row in rows)
        _only(fits, mark("its gradients are those of other tasks."))


def _check_gates(gates: dict[str, GateSummary], wiring: Wiring) -> None:
    """None were kept, or those of the wiring, with as many weights as there are experts and a row in every picture."""
    levels = enumerate(wiring.levels, start=1)
    sizes = {gate_key(number, gate.name): len(level.experts) for number, level in levels for gate in level.gates}
    fits = all(
        len(gate.mean) == len(gate.histogram) == sizes.get(name) and all(sum(counts) > 0 for counts in gate.histogram)
        for name, gate in gates.items()
    )
    _only(fits and (not gates or set(gates) == set(sizes)), mark("its gate weights do not fit its wiring."))
