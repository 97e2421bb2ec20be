"""Heads: tower outputs in, one logit and one loss per task out. One file each."""

from mtl_core.heads.base import HeadOptions

# The order is the order in which they are taught and listed.
from mtl_core.heads.independent import Independent  # isort: skip
from mtl_core.heads.division import Division  # isort: skip
from mtl_core.heads.esmm import ESMM  # isort: skip
from mtl_core.heads.esm2 import ESM2  # isort: skip
from mtl_core.heads.aitm import AITM  # isort: skip
from mtl_core.heads.escm2 import ESCM2DR, ESCM2IPS  # isort: skip
from mtl_core.heads.dcmt import DCMT  # isort: skip
from mtl_core.heads.shallow_tower import ShallowTower  # isort: skip

__all__ = [
    "AITM",
    "DCMT",
    "ESCM2DR",
    "ESCM2IPS",
    "ESM2",
    "ESMM",
    "Division",
    "HeadOptions",
    "Independent",
    "ShallowTower",
]
