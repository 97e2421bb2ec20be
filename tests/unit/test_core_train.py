"""The one training loop: events, resuming, selection, failures, and what a run leaves behind."""

from __future__ import annotations

import itertools
import json
import pickle
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pooch
import pytest
import torch
from torch import Tensor

from mtl_core import checkpoints, events, training
from mtl_core.atomic import write_atomically
from mtl_core.data import files
from mtl_core.data.conflict import Conflict
from mtl_core.data.load import load
from mtl_core.engine.evaluation import score
from mtl_core.engine.optimizer import Optimizer
from mtl_core.engine.rows import to_device
from mtl_core.events import Epoch, Event, Failed, Finished, Started, Step
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.model import Model
from mtl_core.spec import RunSpec
from mtl_core.training import build_model, train

ROWS = 300  # training rows of the small world
TIMINGS = {"train_seconds", "samples_per_second"}


def small(trunk: str = "mmoe", seed: int = 0, weights: Iterable[float] | None = None, **changes: Any) -> RunSpec:
    """A run of a fraction of a second; `changes` go to `training`."""
    sizes = {"mmoe": {"experts": 3, "expert_layers": [8]}, "ple": {"shared_experts": 2, "expert_layers": [8]}}
    return RunSpec.parse(
        {
            "data": {"name": "conflict", "options": {"rows": 500}},
            "model": {"trunk": {"name": trunk, "options": sizes.get(trunk, {"layers": [8]})}, "towers": [4]},
            "balancer": {"options": {"weights": None if weights is None else list(weights)}},
            "training": {"epochs": 4, "batch_size": 64, "learning_rate": 0.01, "device": "cpu", **changes},
            "seed": seed,
        }
    )


def run(spec: RunSpec, folder: Path | None = None) -> list[Event]:
    """All events of a run but the steps, which come by the clock."""
    return [event for event in train([spec], folders=[folder]) if event.event != "step"]


def stop_after(stream: Iterator[Event], kind: str, epoch: int) -> list[Event]:
    """Take events up to this one, then close the generator as a worker does."""
    taken = []
    for event in stream:
        taken.append(event)
        if event.event == kind and getattr(event, "epoch", None) == epoch:
            break
    else:
        pytest.fail(f"no {kind} of epoch {epoch}")
    cast(Any, stream).close()
    return taken


def numbers(found: Iterable[Event]) -> list[dict[str, Any]]:
    """Events as JSON without what the clock decides and without the note of a resumed start."""
    return [{k: v for k, v in event.to_json().items() if k not in TIMINGS | {"resumed_from"}} for event in found]


def finished(found: list[Event]) -> Finished:
    """The last event, which must be a finish."""
    last = found[-1]
    assert isinstance(last, Finished), last
    return last


def failure(found: list[Event]) -> str:
    """The message of a run that failed: one sentence, in one line, and nothing after it."""
    last = found[-1]
    assert isinstance(last, Failed), last
    assert last.message.splitlines() == [last.message]
    assert last.message.endswith(".")
    return last.message


def start_weights(spec: RunSpec) -> dict[str, Tensor]:
    """The weights a run starts with."""
    return build_model(spec, load(spec.data, spec.seed)).state_dict()


def assert_same_weights(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """Bit for bit."""
    assert set(a) == set(b)
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool, Tensor]]:
    """Each forward pass of a model: was it in training mode, were gradients on, and on which rows."""
    seen: list[tuple[bool, bool, Tensor]] = []
    forward = Model.forward

    def spy(self: Model, inputs: Inputs, noise_BN: Tensor | None = None) -> Any:
        seen.append((self.training, torch.is_grad_enabled(), inputs.numeric.detach().clone()))
        return forward(self, inputs, noise_BN)

    monkeypatch.setattr(Model, "forward", spy)
    return seen


def test_events_come_in_order(tmp_path: Path) -> None:
    """Started, then epochs each with its checkpoint, then finished; without a folder no checkpoint."""
    kinds = [event.event for event in run(small(), tmp_path)]
    assert kinds == ["started", *["epoch", "checkpoint"] * 4, "finished"]
    assert [event.event for event in run(small())] == ["started", *["epoch"] * 4, "finished"]


