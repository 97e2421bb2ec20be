"""What every encoder module is."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


class Inputs(NamedTuple):
    """What a model reads of B rows. Numbers are scaled; a missing one is filled in, and marked in `missing`."""

    numeric: Tensor  # [B, F]
    ids: Tensor  # [B, C], 0 is a field's unknown value
    sequences: Tensor  # [B, Q, T], negative: no value
    missing: Tensor  # [B, F], true where the number was not known


class Encoder(nn.Module):
    """Inputs in, streams x_SBD out."""

    streams: int
    #: Columns of each stream.
    width: int

    @abstractmethod
    def forward(self, inputs: Inputs) -> Tensor:
        """x_SBD."""
