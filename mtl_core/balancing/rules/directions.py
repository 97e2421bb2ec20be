"""Directions that are fair to all tasks, each in its own sense."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl_core.balancing.rules.base import State
from mtl_core.balancing.rules.gramian import Gram, GramianRule
from mtl_core.balancing.rules.solvers import bargain, onto_cone, shortest_hull_and_mean

#: How far Nash weights may miss w_k (M w)_k = 1.
NASH_TOLERANCE = 1e-5
#: How far CAGrad's least gain may stay behind what is possible, as a share of |g0|: close to cancelling mixtures the
#: ridge shows.
CAGRAD_TOLERANCE = 1e-3


class CAGradRule(GramianRule):
    """d = g0 + c |g0| g_w / |g_w|."""

    def __init__(self, c: float, rescale: bool) -> None:
        self._c, self._rescale = c, rescale

    def initial_state(self, device: torch.device) -> State:
        return {"c": torch.tensor(self._c, device=device), **super().initial_state(device)}

    def solve(self, gram: Gram, losses: Tensor, state: State) -> tuple[Tensor, Tensor]:
        c, cosines, live = state["c"].to(gram.norms), gram.cosines, gram.live
        tasks = live.shape[-1]
        norms = torch.where(live, gram.norms, 0)
        on_sum = (cosines @ norms.unsqueeze(-1)).squeeze(-1)
        mean = (norms * on_sum).sum(-1).clamp(min=0).sqrt() / tasks
        b = on_sum / tasks / mean.clamp(min=1e-150).unsqueeze(-1)
        a = gram.lengths
        x = shortest_hull_and_mean(gram.firm, a, torch.where(live, b, 0), c, live)
        on_unit = (cosines @ x.unsqueeze(-1)).squeeze(-1)
        length = (x * on_unit).sum(-1).clamp(min=0).sqrt()
        # Where g_w cancels it has no direction: the bound of the objective is reached at 0, and d = g0.
        cancels = (length <= 5 * gram.tolerance * x.sum(-1)) | (mean <= 5 * gram.tolerance * norms.sum(-1) / tasks)
        gain = c.unsqueeze(-1) * on_unit / length.clamp(min=1e-150).unsqueeze(-1) + b
        value = (x * b).sum(-1) + c * length
        short = torch.where(live, a * value.unsqueeze(-1) - gain, 0).amax(-1)
        pull = torch.where(cancels, 0, c * mean / length.clamp(min=1e-150))
        weights = 1 / tasks + pull.unsqueeze(-1) * torch.where(cancels.unsqueeze(-1), 0, x / gram.norms)
        if self._rescale:
            weights = weights / (1 + c.square()).unsqueeze(-1)
        return weights, (short < CAGRAD_TOLERANCE) | cancels


class IMTLGRule(GramianRule):
    """w proportional to M^-1 n."""

    def solve(self, gram: Gram, losses: Tensor, state: State) -> tuple[Tensor, Tensor]:
        x = torch.linalg.solve_ex(gram.firm, gram.live.to(gram.norms).unsqueeze(-1)).result.squeeze(-1)
        weights = torch.where(gram.live, x / gram.norms, 0)
        total, size = weights.sum(-1, keepdim=True), weights.abs().sum(-1, keepdim=True)
        return weights / total, (total > 1e-6 * size).squeeze(-1)


class NashRule(GramianRule):
    """w > 0 with M w = 1 / w."""

    def __init__(self, max_norm: float) -> None:
        self._max_norm = max_norm

    def initial_state(self, device: torch.device) -> State:
        return {"max_norm": torch.tensor(self._max_norm, device=device), **super().initial_state(device)}

    def solve(self, gram: Gram, losses: Tensor, state: State) -> tuple[Tensor, Tensor]:
        x = bargain(gram.cosines, gram.live)
        product = x * (gram.cosines @ x.unsqueeze(-1)).squeeze(-1)
        miss = torch.where(gram.live, product - 1, 0).abs().amax(-1)
        limit = state["max_norm"].to(x)
        length = gram.live.sum(-1).to(x).sqrt()
        clip = torch.where(limit > 0, (limit / length.clamp(min=1)).clamp(max=1), 1)
        # x grows as gradients come to cancel; beyond this it would only make rounding errors as long as a step.
        sound = x.amax(-1) < 1 / gram.tolerance
        return x / gram.norms * (clip / gram.unit).unsqueeze(-1), (miss < NASH_TOLERANCE) & sound


class AlignedRule(GramianRule):
    """a = sqrt(lam_min) V lam^-1/2 V^T w."""

    def __init__(self, w: Sequence[float]) -> None:
        self._w = tuple(w)

    def initial_state(self, device: torch.device) -> State:
        return {"w": torch.tensor(self._w, dtype=torch.float32, device=device), **super().initial_state(device)}

    def solve(self, gram: Gram, losses: Tensor, state: State) -> tuple[Tensor, Tensor]:
        norms = torch.where(gram.live, gram.norms, 0)
        values, vectors = torch.linalg.eigh(gram.cosines * norms.unsqueeze(-1) * norms.unsqueeze(-2))
        kept = values > values.amax(-1, keepdim=True) * values.shape[-1] * gram.eps
        least = torch.where(kept, values, torch.inf).amin(-1, keepdim=True)
        scale = torch.where(kept, (least / torch.where(kept, values, 1)).sqrt(), 0)
        w = torch.where(gram.active, state["w"].to(norms), 0)
        along = (vectors.mT @ w.unsqueeze(-1)).squeeze(-1)
        weights = (vectors @ (scale * along).unsqueeze(-1)).squeeze(-1)
        return weights, weights.isfinite().all(-1)


class UPGradRule(GramianRule):
    """The sum of all gradients' projections onto the cone in which no task loses."""

    def __init__(self, pref: Sequence[float]) -> None:
        self._pref = tuple(pref)

    def initial_state(self, device: torch.device) -> State:
        return {"pref": torch.tensor(self._pref, dtype=torch.float32, device=device), **super().initial_state(device)}

    def solve(self, gram: Gram, losses: Tensor, state: State) -> tuple[Tensor, Tensor]:
        v = onto_cone(gram.firm, gram.live)
        eye = torch.eye(v.shape[-1], dtype=v.dtype, device=v.device)
        # Row by row: one of v - e and the product with each gradient is 0, and neither is negative.
        miss = torch.where(gram.live.unsqueeze(-2), torch.minimum(v - eye, v @ gram.cosines), 0).abs().amax(-1).amax(-1)
        pref = torch.where(gram.active, state["pref"].to(gram.norms), 0)
        weights = ((pref * gram.norms).unsqueeze(-1) * v).sum(-2) / gram.norms
        return weights, miss < gram.tolerance
