"""What every head declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.heads.meeting import Meeting, own_towers
from mtl_core.options import Options
from mtl_core.schema import Schema, Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head


class HeadOptions(Options):
    """Options of a head: tower outputs in, one logit per task and one loss per task out. Never probabilities."""

    card: ClassVar[Card]

    @property
    def vectors(self) -> bool:
        """Do the towers end in their last hidden layer, so that the head goes on from that vector?

        Otherwise each gives a number.
        """
        return False

    def check(self, schema: Schema) -> None:
        """Raise ValueError, in one sentence, if the head does not fit these tasks and features."""

    def towers(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        """Per tower, the task whose representation it reads: one tower per task, in task order, unless overridden.

        A head's extra towers come after those.
        """
        return tuple(range(len(tasks)))

    def predictors(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        """The towers whose number is the logit of their task, to which a term may be added; not those of errors."""
        return tuple(range(len(self.towers(tasks))))

    def meeting(self, tasks: Sequence[Task]) -> Meeting:
        """What is computed from several towers, for pictures: nothing, unless overridden."""
        return Meeting(own_towers(len(tasks)))

    def hides_positions(self) -> bool:
        """Does the head read the position columns itself, so that the encoder must not see them?"""
        return False

    def parameters(self, tasks: Sequence[Task], columns: Columns, width: int) -> int:
        """Trainable parameters of the head alone; `width` is that of the vectors that the towers end in."""
        return 0

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        """The torch module."""
        raise NotImplementedError
