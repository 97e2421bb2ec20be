"""Initialisation from an explicit generator, so that building a model leaves the global random state alone."""

from __future__ import annotations

import math

import torch
from torch import nn


def uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> nn.Parameter:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)), the default of torch's linear layers; each slice draws its own values."""
    bound = 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))
