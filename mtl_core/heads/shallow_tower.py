"""Shallow tower: Zhao, Hong, Wei, Chen, Nath, Andrews, Kumthekar, Sathiamoorthy, Yi, Chi, RecSys 2019 (YouTube)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import Field, JsonValue, model_validator

from mtl_core import registry
from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.heads.base import HeadOptions
from mtl_core.heads.meeting import Joint, Meeting
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Schema, Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head

NAME = "shallow_tower"


def _offer_heads(schema: dict[str, Any]) -> None:
    schema["enum"] = [name for name in registry.names("head") if name != NAME]


@register("head", NAME)
class ShallowTower(HeadOptions):
    """Position explains a click apart from the rest of the model: a linear term of its own, added to the logit.

    The encoder does not see position columns. The term reads them one-hot, and with `cross_context` position times each
    context column; it is added before the sigmoid, to the towers of binary tasks, never to a regression. While training
    a row's positions are dropped with probability `drop`; when the model serves or is evaluated they are always treated
    as missing, and so is a position that no training row had: the term is 0. Everything else is the head inside.

    The data must have a position column: `position_feature` of `video_feed` (on at its start) and `funnel` (off).
    """

    card: ClassVar[Card] = Card(
        problem="What stands at the top is clicked more, good or not; a model that is not told learns it as taste, and "
        "one that is told cannot say what it would be worth elsewhere.",
        formula=r"p_k = \sigma\big(z_k(x) + w_k^\top \mathrm{onehot}(\mathrm{position})\big), \quad "
        r"\text{without } w_k \text{ when serving}",
        paper="Recommending What Video to Watch Next: A Multitask Ranking System",
        authors="Zhao, Hong, Wei, Chen, Nath, Andrews, Kumthekar, Sathiamoorthy, Yi, Chi",
        year=2019,
        venue="RecSys",
        reference="10.1145/3298689.3346997",
    )

    inner: Annotated[str, Field(json_schema_extra=_offer_heads)] = Field(
        "independent", description="The head that the term is added to"
    )
    inner_options: dict[str, JsonValue] = option({}, "Options of that head", advanced=True)
    drop: float = option(0.1, "Probability that a training row's positions are dropped", ge=0, lt=1)
    cross_context: bool = option(False, "Position times each context column, too", advanced=True)
    tasks: Literal["binary", "first steps"] = option(
        "binary", "All binary tasks, or only those that come after no other, such as clicks", advanced=True
    )

    @model_validator(mode="after")
    def _inner_is_a_head(self) -> Self:
        from mtl_core.spec import options_problem

        if self.inner == NAME:
            raise ValueError("a shallow tower holds no other shallow tower: choose another inner head.")
        part = registry.get("head", self.inner)
        problem = options_problem(part, self.inner_options)
        if problem is not None:
            raise ValueError(f"inner_options of {self.inner}: {problem}")
        # Every option written out, as in a part of its own: equal runs have equal specs.
        options = part.model_validate(self.inner_options).model_dump(mode="json")
        object.__setattr__(self, "inner_options", options)
        return self

    @property
    def head(self) -> HeadOptions:
        """The head inside."""
        return cast(HeadOptions, registry.get("head", self.inner).model_validate(self.inner_options))

    @property
    def vectors(self) -> bool:
        return self.head.vectors

    def canonical(self, task_names: Sequence[str]) -> Self:
        options = self.head.canonical(task_names).model_dump(mode="json")
        return self.model_copy(update={"inner_options": options})

    def check(self, schema: Schema) -> None:
        if not any(feature.role == "position" for feature in schema.fields):
            raise ValueError(
                "a shallow tower needs a categorical (or binned) column of role position, and the data has none; "
                "made worlds show theirs with position_feature."
            )
        if self.cross_context and not any(feature.role == "context" for feature in schema.fields):
            raise ValueError("cross_context needs a categorical column of role context, and the data has none.")
        if not self.served(schema.tasks):
            raise ValueError("a shallow tower is added to binary tasks, and none of the tasks is binary.")
        self.head.check(schema)

    def served(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        """Places of the tasks that the term is added to."""
        chosen = (k for k, task in enumerate(tasks) if task.kind == "binary")
        return tuple(k for k in chosen if self.tasks == "binary" or tasks[k].after is None)

    def towers(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        return self.head.towers(tasks)

    def predictors(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        return self.head.predictors(tasks)

    def meeting(self, tasks: Sequence[Task]) -> Meeting:
        inner, served = self.head.meeting(tasks), set(self.served(tasks))
        reads = tuple(j for j in self.predictors(tasks) if inner.towers[j].task in served)
        return replace(inner, joints=(*inner.joints, Joint("position", reads)))

    def hides_positions(self) -> bool:
        return True

    def tables(self, columns: Columns) -> tuple[tuple[int, int | None, int], ...]:
        """Per one-hot term: the place of its position field, of the context field that it is crossed with, and rows.

        The row of an unknown position is not among them: it is a missing one.
        """
        positions = [i for i, field in enumerate(columns.fields) if field.role == "position"]
        context = [i for i, f in enumerate(columns.fields) if f.role == "context"] if self.cross_context else []
        known = {i: columns.fields[i].rows - 1 for i in positions}
        alone: list[tuple[int, int | None, int]] = [(i, None, known[i]) for i in positions]
        crossed = [(i, j, known[i] * columns.fields[j].rows) for i in positions for j in context]
        return (*alone, *crossed)

    def parameters(self, tasks: Sequence[Task], columns: Columns, width: int) -> int:
        weights = len(self.served(tasks)) * sum(rows for *_, rows in self.tables(columns))
        return weights + self.head.parameters(tasks, columns, width)

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        from mtl_core.nn.heads import ShallowTowerHead

        served, reads = self.served(tasks), self.towers(tasks)
        predictors = set(self.predictors(tasks))
        terms = [served.index(k) if j in predictors and k in served else None for j, k in enumerate(reads)]
        inner = self.head.build(tasks, columns, width, generator)
        return ShallowTowerHead(inner, self.tables(columns), terms, columns, self.drop, generator)
