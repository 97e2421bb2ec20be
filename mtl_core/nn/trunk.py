"""What every trunk module is."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from mtl_core.trunks.wiring import Wiring

#: One representation per task: [K, B, H], or [B, H_k] each where the tasks' widths differ.
Representations = Tensor | tuple[Tensor, ...]


class Trunk(nn.Module):
    """Streams x_SBD in; one representation per task, and gates by name, out."""

    #: Width of each task's representation.
    widths: tuple[int, ...]
    #: Whose picture it is: every gate of it has its weights among the gates that `forward` returns.
    wiring: Wiring
    #: Uniform random numbers per row that training wants; they come in from outside, so that a step is a function.
    noise: int = 0

    @abstractmethod
    def forward(self, x_SBD: Tensor, noise_BN: Tensor | None = None) -> tuple[Representations, dict[str, Tensor]]:
        """Representations; gates as {"level 1 / click": [B, E], ...}.

        Args:
            x_SBD: the encoder's streams.
            noise_BN: uniform numbers in 0..1 while training, None otherwise.
        """

    def penalty(self) -> Tensor | None:
        """What the parameters themselves cost, added to the sum of the weighted losses; None: nothing."""
        return None


def sources_of(wiring: Wiring) -> list[int]:
    """The streams that the experts of the first level read; one where all read the same, which is cheaper to run."""
    sources = [expert.source for expert in wiring.levels[0].experts]
    return sources[:1] if len(set(sources)) == 1 else sources
