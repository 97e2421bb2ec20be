"""Populations: runs trained together end where they would have ended alone; shared parameters are found, not listed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from mtl_core import checkpoints, registry, training
from mtl_core.data.load import load
from mtl_core.engine import memory, population
from mtl_core.engine.gradients import ConflictSums, Sharing, per_task, shared_units
from mtl_core.engine.grouping import groups
from mtl_core.engine.population import Population
from mtl_core.engine.rows import Rows, Shelf, to_device
from mtl_core.events import Epoch, Event, Finished, Started, Step
from mtl_core.spec import RunSpec
from mtl_core.training import build_model, train
from tests.unit import compositions
from tests.unit.compositions import TRUNKS, part

BALANCERS = registry.names("balancer")
ROWS = 500


def spec_of(trunk: str = "mmoe", balancer: str = "static", **changes: Any) -> RunSpec:
    """A small run on the conflict world; `weights` are static loss weights."""
    weights = changes.pop("weights", None)
    value: dict[str, Any] = {
        "data": {"name": "conflict", "options": {"rows": ROWS}},
        "model": {"trunk": part("trunk", trunk, expert_layers=[5], layers=[5]), "towers": []},
        "balancer": {"name": balancer, "options": {"weights": weights} if weights else {}},
        "training": {"epochs": 2, "batch_size": 64, "learning_rate": 0.01},
    }
    training_changes = changes.pop("training", {})
    return RunSpec.parse({**value, **changes, "training": {**value["training"], **training_changes}})


def by_run(events: Sequence[Event], index: int) -> list[Event]:
    """The events of one run."""
    return [event for event in events if event.run == index]


def assert_alike(together: list[Event], alone: list[Event], tolerance: float = 1e-4) -> None:
    """Losses, metrics and conflict of every epoch agree up to float rounding."""
    ours, theirs = ([e for e in events if isinstance(e, Epoch)] for events in (together, alone))
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert a.losses == pytest.approx(b.losses, rel=tolerance, abs=tolerance)
        assert a.weights == pytest.approx(b.weights, rel=tolerance, abs=tolerance)
        for task, values in a.metrics["valid"].items():
            for name in ("auc", "log_loss"):
                assert values[name] == pytest.approx(b.metrics["valid"][task][name], abs=5e-3)
        assert (a.conflict is None) == (b.conflict is None)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_members_end_where_they_would_have_ended_alone(trunk: str) -> None:
    """Own seed, own world, own loss weights and own step size each."""
    specs = [
        spec_of(trunk, seed=0),
        spec_of(trunk, seed=1, weights=[3, 0.5]),
        spec_of(trunk, seed=2, training={"learning_rate": 0.003, "weight_decay": 0.01}),
    ]
    events = list(train(specs))
    started = [event for event in events if isinstance(event, Started)]
    assert [(e.population, e.members) for e in started] == [("together", 3)] * 3
    for index, spec in enumerate(specs):
        assert_alike(by_run(events, index), list(train([spec])))


# T26
@pytest.mark.parametrize("trunk", ["shared_bottom", "mmoe", "ple"])
@pytest.mark.parametrize("balancer", BALANCERS)
def test_every_balancer_trains_alone_and_together(balancer: str, trunk: str) -> None:
    """Real steps on three trunks: losses are numbers and move, and a population of two equals two runs."""
    specs = [spec_of(trunk, balancer, seed=seed) for seed in (0, 1)]
    events = list(train(specs))
    for index, spec in enumerate(specs):
        mine = by_run(events, index)
        assert mine[-1].event == "finished", mine[-1]
        alone = list(train([spec]))
        assert_alike(mine, alone, tolerance=2e-3)
        first, last = (e for e in alone if isinstance(e, Epoch))
        assert any(last.losses[task] < value for task, value in first.losses.items() if value)  # type: ignore[operator]
        assert first.conflict is not None
        assert last.unsolved == 0


def test_one_seed_with_many_loss_weights_reads_its_rows_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of the same rows in the same order share the batch, with the same result."""
    specs = [spec_of(weights=[w, 1]) for w in (0.1, 1, 10)]
    seen: list[bool] = []
    step = Population.step

    def spy(self: Population, *args: Any, per_member: bool) -> Any:
        seen.append(per_member)
        return step(self, *args, per_member=per_member)

    monkeypatch.setattr(Population, "step", spy)
    events = list(train(specs))
    assert seen
    assert not any(seen)
    for index, spec in enumerate(specs):
        assert_alike(by_run(events, index), list(train([spec])))


