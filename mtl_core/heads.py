"""Heads: tower logits z_KB in, one logit per task out. Never probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtl_core.options import Options
from mtl_core.registry import register

if TYPE_CHECKING:
    from mtl_core.nn.heads import Head


class HeadOptions(Options):
    """Options of a head."""

    def build(self, task_names: Sequence[str]) -> Head:
        """The torch module."""
        raise NotImplementedError


@register("head", "independent")
class Independent(HeadOptions):
    """Each task's tower output is its logit; tasks meet only in the trunk."""

    def build(self, task_names: Sequence[str]) -> Head:
        from mtl_core.nn.heads import IndependentHead

        return IndependentHead(task_names)
