"""RunSpec: everything that decides a run's numbers, validated, frozen, and the same as JSON.

Importing this module does not import torch: the dashboard validates specs with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from mtl_core import registry
from mtl_core.balancing.base import BalancerOptions
from mtl_core.data.base import DatasetOptions
from mtl_core.encoders.base import EncoderOptions
from mtl_core.heads.base import HeadOptions
from mtl_core.heads.meeting import Meeting
from mtl_core.options import Layers, Options, option
from mtl_core.schema import Schema
from mtl_core.trunks.wiring import Wiring


class SpecError(ValueError):
    """A spec that cannot be run. The message is one line that names the fields, the problems and the choices.

    Args:
        problems: one or several sentences, each after the path of its field: `training.epochs: must be ...`.
    """

    def __init__(self, *problems: str) -> None:
        #: The same one by one, for whoever shows them apart.
        self.problems = tuple(_printable(problem) for problem in problems)
        super().__init__(" ".join(self.problems))


def _printable(text: str) -> str:
    """Names and values come from whoever wrote the spec: no line break and no control character gets through."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Nested(ValueError):
    """Carries the errors of a part's options up through the spec that holds them."""

    def __init__(self, error: ValidationError, part: type[Options]) -> None:
        super().__init__(str(error))
        self.error = error
        self.part = part