@pytest.mark.parametrize("head", registry.names("head"))
def test_heads_train_together(head: str) -> None:
    """Funnel heads on the funnel's world, with noise where a head draws any."""
    data = {"name": "funnel", "options": {"rows": 1500, "tasks": "ctr, cart, cvr", "position_feature": True}}
    model = {"trunk": part("trunk", "mmoe", expert_layers=[5]), "towers": [4], "head": {"name": head}}
    specs = [spec_of(data=data, model=model, seed=seed, training={"epochs": 1}) for seed in (0, 1)]
    events = list(train(specs))
    for index, spec in enumerate(specs):
        assert_alike(by_run(events, index), list(train([spec])))


def test_structure_decides_who_trains_together() -> None:
    """Numbers may differ, shapes and rules may not."""
    specs = [
        spec_of(seed=0),
        spec_of("ple"),
        spec_of(seed=5, training={"learning_rate": 0.1, "epochs": 9}),
        spec_of(training={"batch_size": 32}),
        spec_of(weights=[1, 2]),
        spec_of(balancer="uncertainty"),
        spec_of(data={"name": "conflict", "options": {"rows": ROWS, "relatedness": 0.9}}),
    ]
    assert groups(specs) == [[0, 2, 4, 6], [1], [3], [5]]


def test_members_of_different_length_leave_one_by_one() -> None:
    """The last one goes on alone, as if nothing had happened."""
    specs = [spec_of(seed=seed, training={"epochs": epochs}) for seed, epochs in ((0, 3), (1, 1), (2, 2))]
    events = [event for event in train(specs) if event.event != "step"]
    assert [event.run for event in events if event.event == "finished"] == [1, 2, 0]
    for index, spec in enumerate(specs):
        assert_alike(by_run(events, index), list(train([spec])))


def test_patience_stops_a_member_and_not_the_others() -> None:
    """After so many epochs without a better validation score; the best epoch is tested."""
    specs = [
        spec_of(seed=0, training={"epochs": 30, "patience": 2, "learning_rate": 0.3}),
        spec_of(seed=1, training={"epochs": 30, "learning_rate": 0.003}),
    ]
    ends = {event.run: event for event in train(specs) if isinstance(event, Finished)}
    assert ends[0].epoch == ends[0].best_epoch + 2 < 30
    assert ends[1].epoch == 30


def test_a_member_whose_loss_explodes_leaves_the_others_alone() -> None:
    """It fails by name; the rest end where they would have ended."""
    specs = [spec_of(seed=s, training={"optimizer": "sgd", "learning_rate": 0.05}) for s in (0, 2)]
    broken = spec_of(
        seed=1,
        weights=[1000, 1000],
        training={"optimizer": "sgd", "learning_rate": 1.0},
    )
    events = list(train([specs[0], broken, specs[1]]))
    assert by_run(events, 1)[-1].event == "failed"
    for index, spec in ((0, specs[0]), (2, specs[1])):
        assert_alike(by_run(events, index), list(train([spec])))


# T36
@pytest.mark.parametrize("balancer", BALANCERS)
def test_a_run_with_any_balancer_goes_on_bit_for_bit(balancer: str, tmp_path: Path) -> None:
    """Two epochs, stop, two more: as if never stopped, moments and the rule's memory included."""
    spec = spec_of(balancer=balancer, training={"epochs": 4})
    straight = list(train([spec]))
    stream = train([spec], folders=[tmp_path])
    for event in stream:
        if event.event == "checkpoint" and event.epoch == 2:
            break
    cast(Any, stream).close()
    rest = list(train([spec], folders=[tmp_path]))
    assert cast(Started, rest[0]).resumed_from == 2
    ours = [e for e in rest if isinstance(e, Epoch)]
    theirs = [e for e in straight if isinstance(e, Epoch)][2:]
    for a, b in zip(ours, theirs, strict=True):
        assert (a.losses, a.weights, a.metrics, a.conflict) == (b.losses, b.weights, b.metrics, b.conflict)


