"""The one training loop: specs in, events out.

    for event in train([RunSpec.parse({...})]):
        print(event.to_json())

Nothing in a step depends on values (no `.item()`, no branch on data), losses and weights carry leading batch
dimensions, and all randomness comes from generators seeded by the spec, so that the same step can run under
`torch.func.vmap` for a population of runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from mtl_core import checkpoints
from mtl_core.balancing.base import BalancerOptions
from mtl_core.data.base import DataError
from mtl_core.data.load import load
from mtl_core.data.tables import Arrays, Encoded
from mtl_core.events import Checkpoint, Epoch, Event, Failed, Finished, GateSummary, Started, Step
from mtl_core.metrics import selection_score, task_metrics
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.model import Model
from mtl_core.probes import PROBE_ROWS, summarise_gate
from mtl_core.spec import RunSpec, TrainingSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Seconds between two Step events.
STEP_SECONDS = 0.2
#: Rows per forward pass when scoring.
EVALUATION_ROWS = 16_384


class Split(NamedTuple):
    """One split on the device, or some rows of it."""

    inputs: Inputs
    labels: Tensor  # [N, K]
    mask: Tensor  # [N, K]
    truth: Tensor  # [N, K], read by metrics alone

    def at(self, rows: Tensor | slice) -> Split:
        """These rows."""
        return Split(Inputs(*(part[rows] for part in self.inputs)), *(part[rows] for part in self[1:]))


class TrainingFailed(RuntimeError):
    """The run cannot go on; the message is one clear sentence."""


def train(
    specs: Sequence[RunSpec], *, folders: Sequence[Path | None] | None = None, step_seconds: float = STEP_SECONDS
) -> Iterator[Event]:
    """Train runs and say what happens.

    Args:
        specs: the runs. They are trained one after another.
        folders: where each run keeps its checkpoint, weights and gates (None: nowhere). A run whose folder holds a
            checkpoint of the same spec goes on from it, bit for bit as if it had never stopped.
        step_seconds: least time between two Step events.

    Closing the generator between two events stops the training; the last checkpoint stays.
    """
    if folders is not None and len(folders) != len(specs):
        raise ValueError(f"{len(folders)} folders for {len(specs)} runs")
    for index, spec in enumerate(specs):
        folder = folders[index] if folders else None
        try:
            yield from _train_one(index, spec, folder, step_seconds)
        except (DataError, TrainingFailed) as error:
            yield Failed(run=index, message=str(error))
        except torch.OutOfMemoryError:
            yield Failed(run=index, message="The device ran out of memory: lower batch_size or the layer widths.")


def resolve_device(wanted: str) -> torch.device:
    """The device that "auto" stands for on this machine, or the one that was named.

    Raises:
        TrainingFailed: the named device is not there.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = wanted.partition(":")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    # Compared as written: torch.device takes 256 for 0.
    if int(index or 0) >= there:
        raise TrainingFailed(f"There is no device {wanted!r} on this machine: choose 'auto' or 'cpu'.")
    return torch.device(wanted)


def build_model(spec: RunSpec, data: Encoded) -> Model:
    """The model of a spec, initialised from the spec's seed; the global random state is left alone."""
    generator = torch.Generator().manual_seed(spec.seed)
    return Model(spec.model, data.schema.tasks, data.columns, generator)


