"""Random gradients: the rules against TorchJD's, and against the conditions that define them."""

from __future__ import annotations

import math
import warnings
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor
from torchjd import aggregation as peers
from torchjd.linalg import QuadprogProjector

from mtl_core import registry
from mtl_core.balancing import combine
from mtl_core.balancing.base import BalancerOptions
from mtl_core.balancing.rules import Balancer, State, solvers


def built(name: str, tasks: int, **options: Any) -> tuple[Balancer, State]:
    part = cast(BalancerOptions, registry.get("balancer", name).model_validate(options))
    rule = part.build(tuple(str(k) for k in range(tasks)))
    return rule, rule.initial_state(torch.device("cpu"))


def solved(name: str, rows: Tensor, **options: Any) -> tuple[Tensor, int]:
    """Weights on these gradients [..., K, P], all losses 1, and how many were given up."""
    rule, state = built(name, rows.shape[-2], **options)
    state = {key: value.expand((*rows.shape[:-2], *value.shape)) for key, value in state.items()}
    weights, state = rule.weights(rows.new_ones(rows.shape[:-1]), rows @ rows.mT, state)
    return weights, int(state["unsolved"].sum())


def jacobian(tasks: int, columns: int, seed: int) -> Tensor:
    """Rows of different lengths, some of them conflicting."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(tasks, columns, generator=generator, dtype=torch.float64)
    return rows * torch.rand(tasks, 1, generator=generator, dtype=torch.float64).mul(3).exp()


def step(rows: Tensor, weights: Tensor) -> Tensor:
    return (weights.unsqueeze(-1) * rows).sum(-2)


JACOBIANS = [jacobian(tasks, columns, seed) for tasks in (3, 4) for columns in (2, 8) for seed in range(4)]
FULL_RANK = [rows for rows in JACOBIANS if rows.shape[1] > rows.shape[0]]

# Against TorchJD.


@pytest.mark.parametrize("rows", JACOBIANS, ids=lambda rows: "x".join(map(str, rows.shape)))
def test_mgda_like_torchjd(rows: Tensor) -> None:
    """TorchJD's Frank-Wolfe stops short of the answer by about one in its number of steps."""
    theirs = peers.MGDA(epsilon=1e-9, max_iters=5000)(rows)
    torch.testing.assert_close(combine("mgda", rows), theirs, rtol=0, atol=2e-2 * rows.norm(dim=1).min().item())
    assert combine("mgda", rows).norm() <= theirs.norm() * (1 + 1e-9)


