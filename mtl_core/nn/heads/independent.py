"""Independent heads."""

from __future__ import annotations

from torch import Tensor

from mtl_core.nn.encoder import Inputs
from mtl_core.nn.heads.base import Head


class IndependentHead(Head):
    """Each tower's output is its task's logit."""

    def forward(
        self, z_JB: Tensor, inputs: Inputs, noise_BN: Tensor | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return {name: z_JB[k] for k, name in enumerate(self.task_names)}, {}
