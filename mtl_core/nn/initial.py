"""Initialisation from an explicit generator, so that building a model leaves the global random state alone."""

from __future__ import annotations

import math

import torch
from torch import nn


def uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator, *, relu: bool = False) -> nn.Parameter:
    """Uniform start weights; each slice of a bank draws its own values.

    Before a ReLU: He et al. 2015, U(-b, b) with b = sqrt(6 / fan_in), which keeps the size of activations from layer to
    layer; torch's default shrinks them, and the gates of a deep PLE would start (and stay) constant. Otherwise
    b = 1 / sqrt(fan_in).
    """
    bound = math.sqrt(6 / fan_in) if relu else 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))
