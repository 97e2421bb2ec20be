"""Loss balancers: per-task losses in, one weight per task out."""

from mtl_core.balancing.base import BalancerOptions
from mtl_core.balancing.static import Static

__all__ = ["BalancerOptions", "Static"]
