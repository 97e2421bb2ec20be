"""How alike experts are, and which are dead."""

from __future__ import annotations

import torch
from torch import Tensor

#: A column varies by rounding alone if it varies less than this, relative to its size.
ROUNDING = 1e-9


def linear_cka(x_BH: Tensor, y_BJ: Tensor) -> float | None:
    """Linear centred kernel alignment |Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F) of two outputs on the same rows, 0..1.

    1 for a copy that is rotated, scaled and shifted. Kornblith et al., ICML 2019.

    Args:
        x_BH: [n, H].
        y_BJ: [n, J].

    Returns:
        None where an output is the same for all rows (a dead expert: 0 / 0), or where there are no more rows than
        columns, which makes anything look alike.
    """
    if len(x_BH) <= max(x_BH.shape[1], y_BJ.shape[1]):
        return None
    x, y = (_centred(part) for part in (x_BH, y_BJ))
    own = torch.linalg.matrix_norm(x.T @ x) * torch.linalg.matrix_norm(y.T @ y)
    if not float(own) > 0:
        return None
    return min(1.0, float((y.T @ x).square().sum() / own))


def zero_share(h_BH: Tensor) -> float:
    """Share of activations that are exactly 0: above 0.9 an expert with a ReLU is next to dead."""
    return float((h_BH == 0).double().mean())


def _centred(h_BH: Tensor) -> Tensor:
    h = h_BH.double()
    centred = h - h.mean(0)
    # A column of equal numbers may differ from its mean by rounding; that is no direction.
    still = centred.abs().amax(0) <= ROUNDING * h.abs().amax(0)
    return centred.masked_fill(still, 0.0)
