"""The shortest convex combination of the task gradients, and its relatives with a preference."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl_core.balancing.rules.base import State
from mtl_core.balancing.rules.gramian import Gram, GramianRule, scaled
from mtl_core.balancing.rules.losses import TINY
from mtl_core.balancing.rules.solvers import linear_program, onto_simplex, shortest_in_hull

#: With losses as close to balance as this (some 1e-6 apart), what EPO measures is but rounding and asks for nothing.
EVEN = 1e-12


class MGDARule(GramianRule):
    """argmin over the simplex of |sum_k w_k g_k / n_k|."""

    def __init__(self, normaliser: str) -> None:
        self._normaliser = normaliser

    def solve(self, gram: Gram, losses: Tensor, state: State) -> tuple[Tensor, Tensor]:
        # In x_k = w_k |g_k| / n_k the constraint sum w = 1 reads a.x = 1 with a_k = n_k / |g_k|.
        a = torch.ones_like(gram.norms) if self._normaliser in ("l2", "loss+") else 1 / gram.norms
        if self._normaliser.startswith("loss"):
            a = a * losses.clamp(min=TINY)
        a = scaled(a, gram.live)
        x = shortest_in_hull(gram.firm, a, gram.live)
        on_unit = (gram.cosines @ x.unsqueeze(-1)).squeeze(-1)
        # Optimal where no gradient has a smaller product with d than d itself.
        short = a * (x * on_unit).sum(-1, keepdim=True) - on_unit
        solved = torch.where(gram.live, short, 0).amax(-1) < gram.tolerance
        weights, still = rest_on_zero_gradients(x * a, torch.ones_like(x[..., 0]), gram)
        return weights, solved | still


class PELTRRule(GramianRule):
    """The shortest combination with least weights c: in closed form without regard to signs, then projected."""

    def __init__(self, c: Sequence[float]) -> None:
        self._c = tuple(c)

    def initial_state(self, device: torch.device) -> State:
        return {"c": torch.tensor(self._c, dtype=torch.float32, device=device), **super().initial_state(device)}

    def solve(self, gram: Gram, losses: Tensor, state: State) -> tuple[Tensor, Tensor]:
        c = torch.where(gram.active, state["c"].to(gram.norms), 0)
        # A hair below 0 by rounding, where the bounds leave nothing to decide.
        free = (1 - c.sum(-1)).clamp(min=0)
        # Without signs the best w' + c is the shortest vector of the affine hull, whatever c is: M x = nu a.
        a = torch.where(gram.live, gram.lengths, 0)
        x = torch.linalg.solve_ex(gram.firm, a.unsqueeze(-1)).result.squeeze(-1)
        total = (a * x).sum(-1, keepdim=True)
        weights = onto_simplex(a * x / total - c, free, gram.live)
        weights, _ = rest_on_zero_gradients(weights, free, gram)
        return weights + c, weights.isfinite().all(-1)


class EPORule(GramianRule):
    """A linear program per step: towards equal r_k L_k while they are apart, then downhill for all."""

    def __init__(self, r: Sequence[float], eps: float) -> None:
        self._r, self._eps = tuple(r), eps

    def initial_state(self, device: torch.device) -> State:
        return {
            "r": torch.tensor(self._r, dtype=torch.float32, device=device),
            "eps": torch.tensor(self._eps, device=device),
            **super().initial_state(device),
        }

    def solve(self, gram: Gram, losses: Tensor, state: State) -> tuple[Tensor, Tensor]:
        active, tasks = gram.active, gram.active.sum(-1, keepdim=True)
        r = torch.where(active, state["r"].to(gram.norms), 0)
        # By its ratios alone: the size of r would set the size of a.
        r = r / r.sum(-1, keepdim=True)
        apart = r * losses.clamp(min=TINY)
        shares = apart / apart.sum(-1, keepdim=True)
        logs = torch.where(active, (tasks * shares).clamp(min=TINY).log(), 0)
        mu = (shares * logs).sum(-1, keepdim=True)
        a = r * (logs - mu)
        balanced = mu <= state["eps"].to(mu).unsqueeze(-1)

        norms = torch.where(gram.live, gram.norms, 0)
        products = gram.cosines * norms.unsqueeze(-1) * norms.unsqueeze(-2)
        gain = (products @ a.unsqueeze(-1)).squeeze(-1)
        # While unbalanced: losses with a say in Ca may do as they like, the largest must not rise, the others must not
        # rise by more than a itself would raise them. With no such loss, none may rise.
        free = active & (gain > 0)
        largest = active & (apart >= apart.amax(-1, keepdim=True) * (1 - 1e-6))
        least = torch.where(largest, 0, torch.where(free, -torch.inf, gain))
        least = torch.where(free.any(-1, keepdim=True), least, 0)
        # When balanced: none may rise, and the balance must not get worse than it has to.
        least = torch.where(balanced, 0, least)
        top = torch.where(active, gain, -torch.inf).amax(-1, keepdim=True)
        keep = torch.where(balanced & (mu > EVEN), top.clamp(max=0), -torch.inf)
        target = torch.where(balanced, products.sum(-2), gain)

        # Rows of size 1, whatever the gradients' lengths.
        size = norms.unsqueeze(-1).clamp(min=TINY)
        length = gain.abs().amax(-1, keepdim=True).clamp(min=TINY)
        rows = torch.cat([products / size, (gain / length).unsqueeze(-2)], -2)
        bounds = torch.cat([torch.where(gram.live, least / size.squeeze(-1), -torch.inf), keep / length], -1)
        goal = target / target.abs().amax(-1, keepdim=True).clamp(min=TINY)
        return linear_program(goal, rows, bounds, active, 10 * gram.ridge)


def rest_on_zero_gradients(weights: Tensor, total: Tensor, gram: Gram) -> tuple[Tensor, Tensor]:
    """Weights [..., K] with this sum [...] all on the active tasks whose gradient is 0, if there are any; and if so.

    Such a task makes d = 0 the shortest vector of the hull: nothing can be gained for all.
    """
    zero = gram.active & ~gram.live
    count = zero.sum(-1, keepdim=True)
    on_zero = zero * total.unsqueeze(-1) / count.clamp(min=1)
    return torch.where(count > 0, on_zero, weights), count.squeeze(-1) > 0
