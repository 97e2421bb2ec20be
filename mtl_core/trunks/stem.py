"""Shared and task-specific embeddings: Su, Pan, Wang, Xiao, Quan, Chen, Jiang, AAAI 2024."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mtl_core.card import Card
from mtl_core.encoders.base import EmbeddingSharing
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.cgc import ExtractionOptions, TaskExperts, owners_of, private_counts
from mtl_core.trunks.wiring import Gate, Level, Wiring, experts_of, input_stream


@register("trunk", "stem", "STEM")
class STEM(ExtractionOptions):
    """Embeddings of each task's own beside shared ones; gates see all experts, but train only own and shared ones.

    Task k's experts read x_k, shared ones x_s. h_k = softmax(W_k (x_k + x_s)) [E_k, E_s, sg(E_j) for j != k], where
    sg() stops the gradient; the shared gate softmax(W_s x_s) sees all experts and stops none. Stacked as in PLE: the
    next level reads h_k and h_s, and the last has no shared gate.
    """

    card: ClassVar[Card] = Card(
        problem="Tasks that want different neighbours for the same item cannot share its embedding: give each task a "
        "table of its own, which only its own loss shapes.",
        formula=r"h_k = \mathrm{softmax}(W_k (x_k + x_s))\, [E_k(x_k),\, E_s(x_s),\, \mathrm{sg}(E_{j \ne k}(x_j))]",
        paper="STEM: Unleashing the Power of Embeddings for Multi-task Recommendation",
        authors="Su, Pan, Wang, Xiao, Quan, Chen, Jiang",
        year=2024,
        venue="AAAI",
        reference="2308.13537",
    )
    embeddings: ClassVar[EmbeddingSharing | None] = "both"

    shared_experts: int = option(1, "Experts on the shared embeddings, per level", ge=1, le=32)
    task_experts: TaskExperts = option(1, "Experts on each task's own embeddings, per level")
    levels: int = option(1, "Extraction levels", ge=1, le=6)
    expert_layers: Layers = option((64, 32), "Hidden layer widths of each expert", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        count = len(task_names)
        private = private_counts(task_names, self.task_experts)
        if 0 in private:
            raise ValueError(
                f"Task {task_names[private.index(0)]} needs an expert for its own embeddings: raise task_experts."
            )
        owners = owners_of(private, self.shared_experts)
        everyone = tuple(range(len(owners)))
        units = [*range(count), None]
        source = {unit: input_stream(unit, count, streams) for unit in units}
        built = []
        for level in range(self.levels):
            gates = [
                Gate(
                    name=name,
                    owner=k,
                    source=source[k],
                    beside=source[None],
                    sees=everyone,
                    detached=tuple(e for e in everyone if owners[e] not in (k, None)),
                )
                for k, name in enumerate(task_names)
            ]
            if level < self.levels - 1:
                gates.append(Gate(name="shared", owner=None, source=source[None], sees=everyone))
            experts = experts_of(owners, task_names, source)
            built.append(Level(experts=experts, gates=tuple(gates), layers=tuple(self.expert_layers)))
            source = {**{k: k for k in range(count)}, None: count}
        return Wiring(levels=tuple(built), outputs=tuple(range(count)))
