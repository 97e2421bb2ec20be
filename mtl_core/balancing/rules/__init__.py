"""The balancing rules themselves: pure functions of losses, Gramian and state, batched over leading dimensions."""

from mtl_core.balancing.rules.base import Balancer, State

__all__ = ["Balancer", "State"]
