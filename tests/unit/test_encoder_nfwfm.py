"""Field-weighted bi-interaction against sums over pairs, written out."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from mtl_core.columns import Columns, SequenceColumn
from mtl_core.encoders import NFwFM
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.nfwfm import NFwFMEncoder

#: Two numbers, two categories, a history of the first and tags: six fields, fifteen pairs.
COLUMNS = Columns.plain(2, (5, 3), (SequenceColumn("seen", 0, 0), SequenceColumn("tags", 4)))
INPUTS = Inputs(
    torch.tensor([[0.7, -1.5], [2.0, 0.0]]),
    torch.tensor([[3, 1], [4, 2]]),
    torch.tensor([[[1, 4, 3], [2, -1, -1]], [[2, 2, -1], [-1, -1, -1]]]),
    torch.zeros(2, 2, dtype=torch.bool),
)
DIM = 3


def built(streams: int = 2, columns: Columns = COLUMNS) -> NFwFMEncoder:
    """An encoder in which every parameter has a value of its own."""
    encoder = NFwFM(dim=DIM).build(columns, streams, torch.Generator().manual_seed(0))
    assert isinstance(encoder, NFwFMEncoder)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    return encoder


def values_of(encoder: NFwFMEncoder, row: int, stream: int) -> list[list[Tensor]]:
    """Per field its values x_i v_i, linear weight last: [fields][values] of [dim + 1]."""
    assert encoder.table is not None
    assert encoder.number is not None
    table = encoder.table.unflatten(0, (encoder.streams, -1))[stream]
    fields = [[x * v] for x, v in zip(INPUTS.numeric[row], encoder.number[stream, 0], strict=True)]
    fields += [[table[start + i]] for start, i in zip((0, 5), INPUTS.ids[row], strict=True)]
    for start, ids in zip((0, 8), INPUTS.sequences[row], strict=True):
        there = [i for i in ids.tolist() if i >= 0]
        fields.append([table[start + i] / len(there) for i in there])
    return fields


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("stream", [0, 1])
def test_every_pair_is_counted_once_with_its_weight(row: int, stream: int) -> None:
    """Linear part, pairs between fields with their r, pairs inside a field, each written out as a loop."""
    encoder = built()
    assert encoder.r is not None
    fields = values_of(encoder, row, stream)
    linear = sum((v[-1] for field in fields for v in field), torch.zeros(()))
    vector = torch.zeros(DIM)
    for r, (a, b) in zip(encoder.r[stream], itertools.combinations(range(6), 2), strict=True):
        for one, other in itertools.product(fields[a], fields[b]):
            vector = vector + r * one[:-1] * other[:-1]
    for field in fields:
        for one, other in itertools.combinations(field, 2):
            vector = vector + one[:-1] * other[:-1]
    torch.testing.assert_close(encoder(INPUTS)[stream, row], torch.cat([linear[None], vector]))


def test_with_equal_weights_it_is_a_factorisation_machine() -> None:
    """All r = 1, as at the start: half of the square of the sum less the sum of the squares, over all values."""
    encoder = built()
    start = NFwFM(dim=DIM).build(COLUMNS, 2, torch.Generator().manual_seed(0)).get_parameter("r")
    assert torch.equal(start, torch.ones(2, 15))
    assert encoder.r is not None
    with torch.no_grad():
        encoder.r.fill_(1.0)
    every = torch.stack([v for field in values_of(encoder, 0, 0) for v in field])[:, :-1]
    machine = 0.5 * (every.sum(0).square() - every.square().sum(0))
    torch.testing.assert_close(encoder(INPUTS)[0, 0, 1:], machine)


def test_there_is_one_weight_per_unordered_pair_and_none_on_the_diagonal() -> None:
    """F (F - 1) / 2 of them; a field of one value gives nothing on its own, whatever r."""
    assert built().r.shape == (2, 15)  # type: ignore[union-attr]
    alone = built(columns=Columns.plain(1))
    assert alone.r is None
    inputs = Inputs(INPUTS.numeric[:, :1], INPUTS.ids[:, :0], INPUTS.sequences[:, :0], INPUTS.missing[:, :1])
    x = alone(inputs)
    assert alone.number is not None
    torch.testing.assert_close(x[:, :, 0], INPUTS.numeric[:, 0] * alone.number[:, :, 0, -1])
    assert not x[:, :, 1:].any()


def test_every_weight_learns_from_the_start() -> None:
    """From r = 1, and linear weights from 0: none of them is dead."""
    encoder = NFwFM(dim=DIM).build(COLUMNS, 1, torch.Generator().manual_seed(0))
    assert isinstance(encoder, NFwFMEncoder)
    assert encoder.r is not None
    assert encoder.table is not None
    assert encoder.number is not None
    assert not encoder.table[:, -1].any()
    assert not encoder.number[..., -1].any()
    encoder(INPUTS).sum().backward()
    assert encoder.r.grad is not None
    assert encoder.r.grad.all()
    assert encoder.number.grad is not None
    assert encoder.number.grad.all()


def test_a_number_scales_its_products() -> None:
    """Twice the number, twice everything it takes part in; what it takes no part in stays."""
    encoder = built(streams=1)
    at = [encoder(INPUTS._replace(numeric=torch.tensor([[x, -1.5], [x, 0.0]])))[0] for x in (0.0, 1.0, 2.0)]
    torch.testing.assert_close(at[2] - at[0], 2 * (at[1] - at[0]))
    assert (at[1] - at[0]).abs().min() > 1e-3


def test_the_order_of_values_tells_nothing() -> None:
    """A field is a set."""
    encoder = built()
    turned = INPUTS.sequences.clone()
    turned[0, 0] = turned[0, 0].flip(0)
    torch.testing.assert_close(encoder(INPUTS._replace(sequences=turned)), encoder(INPUTS))
