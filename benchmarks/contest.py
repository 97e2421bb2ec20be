"""What the contestants of `benchmarks.throughput` train: one table, two architectures, counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from mtl_core.data.base import DatasetOptions, Frames
from mtl_core.data.census_income import CATEGORIES, COLUMNS, NUMERIC, TEST
from mtl_core.data.files import locate
from mtl_core.registry import register
from mtl_core.schema import Feature, Schema, Task
from mtl_core.spec import RunSpec

TRAIN_ROWS = 60_000
EMBEDDING, BATCH, LEARNING_RATE = 8, 1024, 1e-3
TOWER = 16
MMOE_EXPERTS, MMOE_LAYERS = 8, (64, 32)
PLE_SHARED, PLE_OWN, PLE_LEVELS, PLE_WIDTH = 4, 2, 2, 64
TASKS = 2
#: 8 numeric columns, the survey's weight among them, and all 33 others but marital status, which one task asks for.
NUMBERS = (*NUMERIC, "instance_weight")
FIELDS = tuple(name for name in COLUMNS if name not in (*NUMBERS, "marital_status", "income"))
INPUTS = len(NUMBERS) + EMBEDDING * len(FIELDS)


class CensusContest(DatasetOptions):
    """The first 60,000 rows of the census test file train, shuffled; the others are halved by the seed."""

    def table_schema(self) -> Schema:
        features = [Feature(name=name, kind="categorical", categories=CATEGORIES.get(name)) for name in FIELDS]
        features += [Feature(name=name, kind="numeric") for name in NUMBERS]
        tasks = (Task(name="income", label="income_over_50k"), Task(name="never_married", label="never_married"))
        return Schema(features=tuple(features), tasks=tasks)

    def frames(self, seed: int) -> Frames:
        import pandas as pd

        kinds = {name: "float64" if name in NUMBERS else "category" for name in COLUMNS}
        rows = pd.read_csv(locate(TEST), names=list(COLUMNS), dtype=kinds, skipinitialspace=True, na_filter=False)
        rows["income_over_50k"] = rows["income"].eq("50000+.").astype("float32")
        rows["never_married"] = rows["marital_status"].eq("Never married").astype("float32")
        rows = rows.drop(columns=["income", "marital_status"])
        rng = np.random.default_rng(seed)
        train, rest = rng.permutation(TRAIN_ROWS), TRAIN_ROWS + rng.permutation(len(rows) - TRAIN_ROWS)
        half = len(rest) // 2
        return Frames(rows.iloc[train], rows.iloc[rest[:half]], rows.iloc[rest[half:]])


def enter() -> None:
    """Make the table known to specs; not on import, since whatever is registered appears in every list of data sets."""
    register("dataset", "census_contest")(CensusContest)


def trunk(kind: str) -> dict[str, Any]:
    """The trunk of a contest's model, as a part of a spec."""
    if kind == "mmoe":
        return {"name": "mmoe", "options": {"experts": MMOE_EXPERTS, "expert_layers": list(MMOE_LAYERS)}}
    options = {
        "shared_experts": PLE_SHARED,
        "task_experts": PLE_OWN,
        "levels": PLE_LEVELS,
        "expert_layers": [PLE_WIDTH],
    }
    return {"name": "ple", "options": options}


def model(kind: str) -> dict[str, Any]:
    """The model of a spec."""
    encoder = {"name": "embedding", "options": {"dim": EMBEDDING}}
    return {"encoder": encoder, "trunk": trunk(kind), "towers": [TOWER]}


def spec(kind: str, seed: int, epochs: int) -> RunSpec:
    """This project's run."""
    return RunSpec.parse(
        {
            "data": {"name": "census_contest"},
            "model": model(kind),
            "training": {
                "epochs": epochs,
                "batch_size": BATCH,
                "learning_rate": LEARNING_RATE,
                "selection": "last",
                "device": "cpu",
            },
            "seed": seed,
        }
    )


def multiply_adds(kind: str) -> int:
    """Multiply-adds of one row's forward pass: layers, gates, mixes, towers. A backward pass takes twice as many."""
    count, width = 0, INPUTS
    if kind == "mmoe":
        for layer in MMOE_LAYERS:
            count += MMOE_EXPERTS * width * layer
            width = layer
        count += TASKS * MMOE_EXPERTS * (INPUTS + width)
    else:
        experts, seen = PLE_SHARED + TASKS * PLE_OWN, PLE_SHARED + PLE_OWN
        for level in range(PLE_LEVELS):
            chosen = TASKS * seen + (experts if level < PLE_LEVELS - 1 else 0)
            count += experts * width * PLE_WIDTH + chosen * (width + PLE_WIDTH)
            width = PLE_WIDTH
    return count + TASKS * (width * TOWER + TOWER)


def weights(kind: str, table_rows: int) -> int:
    """Trainable parameters: every weight is one multiply-add, mixes have none, layers have biases beside them."""
    if kind == "mmoe":
        mixes = TASKS * MMOE_EXPERTS * MMOE_LAYERS[-1]
        biases = MMOE_EXPERTS * sum(MMOE_LAYERS)
    else:
        experts, seen = PLE_SHARED + TASKS * PLE_OWN, PLE_SHARED + PLE_OWN
        mixes = (PLE_LEVELS * TASKS * seen + (PLE_LEVELS - 1) * experts) * PLE_WIDTH
        biases = PLE_LEVELS * experts * PLE_WIDTH
    return multiply_adds(kind) - mixes + biases + TASKS * (TOWER + 1) + EMBEDDING * table_rows
