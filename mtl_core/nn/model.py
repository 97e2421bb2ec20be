"""Encoder, trunk, towers and head put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from mtl_core.encoders import EncoderOptions, SequenceTable
from mtl_core.heads import HeadOptions
from mtl_core.nn.heads import Output
from mtl_core.nn.mlp import MLPBank
from mtl_core.trunks import TrunkOptions

if TYPE_CHECKING:
    from mtl_core.spec import ModelSpec


class Model(nn.Module):
    """One multi-task model.

    Input: numeric columns [B, F], ids [B, C] (0 is a field's unknown value) and, where the data have sequences, ids
    [B, Q, T] (negative: no value). Output: see `Output`.
    """

    def __init__(
        self,
        spec: ModelSpec,
        task_names: Sequence[str],
        numeric: int,
        vocabulary: Sequence[int],
        generator: torch.Generator,
        sequences: Sequence[SequenceTable] = (),
    ) -> None:
        super().__init__()
        self.task_names = tuple(task_names)
        encoder = cast(EncoderOptions, spec.encoder.part)
        trunk = cast(TrunkOptions, spec.trunk.part)
        streams = encoder.streams(len(task_names), trunk.separate_embeddings)
        self.encoder = encoder.build(numeric, vocabulary, streams, generator, sequences)
        self.trunk = trunk.build(task_names, streams, self.encoder.width, generator)
        self.towers = MLPBank(len(task_names), self.trunk.width, (*spec.towers, 1), generator, last_linear=True)
        self.head = cast(HeadOptions, spec.head.part).build(task_names)

    def forward(self, numeric_BF: Tensor, ids_BC: Tensor, sequences_BQT: Tensor | None = None) -> Output:
        x_SBD = self.encoder(numeric_BF, ids_BC, sequences_BQT)
        r_KBH, gates = self.trunk(x_SBD)
        z_KB = self.towers(r_KBH)[:, :, 0]
        representations = {name: r_KBH[k] for k, name in enumerate(self.task_names)}
        return Output(self.head(z_KB), gates, representations)

    def parameter_count(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
