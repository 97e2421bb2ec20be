"""What can be said of a gate from its summary alone: how sharply it chooses, and whether rows choose alike. No torch.

Of weights that are a distribution over the experts a gate may see. Two entropies are told apart because either alone
misleads: that of each row, averaged, is low where single rows choose sharply; that of the mean weights is low where all
rows choose the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mtl_core.events import GateSummary
from mtl_core.trunks.wiring import Gate

#: A row is polarised where one expert has more than this weight. Our threshold; YouTube's paper (2019) gives none.
POLARISED = 0.9


@dataclass(frozen=True)
class GateMeasures:
    """One gate that chooses between m experts."""

    #: Mean weight of each expert of the level, in the wiring's order; 0 for those that it may not see.
    utilisation: tuple[float, ...]
    #: Mean over rows of each row's entropy over log m: 0 one expert per row, 1 all alike in every row.
    row_entropy: float
    #: Entropy of the mean weights over log m: 0 the same expert for all rows, 1 all experts used alike.
    mean_entropy: float
    #: exp of the mean row entropy in nats: how many experts a row uses.
    effective: float
    #: Share of rows in which one expert has more than `POLARISED`.
    polarised: float
    #: Places of the experts whose mean weight is below a tenth of an equal share.
    idle: tuple[int, ...]


def entropy(weights: Sequence[float]) -> float:
    """-sum w log w in nats of weights that sum to 1."""
    return -math.fsum(w * math.log(w) for w in weights if w > 0)


def normalised_entropy(weights: Sequence[float]) -> float:
    """Entropy over log m, 0..1; 0 for a single weight."""
    return entropy(weights) / math.log(len(weights)) if len(weights) > 1 else 0.0


def measures(gate: Gate, summary: GateSummary) -> GateMeasures | None:
    """Of a gate that chooses; None where it has no choice, or where its weights are no distribution."""
    if not gate.chooses or summary.entropy is None:
        return None
    most = math.log(len(gate.sees))
    seen = [max(summary.mean[e], 0.0) for e in gate.sees]
    rows = sum(summary.histogram[gate.sees[0]])
    bins = len(summary.histogram[0])
    first = math.ceil(POLARISED * bins - 1e-9)
    # At most one weight of a row is above a half, so no row is counted twice.
    sharp = sum(sum(summary.histogram[e][first:]) for e in gate.sees)
    return GateMeasures(
        utilisation=tuple(summary.mean),
        row_entropy=summary.entropy / most,
        mean_entropy=normalised_entropy(seen),
        effective=math.exp(summary.entropy),
        polarised=sharp / rows if rows else 0.0,
        idle=tuple(e for e in gate.sees if summary.mean[e] < 0.1 / len(gate.sees)),
    )
