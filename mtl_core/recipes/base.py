"""What every recipe declares."""

from __future__ import annotations

from typing import Any, ClassVar

from mtl_core.card import Card
from mtl_core.options import Options


class RecipeOptions(Options):
    """A published system as a composition of encoder, trunk, towers and head; and the data that show what it is for."""

    card: ClassVar[Card]
    #: The `data` part of a spec: a made world with the problem that the system was built for.
    suits: ClassVar[dict[str, Any]]
    #: Options for that world, where the published sizes would be far too large for it.
    sized: ClassVar[dict[str, Any]] = {}

    def model(self) -> dict[str, Any]:
        """The `model` part of a spec."""
        raise NotImplementedError

    def balancer(self) -> dict[str, Any] | None:
        """The `balancer` part of a spec, where the system has one of its own; a spec that names one overrules it."""
        return None


def private_networks(layers: tuple[int, ...], *, own_embeddings: bool = False) -> dict[str, Any]:
    """Trunk and towers of one network per task, on shared embeddings or on embeddings of each task's own.

    The last layers are towers, so that a head that wants two towers of one task parts them there.
    """
    first, rest = [layers[0]], list(layers[1:])
    if own_embeddings:
        return {"trunk": {"name": "single_task", "options": {"layers": first}}, "towers": rest}
    # CGC without shared experts: each task's gate sees its one private expert, and nothing else is built.
    alone = {"shared_experts": 0, "task_experts": 1, "expert_layers": first}
    return {"trunk": {"name": "cgc", "options": alone}, "towers": rest}
