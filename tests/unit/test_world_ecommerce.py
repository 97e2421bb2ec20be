"""`ecommerce_sequences`: what people want stands in the order of what they did."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from mtl_core.data.base import Frames
from mtl_core.data.ecommerce_sequences import ACTIONS, BUY, EXPOSURES, PER_DAY, EcommerceSequences, Histories
from mtl_core.metrics import auc


def whole(frames: Frames) -> pd.DataFrame:
    return pd.concat([frames.train, frames.valid, frames.test], ignore_index=True)


def area(scores: np.ndarray, labels: pd.Series) -> float:
    value = auc(torch.tensor(scores), torch.tensor(labels.to_numpy(np.float32)))
    assert value is not None
    return value


def oracles(options: EcommerceSequences) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The truth; and its average over orders, all that anybody can know from the bag of a person's behaviours."""
    world = options.world(0)
    rng = np.random.default_rng(0)
    bags = [options.truth(world, world.histories.shuffled(rng)) for _ in range(40)]
    return options.truth(world, world.histories), {name: np.mean([b[name] for b in bags], axis=0) for name in bags[0]}


def test_order_tells_what_a_bag_does_not() -> None:
    """By more than a twentieth of AUC on both binary tasks, and most of what can be known of the price level."""
    options = EcommerceSequences()
    table = whole(options.frames(0))
    order, bag = oracles(options)
    clicked = table.clicked.to_numpy()
    assert area(order["p_ctr"], table.clicked) > area(bag["p_ctr"], table.clicked) + 0.05
    ordered, bagged = (area(o["p_purchase"][clicked], table.bought[clicked]) for o in (order, bag))
    assert ordered > bagged + 0.05
    ordered, bagged = (((table.level - o["mean_price"]) ** 2).mean() for o in (order, bag))
    assert ordered < 0.5 * bagged


def test_with_full_memory_order_tells_nothing() -> None:
    """The dial's other end: counts are all there is, and shuffling changes no chance."""
    order, bag = oracles(EcommerceSequences(memory=1.0, rows=2000))
    for name in order:
        np.testing.assert_allclose(order[name], bag[name], atol=1e-9)


def test_the_last_purchase_decides() -> None:
    """Weights by hand: purchases counted back from the latest, other actions for nothing."""
    history = Histories(np.zeros((2, 4), int), np.array([[BUY, BUY, 0, BUY], [0, 1, 1, 0]]), np.zeros((2, 4), int))
    np.testing.assert_allclose(EcommerceSequences(length=4).weights(history), [[0, 0, 0, 1], [0, 0, 0, 0]])
    weights = EcommerceSequences(length=4, memory=0.5).weights(history)
    np.testing.assert_allclose(weights, [[1 / 7, 2 / 7, 0, 4 / 7], [0, 0, 0, 0]])


def test_histories_are_aligned_text() -> None:
    """Six columns of 20 values each; the value at a place of one belongs to the item at that place of the other."""
    options = EcommerceSequences(rows=2000)
    table, items = whole(options.frames(0)), options.world(0).items
    cells = {name: np.stack(table[f"{name}_history"].str.split(" ").to_list()) for name in ("item", "shop", "brand")}
    assert all(values.shape == (2000, 20) for values in cells.values())
    places = cells["item"].astype(int)
    np.testing.assert_array_equal(cells["shop"].astype(int), items.shop[places])
    np.testing.assert_array_equal(cells["brand"].astype(int), items.brand[places])
    assert set(" ".join(table.action_history).split()) == set(ACTIONS)
    joined = {f.name: f.table_of for f in options.table_schema().sequences}
    assert {joined[f"{name}_history"] for name in ("item", "shop", "brand", "category")} == {
        "item",
        "shop",
        "brand",
        "category",
    }


def test_the_next_day_has_the_same_people_with_newer_histories() -> None:
    """Four behaviours are forgotten and four added; items keep their traits; other items are shown."""
    first, second = (EcommerceSequences(rows=2000, day=day) for day in (0, 1))
    a, b = whole(first.frames(0)), whole(second.frames(0))
    np.testing.assert_array_equal(a.person, b.person)
    np.testing.assert_array_equal(a.spending, b.spending)
    old = a.item_history.str.split(" ").str[PER_DAY:].to_list()
    new = b.item_history.str.split(" ").str[:-PER_DAY].to_list()
    assert old == new
    assert not a.item.equals(b.item)
    traits = pd.concat([a, b]).groupby("item")[["shop", "brand", "category", "price", "reviews"]].nunique()
    assert (traits == 1).all(axis=None)
    still, moved = (EcommerceSequences(rows=2000, drift=drift, day=6).world(0).trend for drift in (0.0, 0.3))
    assert not still.any()
    assert moved.std() > 0.3


def test_people_do_not_cross_splits() -> None:
    """A model is tested on people it has not seen."""
    frames = EcommerceSequences(rows=4000).frames(0)
    people = [set(part.person) for part in (frames.train, frames.valid, frames.test)]
    assert not people[0] & people[1]
    assert not (people[0] | people[1]) & people[2]
    assert frames.train.person.value_counts().max() == EXPOSURES


@pytest.mark.parametrize("seed", range(3))
def test_rates_are_those_of_a_shop(seed: int) -> None:
    """Clicks 10 to 25%, purchases 15 to 40% of clicks, every price level asked for by some."""
    table = whole(EcommerceSequences().frames(seed))
    assert 0.10 < table.clicked.mean() < 0.25
    assert 0.15 < table.bought[table.clicked].mean() < 0.4
    assert not table.bought[~table.clicked].any()
    assert table.level.value_counts(normalize=True).reindex(range(1, 8)).min() > 0.02
