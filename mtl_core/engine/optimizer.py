"""One optimiser for a stack of runs, each with a step size of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from mtl_core.spec import TrainingSpec

BETAS, EPSILON = (0.9, 0.999), 1e-8


class Optimizer:
    """Adam, AdamW or SGD over stacked parameters, with torch's fused kernels.

    Args:
        training: per member; all of one kind of optimiser, step sizes and weight decays may differ.
        parameters: name -> [M, ...], changed in place by `step`.
    """

    def __init__(self, training: Sequence[TrainingSpec], parameters: dict[str, Tensor]) -> None:
        self._training = list(training)
        self._kind = training[0].optimizer
        self._parameters = parameters
        kept = ("exp_avg", "exp_avg_sq") if self._kind != "sgd" else ()
        self._moments = {kind: {name: torch.zeros_like(p) for name, p in parameters.items()} for kind in kept}
        self._steps = 0
        #: The kernels count steps tensor by tensor: a list of counters per set of members that moves together.
        self._counters: dict[int | None, list[Tensor]] = {}

    def step(self, gradients: Sequence[Tensor]) -> None:
        """One step of every member along its gradients [M, ...], given in the order of the parameters."""
        self._steps += 1
        one = self._training[0]
        if all((t.learning_rate, t.weight_decay) == (one.learning_rate, one.weight_decay) for t in self._training):
            self._update(one, None, gradients)
        else:
            for m, training in enumerate(self._training):
                self._update(training, m, gradients)

    def _update(self, training: TrainingSpec, member: int | None, gradients: Sequence[Tensor]) -> None:
        """One member's step, or (None) that of all together."""

        def chosen(tensors: Iterable[Tensor]) -> list[Tensor]:
            return list(tensors) if member is None else [tensor[member] for tensor in tensors]

        # The kernels walk memory, not indices: a gradient in another layout than its parameter would be read askew.
        parameters, slopes = chosen(self._parameters.values()), chosen(g.contiguous() for g in gradients)
        if self._kind == "sgd":
            sgd(
                parameters,
                slopes,
                [None] * len(parameters),
                fused=True,
                weight_decay=training.weight_decay,
                momentum=0.0,
                lr=training.learning_rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
            return
        if member not in self._counters:
            count = float(self._steps - 1)
            self._counters[member] = [torch.tensor(count, device=p.device) for p in parameters]
        adam(
            parameters,
            slopes,
            chosen(self._moments["exp_avg"].values()),
            chosen(self._moments["exp_avg_sq"].values()),
            [],
            self._counters[member],
            fused=True,
            decoupled_weight_decay=self._kind == "adamw",
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def state_of(self, member: int) -> dict[str, Any]:
        """What this member's next step depends on."""
        moments = {kind: {name: t[member].clone() for name, t in by.items()} for kind, by in self._moments.items()}
        return {"steps": self._steps, **moments}

    def restore(self, member: int, state: dict[str, Any]) -> None:
        """Take up a member's state; all members of a stack have made the same number of steps."""
        self._steps = int(state["steps"])
        self._counters.clear()
        for kind, by in self._moments.items():
            for name, moment in by.items():
                moment[member].copy_(state[kind][name])

    def keep(self, members: Sequence[int], parameters: dict[str, Tensor]) -> None:
        """Go on with these members only, whose stacked parameters are now these."""
        chosen = list(members)
        self._training = [self._training[m] for m in chosen]
        self._parameters = parameters
        self._counters.clear()
        self._moments = {kind: {n: t[chosen].clone() for n, t in by.items()} for kind, by in self._moments.items()}
