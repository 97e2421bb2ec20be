"""Gradients task by task, and which parameters the tasks share.

Shared parameters are derived, never listed: a unit (one network of a bank, one gate's row, one stream's table) is
shared when the losses of at least two tasks reach it. So ESMM's click tower is shared, PLE's private experts are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mtl_core.nn.model import Model


def units(model: Model) -> dict[str, int]:
    """How many units lie along each parameter's first dimension.

    An encoder lays its streams there, each with its tables; elsewhere every slice is a unit of its own.
    """
    counts = {}
    for name, parameter in model.named_parameters():
        length, streams = len(parameter) if parameter.ndim else 1, model.encoder.streams
        counts[name] = streams if name.startswith("encoder.") and length % streams == 0 else length
    return counts


def shared_units(model: Model, losses: Tensor) -> dict[str, Tensor]:
    """Per parameter [units] bool: do at least two tasks reach that unit?

    Args:
        model: one model.
        losses: its losses [K] on rows that are in every task's sample space.
    """
    parameters = dict(model.named_parameters())
    count = units(model)
    reached = {name: torch.zeros(count[name], dtype=torch.long, device=p.device) for name, p in parameters.items()}
    for loss in losses:
        found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
        for name, gradient in zip(parameters, found, strict=True):
            if gradient is not None:
                reached[name] += gradient.reshape(count[name], -1).ne(0).any(1)
    return {name: tasks >= 2 for name, tasks in reached.items()}


class Sharing:
    """Which units of stacked parameters are shared, ready for sums over them.

    Args:
        shared: per parameter [units] bool, in the order of the parameters.
    """

    def __init__(self, shared: Mapping[str, Tensor]) -> None:
        self._masks = list(shared.values())
        self._counts = [len(mask) for mask in self._masks]
        self._any = [bool(mask.any()) for mask in self._masks]
        self._all = [bool(mask.all()) for mask in self._masks]
        self.exists = any(self._any)
        #: Per parameter: has it any shared unit?
        self.touched = self._any

    def gramian(self, gradients: Sequence[Tensor]) -> Tensor:
        """[M, K, K] from per-parameter gradients [K, M, ...], over shared units alone."""
        tasks, members = gradients[0].shape[:2]
        total = gradients[0].new_zeros(members, tasks, tasks)
        for gradient_KM, mask, count, some, every in self._each(gradients):
            if some:
                flat = gradient_KM.reshape(tasks, members, count, -1)
                flat = (flat if every else flat * mask[:, None]).flatten(2).transpose(0, 1)
                total = total + flat @ flat.transpose(1, 2)
        return total

    def merge(self, gradients: Sequence[Tensor], shared_MK: Tensor, own_MK: Tensor) -> list[Tensor]:
        """One gradient [M, ...] per parameter: tasks weighted one way on shared units, another way on their own."""
        merged = []
        for gradient_KM, mask, count, some, every in self._each(gradients):
            weighted = torch.einsum("mk,km...->m...", shared_MK if some else own_MK, gradient_KM)
            if some and not every:
                own = torch.einsum("mk,km...->m...", own_MK, gradient_KM)
                picked = mask[:, None]
                shape, rows = weighted.shape, (weighted.shape[0], count, -1)
                weighted = torch.where(picked, weighted.reshape(rows), own.reshape(rows)).reshape(shape)
            merged.append(weighted)
        return merged

    def flatten(self, gradients: Sequence[Tensor]) -> Tensor:
        """[M, K, P]: all shared elements side by side, zeros in place of own ones."""
        parts = []
        for gradient_KM, mask, count, some, _ in self._each(gradients):
            if some:
                tasks, members = gradient_KM.shape[:2]
                parts.append(
                    (gradient_KM.reshape(tasks, members, count, -1) * mask[:, None]).flatten(2).transpose(0, 1)
                )
        return torch.cat(parts, dim=2)

    def replace(self, merged: list[Tensor], direction_MP: Tensor) -> list[Tensor]:
        """The merged gradients with their shared elements taken from a direction in the order of `flatten`."""
        out, start = [], 0
        for gradient_M, mask, count, some, _ in self._each(merged):
            if not some:
                out.append(gradient_M)
                continue
            size, rows = gradient_M[0].numel(), (len(gradient_M), count, -1)
            shared = direction_MP[:, start : start + size].reshape(rows)
            out.append(torch.where(mask[:, None], shared, gradient_M.reshape(rows)).reshape(gradient_M.shape))
            start += size
        return out

    def _each(self, gradients: Sequence[Tensor]) -> zip[tuple[Tensor, Tensor, int, bool, bool]]:
        return zip(gradients, self._masks, self._counts, self._any, self._all, strict=True)


def per_task(losses_MK: Tensor, leaves: Sequence[Tensor], stack: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Gradients [K, M, ...] of each task's loss, per leaf; zeros where a task does not reach. The graph is kept.

    Args:
        losses_MK: losses of M members.
        leaves: the tensors to differentiate by.
        stack: gives a leaf's gradient its member dimension.
    """
    found = [
        torch.autograd.grad(losses_MK[:, k].sum(), leaves, retain_graph=True, allow_unused=True)
        for k in range(losses_MK.shape[1])
    ]
    return [
        torch.stack([stack(torch.zeros_like(leaf) if g is None else g) for g in gradients])
        for leaf, gradients in zip(leaves, zip(*found, strict=True), strict=True)
    ]


class ConflictSums(NamedTuple):
    """Sums over steps of what the Gramian says; steps in which a task had no gradient do not count for it."""

    cosine: Tensor  # [M, K, K]
    negative: Tensor  # [M, K, K]
    pairs: Tensor  # [M, K, K], steps counted
    norm: Tensor  # [M, K]
    share: Tensor  # [M, K], of the step's length that each task contributes

    @classmethod
    def zeros(cls, members: int, tasks: int, device: torch.device) -> ConflictSums:
        """Nothing counted yet."""
        square, line = (members, tasks, tasks), (members, tasks)
        return cls(*(torch.zeros(shape, device=device) for shape in (square, square, square, line, line)))

    def add(self, gramian_MKK: Tensor, weights_MK: Tensor) -> ConflictSums:
        """With one more step."""
        norm = gramian_MKK.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
        product = norm[:, :, None] * norm[:, None, :]
        there = product > 0
        cosine = torch.where(there, gramian_MKK / torch.where(there, product, 1.0), 0.0)
        part = weights_MK.abs() * norm
        share = part / part.sum(1, keepdim=True).clamp(min=torch.finfo(part.dtype).tiny)
        return ConflictSums(
            self.cosine + cosine, self.negative + (cosine < 0), self.pairs + there, self.norm + norm, self.share + share
        )
