"""What the store hands out: plain frozen data, safe to keep, to cache and to pass between threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["queued", "running", "stopping", "finished", "stopped", "failed"]
#: A worker holds the run.
HELD: tuple[State, ...] = ("running", "stopping")
#: The run is not over.
OPEN: tuple[State, ...] = ("queued", *HELD)


@dataclass(frozen=True)
class RunRecord:
    """One run as it was when it was read. Times are seconds since 1970 (UTC)."""

    id: str
    state: State
    #: The whole spec, every option written out. Records share it: copy before changing.
    spec: dict[str, Any]
    #: `RunSpec.key`: equal for equal specs.
    spec_key: str
    created_at: float
    #: When the present attempt began to train; None before.
    started_at: float | None
    #: Last sign of life of the training.
    updated_at: float | None
    finished_at: float | None
    #: Epochs done.
    epoch: int
    #: Steps done in the epoch under way, and steps per epoch (0: not known yet).
    step: int
    steps: int
    samples_per_second: float | None
    #: Epochs that the present attempt found done.
    resumed_from: int
    #: Trainable parameters of the model.
    parameters: int | None
    device: str | None
    #: Training steps of the epochs done, without evaluation.
    train_seconds: float
    best_epoch: int | None
    #: task -> metric -> value of the finished run; None before.
    metrics_test: dict[str, dict[str, float | None]] | None
    #: Why the run failed, in one sentence.
    message: str | None
    #: Times that a worker took the run since an epoch was last done.
    attempts: int
    #: 1 is next; None when the run is not queued.
    queue_position: int | None

    @property
    def trunk(self) -> str:
        """Name of the sharing architecture."""
        return str(self.spec["model"]["trunk"]["name"])

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return str(self.spec["data"]["name"])

    @property
    def seed(self) -> int:
        """The seed."""
        return int(self.spec["seed"])

    @property
    def epochs(self) -> int:
        """Epochs asked for."""
        return int(self.spec["training"]["epochs"])

    @property
    def open(self) -> bool:
        """Whether the run is queued or in a worker's hands."""
        return self.state in OPEN

    @property
    def fraction(self) -> float:
        """Share of all steps done, 0..1."""
        return min(1.0, (self.epoch + self.step / max(self.steps, 1)) / self.epochs)

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the pace of the present attempt, evaluation included; None while nothing is known."""
        if self.state != "running" or self.started_at is None or self.updated_at is None:
            return None
        done = self.fraction - self.resumed_from / self.epochs
        return (self.updated_at - self.started_at) * (1 - self.fraction) / done if done > 0 else None


@dataclass(frozen=True)
class SweepRecord:
    """Runs that were asked for together. Times are seconds since 1970 (UTC)."""

    id: str
    created_at: float
    #: Ids of its runs, in the order in which they were asked for; one that was there before counts, too.
    runs: tuple[str, ...]
    #: Searches for loss weights that go on with further runs, as `mtl_core.sweep.WeightSearch` writes them.
    searches: tuple[dict[str, Any], ...]
    #: A search may still ask for further runs.
    searching: bool


@dataclass(frozen=True)
class EventRecord:
    """A stored event. `seq` grows within a run and is never used twice."""

    seq: int
    kind: str
    #: The epoch that the event speaks of; 0 for `started`, None for `failed`.
    epoch: int | None
    #: The event as JSON data, as `mtl_core.events` defines it.
    payload: dict[str, Any]


@dataclass(frozen=True)
class WorkerRecord:
    """A worker process and its last sign of life."""

    id: str
    host: str
    pid: int
    #: Start time of the process, which tells it from a later one with the same pid.
    process_started: float
    slot: int
    heartbeat_at: float
