"""Runs of one structure trained together: stacked parameters, one step for all.

A population of one is an ordinary run. More members share every kernel launch through `torch.func.vmap`; each has its
own start, batches, loss weights and step size, and ends up where it would have ended up alone, up to float rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mtl_core.balancing.base import BalancerOptions
from mtl_core.balancing.rules import State
from mtl_core.engine.gradients import ConflictSums, Sharing, per_task, shared_units
from mtl_core.engine.memory import keep_freed_memory
from mtl_core.engine.optimizer import Optimizer
from mtl_core.engine.replay import Replay
from mtl_core.engine.rows import Rows
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.heads import Output
from mtl_core.nn.model import Model, serving
from mtl_core.spec import RunSpec

T = TypeVar("T")

#: Rows on which it is found out which parameters the tasks share.
SHARING_ROWS = 256


class Noise(NamedTuple):
    """Uniform numbers for one step; None where nothing wants any."""

    model: Tensor | None = None  # [M, B, n]
    balancer: Tensor | None = None  # [M, n]
    elements: Tensor | None = None  # [M, P]


class _Slopes(NamedTuple):
    """What a step goes by."""

    losses: Tensor  # [M, K]
    inside: Tensor  # [M, K], rows behind each loss
    weights: Tensor  # [M, K]
    gramian: Tensor | None  # [M, K, K], where the balancer asked for it
    merged: list[Tensor]  # per parameter [M, ...]
    balance: State


class _Objective(nn.Module):
    """A model, its losses and its penalty in one call, so that `functional_call` reaches all of them."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Rows, noise_BN: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Losses [K], what the parameters cost [], and the rows behind each loss [K]."""
        out = self.model(rows.inputs, noise_BN)
        losses = self.model.losses(out, rows.labels, rows.mask, noise_BN)
        penalty = self.model.trunk.penalty()
        return losses, losses.new_zeros(()) if penalty is None else penalty, self.model.head.rows(rows.mask)


