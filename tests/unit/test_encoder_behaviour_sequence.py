"""Behaviours in their order: the LSTM written out, properties in the gates alone, padding, one user for many items."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl_core.columns import Behaviours, Columns, FieldColumn, NumericColumn, SequenceColumn
from mtl_core.data.ecommerce_sequences import EcommerceSequences
from mtl_core.encoders import BehaviourSequence, Embedding, EncoderOptions
from mtl_core.nn.behaviour_sequence import BehaviourSequenceEncoder
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.mlp import MLPBank
from mtl_core.schema import Feature, Schema, Task
from mtl_core.spec import RunSpec, SpecError

PAD = -1
#: A user with age, city and likes; an item with brand, price and tags; histories of both with actions and gaps.
COLUMNS = Columns(
    numeric=(NumericColumn("age", "user"), NumericColumn("price", "item")),
    fields=(FieldColumn("city", 3, "user"), FieldColumn("item", 7, "item"), FieldColumn("brand", 4, "item")),
    sequences=(
        SequenceColumn("item_history", 0, 1, "user", 5),
        SequenceColumn("action_history", 4, None, "user", 5),
        SequenceColumn("tags", 5, None, "item", 5),
        SequenceColumn("brand_history", 0, 2, "user", 5),
        SequenceColumn("gap_history", 3, None, "user", 5),
        SequenceColumn("likes", 6, None, "user", 2),
    ),
)
DIM, HIDDEN = 2, 3
#: Behaviours of the four rows.
LENGTHS = (5, 3, 1, 0)


def built(streams: int = 2, columns: Columns = COLUMNS, **options: Any) -> BehaviourSequenceEncoder:
    """A small encoder in which every parameter has a value of its own."""
    small = BehaviourSequence(dim=DIM, hidden=HIDDEN, attention=4, **options)
    encoder = small.build(columns, streams, torch.Generator().manual_seed(0))
    assert isinstance(encoder, BehaviourSequenceEncoder)
    with torch.no_grad():
        for place, parameter in enumerate(encoder.parameters()):
            parameter.normal_(generator=torch.Generator().manual_seed(place))
    return encoder


def batch() -> Inputs:
    """Four rows with histories of `LENGTHS`."""
    draw = torch.Generator().manual_seed(3)
    ids = torch.stack([torch.randint(0, f.rows, (4,), generator=draw) for f in COLUMNS.fields], 1)
    tables = [COLUMNS.tables[t] for t in COLUMNS.table_of_sequence]
    sequences = torch.stack([torch.randint(0, rows, (4, 5), generator=draw) for rows in tables], 1)
    done = torch.tensor(LENGTHS)
    length = torch.stack([done, done, torch.tensor([2, 0, 5, 1]), done, done, torch.tensor([2, 1, 0, 1])], 1)
    sequences = torch.where(torch.arange(5) < length[..., None], sequences, PAD)
    return Inputs(torch.randn(4, 2, generator=draw), ids, sequences, torch.zeros(4, 2, dtype=torch.bool))


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("stream", [0, 1])
@pytest.mark.parametrize("row", range(4))
def test_it_is_the_papers_formula(row: int, stream: int) -> None:
    """One row, one stream, gate by gate: states, attention, and what stands where in the result."""
    encoder, inputs = built(), batch()
    weights = {k: p.detach().double().unflatten(0, (2, -1))[stream].numpy() for k, p in encoder.named_parameters()}
    w = {k: v if k == "table" else v[0] for k, v in weights.items()}
    start = np.cumsum([0, *COLUMNS.tables])
    look = [[w["table"][start[t] + v] for v in ids if v >= 0]
            for t, ids in zip(COLUMNS.table_of_sequence, inputs.sequences[row].tolist(), strict=True)]  # fmt: skip
    city, item, brand = (w["table"][start[f] + int(inputs.ids[row, f])] for f in range(3))
    age, price = inputs.numeric[row].double().numpy()

    def mean(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.mean(values, axis=0) if values else np.zeros(DIM)

    user = np.concatenate([[age], city, mean(look[5])])
    h, c = np.zeros(HIDDEN), np.zeros(HIDDEN)
    states = []
    for t in range(LENGTHS[row]):
        e, p = np.concatenate([look[0][t], look[3][t]]), np.concatenate([look[1][t], look[4][t]])
        own = e @ w["item_weight"] + h @ w["state_weight"] + w["bias"][0]
        take, keep, give = np.split(sigmoid(own[: 3 * HIDDEN] + p @ w["property_weight"]), 3)
        c = keep * c + take * np.tanh(own[3 * HIDDEN :])
        h = give * np.tanh(c)
        states.append(h)
    score = np.array([
        np.tanh(state @ w["attend_state"] + user @ w["attend_user"] + w["attend_bias"][0]) @ w["attend_score"][:, 0]
        - w["attend_recency"][0, 0] * (LENGTHS[row] - 1 - t)
        for t, state in enumerate(states)
    ])  # fmt: skip
    weight = np.exp(score) / np.exp(score).sum()
    summary = weight @ np.stack(states) if states else np.zeros(HIDDEN)
    expected = np.concatenate([summary, user, [price], item, brand, mean(look[2])])
    found = encoder(inputs)[stream, row].detach().double().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_properties_reach_the_gates_only() -> None:
    """Actions change the first state, but never its sign: that is the candidate's, which comes from the item alone."""
    encoder, inputs = built(streams=1), batch()
    states = []
    for action in range(4):
        sequences = inputs.sequences.clone()
        sequences[:, 1, 0] = action
        states.append(encoder.states(inputs._replace(sequences=sequences))[0][0, 0, :3])
    by_action = torch.stack(states)
    assert (by_action.sign() == by_action[0].sign()).all()
    assert by_action.std(0).max() > 0.1
    assert encoder.property_weight is not None
    assert encoder.property_weight.shape == (1, 2 * DIM, 3 * HIDDEN)
    assert encoder.item_weight.shape == (1, 2 * DIM, 4 * HIDDEN)


