"""Heads: tower outputs in, one logit and one loss per task out. One file each."""

from mtl_core.heads.base import HeadOptions
from mtl_core.heads.independent import Independent

__all__ = ["HeadOptions", "Independent"]
