"""From a run's epochs to what the loss-weight and conflict panels draw, and what their numbers say. No Streamlit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pandas as pd

from app.charts.conflict import PAIR_COLUMNS, Plane, plane
from app.charts.weights import COLUMNS, LENGTH, SHARE, WEIGHT, Quantity
from app.gains import MINUS
from app.i18n import tr, trn
from app.library import History
from app.wording import clauses, join, passage
from mtl_core.events import Conflict, Epoch
from mtl_core.trunks.wiring import Wiring

#: Shares and cosines nearer than this are called equal: an epoch's mean over a few dozen batches is no finer.
CLOSE = 0.02
#: A task with a larger share of the step leaves the others nothing to say.
DROWNING = 0.8


def task_rows(history: History, tasks: Sequence[str], quantity: Quantity) -> pd.DataFrame:
    """Rows for `charts.weights.task_lines`."""
    rows = [
        (epoch.epoch, task, value)
        for epoch in history.epochs
        for task, value in zip(tasks, _values(epoch, tasks, quantity), strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _values(epoch: Epoch, tasks: Sequence[str], quantity: Quantity) -> list[float | None]:
    if quantity == WEIGHT:
        return [epoch.weights.get(task) for task in tasks]
    if epoch.conflict is None:
        return [None] * len(tasks)
    return {LENGTH: epoch.conflict.norms, SHARE: epoch.conflict.effective}[quantity]


def pair_rows(history: History, tasks: Sequence[str]) -> pd.DataFrame:
    """Rows for `charts.conflict.cosine_curves`: one per epoch and pair of tasks."""
    rows = []
    for epoch in history.epochs:
        if epoch.conflict is not None:
            for i, j in itertools.combinations(range(len(tasks)), 2):
                name = f"{tasks[i]}, {tasks[j]}"
                rows.append((epoch.epoch, name, epoch.conflict.cosine[i][j], epoch.conflict.negative[i][j]))
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def latest(history: History) -> Epoch | None:
    """The last epoch in which gradients were compared."""
    return next((epoch for epoch in reversed(history.epochs) if epoch.conflict is not None), None)


def plane_of(epoch: Epoch, tasks: Sequence[str]) -> Plane | None:
    """The picture of two tasks' mean gradients and the step made of them; None where a number is missing."""
    conflict = epoch.conflict
    if conflict is None or len(tasks) != 2:
        return None
    cosine = conflict.cosine[0][1]
    lengths = [norm for norm in conflict.norms if norm is not None]
    # Shares are of lengths, without a sign; a rule may turn a gradient around.
    signs = [-1.0 if epoch.weights.get(task, 0.0) < 0 else 1.0 for task in tasks]
    parts = [s * e for s, e in zip(signs, conflict.effective, strict=True) if e is not None]
    if cosine is None or len(lengths) < 2 or len(parts) < 2:
        return None
    return plane(lengths, cosine, parts)


def nothing_to_compare(history: History, wiring: Wiring, tasks: Sequence[str], example: bool) -> str | None:
    """Why there is nothing to draw, in a sentence; None where there is, or will be."""
    if len(tasks) < 2:
        return tr("There is one task: nothing can pull against it.")
    alone = all(expert.owner is not None for level in wiring.levels for expert in level.experts) and all(
        wiring.levels[-1].gates[g].owner is not None for read in wiring.outputs for g in read
    )
    unshared = tr("Every task has a network of its own: nothing is shared, so there is nothing to conflict.")
    if latest(history) is not None:
        return None
    if not history.epochs:
        return unshared if alone and wiring.reads == frozenset(range(len(tasks))) else None
    if example and not alone:
        return tr("This example was made without a look at its gradients: press Train to see them.")
    return unshared


def weights_sentence(history: History, tasks: Sequence[str]) -> str:
    """Whose gradient makes up the step, and whether that comes from its weight or its length."""
    epoch = latest(history)
    if epoch is None or epoch.conflict is None:
        return tr("No epoch is done yet.") if not history.epochs else ""
    known = [(t, e) for t, e in zip(tasks, epoch.conflict.effective, strict=True) if e is not None]
    if len(known) < 2:
        return tr("After epoch {epoch} fewer than two tasks had a gradient.", epoch=epoch.epoch)
    (top, most), (low, least) = max(known, key=lambda item: item[1]), min(known, key=lambda item: item[1])
    names = join([t for t, _ in known])
    if most - least < CLOSE and len(known) == 2:
        text = tr("In epoch {epoch} {tasks} both put equal parts into the step.", epoch=epoch.epoch, tasks=names)
    elif most - least < CLOSE:
        text = tr("In epoch {epoch} {tasks} all put equal parts into the step.", epoch=epoch.epoch, tasks=names)
    elif len(known) == 2:
        text = tr(
            "In epoch {epoch} {top} made up {most:.0%} of the step, {low} {least:.0%}: {reason}.",
            epoch=epoch.epoch, top=top, most=most, low=low, least=least, reason=_reason(epoch, tasks, top, low),
        )  # fmt: skip
    else:
        text = tr(
            "In epoch {epoch} {top} made up most of the step ({most:.0%}), {low} least ({least:.0%}): {reason}.",
            epoch=epoch.epoch, top=top, most=most, low=low, least=least, reason=_reason(epoch, tasks, top, low),
        )  # fmt: skip
    return passage(text, _remedy(epoch, top, low, most), _unsolved(epoch))