def test_a_population_is_resumed_member_by_member(tmp_path: Path) -> None:
    """Stopped in the middle, all go on together from their own checkpoints."""
    specs = [spec_of(seed=seed, training={"epochs": 3}) for seed in (0, 1)]
    folders = [tmp_path / str(i) for i in (0, 1)]
    straight = list(train(specs))
    stream = train(specs, folders=folders)
    for event in stream:
        if event.event == "checkpoint" and event.epoch == 2 and event.run == 1:
            break
    cast(Any, stream).close()
    rest = list(train(specs, folders=folders))
    assert [cast(Started, e).resumed_from for e in rest[:2]] == [2, 2]
    for index in (0, 1):
        ours = [e for e in by_run(rest, index) if isinstance(e, Epoch)]
        theirs = [e for e in by_run(straight, index) if isinstance(e, Epoch)][2:]
        assert [(e.losses, e.metrics) for e in ours] == [(e.losses, e.metrics) for e in theirs]


def test_members_at_different_epochs_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """One was stopped after an epoch, the other never began: each goes on from where it is."""
    specs = [spec_of(seed=seed) for seed in (0, 1)]
    stream = train(specs[:1], folders=[tmp_path / "0"])
    next(event for event in stream if event.event == "checkpoint")
    cast(Any, stream).close()
    events = list(train(specs, folders=[tmp_path / "0", tmp_path / "1"]))
    assert [e.members for e in events if isinstance(e, Started)] == [1, 1]
    for index, spec in enumerate(specs):
        ours = [e for e in by_run(events, index) if isinstance(e, Epoch)]
        theirs = [e for e in train([spec]) if isinstance(e, Epoch)]
        assert [e.losses for e in ours] == [e.losses for e in theirs[-len(ours) :]]


@pytest.mark.parametrize("when", ["started", "step", "epoch", "checkpoint"])
def test_a_dropped_member_falls_silent_and_the_others_lose_nothing(tmp_path: Path, when: str) -> None:
    """At whatever event of the second epoch it is dropped; the others end bit for bit where they would have ended."""
    specs = [spec_of(seed=seed, training={"epochs": 3}) for seed in range(3)]
    names = {
        which: [tmp_path / f"{which} {index}" for index in range(3)] for which in ("dropping", "others", "beginning")
    }
    dropped: set[int] = set()
    heard: list[Event] = []
    for event in train(specs, folders=names["dropping"], step_seconds=0, dropped=dropped):
        heard.append(event)
        here = event.event == "started" or getattr(event, "epoch", 0) == 2
        if event.run == 1 and event.event == when and here:
            dropped.add(1)
            seen, files = len(heard), sorted((path.name, path.read_bytes()) for path in names["dropping"][1].glob("*"))
    assert not by_run(heard[seen:], 1)
    assert sorted((path.name, path.read_bytes()) for path in names["dropping"][1].glob("*")) == files
    saved = checkpoints.load_checkpoint(names["dropping"][1])
    assert (saved or {"epoch": 0})["epoch"] == {"started": 0, "step": 1, "epoch": 1, "checkpoint": 2}[when]
    whole = list(train(specs, folders=names["others"]))
    for index in (0, 2):
        assert_alike(by_run(heard, index), by_run(whole, index))
        assert isinstance(by_run(heard, index)[-1], Finished)
    # It can go on, also by itself.
    again = list(train([specs[1]], folders=[names["dropping"][1]]))
    assert_alike(again, by_run(whole, 1)[1 + 2 * ((saved or {"epoch": 0})["epoch"]) :] if saved else by_run(whole, 1))


def test_members_dropped_before_they_begin_are_never_begun(tmp_path: Path) -> None:
    """Those of the same group, and those of one that comes later; the last one to be dropped ends it all."""
    specs = [spec_of(seed=0), spec_of(seed=1), spec_of("shared_bottom"), spec_of("ple")]
    dropped = {1, 2}
    folders = [tmp_path / str(index) for index in range(4)]
    assert {event.run for event in train(specs, folders=folders, dropped=dropped)} == {0, 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "3"]
    heard = []
    for event in train(specs[:2], step_seconds=0, dropped=(gone := set())):
        heard.append(event)
        if isinstance(event, Step):
            gone |= {0, 1}
    assert isinstance(heard[-1], Step)


