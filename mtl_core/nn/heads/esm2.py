"""ESM2: a purchase with or without an action before it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mtl_core.losses import mixed_logit
from mtl_core.nn.heads.funnel import EntireSpaceHead
from mtl_core.schema import Task


class BranchingHead(EntireSpaceHead):
    """ESMM whose purchase is p(buy | click) = y2 y3 + (1 - y2) y4.

    Its task's tower gives y3, the chance after the action; the tower after all tasks' gives y4, the one without.

    Args:
        branch: places of the action and of the purchase, both after the same task.
    """

    def __init__(self, tasks: Sequence[Task], branch: tuple[int, int], kl_bound: float = 0.0) -> None:
        super().__init__(tasks, kl_bound)
        self.branch = branch

    def conditionals(self, z_JB: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        logits, parts = super().conditionals(z_JB)
        action, buy = self.branch
        with_action, without = logits[buy], z_JB[len(self.tasks)]
        logits[buy] = mixed_logit(logits[action], with_action, without)
        name, after = self.task_names[buy], self.task_names[action]
        return logits, {**parts, f"{name} after {after}": with_action, f"{name} without {after}": without}
