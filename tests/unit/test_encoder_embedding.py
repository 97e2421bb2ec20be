"""The embedding encoder's pooling and joins, and the missing value layer, against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl_core.columns import Columns, FieldColumn, SequenceColumn
from mtl_core.encoders import Embedding, MissingValue
from mtl_core.nn.embedding import EmbeddingEncoder, masked_softmax
from mtl_core.nn.encoder import Encoder, Inputs
from mtl_core.nn.mlp import MLPBank
from mtl_core.spec import RunSpec, SpecError

#: A field, a history that shares its table, and tags with a table of their own.
COLUMNS = Columns.plain(1, (5,), (SequenceColumn("seen", 0, 0), SequenceColumn("tags", 3)))
PAD = -1
INPUTS = Inputs(
    torch.tensor([[0.7], [-0.2]]),
    torch.tensor([[3], [0]]),
    torch.tensor([[[1, 4, 3], [2, PAD, PAD]], [[PAD] * 3, [PAD] * 3]]),
    torch.tensor([[False], [True]]),
)


def built(streams: int = 2, columns: Columns = COLUMNS, **options: Any) -> tuple[EmbeddingEncoder, Tensor]:
    """An encoder, and its table as [S, rows, 2]: five rows of the field, then three of the tags."""
    encoder = Embedding(dim=2, **options).build(columns, streams, torch.Generator().manual_seed(0))
    assert isinstance(encoder, EmbeddingEncoder)
    assert encoder.table is not None
    return encoder, encoder.table.detach().unflatten(0, (streams, -1))


def test_by_default_embeddings_stand_side_by_side_and_sequences_are_means() -> None:
    """Bit for bit, whatever else the encoder can do."""
    encoder, table = built()
    x = encoder(INPUTS)
    for s in range(2):
        seen = (table[s, 1] + table[s, 4] + table[s, 3]) / 3
        assert torch.equal(x[s, 0], torch.cat([INPUTS.numeric[0], table[s, 3], seen, table[s, 5 + 2]]))
        assert torch.equal(x[s, 1], torch.cat([INPUTS.numeric[1], torch.zeros(6)]))
    plain = EmbeddingEncoder(COLUMNS, 2, 2, torch.Generator().manual_seed(0))
    assert {name for name, _ in encoder.named_parameters()} == {"table"}
    assert torch.equal(plain(INPUTS), x)


@pytest.mark.parametrize(("pooling", "pool"), [("sum", lambda v: v.sum(0)), ("max", lambda v: v.amax(0))])
def test_sum_and_maximum(pooling: str, pool: Any) -> None:
    """Over what is there: padding neither adds nor wins, though all values be negative."""
    encoder, table = built(pooling=pooling)
    with torch.no_grad():
        encoder.table.sub_(1.0)  # type: ignore[union-attr]  # padding reads as 0, which would be the largest
    x = encoder(INPUTS)
    for s in range(2):
        torch.testing.assert_close(x[s, 0, 3:5], pool(table[s, [1, 4, 3]]))
        torch.testing.assert_close(x[s, 0, 5:7], table[s, 5 + 2])
        assert not x[s, 1, 3:].any()


def test_attention_asks_for_what_is_like_the_rows_own_item() -> None:
    """The query of a joined sequence is the embedding of the row's field; the weights by hand."""
    encoder, table = built(pooling="attention")
    x = encoder(INPUTS)
    for s in range(2):
        values = table[s, [1, 4, 3]]
        weights = torch.softmax(values @ table[s, 3], 0)
        torch.testing.assert_close(x[s, 0, 3:5], weights @ values)
        torch.testing.assert_close(x[s, 0, 5:7], table[s, 5 + 2])
        assert not x[s, 1, 3:].any()
    other = encoder(INPUTS._replace(ids=torch.tensor([[4], [0]])))
    assert not torch.equal(other[:, 0, 3:5], x[:, 0, 3:5])
    assert torch.equal(other[:, 0, 5:7], x[:, 0, 5:7])


def test_a_sequence_with_a_table_of_its_own_has_a_learned_query() -> None:
    """One per sequence and stream, by hand."""
    encoder, table = built(pooling="attention")
    assert encoder.query is not None
    assert encoder.query.shape == (2, 1, 1, 2)
    inputs = INPUTS._replace(sequences=torch.tensor([[[PAD] * 3, [2, 0, 1]], [[PAD] * 3, [1, PAD, PAD]]]))
    with torch.no_grad():
        encoder.query.mul_(100)
    x = encoder(inputs)
    for s in range(2):
        values = table[s, [5 + 2, 5, 5 + 1]]
        weights = torch.softmax(values @ encoder.query[s, 0, 0], 0)
        assert weights.max() > 0.4
        torch.testing.assert_close(x[s, 0, 5:7], weights @ values)


