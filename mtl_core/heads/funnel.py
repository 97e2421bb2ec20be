"""What heads that know the funnel declare in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mtl_core.funnel import Funnel
from mtl_core.heads.base import HeadOptions
from mtl_core.heads.meeting import Joint, Meeting, Role, Tower, agreements, own_towers, products
from mtl_core.options import option
from mtl_core.schema import Schema, Task


class FunnelOptions(HeadOptions):
    """Options of a head that joins a task to the one it comes `after`."""

    def check(self, schema: Schema) -> None:
        need_steps(schema)


class BoundOptions(FunnelOptions):
    """Options of a head whose conditional probabilities have towers of their own, so that their product can be tied to
    a tower that predicts the order directly (Meituan, "guess you like", 2018).
    """

    kl_bound: float = option(
        0.0,
        "Weight of the symmetric KL between p(click) p(order | click) and an extra tower's p(order); 0: no such tower",
        ge=0,
        le=10,
        advanced=True,
    )

    #: What the towers beside the tasks' predict.
    extra_role: ClassVar[Role] = "own"
    #: Is a step learned through its product with those before it?
    multiplies: ClassVar[bool] = True

    def extra(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        """Per tower of the head's own beside the tasks', the task whose representation it reads."""
        return ()

    def towers(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        bound = Funnel.of(tasks).steps if self.kl_bound else ()
        return (*range(len(tasks)), *self.extra(tasks), *bound)

    def meeting(self, tasks: Sequence[Task]) -> Meeting:
        funnel = Funnel.of(tasks)
        towers = [*own_towers(len(tasks)), *(Tower(task, self.extra_role) for task in self.extra(tasks))]
        towers += [Tower(step, "direct") for step in funnel.steps] if self.kl_bound else []
        joints, given = self.branches(tasks, len(towers))
        if self.multiplies or self.kl_bound:
            joints = (*joints, *products(funnel, given, len(towers) + len(joints)))
        if self.kl_bound:
            joints = (*joints, *agreements(funnel.steps, joints, towers))
        return Meeting(tuple(towers), joints=joints)

    def branches(self, tasks: Sequence[Task], first: int) -> tuple[tuple[Joint, ...], dict[int, int]]:
        """What is computed before any product, from place `first` on; and per task the place of its number."""
        return (), {task: task for task in range(len(tasks))}


def need_steps(schema: Schema) -> None:
    """Raise ValueError unless some binary task comes after another binary one."""
    if not Funnel.of(schema.tasks).steps:
        raise ValueError(
            f"this head joins a task to the one it comes after, as a purchase to the click, and none of "
            f"{', '.join(schema.task_names)} is a binary task after another binary one."
        )
