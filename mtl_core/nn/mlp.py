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

    def forward(self, x_NBD: Tensor, begun: bool = False) -> Tensor:
        """Outputs [N, B, H]; with `begun` the input is what the first layer has made."""
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if begun and i == 0:
                continue
            active = not (self.last_linear and i == last)
            if x_NBD.shape[0] == 1:
                wide_BC = torch.addmm(bias.flatten(), x_NBD.squeeze(0), side_by_side(weight))
                x_NBD = apart(wide_BC, len(weight))
                x_NBD = x_NBD.relu() if active else x_NBD
            else:
                x_NBD = torch.baddbmm(bias, x_NBD, weight)
                x_NBD = x_NBD.relu_() if active else x_NBD  # in place: nothing else reads what was just made
        return x_NBD


def side_by_side(weight_NDH: Tensor) -> Tensor:
    """Weights [D, N * H] of one wide product instead of N narrow ones that would each read the same rows."""
    return weight_NDH.transpose(0, 1).flatten(1)


def apart(wide_BC: Tensor, count: int) -> Tensor:
    """What a wide product made, network by network [N, B, H], without a copy."""
    return wide_BC.view(len(wide_BC), count, -1).transpose(0, 1)
