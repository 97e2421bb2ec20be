"""Heads as modules."""

from mtl_core.nn.heads.base import Head, Output, joint_part
from mtl_core.nn.heads.counterfactual import DoublyRobustHead, InversePropensityHead, MirrorHead
from mtl_core.nn.heads.end_to_end import AITMHead, EndToEndHead
from mtl_core.nn.heads.esm2 import BranchingHead
from mtl_core.nn.heads.funnel import EntireSpaceHead
from mtl_core.nn.heads.independent import IndependentHead
from mtl_core.nn.heads.shallow_tower import ShallowTowerHead

__all__ = [
    "AITMHead",
    "BranchingHead",
    "DoublyRobustHead",
    "EndToEndHead",
    "EntireSpaceHead",
    "Head",
    "IndependentHead",
    "InversePropensityHead",
    "MirrorHead",
    "Output",
    "ShallowTowerHead",
    "joint_part",
]
