"""Independent heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.heads.base import HeadOptions
from mtl_core.registry import register
from mtl_core.schema import Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head


@register("head", "independent")
class Independent(HeadOptions):
    """Each task's tower output is its logit (or its number); tasks meet only in the trunk.

    A task's loss is taken over the rows of its own sample space: a conversion is learned from clicked rows.
    """

    card: ClassVar[Card] = Card(
        problem="Several labels of the same row, each predicted on the rows where it is known.",
        formula=r"L_k = \frac{1}{\sum_i \delta_k^i} \sum_i \delta_k^i\, \ell_k(z_k^i, y_k^i)",
    )

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        from mtl_core.nn.heads import IndependentHead

        return IndependentHead(tasks)
