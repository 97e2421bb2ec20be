"""Networks per task whose weights are pulled together."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor

from mtl_core.nn.experts import GatedExperts
from mtl_core.nn.mixture import MixtureTrunk
from mtl_core.trunks.wiring import Wiring

#: Added to eigenvalues below a square root, whose slope at 0 has no bound.
EPSILON = 1e-6


class SoftSharingTrunk(MixtureTrunk):
    """A network per task, and a penalty on how the networks' weights differ."""

    def __init__(
        self,
        wiring: Wiring,
        width: int,
        generator: torch.Generator,
        tie: Literal["l2", "trace_norm"],
        strength: float,
    ) -> None:
        super().__init__(wiring, width, generator)
        self.measure = {"l2": squared_distances, "trace_norm": trace_norm}[tie]
        self.strength = strength

    def penalty(self) -> Tensor | None:
        """`strength` times what the weights of all layers measure; nothing for one task."""
        weights = list(cast(GatedExperts, self.levels[0]).experts.weights)
        if len(weights[0]) < 2:
            return None
        return self.strength * torch.stack([self.measure(weight.flatten(1)) for weight in weights]).sum()


def squared_distances(weight_KP: Tensor) -> Tensor:
    """sum_{i<j} ||w_i - w_j||^2, which is K sum_k ||w_k - mean||^2. Squared: smooth where all are equal."""
    apart_KP = weight_KP - weight_KP[:1]  # exactly 0 where all are equal, which a mean's rounding is not
    return len(weight_KP) * (apart_KP - apart_KP.mean(0)).square().sum()


def trace_norm(weight_KP: Tensor) -> Tensor:
    """Sum of the singular values, as roots of the Gram matrix's eigenvalues.

    An SVD's gradient is undefined where singular values repeat; that of the eigenvalues alone is not.
    """
    values: Tensor = torch.linalg.eigvalsh(weight_KP @ weight_KP.T)
    return (values.clamp(min=0.0) + EPSILON).sqrt().sum()