class PartSpec(BaseModel):
    """A part by name, with its options. After validation `options` holds every option, defaults filled in."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))
    kind: ClassVar[str]

    name: str
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _resolve(self) -> PartSpec:
        kind = registry.get(self.kind, self.name)
        try:
            part = kind.model_validate(self.options)
        except ValidationError as error:
            raise _Nested(error, kind) from error
        object.__setattr__(self, "options", part.model_dump(mode="json"))
        return self

    @cached_property
    def part(self) -> Options:
        """The options as an object."""
        return registry.get(self.kind, self.name).model_validate(self.options)


class DataSpec(PartSpec):
    """Which data set, and its options."""

    kind: ClassVar[str] = "dataset"
    name: str = "conflict"


class EncoderSpec(PartSpec):
    """Which encoder, and its options."""

    kind: ClassVar[str] = "encoder"
    name: str = "embedding"


class TrunkSpec(PartSpec):
    """Which trunk, and its options."""

    kind: ClassVar[str] = "trunk"
    name: str = "mmoe"


class HeadSpec(PartSpec):
    """Which head, and its options."""

    kind: ClassVar[str] = "head"
    name: str = "independent"


class BalancerSpec(PartSpec):
    """Which loss balancer, and its options."""

    kind: ClassVar[str] = "balancer"
    name: str = "static"


class ModelSpec(BaseModel):
    """Encoder, trunk, towers and head; or a recipe, which is a named composition of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: EncoderSpec = Field(default_factory=EncoderSpec)
    trunk: TrunkSpec = Field(default_factory=TrunkSpec)
    towers: Layers = Field((16,), description="Hidden layer widths of each task's tower; none means a linear tower")
    head: HeadSpec = Field(default_factory=HeadSpec)

    @model_validator(mode="before")
    @classmethod
    def _expand_recipe(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "recipe" not in value:
            return value
        if set(value) - {"recipe", "options"}:
            raise ValueError("a recipe names the whole model: give either 'recipe' or encoder, trunk, towers and head.")
        kind = registry.get("recipe", str(value["recipe"]))
        try:
            recipe = kind.model_validate(value.get("options", {}))
        except ValidationError as error:
            raise _Nested(error, kind) from error
        return cast(Any, recipe).model()


class TrainingSpec(Options):
    """The budget and how it is spent; the same for every model that is compared."""

    epochs: int = option(10, "Passes over the training rows", ge=1, le=1000)
    batch_size: int = option(512, "Rows per step", ge=1, le=65536)
    learning_rate: float = option(0.002, "Step size of the optimiser", gt=0, le=1)
    optimizer: Literal["adam", "adamw", "sgd"] = option("adam", "Optimiser", advanced=True)
    weight_decay: float = option(0.0, "Weight decay", ge=0, le=1, advanced=True)
    patience: int | None = option(
        None,
        "Stop after so many epochs without a better validation score; none: never",
        ge=1,
        le=1000,
        advanced=True,
    )
    selection: Literal["best", "last"] = option(
        "best", "Which epoch is tested: the best mean validation score over tasks, or the last", advanced=True
    )
    own_parameters: Literal["as published", "weighted", "unweighted"] = option(
        "as published",
        "Do loss weights act on parameters of one task alone? Published rules that combine gradients say no",
        advanced=True,
    )
    precision: Literal["float32", "bfloat16"] = option(
        "float32", "Numbers in matrix products; bfloat16 pays on recent GPUs", advanced=True
    )
    device: str = option(
        "auto",
        "auto takes cuda, else mps, else cpu",
        advanced=True,
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$",
    )


class RunSpec(BaseModel):
    """One training run. Two runs with equal specs on the same device give the same numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    data: DataSpec = Field(default_factory=DataSpec)
    model: ModelSpec = Field(default_factory=ModelSpec)
    balancer: BalancerSpec = Field(default_factory=BalancerSpec)
    training: TrainingSpec = Field(default_factory=TrainingSpec)
    #: A finished run of the same model to start from instead of random weights: its folder, or its id in the run store.
    init_from: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    #: Draws the made world or the split, the start values and the order of the batches.
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @classmethod
    def parse(cls, value: object) -> RunSpec:
        """A spec from JSON-like data, or a clear one-line `SpecError`."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise SpecError(*problems(error)) from error

    @model_validator(mode="before")
    @classmethod
    def _recipes_bring_their_balancer(cls, value: Any) -> Any:
        model = value.get("model") if isinstance(value, Mapping) else None
        if not isinstance(model, Mapping) or "recipe" not in model or "balancer" in value:
            return value
        try:
            kind = registry.get("recipe", str(model["recipe"]))
            balancer = cast(Any, kind.model_validate(model.get("options", {}))).balancer()
        except ValueError:
            return value  # the model itself will say what is wrong with its recipe
        return value if balancer is None else {**value, "balancer": balancer}

    @model_validator(mode="after")
    def _fits_together(self) -> RunSpec:
        tasks = self.schema.task_names

        def wire() -> None:
            if self.wiring.reads != frozenset(range(self.streams)):
                # Tables that no loss reaches would only swell the parameter count.
                raise ValueError(
                    f"{self.model.trunk.name} with these options does not read embeddings of every task's own beside "
                    f"the shared ones: set embedding_sharing to 'shared'."
                )

        balancer = cast(BalancerOptions, self.balancer.part)
        encoder, head = cast(EncoderOptions, self.model.encoder.part), cast(HeadOptions, self.model.head.part)

        def towers() -> None:
            if head.vectors and not self.model.towers:
                raise ValueError(f"{self.model.head.name} reads the towers' last hidden layer: give them at least one.")

        checks: dict[str, Callable[[], None]] = {
            "balancer.options": lambda: balancer.check(tasks),
            "model.encoder": lambda: encoder.check(self.schema),
            "model.head": lambda: head.check(self.schema),
            "model.towers": towers,
            "model.trunk.options": wire,
        }
        for where, check in checks.items():
            try:
                check()
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
        self._canonicalise(tasks)
        return self

    def _canonicalise(self, tasks: Sequence[str]) -> None:
        """Write options that mean the same in the same way: equal runs have equal specs."""
        balancer, trunk = self.balancer, self.model.trunk
        options = balancer.part.canonical(tasks).model_dump(mode="json")
        object.__setattr__(self, "balancer", BalancerSpec(name=balancer.name, options=options))
        options = trunk.part.canonical(tasks).model_dump(mode="json")
        encoder = self.model.encoder
        if cast(Any, trunk.part).embeddings is not None:
            # Such a trunk has its way whatever the encoder says.
            encoder = EncoderSpec(name=encoder.name, options={**encoder.options, "embedding_sharing": "shared"})
        head = HeadSpec(
            name=self.model.head.name, options=self.model.head.part.canonical(tasks).model_dump(mode="json")
        )
        trunk = TrunkSpec(name=trunk.name, options=options)
        model = self.model.model_copy(update={"trunk": trunk, "encoder": encoder, "head": head})
        object.__setattr__(self, "model", model)

    @cached_property
    def schema(self) -> Schema:  # type: ignore[override]  # pydantic's own `schema` is deprecated
        """Features and tasks of the data."""
        return cast(DatasetOptions, self.data.part).table_schema()

    @cached_property
    def streams(self) -> int:
        """Streams that the encoder gives the trunk."""
        encoder, trunk = cast(Any, self.model.encoder.part), cast(Any, self.model.trunk.part)
        return int(encoder.streams(len(self.schema.tasks), trunk.embeddings))

    @cached_property
    def wiring(self) -> Wiring:
        """Who reads what and who may mix whom; a ValueError where encoder and trunk do not fit."""
        return cast(Wiring, cast(Any, self.model.trunk.part).wire(self.schema.task_names, self.streams))

    @cached_property
    def meeting(self) -> Meeting:
        """What the head computes from several towers."""
        return cast(HeadOptions, self.model.head.part).meeting(self.schema.tasks)

    def to_json(self) -> dict[str, Any]:
        """As JSON data, every option written out."""
        return self.model_dump(mode="json")

    def with_seed(self, seed: int) -> RunSpec:
        """The same with another seed, without reading it all again; data and wiring are shared."""
        self.schema  # noqa: B018  # worked out once, and copied
        copy = self.model_copy(update={"seed": seed})
        copy.__dict__.pop("key", None)
        return copy

    @cached_property
    def key(self) -> str:
        """Equal for equal specs, whatever was left to defaults."""
        return fingerprint(self.to_json())


def fingerprint(value: object) -> str:
    """A short stable hash of JSON data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def problems(error: ValidationError) -> list[str]:
    """The problems of a `RunSpec`'s validation error, a line each: `path: what is wrong, and what would be right`."""
    return list(dict.fromkeys(_problems(error, RunSpec, ())))


def options_problem(part: type[Options], options: Mapping[str, Any]) -> str | None:
    """What is wrong with the options of one part, in one line; None if nothing is."""
    try:
        part.model_validate(dict(options))
    except ValidationError as error:
        return " ".join(dict.fromkeys(_problems(error, part, ())))
    return None


def _problems(error: ValidationError, model: type[BaseModel], prefix: tuple[int | str, ...]) -> list[str]:
    lines: list[str] = []
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] in _LENGTHS and any(_within(other["loc"], item["loc"]) for other in items):
            continue  # pydantic does not count the entries that are wrong themselves
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, _Nested):
            lines += _problems(cause.error, cause.part, (*prefix, *item["loc"], "options"))
            continue
        path = ".".join(str(part) for part in (*prefix, *item["loc"]))
        sentence = _sentence(item, model)
        lines.append(f"{path}: {sentence}" if path else sentence)
    return lines


