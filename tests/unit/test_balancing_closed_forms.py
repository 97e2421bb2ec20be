"""Rules against numbers that can be worked out by hand: schedules, learned weights, random weights, EPO, GradDrop."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl_core import registry
from mtl_core.balancing import combine
from mtl_core.balancing.base import BalancerOptions
from mtl_core.balancing.rules import Balancer, State

CPU = torch.device("cpu")


def built(name: str, tasks: int = 2, **options: Any) -> tuple[Balancer, State]:
    part = cast(BalancerOptions, registry.get("balancer", name).model_validate(options))
    names = tuple("abcdefgh"[:tasks])
    part.check(names)
    rule = part.build(names)
    return rule, rule.initial_state(CPU)


def weights_after(rule: Balancer, state: State, losses: Tensor, steps: int) -> tuple[Tensor, State]:
    weights = losses
    for _ in range(steps):
        weights, state = rule.weights(losses, None, state)
    return weights, state


# B.2


@pytest.mark.parametrize("every", ["epoch", "step"])
def test_decay(every: str) -> None:
    """w gamma^t, t counted in epochs or in steps: 1, .9, .81; .3487 after ten."""
    rule, state = built("decay", weights=[1, 2], gamma=[0.9, 1], every=every)
    seen = []
    for _ in range(11):
        weights, state = rule.weights(torch.ones(2), None, state)
        seen.append(weights)
        state = rule.after_epoch(torch.ones(2), state)
    assert seen[1].tolist() == pytest.approx([0.9, 2])
    assert seen[2].tolist() == pytest.approx([0.81, 2])
    assert seen[10].tolist() == pytest.approx([0.3487, 2], abs=1e-4)


def test_decay_counts_what_it_was_told_to_count() -> None:
    rule, state = built("decay", gamma=[0.5, 0.5])
    weights, state = weights_after(rule, state, torch.ones(2), 5)
    assert weights.tolist() == [1, 1]
    rule, state = built("decay", gamma=[0.5, 0.5], every="step")
    state = rule.after_epoch(torch.ones(2), state)
    assert rule.weights(torch.ones(2), None, state)[0].tolist() == [1, 1]


# B.3, B.14


@pytest.mark.parametrize("constant", [0.2, 0.5, 2.0])
@pytest.mark.parametrize("name", ["uncertainty", "uncertainty_positive", "imtl_l"])
def test_learned_scales_reach_their_optimum(name: str, constant: float) -> None:
    """For losses that stay where they are. Below a loss of 1 the optimum of s is negative: nothing clamps it."""  # T31
    v = (constant + math.sqrt(constant**2 + 8 * constant)) / 4
    best = {"uncertainty": math.log(constant), "uncertainty_positive": math.log(v), "imtl_l": -math.log(constant)}
    effective = {"uncertainty": 1 / (2 * constant), "uncertainty_positive": 1 / (2 * v), "imtl_l": 1 / constant}
    rule, state = built(name, learning_rate=0.02)
    weights, state = weights_after(rule, state, torch.tensor([constant, 1.0]), 800)
    assert state["s"][0].item() == pytest.approx(best[name], abs=2e-3)
    assert weights[0].item() == pytest.approx(effective[name], rel=3e-3)


def test_positive_uncertainty_as_printed() -> None:
    for constant, v in ((0.2, 0.3702), (0.5, 0.6404), (1.0, 1.0), (2.0, 1.6180)):
        assert (constant + math.sqrt(constant**2 + 8 * constant)) / 4 == pytest.approx(v, abs=1e-4)


@pytest.mark.parametrize("name", ["uncertainty", "uncertainty_positive", "imtl_l"])
def test_learned_scales_descend_their_own_objective(name: str) -> None:
    """Weight and slope are the derivatives of one function of L and s, taken here by autograd."""
    objective = {
        "uncertainty": lambda loss, s: (-s).exp() * loss / 2 + s / 2,
        "uncertainty_positive": lambda loss, s: loss / (2 * s.exp()) + (1 + s.exp()).log(),
        "imtl_l": lambda loss, s: s.exp() * loss - s,
    }[name]
    rule, _ = built(name)
    s = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
    losses = torch.linspace(0.1, 3, 9, dtype=torch.float64, requires_grad=True)
    by_loss, by_s = torch.autograd.grad(objective(losses, s).sum(), (losses, s))
    torch.testing.assert_close(cast(Any, rule).weight(s.detach()), by_loss)
    torch.testing.assert_close(cast(Any, rule).slope(s.detach(), losses.detach()), by_s)


def test_own_adam_is_adam() -> None:
    """Against torch's, over steps with different gradients."""
    rule, state = built("imtl_l", learning_rate=0.05)
    s = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([s], lr=0.05)
    for step in range(20):
        losses = torch.tensor([0.3 + 0.1 * step, 2.0 - 0.05 * step])
        _, state = rule.weights(losses, None, state)
        optimizer.zero_grad()
        (s.exp() * losses - s).sum().backward()
        optimizer.step()
    torch.testing.assert_close(state["s"], s.detach())


