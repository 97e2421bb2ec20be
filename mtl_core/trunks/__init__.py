"""Sharing architectures, one file each. Most are wirings of one brick (`mtl_core.nn.experts.GatedExperts`)."""

from mtl_core.trunks.base import TrunkOptions

# The order is the order in which they are taught and listed.
from mtl_core.trunks.single_task import SingleTask  # isort: skip
from mtl_core.trunks.shared_bottom import SharedBottom  # isort: skip
from mtl_core.trunks.soft_sharing import SoftSharing  # isort: skip
from mtl_core.trunks.cross_stitch import CrossStitch  # isort: skip
from mtl_core.trunks.sluice import Sluice  # isort: skip
from mtl_core.trunks.asymmetric import Asymmetric  # isort: skip
from mtl_core.trunks.customized import Customized  # isort: skip
from mtl_core.trunks.omoe import OMoE  # isort: skip
from mtl_core.trunks.mmoe import MMoE  # isort: skip
from mtl_core.trunks.ml_mmoe import MLMMoE  # isort: skip
from mtl_core.trunks.cgc import CGC  # isort: skip
from mtl_core.trunks.ple import PLE  # isort: skip
from mtl_core.trunks.adatt import AdaTT  # isort: skip
from mtl_core.trunks.stem import STEM  # isort: skip
from mtl_core.trunks.snr import SNR  # isort: skip
from mtl_core.trunks.dselect_k import DSelectK  # isort: skip
from mtl_core.trunks.pepnet import PEPNet  # isort: skip
from mtl_core.trunks.wiring import Expert, Gate, Level, Wiring

__all__ = [
    "CGC",
    "PLE",
    "SNR",
    "STEM",
    "AdaTT",
    "Asymmetric",
    "CrossStitch",
    "Customized",
    "DSelectK",
    "Expert",
    "Gate",
    "Level",
    "MLMMoE",
    "MMoE",
    "OMoE",
    "PEPNet",
    "SharedBottom",
    "SingleTask",
    "Sluice",
    "SoftSharing",
    "TrunkOptions",
    "Wiring",
]