def _train_one(run: int, spec: RunSpec, folder: Path | None, step_seconds: float) -> Iterator[Event]:
    device = resolve_device(spec.training.device)
    data = load(spec.data, spec.seed)
    tasks, names = data.schema.tasks, data.schema.task_names
    train_rows, valid_rows = _to_device(data.train, device), _to_device(data.valid, device)
    member = _Member(spec, data, device)
    saved = checkpoints.load_checkpoint(folder) if folder else None
    if saved is not None:
        if saved["key"] != spec.key:
            raise TrainingFailed(f"The checkpoint in {folder} belongs to another spec: use an empty folder.")
        member.restore(saved, device)
    yield _started(run, spec, data, member, device)

    for epoch in range(member.epoch + 1, spec.training.epochs + 1):
        losses, weights, seconds = yield from _one_epoch(run, epoch, member, train_rows, step_seconds)
        metrics = evaluate(member.model, valid_rows, data)
        gates, _ = _probe(member.model, valid_rows)
        # The weights too: the step after the last loss may be the one that ruins them.
        if not all(map(math.isfinite, (*losses, *(g.entropy for g in gates.values())))) or not _finite(member.model):
            raise TrainingFailed(f"The loss is no longer a number in epoch {epoch}: lower the learning rate.")
        yield Epoch(
            run=run,
            epoch=epoch,
            train_seconds=seconds,
            samples_per_second=len(data.train) / max(seconds, 1e-9),
            losses=dict(zip(names, losses, strict=True)),
            weights=dict(zip(names, weights, strict=True)),
            metrics={"valid": metrics},
            gates=gates,
        )
        member.done(epoch, seconds, selection_score(metrics, tasks))
        if folder:
            checkpoints.save_checkpoint(folder, member.state())
            yield Checkpoint(run=run, epoch=epoch)

    best_weights = member.best["weights"]
    member.model.load_state_dict(best_weights)
    gates, gate_weights = _probe(member.model, valid_rows)
    scores = {
        "valid": evaluate(member.model, valid_rows, data),
        "test": evaluate(member.model, _to_device(data.test, device), data),
    }
    if folder:
        checkpoints.save_weights(folder, best_weights)
        checkpoints.save_gates(folder, gate_weights)
    yield Finished(
        run=run,
        epoch=spec.training.epochs,
        best_epoch=member.best["epoch"],
        metrics=scores,
        gates=gates,
        parameters=member.model.parameter_count(),
        device=str(device),
        train_seconds=member.seconds,
    )


