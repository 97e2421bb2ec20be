"""Which tasks are steps of a funnel: a purchase comes after a click. Plain numbers, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mtl_core.schema import Task


@dataclass(frozen=True)
class Funnel:
    """Binary tasks joined by `after`: chains (click, cart, purchase), trees (cart and purchase both after the click),
    and several of them side by side.

    A step is a binary task that comes after another binary one. Regression tasks belong to no funnel, whatever they
    come after, and neither does a binary task without a binary neighbour.
    """

    #: Per task the place of the task that it comes after; None: it is no step.
    parents: tuple[int | None, ...]

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> Funnel:
        """The funnel of these tasks. A task comes after one before it in the order, so walks up always end."""
        binary = {task.name: place for place, task in enumerate(tasks) if task.kind == "binary"}
        return cls(tuple(binary.get(t.after) if t.after and t.kind == "binary" else None for t in tasks))

    @property
    def steps(self) -> tuple[int, ...]:
        """Places of the tasks that come after another one, in task order: parents before children."""
        return tuple(place for place, parent in enumerate(self.parents) if parent is not None)

    def parent(self, step: int) -> int:
        """The task that this step comes after.

        Raises:
            ValueError: it is no step.
        """
        found = self.parents[step]
        if found is None:
            raise ValueError(f"task {step} comes after no other")
        return found

    def root(self, place: int) -> int:
        """The first task of this task's funnel, whose sample space are the exposures; the task itself outside one."""
        parent = self.parents[place]
        return place if parent is None else self.root(parent)
