"""Many small networks of the same shape, run as one batched matrix product."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl_core.nn.initial import uniform


class MLPBank(nn.Module):
    """N networks side by side, each with its own weights, ReLU after every layer (`last_linear`: but the last).

    Input [N, B, D], or [1, B, D] when all of them read the same rows; output [N, B, H].
    """

    def __init__(
        self, count: int, width: int, layers: Sequence[int], generator: torch.Generator, *, last_linear: bool = False
    ) -> None:
        super().__init__()
        sizes = (width, *layers)
        pairs = list(itertools.pairwise(sizes))
        last = len(pairs) - 1
        self.weights = nn.ParameterList(
            uniform((count, i, o), i, generator, relu=not (last_linear and place == last))
            for place, (i, o) in enumerate(pairs)
        )
        self.biases = nn.ParameterList(uniform((count, 1, o), i, generator) for i, o in pairs)
        self.last_linear = last_linear

    def forward(self, x_NBD: Tensor) -> Tensor:
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if x_NBD.shape[0] == 1 and weight.shape[0] > 1:
                # One wide product instead of N narrow ones that would each read the same rows.
                count, d_in, d_out = weight.shape
                wide = x_NBD[0] @ weight.transpose(0, 1).reshape(d_in, count * d_out)
                x_NBD = wide.unflatten(1, (count, d_out)).transpose(0, 1) + bias
            else:
                x_NBD = torch.baddbmm(bias, x_NBD, weight)
            if not (self.last_linear and i == last):
                x_NBD = torch.relu_(x_NBD)  # in place: nothing else reads what was just made
        return x_NBD
