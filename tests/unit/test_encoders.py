"""What holds for every registered encoder. A new encoder joins by being registered and named in `CASES`."""

from __future__ import annotations

import random
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from mtl_core import registry
from mtl_core.card import Card
from mtl_core.columns import Columns, FieldColumn, NumericColumn, SequenceColumn
from mtl_core.encoders import EncoderOptions
from mtl_core.events import Finished
from mtl_core.nn.embedding import Lookup
from mtl_core.nn.encoder import Encoder, Inputs
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec
from mtl_core.training import train

#: Columns of every kind and role: a history of items and brands with actions, and two bags of values.
COLUMNS = Columns(
    numeric=(NumericColumn("age", "user"), NumericColumn("price", "item"), NumericColumn("hour", "context")),
    fields=(
        FieldColumn("user", 4, "user"),
        FieldColumn("item", 6, "item"),
        FieldColumn("brand", 3, "item"),
        FieldColumn("hour", 3, "context", binned=True),
    ),
    sequences=(
        SequenceColumn("item_history", 0, 1, "user", 4),
        SequenceColumn("tags", 5, None, "item", 4),
        SequenceColumn("brand_history", 0, 2, "user", 4),
        SequenceColumn("action_history", 4, None, "user", 4),
        SequenceColumn("likes", 3, None, "user", 2),
    ),
)
CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("embedding", {"dim": 3}),
    ("embedding", {"dim": 3, "pooling": "max"}),
    ("embedding", {"dim": 3, "pooling": "sum", "join": "sum_by_role"}),
    ("embedding", {"dim": 3, "pooling": "attention"}),
    ("embedding", {"dim": 3, "pooling": "attention", "join": "sum_by_role"}),
    ("missing_value", {"dim": 3}),
    ("missing_value", {"dim": 3, "pooling": "attention", "join": "sum_by_role"}),
    ("nfwfm", {"dim": 3}),
    ("behaviour_sequence", {"dim": 3, "hidden": 5, "attention": 4}),
)
every = pytest.mark.parametrize(
    ("name", "options"), [pytest.param(n, o, id="-".join([n, *(str(v) for v in o.values())])) for n, o in CASES]
)


def part(name: str, options: dict[str, Any]) -> EncoderOptions:
    """The options as the registry has them."""
    return cast(EncoderOptions, registry.get("encoder", name).model_validate(options))


def build(name: str, options: dict[str, Any], streams: int = 2, seed: int = 0, columns: Columns = COLUMNS) -> Encoder:
    """An encoder from a seed."""
    return part(name, options).build(columns, streams, torch.Generator().manual_seed(seed))