def test_a_population_too_large_for_the_memory_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at a time, all of them trained."""
    monkeypatch.setattr(training, "members_that_fit", lambda *_args: 2)
    specs = [spec_of(seed=seed) for seed in range(5)]
    events = list(train(specs))
    assert [e.members for e in events if isinstance(e, Started)] == [2, 2, 2, 2, 1]
    assert len([e for e in events if isinstance(e, Finished)]) == 5


def test_memory_is_estimated_from_what_a_step_keeps() -> None:
    """More rows per batch and wider layers want more; little free memory means few members, never none."""
    small, large = spec_of(), spec_of(training={"batch_size": 512})
    data = load(small.data, 0)
    model = build_model(small, data)
    assert memory.member_bytes(model, data, small) < memory.member_bytes(model, data, large)
    parameters = sum(p.nbytes for p in model.parameters())
    rows = sum(to_device(split, torch.device("cpu")).bytes for split in (data.train, data.valid))
    assert memory.member_bytes(model, data, small) > 4 * parameters + rows
    cpu = torch.device("cpu")
    assert memory.members_that_fit(model, data, small, cpu, 1000) == memory.MOST_ON_CPU


def test_little_memory_still_trains_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate never says none."""
    monkeypatch.setattr(memory, "SHARE", 0.0)
    spec = spec_of()
    data = load(spec.data, 0)
    assert memory.members_that_fit(build_model(spec, data), data, spec, torch.device("cpu"), 9) == 1


def assert_same(one: Rows, other: Rows) -> None:
    """Every part, an unknown truth too."""
    pairs = zip((*one.inputs, *one[1:]), (*other.inputs, *other[1:]), strict=True)
    assert all(torch.equal(a.nan_to_num(9.0), b.nan_to_num(9.0)) for a, b in pairs)


def test_a_shelf_gives_each_member_its_own_rows() -> None:
    """Stacked where rows differ, held once where they do not; places stay right when members leave."""
    first, second = (to_device(load(spec_of(seed=s).data, s).train, torch.device("cpu")) for s in (0, 1))
    shelf = Shelf([first, second, first])
    index = torch.tensor([[3, 1], [0, 2], [5, 5]])
    batch = shelf.batch(index)
    for m, rows in enumerate((first, second, first)):
        assert_same(batch.at(m), rows.at(index[m]))
        assert_same(shelf.part(slice(3, 9)).at(m), rows.at(slice(3, 9)))
    shelf.keep([1])
    assert torch.equal(shelf.batch(index[:1]).labels[0], second.labels[index[0]])
    with pytest.raises(ValueError, match="batch in common"):
        shelf.shared_batch(index[0])
    # Parts that say the same of every row are not gathered; where some rows differ they are.
    spotted = first._replace(mask=first.mask.clone())
    spotted.mask[1, 0] = False
    for rows in (first, spotted):
        assert_same(Shelf([rows]).shared_batch(index[0]), rows.at(index[0]))


def sharing_of(trunk: str, tasks: int = 3, head: str = "independent") -> dict[str, list[bool]]:
    """Which units of each parameter the tasks of a small model share."""
    model = compositions.build(compositions.model_spec(trunk, head=head), tasks).eval()
    labels, mask = compositions.truth(96, tasks)
    out = model(compositions.batch(96))
    return {n: m.tolist() for n, m in shared_units(model, model.losses(out, labels, torch.ones_like(mask))).items()}


# T27, T34
def test_shared_parameters_are_those_that_two_tasks_reach() -> None:
    """Per architecture, derived: the table and shared experts are, private experts, gates and towers are not."""
    single = sharing_of("single_task")
    assert not any(itertools.chain(*single.values()))

    bottom = sharing_of("shared_bottom")
    assert {name: all(units) for name, units in bottom.items() if not name.startswith("towers")} == {
        name: True for name in bottom if not name.startswith("towers")
    }
    assert not any(itertools.chain(*(units for name, units in bottom.items() if name.startswith("towers"))))

    mmoe = sharing_of("mmoe")
    assert all(mmoe["encoder.table"])
    assert all(mmoe["trunk.levels.0.experts.weights.0"])
    assert not any(mmoe["trunk.levels.0.gate_weight"])

    cgc = sharing_of("cgc")
    # One private expert of each of three tasks, then two shared ones.
    assert cgc["trunk.levels.0.experts.weights.0"] == [False] * 3 + [True] * 2
    assert not any(cgc["trunk.levels.0.gate_weight"])

    ple = sharing_of("ple")
    # Below the last level everything feeds the shared stream, private experts too.
    assert all(ple["trunk.levels.0.experts.weights.0"])
    assert ple["trunk.levels.1.experts.weights.0"] == [False] * 3 + [True] * 2


