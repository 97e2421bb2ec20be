"""What every trunk declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.options import Options
from mtl_core.trunks.wiring import Wiring

if TYPE_CHECKING:
    import torch

    from mtl_core.encoders.base import EmbeddingSharing
    from mtl_core.nn.trunk import Trunk


class TrunkOptions(Options):
    """Options of a sharing architecture: streams x_SBD in, one representation per task r_KBH out."""

    card: ClassVar[Card]
    #: The embeddings that this trunk insists on, whatever the encoder's option says; None: it takes what it can wire.
    embeddings: ClassVar[EmbeddingSharing | None] = None

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        """The wiring for these tasks when the encoder gives `streams` streams.

        Raises:
            ValueError: the trunk cannot read that many streams.
        """
        raise NotImplementedError

    def parameters(self, task_names: Sequence[str], streams: int, width: int) -> int:
        """Trainable parameters when the encoder's streams are `width` wide."""
        return self.wire(task_names, streams).parameters(width)

    def build(self, task_names: Sequence[str], streams: int, width: int, generator: torch.Generator) -> Trunk:
        """The torch module that reads streams of `width` columns."""
        from mtl_core.nn.mixture import MixtureTrunk

        return MixtureTrunk(self.wire(task_names, streams), width, generator)