def test_attention_is_over_what_is_there() -> None:
    """Weights sum to 1, are 0 at padding, and are all 0 for somebody without behaviours, whose summary is 0."""
    encoder, inputs = built(), batch()
    state_STBH, there_TB = encoder.states(inputs)
    assert there_TB.sum(0).tolist() == list(LENGTHS)
    user_SBU = encoder.user(inputs)
    weight_STB = encoder.attention(state_STBH, there_TB, user_SBU[..., HIDDEN:])
    torch.testing.assert_close(weight_STB.sum(1), torch.tensor([[1.0, 1.0, 1.0, 0.0]] * 2))
    assert (weight_STB[:, ~there_TB] == 0).all()
    assert (weight_STB[:, there_TB] > 0).all()
    assert not user_SBU[:, 3, :HIDDEN].any()
    user_SBU.square().sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_at_first_later_behaviours_weigh_more() -> None:
    """By a factor of exp(recency) each, where states and user tell nothing; 0 weighs all alike."""
    for recency in (0.0, 0.5):
        encoder = BehaviourSequence(recency=recency).build(COLUMNS, 1, torch.Generator().manual_seed(0))
        assert isinstance(encoder, BehaviourSequenceEncoder)
        there_TB = encoder.states(batch())[1]
        flat = encoder.attention(torch.zeros(1, 5, 4, 32), there_TB, torch.zeros(1, 4, 1 + 2 * 8))
        expected = torch.softmax(recency * torch.arange(5.0), 0)
        torch.testing.assert_close(flat[0, :, 0], expected)
        torch.testing.assert_close(flat[0, :3, 1], torch.softmax(recency * torch.arange(3.0), 0))


