"""Where towers meet: what a head computes from several of them, as plain data for pictures and sentences. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mtl_core.funnel import Funnel

#: What a tower predicts. own: its task; otherwise: its task for those who did not take the action before it; error: the
#: error of its task's tower; mirror: that its task does not happen; direct: its task and all before it, at once.
Role = Literal["own", "otherwise", "error", "mirror", "direct"]
#: What is computed. product: of probabilities along the funnel; ratio: of a step's by the one before it; branch: of two
#: towers, one for those who took an action and one for the others; agreement: two ways to the same number are pulled
#: together; position: a term of where a row stood is added.
JointKind = Literal["product", "ratio", "branch", "agreement", "position"]


@dataclass(frozen=True)
class Tower:
    """One of the head's towers."""

    task: int
    role: Role = "own"


@dataclass(frozen=True)
class Joint:
    """A number that is computed from others."""

    kind: JointKind
    #: What it reads: towers by their places, and joints before it by theirs, counted on from the last tower.
    reads: tuple[int, ...]
    #: The task that it speaks of; None: of all that it reads.
    task: int | None = None


@dataclass(frozen=True)
class Meeting:
    """All towers of a head, and what goes on between them; nothing does where each gives its task's prediction."""

    towers: tuple[Tower, ...]
    #: Tower -> tower that hears from it.
    passes: tuple[tuple[int, int], ...] = ()
    joints: tuple[Joint, ...] = ()

    @property
    def empty(self) -> bool:
        """Does every task have its one tower, and nothing else?"""
        return not self.passes and not self.joints and all(tower.role == "own" for tower in self.towers)


def own_towers(tasks: int) -> tuple[Tower, ...]:
    """One per task."""
    return tuple(map(Tower, range(tasks)))


def products(funnel: Funnel, given: dict[int, int], first: int) -> tuple[Joint, ...]:
    """The probability of every step together with all before it.

    Args:
        funnel: which task comes after which.
        given: per task the place of its number, given the step before it.
        first: the place of the first of these joints.
    """
    whole, joints = dict(given), list[Joint]()
    for step in funnel.steps:
        joints.append(Joint("product", (whole[funnel.parent(step)], given[step]), step))
        whole[step] = first + len(joints) - 1
    return tuple(joints)


def agreements(steps: Sequence[int], joints: Sequence[Joint], towers: Sequence[Tower]) -> tuple[Joint, ...]:
    """Meituan's bound: the product and the tower that predicts the same at once."""
    product = {joint.task: len(towers) + place for place, joint in enumerate(joints) if joint.kind == "product"}
    direct = {tower.task: place for place, tower in enumerate(towers) if tower.role == "direct"}
    return tuple(Joint("agreement", (product[step], direct[step]), step) for step in steps)
