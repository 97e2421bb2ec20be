"""What a table holds: features, tasks, and columns that no model may see."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FeatureKind = Literal["numeric", "categorical", "sequence"]
Role = Literal["user", "item", "context", "position"]
TaskKind = Literal["binary", "regression"]
Scaling = Literal["none", "standard", "quantile"]
#: Which metric a task of a kind is judged by, and the sign that makes "higher is better" of it.
PRIMARY: dict[str, tuple[str, float]] = {"binary": ("auc", 1.0), "regression": ("mse", -1.0)}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Feature(_Frozen):
    """One input column."""

    name: str
    kind: FeatureKind
    #: Whom the column describes. A position column says where an item was shown; it explains clicks, not liking.
    role: Role | None = None
    #: Known values of a categorical or sequence column; None: those of the training rows.
    categories: tuple[str, ...] | None = None
    #: A sequence column holds several values in one cell, oldest first, with this sign between them.
    separator: str = " "
    #: Values of a sequence that are kept: the latest ones.
    max_length: int = Field(20, ge=1, le=500)
    #: A sequence of ids may look its values up in the table of the categorical column of this name.
    table_of: str | None = None
    #: How a numeric column is scaled; the scaler is fitted on training rows only.
    scaling: Scaling = "standard"
    #: A numeric column may also be cut into this many bins, each with an embedding of its own, so that a model need not
    #: bend a straight line around a heavy tail. Edges: quantiles of the distinct values of the training rows.
    bins: int | None = Field(None, ge=2, le=1000)


class Task(_Frozen):
    """One label to be predicted.

    `space` names a boolean column that is true for the rows in the task's sample space (None: all rows). Loss and
    metrics are both taken there and nowhere else.
    """

    name: str
    kind: TaskKind = "binary"
    label: str
    space: str | None = None
    #: The task that must have happened first: a conversion comes after a click.
    after: str | None = None
    #: Hidden column with the true probability (or mean) of the label for *every* row, where the world is made. Models
    #: never see it; metrics named `...@all` are taken against it.
    truth: str | None = None
    description: str = ""
    #: How a regression label is scaled for training: seconds by the hundred would drown every other loss. The scale is
    #: fitted on training rows only; metrics are in the label's own units.
    scaling: Literal["none", "standard"] = "none"


class Schema(_Frozen):
    """Features and tasks of a table, in a fixed order, and the names of hidden columns (the truth of a made world)."""

    features: tuple[Feature, ...] = Field(min_length=1)
    tasks: tuple[Task, ...] = Field(min_length=1)
    hidden: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _no_leak(self) -> Schema:
        features = [feature.name for feature in self.features]
        tasks = [task.name for task in self.tasks]
        for what, group in (("feature", features), ("task", tasks)):
            if len(set(group)) != len(group):
                raise ValueError(f"Two {what}s have the same name.")
        reserved = sorted({"shared", "all tasks", "S"} & set(tasks))
        if reserved:
            raise ValueError(f"No task may be called {reserved[0]!r}: shared gates and experts have that name.")
        by_name = {feature.name: feature for feature in self.features}
        for feature in self.features:
            if feature.table_of is not None:
                other = by_name.get(feature.table_of)
                if feature.kind != "sequence" or other is None or other.kind != "categorical":
                    raise ValueError(
                        f"{feature.name}: table_of joins a sequence to a categorical feature, and "
                        f"{feature.table_of!r} is none."
                    )
        for place, task in enumerate(self.tasks):
            if task.after is not None and task.after not in tasks[:place]:
                raise ValueError(f"Task {task.name} comes after {task.after!r}, which must be a task before it.")
            if task.truth is not None and task.truth not in self.hidden:
                raise ValueError(f"The truth of task {task.name} must be a hidden column.")
        secret = {task.label for task in self.tasks} | {t.space for t in self.tasks if t.space} | set(self.hidden)
        leaks = sorted(secret & set(features))
        if leaks:
            raise ValueError(f"These columns are labels, sample spaces or hidden, so no feature: {', '.join(leaks)}.")
        return self

    @property
    def numeric(self) -> tuple[Feature, ...]:
        """The numeric features, in order."""
        return tuple(f for f in self.features if f.kind == "numeric")

    @property
    def categorical(self) -> tuple[Feature, ...]:
        """The categorical features, in order."""
        return tuple(f for f in self.features if f.kind == "categorical")

    @property
    def sequences(self) -> tuple[Feature, ...]:
        """The sequence features, in order."""
        return tuple(f for f in self.features if f.kind == "sequence")

    @property
    def fields(self) -> tuple[Feature, ...]:
        """The embedded fields, in order: the categorical features, then the binned numeric ones."""
        return self.categorical + tuple(f for f in self.numeric if f.bins is not None)

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks' names, in order."""
        return tuple(task.name for task in self.tasks)
