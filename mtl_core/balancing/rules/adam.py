"""Adam as a function of numbers and moments, for the few numbers that a balancer learns."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl_core.balancing.rules.base import State

BETA_1, BETA_2, EPS = 0.9, 0.999, 1e-8


def adam_state(tasks: int, device: torch.device) -> State:
    """Moments before the first step. Each task counts its own steps, since not every batch holds all tasks."""
    return {name: torch.zeros(tasks, device=device) for name in ("adam_m", "adam_v", "adam_t")}


def adam(value: Tensor, gradient: Tensor, active: Tensor, rate: Tensor, state: State) -> tuple[Tensor, State]:
    """One step (Kingma, Ba 2015): the new numbers [..., K] and the state with new moments; inactive ones stay."""
    t = state["adam_t"] + 1
    m = BETA_1 * state["adam_m"] + (1 - BETA_1) * gradient
    v = BETA_2 * state["adam_v"] + (1 - BETA_2) * gradient.square()
    step = rate.unsqueeze(-1) * (m / (1 - BETA_1**t)) / ((v / (1 - BETA_2**t)).sqrt() + EPS)
    moments = {
        name: torch.where(active, new, state[name]) for name, new in (("adam_m", m), ("adam_v", v), ("adam_t", t))
    }
    return torch.where(active, value - step, value), {**state, **moments}