def batch(rows: int, seed: int = 7) -> Inputs:
    """Rows of all kinds: histories of every length, the first one empty, unknown values, missing numbers."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(0, f.rows, (rows,), generator=draw) for f in COLUMNS.fields], 1)
    tables = [COLUMNS.tables[t] for t in COLUMNS.table_of_sequence]
    sequences = torch.stack([torch.randint(0, n, (rows, 4), generator=draw) for n in tables], 1)
    done = torch.arange(rows) % 5  # behaviours of each row
    length = torch.stack([done, torch.randint(0, 5, (rows,), generator=draw), done, done, done.clamp(max=2)], 1)
    sequences = torch.where(torch.arange(4) < length[..., None], sequences, -1)
    missing = torch.rand(rows, 3, generator=draw) < 0.3
    return Inputs(torch.randn(rows, 3, generator=draw), ids, sequences, missing)


def rows_of(inputs: Inputs, start: int, stop: int) -> Inputs:
    """Some rows."""
    return Inputs(*(column[start:stop] for column in inputs))


def mixed(x_SBD: Tensor) -> Tensor:
    """One number in which no two columns cancel."""
    return (x_SBD * torch.linspace(0.3, 1.7, x_SBD.shape[-1])).sum() + x_SBD.square().sum()


def test_every_encoder_is_tested() -> None:
    """The cases below leave none out."""
    assert {name for name, _ in CASES} == set(registry.names("encoder"))


@every
@pytest.mark.parametrize("streams", [1, 2, 3])
def test_width_and_parameters_are_counted_exactly(name: str, options: dict[str, Any], streams: int) -> None:
    """What the declaration says without torch is what the module has, for few rows too."""
    encoder, options_ = build(name, options, streams), part(name, options)
    assert encoder.width == options_.width(COLUMNS)
    assert sum(p.numel() for p in encoder.parameters()) == options_.parameters(COLUMNS, streams)
    for rows in (1, 2, 7):
        x = encoder(batch(rows))
        assert x.shape == (streams, rows, encoder.width)
        assert torch.isfinite(x).all()


@every
def test_position_columns_can_be_left_out(name: str, options: dict[str, Any]) -> None:
    """Whatever columns stay, declaration and module agree."""
    columns = Columns(
        COLUMNS.numeric, (FieldColumn("rank", 9, "position"), *COLUMNS.fields[1:]), COLUMNS.sequences
    ).without("position")[0]
    assert [s.field for s in columns.sequences] == [0, None, 1, None, None]
    encoder = build(name, options, 2, columns=columns)
    inputs = batch(5)
    x = encoder(inputs._replace(ids=inputs.ids[:, 1:]))
    assert x.shape == (2, 5, part(name, options).width(columns))
    assert sum(p.numel() for p in encoder.parameters()) == part(name, options).parameters(columns, 2)


# T7c
@every
def test_a_rows_encoding_does_not_depend_on_its_batch(name: str, options: dict[str, Any]) -> None:
    """Each row alone gives what it gives among others."""
    encoder, inputs = build(name, options), batch(7)
    together = encoder(inputs)
    for i in range(7):
        torch.testing.assert_close(encoder(rows_of(inputs, i, i + 1)), together[:, i : i + 1], rtol=0, atol=1e-6)


# T25, T7b
@every
def test_start_values_follow_from_the_seed_alone(name: str, options: dict[str, Any]) -> None:
    """Same seed same weights, other seed another encoding, and the global random states stay as they were."""
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first, again, other = (build(name, options, seed=seed) for seed in (5, 5, 6))
    first(batch(3))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert np.array_equal(before[2], np.random.get_state()[1])
    for (key, a), b in zip(first.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), key
    assert not torch.equal(first(batch(7)), other(batch(7)))


@every
def test_every_tensor_is_a_parameter_or_moves_as_a_buffer(name: str, options: dict[str, Any]) -> None:
    """The encoder runs on another device as it is, and only weights are saved."""
    encoder = build(name, options)
    assert set(encoder.state_dict()) == {key for key, _ in encoder.named_parameters()}
    moved = encoder.to("meta")(Inputs(*(column.to("meta") for column in batch(5))))
    assert moved.device.type == "meta"


# T24
@every
def test_each_stream_reads_exactly_the_rows_of_its_own_ids(name: str, options: dict[str, Any]) -> None:
    """No field reads another's rows, no stream another's table, and what is padding is not looked up."""
    encoder = build(name, options, streams=3)
    assert isinstance(encoder, Lookup)
    assert encoder.table is not None
    with torch.no_grad():  # unknown rows too, since products with zero vectors teach nobody
        encoder.table.normal_(generator=torch.Generator().manual_seed(1))
    inputs = batch(40)
    start = np.cumsum([0, *COLUMNS.tables])
    for i in range(40):
        row = rows_of(inputs, i, i + 1)
        expected = {int(start[f] + row.ids[0, f]) for f in range(len(COLUMNS.fields))}
        for q, table in enumerate(COLUMNS.table_of_sequence):
            expected |= {int(start[table] + v) for v in row.sequences[0, q] if v >= 0}
        x = encoder(row)
        for stream in range(3):
            (gradient,) = torch.autograd.grad(mixed(x[stream : stream + 1]), encoder.table, retain_graph=True)
            touched = set((gradient.abs().sum(1).nonzero().flatten() - stream * sum(COLUMNS.tables)).tolist())
            if options.get("pooling") == "max":  # values that are nowhere the largest learn nothing
                assert touched <= expected
                assert {int(start[f] + row.ids[0, f]) for f in range(len(COLUMNS.fields))} <= touched
            else:
                assert touched == expected


@every
def test_streams_share_no_parameter(name: str, options: dict[str, Any]) -> None:
    """Every parameter is a stack over streams; a stream's output reaches its own slice, and tables start apart."""
    encoder = build(name, options, streams=3)
    x = encoder(batch(60))
    for stream in range(3):
        parameters = dict(encoder.named_parameters())
        found = torch.autograd.grad(mixed(x[stream : stream + 1]), list(parameters.values()), retain_graph=True)
        for key, gradient in zip(parameters, found, strict=True):
            reached = gradient.unflatten(0, (3, -1)).flatten(1).abs().sum(1) > 0
            assert reached.tolist() == [s == stream for s in range(3)], key
    assert isinstance(encoder, Lookup)
    assert encoder.table is not None
    one, two, three = encoder.table.chunk(3)
    assert not torch.equal(one, two)
    assert not torch.equal(two, three)


