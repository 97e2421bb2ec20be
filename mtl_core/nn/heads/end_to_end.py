"""Heads whose towers predict each step together with everything before it: DIVISION and AITM."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl_core.losses import Step, conditional_logit, masked_mean
from mtl_core.nn.heads.base import Output, joint_part
from mtl_core.nn.heads.funnel import EntireSpaceHead
from mtl_core.nn.initial import uniform
from mtl_core.schema import Task


class EndToEndHead(EntireSpaceHead):
    """A step's number is the logit of its end-to-end probability; its `logits` entry is the conditional one,
    p_t / p_parent.
    """

    def compose(self, z_JB: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        names = self.task_names
        logits = {name: z_JB[k] for k, name in enumerate(names)}
        for k in self.funnel.steps:
            logits[names[k]] = conditional_logit(z_JB[k], z_JB[self.funnel.parent(k)])
        return logits, {joint_part(names[k]): z_JB[k] for k in self.funnel.steps}


class AITMHead(EndToEndHead):
    """Each step attends to what the step before it passes on, and must not be likelier than it.

    Args:
        width: of the towers' vectors.
        alpha: weight of the calibrator.
    """

    def __init__(self, tasks: Sequence[Task], width: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__(tasks)
        self.alpha = alpha
        self.transfers = nn.ModuleList(Transfer(width, generator) for _ in self.funnel.steps)
        self.weight_KH = uniform((len(tasks), width), width, generator)
        self.bias_K = uniform((len(tasks),), width, generator)

    def numbers(self, z_JB: Tensor) -> Tensor:
        vectors = [z_JB[k] for k in range(len(self.tasks))]  # [B, H] each
        for k, transfer in zip(self.funnel.steps, self.transfers, strict=True):
            # A step hands on its vector after attention, so that the whole way down to it is in it.
            vectors[k] = transfer(vectors[self.funnel.parent(k)], vectors[k])
        return (torch.stack(vectors) * self.weight_KH[:, None, :]).sum(2) + self.bias_K[:, None]

    def step_loss(self, k: int, step: Step, out: Output, noise_BN: Tensor | None) -> Tensor:
        """Log loss, and this step's part of the calibrator alpha mean_{t >= 2, rows} max(p_t - p_{t-1}, 0)."""
        parent = self.funnel.parent(k)
        name, before = self.task_names[k], self.task_names[parent]
        p = torch.sigmoid(out.parts[joint_part(name)])
        ceiling = out.logits[before] if self.funnel.parents[parent] is None else out.parts[joint_part(before)]
        excess = masked_mean(torch.relu(p - torch.sigmoid(ceiling)), step.space)
        return self.joint_loss(k, step, out) + self.alpha / len(self.funnel.steps) * excess


class Transfer(nn.Module):
    """AIT: attention over two vectors, the one passed on from the step before and the step's own."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.pass_on_HH = uniform((width, width), width, generator, relu=True)
        self.pass_on_bias_H = uniform((width,), width, generator)
        self.query_HH = uniform((width, width), width, generator)
        self.key_HH = uniform((width, width), width, generator)
        self.value_HH = uniform((width, width), width, generator)

    def forward(self, before_BH: Tensor, own_BH: Tensor) -> Tensor:
        """z [B, H] = sum_u w_u V(u) over u in {passed on, own}, w = softmax over the two of <Q(u), K(u)> / sqrt(H)."""
        passed_BH = torch.relu(before_BH @ self.pass_on_HH + self.pass_on_bias_H)
        both_2BH = torch.stack([passed_BH, own_BH])
        match_2B = ((both_2BH @ self.query_HH) * (both_2BH @ self.key_HH)).sum(2) / own_BH.shape[1] ** 0.5
        weight_2B = torch.softmax(match_2B, dim=0)  # over the two vectors, not over the rows
        return (weight_2B[:, :, None] * (both_2BH @ self.value_HH)).sum(0)