# B.4


@pytest.mark.parametrize(("ratio", "expected"), [((0.9, 1.1), (0.95, 1.05)), ((0.5, 1), (0.8756, 1.1244))])
def test_dwa(ratio: tuple[float, float], expected: tuple[float, float]) -> None:
    """1 each for two epochs; then K softmax(r / T), whose sum is K."""
    rule, state = built("dwa")
    losses = torch.ones(2)
    for mean in (torch.tensor([2.0, 4.0]), torch.tensor([2 * ratio[0], 4 * ratio[1]])):
        weights, state = rule.weights(losses, None, state)
        assert weights.tolist() == [1, 1]
        state = rule.after_epoch(mean, state)
    weights, _ = rule.weights(losses, None, state)
    assert weights.tolist() == pytest.approx(expected, abs=1e-4)
    assert weights.sum().item() == pytest.approx(2)


def test_dwa_skips_epochs_in_which_a_task_had_no_row() -> None:
    """Its mean of 0 is not a loss of 0."""
    rule, state = built("dwa")
    for mean in ([2.0, 4.0], [2.0, 0.0], [2.0, 2.0]):
        state = rule.after_epoch(torch.tensor(mean), state)
    weights, _ = rule.weights(torch.ones(2), None, state)
    assert weights.tolist() == pytest.approx([1.1244, 0.8756], abs=1e-4)


# B.5


def gradnorm_step(norms: tuple[float, float], losses: list[Tensor], **options: Any) -> Tensor:
    rule, state = built("gradnorm", **options)
    gramian = torch.diag(torch.tensor(norms)).square()
    for loss in losses:
        _, state = rule.weights(loss, gramian, state)
    return state["w"]


def test_gradnorm_by_hand() -> None:
    """Norms 1 and 3, equal rates: slope (-1, +3), at rate .1 to (1.1, .7), renormalised to sum 2."""
    w = gradnorm_step((1, 3), [torch.ones(2)], optimizer="sgd", learning_rate=0.1)
    assert w.tolist() == pytest.approx([1.2222, 0.7778], abs=1e-4)


def test_gradnorm_target() -> None:
    """L / L(0) = (.5, .25): with norms of 2 the targets are 3.0792 and 1.0887, so the first weight has to grow."""
    rate = torch.tensor([4 / 3, 2 / 3])
    assert (2 * rate**1.5).tolist() == pytest.approx([3.0792, 1.0887], abs=1e-4)
    for norm, sign in ((3.05, 1), (3.10, -1)):  # the first task's target lies between
        # The mean norm stays 2, so what the first task is measured against is 3.0792.
        rule, state = built("gradnorm", optimizer="sgd", learning_rate=1e-4)
        state = {**state, "first": torch.ones(2)}
        gramian = torch.diag(torch.tensor([norm, 4 - norm])).square()
        _, state = rule.weights(torch.tensor([0.5, 0.25]), gramian, state)
        # The second one's target is above its norm 4 - 3.0792 in both cases, so it grows by 1e-4 of its norm.
        second = 1 + 1e-4 * (4 - norm)
        first = 1 + sign * 1e-4 * norm
        assert state["w"][0].item() == pytest.approx(2 * first / (first + second), abs=2e-7)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_gradnorm_helps_the_task_that_lags(optimizer: str) -> None:
    """Same gradients, one loss at half of its start, one still at 0.9 of it."""  # T28, T29
    losses = [torch.ones(2), torch.tensor([0.9, 0.5])]
    w = gradnorm_step((1, 1), losses, alpha=1.5, optimizer=optimizer)
    assert w[0] > 1 > w[1]
    assert w.sum().item() == pytest.approx(2)
    even = gradnorm_step((1, 1), losses, alpha=0, optimizer=optimizer)
    assert even.tolist() == pytest.approx([1, 1], abs=1e-6)


def test_gradnorm_equalises_gradients() -> None:
    """With alpha = 0 and constant gradients: w ends where all w |g| are equal, and never below its least."""
    w = gradnorm_step((1, 3), [torch.ones(2)] * 400, alpha=0, learning_rate=0.01)
    assert w.tolist() == pytest.approx([1.5, 0.5], abs=0.02)
    w = gradnorm_step((1e-6, 1e6), [torch.ones(2)] * 50, optimizer="sgd", learning_rate=1.0)
    assert (w >= 1e-4).all()


# B.6


