"""Multi-gate mixture of experts: Ma, Zhao, Yi, Chen, Hong, Chi, KDD 2018."""

from __future__ import annotations

from collections.abc import Sequence

from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Wiring, input_stream, mixture


@register("trunk", "mmoe", "MMoE")
class MMoE(TrunkOptions):
    """A common pool of experts, and one softmax gate per task that mixes them.

    f_k = sum_i w_ki(x) E_i(x), w_k = softmax(W_k x).
    """

    experts: int = option(8, "Experts, all shared", ge=1, le=64)
    expert_layers: Layers = option((64, 32), "Hidden layer widths of each expert", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        tasks = range(len(task_names))
        shared = input_stream(None, len(tasks), streams)
        level = mixture(
            owners=[None] * self.experts,
            gates=[(task_names[k], k, range(self.experts)) for k in tasks],
            layers=self.expert_layers,
            task_names=task_names,
            sources={None: shared},
            # Where tasks have embeddings of their own beside the shared ones, a task's gate selects from its own.
            gate_sources={k: input_stream(k, len(tasks), streams) for k in tasks},
        )
        return Wiring(levels=(level,), outputs=tuple(tasks))
