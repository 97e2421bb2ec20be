"""The one training loop: specs in, events out.

    for event in train([RunSpec.parse({...})]):
        print(event.to_json())

Runs of one structure train together as a population (`mtl_core.engine.population`); a single run is one of one member.
Nothing in a step depends on values (no `.item()`, no branch on data), losses and weights carry a member dimension, and
all randomness comes from generators seeded by the spec.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtl_core import checkpoints
from mtl_core.data.base import DataError
from mtl_core.data.load import load
from mtl_core.data.tables import Encoded
from mtl_core.engine.evaluation import Scores, evaluate, in_own_units, probe
from mtl_core.engine.gradients import ConflictSums
from mtl_core.engine.grouping import groups, together
from mtl_core.engine.memory import members_that_fit
from mtl_core.engine.population import Noise, Population
from mtl_core.engine.rows import Rows, Shelf, to_device
from mtl_core.events import Checkpoint, Conflict, Epoch, Event, Failed, Finished, Started, Step
from mtl_core.metrics import selection_score
from mtl_core.nn.model import Model
from mtl_core.spec import RunSpec

#: Seconds between two Step events.
STEP_SECONDS = 0.2
#: Batches per epoch on which the tasks' gradients are compared, where the balancer does not ask for them anyway.
CONFLICT_BATCHES = 8


class TrainingFailed(RuntimeError):
    """The run cannot go on; the message is one clear sentence."""


def train(
    specs: Sequence[RunSpec],
    *,
    folders: Sequence[str | Path | None] | None = None,
    step_seconds: float = STEP_SECONDS,
    find_run: Callable[[str], Path] = Path,
    dropped: Container[int] = (),
) -> Iterator[Event]:
    """Train runs and say what happens.

    Args:
        specs: the runs. Those of one structure (`mtl_core.engine.grouping`) train together, group after group.
        folders: where each run keeps its checkpoint, weights and gates (None: nowhere). A run whose folder holds a
            checkpoint of the same spec goes on from it, bit for bit as if it had never stopped.
        step_seconds: least time between two Step events.
        find_run: the folder of the run that a spec's `init_from` names.
        dropped: indices of runs to give up. The caller may add to them between two events: from then on such a run says
            and writes nothing more, its last checkpoint stays, and the others go on as if it had never been there.

    Closing the generator between two events stops the training; the last checkpoints stay.
    """
    if folders is not None and len(folders) != len(specs):
        raise ValueError(f"{len(folders)} folders for {len(specs)} runs")
    for group in groups(specs):
        members = []
        for index in group:
            if index in dropped:
                continue
            folder = folders[index] if folders else None
            member = _Member(index, specs[index], None if folder is None else Path(folder))
            try:
                member.prepare(find_run)
            except (DataError, TrainingFailed) as error:
                yield Failed(run=index, message=str(error))
            else:
                members.append(member)
        for alike in together(members, lambda m: (m.data, m.epoch)):
            yield from _train_in_parts(alike, step_seconds, dropped)


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


@dataclass
class _Member:
    """One run: its data, how far it is, and its best epoch so far."""

    index: int
    spec: RunSpec
    folder: Path | None
    #: Epochs done, and seconds spent in their steps.
    epoch: int = 0
    seconds: float = 0.0
    #: The epoch that will be tested.
    best: dict[str, Any] = field(default_factory=lambda: {"score": None, "epoch": 0, "weights": None})

    def prepare(self, find_run: Callable[[str], Path]) -> None:
        """Load the data, build the model, take up a checkpoint.

        Raises:
            DataError: the data cannot be had.
            TrainingFailed: another run's checkpoint, no such device, weights to start from that do not fit.
        """
        self.device = resolve_device(self.spec.training.device)
        self.data = load(self.spec.data, self.spec.seed)
        self.saved = checkpoints.load_checkpoint(self.folder) if self.folder else None
        if self.saved is not None:
            if self.saved["key"] != self.spec.key:
                raise TrainingFailed(f"The checkpoint in {self.folder} belongs to another spec: use an empty folder.")
            self.best, self.epoch, self.seconds = (self.saved[name] for name in ("best", "epoch", "seconds"))
        self.model = build_model(self.spec, self.data)
        if self.spec.init_from is not None and self.saved is None:
            _start_from(self.model, self.spec.init_from, find_run)

    @property
    def over(self) -> bool:
        """Has it done its epochs, or waited in vain for a better one?"""
        patience, epochs = self.spec.training.patience, self.spec.training.epochs
        waited = self.epoch - int(self.best["epoch"])
        return self.epoch >= epochs or (patience is not None and waited >= patience)

    def done(self, epoch: int, seconds: float, score: float | None, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Count an epoch, and keep its weights if it is the one to be tested so far."""
        self.epoch, self.seconds = epoch, self.seconds + seconds
        top = self.best["score"]
        # With no defined score yet (one class only, say) the later epoch stands in; an undefined one beats nothing.
        better = top is None or (score is not None and score > top)
        if self.spec.training.selection == "last" or better:
            self.best = {"score": score, "epoch": epoch, "weights": weights()}

    def state(self, of_model: dict[str, Any]) -> dict[str, Any]:
        """Everything that the next epoch depends on. No random state: each epoch's draws follow from the seed."""
        return {"key": self.spec.key, "epoch": self.epoch, "seconds": self.seconds, "best": self.best, **of_model}


