"""Small convex problems over task weights, solved for a whole batch at once: no branch on data, no wait for the device.

All of them are put in terms of unit gradients u_k = g_k / |g_k|: `cosines` [..., K, K] holds u_i.u_j, and weights on
unit gradients are called x. Gradients of very different sizes then need no care. Up to `EXACT` tasks every support set
is solved and the best one taken, which is exact; for more, an interior-point method runs a fixed number of steps. A
small ridge on the cosines makes every system solvable and picks the shortest x where many are equally good.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

#: Up to so many tasks all 2^K - 1 support sets are tried.
EXACT = 8
#: Up to so many tasks all vertices of the linear program are tried.
EXACT_VERTICES = 6
#: Steps of the interior-point method, and of Newton's for the Nash bargaining solution.
INTERIOR_STEPS = 50
NEWTON_STEPS = 30


def shortest_in_hull(cosines: Tensor, a: Tensor, live: Tensor) -> Tensor:
    """The x >= 0 [..., K] with a.x = 1 that minimises x^T cosines x; 0 outside `live`.

    Args:
        cosines: [..., K, K], symmetric and positive definite.
        a: [..., K], positive, largest 1 among the live: 1 / |g| up to scale gives the shortest vector in the convex
            hull of the gradients.
        live: [..., K] bool.
    """
    if cosines.shape[-1] <= EXACT:
        member = _supports(live)
        x = _feasible(_solve_on(member, cosines, a.unsqueeze(-1)).squeeze(-1), a)
        return _best(x, (x * (x @ cosines)).sum(-1))

    def quadratic(x: Tensor) -> tuple[Tensor, Tensor]:
        return (cosines @ x.unsqueeze(-1)).squeeze(-1), cosines

    return _feasible(_interior_point(quadratic, _row(a, live), torch.ones_like(a[..., :1]), live), a * live)


def shortest_hull_and_mean(cosines: Tensor, a: Tensor, b: Tensor, c: Tensor, live: Tensor) -> Tensor:
    """The x >= 0 [..., K] with a.x = 1 that minimises b.x + c sqrt(x^T cosines x): CAGrad's problem.

    Args:
        cosines, a, live: as in `shortest_in_hull`.
        b: [..., K], in the span of the unit gradients: u_k.g0 / |g0|.
        c: [...].
    """

    def value(x: Tensor) -> Tensor:
        return (x * b.unsqueeze(-2)).sum(-1) + c.unsqueeze(-1) * _length(x, cosines.unsqueeze(-3))

    if cosines.shape[-1] <= EXACT:
        # On a support set the gradient is nu a: x is proportional to nu p - r, and nu solves a quadratic equation.
        member = _supports(live)
        p, r = _solve_on(member, cosines, torch.stack([a, b], -1)).unbind(-1)
        on_a, on_b = a.unsqueeze(-2), b.unsqueeze(-2)
        pp, pr, rr = ((on_a * p).sum(-1), (on_a * r).sum(-1), (on_b * r).sum(-1))
        root = (pr.square() - pp * (rr - c.unsqueeze(-1).square())).clamp(min=0).sqrt()
        nu = (pr + root) / pp
        x = _feasible(nu.unsqueeze(-1) * p - r, a)
        # The ends of the simplex too: at c = 0 the problem is linear and the above is 0 / 0.
        ends = torch.diag_embed(torch.where(live, 1 / a, torch.nan))
        x = torch.cat([x, ends], -2)
        return _best(x, value(x))

    # With one more variable t >= 0 for the length: b.x + c (x^T cosines x / t + t) / 2 is smooth, and its best t is it.
    def derivatives(xt: Tensor) -> tuple[Tensor, Tensor]:
        x, t = xt[..., :-1], xt[..., -1:]
        direction = (cosines @ x.unsqueeze(-1)).squeeze(-1) / t
        square = (x * direction).sum(-1, keepdim=True) / t
        pull = c.unsqueeze(-1)
        gradient = torch.cat([b + pull * direction, pull * (1 - square) / 2], -1)
        side = -pull * direction / t
        top = torch.cat([pull.unsqueeze(-1) * cosines / t.unsqueeze(-1), side.unsqueeze(-1)], -1)
        return gradient, torch.cat([top, torch.cat([side, pull * square / t], -1).unsqueeze(-2)], -2)

    one = torch.ones_like(a[..., :1])
    rows = torch.cat([a * live, 0 * one], -1).unsqueeze(-2)
    x = _interior_point(derivatives, rows, one, torch.cat([live, one > 0], -1))[..., :-1]
    return _feasible(x, a * live)


def onto_cone(cosines: Tensor, live: Tensor) -> Tensor:
    """Each unit gradient projected onto {d: d.u_k >= 0 for all live k}: row i [..., K, K] holds the projection's x.

    That is min of v^T cosines v over v >= e_i, for each i (Quinton, Rey 2024, proposition 1).
    """
    tasks = cosines.shape[-1]
    identity = torch.eye(tasks, dtype=cosines.dtype, device=cosines.device)
    if tasks <= EXACT:
        # v = e_i + x with x >= 0: on a support set, cosines x = -(row i of cosines).
        member = _supports(live, with_empty=True)
        x = _solve_on(member, cosines, -cosines).mT  # [..., N, i, K]
        slope = (x + identity) @ cosines.unsqueeze(-3)
        # At the solution one of x and its slope is 0, and neither is negative.
        bad = torch.where(live[..., None, None, :], torch.minimum(x, slope), 0).abs().amax(-1)
        x = _best(x.transpose(-3, -2), bad.transpose(-2, -1))
        return identity + x.clamp(min=0)
    every = cosines.unsqueeze(-3).expand(*cosines.shape[:-2], tasks, tasks, tasks)

    def quadratic(x: Tensor) -> tuple[Tensor, Tensor]:
        return ((x + identity).unsqueeze(-2) @ every).squeeze(-2), every

    some = live.unsqueeze(-2).expand(cosines.shape)
    no_row, no_value = cosines.new_zeros(*cosines.shape[:-1], 0, tasks), cosines.new_zeros(*cosines.shape[:-1], 0)
    return identity + _interior_point(quadratic, no_row, no_value, some)


def bargain(cosines: Tensor, live: Tensor) -> Tensor:
    """The x > 0 [..., K] with (cosines x)_k = 1 / x_k for all live k.

    By damped Newton on x^T cosines x / 2 - sum log x. That is self-concordant, so steps of 1 / (1 + decrement) need no
    line search. Where no solution exists x grows until the steps are used up.
    """
    count = live.sum(-1, keepdim=True).to(cosines)
    ones = live.to(cosines)
    total = (ones * (cosines @ ones.unsqueeze(-1)).squeeze(-1)).sum(-1, keepdim=True)
    # The best multiple of 1: for two tasks this is the solution.
    x = torch.where(live, (count / total.clamp(min=1e-12)).sqrt(), 1.0)
    for _ in range(NEWTON_STEPS):
        gradient = torch.where(live, (cosines @ x.unsqueeze(-1)).squeeze(-1) - 1 / x, 0)
        hessian = cosines + torch.diag_embed(x.square().reciprocal())
        step = _solve(hessian, gradient.unsqueeze(-1)).squeeze(-1)
        decrement = (gradient * step).sum(-1, keepdim=True).clamp(min=0).sqrt()
        x = x - step * torch.where(decrement < 0.25, 1.0, 1 / (1 + decrement))
    return torch.where(live, x, 0)


def linear_program(gain: Tensor, rows: Tensor, least: Tensor, live: Tensor, slip: float) -> tuple[Tensor, Tensor]:
    """The w [..., K] of the simplex with rows w >= least that maximises gain.w; the mean one if many do.

    Args:
        gain: [..., K].
        rows: [..., R, K], entries of about 1.
        least: [..., R]; -inf for a row that asks for nothing.
        live: [..., K] bool; w is 0 elsewhere.
        slip: how far a row may miss what it asks for.

    Returns:
        w and whether there is one at all, [...].
    """
    tasks = gain.shape[-1]
    identity = torch.eye(tasks, dtype=gain.dtype, device=gain.device)
    least = least.clamp(min=-1e3)
    dead = torch.where(live, 0.0, 1e3).to(gain)
    if tasks <= EXACT_VERTICES:
        # Every vertex: w sums to 1, and K - 1 of the inequalities hold with equality.
        sides = torch.cat([identity.expand(*gain.shape[:-1], tasks, tasks), rows], -2)
        ends = torch.cat([torch.zeros_like(gain), least], -1)
        pick = _combinations(sides.shape[-2], tasks - 1, gain.device)
        sums = gain.new_ones(*gain.shape[:-1], len(pick), 1, tasks)
        matrix = torch.cat([sides[..., pick, :], sums], -2)
        value = torch.cat([ends[..., pick], sums[..., 0, :1]], -1)
        w = _solve(matrix, value.unsqueeze(-1)).squeeze(-1)
        slack = w @ sides.mT - ends.unsqueeze(-2)
        fits = (slack >= -slip).all(-1) & ((w.sum(-1) - 1).abs() < 1e-9) & ((w * dead.unsqueeze(-2)).sum(-1) < 1e-6)
        reached = torch.where(fits, (w * gain.unsqueeze(-2)).sum(-1), -torch.inf)
        top = reached.amax(-1, keepdim=True)
        scale = gain.abs().amax(-1, keepdim=True)
        best = fits & (reached >= top - 1e-9 * scale)
        mean = torch.where(best.unsqueeze(-1), w, 0).sum(-2) / best.sum(-1, keepdim=True).clamp(min=1)
        return mean.clamp(min=0), fits.any(-1)
    # With slacks s >= 0: rows w - s = least.
    count = rows.shape[-2]
    slack = torch.eye(count, dtype=gain.dtype, device=gain.device).expand(*gain.shape[:-1], count, count)
    sums = torch.cat([live.to(gain), torch.zeros_like(least)], -1).unsqueeze(-2)
    matrix = torch.cat([torch.cat([rows, -slack], -1), sums], -2)
    value = torch.cat([least, torch.ones_like(gain[..., :1])], -1)
    cost = torch.cat([dead - gain, torch.zeros_like(least)], -1)
    flat = torch.zeros(cost.shape[-1], cost.shape[-1], dtype=gain.dtype, device=gain.device)

    def linear(x: Tensor) -> tuple[Tensor, Tensor]:
        return cost, flat.expand(*x.shape, x.shape[-1])

    every = torch.ones_like(cost, dtype=torch.bool)
    w = _interior_point(linear, matrix, value, every)[..., :tasks]
    w = torch.where(live, w.clamp(min=0), 0)
    w = w / w.sum(-1, keepdim=True)
    fits = ((rows @ w.unsqueeze(-1)).squeeze(-1) >= least - max(slip, 1e-7)).all(-1)
    return w, fits


def onto_simplex(w: Tensor, total: Tensor, live: Tensor) -> Tensor:
    """The point of {v >= 0, sum v = total [...]} nearest to w [..., K], on the live tasks."""
    down = torch.where(live, w, -torch.inf).sort(-1, descending=True).values
    rank = torch.arange(1, w.shape[-1] + 1, dtype=w.dtype, device=w.device)
    level = (down.cumsum(-1) - total.unsqueeze(-1)) / rank
    # Comparisons with the -inf of dead tasks are false, as they must be.
    last = ((down - level) > 0).sum(-1, keepdim=True).clamp(min=1) - 1
    return torch.where(live, (w - level.gather(-1, last)).clamp(min=0), 0)


@lru_cache(maxsize=16)
def _combinations(things: int, taken: int, device: torch.device) -> Tensor:
    """All choices [N, taken] of so many things. Kept: a copy to the device would wait for it."""
    chosen = list(itertools.combinations(range(things), taken))
    return torch.tensor(chosen, dtype=torch.int64, device=device).reshape(len(chosen), taken)


def _supports(live: Tensor, *, with_empty: bool = False) -> Tensor:
    """All sets of tasks [..., N, K] as bool, without tasks that are not live."""
    tasks = live.shape[-1]
    codes = torch.arange(0 if with_empty else 1, 2**tasks, device=live.device)
    member = (codes.unsqueeze(-1) >> torch.arange(tasks, device=live.device)) & 1 > 0
    return member & live.unsqueeze(-2)


def _solve_on(member: Tensor, matrix: Tensor, right: Tensor) -> Tensor:
    """Per support set [..., N, K]: the solution [..., N, K, R] of the system of its members; 0 for the others."""
    inside = (member.unsqueeze(-1) & member.unsqueeze(-2)) * matrix.unsqueeze(-3)
    return _solve(inside + torch.diag_embed((~member).to(matrix)), member.unsqueeze(-1) * right.unsqueeze(-3))


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    # Unlike `solve` this neither raises nor waits for the device: singular systems give no numbers, or wild ones.
    solution: Tensor = torch.linalg.solve_ex(matrix, right).result
    return solution


def _feasible(x: Tensor, a: Tensor) -> Tensor:
    """x [..., N, K] or [..., K] made nonnegative, with a.x = 1 (a [..., K])."""
    x = x.clamp(min=0)
    a = a.unsqueeze(-2) if x.dim() > a.dim() else a
    return x / (a * x).sum(-1, keepdim=True)


def _best(x: Tensor, value: Tensor) -> Tensor:
    """Of the candidates x [..., N, K] the one with the least value [..., N]; what is no number never is."""
    found = torch.where(value.isnan(), torch.inf, value).argmin(-1)
    index = found[..., None, None].expand(*found.shape, 1, x.shape[-1])
    return x.gather(-2, index).squeeze(-2)


def _length(x: Tensor, cosines: Tensor) -> Tensor:
    """|sum_k x_k u_k| [..., N] for x [..., N, K] and cosines [..., 1, K, K]."""
    return (x * (x.unsqueeze(-2) @ cosines).squeeze(-2)).sum(-1).clamp(min=0).sqrt()


def _row(a: Tensor, live: Tensor) -> Tensor:
    return (a * live).unsqueeze(-2)


def _interior_point(
    derivatives: Callable[[Tensor], tuple[Tensor, Tensor]], rows: Tensor, values: Tensor, live: Tensor
) -> Tensor:
    """argmin of a convex f over x >= 0 [..., n] with rows x = values, by primal-dual interior-point steps.

    Short steps (0.9 of the way to the border, towards 0.3 of the gap): longer ones now and then fail on CAGrad's
    problem, where its optimum is close to its kink.

    Args:
        derivatives: x -> gradient [..., n] and Hessian [..., n, n] of f.
        rows, values: [..., m, n], [..., m]; m may be 0.
        live: [..., n] bool; the others are kept out of f and of the rows, and come out as 0.
    """
    count = rows.shape[-2]
    x = z = torch.ones_like(live, dtype=rows.dtype)
    y = torch.zeros_like(values)
    both = live.unsqueeze(-1) & live.unsqueeze(-2)
    corner = rows.new_zeros(*rows.shape[:-1], count)
    for _ in range(INTERIOR_STEPS):
        gradient, hessian = derivatives(x * live)
        # A variable that is not live has f = x for itself, and so goes to 0.
        gradient, hessian = torch.where(live, gradient, 1.0), torch.where(both, hessian, 0)
        target = 0.3 * (x * z).mean(-1, keepdim=True)
        dual = gradient - (y.unsqueeze(-2) @ rows).squeeze(-2) - z
        primal = (rows @ x.unsqueeze(-1)).squeeze(-1) - values
        gap = x * z - target
        system = torch.cat(
            [torch.cat([hessian + torch.diag_embed(z / x), -rows.mT], -1), torch.cat([rows, corner], -1)], -2
        )
        step = _solve(system, torch.cat([-dual - gap / x, -primal], -1).unsqueeze(-1)).squeeze(-1)
        dx, dy = step[..., : x.shape[-1]], step[..., x.shape[-1] :]
        dz = (-gap - z * dx) / x
        far = torch.maximum((-dx / x).amax(-1, keepdim=True), (-dz / z).amax(-1, keepdim=True))
        size = (0.9 / far.clamp(min=1e-30)).clamp(max=1)
        # Once the gap is as small as numbers go the system falls apart: such a step is not made.
        good = step.isfinite().all(-1, keepdim=True) & (target > 1e-18)
        size = torch.where(good, size, 0)
        dx, dy, dz = (torch.where(good, move, 0) for move in (dx, dy, dz))
        x, y, z = x + size * dx, y + size * dy, z + size * dz
    return x * live
