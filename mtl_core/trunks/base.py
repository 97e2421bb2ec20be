"""What every trunk declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.options import Options
from mtl_core.trunks.wiring import Wiring

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.mixture import MixtureTrunk


class TrunkOptions(Options):
    """Options of a sharing architecture: streams x_SBD in, one representation per task r_KBE out."""

    #: Nothing may be shared, not even embeddings: the encoder then gives each task its own.
    separate_embeddings: ClassVar[bool] = False

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        """The wiring for these tasks when the encoder gives `streams` streams.

        Raises:
            ValueError: the trunk cannot read that many streams.
        """
        raise NotImplementedError

    def build(self, task_names: Sequence[str], streams: int, width: int, generator: torch.Generator) -> MixtureTrunk:
        """The torch module that reads streams of `width` columns."""
        from mtl_core.nn.mixture import MixtureTrunk

        return MixtureTrunk(self.wire(task_names, streams), width, generator)
