"""What a head makes of its towers, in the words and places of the drawing. No Streamlit, no torch."""

from __future__ import annotations

from collections.abc import Sequence

from app.i18n import tr
from mtl_core.heads.meeting import Joint, Meeting, Tower

#: From a column of joints to the next, and the room that arrows between towers take, in drawing units.
JOINT_STEP, ARROWS = 1.05, 0.35


def behind(meeting: Meeting) -> float:
    """Room that the picture needs to the right of the towers, in drawing units."""
    columns = max(depths(meeting), default=0)
    if columns:
        return JOINT_STEP * columns
    return ARROWS + 0.1 * (len(meeting.passes) - 1) if meeting.passes else 0.0


def depths(meeting: Meeting) -> list[int]:
    """Per joint its column behind the towers, counted from 1."""
    first, found = len(meeting.towers), list[int]()
    for joint in meeting.joints:
        found.append(1 + max((found[read - first] for read in joint.reads if read >= first), default=0))
    return found


def tower_name(tower: Tower, tasks: Sequence[str]) -> str:
    """What stands in a tower's box."""
    task = tasks[tower.task]
    return {
        "own": task,
        "otherwise": tr("{task} else", task=task),
        "error": tr("{task} error", task=task),
        "mirror": tr("not {task}", task=task),
        "direct": tr("{task} direct", task=task),
    }[tower.role]


def tower_about(tower: Tower, tasks: Sequence[str]) -> str:
    """What a tower does, in a line."""
    task = tasks[tower.task]
    return {
        "own": tr("tower of {task}", task=task),
        "otherwise": tr("a second tower of {task}, for those who did not take the action before it", task=task),
        "error": tr("guesses the error of the tower of {task} on every row", task=task),
        "mirror": tr("predicts that {task} does not happen, learned from the other rows", task=task),
        "direct": tr("predicts {task} together with every step before it, at once", task=task),
    }[tower.role]


def joint_name(meeting: Meeting, place: int, tasks: Sequence[str]) -> str:
    """What stands in the box of something that a head computes."""
    joint = meeting.joints[place]
    if joint.kind == "position":
        return tr("+ position")
    if joint.kind == "agreement":
        return "≈"
    if joint.kind == "branch":
        return tr("{task} either way", task=_of(meeting, joint, tasks))
    names = [_factor(meeting, read, tasks) for read in joint.reads]
    return (" × " if joint.kind == "product" else " ÷ ").join(names)


def joint_about(meeting: Meeting, place: int, tasks: Sequence[str]) -> str:
    """What a head computes there, in a line."""
    joint = meeting.joints[place]
    if joint.kind == "position":
        return tr("where the row stood adds a term of its own to the number, in training only")
    task = _of(meeting, joint, tasks)
    if joint.kind == "branch":
        return tr("{task} with the action and without it, each as likely as the action is", task=task)
    if joint.kind == "agreement":
        return tr("the product and the direct prediction of {task} are pulled together", task=task)
    if joint.kind == "ratio":
        return tr("the chance of {task} is what divides the two: learned as one, on all rows", task=task)
    product = joint_name(meeting, place, tasks)
    return tr("{product}: learned on all rows, also where {task} is not known", product=product, task=task)


def _of(meeting: Meeting, joint: Joint, tasks: Sequence[str]) -> str:
    return tasks[joint.task] if joint.task is not None else ""


def _factor(meeting: Meeting, read: int, tasks: Sequence[str]) -> str:
    """A number within a product: a task, or the product that stands for it and all before it."""
    first = len(meeting.towers)
    if read < first:
        return tasks[meeting.towers[read].task]
    joint = meeting.joints[read - first]
    return joint_name(meeting, read - first, tasks) if joint.kind == "product" else _of(meeting, joint, tasks)