def test_rlw_is_the_softmax_of_normal_numbers() -> None:
    """New ones for new noise; on average 1 / K."""
    rule, _ = built("rlw", 3)
    assert rule.noise == 3
    noise = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))
    weights, _ = rule.weights(torch.ones(20_000, 3), None, {}, noise=noise)
    assert weights.sum(-1).sub(1).abs().max() < 1e-5
    assert weights.mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.005)
    logs = weights.log()
    spread = (logs[:, 0] - logs[:, 1]).std().item()
    assert spread == pytest.approx(math.sqrt(2), rel=0.02)
    edge, _ = rule.weights(torch.ones(3), None, {}, noise=torch.tensor([0.0, 0.5, 1 - 2**-24]))
    assert edge.isfinite().all()


# B.7


def test_gls_by_hand() -> None:
    """L = (1, 4): the geometric mean is 2, the weights 1 and 1/4."""
    rule, state = built("gls")
    assert rule.weights(torch.tensor([1.0, 4.0]), None, state)[0].tolist() == pytest.approx([1, 0.25])
    weights, _ = rule.weights(torch.tensor([0.0, 4.0]), None, state)
    assert weights.isfinite().all()


# B.8


def test_mgda_normalisers() -> None:
    """Each is plain MGDA on the divided gradients; d takes the gradients as they are."""
    rows, losses = torch.tensor([[3.0, 0.2], [-0.5, 1.0]], dtype=torch.float64), torch.tensor([2.0, 0.5])
    lengths = rows.norm(dim=1)
    for name, divisor in (("l2", lengths), ("loss", losses), ("loss+", losses * lengths)):
        u, v = (rows / divisor.unsqueeze(1)).unbind(0)
        first = float((v @ (v - u) / (u - v).square().sum()).clamp(0, 1))
        expected = first * rows[0] + (1 - first) * rows[1]
        torch.testing.assert_close(combine("mgda", rows, losses, normaliser=name), expected)


@pytest.mark.parametrize("name", ["mgda", "imtl_g", "cagrad", "upgrad", "aligned", "pe_ltr", "epo"])
def test_equal_gradients_give_that_gradient(name: str) -> None:
    """Whatever the weights, d is g; CAGrad goes as far as it may, Aligned-MTL shares one direction among K."""
    g = torch.tensor([0.3, -2.0, 1.0], dtype=torch.float64)
    factor = {"cagrad": 1.4}.get(name, 1)
    for tasks in (2, 3):
        d = combine(name, g.expand(tasks, 3), torch.ones(tasks))
        torch.testing.assert_close(d, factor * g, rtol=1e-5, atol=1e-6)


# B.10


def test_epo_by_hand() -> None:
    """l = (2, 1), r equal, orthonormal gradients: all weight goes to the loss that is too large."""
    assert combine("epo", np.eye(2), [2, 1]).tolist() == pytest.approx([1, 0])
    assert combine("epo", np.eye(2), [1, 1], r=[0.2, 0.8]).tolist() == pytest.approx([0, 1])
    # Only the ratios of r count.
    assert combine("epo", np.eye(2), [1, 1], r=[2, 8]).tolist() == pytest.approx([0, 1])


def test_epo_reaches_the_preferred_point() -> None:
    """On the quadratic with equal curvature: the ratio of the losses becomes the one asked for (r L equal)."""
    goals = torch.tensor([[-1.0, 0], [1, 0]], dtype=torch.float64)
    wishes = [[1.0, 1.0], [1.0, 4.0], [9.0, 1.0]]
    rule, state = built("epo", eps=1e-3)
    r = torch.tensor(wishes)
    state = {key: torch.stack([value] * 3) for key, value in state.items()} | {"r": r}
    at = torch.tensor([[0.5, 1.0]] * 3, dtype=torch.float64)
    for _ in range(1500):
        apart = at.unsqueeze(1) - goals
        losses = apart.square().sum(-1) / 2
        weights, state = rule.weights(losses, apart @ apart.mT, state)
        at = at - 0.01 * rule.direction(apart, weights, None, state)
    scaled = r * losses
    torch.testing.assert_close((scaled[:, 0] / scaled[:, 1]).log(), torch.zeros(3).double(), rtol=0, atol=0.15)
    assert at[:, 1].abs().max() < 0.05


# B.11, B.12


def test_pcgrad_with_three_tasks_depends_on_the_order() -> None:
    """Against projections by hand, on original gradients, never on itself."""  # T32
    rows = torch.tensor([[1.0, 0, 0.2], [-0.5, 1, 0], [-1, -0.4, 0.3]], dtype=torch.float64)
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        total = torch.zeros(3, dtype=torch.float64)
        for i in range(3):
            g = rows[i].clone()
            for j in order:
                if j != i and g @ rows[j] < 0:
                    g -= (g @ rows[j]) / (rows[j] @ rows[j]) * rows[j]
            total += g
        torch.testing.assert_close(combine("pcgrad", rows, order=order), total)
    assert not torch.allclose(combine("pcgrad", rows), combine("pcgrad", rows, order=[2, 1, 0]))


