"""What the rules that solve for weights in the Gramian of the task gradients have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from mtl_core.balancing.rules.base import Balancer, State, only, which


class Gram(NamedTuple):
    """A Gramian in terms of unit gradients, in double precision on whichever device can do that."""

    #: [..., K, K] of u_i.u_j; rows and columns of tasks that are not live are those of the identity.
    cosines: Tensor
    #: [..., K], in units of the largest gradient; 1 for tasks that are not live.
    norms: Tensor
    #: [...]: the length of the largest gradient.
    unit: Tensor
    #: [..., K]: has rows in the batch.
    active: Tensor
    #: [..., K]: active, with a gradient that is not 0.
    live: Tensor
    #: Machine epsilon of the given Gramian.
    eps: float

    @property
    def ridge(self) -> float:
        """What is added to the diagonal of the cosines: rounding errors of the given Gramian stay below it."""
        return 1e-12 if self.eps < 1e-12 else 1e-6

    @property
    def tolerance(self) -> float:
        """How far a solution may miss its optimality conditions, in terms of unit gradients: 1e-6, single 1e-3."""
        return 1e-6 if self.eps < 1e-12 else 1e-3

    @property
    def firm(self) -> Tensor:
        """The cosines with their ridge: positive definite."""
        eye = torch.eye(self.cosines.shape[-1], dtype=self.cosines.dtype, device=self.cosines.device)
        return self.cosines + self.ridge * eye

    @property
    def lengths(self) -> Tensor:
        """1 / norms [..., K] up to scale, largest 1 among the live tasks."""
        return scaled(1 / self.norms, self.live)


def scaled(a: Tensor, live: Tensor) -> Tensor:
    """a [..., K] divided by its largest entry among the live tasks; 1 for the others."""
    top = torch.where(live, a, 0).amax(-1, keepdim=True)
    return torch.where(live, a / torch.where(top > 0, top, 1), 1)


def in_units(gramian: Tensor, active: Tensor) -> Gram:
    """The Gramian [..., K, K] split into lengths and angles."""
    # Apple's GPUs know no double precision: K numbers are soon carried over.
    device = torch.device("cpu") if gramian.device.type == "mps" else gramian.device
    exact, there = gramian.to(device, torch.float64), active.to(device)
    squares = exact.diagonal(dim1=-2, dim2=-1)
    live = there & (squares > 0)
    norms = torch.where(live, squares, 1).sqrt()
    cosines = (exact / norms.unsqueeze(-1) / norms.unsqueeze(-2)).clamp(-1, 1)
    eye = torch.eye(exact.shape[-1], dtype=exact.dtype, device=device)
    both = live.unsqueeze(-1) & live.unsqueeze(-2)
    cosines = torch.where(both & (eye == 0), cosines, eye)
    top = torch.where(live, norms, 0).amax(-1, keepdim=True)
    top = torch.where(top > 0, top, 1)
    norms = torch.where(live, norms / top, 1)
    return Gram(cosines, norms, top.squeeze(-1), there, live, torch.finfo(gramian.dtype).eps)


class GramianRule(Balancer):
    """Weights from the Gramian alone, or from it and the losses.

    Where `solve` finds no solution, the active tasks share a weight of 1 equally, and state["unsolved"] counts one
    more. Where all gradients are 0 they do the same, uncounted: there was nothing to solve.
    """

    needs_gramian: ClassVar[bool] = True

    @abstractmethod
    def solve(self, gram: Gram, losses: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Weights [..., K] and whether they satisfy the rule's conditions [...], both as in `gram`."""

    def initial_state(self, device: torch.device) -> State:
        return {"unsolved": torch.zeros((), dtype=torch.int64, device=device)}

    def weights(
        self,
        losses: Tensor,
        gramian: Tensor | None,
        state: State,
        *,
        active: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        assert gramian is not None
        finite = gramian.isfinite().all(-1).all(-1)
        there = which(active, losses)
        gram = in_units(torch.where(finite[..., None, None], gramian, 0), there)
        dials = {name: tensor.to(gram.norms.device) for name, tensor in state.items()}
        weights, solved = self.solve(gram, losses.to(gram.norms), dials)
        flat = (~gram.live.any(-1)).to(losses.device)
        weights, solved = weights.to(losses), solved.to(losses.device)
        # In the losses' precision too: what overflows there is no solution.
        solved = solved & weights.isfinite().all(-1)
        equal = there.to(losses) / there.sum(-1, keepdim=True).clamp(min=1)
        weights = torch.where((solved & ~flat).unsqueeze(-1), weights, equal)
        missed = torch.where(flat, ~finite, ~solved)
        return only(there, weights), {**state, "unsolved": state["unsolved"] + missed}