def test_steps_are_told_between_epochs() -> None:
    """With no pause asked for, each step but an epoch's last one is told, with its number."""
    found = list(train([small(epochs=2)], step_seconds=0))
    steps = [(event.epoch, event.step, event.steps) for event in found if isinstance(event, Step)]
    assert steps == [(epoch, step, 5) for epoch in (1, 2) for step in (1, 2, 3, 4)]
    assert not [event for event in train([small(epochs=1)], step_seconds=1e9) if isinstance(event, Step)]


def test_started_says_what_will_be_run() -> None:
    """The full spec, the tasks in order, the wiring, and counts that are those of the data and the model."""
    spec = small("ple")
    data = load(spec.data, spec.seed)
    started = run(spec)[0]
    assert isinstance(started, Started)
    assert started.run == 0
    assert RunSpec.parse(started.spec) == spec
    assert started.tasks == ["A", "B"]
    assert started.rows == {"train": ROWS, "valid": 100, "test": 100}
    assert started.steps == 5
    assert started.device == "cpu"
    assert started.parameters == sum(p.numel() for p in build_model(spec, data).parameters())
    assert started.label_rates == pytest.approx(dict(zip("AB", data.train.labels.mean(0), strict=True)))
    assert [len(level.gates) for level in started.wiring.levels] == [3, 2]
    assert started.resumed_from == 0


def test_epochs_say_what_was_measured() -> None:
    """Losses, loss weights and metrics by task in order, gates by name, times above 0."""
    epochs = [event for event in run(small("ple", weights=(1, 0.5))) if isinstance(event, Epoch)]
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    for epoch in epochs:
        assert list(epoch.losses) == list(epoch.metrics["valid"]) == ["A", "B"]
        assert epoch.weights == {"A": 1.0, "B": 0.5}
        assert set(epoch.metrics) == {"valid"}
        assert set(epoch.metrics["valid"]["A"]) == {"auc", "log_loss", "pcoc", "ece"}
        assert list(epoch.gates) == ["level 1 / A", "level 1 / B", "level 1 / shared", "level 2 / A", "level 2 / B"]
        assert epoch.train_seconds > 0
        assert epoch.samples_per_second == pytest.approx(ROWS / epoch.train_seconds)
    assert epochs[-1].losses["A"] < epochs[0].losses["A"]  # type: ignore[operator]


def test_gates_are_summarised_over_the_probe_rows() -> None:
    """Means sum to 1, each expert's histogram holds every row, the entropy lies between 0 and log E."""
    for gate in finished(run(small())).gates.values():
        assert sum(gate.mean) == pytest.approx(1, abs=1e-5)
        assert [sum(row) for row in gate.histogram] == [100] * 3
        assert 0 < gate.entropy < np.log(3) + 1e-6


def test_finish_says_how_it_went() -> None:
    """Valid and test metrics by task, the epoch they belong to, and the model's size."""
    spec = small()
    found = run(spec)
    last = finished(found)
    assert set(last.metrics) == {"valid", "test"}
    assert list(last.metrics["test"]) == ["A", "B"]
    assert last.epoch == 4
    best = found[last.best_epoch]
    assert isinstance(best, Epoch)
    assert last.metrics["valid"] == best.metrics["valid"]
    assert last.gates == best.gates
    scores = [np.mean([m["auc"] for m in e.metrics["valid"].values()]) for e in found if isinstance(e, Epoch)]  # type: ignore[misc]
    assert int(np.argmax(scores)) + 1 == last.best_epoch
    assert last.parameters == cast(Started, found[0]).parameters
    assert last.train_seconds == pytest.approx(sum(e.train_seconds for e in found if isinstance(e, Epoch)))


def test_every_event_is_json(tmp_path: Path) -> None:
    """Without NaN, and back again to the same event."""
    for event in train([small("ple", epochs=2)], folders=[tmp_path], step_seconds=0):
        text = json.dumps(event.to_json(), allow_nan=False)
        assert events.adapter.validate_json(text) == event
        assert json.loads(text)["event"] == event.event