def test_masked_softmax_is_exact() -> None:
    """0 where nothing is, the rest as if it were not there; all 0 rather than NaN where there is nothing at all."""
    score = torch.tensor([[1.0, 2.0, 900.0], [3.0, 4.0, 5.0]], requires_grad=True)
    there = torch.tensor([[True, True, False], [False, False, False]])
    weights = masked_softmax(score, there)
    torch.testing.assert_close(weights[0, :2], torch.softmax(score[0, :2], 0))
    assert weights[0, 2] == 0
    assert not weights[1].any()
    weights[:, 0].sum().backward()
    assert score.grad is not None
    assert torch.isfinite(score.grad).all()
    assert not score.grad[~there].any()


def test_embeddings_are_summed_within_each_role() -> None:
    """Users', items', then all others; numbers beside them; a role that no column has takes no place."""
    fields = (FieldColumn("item", 5, "item"), FieldColumn("user", 4, "user"), FieldColumn("hour", 3, "context"))
    sequences = (SequenceColumn("seen", 0, 0, "user"), SequenceColumn("tags", 3, None, "item"))
    columns = Columns((*Columns.plain(1).numeric,), (*fields, FieldColumn("day", 2)), sequences)
    encoder, table = built(columns=columns, join="sum_by_role")
    assert encoder.width == 1 + 3 * 2 == Embedding(dim=2, join="sum_by_role").width(columns)
    ids = torch.tensor([[3, 1, 2, 1]])
    x = encoder(Inputs(torch.tensor([[0.5]]), ids, torch.tensor([[[1, 4], [2, PAD]]]), torch.tensor([[False]])))
    for s in range(2):
        item, user, hour, day, tags = table[s].split([5, 4, 3, 2, 3])
        expected = [user[1] + (item[1] + item[4]) / 2, item[3] + tags[2], hour[2] + day[1]]
        torch.testing.assert_close(x[s, 0], torch.cat([torch.tensor([0.5]), *expected]))
    items_only = dataclasses.replace(columns, fields=fields[:1], sequences=())
    assert built(columns=items_only, join="sum_by_role")[0].width == 1 + 2


def test_missing_numbers_become_learned_ones() -> None:
    """x' = (1 - m) w x + m v, by hand, per stream; at the start w is 1 and v is 0."""
    columns = Columns.plain(3)
    encoder = MissingValue().build(columns, 2, torch.Generator().manual_seed(0))
    x = torch.tensor([[1.0, -2.0, 9.0], [0.5, 9.0, 9.0]])
    missing = torch.tensor([[False, False, True], [False, True, True]])
    inputs = Inputs(x, torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, 0, 0, dtype=torch.long), missing)
    assert encoder(inputs).tolist() == [[[1.0, -2.0, 0.0], [0.5, 0.0, 0.0]]] * 2
    weight, value = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    with torch.no_grad():
        encoder.get_parameter("weight").copy_(weight[:, None])
        encoder.get_parameter("value").copy_(value[:, None])
    torch.testing.assert_close(
        encoder(inputs), torch.tensor([[[1.0, -4.0, 0.3], [0.5, 0.2, 0.3]], [[4.0, -10.0, 0.6], [2.0, 0.5, 0.6]]])
    )


def fitted_error(encoder: Encoder, inputs: Inputs, label: Tensor) -> Tensor:
    """Squared error of each row after fitting the encoder and a small network to the label."""
    net = MLPBank(1, encoder.width, [16, 1], torch.Generator().manual_seed(1), last_linear=True)
    optimizer = torch.optim.Adam([*encoder.parameters(), *net.parameters()], lr=0.02)
    for _ in range(300):
        error = (net(encoder(inputs))[0, :, 0] - label).square()
        optimizer.zero_grad()
        error.mean().backward()
        optimizer.step()
    return error.detach()


def test_the_value_of_missingness_is_learned_where_filling_cannot_tell() -> None:
    """Who hides the number is another kind of person; the median says that they are the most ordinary of all."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(600, 1, generator=draw)
    missing = torch.rand(600, 1, generator=draw) < 0.2
    label = torch.where(missing, torch.full_like(x, 3.0), x)[:, 0]
    filled = torch.where(missing, x[~missing].median(), x)
    inputs = Inputs(filled, torch.zeros(600, 0, dtype=torch.long), torch.zeros(600, 0, 0, dtype=torch.long), missing)
    learned, median = (
        fitted_error(options.build(Columns.plain(1), 1, torch.Generator().manual_seed(0)), inputs, label)
        for options in (MissingValue(), Embedding())
    )
    assert learned.mean() < 0.02
    assert median.mean() > 0.2
    assert median[missing[:, 0]].mean() > 20 * learned[missing[:, 0]].mean()


def test_missing_values_need_numbers() -> None:
    """In one sentence."""
    with pytest.raises(SpecError, match=r"missing_value learns .* these data have no numbers\."):
        RunSpec.parse(
            {
                "data": {"name": "funnel", "options": {"inputs": "ids"}},
                "model": {"encoder": {"name": "missing_value"}},
            }
        )
