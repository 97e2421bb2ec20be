"""What every configurable part of a model, data set or training run is described by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

#: Hidden layer widths of a multi-layer perceptron, from input to output.
Layers = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=8)]


class Options(BaseModel):
    """Options of one part: typed, bounded, described, frozen.

    The command line, the dashboard and the documentation all read the JSON schema of these classes; limits live here
    and nowhere else. Declarations import no torch, so a page can validate a spec, count parameters and draw an
    architecture without it; what needs torch is imported when something is built.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def canonical(self, task_names: Sequence[str]) -> Self:
        """The same options in the one way of writing them that a spec keeps, so that equal runs have equal specs."""
        return self


def option(default: Any, description: str, *, advanced: bool = False, per_task: bool = False, **limits: Any) -> Any:
    """A field of an `Options` class.

    `advanced` fields are shown under "more" in the dashboard; a `per_task` field holds one value per task.
    """
    extra: dict[str, Any] = {}
    if advanced:
        extra["advanced"] = True
    if per_task:
        extra["per_task"] = True
    return Field(default, description=description, json_schema_extra=extra or None, **limits)