def rare_world() -> RunSpec:
    """A run whose validation rows hold no positive of task A."""
    options = {"rows": 500, "rate_a": 0.01}
    for seed in range(200):
        if not Conflict.model_validate(options).frames(seed).valid["y_A"].any():
            changes = {"training": {"epochs": 2, "device": "cpu"}, "seed": seed}
            return RunSpec.parse({"data": {"name": "conflict", "options": options}, **changes})
    raise AssertionError("no such seed")


# T17b
def test_a_metric_that_is_not_defined_is_null() -> None:
    """One class only: the run goes on, JSON stays valid, the other metrics are there."""
    found = run(rare_world())
    for event in found[1:]:
        metrics = json.loads(json.dumps(event.to_json(), allow_nan=False))["metrics"]["valid"]
        assert metrics["A"]["auc"] is None
        assert metrics["A"]["log_loss"] > 0
        assert metrics["B"]["auc"] is not None
    finished(found)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_same_spec_same_numbers(optimizer: str) -> None:
    """Every number of every event but the clock's; another seed gives others."""
    spec = small(optimizer=optimizer, weight_decay=0.01, epochs=2)
    assert numbers(run(spec)) == numbers(run(spec))
    other = small(optimizer=optimizer, weight_decay=0.01, epochs=2, seed=1)
    assert finished(run(other)).metrics != finished(run(spec)).metrics


# T25
def test_training_leaves_the_global_random_states_alone(tmp_path: Path) -> None:
    """Neither reads them nor moves them: another global seed gives the same run."""
    torch.manual_seed(1)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first = numbers(run(small(epochs=2), tmp_path))
    assert torch.equal(before[0], torch.get_rng_state())
    assert random.getstate() == before[1]
    assert np.array_equal(before[2], np.random.get_state()[1])
    torch.manual_seed(2)
    assert numbers(run(small(epochs=2))) == [event for event in first if event["event"] != "checkpoint"]


# T36
@pytest.mark.parametrize(("trunk", "optimizer"), [("mmoe", "adam"), ("ple", "adamw"), ("mmoe", "sgd")])
def test_a_resumed_run_goes_on_as_if_never_stopped(tmp_path: Path, trunk: str, optimizer: str) -> None:
    """Stopped after 2 of 4 epochs: the rest, the final weights and all metrics are the same bit for bit."""
    spec = small(trunk, optimizer=optimizer, weight_decay=0.01, weights=(1, 0.3))
    whole = run(spec, tmp_path / "whole")
    first = stop_after(train([spec], folders=[tmp_path / "cut"]), "checkpoint", 2)
    rest = run(spec, tmp_path / "cut")
    assert cast(Started, rest[0]).resumed_from == 2
    done = [event.epoch for event in first + rest if isinstance(event, Epoch)]
    assert done == [1, 2, 3, 4]
    assert numbers(first) + numbers(rest)[1:] == numbers(whole)
    assert_same_weights(checkpoints.load_weights(tmp_path / "cut"), checkpoints.load_weights(tmp_path / "whole"))
    saved = [checkpoints.load_checkpoint(tmp_path / name) for name in ("cut", "whole")]
    assert saved[0] is not None
    assert saved[1] is not None
    assert_same_weights(saved[0]["model"], saved[1]["model"])
    assert finished(rest).train_seconds > sum(e.train_seconds for e in rest if isinstance(e, Epoch))


def test_stopping_within_an_epoch_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    """Closed at a step of epoch 3: the run goes on from epoch 2, and ends as if never stopped."""
    spec = small()
    stop_after(train([spec], folders=[tmp_path], step_seconds=0), "step", 3)
    saved = checkpoints.load_checkpoint(tmp_path)
    assert saved is not None
    assert saved["epoch"] == 2
    rest = run(spec, tmp_path)
    assert cast(Started, rest[0]).resumed_from == 2
    assert numbers(rest)[-1] == numbers(run(spec))[-1]