@pytest.mark.parametrize("rows", JACOBIANS, ids=lambda rows: "x".join(map(str, rows.shape)))
def test_pcgrad_like_torchjd(rows: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the tasks; both sum."""
    monkeypatch.setattr(torch, "randperm", torch.arange)
    torch.testing.assert_close(combine("pcgrad", rows), peers.PCGrad()(rows))


@pytest.mark.parametrize("rows", FULL_RANK, ids=lambda rows: "x".join(map(str, rows.shape)))
def test_gradvac_like_torchjd(rows: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps, so that targets have formed; the order is that of the tasks, both sum."""
    monkeypatch.setattr(torch, "randperm", torch.arange)
    theirs, (ours, state) = peers.GradVac(beta=0.5), built("gradvac", len(rows), b=0.5)
    state["rho"] = state["rho"].double()
    for _ in range(3):
        weights, state = ours.weights(rows.new_ones(len(rows)), rows @ rows.T, state)
        torch.testing.assert_close(step(rows, weights), theirs(rows), rtol=1e-5, atol=1e-5)
        rows = rows + 0.3 * rows.flip(0)


@pytest.mark.parametrize("rows", JACOBIANS, ids=lambda rows: "x".join(map(str, rows.shape)))
def test_imtl_g_like_torchjd(rows: Tensor) -> None:
    """Where the sum is positive and the gradients are independent.

    Else TorchJD goes uphill for every task, or by a pseudo-inverse. Here the first is unsolved, and with dependent
    gradients the projections are equal: all 0.
    """
    theirs = peers.IMTLG()(rows)
    ours, missed = solved("imtl_g", rows)
    units = rows / rows.norm(dim=1, keepdim=True)
    if len(rows) > rows.shape[1]:
        assert missed or (units @ step(rows, ours)).abs().max() < 1e-6 * rows.norm()
    elif missed:
        assert (rows @ theirs < 0).all()
    else:
        torch.testing.assert_close(step(rows, ours), theirs)


@pytest.mark.parametrize("rows", JACOBIANS, ids=lambda rows: "x".join(map(str, rows.shape)))
def test_aligned_like_torchjd(rows: Tensor) -> None:
    """Mean preference in both."""
    torch.testing.assert_close(combine("aligned", rows), peers.AlignedMTL()(rows))


@pytest.mark.parametrize("rows", JACOBIANS, ids=lambda rows: "x".join(map(str, rows.shape)))
def test_upgrad_like_torchjd(rows: Tensor) -> None:
    """Mean preference in both; TorchJD's ridge made as small as its solver allows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the solver's, about its input format
        theirs = peers.UPGrad(projector=QuadprogProjector(norm_eps=0, reg_eps=1e-9))(rows)
    torch.testing.assert_close(combine("upgrad", rows), theirs, rtol=1e-3, atol=1e-3 * rows.norm().item())


@pytest.mark.parametrize("rows", JACOBIANS, ids=lambda rows: "x".join(map(str, rows.shape)))
def test_cagrad_like_torchjd(rows: Tensor) -> None:
    """Around the mean, not rescaled, in both."""
    theirs = peers.CAGrad(c=0.4, norm_eps=0.0)(rows)
    torch.testing.assert_close(combine("cagrad", rows, c=0.4), theirs, rtol=0, atol=1e-3 * rows.norm().item())


def test_nash_like_torchjd() -> None:
    """Wherever TorchJD's iteration has arrived at a length of sqrt(K), as its equation demands."""
    agreed = 0
    for rows in FULL_RANK:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the solver's, about its parameters
            theirs = peers.NashMTL(n_tasks=len(rows), max_norm=0.0, optim_niter=100)(rows)
        ours = combine("nash", rows)
        assert ours.norm().item() == pytest.approx(math.sqrt(len(rows)))
        if theirs.norm().item() == pytest.approx(math.sqrt(len(rows)), rel=1e-4):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
            agreed += 1
    assert agreed >= len(FULL_RANK) - 2


# What defines the solutions, for few tasks (all support sets are tried) and many (interior points).

SIZES = [(2, 5), (3, 2), (4, 10), (8, 6), (8, 30), (11, 5), (11, 40)]
sizes = pytest.mark.parametrize(("tasks", "columns"), SIZES)


@sizes
def test_mgda_is_the_shortest(tasks: int, columns: int) -> None:
    """d.g >= |d|^2 for all: the condition for the shortest vector of the hull."""  # T37
    for seed in range(5):
        rows = jacobian(tasks, columns, seed)
        weights, missed = solved("mgda", rows)
        d = step(rows, weights)
        assert missed == 0
        assert (weights >= 0).all()
        assert weights.sum().item() == pytest.approx(1)
        assert (rows @ d >= d @ d - 1e-5 * rows.norm(dim=1).min() ** 2).all()


@sizes
def test_cagrad_closes_the_duality_gap(tasks: int, columns: int) -> None:
    """min g.d over the tasks is what the dual says it can at most be; and d is on its ball."""
    for seed in range(5):
        rows = jacobian(tasks, columns, seed)
        weights, missed = solved("cagrad", rows, c=0.4)
        mean, extra = rows.mean(0), weights - 1 / tasks
        mixture = extra / extra.sum()
        g_w = step(rows, mixture)
        d = step(rows, weights)
        assert missed == 0
        assert (extra >= -1e-9).all()
        assert (d - mean).norm().item() == pytest.approx(0.4 * mean.norm().item())
        bound = g_w @ mean + 0.4 * mean.norm() * g_w.norm()
        assert (rows @ d).min().item() == pytest.approx(bound.item(), abs=1e-4 * rows.norm(dim=1).min().item() ** 2)


@sizes
def test_upgrad_hurts_nobody(tasks: int, columns: int) -> None:
    """And each projection is complementary: a row is moved only along rows that bind."""
    for seed in range(5):
        rows = jacobian(tasks, columns, seed)
        weights, missed = solved("upgrad", rows)
        assert missed == 0
        assert (rows @ step(rows, weights) >= -1e-5 * rows.norm(dim=1) * rows.norm()).all()
        only_first, _ = solved("upgrad", rows, pref=[1.0, *[0.0] * (tasks - 1)])
        moved = step(rows, only_first)
        assert (only_first[1:] >= -1e-9).all()
        assert ((rows @ moved)[1:] * only_first[1:]).abs().max() < 1e-4 * (rows[0] @ rows[0])


def test_upgrad_keeps_the_preference_of_a_gradient_of_zero() -> None:
    """It changes nothing in d, but the task's own parameters may go by the weight."""
    rows = jacobian(3, 9, 0)
    rows[1] = 0
    assert solved("upgrad", rows)[0][1].item() == pytest.approx(1 / 3)


def test_cagrad_without_room_is_solved() -> None:
    """c = 0 makes its problem linear, which is no failure."""
    for rows in (jacobian(3, 9, 0), torch.eye(2).double(), torch.eye(3).double()):
        weights, missed = solved("cagrad", rows, c=0)
        assert missed == 0
        assert weights.tolist() == pytest.approx([1 / len(rows)] * len(rows))


def test_upgrad_is_the_mean_without_conflict() -> None:
    rows = jacobian(5, 9, 0).abs()
    torch.testing.assert_close(combine("upgrad", rows), rows.mean(0))


@pytest.mark.parametrize(("tasks", "columns"), [(2, 5), (3, 4), (4, 10), (8, 30), (11, 40)])
def test_nash_solves_its_equation(tasks: int, columns: int) -> None:
    """M w = 1 / w with w > 0, so |d| = sqrt(K)."""  # T30
    for seed in range(5):
        rows = jacobian(tasks, columns, seed)
        weights, missed = solved("nash", rows)
        assert missed == 0
        assert (weights > 0).all()
        torch.testing.assert_close((rows @ rows.T @ weights) * weights, torch.ones(tasks).double())
        assert step(rows, weights).norm().item() == pytest.approx(math.sqrt(tasks))
        clipped, _ = solved("nash", rows, max_norm=0.5)
        assert step(rows, clipped).norm().item() == pytest.approx(0.5)
        # Clipping never stretches.
        assert torch.equal(solved("nash", rows, max_norm=100)[0], weights)


def test_nash_counts_what_has_no_solution() -> None:
    """Gradients whose hull holds 0: three in a plane, all around."""
    angles = torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64)
    weights, missed = solved("nash", torch.stack([angles.cos(), angles.sin()], -1))
    assert missed == 1
    assert weights.tolist() == pytest.approx([1 / 3] * 3)