def _remedy(epoch: Epoch, top: str, low: str, most: float) -> str:
    """What to do where one task drowns the others though nobody gave it more weight."""
    ratio = _ratio(epoch.weights.get(top), epoch.weights.get(low))
    if most <= DROWNING or ratio is None or abs(ratio - 1) > CLOSE:
        return ""
    return tr("A smaller loss weight for {task}, or its label on a smaller scale, gives the others a say.", task=top)


def _reason(epoch: Epoch, tasks: Sequence[str], top: str, low: str) -> str:
    """Weight, length or both."""
    assert epoch.conflict is not None
    norms = dict(zip(tasks, epoch.conflict.norms, strict=True))
    lengths, weights = _ratio(norms[top], norms[low]), _ratio(epoch.weights.get(top), epoch.weights.get(low))
    heavier = lengthier = None
    if weights is not None and abs(weights - 1) > CLOSE:
        heavier = tr("its loss counts {times} times as much", times=_times(weights))
    if lengths is not None and abs(lengths - 1) > CLOSE:
        lengthier = tr("its gradient is {times} times as long", times=_times(lengths))
        if weights is not None and heavier is None:
            return tr("at equal weights, its gradient is {times} times as long", times=_times(lengths))
    if heavier is None and lengthier is None:
        return tr("weights and lengths differ from batch to batch")
    if heavier is not None and lengthier is not None:
        return tr("{weight} and {length}", weight=heavier, length=lengthier)
    return heavier or lengthier or ""


def _ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None or b == 0 else abs(a / b)


def _times(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}" if ratio >= 1.05 else f"{ratio:.2g}"


def _unsolved(epoch: Epoch) -> str:
    if not epoch.unsolved:
        return ""
    return trn(
        "In one step so far the balancer found no solution and took equal weights.",
        "In {n:,} steps so far the balancer found no solution and took equal weights.",
        epoch.unsolved,
    )


def conflict_sentence(history: History, tasks: Sequence[str]) -> str:
    """How often the tasks pulled apart, and whether the step serves them all."""
    epoch = latest(history)
    if epoch is None or epoch.conflict is None:
        return tr("No epoch is done yet.") if not history.epochs else ""
    pairs = _pairs(epoch.conflict, tasks)
    if not pairs:
        return tr("In epoch {epoch} no two tasks had a gradient in the same batch.", epoch=epoch.epoch)
    if len(tasks) == 2:
        return _two(epoch, tasks)
    name, cosine, negative = min(pairs, key=lambda pair: pair[1])
    fighting = sum(share > 0.5 for *_, share in pairs)
    told = {"pair": name, "cosine": signed(cosine), "batches": _of(negative, epoch)}
    if cosine < 0:
        worst = tr("worst were {pair} (mean cosine {cosine}, apart in {batches})", **told)
    else:
        worst = tr("the least alike were {pair} (mean cosine {cosine}, apart in {batches})", **told)
    name, cosine, _ = max(pairs, key=lambda pair: pair[1])
    return tr(
        "In epoch {epoch} {fighting} of {all} pairs pulled apart in most batches; {worst}, the most alike {best} "
        "({cosine}).",
        epoch=epoch.epoch, fighting=fighting, all=len(pairs), worst=worst, best=name, cosine=signed(cosine),
    )  # fmt: skip


def _two(epoch: Epoch, tasks: Sequence[str]) -> str:
    assert epoch.conflict is not None
    ((_, cosine, negative),) = _pairs(epoch.conflict, tasks)
    text = tr(
        "In epoch {epoch} {one} and {other} pulled apart in {batches} (mean cosine {cosine})",
        epoch=epoch.epoch, one=tasks[0], other=tasks[1], batches=_of(negative, epoch), cosine=signed(cosine),
    )  # fmt: skip
    picture = plane_of(epoch, tasks)
    off = picture.off if picture is not None else None
    if off is None:
        return _with(text, tr("on average they cancel, and no step is left"))
    hurt = [task for task, angle in zip(tasks, off, strict=True) if angle > math.pi / 2 + 1e-9]
    if hurt:
        return _with(text, tr("the mean step goes against {tasks}: it raises that loss", tasks=join(hurt)))
    near, far = (0, 1) if off[0] <= off[1] else (1, 0)
    if off[far] - off[near] < math.radians(5):
        return _with(text, tr("the mean step lies in the middle and lowers both losses"))
    nearer = tr("the mean step lowers both losses and lies nearer to {task}'s gradient", task=tasks[near])
    return _with(text, nearer)


def _with(claim: str, more: str) -> str:
    """One sentence of two clauses."""
    return tr("{claim}.", claim=clauses([claim, more]))


def _pairs(conflict: Conflict, tasks: Sequence[str]) -> list[tuple[str, float, float]]:
    """(names, mean cosine, share of steps in conflict) of every pair that ever met."""
    found = []
    for i, j in itertools.combinations(range(len(tasks)), 2):
        cosine, negative = conflict.cosine[i][j], conflict.negative[i][j]
        if cosine is not None and negative is not None:
            found.append((join([tasks[i], tasks[j]]), cosine, negative))
    return found


def _of(share: float, epoch: Epoch) -> str:
    """38% of 8 batches: gradients are not compared in all of them."""
    assert epoch.conflict is not None
    steps = epoch.conflict.steps
    if steps > 1:
        return tr("{share:.0%} of {steps:,} batches", share=share, steps=steps)
    return tr("the one batch") if share > 0 else tr("no batch")


def signed(value: float) -> str:
    """+0.12 or −0.12."""
    return f"{value:+z.2f}".replace("-", MINUS)