def test_stopping_before_the_first_checkpoint_starts_afresh(tmp_path: Path) -> None:
    """Nothing was saved, nothing is half there."""
    stream = train([small()], folders=[tmp_path])
    assert next(stream).event == "started"
    cast(Any, stream).close()
    assert not list(tmp_path.iterdir())
    found = run(small(), tmp_path)
    assert cast(Started, found[0]).resumed_from == 0
    assert numbers([finished(found)]) == numbers([finished(run(small()))])


def test_a_finished_run_is_not_trained_again(tmp_path: Path, calls: list[tuple[bool, bool, Tensor]]) -> None:
    """Its folder gives the finish once more, without a step."""
    first = run(small(), tmp_path)
    calls.clear()
    again = run(small(), tmp_path)
    assert [event.event for event in again] == ["started", "finished"]
    assert numbers(again)[-1] == numbers(first)[-1]
    assert not [call for call in calls if call[0]]


def test_the_best_epoch_survives_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Best was epoch 1, stopped after 2: the resumed run still tests epoch 1."""
    scores = iter([3.0, 2.0, 1.0, 0.5])
    monkeypatch.setattr(training, "selection_score", lambda *_: next(scores))
    stop_after(train([small()], folders=[tmp_path]), "checkpoint", 2)
    rest = run(small(), tmp_path)
    monkeypatch.undo()
    assert finished(rest).best_epoch == 1
    run(small(epochs=1), tmp_path / "one")
    assert_same_weights(checkpoints.load_weights(tmp_path), checkpoints.load_weights(tmp_path / "one"))


def test_a_checkpoint_of_another_spec_is_not_gone_on_from(tmp_path: Path) -> None:
    """The message names the folder, and the checkpoint stays as it was."""
    run(small(epochs=1), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    found = run(small(epochs=2), tmp_path)
    assert [event.event for event in found] == ["failed"]
    assert str(tmp_path) in failure(found)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


class Shell:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)

    def __init__(self, path: Path) -> None:
        self.path = str(path)


# T25
def test_a_checkpoint_can_run_no_code(tmp_path: Path) -> None:
    """A file that somebody else put there is data or is refused."""
    torch.save({"key": Shell(tmp_path / "ran")}, tmp_path / checkpoints.CHECKPOINT)
    with pytest.raises(pickle.UnpicklingError):
        checkpoints.load_checkpoint(tmp_path)
    assert not (tmp_path / "ran").exists()


# T20, T21, T17b
@pytest.mark.parametrize(
    ("scores", "selection", "best"),
    [
        ([3.0, 2.0, 1.0], "best", 1),
        ([1.0, 3.0, 2.0], "best", 2),
        ([1.0, 2.0, 3.0], "best", 3),
        ([2.0, 2.0, 2.0], "best", 1),
        ([-3.0, -1.0, -2.0], "best", 2),
        ([None, 0.1, None], "best", 2),
        ([0.5, None, None], "best", 1),
        ([0.5, float("nan"), 0.4], "best", 1),
        ([3.0, 2.0, 1.0], "last", 3),
        ([3.0, 2.0, None], "last", 3),
    ],
)
def test_the_epoch_that_is_tested_is_the_one_selected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: list[float | None], selection: str, best: int
) -> None:
    """Its weights are saved and scored, not the last ones; an undefined score is never best."""
    spec, given = small(epochs=3, selection=selection), iter(scores)
    monkeypatch.setattr(training, "selection_score", lambda *_: next(given))
    found = run(spec, tmp_path / "three")
    monkeypatch.undo()
    assert finished(found).best_epoch == best
    run(small(epochs=best, selection="last"), tmp_path / "fewer")
    expected = checkpoints.load_weights(tmp_path / "fewer")
    assert_same_weights(checkpoints.load_weights(tmp_path / "three"), expected)
    assert finished(found).metrics["valid"] == cast(Epoch, found[2 * best - 1]).metrics["valid"]


# T19
def test_the_model_trains_in_training_mode_and_is_scored_in_evaluation_mode(
    calls: list[tuple[bool, bool, Tensor]],
) -> None:
    """In every epoch, not in the first alone; no gradients while scoring, and none of a look at the conflict stays."""
    run(small(epochs=3))
    steps = [len(rows) for training_mode, _, rows in calls if training_mode]
    assert steps == [64, 64, 64, 64, 44] * 3
    data = load(small().data, small().seed)
    held_out = {len(data.valid), len(data.test)}
    assert all(gradients != (len(rows) in held_out) for _, gradients, rows in calls)
    first_scored = next(i for i, call in enumerate(calls) if not call[0])
    assert any(training_mode for training_mode, _, _ in calls[first_scored:])


# T22
def test_test_rows_are_scored_once_and_at_the_end(calls: list[tuple[bool, bool, Tensor]]) -> None:
    """No epoch, no selection and no probe reads them."""
    spec = small(epochs=3)
    data = load(spec.data, spec.seed)
    run(spec)
    test, valid = torch.from_numpy(data.test.numeric), torch.from_numpy(data.valid.numeric)
    scored = [rows for _, gradients, rows in calls if not gradients]
    assert not [rows for _, gradients, rows in calls if gradients and len(rows) == len(data.test)]
    on_test = [i for i, rows in enumerate(scored) if torch.equal(rows, test)]
    assert on_test == [len(scored) - 1]
    assert all(torch.equal(rows, valid[: len(rows)]) for rows in scored[:-1])


@pytest.mark.parametrize(("batch", "sizes"), [(299, [299, 1]), (64, [64] * 4 + [44]), (300, [300]), (65536, [300])])
def test_every_row_is_used_once_per_epoch(batch: int, sizes: list[int], calls: list[tuple[bool, bool, Tensor]]) -> None:
    """A last batch of one row, and a batch larger than the data, included; each epoch in an order of its own."""
    spec = small(epochs=2, batch_size=batch)
    found = run(spec)
    finished(found)
    assert cast(Started, found[0]).steps == len(sizes)
    used = [rows for training_mode, _, rows in calls if training_mode]
    assert [len(rows) for rows in used] == sizes * 2
    data = torch.from_numpy(load(spec.data, spec.seed).train.numeric)
    epochs = [torch.cat(used[: len(sizes)]), torch.cat(used[len(sizes) :])]
    for rows in epochs:
        assert torch.equal(rows[rows[:, 0].argsort()], data[data[:, 0].argsort()])
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], data)


def test_training_losses_are_means_over_rows_not_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """With weights that stand still, the losses of an epoch do not depend on the batch size."""
    monkeypatch.setattr(Optimizer, "step", lambda *_args: None)
    found = [
        cast(Epoch, run(small(epochs=1, batch_size=size, optimizer="sgd"))[1]).losses for size in (299, 64, 1, 300)
    ]
    assert all(losses == pytest.approx(found[0], rel=1e-5) for losses in found)


def test_a_loss_that_is_no_number_ends_the_run_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In epoch 2: a sentence, no epoch event for it, and the checkpoint of epoch 1 stays."""
    losses, count = Model.losses, itertools.count(1)

    def diverge(self: Model, *rows: Any) -> Tensor:
        found = losses(self, *rows)
        return found * float("nan") if self.training and next(count) == 8 else found

    monkeypatch.setattr(Model, "losses", diverge)
    found = run(small(), tmp_path)
    assert [event.event for event in found] == ["started", "epoch", "checkpoint", "failed"]
    message = failure(found)
    assert "epoch 2" in message
    assert "learning rate" in message
    saved = checkpoints.load_checkpoint(tmp_path)
    assert saved is not None
    assert saved["epoch"] == 1


