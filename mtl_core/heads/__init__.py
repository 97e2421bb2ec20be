"""Heads: tower outputs in, one logit and one loss per task out. One file each."""

from mtl_core.heads.base import HeadOptions

# The order is the order in which they are taught and listed.
from mtl_core.heads.independent import Independent  # isort: skip
from mtl_core.heads.esmm import ESMM  # isort: skip

__all__ = ["ESMM", "HeadOptions", "Independent"]
