"""Losses and the numerics of funnels: masked means, joint labels, and products of probabilities in log space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from mtl_core.funnel import Funnel
from mtl_core.schema import Task

#: Up to here the ratio q of two end-to-end probabilities, which can exceed 1, is taken as a probability. The logit of q
#: magnifies rounding by 1 / (1 - q): closer to 1, float32 would show little else.
LARGEST_RATIO = 0.99


def task_losses(logits: Mapping[str, Tensor], labels_BK: Tensor, mask_BK: Tensor, tasks: Sequence[Task]) -> Tensor:
    """Losses [K]: log loss for binary tasks, squared error for regression, L_k = sum_i m_ik l_ik / max(sum_i m_ik, 1).

    A task with no row in the batch has loss exactly 0 and gradient 0. Labels outside the mask are never read, so they
    may be anything, NaN included.
    """
    if len({task.kind for task in tasks}) == 1:
        logit_KB = torch.stack([logits[task.name] for task in tasks])
        return task_loss(logit_KB, labels_BK.T, mask_BK.T, tasks[0])
    return torch.stack(
        [task_loss(logits[task.name], labels_BK[:, k], mask_BK[:, k], task) for k, task in enumerate(tasks)]
    )


def task_loss(logit_B: Tensor, label_B: Tensor, inside_B: Tensor, task: Task) -> Tensor:
    """The loss of one task, a mean over the rows inside; of several tasks of one kind at once where all are [K, B]."""
    # where, not a product: NaN * 0 is NaN, forwards and backwards.
    label = torch.where(inside_B, label_B, 0.0)
    logit = torch.where(inside_B, logit_B, 0.0)
    each = log_loss(logit, label) if task.kind == "binary" else (logit - label).square()
    return masked_mean(each, inside_B)


def log_loss(logit_B: Tensor, label_B: Tensor) -> Tensor:
    """Log loss of each row [B] with labels 0 or 1.

    log(1 + e^-z) for a positive, log(1 + e^z) for a negative: unlike torch's own formula no difference of nearly equal
    numbers, so that small losses and gradients keep their digits in float32.
    """
    return functional.softplus(torch.where(label_B > 0.5, -logit_B, logit_B))


def masked_mean(each_B: Tensor, inside_B: Tensor) -> Tensor:
    """The mean over the rows inside; exactly 0, with gradient 0, where there is none."""
    return torch.where(inside_B, each_B, 0.0).sum(-1) / inside_B.sum(-1).clamp(min=1)


def weighted_mean(each_B: Tensor, weight_B: Tensor) -> Tensor:
    """sum w l / sum w over the rows of weight above 0; exactly 0, with gradient 0, where there is none."""
    total = weight_B.sum()
    return torch.where(weight_B > 0, weight_B * each_B, 0.0).sum() / torch.where(total > 0, total, 1.0)


class Step(NamedTuple):
    """What a batch tells about one step of a funnel. All [B]."""

    #: The exposures: the sample space of the funnel's first task.
    space: Tensor
    #: Exposures where everything before the step has happened: the clicked rows of a conversion.
    reached: Tensor
    #: The joint label: 1 where the step and everything before it happened, 0 on all other rows.
    label: Tensor
    #: The step's own sample space, and its own label there, 0 elsewhere.
    inside: Tensor
    own: Tensor


def joint_labels(labels_BK: Tensor, mask_BK: Tensor, funnel: Funnel) -> dict[int, Step]:
    """What is known of each step, by its place among the tasks.

    A label is read inside its own mask alone, and the mask of a step lies where the task before it happened; outside,
    nothing of the kind happened and the joint label is 0. A mask narrower than that (ratings that only some clickers
    give) would make zeros of unknown labels: such a label is no step of a funnel.
    """
    happened = [(labels_BK[:, k] > 0.5) & mask_BK[:, k] for k in range(len(funnel.parents))]
    steps: dict[int, Step] = {}
    for k in funnel.steps:
        parent, root = funnel.parent(k), funnel.root(k)
        reached = happened[parent] & mask_BK[:, k] & mask_BK[:, root]
        happened[k] = happened[k] & reached  # children come later in the order and see the joint label
        inside = mask_BK[:, k]
        own = torch.where(inside, labels_BK[:, k], 0.0)
        steps[k] = Step(mask_BK[:, root], reached, happened[k].to(labels_BK.dtype), inside, own)
    return steps


def joint_logits(logits: Sequence[Tensor], funnel: Funnel) -> dict[int, Tensor]:
    """Logits of p(step and everything before it) by the step's place, from conditional logits.

    p = prod s(z_j) along the chain of tasks up to the step, taken in log space: log p = sum log s(z_j), and log(1 - p)
    from 1 - p q = (1 - p) + p (1 - q) where p q > 1/2, else from log1p(-p q). Exact to rounding, with finite gradients,
    where the product itself would underflow or round to 1.

    Args:
        logits: per task [B], the logit of its probability given the task before it.
    """
    logs: dict[int, tuple[Tensor, Tensor]] = {}
    for k in funnel.steps:
        parent = funnel.parent(k)
        happened, not_happened = logs.get(parent) or _logs(logits[parent])
        step, not_step = _logs(logits[k])
        log_p = happened + step
        # Below 1/2 the sum of the two parts has its digits in the wrong place: 1 - p is 1, and p is lost.
        low = torch.log1p(-torch.exp(log_p.clamp(max=-math.log(2))))
        high = torch.logaddexp(not_happened, happened + not_step)
        logs[k] = log_p, torch.where(log_p < -math.log(2), low, high)
    return {k: log_p - log_not for k, (log_p, log_not) in logs.items()}


def _logs(logit: Tensor) -> tuple[Tensor, Tensor]:
    return functional.logsigmoid(logit), functional.logsigmoid(-logit)


def mixed_logit(choice_B: Tensor, if_chosen_B: Tensor, otherwise_B: Tensor) -> Tensor:
    """The logit of s(c) s(a) + (1 - s(c)) s(b), from the logits c, a and b."""
    chosen, not_chosen = _logs(choice_B)
    a, not_a = _logs(if_chosen_B)
    b, not_b = _logs(otherwise_B)
    return torch.logaddexp(chosen + a, not_chosen + b) - torch.logaddexp(chosen + not_a, not_chosen + not_b)


def conditional_logit(joint_B: Tensor, before_B: Tensor) -> Tensor:
    """The logit of p / p_before, from the logits of two end-to-end probabilities.

    Nothing keeps such a ratio below 1. From .99 on (a logit of 4.6) the logit grows with the ratio's logarithm: as a
    probability it stays below 1, and rows keep the order of their ratios.
    """
    log_ratio = functional.logsigmoid(joint_B) - functional.logsigmoid(before_B)
    below = log_ratio.clamp(max=math.log(LARGEST_RATIO))
    near = torch.log(-torch.expm1(below.clamp(min=-math.log(2))))
    far = torch.log1p(-torch.exp(below.clamp(max=-math.log(2))))
    return below - torch.where(below < -math.log(2), far, near) + (log_ratio - below)


def symmetric_kl(a_B: Tensor, b_B: Tensor) -> Tensor:
    """KL(P||Q) + KL(Q||P) of two Bernoulli variables with logits a and b: (s(a) - s(b)) (a - b). [B]"""
    return (torch.sigmoid(a_B) - torch.sigmoid(b_B)) * (a_B - b_B)
