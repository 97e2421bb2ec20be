"""Heads as modules, one file each."""

from mtl_core.nn.heads.base import Head, Output
from mtl_core.nn.heads.independent import IndependentHead

__all__ = ["Head", "IndependentHead", "Output"]