def test_pcgrad_draws_an_order_for_every_task() -> None:
    """From K numbers each: all orders come up, and no other directions than theirs."""
    rows = torch.tensor([[1.0, 0, 0.2], [-0.5, 1, 0], [-1, -0.4, 0.3]], dtype=torch.float64)
    rule, state = built("pcgrad", 3)
    assert rule.noise == 9
    noise = torch.rand(200, 9, generator=torch.Generator().manual_seed(1))
    weights, _ = rule.weights(torch.ones(200, 3), (rows @ rows.T).expand(200, 3, 3), state, noise=noise)
    # Two orders of the other two for each of three tasks, some of which make no difference.
    assert 2 <= len({tuple(w) for w in weights.mul(1e4).round().tolist()}) <= 8


def test_without_conflict_pcgrad_is_the_sum() -> None:
    rows = torch.rand(4, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(combine("pcgrad", rows), rows.sum(0))  # T32


def test_gradvac_reaches_its_target() -> None:
    """Pair C, target .5: g1' and g2' by hand; after it the cosine is the target."""
    rows = torch.tensor([[1.0, 0], [-0.5, 1]], dtype=torch.float64)
    first, second = torch.tensor([0.5691, 0.8619]), torch.tensor([0.5774, 1.0])
    d = combine("gradvac", rows, target=0.5)
    torch.testing.assert_close(d, (first + second).double(), rtol=0, atol=1e-3)
    assert torch.cosine_similarity(first.double(), rows[1], dim=0).item() == pytest.approx(0.5, abs=1e-3)


def test_gradvac_running_mean() -> None:
    """rho starts at 0 and moves by b towards the cosine that it was compared with."""
    rows = torch.tensor([[1.0, 0], [1, 1]], dtype=torch.float64)
    rule, state = built("gradvac", b=0.1)
    for _ in range(2):
        _, state = rule.weights(torch.ones(2), rows @ rows.T, state)
    expected = (1 - 0.9**2) * math.sqrt(0.5)
    assert state["rho"][0, 1].item() == pytest.approx(expected)
    assert state["rho"][1, 0].item() == pytest.approx(expected)
    assert state["rho"].diagonal().tolist() == [0, 0]


# B.17


def test_famo_weights_by_hand() -> None:
    """z = (.5, .5), D = (2, 1): (1/3, 2/3)."""
    rule, state = built("famo")
    assert rule.weights(torch.tensor([2.0, 1.0]), None, state)[0].tolist() == pytest.approx([1 / 3, 2 / 3])


def test_famo_moves_towards_the_slower_task() -> None:
    """delta = (.1, .3): gradient (-.05, +.05), which shows in Adam's first moment; the slower task's logit rises."""
    rule, state = built("famo", weight_decay=0)
    before = torch.tensor([2.0, 1.0])
    _, state = rule.weights(before, None, state)
    after = before * torch.tensor([-0.1, -0.3]).exp()
    state = rule.after_step(before, after, state)
    assert state["adam_m"].tolist() == pytest.approx([-0.005, 0.005], abs=1e-6)
    assert state["xi"].tolist() == pytest.approx([0.025, -0.025], abs=1e-5)
    assert rule.needs_losses_after


def test_famo_stands_losses_of_zero() -> None:
    rule, state = built("famo")
    weights, state = rule.weights(torch.tensor([0.0, 1.0]), None, state)
    state = rule.after_step(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.5]), state)
    assert weights.isfinite().all()
    assert state["xi"].isfinite().all()


# B.19


def test_graddrop_on_pair_c() -> None:
    """P = (2/3, 1): [1, 1] while U < 2/3 in the first coordinate, else [-.5, 1]; the mean is the sum."""
    rows = torch.tensor([[1.0, 0], [-0.5, 1]], dtype=torch.float64)
    assert combine("graddrop", rows, noise=[0.6, 0.6]).tolist() == [1, 1]
    assert combine("graddrop", rows, noise=[0.7, 0.999]).tolist() == [-0.5, 1]
    rule, state = built("graddrop")
    noise = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0))
    mean = rule.direction(rows.expand(20_000, 2, 2), torch.ones(20_000, 2).double(), noise, state).mean(0)
    assert mean.tolist() == pytest.approx([0.5, 1], abs=0.02)


def test_graddrop_leak() -> None:
    """All of it is the plain sum; half of it half way."""
    rows = torch.tensor([[1.0, 0], [-0.5, 1]], dtype=torch.float64)
    assert combine("graddrop", rows, leak=1).tolist() == [0.5, 1]
    assert combine("graddrop", rows, noise=[0.7, 0.5], leak=0.5).tolist() == [0, 1]
