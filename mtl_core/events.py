"""What a training run says while it goes on. One JSON object per event; the order is
started, (step | epoch | checkpoint)*, then finished or failed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from mtl_core.trunks.wiring import Wiring

#: split -> task -> metric -> value; None where a metric is not defined (one class only, no rows).
Metrics = dict[str, dict[str, dict[str, float | None]]]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Index of the run in the list given to `train`.
    run: int

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return self.model_dump(mode="json")


class GateSummary(BaseModel):
    """One gate over the probe rows. Lists run over the experts of the gate's level, in the wiring's order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: list[float]
    #: [E][bins]: rows per bin of equal width between `low` and `high`.
    histogram: list[list[int]]
    #: Mean over rows of -sum w log w, in nats; None where the weights are no distribution.
    entropy: float | None
    #: Ends of the histogram: 0 and 1 unless weights lie beyond.
    low: float = 0.0
    high: float = 1.0


class Conflict(BaseModel):
    """How the tasks' gradients on shared parameters stood to each other; lists run over the tasks in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Batches looked at.
    steps: int
    #: [K][K] mean cosine of two tasks' gradients; None where a task never had one.
    cosine: list[list[float | None]]
    #: [K][K] share of batches in which two tasks' gradients pointed apart (cosine below 0).
    negative: list[list[float | None]]
    #: Mean length of each task's gradient.
    norms: list[float | None]
    #: Mean share of each task in the length of the step, |w_k| |g_k| / sum_j |w_j| |g_j|.
    effective: list[float | None]


class Started(_Event):
    """The run begins, or goes on from a checkpoint."""

    event: Literal["started"] = "started"
    spec: dict[str, Any]
    tasks: list[str]
    wiring: Wiring
    #: Trainable parameters of the model.
    parameters: int
    device: str
    rows: dict[str, int]
    #: Steps per epoch.
    steps: int
    #: Mean label per task over the training rows of its sample space.
    label_rates: dict[str, float]
    notes: list[str]
    #: Epochs already done by an earlier attempt.
    resumed_from: int = 0
    #: How the members of the population are trained, and how many they are.
    population: Literal["one by one", "together"] = "one by one"
    members: int = 1


class Step(_Event):
    """A sign of life between epochs, a few per second at most."""

    event: Literal["step"] = "step"
    epoch: int
    step: int
    steps: int
    samples_per_second: float


class Epoch(_Event):
    """An epoch is done and the validation rows are scored. Epochs count from 1.

    A member of a population is credited with its part of the time that all took together.
    """

    event: Literal["epoch"] = "epoch"
    epoch: int
    #: Time spent in training steps of this epoch alone, without evaluation.
    train_seconds: float
    samples_per_second: float
    #: Mean training loss per task over the epoch, unweighted.
    losses: dict[str, float | None]
    #: Loss weight per task at the end of the epoch.
    weights: dict[str, float]
    metrics: Metrics
    gates: dict[str, GateSummary]
    #: None where the tasks share nothing.
    conflict: Conflict | None = None
    #: Steps so far in which the balancer's solver found no solution and fell back to equal weights.
    unsolved: int = 0


class Checkpoint(_Event):
    """The state after `epoch` is on disk; a run that is killed now goes on from here."""

    event: Literal["checkpoint"] = "checkpoint"
    epoch: int


class Finished(_Event):
    """The run is done. The test rows were scored once, with the weights of `best_epoch`."""

    event: Literal["finished"] = "finished"
    epoch: int
    best_epoch: int
    metrics: Metrics
    gates: dict[str, GateSummary]
    parameters: int
    device: str
    #: Training steps of all epochs, without evaluation.
    train_seconds: float


class Failed(_Event):
    """The run cannot go on; `message` says in one sentence why and what to do."""

    event: Literal["failed"] = "failed"
    message: str


Event = Annotated[Started | Step | Epoch | Checkpoint | Finished | Failed, Field(discriminator="event")]
adapter: TypeAdapter[Event] = TypeAdapter(Event)
