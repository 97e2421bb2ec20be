"""Sharing architectures: one file each, all of them wirings of one brick (`mtl_core.nn.experts.GatedExperts`)."""

from mtl_core.trunks.base import TrunkOptions

# The order is the order in which they are taught and listed.
from mtl_core.trunks.single_task import SingleTask  # isort: skip
from mtl_core.trunks.shared_bottom import SharedBottom  # isort: skip
from mtl_core.trunks.omoe import OMoE  # isort: skip
from mtl_core.trunks.mmoe import MMoE  # isort: skip
from mtl_core.trunks.cgc import CGC  # isort: skip
from mtl_core.trunks.ple import PLE  # isort: skip
from mtl_core.trunks.wiring import Expert, Gate, Level, Wiring

__all__ = [
    "CGC",
    "PLE",
    "Expert",
    "Gate",
    "Level",
    "MMoE",
    "OMoE",
    "SharedBottom",
    "SingleTask",
    "TrunkOptions",
    "Wiring",
]