def test_nash_does_not_blow_up_rounding_errors() -> None:
    """Opposite gradients in single precision: whether their Gramian is singular is chance, the answer is not."""
    rows = torch.randn(50, 2, 5000, generator=torch.Generator().manual_seed(0))
    rows[:, 1] = -0.6 * rows[:, 0]
    weights, missed = solved("nash", rows)
    assert missed == 50
    assert torch.equal(weights, torch.full((50, 2), 0.5))


def test_imtl_g_does_not_go_uphill() -> None:
    """A short gradient between two long ones: M^-1 n has a negative sum, and scaled to 1 it would raise all losses."""
    cosines = torch.tensor([[1, 0.7, 0.9], [0.7, 1, 0.9], [0.9, 0.9, 1]], dtype=torch.float64)
    rows = torch.linalg.cholesky(cosines) * torch.tensor([[1.0], [1.0], [0.1]])
    assert (rows @ peers.IMTLG()(rows) < 0).all()
    weights, missed = solved("imtl_g", rows)
    assert missed == 1
    assert weights.tolist() == pytest.approx([1 / 3] * 3)


@sizes
def test_imtl_g_projects_equally(tasks: int, columns: int) -> None:
    """On every unit gradient, with weights of sum 1; a step that would go uphill is not made."""
    for seed in range(5):
        rows = jacobian(tasks, columns, seed)
        weights, missed = solved("imtl_g", rows)
        on_unit = (rows @ step(rows, weights)) / rows.norm(dim=1)
        assert weights.sum().item() == pytest.approx(1)
        if not missed:
            assert (on_unit - on_unit.mean()).abs().max() < 1e-5 * rows.norm(dim=1).max()
            assert on_unit.mean() > -1e-5


