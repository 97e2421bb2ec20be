"""Small models of every encoder, trunk and head that fit together, and batches for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from mtl_core import registry
from mtl_core.columns import Columns
from mtl_core.encoders import EncoderOptions
from mtl_core.heads import HeadOptions
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.model import Model
from mtl_core.schema import Feature, Schema, Task
from mtl_core.spec import ModelSpec
from mtl_core.trunks import TrunkOptions

ENCODERS, TRUNKS, HEADS = (registry.names(kind) for kind in ("encoder", "trunk", "head"))
TASKS = ("A", "B", "C")
#: Encoder, trunk and head.
Parts = tuple[str, str, str]
#: Places in a sequence, and the value that stands for none.
LENGTH, PAD = 4, -1
#: Small sizes for the options that parts have in common; what a part does not have is left out.
SMALL: dict[str, Any] = {
    "dim": 2,
    "hidden": 4,
    "layers": [16, 12],
    "expert_layers": [16, 12],
    "experts": 4,
    "shared_experts": 2,
    "task_experts": 1,
    "levels": 2,
}
FEATURES = (
    Feature(name="age", kind="numeric", role="user"),
    Feature(name="price", kind="numeric", role="item"),
    Feature(name="hour", kind="numeric", role="context"),
    Feature(name="item", kind="categorical", role="item", categories=("a", "b", "c")),
    Feature(name="city", kind="categorical", role="user", categories=("x", "y")),
    Feature(name="position", kind="categorical", role="position", categories=("1", "2")),
    Feature(name="item_history", kind="sequence", role="user", table_of="item", max_length=LENGTH),
    Feature(name="action_history", kind="sequence", role="user", categories=("click", "buy"), max_length=LENGTH),
)


@cache
def schema(tasks: int = 2) -> Schema:
    """A funnel: A on every row, B and C on the rows where A happened."""
    first = Task(name="A", label="y_A")
    later = (Task(name=name, label=f"y_{name}", space="y_A_happened", after="A") for name in TASKS[1:tasks])
    return Schema(features=FEATURES, tasks=(first, *later))


def rows_of(feature: Feature) -> int:
    """Embedding rows, the unknown one included."""
    return len(feature.categories or ()) + 1


COLUMNS = Columns.of(schema(), rows_of)


def part(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """A part's spec with small sizes."""
    fields = registry.get(kind, name).model_fields
    return {"name": name, "options": {k: v for k, v in {**SMALL, **more}.items() if k in fields}}


@cache
def model_spec(trunk: str, encoder: str = "embedding", head: str = "independent", sharing: str = "shared") -> ModelSpec:
    """A small model of these parts."""
    return ModelSpec.model_validate(
        {
            "encoder": part("encoder", encoder, embedding_sharing=sharing),
            "trunk": part("trunk", trunk),
            "towers": [12],
            "head": part("head", head),
        }
    )


def fits(spec: ModelSpec, tasks: int) -> bool:
    """Do these parts fit together and these tasks, every table read?"""
    encoder, head = cast(EncoderOptions, spec.encoder.part), cast(HeadOptions, spec.head.part)
    trunk = cast(TrunkOptions, spec.trunk.part)
    streams = encoder.streams(tasks, trunk.embeddings)
    try:
        encoder.check(schema(tasks))
        head.check(schema(tasks))
        return trunk.wire(TASKS[:tasks], streams).reads == set(range(streams))
    except ValueError:
        return False


def build(spec: ModelSpec, tasks: int = 2, seed: int = 0) -> Model:
    """The model, from a seed."""
    return Model(spec, schema(tasks).tasks, COLUMNS, torch.Generator().manual_seed(seed))


def batch(rows: int, seed: int = 7) -> Inputs:
    """Inputs in which fields take all their values, some numbers are missing and some sequences are short or empty."""
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(0, size, (rows,), generator=generator) for size in (f.rows for f in COLUMNS.fields)]
    tables = [COLUMNS.tables[table] for table in COLUMNS.table_of_sequence]
    sequences = torch.stack([torch.randint(0, size, (rows, LENGTH), generator=generator) for size in tables], 1)
    lengths = torch.randint(0, LENGTH + 1, (rows,), generator=generator)
    sequences[(torch.arange(LENGTH) >= lengths[:, None])[:, None].expand_as(sequences)] = PAD
    numeric = torch.randn(rows, len(COLUMNS.numeric), generator=generator)
    missing = torch.rand(rows, len(COLUMNS.numeric), generator=generator) < 0.2
    return Inputs(torch.where(missing, 0.0, numeric), torch.stack(ids, 1), sequences, missing)


def truth(rows: int, tasks: int, seed: int = 8) -> tuple[Tensor, Tensor]:
    """Labels, and masks in which B and C are known where A happened."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (rows, tasks), generator=generator).float()
    mask = torch.ones(rows, tasks, dtype=torch.bool)
    mask[:, 1:] = (labels[:, :1] > 0.5).expand(-1, tasks - 1)
    return labels, mask


def noise(model: Model, rows: int, seed: int = 9) -> Tensor | None:
    """What training would give the model; None where it wants nothing."""
    if not model.noise:
        return None
    return torch.rand(rows, model.noise, generator=torch.Generator().manual_seed(seed))


def losses(model: Model, rows: int = 96, seed: int = 7) -> Tensor:
    """Losses [K] on a random batch, as in training."""
    drawn = noise(model, rows)
    return model.losses(model(batch(rows, seed), drawn), *truth(rows, len(model.tasks)), drawn)


def objective(model: Model, rows: int = 96) -> Tensor:
    """The sum of the losses and of what the parameters themselves cost."""
    penalty = model.trunk.penalty()
    total = losses(model, rows).sum()
    return total if penalty is None else total + penalty


def gradients(model: Model, loss: Tensor) -> dict[str, Tensor]:
    """Gradient by parameter; zeros where the loss does not reach."""
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, retain_graph=True)
    return {
        name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(parameters.items(), found, strict=True)
    }


def slices(out: Any, rows: slice) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of an output, cut to some rows."""
    for part_of in out:
        for name, tensor in part_of.items():
            yield name, tensor[rows]


def assert_same(a: Any, b: Any, tolerance: float = 1e-6) -> None:
    """Equal up to float rounding, which grows with the number."""
    # Of what differs `assert_close` tells where and how much, at fifty times the cost of a look.
    if not (a.shape == b.shape and a.dtype == b.dtype and torch.allclose(a, b, rtol=1e-5, atol=tolerance)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=tolerance)


def every(tasks: int) -> list[Parts]:
    """Encoder, trunk and head of every composition that fits this many tasks."""
    return [
        (encoder, trunk, head)
        for encoder, trunk, head in itertools.product(ENCODERS, TRUNKS, HEADS)
        if fits(model_spec(trunk, encoder, head), tasks)
    ]
