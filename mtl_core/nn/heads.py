"""Heads as modules, and what a model returns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn


class Output(NamedTuple):
    """What a model returns: logits, never probabilities."""

    #: task -> [B]; a regression task's "logit" is its prediction.
    logits: dict[str, Tensor]
    #: gate -> [B, experts of its level]
    gates: dict[str, Tensor]
    #: task -> [B, H]
    representations: dict[str, Tensor]


class Head(nn.Module):
    """Tower logits z_KB in, one logit [B] per task out."""

    def __init__(self, task_names: Sequence[str]) -> None:
        super().__init__()
        self.task_names = tuple(task_names)

    @abstractmethod
    def forward(self, z_KB: Tensor) -> dict[str, Tensor]:
        """Logits by task, in task order."""


class IndependentHead(Head):
    """Each tower's output is its task's logit."""

    def forward(self, z_KB: Tensor) -> dict[str, Tensor]:
        return {name: z_KB[k] for k, name in enumerate(self.task_names)}
