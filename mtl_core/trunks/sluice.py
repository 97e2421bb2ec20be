"""Sluice networks: Ruder, Bingel, Augenstein, Sogaard, arXiv 1705.08142."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Expert, Gate, Level, Wiring, input_stream

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.trunk import Trunk


@register("trunk", "sluice")
class Sluice(TrunkOptions):
    """Cross-stitch on parts of each layer, and a learned mix of the layers for the tower.

    Each task's layer is cut into subspaces; h~ = A^l h over the subspaces of all tasks, joined again per task; the
    tower of task k reads sum_l b_kl h~_k^l. A penalty c sum ||W_s^T W_t||_F^2 over the pairs of subspaces of each
    layer and task keeps them apart. The levels of the picture are the layers, with A as gates, and a last one for b.
    """

    card: ClassVar[Card] = Card(
        problem="Not whole layers are worth sharing but parts of them, and not every task wants the deepest layer: "
        "learn both.",
        formula=r"\tilde{h}^l = A^l h^l, \quad r_k = \sum_l \beta_{kl}\, \tilde{h}_k^l, \quad "
        r"L = \sum_k L_k + c \sum \lVert W_1^\top W_2 \rVert_F^2",
        paper="Sluice networks: Learning what to share between loosely related tasks",
        authors="Ruder, Bingel, Augenstein, Sogaard",
        year=2017,
        venue="arXiv",
        reference="1705.08142",
    )

    width: int = option(64, "Width of every layer of each task's network", ge=1, le=4096)
    levels: int = option(2, "Layers of each task's network", ge=1, le=6)
    subspaces: int = option(2, "Parts that each layer is cut into", ge=1, le=4)
    orthogonality: float = option(0.001, "How strongly a layer's parts are kept apart (c)", ge=0, le=100)
    own: float = option(
        0.9, "Weight of a part on itself at the start; the others share the rest", ge=0, le=1, advanced=True
    )

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        if self.width % self.subspaces:
            raise ValueError(f"width must be a multiple of subspaces, and {self.width} is none of {self.subspaces}.")
        count, parts = len(task_names), range(self.subspaces)
        named = [
            (f"{name} {s + 1}" if self.subspaces > 1 else name, k) for k, name in enumerate(task_names) for s in parts
        ]
        everyone = tuple(range(len(named)))
        #: The gates of each task's parts, which its next layer reads side by side.
        of_task = [tuple(k * self.subspaces + s for s in parts) for k in range(count)]
        built = []
        for level in range(self.levels):
            experts = tuple(
                Expert(name=name, owner=k, source=input_stream(k, count, streams))
                if level == 0
                else Expert(name=name, owner=k, source=of_task[k][0], also=of_task[k][1:])
                for name, k in named
            )
            gates = tuple(
                Gate(name=name, owner=k, source=e, sees=everyone, kind="mix") for e, (name, k) in enumerate(named)
            )
            built.append(Level(experts=experts, gates=gates, layers=(self.width // self.subspaces,)))
        if self.levels == 1:
            return Wiring(levels=tuple(built), outputs=tuple(of_task))
        layers = tuple(
            Expert(name=f"{name} layer {at}", owner=k, source=of_task[k][0], also=of_task[k][1:], level=at)
            for k, name in enumerate(task_names)
            for at in range(1, self.levels + 1)
        )
        gates = tuple(
            Gate(
                name=name,
                owner=k,
                source=of_task[k][0],
                sees=tuple(range(k * self.levels, (k + 1) * self.levels)),
                kind="mix",
            )
            for k, name in enumerate(task_names)
        )
        built.append(Level(experts=layers, gates=gates, layers=(self.width,)))
        return Wiring(levels=tuple(built), outputs=tuple(range(count)))

    def parameters(self, task_names: Sequence[str], streams: int, width: int) -> int:
        count, layers = len(task_names), self.levels
        networks = count * self.width * ((width + 1) + (layers - 1) * (self.width + 1))
        parts = count * self.subspaces
        return networks + (layers * parts**2 if parts > 1 else 0) + (count * layers if layers > 1 else 0)

    def build(self, task_names: Sequence[str], streams: int, width: int, generator: torch.Generator) -> Trunk:
        from mtl_core.nn.sluice import SluiceTrunk

        return SluiceTrunk(self, self.wire(task_names, streams), len(task_names), width, generator)
