"""One step of a balancing rule on given gradients: for lessons, notebooks and tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from mtl_core import registry
from mtl_core.balancing.base import BalancerOptions

if TYPE_CHECKING:
    from torch import Tensor

#: Rules whose first step depends on the losses.
_READ_LOSSES = ("epo", "famo", "gls")


def combine(
    name: str,
    gradients: Any,
    losses: Any = None,
    *,
    order: Sequence[int] | None = None,
    noise: Any = None,
    **options: Any,
) -> Any:
    """The direction d of a rule's first step, to be followed downhill: theta <- theta - learning_rate d.

    Args:
        name: a registered balancer, such as "cagrad".
        gradients: [K, P], one row per task; a tensor, or anything that NumPy takes for an array.
        losses: [K], for the rules that read them (epo, famo, gls, and mgda with a normaliser of losses).
        order: the order in which pcgrad and gradvac visit the other tasks; 0 .. K-1 if not given.
        noise: uniform numbers in [0, 1) for the rules that draw: [K] for rlw, [K, K] for pcgrad and gradvac, [P] for
            graddrop. If not given, 0.5 everywhere for rlw (equal weights) and graddrop (the heavier sign survives).
        **options: those of the rule.

    Returns:
        [P]: a tensor for a tensor, else a NumPy array of doubles.

    Raises:
        UnknownName: there is no such balancer; the message names them all.
        ValueError: options, shapes or losses do not fit.
    """
    import torch

    part = registry.get("balancer", name)
    try:
        chosen = cast(BalancerOptions, part.model_validate(options))
    except ValidationError as error:
        from mtl_core.spec import options_problem

        raise ValueError(f"{name}: {options_problem(part, options)}") from error
    given = isinstance(gradients, torch.Tensor)
    rows: Tensor = gradients.detach() if given else _tensor(gradients)
    if rows.dim() != 2:
        raise ValueError(f"gradients must have one row per task, [K, P]; these have the shape {list(rows.shape)}.")
    tasks = len(rows)
    task_names = tuple(str(k) for k in range(tasks))
    chosen.check(task_names)
    if losses is None and (name in _READ_LOSSES or str(options.get("normaliser", "")).startswith("loss")):
        raise ValueError(f"{name} reads the losses: give one per task.")
    values = rows.new_ones(tasks) if losses is None else _tensor(losses).to(rows)
    if values.shape != (tasks,):
        raise ValueError(f"losses must be one per task, [{tasks}]; these have the shape {list(values.shape)}.")
    if order is not None:
        if sorted(order) != list(range(tasks)):
            raise ValueError(f"order must hold each of 0 .. {tasks - 1} once, not {list(order)}.")
        # Each task's place in the order: smaller numbers go first.
        noise = torch.tensor(list(order)).argsort().expand(tasks, tasks) / tasks
    rule = chosen.build(task_names)
    drawn = None if noise is None else _tensor(noise).to(rows)
    if drawn is None and (name == "rlw" or rule.noise_per_element):
        drawn = rows.new_full((tasks if name == "rlw" else rows.shape[1],), 0.5)
    gramian = rows @ rows.mT if rule.needs_gramian else None
    state = rule.initial_state(rows.device)
    of_step = None if drawn is None or rule.noise_per_element else drawn.flatten()
    weights, state = rule.weights(values, gramian, state, noise=of_step)
    direction = rule.direction(rows, weights, drawn if rule.noise_per_element else None, state)
    return direction if given else direction.numpy()


def _tensor(values: Any) -> Tensor:
    import torch

    if isinstance(values, torch.Tensor):
        return values.detach()
    import numpy as np

    return torch.from_numpy(np.array(values, dtype=np.float64))
