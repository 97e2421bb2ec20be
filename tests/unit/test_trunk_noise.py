"""Trunks that draw: gate dropout and SNR's switches. All randomness comes in, and none is left when a row is scored."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from mtl_core import registry
from mtl_core.nn.trunk import Trunk
from mtl_core.probes import summarise_gate
from mtl_core.trunks import TrunkOptions

TASKS = ("A", "B")
WIDTH, ROWS = 5, 4000


def build(name: str, seed: int = 0, **options: Any) -> Trunk:
    """A trunk of two tasks."""
    part = cast(TrunkOptions, registry.get("trunk", name).model_validate(options))
    return part.build(TASKS, 1, WIDTH, torch.Generator().manual_seed(seed))


def rows(count: int = ROWS, seed: int = 1) -> Tensor:
    """One stream of random rows."""
    return torch.randn(1, count, WIDTH, generator=torch.Generator().manual_seed(seed))


def noise(trunk: Trunk, count: int = ROWS, seed: int = 2) -> Tensor:
    """Uniform numbers as the training step draws them."""
    return torch.rand(count, trunk.noise, generator=torch.Generator().manual_seed(seed))


def dropping(chance: float, experts: int = 4) -> Trunk:
    """MMoE with gate dropout."""
    return build("mmoe", experts=experts, expert_layers=[4], gate_dropout=chance)


def test_gate_dropout_leaves_experts_out_and_scales_the_others_up() -> None:
    """An expert is gone in about one row of ten, the rest keep their proportions and sum to 1."""
    trunk = dropping(0.1)
    assert trunk.noise == 2 * 4
    x = rows()
    _, whole = trunk(x)
    _, dropped = trunk(x, noise(trunk))
    for name, gate in dropped.items():
        gone = gate == 0
        assert gone.float().mean(0).tolist() == pytest.approx([0.1] * 4, abs=0.02)
        torch.testing.assert_close(gate.sum(1), torch.ones(ROWS))
        kept = torch.where(gone, 0.0, whole[name])
        torch.testing.assert_close(gate, kept / kept.sum(1, keepdim=True), rtol=1e-4, atol=1e-6)


def test_gate_dropout_never_leaves_out_all_experts() -> None:
    """Where every number is below the chance the expert with the largest stays: no row is 0 / 0."""
    trunk = dropping(0.9, experts=2)
    drawn = noise(trunk) * 0.9  # every expert would go
    _, gates = trunk(rows(), drawn)
    for k, gate in enumerate(gates.values()):
        expected = torch.nn.functional.one_hot(drawn[:, 2 * k : 2 * k + 2].argmax(1), 2).float()
        assert torch.equal(gate, expected)


def test_gate_dropout_is_for_training_only_and_off_by_default() -> None:
    """Without noise a row is scored by the gates as they are; without the option no noise is asked for."""
    trunk, plain = dropping(0.5), dropping(0.0)
    assert plain.noise == 0
    plain.load_state_dict(trunk.state_dict())
    x = rows(50)
    assert torch.equal(trunk.train()(x)[0], plain(x)[0])
    assert not torch.equal(trunk(x, noise(trunk, 50))[0], plain(x)[0])
    assert dropping(0.5, experts=1).noise == 0


def test_the_two_gates_drop_apart() -> None:
    """Each gate has noise of its own."""
    trunk = dropping(0.5)
    _, gates = trunk(rows(), noise(trunk))
    gone = [gate == 0 for gate in gates.values()]
    assert 0.3 < (gone[0] == gone[1]).float().mean() < 0.7


def test_snr_draws_its_switches_anew_for_every_step() -> None:
    """Other noise, other switches: u is no parameter. All rows of a step share them, and scoring draws nothing."""
    trunk = build("snr", experts=3, levels=2, expert_layers=[4])
    assert trunk.noise == 3 * 3 + 2 * 3
    assert not any("noise" in name or name.endswith(".u") for name in trunk.state_dict())
    x = rows(7)
    one, two = (trunk(x, noise(trunk, 7, seed))[1]["level 1 / next S1"] for seed in (2, 3))
    assert not torch.equal(one, two)
    assert (one == one[0]).all()
    assert torch.equal(trunk(x, noise(trunk, 7))[0], trunk(x, noise(trunk, 7))[0])
    assert torch.equal(trunk.train()(x)[0], trunk.eval()(x)[0])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mmoe", {"experts": 3, "gate_dropout": 0.3}),
        ("snr", {"experts": 3, "levels": 2, "connection": "aver"}),
        ("dselect_k", {"experts": 5}),
        ("dselect_k", {"experts": 4, "per_example": True}),
        ("cross_stitch", {"layers": [4], "stitches": "per_unit"}),
        ("soft_sharing", {"layers": [4, 3], "tie": "trace_norm"}),
        ("asymmetric", {"layers": [4, 3], "fuse": "average"}),
        ("adatt", {"task_experts": [2, 1], "shared_experts": 1}),
    ],
)
def test_a_population_steps_as_its_members_do(name: str, options: dict[str, Any]) -> None:
    """Outputs, penalties and gradients under vmap equal those apart, for the options that the common suite leaves."""
    members = [build(name, seed, **options) for seed in (0, 1)]
    stacked, buffers = stack_module_state(members)
    buffers = {key: tensor[0] for key, tensor in buffers.items()}
    x = torch.stack([rows(6, seed) for seed in (3, 4)])
    drawn = torch.stack([noise(members[0], 6, seed) for seed in (5, 6)])

    class Objective(torch.nn.Module):
        def __init__(self, trunk: Trunk) -> None:
            super().__init__()
            self.trunk = trunk

        def forward(self, x_SBD: Tensor, u: Tensor) -> Tensor:
            r, gates = self.trunk(x_SBD, u)
            penalty = self.trunk.penalty()
            total = sum(one.square().sum() for one in r) + sum(gate.square().sum() for gate in gates.values())
            return total if penalty is None else total + penalty

    def objective(parameters: dict[str, Tensor], x_SBD: Tensor, u: Tensor) -> Tensor:
        named = {f"trunk.{key}": tensor for key, tensor in (*parameters.items(), *buffers.items())}
        return cast(Tensor, functional_call(Objective(members[0]), named, (x_SBD, u)))

    slopes = vmap(grad(objective))(stacked, x, drawn)
    for i, member in enumerate(members):
        member.zero_grad()
        Objective(member)(x[i], drawn[i]).backward()
        for key, parameter in member.named_parameters():
            torch.testing.assert_close(slopes[key][i], parameter.grad, rtol=1e-4, atol=1e-4)


# What is said of weights that are no distribution


def test_a_summary_of_constants_reaches_as_far_as_they_do() -> None:
    """Negative ones and large ones; no entropy."""
    summary = summarise_gate(torch.tensor([[-0.5, 1.5], [-0.5, 1.5], [-0.12, 0.32]]))
    assert (summary.low, summary.high) == (-0.5, 1.5)
    assert summary.entropy is None
    assert summary.mean == pytest.approx([-1.12 / 3, 3.32 / 3], abs=1e-6)
    # 40 bins of 0.05: -0.5 is in the first, -0.12 in the eighth, 0.32 in the seventeenth, 1.5 in the last.
    assert {i: n for i, n in enumerate(summary.histogram[0]) if n} == {0: 2, 7: 1}
    assert {i: n for i, n in enumerate(summary.histogram[1]) if n} == {16: 1, 39: 2}


def test_a_summary_of_a_distribution_is_as_it_was() -> None:
    """The scale is 0..1, and one half each is log 2 nats."""
    summary = summarise_gate(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    assert (summary.low, summary.high) == (0.0, 1.0)
    assert summary.entropy == pytest.approx(0.346574, abs=1e-6)
    # Switches between 0 and 1 keep the scale, but are no distribution.
    switches = summarise_gate(torch.tensor([[1.0, 0.7]]))
    assert (switches.low, switches.high, switches.entropy) == (0.0, 1.0, None)
