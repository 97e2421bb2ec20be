"""What every head declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.options import Options
from mtl_core.schema import Schema, Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head


class HeadOptions(Options):
    """Options of a head: tower outputs in, one logit per task and one loss per task out. Never probabilities."""

    card: ClassVar[Card]
    #: The towers end in their last hidden layer, and the head goes on from that vector; otherwise each gives a number.
    vectors: ClassVar[bool] = False

    def check(self, schema: Schema) -> None:
        """Raise ValueError, in one sentence, if the head does not fit these tasks and features."""

    def towers(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        """Per tower, the task whose representation it reads: one tower per task, in task order, unless overridden."""
        return tuple(range(len(tasks)))

    def hides_positions(self) -> bool:
        """Does the head read the position columns itself, so that the encoder must not see them?"""
        return False

    def parameters(self, tasks: Sequence[Task], columns: Columns, width: int) -> int:
        """Trainable parameters of the head alone; `width` is that of the vectors that the towers end in."""
        return 0

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        """The torch module."""
        raise NotImplementedError
