"""Independent heads, and the training rows that the ESMM paper's baselines give a conversion."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl_core.losses import Step, log_loss, task_loss, weighted_mean
from mtl_core.nn.heads.base import Output
from mtl_core.nn.heads.funnel import FunnelHead
from mtl_core.schema import Task


class IndependentHead(FunnelHead):
    """Each tower's output is its task's logit; each task's loss is a weighted mean over rows of its own."""

    def __init__(
        self,
        tasks: Sequence[Task],
        kl_bound: float = 0.0,
        conversion_rows: str = "clicked",
        unclicked_rate: float = 0.1,
        copies: int = 2,
        noise: int = 0,
    ) -> None:
        super().__init__(tasks, kl_bound)
        self.conversion_rows = conversion_rows
        self.unclicked_rate = unclicked_rate
        self.copies = copies
        self.noise = noise

    def step_loss(self, k: int, step: Step, out: Output, noise_BN: Tensor | None) -> Tensor:
        logit = out.logits[self.task_names[k]]
        if self.conversion_rows == "clicked":
            return task_loss(logit, step.own, step.inside, self.tasks[k])
        weight = self._weights(k, step, out, noise_BN)
        # A row of weight 0 may have any logit at all.
        return weighted_mean(log_loss(torch.where(weight > 0, logit, 0.0), step.own), weight)

    def _weights(self, k: int, step: Step, out: Output, noise_BN: Tensor | None) -> Tensor:
        """How often each row counts [B]; without noise the expected number."""
        inside = step.inside.to(step.own.dtype)
        if self.conversion_rows == "oversampling":
            return inside * torch.where(step.own > 0.5, float(self.copies), 1.0)
        if self.conversion_rows == "aman":
            drawn = _happens(torch.full_like(inside, self.unclicked_rate), noise_BN)
            return torch.where(step.inside, inside, drawn * step.space)
        return inside * (1.0 - _happens(self.propensity(k, out), noise_BN))

    def rows(self, mask_BK: Tensor) -> Tensor:
        """Rows [K]; of unclicked rows that are drawn their expected number, of clicked ones all that may be drawn."""
        inside = mask_BK.sum(0)
        if self.conversion_rows != "aman":
            return inside
        steps = set(self.funnel.steps)
        space = torch.stack([mask_BK[:, self.funnel.root(k)] for k in range(len(self.tasks))], 1)
        unclicked = (space & ~mask_BK).sum(0)
        chosen = torch.tensor([float(k in steps) for k in range(len(self.tasks))], device=mask_BK.device)
        return inside + self.unclicked_rate * chosen * unclicked


def _happens(probability_B: Tensor, noise_BN: Tensor | None) -> Tensor:
    """1 where a draw succeeds, else 0; the probability itself where nothing is drawn. [B]"""
    return probability_B if noise_BN is None else (noise_BN[:, 0] < probability_B).to(probability_B.dtype)