class Population:
    """M members of one structure.

    Args:
        specs: the runs; alike but for seed, step sizes and the dials of the balancer.
        models: one per member, all of the same shapes; their weights are taken over.
        probe: some rows of the data, to find out what is shared.
    """

    def __init__(self, specs: Sequence[RunSpec], models: Sequence[Model], probe: Rows) -> None:
        self.specs = list(specs)
        self._model = models[0]
        self._objective = _Objective(self._model)
        device = probe.labels.device
        self.device = device
        if device.type == "cpu":
            keep_freed_memory()
        own = [dict(model.named_parameters()) for model in models]
        self.parameters = {name: torch.stack([p[name].detach() for p in own]) for name in own[0]}
        tasks = [task.name for task in self._model.tasks]
        rules = [cast(BalancerOptions, spec.balancer.part).build(tasks) for spec in specs]
        self.balancer = rules[0]
        states = [rule.initial_state(device) for rule in rules]
        self.balance: State = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        self.optimizer = Optimizer([spec.training for spec in specs], self.parameters)
        self._probe = probe
        self._sharing: Sharing | None = None
        by_gradients = self.balancer.needs_gramian or self.balancer.needs_gradients
        self._own_weighted = _own_weighted(specs[0], by_gradients)
        #: Is each task's gradient wanted apart, or only that of their weighted sum?
        self._task_by_task = by_gradients or not self._own_weighted
        self._attach()

    @property
    def sharing(self) -> Sharing:
        """Which parameters the tasks share; found out when it is first asked for, long before a step is recorded."""
        if self._sharing is None:
            with serving(self._model):
                self._sharing = Sharing(shared_units(self._model, _reaching_losses(self._model, self._probe)))
        return self._sharing

    @property
    def size(self) -> int:
        """Members."""
        return len(self.specs)

    def _attach(self) -> None:
        """The tensors to differentiate by. One member alone goes without the dimension of members, and without vmap."""
        alone = self.size == 1
        self._tensors = [p.detach()[0] if alone else p.detach() for p in self.parameters.values()]
        if alone:
            for parameter, tensor in zip(self._model.parameters(), self._tensors, strict=True):
                parameter.data = tensor
        self._slopes = self._played(self._slopes_worked_out)
        self._losses = self._played(self._losses_worked_out)
        self._gramian = self._played(self._gramian_worked_out)
        self._outputs = self._played(self._outputs_worked_out)

    def _played(self, function: Callable[..., T]) -> Callable[..., T]:
        """On a CPU, where a small step is mostly bookkeeping, a function that is recorded and played."""
        return Replay(function) if self.device.type == "cpu" else function

    def _stacked(self, gradient: Tensor) -> Tensor:
        return gradient[None] if self.size == 1 else gradient

    def _evaluate(
        self, tensors: Sequence[Tensor], rows: Rows, noise: Tensor | None, per_member: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Losses [M, K], penalties [M], counts [M, K]."""
        parameters = dict(zip(self.parameters, tensors, strict=True))

        def each(parameters: dict[str, Tensor], rows: Rows, noise: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
            named = {f"model.{name}": p for name, p in parameters.items()}
            return cast(tuple[Tensor, Tensor, Tensor], functional_call(self._objective, named, (rows, noise)))

        with _precision(self.specs[0], self.device):
            if self.size == 1:
                one = rows.at(0) if per_member else rows
                losses, penalty, count = each(parameters, one, None if noise is None else noise[0])
                return losses[None], penalty[None], count[None]
            dims = (0, 0 if per_member else None, None if noise is None else 0)
            losses, penalty, count = vmap(each, in_dims=dims)(parameters, rows, noise)
            return losses, penalty, count

    def _losses_worked_out(
        self, tensors: Sequence[Tensor], rows: Rows, noise: Tensor | None, per_member: bool
    ) -> Tensor:
        """Losses [M, K]."""
        with torch.no_grad():
            return self._evaluate(tensors, rows, noise, per_member)[0]

    def _gramian_worked_out(self, tensors: Sequence[Tensor], rows: Rows, per_member: bool) -> Tensor:
        """Gramians [M, K, K] of the tasks' gradients on shared parameters."""
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        with serving(self._model):
            losses, _, _ = self._evaluate(leaves, rows, None, per_member)
        return self.sharing.gramian(per_task(losses, leaves, self._stacked))

    def _slopes_worked_out(
        self, tensors: Sequence[Tensor], balance: State, rows: Rows, noise: Noise, per_member: bool
    ) -> _Slopes:
        """What a step goes by."""
        rule = self.balancer
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        losses, penalty, count = self._evaluate(leaves, rows, noise.model, per_member)
        seen = losses.detach()
        active = count > 0
        gramian: Tensor | None = None
        if self._task_by_task:
            gradients = per_task(losses, leaves, self._stacked)
            gramian = self.sharing.gramian(gradients) if rule.needs_gramian else None
            weights, balance = rule.weights(seen, gramian, balance, active=active, noise=noise.balancer)
            own = weights if self._own_weighted else active.to(weights.dtype)
            merged = self.sharing.merge(gradients, weights, own)
            if rule.needs_gradients and self.sharing.exists:
                direction = rule.direction(self.sharing.flatten(gradients), weights, noise.elements, balance)
                merged = self.sharing.replace(merged, direction)
            if penalty.requires_grad:
                extra = torch.autograd.grad(penalty.sum(), leaves, allow_unused=True)
                merged = [g if e is None else g + self._stacked(e) for g, e in zip(merged, extra, strict=True)]
        else:
            weights, balance = rule.weights(seen, None, balance, active=active, noise=noise.balancer)
            total = (weights * losses).sum() + penalty.sum()
            found = torch.autograd.grad(total, leaves, allow_unused=True)
            merged = [
                self._stacked(torch.zeros_like(leaf) if g is None else g) for leaf, g in zip(leaves, found, strict=True)
            ]
        return _Slopes(seen, count, weights, gramian, merged, balance)

    def step(self, rows: Rows, noise: Noise, *, per_member: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """One optimiser step of every member.

        Args:
            rows: [M, B, ...], or [B, ...] where all members read the same rows (`per_member` False).
            noise: this step's random numbers.
            per_member: see `rows`.

        Returns:
            losses [M, K] before the step, rows behind each [M, K], loss weights [M, K], and the Gramian [M, K, K] where
            the balancer asked for it.
        """
        losses, count, weights, gramian, merged, self.balance = self._slopes(
            self._tensors, self.balance, rows, noise, per_member
        )
        with torch.no_grad():
            self.optimizer.step(merged)
            if self.balancer.needs_losses_after:
                after = self._losses(self._tensors, rows, noise.model, per_member)
                self.balance = self.balancer.after_step(losses, after, self.balance)
        return losses, count, weights, gramian

    @property
    def noise_of_model(self) -> int:
        """Uniform numbers per row that a step wants."""
        return self._model.noise

    def shared_elements(self) -> int:
        """Length of the gradient on shared parameters, as `Sharing.flatten` lays it out."""
        return sum(p[0].numel() for p, some in zip(self.parameters.values(), self.sharing.touched, strict=True) if some)

    def look(self, rows: Rows, weights_MK: Tensor, sums: ConflictSums, *, per_member: bool) -> ConflictSums:
        """Add the conflict of the tasks' gradients on these rows, without a step."""
        return sums.add(self._gramian(self._tensors, rows, per_member), weights_MK)

    def outputs(self, rows: Rows, *, per_member: bool) -> Output:
        """What the models return for these rows, in evaluation mode, every tensor [M, B, ...]."""
        return self._outputs(self._tensors, rows.inputs, per_member)

    def _outputs_worked_out(self, tensors: Sequence[Tensor], inputs: Inputs, per_member: bool) -> Output:
        """As `outputs`."""

        def each(parameters: dict[str, Tensor], inputs: Inputs) -> Output:
            return cast(Output, functional_call(self._model, parameters, (inputs,)))

        parameters = dict(zip(self.parameters, tensors, strict=True))
        with serving(self._model), torch.no_grad():
            if self.size == 1:
                out = each(parameters, Inputs(*(part[0] for part in inputs)) if per_member else inputs)
                return Output(*({name: tensor[None] for name, tensor in part.items()} for part in out))
            out = vmap(each, in_dims=(0, 0 if per_member else None))(parameters, inputs)
            return Output(*({n: t.expand(self.size, *t.shape[1:]) for n, t in part.items()} for part in out))

    def train_mode(self) -> None:
        """Dropout and the like on."""
        self._model.train()

    def weights_of(self, member: int) -> dict[str, Tensor]:
        """A copy of one member's parameters."""
        return {name: p[member].detach().clone() for name, p in self.parameters.items()}

    def set_weights(self, member: int, weights: dict[str, Tensor]) -> None:
        """Give one member these parameters."""
        with torch.no_grad():
            for name, p in self.parameters.items():
                p[member].copy_(weights[name])

    def state_of(self, member: int) -> dict[str, Any]:
        """Everything that a member's next step depends on."""
        return {
            "model": self.weights_of(member),
            "optimizer": self.optimizer.state_of(member),
            "balancer": {name: tensor[member].clone() for name, tensor in self.balance.items()},
        }

    def restore(self, member: int, state: dict[str, Any]) -> None:
        """Take up a member's state."""
        self.set_weights(member, state["model"])
        self.optimizer.restore(member, state["optimizer"])
        for name, tensor in self.balance.items():
            tensor[member].copy_(state["balancer"][name])

    def alone(self, member: int, look: Callable[[Population], T]) -> T:
        """What `look` sees in a population of this member alone. The population itself stays as it is."""
        if self.size == 1:
            return look(self)
        one = copy.copy(self)
        one.specs = [self.specs[member]]
        one.parameters = {name: p.detach()[member : member + 1] for name, p in self.parameters.items()}
        one._attach()
        return look(one)

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these members only."""
        chosen = list(members)
        self.specs = [self.specs[m] for m in chosen]
        self.parameters = {name: p.detach()[chosen].clone() for name, p in self.parameters.items()}
        self.balance = {name: tensor[chosen].clone() for name, tensor in self.balance.items()}
        self.optimizer.keep(chosen, self.parameters)
        self._attach()

    def finite(self) -> list[bool]:
        """Per member: are all its parameters numbers?"""
        with torch.no_grad():
            sound = [p.isfinite().flatten(1).all(1) for p in self.parameters.values()]
            return torch.stack(sound).all(0).tolist()


def _reaching_losses(model: Model, rows: Rows) -> Tensor:
    """Losses on rows of every sample space, with labels of both kinds: what a loss does not reach is not its task's."""
    some = rows.at(slice(SHARING_ROWS))
    generator = torch.Generator().manual_seed(0)
    # A funnel's labels: what comes later happens only where what comes before did.
    drawn = torch.rand(some.labels.shape, generator=generator) < 0.7
    labels = drawn.cumprod(1).to(some.labels)
    noise = None
    if model.noise:
        noise = torch.rand(len(some.labels), model.noise, generator=generator).to(some.labels.device)
    inputs = some.inputs._replace(numeric=some.inputs.numeric + 0.1)
    return model.losses(model(inputs, noise), labels, torch.ones_like(some.mask), noise)


def _own_weighted(spec: RunSpec, by_gradients: bool) -> bool:
    choice = spec.training.own_parameters
    return not by_gradients if choice == "as published" else choice == "weighted"


def _precision(spec: RunSpec, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=spec.training.precision == "bfloat16")
