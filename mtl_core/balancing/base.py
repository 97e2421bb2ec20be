"""What every loss balancer declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field

from mtl_core.options import Options

if TYPE_CHECKING:
    from mtl_core.balancing.rules import Balancer

#: A loss weight.
Weight = Annotated[float, Field(ge=0, le=1000)]


class BalancerOptions(Options):
    """Options of a rule that turns the losses of one step, or their gradients, into one weight per task."""

    #: What it computes, in LaTeX: g_k is the gradient of task k's loss L_k, w_k its weight, and d the step.
    formula: ClassVar[str]

    def each(self, field: str, tasks: int) -> float:
        """What each of so many tasks has in a per-task option that was not given."""
        return 1.0

    def values(self, field: str, tasks: int) -> tuple[float, ...]:
        """A per-task option, filled in."""
        given: tuple[float, ...] | None = getattr(self, field)
        return given if given is not None else (self.each(field, tasks),) * tasks

    def check(self, task_names: Sequence[str]) -> None:
        """Raise ValueError, in one sentence, if the options do not fit these tasks."""
        for field in self._per_task():
            given = getattr(self, field)
            if given is not None and len(given) != len(task_names):
                raise ValueError(
                    f"{field} has {len(given)} numbers for {len(task_names)} tasks ({', '.join(task_names)})."
                )

    def canonical(self, task_names: Sequence[str]) -> Self:
        return self.model_copy(update={field: self.values(field, len(task_names)) for field in self._per_task()})

    def build(self, task_names: Sequence[str]) -> Balancer:
        """The rule itself."""
        raise NotImplementedError

    def _per_task(self) -> list[str]:
        fields = ((name, field.json_schema_extra) for name, field in type(self).model_fields.items())
        return [name for name, extra in fields if isinstance(extra, dict) and "per_task" in extra]


def refuse_all_zero(field: str, values: Sequence[float] | None) -> None:
    """Raise ValueError if the weights are given and all of them are 0."""
    if values is not None and not any(values):
        raise ValueError(f"{field} are all 0: nothing would be trained.")
