"""Multi-level MMoE: the control for depth alone of Tang, Liu, Zhao, Gong, RecSys 2020."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.registry import register
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Expert, Gate, GateKind, Level, Wiring, input_stream


def stacked_pool(
    task_names: Sequence[str], streams: int, experts: int, layers: Sequence[int], levels: int, kind: GateKind
) -> Wiring:
    """Levels of one pool of experts each: every expert has a mix of its own of the level below, and so has every tower.

    Softmax gates select from the encoder's streams on every level.
    """
    count = len(task_names)
    shared = input_stream(None, count, streams)
    everyone = tuple(range(experts))
    built = []
    for level in range(levels):
        if level < levels - 1:
            gates = [Gate(name=f"next S{e + 1}", owner=None, source=shared, sees=everyone, kind=kind) for e in everyone]
        else:
            gates = [
                Gate(name=name, owner=k, source=input_stream(k, count, streams), sees=everyone, kind=kind)
                for k, name in enumerate(task_names)
            ]
        built.append(
            Level(
                experts=tuple(
                    Expert(name=f"S{e + 1}", owner=None, source=shared if level == 0 else e) for e in everyone
                ),
                gates=tuple(gates),
                layers=tuple(layers),
                selectors="encoder",
            )
        )
    return Wiring(levels=tuple(built), outputs=tuple(range(count)))


@register("trunk", "ml_mmoe", "ML-MMoE")
class MLMMoE(TrunkOptions):
    """MMoE on several levels: each expert reads a gated mix of the level below; every gate selects from the raw input.

    u_i^j = E_i^j(v_i^{j-1}), v_i^j = sum_e w_ie^j(x) u_e^j, w_i^j = softmax(W_i^j x); task k's tower reads v_k of the
    last level.
    """

    card: ClassVar[Card] = Card(
        problem="Is it depth that helps, or keeping private and shared experts apart? MMoE with more levels tells.",
        formula=r"f_i^j = \sum_e w_{i,e}^j(x)\, E_e^j(f_e^{j-1}), \quad w_i^j = \mathrm{softmax}(W_i^j x)",
        paper="Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized "
        "Recommendations",
        authors="Tang, Liu, Zhao, Gong",
        year=2020,
        venue="RecSys",
        reference="10.1145/3383313.3412236",
    )

    levels: int = option(2, "Levels of experts; one level is MMoE", ge=1, le=6)
    experts: int = option(4, "Experts per level, all shared", ge=1, le=64)
    expert_layers: Layers = option((64,), "Hidden layer widths of each expert", min_length=1)

    def wire(self, task_names: Sequence[str], streams: int) -> Wiring:
        return stacked_pool(task_names, streams, self.experts, self.expert_layers, self.levels, "softmax")
