"""Encoder, trunk, towers and head put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from mtl_core.columns import Columns
from mtl_core.encoders import EncoderOptions
from mtl_core.heads import HeadOptions
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.heads import Output
from mtl_core.nn.mlp import MLPBank
from mtl_core.nn.trunk import Representations
from mtl_core.schema import Task
from mtl_core.trunks import TrunkOptions

if TYPE_CHECKING:
    from mtl_core.spec import ModelSpec


class Model(nn.Module):
    """One multi-task model: what it reads is `Inputs`, what it returns is `Output`, and it owns its losses."""

    def __init__(self, spec: ModelSpec, tasks: Sequence[Task], columns: Columns, generator: torch.Generator) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.task_names = tuple(task.name for task in tasks)
        encoder = cast(EncoderOptions, spec.encoder.part)
        trunk = cast(TrunkOptions, spec.trunk.part)
        head = cast(HeadOptions, spec.head.part)
        kept = columns.without("position") if head.hides_positions() else None
        self._kept = None if kept is None else kept[1:]
        streams = encoder.streams(len(tasks), trunk.embeddings)
        self.encoder = encoder.build(columns if kept is None else kept[0], streams, generator)
        self.trunk = trunk.build(self.task_names, streams, self.encoder.width, generator)
        reads = head.towers(tasks)
        self.towers = Towers([self.trunk.widths[k] for k in reads], reads, spec.towers, head.vectors, generator)
        self.head = head.build(tasks, columns, self.towers.width, generator)
        #: Uniform random numbers per row that `forward` and `losses` want while training: the trunk's, then the head's.
        self.noise = self.trunk.noise + self.head.noise

    def forward(self, inputs: Inputs, noise_BN: Tensor | None = None) -> Output:
        """Logits, gates, representations. Without noise the model is a function of its inputs, as when it serves."""
        seen = inputs
        if self._kept is not None:
            numeric, fields = (list(places) for places in self._kept)
            seen = inputs._replace(
                numeric=inputs.numeric[:, numeric], ids=inputs.ids[:, fields], missing=inputs.missing[:, numeric]
            )
        for_trunk, for_head = self._split(noise_BN)
        r_KBH, gates = self.trunk(self.encoder(seen), for_trunk)
        logits, parts = self.head(self.towers(r_KBH), inputs, for_head)
        return Output(logits, gates, {name: r_KBH[k] for k, name in enumerate(self.task_names)}, parts)

    def losses(self, out: Output, labels_BK: Tensor, mask_BK: Tensor, noise_BN: Tensor | None = None) -> Tensor:
        """Losses [K] of this output; `noise_BN` is the one that made it."""
        losses: Tensor = self.head.losses(out, labels_BK, mask_BK, self._split(noise_BN)[1])
        return losses

    def _split(self, noise_BN: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if noise_BN is None:
            return None, None
        return noise_BN[:, : self.trunk.noise], noise_BN[:, self.trunk.noise :]

    def parameter_count(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


@contextmanager
def serving(model: Model) -> Iterator[None]:
    """Evaluation mode for a while; the mode is put back afterwards."""
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)


class Towers(nn.Module):
    """One network per tower; those of equal widths run as one batched product.

    Args:
        widths: per tower, the width of the representation that it reads.
        reads: per tower, the task whose representation that is.
        layers: hidden layer widths.
        vectors: end in the last hidden layer instead of one number.
    """

    def __init__(
        self,
        widths: Sequence[int],
        reads: Sequence[int],
        layers: Sequence[int],
        vectors: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.reads = list(reads)
        self.in_order = self.reads == list(range(len(self.reads)))
        self.together = len(set(widths)) == 1
        self.vectors = vectors
        sizes = tuple(layers) if vectors else (*layers, 1)
        counts = [(len(widths), widths[0])] if self.together else [(1, width) for width in widths]
        self.banks = nn.ModuleList(
            MLPBank(count, width, sizes, generator, last_linear=not vectors) for count, width in counts if sizes
        )
        #: Columns of what comes out.
        self.width = sizes[-1] if sizes else widths[0]

    def forward(self, r_KBH: Representations) -> Tensor:
        """[J, B], or [J, B, H] for vectors."""
        if isinstance(r_KBH, Tensor) and self.together:
            r_JBH = r_KBH if self.in_order and len(r_KBH) == len(self.reads) else r_KBH[self.reads]
            out = self.banks[0](r_JBH) if len(self.banks) else r_JBH
        else:
            read = [r_KBH[k][None] for k in self.reads]
            if self.together:
                stacked = torch.cat(read)
                out = self.banks[0](stacked) if len(self.banks) else stacked
            else:
                out = torch.cat([bank(r) for bank, r in zip(self.banks, read, strict=True)])
        return cast(Tensor, out if self.vectors else out.squeeze(-1))
