"""Sequences: cells cut apart, encoded on training values, pooled over what is there."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from mtl_core.columns import Columns, SequenceColumn
from mtl_core.data.base import Frames
from mtl_core.data.tables import PAD, Arrays, encode
from mtl_core.encoders import EncoderOptions
from mtl_core.nn.embedding import EmbeddingEncoder
from mtl_core.nn.encoder import Inputs
from mtl_core.schema import Feature, Schema, Task
from mtl_core.spec import RunSpec
from mtl_core.training import build_model

SCHEMA = Schema(
    features=(
        Feature(name="item", kind="categorical"),
        Feature(name="seen", kind="sequence", max_length=3, table_of="item"),
        Feature(name="tags", kind="sequence", separator="|", max_length=4),
    ),
    tasks=(Task(name="click", label="y"),),
)
TRAIN = pd.DataFrame(
    {
        "item": ["a", "b", "c"],
        "seen": ["a b", "c a b c", ""],
        "tags": ["new|red", None, "red||blue"],
        "y": [0.0, 1.0, 0.0],
    }
)


def inputs(ids: Tensor, sequences: Tensor, numeric: int = 0) -> Inputs:
    """Ids and sequences beside numbers that are all 0."""
    numbers = torch.zeros(len(ids), numeric)
    return Inputs(numbers, ids, sequences, numbers.bool())


def of(arrays: Arrays) -> Inputs:
    """What a model reads of these rows."""
    return Inputs(*(torch.from_numpy(part) for part in (arrays.numeric, arrays.ids, arrays.sequences, arrays.missing)))


def rows(**changes: object) -> pd.DataFrame:
    """One row like the training rows, changed."""
    return TRAIN.iloc[[0]].assign(**changes)


def test_cells_become_ids_latest_last_with_padding_after() -> None:
    """The latest values are kept, in order; empty and missing cells hold nothing; empty pieces are no values."""
    arrays = encode(SCHEMA, Frames(TRAIN, TRAIN, TRAIN)).train
    a, b, c = 1, 2, 3
    blue, new, red = 1, 2, 3
    assert arrays.sequences[:, 0].tolist() == [[a, b, PAD, PAD], [a, b, c, PAD], [PAD] * 4]
    assert arrays.sequences[:, 1].tolist() == [[new, red, PAD, PAD], [PAD] * 4, [red, blue, PAD, PAD]]


def test_values_not_seen_in_training_are_unknown_and_not_padding() -> None:
    """An unknown value is 0, which is a value; -1 is none."""
    other = rows(seen="z a", tags="green")
    data = encode(SCHEMA, Frames(TRAIN, other, other))
    assert data.valid.sequences[0].tolist() == [[0, 1, PAD, PAD], [0, PAD, PAD, PAD]]


def test_a_sequence_shares_the_table_it_is_joined_to() -> None:
    """`table_of` adds no rows of its own; another sequence has a table with an unknown row."""
    data = encode(SCHEMA, Frames(TRAIN, TRAIN, TRAIN))
    assert [field.rows for field in data.columns.fields] == [4]
    assert data.columns.sequences == (
        SequenceColumn("seen", 0, field=0, length=3),
        SequenceColumn("tags", 4, field=None, length=4),
    )
    assert data.columns.tables == (4, 4)
    assert data.columns.table_of_sequence == (0, 1)


def test_pooling_is_the_mean_over_what_is_there() -> None:
    """Padding counts for nothing, an empty sequence is zero, streams have tables of their own."""
    columns = Columns.plain(1, (5,), (SequenceColumn("seen", 0, field=0), SequenceColumn("tags", 3)))
    encoder = EmbeddingEncoder(columns, 2, 2, torch.Generator().manual_seed(0))
    assert encoder.table is not None
    rows_of = encoder.table.detach().view(2, 8, 2)
    sequences = torch.tensor([[[1, 4, PAD], [2, PAD, PAD]], [[PAD] * 3, [PAD] * 3]])
    x_SBD = encoder(inputs(torch.tensor([[3], [0]]), sequences, numeric=1))
    assert x_SBD.shape == (2, 2, 1 + 2 + 2 + 2)
    assert encoder.width == 7
    for s in range(2):
        torch.testing.assert_close(x_SBD[s, 0, 1:3], rows_of[s, 3])
        torch.testing.assert_close(x_SBD[s, 0, 3:5], (rows_of[s, 1] + rows_of[s, 4]) / 2)
        torch.testing.assert_close(x_SBD[s, 0, 5:7], rows_of[s, 5 + 2])
        assert not x_SBD[s, 1, 3:].any()


def test_padding_gets_no_gradient() -> None:
    """The row that padding is looked up in (clamped to 0) must not learn from it."""
    columns = Columns.plain(0, (), (SequenceColumn("tags", 3),))
    encoder = EmbeddingEncoder(columns, 2, 1, torch.Generator().manual_seed(0))
    encoder(inputs(torch.zeros(1, 0, dtype=torch.long), torch.tensor([[[1, PAD, PAD]]]))).sum().backward()
    assert encoder.table is not None
    assert encoder.table.grad is not None
    assert encoder.table.grad.abs().sum(1).tolist() == [0.0, 2.0, 0.0]


@pytest.mark.parametrize("trunk", ["single_task", "mmoe"])
def test_a_model_with_sequences_runs_and_counts_its_parameters(trunk: str) -> None:
    """Encoder, trunk and count agree; rows of a batch do not see each other."""
    data = encode(SCHEMA, Frames(TRAIN, TRAIN, TRAIN))
    spec = RunSpec.parse({"model": {"trunk": {"name": trunk}}})
    model = build_model(spec, data).eval()
    read = of(data.train)
    together = model(read).logits["click"]
    apart = torch.cat([model(Inputs(*(part[i : i + 1] for part in read))).logits["click"] for i in range(3)])
    torch.testing.assert_close(together, apart)
    encoder = cast(EncoderOptions, spec.model.encoder.part)
    assert encoder.parameters(data.columns, 1) == sum(p.numel() for p in model.encoder.parameters())
    assert encoder.width(data.columns) == model.encoder.width == 3 * 8


def test_a_table_can_be_joined_to_a_categorical_feature_only() -> None:
    """Anything else is refused by name."""
    with pytest.raises(ValidationError, match="'nothing' is none"):
        Schema(
            features=(Feature(name="seen", kind="sequence", table_of="nothing"),),
            tasks=SCHEMA.tasks,
        )


def test_no_rows_at_all() -> None:
    """An empty split has empty arrays of the right shape."""
    empty = TRAIN.iloc[:0]
    assert encode(SCHEMA, Frames(TRAIN, TRAIN, empty)).test.sequences.shape == (0, 2, 4)
    assert np.isnan(encode(SCHEMA, Frames(TRAIN, TRAIN, TRAIN)).train.truth).all()