def test_order_tells() -> None:
    """The same behaviours the other way round are another person; for mean pooling they are not."""
    inputs = batch()
    turned = inputs.sequences.clone()
    history = [0, 1, 3, 4]
    turned[0, history] = turned[0, history].flip(1)
    other = inputs._replace(sequences=turned)
    encoder = built()
    assert (encoder(inputs) - encoder(other))[:, 0, :HIDDEN].abs().max() > 1e-2
    bag = Embedding(dim=DIM).build(COLUMNS, 2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(bag(inputs), bag(other))


@pytest.mark.parametrize("streams", [1, 3])
def test_one_user_serves_many_candidates(streams: int) -> None:
    """The user's part computed once and joined to 50 items equals 50 rows of user and item."""
    encoder, inputs = built(streams), batch()
    draw = torch.Generator().manual_seed(5)
    one = Inputs(*(column[:1] for column in inputs))
    many = Inputs(*(column.expand(50, *column.shape[1:]).clone() for column in one))
    many.numeric[:, 1] = torch.randn(50, generator=draw)
    many.ids[:, 1] = torch.randint(0, 7, (50,), generator=draw)
    many.ids[:, 2] = torch.randint(0, 4, (50,), generator=draw)
    many.sequences[:, 2] = torch.randint(-1, 5, (50, 5), generator=draw).sort(descending=True).values
    whole = encoder(many)
    user_SBU = encoder.user(one)
    assert user_SBU.shape == (streams, 1, HIDDEN + 1 + 2 * DIM)
    torch.testing.assert_close(encoder.join(user_SBU, many), whole, rtol=0, atol=1e-6)
    assert whole.std(1).max() > 0.1
    # Nothing of an item is in the user's part.
    torch.testing.assert_close(encoder.user(many), user_SBU.expand(-1, 50, -1), rtol=0, atol=1e-6)


# Which sequences are behaviours


def test_behaviours_are_told_from_bags_by_table_length_and_role() -> None:
    """Joined: parts of the item. Same length, own table: properties. An item's sequences, other lengths: bags."""
    assert COLUMNS.behaviours == Behaviours(items=(0, 3), properties=(1, 4), bags=(2, 5), length=5)
    shop = Columns.of(EcommerceSequences(length=7).table_schema(), lambda _: 3)
    assert shop.behaviours == Behaviours(items=(0, 1, 2, 3), properties=(4, 5), bags=(), length=7)
    # Columns of one's own have no roles: the user is what stands in the histories.
    plain = Columns.plain(1, (4, 5), (SequenceColumn("seen", 0, 1), SequenceColumn("how", 3)))
    assert plain.behaviours == Behaviours((0,), (1,), (), None)
    no_properties = dataclasses.replace(plain, sequences=plain.sequences[:1])
    assert built(columns=no_properties).property_weight is None


def schema(*sequences: Feature) -> Schema:
    """An item, numbers, and these sequences."""
    item, price = Feature(name="item", kind="categorical"), Feature(name="price", kind="numeric")
    return Schema(features=(item, price, *sequences), tasks=(Task(name="click", label="y"),))


@pytest.mark.parametrize(
    ("sequences", "problem"),
    [
        ([], r"^These data have no history of behaviours: .*table_of.*\.$"),
        ([Feature(name="tags", kind="sequence")], r"^These data have no history of behaviours"),
        ([Feature(name="like", kind="sequence", table_of="item", role="item")], r"^These data have no history"),
        (
            [
                Feature(name="seen", kind="sequence", table_of="item"),
                Feature(name="bought", kind="sequence", table_of="item"),
            ],
            r"^seen and bought share one table, so they are two histories; one can be read\.$",
        ),
    ],
)
def test_data_without_one_history_are_refused(sequences: list[Feature], problem: str) -> None:
    """In one sentence that names the columns."""
    with pytest.raises(ValueError, match=problem):
        BehaviourSequence().check(schema(*sequences))


def test_parts_of_one_behaviour_have_one_length() -> None:
    """What keeps 20 values is not aligned with what keeps 10."""
    features = (
        Feature(name="item", kind="categorical"),
        Feature(name="brand", kind="categorical"),
        Feature(name="items", kind="sequence", table_of="item"),
        Feature(name="brands", kind="sequence", table_of="brand", max_length=10),
    )
    with pytest.raises(ValueError, match=r"^items and brands cannot tell the same behaviours: .*20 and 10 values"):
        BehaviourSequence().check(Schema(features=features, tasks=(Task(name="click", label="y"),)))


@pytest.mark.parametrize("data", ["conflict", "movielens_100k"])
def test_a_spec_with_such_data_is_refused(data: str) -> None:
    """Before anything is built; the genres of a film are nobody's behaviours."""
    with pytest.raises(SpecError, match=r"model.encoder: These data have no history of behaviours"):
        RunSpec.parse({"data": {"name": data}, "model": {"encoder": {"name": "behaviour_sequence"}}})


# Learning


def hits(
    options: EncoderOptions, columns: Columns, train: Inputs, test: Inputs, labels: tuple[Tensor, Tensor]
) -> float:
    """Share of test rows told right after 100 steps with a small network behind the encoder."""
    encoder = options.build(columns, 1, torch.Generator().manual_seed(0))
    net = MLPBank(1, encoder.width, [16, 1], torch.Generator().manual_seed(1), last_linear=True)
    optimizer = torch.optim.Adam([*encoder.parameters(), *net.parameters()], lr=0.02)
    for _ in range(100):
        logit = net(encoder(train))[0, :, 0]
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(logit, labels[0]).backward()
        optimizer.step()
    return ((net(encoder(test))[0, :, 0] > 0) == (labels[1] > 0.5)).float().mean().item()


def test_it_learns_what_was_bought_last_and_no_mean_can() -> None:
    """Eight behaviours, clicks and purchases of red and blue things: the label is the colour bought last."""
    draw = torch.Generator().manual_seed(0)
    things, actions = torch.randint(1, 7, (1200, 8), generator=draw), torch.randint(1, 3, (1200, 8), generator=draw)
    actions[:, 0] = 2
    last = 7 - (actions == 2).flip(1).int().argmax(1)
    label = (things.gather(1, last[:, None])[:, 0] > 3).float()
    empty = torch.zeros(1200, 0)
    shown = torch.ones(1200, 1, dtype=torch.long)
    whole = Inputs(empty, shown, torch.stack([things, actions], 1), empty.bool())
    train, test = (Inputs(*(column[rows] for column in whole)) for rows in (slice(800), slice(800, None)))
    columns = Columns.plain(0, (7,), (SequenceColumn("seen", 0, 0), SequenceColumn("how", 3)))
    labels = (label[:800], label[800:])
    assert hits(BehaviourSequence(hidden=8), columns, train, test, labels) > 0.95
    assert hits(Embedding(), columns, train, test, labels) < 0.75