def _start_from(model: Model, name: str, find_run: Callable[[str], Path]) -> None:
    """Give the model the weights of a finished run.

    Raises:
        TrainingFailed: there is no such run, or its model is another one.
    """
    try:
        weights = checkpoints.load_weights(find_run(name))
    except (OSError, ValueError, LookupError) as error:
        raise TrainingFailed(f"init_from: run {name!r} has no weights to start from: {error}.") from error
    own = model.state_dict()
    wrong = [n for n in own if n not in weights or weights[n].shape != own[n].shape]
    if wrong or set(weights) - set(own):
        which = f", for instance {wrong[0]}" if wrong else ""
        raise TrainingFailed(
            f"init_from: the weights of run {name!r} do not fit this model{which}: give both the same model and data."
        )
    model.load_state_dict(weights)


def _train_in_parts(members: list[_Member], step_seconds: float, dropped: Container[int]) -> Iterator[Event]:
    """All members, as many at a time as the memory holds."""
    first = members[0]
    most = members_that_fit(first.model, first.data, first.spec, first.device, len(members))
    for start in range(0, len(members), most):
        part = [member for member in members[start : start + most] if member.index not in dropped]
        if not part:
            continue
        try:
            yield from _train_together(part, step_seconds, dropped)
        except torch.OutOfMemoryError:
            message = "The device ran out of memory: lower batch_size or the layer widths."
            for member in part:
                yield Failed(run=member.index, message=message)