def test_weights_that_blow_up_in_the_last_step_end_the_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The epoch's losses were finite, the model is not: no event may carry NaN, no checkpoint may keep it."""
    step, count = Optimizer.step, itertools.count(1)

    def explode(self: Optimizer, gradients: Sequence[Tensor]) -> None:
        spoilt = next(count) == 10
        step(self, [gradient * float("nan") for gradient in gradients] if spoilt else gradients)

    monkeypatch.setattr(Optimizer, "step", explode)
    found = run(small(optimizer="sgd"), tmp_path)
    for event in found:
        json.dumps(event.to_json(), allow_nan=False)
    assert [event.event for event in found] == ["started", "epoch", "checkpoint", "failed"]
    assert "learning rate" in failure(found)
    saved = checkpoints.load_checkpoint(tmp_path)
    assert saved is not None
    assert saved["epoch"] == 1


def test_a_learning_rate_far_too_large_never_breaks_the_events() -> None:
    """Plain SGD with rate 1 and huge loss weights: every event is JSON, and the run ends with finished or failed."""
    for trunk in ("mmoe", "ple", "shared_bottom"):
        found = run(small(trunk, weights=(1000, 1000), optimizer="sgd", learning_rate=1, epochs=3))
        for event in found:
            json.dumps(event.to_json(), allow_nan=False)
        assert found[-1].event in ("finished", "failed")


