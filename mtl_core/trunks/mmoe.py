"""Multi-gate mixture of experts: Ma, Zhao, Yi, Chen, Hong, Chi, KDD 2018."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Wiring, input_stream, mixture

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.trunk import Trunk


@register("trunk", "mmoe", "MMoE")
class MMoE(TrunkOptions):
    """A common pool of experts, and one softmax gate per task that mixes them.

    f_k = sum_i w_ki(x) E_i(x), w_k = softmax(W_k x).

    With gate dropout (Zhao et al., RecSys 2019) each expert is left out of a gate's mix with this chance, row by row,
    and the weights of the others are scaled up to sum to one again; training only. Where all would go, one stays, so
    an expert is left out a little less often than the option says.
    """

    card: ClassVar[Card] = Card(
        problem="Tasks that differ need different mixes of the same experts: each task gets a gate of its own.",
        formula=r"f_k(x) = \sum_i w_{k,i}(x)\, E_i(x), \quad w_k(x) = \mathrm{softmax}(W_k x), \quad z_k = h_k(f_k(x))",
        paper="Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts",
        authors="Ma, Zhao, Yi, Chen, Hong, Chi",
        year=2018,
        venue="KDD",
        reference="10.1145/3219819.3220007",
    )

    experts: int = option(8, "Experts, all shared", ge=1, le=64)
    expert_layers: Layers = option((64, 32), "Hidden layer widths of each expert", min_length=1)
    gate_dropout: float = option(
        0.0,
        "Chance that an expert is left out of a gate's mix while training, against gates that settle on one",
        ge=0,
        le=0.9,
    )

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

    def build(self, task_names: Sequence[str], streams: int, width: int, generator: torch.Generator) -> Trunk:
        from mtl_core.nn.mixture import MixtureTrunk

        return MixtureTrunk(self.wire(task_names, streams), width, generator, self.gate_dropout)