def _within(inner: Sequence[int | str], outer: Sequence[int | str]) -> bool:
    return len(inner) > len(outer) and tuple(inner[: len(outer)]) == tuple(outer)


_LENGTHS = ("too_short", "too_long")
#: pydantic's kind of error -> what we say; what was given follows.
PLAIN = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of a usual size",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
}


def _sentence(item: Any, model: type[BaseModel]) -> str:
    kind, message, given = item["type"], item["msg"], item.get("input")
    if kind == "extra_forbidden":
        known = _fields_at(model, item["loc"][:-1])
        return f"there is no such field. Choose from: {', '.join(known)}." if known else "there are no options here."
    if kind == "value_error":
        return str(message).removeprefix("Value error, ")
    if kind == "missing":
        return "is missing."
    plain = PLAIN.get(kind)
    limits = {k: f"{v:g}" if isinstance(v, float) else v for k, v in item.get("ctx", {}).items()}
    text = plain.format(**limits) if plain else message[0].lower() + message[1:]
    try:
        shown = json.dumps(given, default=str)
    except (RecursionError, ValueError):  # thousands of brackets, thousands of digits
        return f"{text}, and this value is too large to show."
    return f"{text}, not {shown if len(shown) <= 60 else shown[:57] + '...'}."


def _fields_at(model: type[BaseModel], path: Sequence[int | str]) -> tuple[str, ...]:
    for step in path:
        field = model.model_fields.get(str(step))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return ()
        model = field.annotation
    return tuple(model.model_fields)