def test_esmms_click_tower_is_shared() -> None:
    """The conversion's loss reaches it through the product."""
    esmm = sharing_of("mmoe", tasks=2, head="esmm")
    assert esmm["towers.banks.0.weights.0"] == [True, False]
    independent = sharing_of("mmoe", tasks=2)
    assert independent["towers.banks.0.weights.0"] == [False, False]


def gradients_of(trunk: str) -> tuple[Any, list[Tensor], Sharing]:
    """A small model, its gradients [K, 1, ...] per parameter, and what is shared."""
    model = compositions.build(compositions.model_spec(trunk), 3).eval()
    losses = compositions.losses(model)
    leaves = list(model.parameters())
    found = per_task(losses[None], leaves, lambda g: g[None])
    reached = model.losses(model(compositions.batch(96)), *full(96, 3))
    return model, found, Sharing(shared_units(model, reached))


def full(rows: int, tasks: int) -> tuple[Tensor, Tensor]:
    """Labels, and masks that leave no row out."""
    labels, mask = compositions.truth(rows, tasks)
    return labels, torch.ones_like(mask)


@pytest.mark.parametrize("trunk", ["mmoe", "cgc", "ple"])
def test_the_gramian_is_over_shared_elements_alone(trunk: str) -> None:
    """Element by element: products of gradients where two tasks meet, nothing of what one task owns."""
    _, found, sharing = gradients_of(trunk)
    flat = sharing.flatten(found)[0]
    torch.testing.assert_close(sharing.gramian(found)[0], flat @ flat.T, rtol=1e-5, atol=1e-7)
    everything = torch.cat([g[:, 0].flatten(1) for g in found], dim=1)
    assert (everything.square().sum(1) > flat.square().sum(1) * 1.0001).all()
    off = ~torch.eye(3, dtype=torch.bool)
    torch.testing.assert_close((everything @ everything.T)[off], (flat @ flat.T)[off], rtol=1e-4, atol=1e-7)


# T35
@pytest.mark.parametrize("trunk", ["mmoe", "cgc", "ple"])
def test_merging_weighs_shared_and_own_parameters_apart(trunk: str) -> None:
    """Equal weights everywhere are the plain gradient; a task's own parameters take their own weight."""
    model, found, sharing = gradients_of(trunk)
    weights, ones = torch.tensor([[0.2, 0.3, 2.0]]), torch.ones(1, 3)
    losses = compositions.losses(model)
    plain = torch.autograd.grad((weights[0] * losses).sum(), list(model.parameters()))
    for merged, expected in zip(sharing.merge(found, weights, weights), plain, strict=True):
        torch.testing.assert_close(merged[0], expected, rtol=1e-4, atol=1e-7)
    summed = torch.autograd.grad(compositions.losses(model).sum(), list(model.parameters()))
    apart = dict(zip(dict(model.named_parameters()), sharing.merge(found, weights, ones), strict=True))
    names = list(apart)
    for name, total in zip(names, summed, strict=True):
        if name.startswith("towers"):
            torch.testing.assert_close(apart[name][0], total, rtol=1e-4, atol=1e-7)
    table = names.index("encoder.table")
    torch.testing.assert_close(apart["encoder.table"][0], plain[table], rtol=1e-4, atol=1e-7)


def test_a_direction_comes_back_where_it_was_taken_from() -> None:
    """flatten, then replace: shared elements take the direction, own ones stay."""
    _, found, sharing = gradients_of("cgc")
    ones = torch.ones(1, 3)
    merged = sharing.merge(found, ones, ones)
    same = sharing.replace(merged, sharing.flatten(found).sum(1))
    for a, b in zip(merged, same, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-8)
    doubled = sharing.replace(merged, 2 * sharing.flatten(found).sum(1))
    assert any(not torch.equal(a, b) for a, b in zip(merged, doubled, strict=True))


