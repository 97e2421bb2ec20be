"""How long a run will take, from what earlier runs took on this machine; or that nobody knows. No Streamlit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app import wording
from app.core_texts import title
from app.i18n import tr, trn
from app.jobs.records import RunRecord
from mtl_core.spec import RunSpec

#: Sizes further apart than this are worth a word.
OTHER_SIZE = 1.5


@dataclass(frozen=True)
class Estimate:
    """Seconds for the whole run, evaluation included, and the earlier run that they come from."""

    seconds: float
    record: RunRecord
    #: Parameters of the new run by those of the earlier one; None where one of them is not known.
    size: float | None


def estimate(spec: RunSpec, parameters: int | None, records: Iterable[RunRecord]) -> Estimate | None:
    """From the earlier run of the same trunk and data that is most alike; None where there is none.

    Pace does not follow size: small networks are slow for their overhead. So the earlier pace per row is taken as it
    was, and the sizes are only told beside it.

    Args:
        spec: the new run.
        parameters: its trainable parameters.
        records: runs of this machine; examples that came with the repository say nothing about it.
    """
    records = list(records)
    known = [record for record in records if _alike(spec, record) and _seconds_per_epoch(record) is not None]
    if not known:
        return None

    def distance(record: RunRecord) -> tuple[bool, bool, bool, bool, float]:
        training, value = record.spec["training"], spec.to_json()
        size = _ratio(parameters, record.parameters) or 1e9
        return (
            _in_company(record, records),
            record.spec["balancer"]["name"] != spec.balancer.name,
            training["batch_size"] != spec.training.batch_size,
            record.spec["data"] != value["data"],
            max(size, 1 / size),
        )

    best = min(known, key=distance)  # the newest of equals: records come newest first
    seconds = (_seconds_per_epoch(best) or 0.0) * _rows_ratio(spec, best) * spec.training.epochs
    return Estimate(seconds, best, _ratio(parameters, best.parameters))


def _alike(spec: RunSpec, record: RunRecord) -> bool:
    same = record.trunk == spec.model.trunk.name and record.dataset == spec.data.name
    return same and record.spec["training"]["device"] == spec.training.device


def _in_company(record: RunRecord, records: Iterable[RunRecord]) -> bool:
    """Did it train together with others, so that its wall time is that of all of them?"""
    if record.started_at is None or record.finished_at is None:
        return False
    return any(
        other.id != record.id
        and other.started_at is not None
        and other.finished_at is not None
        and max(other.started_at, record.started_at) < min(other.finished_at, record.finished_at)
        for other in records
    )


def _seconds_per_epoch(record: RunRecord) -> float | None:
    """Wall time of the present attempt per epoch, evaluation included; else what its steps took."""
    done = record.epoch - record.resumed_from
    ended = record.finished_at or record.updated_at
    if record.state == "finished" and record.started_at is not None and ended is not None and done > 0:
        if ended > record.started_at:
            return (ended - record.started_at) / done
    elif record.samples_per_second and record.steps:
        return record.steps * int(record.spec["training"]["batch_size"]) / record.samples_per_second
    return None


def _rows_ratio(spec: RunSpec, record: RunRecord) -> float:
    """How many times the rows; made worlds say theirs, other data have what they have."""
    ours, theirs = spec.data.options.get("rows"), record.spec["data"]["options"].get("rows")
    if isinstance(ours, int) and isinstance(theirs, int) and theirs > 0:
        return ours / theirs
    return 1.0


def _ratio(a: int | None, b: int | None) -> float | None:
    return a / b if a and b else None


def estimate_line(spec: RunSpec, found: Estimate | None, ahead: int) -> str:
    """What is known before the click, in one line.

    Args:
        spec: the new run.
        found: the estimate, if there is one.
        ahead: runs that are open already.
    """
    queue = [before_it(ahead)] if ahead else []
    if found is None:
        model = title("trunk", spec.model.trunk.name)
        unknown = tr("How long {model} takes on these data is not known yet: this is its first run here", model=model)
        return tr("{claim}.", claim=wording.clauses([unknown, *queue]))
    notes = []
    if found.size is not None and max(found.size, 1 / found.size) > OTHER_SIZE:
        notes.append(tr("{factor:.1f} times its parameters", factor=found.size))
    if found.record.spec["training"]["batch_size"] != spec.training.batch_size:
        notes.append(tr("another batch size"))
    if found.record.spec["balancer"]["name"] != spec.balancer.name:
        notes.append(tr("another balancer"))
    took = found.seconds
    time = tr("About {time} of training", time=wording.seconds(took)) if took >= 1 else tr("Under a second of training")
    if notes:
        told = wording.join(notes)
        text = tr("{time}, as an earlier run on this machine, though with {notes}", time=time, notes=told)
    else:
        text = tr("{time}, as an earlier run on this machine", time=time)
    return tr("{claim}.", claim=wording.clauses([text, *queue]))


def before_it(ahead: int) -> str:
    """How many runs are open already."""
    return trn("one run is before it", "{n} runs are before it", ahead)