@pytest.mark.parametrize("tasks", [2, 3, 6, 7, 11])
def test_epo_linear_program_like_scipy(tasks: int) -> None:
    """Vertices for few tasks, interior points for many: the same value as HiGHS finds, and the rows are kept."""
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        gain = torch.rand(tasks, generator=generator, dtype=torch.float64) - 0.5
        rows = torch.rand(tasks, tasks, generator=generator, dtype=torch.float64) - 0.3
        inside = torch.rand(tasks, generator=generator, dtype=torch.float64)
        least = rows @ (inside / inside.sum()) - 0.1
        least[0] = -torch.inf
        w, there = solvers.linear_program(gain, rows, least, torch.ones(tasks, dtype=torch.bool), 1e-9)
        sides = -gain.numpy(), -rows[1:].numpy(), -least[1:].numpy(), np.ones((1, tasks)), [1.0]
        theirs = linprog(*sides, method="highs")
        assert bool(there)
        assert (gain @ w).item() == pytest.approx(-theirs.fun, abs=1e-6)
        assert (rows @ w >= least - 1e-6).all()
        _, there = solvers.linear_program(gain, rows, least + 10, torch.ones(tasks, dtype=torch.bool), 1e-9)
        assert not there


@pytest.mark.parametrize("tasks", [2, 3, 4, 7])
def test_epo_is_its_linear_program(tasks: int) -> None:
    """Written out from the paper's definitions and given to HiGHS: balancing steps, and steps for all once balanced."""
    kinds = set()
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        rows = jacobian(tasks, 9, seed).numpy() + seed % 4
        r = torch.rand(tasks, generator=generator).double().numpy() + 0.1
        # Any losses, losses in balance, losses that only just count as balanced.
        losses = torch.rand(tasks, generator=generator).double().numpy() + 0.1
        losses = (losses, 1 / r, (1 + 0.02 * losses) / r)[seed % 3]
        r /= r.sum()
        products = rows @ rows.T
        share = r * losses / (r * losses).sum()
        mu = (share * np.log(tasks * share)).sum()
        a = r * (np.log(tasks * share) - mu)
        gain, least = products @ a, np.zeros(tasks)
        sides, ends, goal = products, least, products.sum(0)
        if mu > 1e-4:
            goal = gain
            if (gain > 0).any():
                least = np.where(gain > 0, -1e9, gain)
                least[(r * losses).argmax()] = 0
                ends = least
        else:
            sides, ends = np.vstack([products, gain]), np.append(least, min(gain.max(), 0))
        theirs = linprog(-goal, -sides, -ends, np.ones((1, tasks)), [1.0], method="highs")
        weights = epo_weights(rows, losses, 3 * r)
        if theirs.status == 0:
            kinds.add(mu > 1e-4)
            assert weights is not None
            assert goal @ weights == pytest.approx(-theirs.fun, rel=1e-4, abs=1e-5 * products.max())
            assert (sides @ weights >= ends - 1e-5 * products.max()).all()
        else:
            assert weights is None
    assert kinds == {True, False}