@pytest.mark.parametrize("choice", ["as published", "unweighted", "weighted"])
@pytest.mark.parametrize("balancer", ["mgda", "static"])
def test_the_switch_for_parameters_of_one_task_alone(choice: str, balancer: str) -> None:
    """Whether a tower feels its task's weight: published rules that combine gradients say no, static weights yes."""
    own = {"own_parameters": choice, "optimizer": "sgd"}
    weights = [0.5, 2] if balancer == "static" else None
    spec = spec_of("shared_bottom", balancer, training=own, weights=weights)
    rows = to_device(load(spec.data, 0).train, torch.device("cpu")).at(slice(64))
    model = build_model(spec, load(spec.data, 0))
    losses = model.losses(model(rows.inputs), rows.labels, rows.mask)
    tower = "towers.banks.0.weights.0"
    (alone,) = torch.autograd.grad(losses.sum(), [model.get_parameter(tower)])
    crowd = Population([spec], [model], rows)
    before = crowd.parameters[tower].clone()
    batch = Shelf([rows]).batch(torch.arange(64)[None])
    _, _, used, _ = crowd.step(batch, population.Noise(), per_member=True)
    step = (before - crowd.parameters[tower])[0] / 0.01
    felt = choice == "weighted" or (balancer == "static" and choice == "as published")
    factor = used[0][:, None, None] if felt else torch.ones(2, 1, 1)
    assert (used[0] - 1).abs().max() > 0.1
    torch.testing.assert_close(step, factor * alone, rtol=1e-3, atol=1e-5)


def test_conflict_is_told_per_pair() -> None:
    """Two steps by hand: cosines -0.6 and 0.8 of gradients (1, 2) and (2, 1) long, weights 1 and 3."""
    sums = ConflictSums.zeros(1, 2, torch.device("cpu"))
    for first, second, cosine in ((1.0, 2.0, -0.6), (2.0, 1.0, 0.8)):
        product = first * second * cosine
        gramian = torch.tensor([[[first**2, product], [product, second**2]]])
        sums = sums.add(gramian, torch.tensor([[1.0, 3.0]]))
    (found,) = training._conflict(sums, 2)
    assert found is not None
    assert found.cosine[0][1] == pytest.approx(0.1)
    assert found.negative[0][1] == 0.5
    assert found.norms == pytest.approx([1.5, 1.5])
    assert found.effective == pytest.approx([(1 / 7 + 2 / 5) / 2, (6 / 7 + 3 / 5) / 2], abs=1e-4)


def test_a_task_without_rows_has_no_cosine() -> None:
    """Its gradient is zero: undefined, not 0."""
    sums = ConflictSums.zeros(1, 2, torch.device("cpu")).add(
        torch.diag(torch.tensor([4.0, 0.0]))[None], torch.ones(1, 2)
    )
    (found,) = training._conflict(sums, 1)
    assert found is not None
    assert found.cosine == [[1.0, None], [None, None]]
    assert found.norms == [2.0, None]


def test_single_tasks_have_no_conflict() -> None:
    """Nothing is shared, so there is nothing to compare."""
    events = list(train([spec_of("single_task")]))
    assert all(event.conflict is None for event in events if isinstance(event, Epoch))


def test_bfloat16_trains_close_to_float32() -> None:
    """Half the bits, the same picture: the losses agree to a few percent."""
    exact, coarse = (
        [e for e in train([spec_of(training={"precision": p})]) if isinstance(e, Epoch)][-1].losses
        for p in ("float32", "bfloat16")
    )
    assert coarse == pytest.approx(exact, rel=0.05)
    assert coarse != exact


def test_a_run_can_start_from_another_runs_weights(tmp_path: Path) -> None:
    """Its first validation scores, before any step to speak of, are the old run's last."""
    first = spec_of(training={"selection": "last"})
    old = list(train([first], folders=[tmp_path / "old"]))
    still = {"learning_rate": 1e-12, "epochs": 1, "optimizer": "sgd"}
    again = spec_of(init_from=str(tmp_path / "old"), training=still)
    new = [event for event in train([again]) if isinstance(event, Epoch)]
    before = cast(Finished, old[-1]).metrics["valid"]
    for task, values in new[0].metrics["valid"].items():
        assert values == pytest.approx(before[task], abs=1e-6)
    fresh = [event for event in train([spec_of(training=still)]) if isinstance(event, Epoch)]
    assert fresh[0].metrics["valid"]["A"] != pytest.approx(before["A"], abs=1e-3)


@pytest.mark.parametrize("what", ["nothing", "another model", "broken"])
def test_weights_that_cannot_be_started_from_are_refused(tmp_path: Path, what: str) -> None:
    """One sentence: which run, and why."""
    if what == "another model":
        list(train([spec_of("ple", training={"epochs": 1})], folders=[tmp_path]))
    elif what == "broken":
        (tmp_path / checkpoints.WEIGHTS).write_bytes(b"no weights")
    (event,) = train([spec_of(init_from=str(tmp_path))])
    assert event.event == "failed"
    assert "init_from" in event.message
    assert event.message.endswith(".")
