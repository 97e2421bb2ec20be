"""Steps that are recorded and played end, bit for bit, where steps that are worked out end."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from mtl_core import registry
from mtl_core.engine import replay
from mtl_core.engine.population import Population
from mtl_core.engine.replay import Replay
from mtl_core.events import Epoch, Event, Finished
from mtl_core.spec import RunSpec
from mtl_core.training import train
from tests.unit.compositions import TRUNKS, part
from tests.unit.test_population import spec_of

NEVER = 10**9
FUNNEL = {"name": "funnel", "options": {"rows": 1200, "tasks": "ctr, cart, cvr", "position_feature": True}}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call of a kind is recorded, the third one tried, the fourth one played."""
    monkeypatch.setattr(replay, "WORKED_OUT", 1)


def told(events: Sequence[Event]) -> list[Any]:
    """Everything in the events that is not a time."""
    fields = {"train_seconds", "samples_per_second"}
    return [e.model_dump(exclude=fields) for e in events if isinstance(e, Epoch | Finished)]


def assert_same_bits(specs: list[RunSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole training, played and worked out."""
    played: list[Population] = []
    step = Population.step

    def spy(self: Population, *args: Any, **kwargs: Any) -> Any:
        if self not in played:
            played.append(self)
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(replay, "WORKED_OUT", NEVER)
        worked_out = told(list(train(specs)))
    with monkeypatch.context() as patch:
        patch.setattr(replay, "WORKED_OUT", 1)
        patch.setattr(Population, "step", spy)
        assert str(told(list(train(specs)))) == str(worked_out)  # as text: nan is not nan
    assert len(worked_out) == len(specs) * 2
    for population in played:
        assert isinstance(population._slopes, Replay)
        assert population._slopes.programs
        assert None not in population._slopes._programs.values()


@pytest.mark.parametrize("trunk", TRUNKS)
def test_every_trunk_is_played(trunk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same_bits([spec_of(trunk, seed=s, training={"epochs": 1}) for s in (0, 1)], monkeypatch)


@pytest.mark.parametrize("balancer", registry.names("balancer"))
def test_every_balancer_is_played(balancer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same_bits([spec_of("ple", balancer, seed=s, training={"epochs": 1}) for s in (0, 1)], monkeypatch)


@pytest.mark.parametrize("head", registry.names("head"))
def test_every_head_is_played(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"trunk": part("trunk", "mmoe", expert_layers=[5]), "towers": [4], "head": {"name": head}}
    assert_same_bits([spec_of(data=FUNNEL, model=model, training={"epochs": 1})], monkeypatch)


@pytest.mark.parametrize("encoder", registry.names("encoder"))
def test_every_encoder_is_played(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"name": "ecommerce_sequences", "options": {"rows": 1200}}
    model = {"encoder": part("encoder", encoder), "trunk": part("trunk", "mmoe", expert_layers=[5]), "towers": [4]}
    assert_same_bits([spec_of(data=data, model=model, training={"epochs": 1})], monkeypatch)


def test_each_shape_is_counted_for_itself(at_once: None) -> None:
    calls = []

    def double(x: Tensor) -> Tensor:
        calls.append(len(x))
        return 2 * x

    replayed = Replay(double)
    for length in (3, 3, 3, 3, 5, 3, 5, 5, 5):
        assert torch.equal(replayed(torch.arange(length)), 2 * torch.arange(length))
    assert calls == [3, 3, 3, 5, 5, 5]
    assert len(replayed.programs) == 2


def test_plain_values_are_part_of_the_call(at_once: None) -> None:
    replayed = Replay(lambda x, factor: x * factor)
    for factor in (2, 2, 2, 2, 3, 3, 3, 3):
        assert torch.equal(replayed(torch.ones(2), factor), torch.full((2,), float(factor)))


def test_what_reads_a_number_is_never_played(at_once: None) -> None:
    def sign(x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x

    replayed = Replay(sign)
    for value in (1.0, 2.0, 3.0, 3.5, -4.0):
        assert replayed(torch.tensor([value])).item() == abs(value)
    assert len(replayed.programs) == 0


@pytest.mark.parametrize(
    "function",
    [
        lambda drawn, x: x + torch.full((2,), float(next(drawn))),
        lambda _, x: x + torch.from_numpy(x.numpy() * 1),
    ],
    ids=["state outside", "numpy"],
)
def test_what_the_recorder_cannot_see_is_not_trusted(function: Callable[..., Tensor], at_once: None) -> None:
    """A program is tried on other numbers first."""
    ours, theirs = iter(range(100)), iter(range(100))
    replayed = Replay(lambda x: function(ours, x))
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        x = torch.full((2,), value)
        assert torch.equal(replayed(x), function(theirs, x))
    assert len(replayed.programs) == 0


def test_gradients_work_in_place_and_with_constants(at_once: None) -> None:
    """A step like ours: leaves made inside, an activation in place, vmap, and a buffer that changes between calls."""
    buffer = torch.ones(3)

    def slope(weight: Tensor, x: Tensor) -> tuple[Tensor, dict[str, Tensor | None]]:
        leaf = weight.detach().requires_grad_()
        hidden = torch.relu_(torch.bmm(x, leaf) + buffer)
        each = vmap(lambda h: (h * h).sum())(hidden)
        (found,) = torch.autograd.grad(each.sum(), [leaf])
        return each.detach(), {"slope": found, "none": None}

    replayed = Replay(slope)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        weight, x = (torch.randn(2, 4, 3, generator=generator), torch.randn(2, 5, 4, generator=generator))
        (value, ours), (right, theirs) = replayed(weight, x), slope(weight, x)
        assert torch.equal(value, right)
        assert torch.equal(ours["slope"], theirs["slope"])  # type: ignore[arg-type]
        assert ours["none"] is None
        assert not value.requires_grad
        buffer.mul_(1.5)
    assert len(replayed.programs) == 1


def test_a_number_that_is_not_one_stays_so(at_once: None) -> None:
    replayed = Replay(lambda x: x / x)
    for _ in range(4):
        assert math.isnan(replayed(torch.zeros(1)).item())
    assert len(replayed.programs) == 1


def test_changing_its_input_is_seen_by_nobody_but_the_function(at_once: None) -> None:
    """Kernels that work in place are played too, on what the function made."""
    replayed = Replay(lambda x: x.clone().add_(1).mul_(x))
    for value in (1.0, 2.0, 3.0, 4.0):
        x = torch.tensor([value])
        assert replayed(x).item() == (value + 1) * value
        assert x.item() == value


def test_the_time_of_each_kernel_is_told(at_once: None) -> None:
    replayed = Replay(lambda x: (x @ x).relu())
    for _ in range(4):
        replayed(torch.ones(3, 3))
    (program,) = replayed.programs
    names, seconds = zip(*program.timed([torch.ones(3, 3)]), strict=True)
    assert names == ("aten::mm", "aten::relu")
    assert all(second >= 0 for second in seconds)


def test_programs_that_nobody_keeps_are_gone(at_once: None) -> None:
    """A worker trains for weeks: what a program holds must not outlive it."""
    held = torch.ones(3)
    gone = weakref.ref(held)
    replayed = Replay(lambda x, held=held: x * held)
    for _ in range(4):
        replayed(torch.ones(3))
    assert len(replayed.programs) == 1
    del held, replayed
    gc.collect()
    assert gone() is None