@pytest.mark.parametrize("device", ["cuda:99", "cuda:128", "cuda:256", "cuda:99999999999999999999"])
def test_a_device_that_is_not_there_is_a_failed_run(device: str) -> None:
    """Device numbers that wrap around or cannot be read included."""
    found = run(small(device=device))
    assert [event.event for event in found] == ["failed"]
    message = failure(found)
    assert repr(device) in message
    assert "auto" in message


def test_auto_is_a_device_of_this_machine() -> None:
    """What "auto" stands for works."""
    assert finished(run(small(device="auto", epochs=1))).device == str(training.resolve_device("auto"))


def test_no_memory_left_is_a_failed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """With advice, not with a traceback."""

    def full(*_rows: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Model, "losses", full)
    assert "batch_size" in failure(run(small()))


def test_data_that_cannot_be_had_is_a_failed_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The data's own sentence is passed on."""

    def unreachable(*_args: Any, **_options: Any) -> str:
        raise OSError("no network")

    monkeypatch.setattr(pooch, "retrieve", unreachable)
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path)
    monkeypatch.delenv("SEESAW_DATA", raising=False)
    found = run(RunSpec.parse({"data": {"name": "adult"}, "seed": 987654}))
    assert [event.event for event in found] == ["failed"]
    assert "SEESAW_DATA" in failure(found)


def test_runs_are_numbered_and_one_that_fails_does_not_stop_the_others() -> None:
    """Events carry the index in the list; each run equals the same run alone, up to float rounding."""
    specs = [small(epochs=1), small(device="cuda:99"), small(epochs=1, seed=1)]
    found = [event for event in train(specs) if event.event != "step"]
    for index in (0, 2):
        assert [event.event for event in found if event.run == index] == ["started", "epoch", "finished"]
        mine, alone = (
            finished([e for e in events if e.run == i]) for events, i in ((found, index), (run(specs[index]), 0))
        )
        for task, values in mine.metrics["test"].items():
            assert values == pytest.approx(alone.metrics["test"][task], rel=1e-5)
    assert [event.event for event in found if event.run == 1] == ["failed"]


def test_as_many_folders_as_runs(tmp_path: Path) -> None:
    """A wrong number is the caller's mistake, told before anything is trained."""
    with pytest.raises(ValueError, match="1 folders for 2 runs"):
        next(train([small(), small()], folders=[tmp_path]))


@pytest.mark.parametrize("trunk", ["single_task", "shared_bottom", "mmoe", "ple"])
def test_a_loss_weight_of_zero_leaves_that_tasks_tower_alone(tmp_path: Path, trunk: str) -> None:
    """With weights (1, 0) task B's tower stays at its start bit for bit, and task A's moves."""
    spec = small(trunk, weights=(1, 0), epochs=1)
    finished(run(spec, tmp_path))
    before, after = start_weights(spec), checkpoints.load_weights(tmp_path)
    towers = [name for name in before if name.startswith("towers.")]
    assert len(towers) == 4
    for name in towers:
        assert torch.equal(after[name][1], before[name][1]), name
        assert not torch.equal(after[name][0], before[name][0]), name
    moved = [name for name in before if name.startswith("trunk.") and not torch.equal(before[name], after[name])]
    assert moved