def epo_weights(rows: Any, losses: Any, r: Any) -> Any:
    """None if the step was given up."""
    rule, state = built("epo", len(rows), r=r.tolist())
    given = torch.tensor(rows)
    weights, state = rule.weights(torch.tensor(losses, dtype=torch.float64), given @ given.T, state)
    return None if state["unsolved"] else weights.numpy()


def test_epo_lowers_all_losses_when_balanced() -> None:
    """With equal losses and equal preferences no loss rises, if that is possible at all."""
    for seed in range(10):
        rows = jacobian(4, 12, seed)
        weights, missed = solved("epo", rows)
        assert missed == 0
        assert (rows @ step(rows, weights) >= -1e-6 * rows.norm() ** 2).all()


def test_pe_ltr_keeps_its_bounds() -> None:
    """Least weights and the sum of 1; and for two tasks it is the best there is."""
    for seed in range(10):
        rows = jacobian(4, 6, seed)
        weights, _ = solved("pe_ltr", rows, c=[0.1, 0.2, 0.0, 0.3])
        assert (weights >= torch.tensor([0.1, 0.2, 0.0, 0.3]) - 1e-6).all()
        assert weights.sum().item() == pytest.approx(1)
        two = rows[:2]
        weights, _ = solved("pe_ltr", two, c=[0.2, 0.3])
        shares = torch.linspace(0.2, 0.7, 1001, dtype=torch.float64)
        lengths = (shares.unsqueeze(-1) * two[0] + (1 - shares).unsqueeze(-1) * two[1]).norm(dim=-1)
        assert step(two, weights).norm().item() <= lengths.min().item() + 1e-6
    assert solved("pe_ltr", two, c=[0.4, 0.6])[0].tolist() == pytest.approx([0.4, 0.6])


def test_few_and_many_tasks_are_solved_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """All support sets against interior points, on the same gradients."""
    rows = torch.stack([jacobian(5, 7, seed) for seed in range(20)])
    names = ("mgda", "cagrad", "upgrad", "epo")
    exact = [step(rows, solved(name, rows)[0]) for name in names]
    monkeypatch.setattr(solvers, "EXACT", 1)
    monkeypatch.setattr(solvers, "EXACT_VERTICES", 1)
    for name, expected in zip(names, exact, strict=True):
        weights, missed = solved(name, rows)
        assert missed == 0
        torch.testing.assert_close(step(rows, weights), expected, rtol=1e-4, atol=1e-4)


numbers = st.floats(-10, 10, allow_nan=False).map(lambda x: round(x, 3))


@example([[0.0, 0.0, -1.0], [0.0, 8.0, 0.008], [0.0, -1.0, 0.0]])  # nearly opposite, and the third closes the gap
@settings(max_examples=150)
@given(st.integers(1, 4).flatmap(lambda k: st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=k, max_size=k)))
def test_whatever_the_gradients(given_rows: list[list[float]]) -> None:
    """Zero rows, equal rows, opposite rows: finite weights, MGDA and UPGrad solved and never uphill."""
    rows = torch.tensor(given_rows, dtype=torch.float64)
    longest = rows.norm(dim=1).max() ** 2
    for name in ("mgda", "upgrad"):
        weights, missed = solved(name, rows)
        assert missed == 0
        assert (rows @ step(rows, weights) >= -1e-5 * longest - 1e-12).all()
    for name in ("cagrad", "imtl_g", "nash", "aligned", "pe_ltr", "epo", "pcgrad", "gradvac"):
        assert combine(name, rows, torch.ones(len(rows))).isfinite().all()
