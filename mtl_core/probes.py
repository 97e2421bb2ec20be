"""What is looked at inside a model: gate weights on a fixed set of validation rows."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl_core.events import GateSummary

#: Rows of the validation set that the gates are read on; the first ones, so every epoch and every model sees the same.
PROBE_ROWS = 2048
#: Bins of the gate-weight histograms, equal widths over 0..1.
BINS = 40


def summarise_gate(gate_BE: Tensor) -> GateSummary:
    """Mean, spread and histogram of one gate's weights.

    Args:
        gate_BE: weights of B rows over E experts; rows sum to 1.
    """
    weights = gate_BE.double().cpu()
    bins = (weights * BINS).long().clamp(0, BINS - 1)
    counts = torch.zeros(weights.shape[1], BINS, dtype=torch.long)
    counts.scatter_add_(1, bins.T, torch.ones_like(bins.T))
    entropy = -torch.special.xlogy(weights, weights).sum(1)
    return GateSummary(
        mean=[round(v, 6) for v in weights.mean(0).tolist()],
        histogram=counts.tolist(),
        entropy=round(entropy.mean().item(), 6),
    )