@every
def test_unknown_rows_start_at_zero_and_no_other_does(name: str, options: dict[str, Any]) -> None:
    """A value never seen adds nothing at the start."""
    encoder = build(name, options)
    assert isinstance(encoder, Lookup)
    assert encoder.table is not None
    start = np.cumsum([0, *COLUMNS.tables])[:-1]
    zero = (encoder.table == 0).all(1).nonzero().flatten().tolist()
    assert zero == [*start, *(start + sum(COLUMNS.tables))]


# T25
def test_ids_above_float_precision_stay_apart() -> None:
    """2^24 and 2^24 + 1, which one float32 cannot tell apart, read two rows: in the table that all encoders share."""
    columns = Columns.plain(0, (2**24 + 2,), (SequenceColumn("seen", 0, 0),))
    table = Lookup(columns, 1, 1, torch.Generator().manual_seed(0))  # type: ignore[abstract]
    first, second = table.fields(torch.tensor([[2**24], [2**24 + 1]])).flatten()
    assert first != second
    values, _ = table.values(torch.tensor([[[2**24 + 1, 2**24]]]))
    assert values.flatten().tolist() == [second, first]


@every
def test_padding_is_nothing(name: str, options: dict[str, Any]) -> None:
    """Any negative id is no value, and more places without values change nothing."""
    encoder, inputs = build(name, options), batch(11)
    x = encoder(inputs)
    other = torch.where(inputs.sequences < 0, -9, inputs.sequences)
    assert torch.equal(encoder(inputs._replace(sequences=other)), x)
    longer = torch.nn.functional.pad(inputs.sequences, (0, 3), value=-1)
    torch.testing.assert_close(encoder(inputs._replace(sequences=longer)), x, rtol=0, atol=1e-6)


@every
def test_functional_call_equals_the_module(name: str, options: dict[str, Any]) -> None:
    """Weights passed in are the weights used, all of them."""
    encoder, other, inputs = build(name, options), build(name, options, seed=1), batch(7)
    called = functional_call(other, dict(encoder.named_parameters()), (inputs,))
    assert torch.equal(called, encoder(inputs))


@every
@pytest.mark.parametrize("streams", [1, 3])
def test_members_under_vmap_equal_those_apart(name: str, options: dict[str, Any], streams: int) -> None:
    """Outputs and gradients of stacked encoders, each on its own rows: as if alone, with no branch on data."""
    members = [build(name, options, streams, seed) for seed in (0, 1)]
    parameters, buffers = stack_module_state(cast(Any, members))
    buffers = {key: tensor[0] for key, tensor in buffers.items()}
    batches = [batch(9, seed) for seed in (3, 4)]
    stacked = Inputs(*(torch.stack(columns) for columns in zip(*batches, strict=True)))

    def encode(p: dict[str, Tensor], rows: Inputs) -> Tensor:
        return cast(Tensor, functional_call(members[0], (p, buffers), (rows,)))

    together = vmap(encode)(parameters, stacked)
    gradients = vmap(grad(lambda p, rows: mixed(encode(p, rows))))(parameters, stacked)
    for i, member in enumerate(members):
        x = member(batches[i])
        torch.testing.assert_close(together[i], x, rtol=0, atol=1e-6)
        own = dict(member.named_parameters())
        for key, gradient in zip(own, torch.autograd.grad(mixed(x), list(own.values())), strict=True):
            torch.testing.assert_close(gradients[key][i], gradient, rtol=1e-5, atol=1e-5)


@every
def test_every_encoder_has_a_card(name: str, options: dict[str, Any]) -> None:
    """What it is for, and its formula."""
    card = part(name, options).card
    assert isinstance(card, Card)
    assert card.problem.endswith(".")
    assert card.formula.count("{") == card.formula.count("}")


# T25b
@pytest.mark.parametrize("trunk", ["mmoe", "single_task"])
@pytest.mark.parametrize("name", registry.names("encoder"))
def test_a_run_trains_with_it(name: str, trunk: str) -> None:
    """Through the registry, on data with histories; the size counted before is the size built."""
    spec = RunSpec.parse(
        {
            "data": {"name": "ecommerce_sequences", "options": {"rows": 1000, "length": 4}},
            "model": {
                "encoder": {"name": name},
                "trunk": {"name": trunk},
            },
            "training": {"epochs": 1, "device": "cpu"},
        }
    )
    *_, last = train([spec])
    assert isinstance(last, Finished)
    assert last.parameters == parameter_count(spec).parameters