def _started(run: int, spec: RunSpec, data: Encoded, member: _Member, device: torch.device) -> Started:
    names, train = data.schema.task_names, data.train
    rates = (train.labels.sum(0) / train.mask.sum(0).clip(min=1)).tolist()
    return Started(
        run=run,
        spec=spec.to_json(),
        tasks=list(names),
        wiring=spec.wiring,
        parameters=member.model.parameter_count(),
        device=str(device),
        rows={"train": len(train), "valid": len(data.valid), "test": len(data.test)},
        steps=-(-len(train) // spec.training.batch_size),
        label_rates=dict(zip(names, rates, strict=True)),
        notes=list(data.notes),
        resumed_from=member.epoch,
    )


class _Member:
    """What changes while a run trains, and what a checkpoint therefore holds."""

    def __init__(self, spec: RunSpec, data: Encoded, device: torch.device) -> None:
        self.spec = spec
        self.tasks = data.schema.tasks
        self.model = build_model(spec, data).to(device)
        self.optimizer = _optimizer(self.model, spec.training)
        self.balancer = cast(BalancerOptions, spec.balancer.part).build(data.schema.task_names)
        self.balance = self.balancer.initial_state(device)
        #: Epochs done, and seconds spent in their steps.
        self.epoch, self.seconds = 0, 0.0
        #: The epoch that will be tested.
        self.best: dict[str, Any] = {"score": None, "epoch": 0, "weights": None}

    def step(self, rows: Split, noise_BN: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One optimiser step on these rows; the detached losses [K] and the loss weights [K]."""
        losses = self.model.losses(self.model(rows.inputs, noise_BN), rows.labels, rows.mask, noise_BN)
        weights, self.balance = self.balancer.weights(losses.detach(), None, self.balance)
        total, penalty = (weights * losses).sum(-1), self.model.trunk.penalty()
        self.optimizer.zero_grad(set_to_none=True)
        (total if penalty is None else total + penalty).backward()
        self.optimizer.step()
        return losses.detach(), weights

    def done(self, epoch: int, seconds: float, score: float | None) -> None:
        """Count an epoch, and keep its weights if it is the one to be tested so far."""
        self.epoch, self.seconds = epoch, self.seconds + seconds
        top = self.best["score"]
        # With no defined score yet (one class only, say) the later epoch stands in; an undefined one beats nothing.
        better = top is None or (score is not None and score > top)
        if self.spec.training.selection == "last" or better:
            self.best = {"score": score, "epoch": epoch, "weights": _copy(self.model.state_dict())}

    def state(self) -> dict[str, Any]:
        """Everything that the next epoch depends on. No random state: each epoch's order follows from the seed."""
        return {
            "key": self.spec.key,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "model": _copy(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "balancer": _copy(self.balance),
            "best": self.best,
        }

    def restore(self, saved: dict[str, Any], device: torch.device) -> None:
        """Take up a state of the same spec."""
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.balance = {name: tensor.to(device) for name, tensor in saved["balancer"].items()}
        self.best, self.epoch, self.seconds = saved["best"], saved["epoch"], saved["seconds"]


def _one_epoch(
    run: int, epoch: int, member: _Member, rows: Split, step_seconds: float
) -> Generator[Step, None, tuple[list[float], list[float], float]]:
    """Every training row once. Returns mean losses and last weights per task, and the seconds spent in steps."""
    member.model.train()
    count, batch = len(rows.labels), member.spec.training.batch_size
    steps = -(-count // batch)
    order = _batch_order(member.spec.seed, epoch, count).to(rows.labels.device)
    noise = _Noise(member.spec.seed, epoch, member.model.noise, rows.labels.device)
    loss_sum = torch.zeros(len(member.tasks), device=rows.labels.device)
    row_count = torch.zeros_like(loss_sum)
    weights = loss_sum
    seconds, resumed = 0.0, time.perf_counter()
    for step in range(steps):
        index = order[step * batch : (step + 1) * batch]
        taken = rows.at(index)
        losses, weights = member.step(taken, noise.draw(len(index)))
        inside = member.model.head.rows(taken.mask)
        loss_sum += losses * inside
        row_count += inside
        now = time.perf_counter()
        if now - resumed >= step_seconds and step + 1 < steps:
            seconds += now - resumed
            rate = min((step + 1) * batch, count) / max(seconds, 1e-9)
            yield Step(run=run, epoch=epoch, step=step + 1, steps=steps, samples_per_second=rate)
            resumed = time.perf_counter()
    means: list[float] = (loss_sum / row_count.clamp(min=1)).tolist()  # the epoch's one wait for the device
    return means, weights.tolist(), seconds + time.perf_counter() - resumed


def evaluate(model: Model, rows: Split, data: Encoded) -> dict[str, dict[str, float | None]]:
    """Metrics per task over all rows at once, in evaluation mode; the model's mode is put back afterwards."""
    parts = []
    with _Scoring(model):
        for start in range(0, len(rows.labels), EVALUATION_ROWS):
            part = rows.at(slice(start, start + EVALUATION_ROWS))
            parts.append(model(part.inputs).logits)
    logits = {name: torch.cat([part[name] for part in parts]) for name in data.schema.task_names}
    return task_metrics(logits, rows.labels, rows.mask, data.schema.tasks, rows.truth)


def _probe(model: Model, rows: Split) -> tuple[dict[str, GateSummary], dict[str, Tensor]]:
    with _Scoring(model):
        gates = model(rows.at(slice(PROBE_ROWS)).inputs).gates
    return {name: summarise_gate(gate) for name, gate in gates.items()}, gates


class _Scoring:
    """Evaluation mode without gradients, for a while."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._no_grad = torch.no_grad()

    def __enter__(self) -> None:
        self._was_training = self._model.training
        self._model.eval()
        self._no_grad.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._no_grad.__exit__(*exception)
        self._model.train(self._was_training)


def _to_device(arrays: Arrays, device: torch.device) -> Split:
    def put(*columns: NDArray[Any]) -> Iterator[Tensor]:
        return (torch.from_numpy(column).to(device) for column in columns)

    inputs = Inputs(*put(arrays.numeric, arrays.ids, arrays.sequences, arrays.missing))
    return Split(inputs, *put(arrays.labels, arrays.mask, arrays.truth))


def _batch_order(seed: int, epoch: int, rows: int) -> Tensor:
    """Each epoch's order follows from seed and epoch alone, so a resumed run needs no random state."""
    # Drawn on the CPU on every device: the same batches everywhere.
    return torch.randperm(rows, generator=torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63))


class _Noise:
    """The uniform numbers of an epoch's steps; like the order of its rows they follow from seed and epoch."""

    def __init__(self, seed: int, epoch: int, columns: int, device: torch.device) -> None:
        self._columns, self._device = columns, device
        self._generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch + 0x5EED) % 2**63)

    def draw(self, rows: int) -> Tensor | None:
        """[rows, columns] for the next step; None where the model wants none."""
        if not self._columns:
            return None
        return torch.rand(rows, self._columns, generator=self._generator).to(self._device)


def _optimizer(model: nn.Module, training: TrainingSpec) -> torch.optim.Optimizer:
    options: dict[str, Any] = {"lr": training.learning_rate, "weight_decay": training.weight_decay, "fused": True}
    kinds: dict[str, type[torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
    }
    return kinds[training.optimizer](model.parameters(), **options)


def _finite(model: nn.Module) -> bool:
    """Are all weights numbers?"""
    return bool(torch.stack([parameter.isfinite().all() for parameter in model.parameters()]).all())


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