class _Splits:
    """The rows of the members that are still under way."""

    def __init__(self, members: Sequence[_Member], device: torch.device) -> None:
        kept: dict[tuple[int, str], Rows] = {}

        def rows(member: _Member, split: str) -> Rows:
            place = (id(member.data), split)
            if place not in kept:
                kept[place] = to_device(getattr(member.data, split), device)
            return kept[place]

        self.rows = {split: [rows(member, split) for member in members] for split in ("train", "valid")}
        self.shelves = {split: Shelf(of_members) for split, of_members in self.rows.items()}

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these members only."""
        for split, shelf in self.shelves.items():
            shelf.keep(members)
            self.rows[split] = [self.rows[split][m] for m in members]


def _train_together(members: list[_Member], step_seconds: float, dropped: Container[int]) -> Iterator[Event]:
    device, epoch = members[0].device, members[0].epoch
    splits = _Splits(members, device)
    models = [member.model.to(device) for member in members]
    population = Population([member.spec for member in members], models, splits.rows["train"][0])
    for place, member in enumerate(members):
        if member.saved is not None:
            population.restore(place, member.saved)
            member.saved = None
        if member.index not in dropped:
            yield _started(member, len(members), population)

    under_way = list(members)
    while True:
        leaving = [place for place, member in enumerate(under_way) if member.over or member.index in dropped]
        for place in leaving:
            if under_way[place].index not in dropped:
                yield _finish(under_way[place], population, place, splits)
        under_way = _without(leaving, under_way, population, splits)
        if not under_way:
            return
        epoch += 1
        done = yield from _one_epoch(under_way, epoch, population, splits.shelves["train"], step_seconds, dropped)
        broken = yield from _after_epoch(under_way, epoch, done, population, splits, dropped)
        under_way = _without(broken, under_way, population, splits)
        if not under_way:
            return


def _after_epoch(
    members: list[_Member],
    epoch: int,
    done: _EpochDone,
    population: Population,
    splits: _Splits,
    dropped: Container[int],
) -> Generator[Event, None, list[int]]:
    """Score the validation rows, say so and save; the places of the members that cannot go on."""
    tasks, names = members[0].data.schema.tasks, members[0].data.schema.task_names
    scores = evaluate(population, splits.shelves["valid"], splits.rows["valid"], tasks)
    probes = probe(population, splits.shelves["valid"])
    sound = population.finite()
    broken = []
    for place, member in enumerate(members):
        if member.index in dropped:
            continue  # it leaves before the next epoch: nothing of this one may reach its folder
        losses, weights = done.losses[place], done.weights[place]
        gates, _ = probes[place]
        entropies = [g.entropy for g in gates.values() if g.entropy is not None]
        # The weights too: the step after the last loss may be the one that ruins them.
        if not all(map(math.isfinite, (*losses, *entropies))) or not sound[place]:
            broken.append(place)
            message = f"The loss is no longer a number in epoch {epoch}: lower the learning rate."
            yield Failed(run=member.index, message=message)
            continue
        yield Epoch(
            run=member.index,
            epoch=epoch,
            train_seconds=done.seconds,
            samples_per_second=len(member.data.train) / max(done.seconds, 1e-9),
            losses=dict(zip(names, losses, strict=True)),
            weights=dict(zip(names, weights, strict=True)),
            metrics={"valid": in_own_units(scores[place], member.data.scales)},
            gates=gates,
            conflict=done.conflict[place],
            unsolved=done.unsolved[place],
        )
        if member.index in dropped:  # since it was told so
            continue
        score = selection_score(scores[place], tasks)
        member.done(epoch, done.seconds, score, lambda place=place: population.weights_of(place))  # type: ignore[misc]
        if member.folder:
            checkpoints.save_checkpoint(member.folder, member.state(population.state_of(place)))
            yield Checkpoint(run=member.index, epoch=epoch)
    return broken


def _without(leaving: Sequence[int], members: list[_Member], population: Population, splits: _Splits) -> list[_Member]:
    """The members that go on, in a population and with rows of their own."""
    staying = [place for place in range(len(members)) if place not in leaving]
    if leaving and staying:
        population.keep(staying)
        splits.keep(staying)
    return [members[place] for place in staying]


def _finish(member: _Member, population: Population, place: int, splits: _Splits) -> Finished:
    """Score the test rows once, with the weights of the best epoch, and leave what can be taken home."""
    best = member.best["weights"]
    population.set_weights(place, best)
    tasks, device = member.data.schema.tasks, population.device

    def score(split: str) -> Scores:
        rows = splits.rows[split][place] if split == "valid" else to_device(member.data.test, device)
        found = population.alone(place, lambda one: evaluate(one, Shelf([rows]), [rows], tasks)[0])
        return in_own_units(found, member.data.scales)

    gates, gate_weights = population.alone(place, lambda one: probe(one, Shelf([splits.rows["valid"][place]]))[0])
    scores = {split: score(split) for split in ("valid", "test")}
    if member.folder:
        checkpoints.save_weights(member.folder, best)
        checkpoints.save_gates(member.folder, gate_weights)
    return Finished(
        run=member.index,
        epoch=member.epoch,
        best_epoch=member.best["epoch"],
        metrics=scores,
        gates=gates,
        parameters=member.model.parameter_count(),
        device=str(device),
        train_seconds=member.seconds,
    )


def _started(member: _Member, members: int, population: Population) -> Started:
    data, spec = member.data, member.spec
    names, rows = data.schema.task_names, data.train
    rates = dict(zip(names, (rows.labels.sum(0) / rows.mask.sum(0).clip(min=1)).tolist(), strict=True))
    return Started(
        run=member.index,
        spec=spec.to_json(),
        tasks=list(names),
        wiring=spec.wiring,
        parameters=member.model.parameter_count(),
        device=str(population.device),
        rows={"train": len(rows), "valid": len(data.valid), "test": len(data.test)},
        steps=-(-len(rows) // spec.training.batch_size),
        label_rates={**rates, **{task: mean for task, (mean, _) in data.scales.items()}},
        notes=list(data.notes),
        resumed_from=member.epoch,
        population="together" if members > 1 else "one by one",
        members=members,
    )


@dataclass(frozen=True)
class _EpochDone:
    """What an epoch leaves, per member."""

    losses: list[list[float]]
    weights: list[list[float]]
    conflict: list[Conflict | None]
    unsolved: list[int]
    #: Each member's part of the seconds spent in steps.
    seconds: float


def _one_epoch(
    members: list[_Member],
    epoch: int,
    population: Population,
    shelf: Shelf,
    step_seconds: float,
    dropped: Container[int],
) -> Generator[Step, None, _EpochDone]:
    """Every training row of every member once."""
    population.train_mode()
    device, tasks = population.device, len(members[0].data.schema.tasks)
    batch, count = members[0].spec.training.batch_size, shelf.count
    steps = -(-count // batch)
    seeds = [member.spec.seed for member in members]
    # The same rows in the same order for all: they are fetched once.
    per_member = not (shelf.alone and len(set(seeds)) == 1)
    order = torch.stack([_batch_order(seed, epoch, count) for seed in (seeds if per_member else seeds[:1])]).to(device)
    draws = _Draws(seeds, epoch, population)
    loss_sum = torch.zeros(len(members), tasks, device=device)
    row_count, weights = torch.zeros_like(loss_sum), torch.zeros_like(loss_sum)
    sums, seen = ConflictSums.zeros(len(members), tasks, device), 0
    seconds, resumed = 0.0, time.perf_counter()
    for step in range(steps):
        index = order[:, step * batch : (step + 1) * batch]
        rows = shelf.batch(index) if per_member else shelf.shared_batch(index[0])
        losses, inside, weights, gramian = population.step(rows, draws.next(index.shape[1]), per_member=per_member)
        loss_sum += losses * inside
        row_count += inside
        if gramian is not None:
            sums, seen = sums.add(gramian, weights), seen + 1
        now = time.perf_counter()
        if now - resumed >= step_seconds and step + 1 < steps:
            seconds += now - resumed
            rate = len(members) * min((step + 1) * batch, count) / max(seconds, 1e-9)
            for member in (member for member in members if member.index not in dropped):
                yield Step(run=member.index, epoch=epoch, step=step + 1, steps=steps, samples_per_second=rate)
            resumed = time.perf_counter()
    means = loss_sum / row_count.clamp(min=1)
    population.balance = population.balancer.after_epoch(means, population.balance)
    mean_list = means.tolist()  # the epoch's one wait for the device
    seconds = (seconds + time.perf_counter() - resumed) / len(members)
    if population.sharing.exists and not seen:
        for step in range(min(CONFLICT_BATCHES, steps)):
            index = order[:, step * batch : (step + 1) * batch]
            rows = shelf.batch(index) if per_member else shelf.shared_batch(index[0])
            sums, seen = population.look(rows, weights, sums, per_member=per_member), seen + 1
    unsolved = population.balance.get("unsolved")
    return _EpochDone(
        mean_list,
        weights.tolist(),
        _conflict(sums, seen) if population.sharing.exists else [None] * len(members),
        [0] * len(members) if unsolved is None else [int(n) for n in unsolved.tolist()],
        seconds,
    )


def _conflict(sums: ConflictSums, steps: int) -> list[Conflict | None]:
    """Means over the steps, per member."""

    def mean(total: Tensor, count: Tensor) -> Any:
        values = torch.where(count > 0, total / count.clamp(min=1), float("nan"))
        return values.tolist()

    own = sums.pairs.diagonal(dim1=1, dim2=2)
    cosine, negative = mean(sums.cosine, sums.pairs), mean(sums.negative, sums.pairs)
    norms, share = mean(sums.norm, own), mean(sums.share, own)
    found: list[Conflict | None] = []
    for m in range(len(sums.norm)):
        found.append(
            Conflict(
                steps=steps,
                cosine=[[_known(v, 4) for v in row] for row in cosine[m]],
                negative=[[_known(v, 4) for v in row] for row in negative[m]],
                norms=[_known(v, 8) for v in norms[m]],
                effective=[_known(v, 4) for v in share[m]],
            )
        )
    return found


def _known(value: float, digits: int) -> float | None:
    return round(value, digits) if math.isfinite(value) else None


def _batch_order(seed: int, epoch: int, rows: int) -> Tensor:
    """Each epoch's order follows from seed and epoch alone, so a resumed run needs no random state."""
    # Drawn on the CPU on every device: the same batches everywhere.
    return torch.randperm(rows, generator=torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63))


class _Draws:
    """The uniform numbers of an epoch's steps; like the order of its rows they follow from seed and epoch."""

    def __init__(self, seeds: Sequence[int], epoch: int, population: Population) -> None:
        self._device = population.device
        self._model, self._balancer = population.noise_of_model, population.balancer.noise
        self._elements = population.shared_elements() if population.balancer.noise_per_element else 0
        self._generators = [
            torch.Generator().manual_seed((seed * 1_000_003 + epoch + 0x5EED) % 2**63) for seed in seeds
        ]

    def next(self, rows: int) -> Noise:
        """For a step on so many rows."""
        return Noise(
            self._draw((rows, self._model)) if self._model else None,
            self._draw((self._balancer,)) if self._balancer else None,
            self._draw((self._elements,)) if self._elements else None,
        )

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return torch.stack([torch.rand(shape, generator=g) for g in self._generators]).to(self._device)
