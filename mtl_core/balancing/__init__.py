"""Loss balancers: the losses of one step, or their gradients, in; one weight per task out.

The options classes are here and import no torch; the rules themselves are in `mtl_core.balancing.rules`.
"""

from mtl_core.balancing.base import BalancerOptions
from mtl_core.balancing.combine import combine

# The order is the order in which they are taught and listed.
from mtl_core.balancing.static import Decay, Static  # isort: skip
from mtl_core.balancing.learned import FAMO, GradNorm, IMTLL, Uncertainty, UncertaintyPositive  # isort: skip
from mtl_core.balancing.losses import DWA, GLS, RLW  # isort: skip
from mtl_core.balancing.min_norm import EPO, MGDA, PELTR  # isort: skip
from mtl_core.balancing.surgery import GradDrop, GradVac, PCGrad  # isort: skip
from mtl_core.balancing.directions import AlignedMTL, CAGrad, IMTLG, NashMTL, UPGrad  # isort: skip

__all__ = [
    "DWA",
    "EPO",
    "FAMO",
    "GLS",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "PELTR",
    "RLW",
    "AlignedMTL",
    "BalancerOptions",
    "CAGrad",
    "Decay",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "NashMTL",
    "PCGrad",
    "Static",
    "UPGrad",
    "Uncertainty",
    "UncertaintyPositive",
    "combine",
]
