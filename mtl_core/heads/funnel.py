"""What heads that know the funnel declare in common."""

from __future__ import annotations

from collections.abc import Sequence

from mtl_core.funnel import Funnel
from mtl_core.heads.base import HeadOptions
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

    def extra(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        """Per tower of the head's own beside the tasks', the task whose representation it reads."""
        return ()

    def towers(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        bound = Funnel.of(tasks).steps if self.kl_bound else ()
        return (*range(len(tasks)), *self.extra(tasks), *bound)


def need_steps(schema: Schema) -> None:
    """Raise ValueError unless some binary task comes after another binary one."""
    if not Funnel.of(schema.tasks).steps:
        raise ValueError(
            f"this head joins a task to the one it comes after, as a purchase to the click, and none of "
            f"{', '.join(schema.task_names)} is a binary task after another binary one."
        )
