"""What is looked at inside a model: gate weights on a fixed set of validation rows."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl_core.events import GateSummary

#: Rows of the validation set that the gates are read on; the first ones, so every epoch and every model sees the same.
PROBE_ROWS = 2048
#: Bins of the gate-weight histograms.
BINS = 40
#: How far a row's sum may be from 1, and a weight beyond 0..1, by rounding alone.
ROUNDING = 1e-4


def summarise_gate(gate_BE: Tensor) -> GateSummary:
    """Mean, spread and histogram of one gate's weights.

    Args:
        gate_BE: weights of B rows over E experts. Where rows are distributions the summary has their mean entropy;
            where weights lie beyond 0..1 the histogram reaches as far as they do.
    """
    weights = gate_BE.double().cpu()
    least, most = weights.min().item(), weights.max().item()
    low, high = (least if least < -ROUNDING else 0.0), (most if most > 1 + ROUNDING else 1.0)
    bins = ((weights - low) / (high - low) * BINS).long().clamp(0, BINS - 1)
    counts = torch.zeros(weights.shape[1], BINS, dtype=torch.long)
    counts.scatter_add_(1, bins.T, torch.ones_like(bins.T))
    entropy = None
    if low == 0.0 and bool(((weights.sum(1) - 1).abs() < ROUNDING).all()):
        entropy = round(-torch.special.xlogy(weights, weights.clamp(min=0)).sum(1).mean().item(), 6)
    return GateSummary(
        mean=[round(v, 6) for v in weights.mean(0).tolist()],
        histogram=counts.tolist(),
        entropy=entropy,
        low=low,
        high=high,
    )