# T14
def test_doubled_loss_weights_double_a_step(tmp_path: Path) -> None:
    """One step of plain SGD: nothing normalises the weights away."""
    steps = []
    for factor in (1.0, 2.0):
        options: dict[str, Any] = {"optimizer": "sgd", "epochs": 1, "batch_size": 65536, "selection": "last"}
        spec = small("ple", weights=(factor, 0.3 * factor), **options)
        run(spec, tmp_path / str(factor))
        before, after = start_weights(spec), checkpoints.load_weights(tmp_path / str(factor))
        steps.append({name: after[name] - before[name] for name in before})
    for name, step in steps[0].items():
        assert step.abs().max() > 0
        torch.testing.assert_close(steps[1][name], 2 * step, rtol=1e-3, atol=1e-7)


def test_one_step_is_the_gradient_of_the_weighted_sum(tmp_path: Path) -> None:
    """w - lr * d(w_A L_A + w_B L_B), with the losses worked out here."""
    spec = small(weights=(0.7, 2), optimizer="sgd", epochs=1, batch_size=65536, selection="last")
    run(spec, tmp_path)
    data = load(spec.data, spec.seed)
    model = build_model(spec, data)
    out = model(to_device(data.train, torch.device("cpu")).inputs)
    total = torch.zeros(())
    for k, (weight, logit) in enumerate(zip((0.7, 2.0), out.logits.values(), strict=True)):
        label = torch.from_numpy(data.train.labels[:, k])
        total = total - weight * (label * logit.sigmoid().log() + (1 - label) * (1 - logit.sigmoid()).log()).mean()
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(total, list(parameters.values()))
    after = checkpoints.load_weights(tmp_path)
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        torch.testing.assert_close(after[name], parameter.detach() - 0.01 * gradient, rtol=0, atol=1e-6)


@pytest.mark.parametrize("trunk", ["single_task", "ple"])
def test_saved_weights_reproduce_the_finished_metrics(tmp_path: Path, trunk: str) -> None:
    """weights.safetensors, loaded into the model that the spec builds, scores what the finish said."""
    spec = small(trunk)
    last = finished(run(spec, tmp_path))
    data = load(spec.data, spec.seed)
    model = build_model(spec, data)
    model.load_state_dict(checkpoints.load_weights(tmp_path))
    for name, arrays in (("valid", data.valid), ("test", data.test)):
        rows = to_device(arrays, torch.device("cpu"))
        assert score(model, rows, data.schema.tasks) == last.metrics[name]


def test_saved_gates_are_those_of_the_tested_model(tmp_path: Path) -> None:
    """gates.npz: one array per gate, rows over the probe rows sum to 1, their means are those of the finish."""
    last = finished(run(small("ple"), tmp_path))
    gates = checkpoints.load_gates(tmp_path)
    assert list(gates) == list(last.gates)
    for name, gate in gates.items():
        assert gate.shape == (100, len(last.gates[name].mean))
        assert gate.dtype == np.float32
        assert gate.sum(1) == pytest.approx(np.ones(100), abs=1e-6)
        assert gate.mean(0) == pytest.approx(last.gates[name].mean, abs=2e-6)


def test_a_run_leaves_whole_files_only(tmp_path: Path) -> None:
    """Checkpoint, weights and gates, and no temporary file beside them."""
    run(small(epochs=2), tmp_path / "new" / "folder")
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {checkpoints.CHECKPOINT, checkpoints.WEIGHTS, checkpoints.GATES}


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """A reader sees the old content or the new, never half of it."""
    path = tmp_path / "file.txt"
    write_atomically(path, lambda temporary: temporary.write_text("old"))

    def fail(temporary: Path) -> None:
        temporary.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_mixtures_learn_the_made_world() -> None:
    """Not only do numbers come out: validation AUC of both tasks ends well above chance."""
    value = small(epochs=10).to_json()
    value["data"]["options"].update(rows=4000, relatedness=1.0, noise=0.1)
    metrics = finished(run(RunSpec.parse(value))).metrics["test"]
    assert all(metrics[task]["auc"] > 0.75 for task in "AB")  # type: ignore[operator]
