"""What every loss balancer declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtl_core.options import Options

if TYPE_CHECKING:
    from mtl_core.balancing.rules import Balancer


class BalancerOptions(Options):
    """Options of a rule that turns the losses of one step into one weight per task."""

    def check(self, task_names: Sequence[str]) -> None:
        """Raise ValueError, in one sentence, if the options do not fit these tasks."""

    def build(self, task_names: Sequence[str]) -> Balancer:
        """The rule itself."""
        raise NotImplementedError
