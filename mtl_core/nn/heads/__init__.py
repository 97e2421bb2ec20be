"""Heads as modules."""

from mtl_core.nn.heads.base import Head, Output, joint_part
from mtl_core.nn.heads.funnel import EntireSpaceHead
from mtl_core.nn.heads.independent import IndependentHead

__all__ = ["EntireSpaceHead", "Head", "IndependentHead", "Output", "joint_part"]
