"""PEPNet: Chang et al., KDD 2023."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Gate, Level, Wiring, experts_of, input_stream

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.trunk import Trunk


@register("trunk", "pepnet", "PEPNet")
class PEPNet(TrunkOptions):
    """One network per task whose input and hidden units are scaled, row by row, by factors between 0 and 2.

    GateNU(v) = 2 sigmoid(W_2 relu(W_1 v)), which is 1 where the logits are 0. The embeddings: o = GateNU(sg(x)) x
    (EPNet). Every layer of every task: h^l = relu(W^l h^{l-1}) GateNU(sg(o)) (PPNet). sg() stops the gradient: what a
    gate reads is not trained through it.

    Our reading: the paper's gates also read features of the domain, the user, the item and its author on their own;
    here they read the embeddings of all features. The weights that are shown are the mean factors of a layer's units.
    """

    card: ClassVar[Card] = Card(
        problem="The same signal weighs differently for different people and places: scale it for each row instead of "
        "adding more networks.",
        formula=r"\mathrm{GateNU}(v) = 2\, \sigma(W_2\, \mathrm{relu}(W_1 v)), \quad "
        r"h^l = \mathrm{relu}(W^l h^{l-1}) \odot \mathrm{GateNU}(\mathrm{sg}(o))",
        paper="PEPNet: Parameter and Embedding Personalized Network for Infusing with Personalized Prior Information",
        authors="Chang et al.",
        year=2023,
        venue="KDD",
        reference="2302.01115",
    )

    layers: Layers = option((128, 64), "Hidden layer widths of each task's network", min_length=1)
    gate_hidden: int = option(16, "Hidden units of each gate", ge=1, le=1024)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        count = len(task_names)
        rows = [input_stream(k, count, streams) for k in range(count)]
        source: dict[int | None, int] = dict(enumerate(rows))
        gates = tuple(
            Gate(name=name, owner=k, source=rows[k], sees=(k,), kind="mix", modulates=True)
            for k, name in enumerate(task_names)
        )
        built = []
        for width in self.layers:
            experts = experts_of(range(count), task_names, source)
            built.append(Level(experts=experts, gates=gates, layers=(width,), selectors="encoder"))
            source = {k: k for k in range(count)}
        return Wiring(levels=tuple(built), outputs=tuple(range(count)))

    def parameters(self, task_names: Sequence[str], streams: int, width: int) -> int:
        hidden = self.gate_hidden
        networks = sum((a + 1) * b for a, b in itertools.pairwise((width, *self.layers)))
        gates = sum((width + 1) * hidden + (hidden + 1) * layer for layer in self.layers)
        return len(task_names) * (networks + gates) + streams * ((width + 1) * hidden + (hidden + 1) * width)

    def build(self, task_names: Sequence[str], streams: int, width: int, generator: torch.Generator) -> Trunk:
        from mtl_core.nn.pepnet import PEPNetTrunk

        return PEPNetTrunk(self.wire(task_names, streams), streams, width, self.gate_hidden, generator)
