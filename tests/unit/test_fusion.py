"""Fused orders and what is measured per list, by hand and against brute force."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from mtl_core.fusion import read_out, two_stage, weighted_product, weighted_sum
from mtl_core.ranking import gauc, ndcg, places

SCORES = {"click": [0.1, 0.2, 0.4], "like": [0.5, 0.1, 0.02]}


def test_a_weighted_product_by_hand() -> None:
    """click^1 like^2, in order."""
    found = weighted_product(SCORES, {"click": 1.0, "like": 2.0})
    assert found == pytest.approx([0.1 * 0.25, 0.2 * 0.01, 0.4 * 0.0004])


def test_a_product_is_blind_to_scale_and_a_sum_is_not() -> None:
    """Likes predicted ten times too low: the product's order stays, the sum's does not."""
    lower = {**SCORES, "like": [v / 10 for v in SCORES["like"]]}
    weights = {"click": 1.0, "like": 1.0}
    orders = [
        np.argsort(-fuse(s, weights)).tolist() for fuse in (weighted_product, weighted_sum) for s in (SCORES, lower)
    ]
    assert orders[0] == orders[1]
    assert orders[2] != orders[3]


def test_a_weighted_sum_by_hand() -> None:
    """2 click + 10 like; a task of weight 0 need not even be a probability."""
    assert weighted_sum(SCORES, {"click": 2.0, "like": 10.0}) == pytest.approx([5.2, 1.4, 1.0])
    odd = {**SCORES, "stars": [-1.0, 0.0, 5.0]}
    assert weighted_product(odd, {"click": 1.0, "stars": 0.0}) == pytest.approx(SCORES["click"])


def test_products_of_tiny_scores_do_not_vanish() -> None:
    """In log space: the order of rows at 1e-200 is still theirs."""
    tiny = {"a": [1e-200, 2e-200], "b": [1e-100, 1e-100]}
    found = weighted_product(tiny, {"a": 1.0, "b": 1.0})
    assert found[0] < found[1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [({"buy": 1.0}, "no scores of 'buy'"), ({"click": 0.0}, "at least one task"), ({}, "at least one task")],
)
def test_wrong_weights_are_named(weights: dict[str, float], message: str) -> None:
    """In a sentence."""
    for fuse in (weighted_product, weighted_sum):
        with pytest.raises(ValueError, match=message):
            fuse(SCORES, weights)


def test_no_power_of_zero() -> None:
    """A score of 0 would decide alone."""
    with pytest.raises(ValueError, match="above 0"):
        weighted_product({"a": [0.0, 1.0]}, {"a": 1.0})


def test_two_stages_by_hand() -> None:
    """The best two by clicks, those by follows; the rest as clicked. Two lists, mixed up."""
    groups = ["p", "q", "p", "q", "p", "p"]
    click = [0.9, 0.2, 0.8, 0.5, 0.1, 0.3]
    follow = [0.1, 0.9, 0.3, 0.2, 0.99, 0.5]
    assert two_stage(click, follow, groups, 2).tolist() == [-1, 0, 0, -1, -3, -2]


def test_the_ends_of_two_stages() -> None:
    """A head of nothing is the first order, a head of everything the second."""
    rng = np.random.default_rng(0)
    first, second, groups = rng.random(40), rng.random(40), rng.integers(0, 5, 40)
    assert (-two_stage(first, second, groups, 0) == places(first, groups)).all()
    assert (-two_stage(first, second, groups, 40) == places(second, groups)).all()
    with pytest.raises(ValueError, match="negative"):
        two_stage(first, second, groups, -1)


def test_what_a_fusion_costs_each_task() -> None:
    """One list: by clicks the click's NDCG is 1, the follow's 1 / log2(4); the two-stage order turns that round."""
    groups = [0, 0, 0]
    click, follow = [0.9, 0.8, 0.7], [0.1, 0.2, 0.9]
    gains = {"click": [1, 0, 0], "follow": [0, 0, 1]}
    assert {k: v.value for k, v in read_out(click, gains, groups).items()} == pytest.approx({"click": 1, "follow": 0.5})
    fused = two_stage(click, follow, groups, 3)
    assert {k: v.value for k, v in read_out(fused, gains, groups).items()} == pytest.approx({"click": 0.5, "follow": 1})


def test_tensors_will_do() -> None:
    """The same numbers from torch."""
    as_tensors = {name: torch.tensor(values) for name, values in SCORES.items()}
    weights = {"click": 1.0, "like": 2.0}
    assert weighted_product(as_tensors, weights) == pytest.approx(weighted_product(SCORES, weights), rel=1e-6)


def test_fusion_needs_no_torch() -> None:
    """A page may fuse without loading it."""
    code = "import sys, mtl_core.fusion; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# NDCG


def test_ndcg_by_hand() -> None:
    """Gains 3, 0, 2 in this order: (3 + 2/2) / (3 + 2/log2 3)."""
    found = ndcg([3, 2, 1], [3, 0, 2], [0, 0, 0])
    assert found.value == pytest.approx((3 + 2 / 2) / (3 + 2 / math.log2(3)))
    assert ndcg([3, 2, 1], [3, 0, 2], [0, 0, 0], n=1).value == 1
    assert ndcg([1, 2, 3], [3, 0, 2], [0, 0, 0], n=1).value == pytest.approx(2 / 3)


def test_lists_without_gain_are_dropped_and_counted() -> None:
    """They have no best order; the others count alike, whatever their length."""
    found = ndcg([1, 2, 1, 2, 3, 9], [1, 0, 0, 0, 1, 0], ["a", "a", "b", "b", "b", "c"])
    assert (found.groups, found.dropped) == (2, 1)
    assert found.value == pytest.approx((1 / math.log2(3) + 1) / 2)
    assert ndcg([1.0], [0.0], [0]) == (None, 0, 1)


def test_ties_share_their_places() -> None:
    """Two rows of equal score take the first two places in either order: the mean of both."""
    assert ndcg([1, 1], [1, 0], [0, 0]).value == pytest.approx((1 + 1 / math.log2(3)) / 2)


lists = st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 3), st.integers(0, 4)), min_size=2, max_size=40)


@given(lists, st.integers(1, 6))
def test_ndcg_is_sklearns(rows: list[tuple[int, int, int]], n: int) -> None:
    """List by list, ties included."""
    group, score, gain = (np.array(column) for column in zip(*rows, strict=True))
    expected = [
        ndcg_score([gain[group == g]], [score[group == g]], k=n)
        if (group == g).sum() > 1
        else 1.0  # sklearn knows no list of one
        for g in np.unique(group)
        if gain[group == g].any()
    ]
    found = ndcg(score, gain, group, n)
    assert found.groups == len(expected)
    if expected:
        assert found.value == pytest.approx(np.mean(expected))


@pytest.mark.parametrize(("gains", "n", "message"), [([-1.0], 1, "negative"), ([1.0], 0, "at least 1")])
def test_ndcg_refuses(gains: list[float], n: int, message: str) -> None:
    """Negative gains and no places."""
    with pytest.raises(ValueError, match=message):
        ndcg([1.0], gains, [0], n)


# GAUC. T17c


def test_gauc_by_hand() -> None:
    """u1 is perfect with 3 impressions, u2 reversed with 2, u3 has one class: .6 by impressions, .5 by clicks."""
    user, label, score = [1, 1, 1, 2, 2, 3, 3], [1, 0, 0, 1, 0, 1, 1], [0.9, 0.2, 0.1, 0.3, 0.6, 0.5, 0.5]
    assert gauc(score, label, user) == (pytest.approx(0.6), 2, 1)
    assert gauc(score, label, user, "clicks").value == pytest.approx(0.5)
    assert gauc(score, label, user, "equal").value == pytest.approx(0.5)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.integers(0, 1)), min_size=1, max_size=40))
def test_gauc_is_the_weighted_mean_of_aucs(rows: list[tuple[int, int, int]]) -> None:
    """User by user, ties included."""
    group, score, label = (np.array(column) for column in zip(*rows, strict=True))
    both = [g for g in np.unique(group) if len(set(label[group == g])) == 2]
    found = gauc(score, label, group)
    assert (found.groups, found.dropped) == (len(both), len(np.unique(group)) - len(both))
    if both:
        areas = [roc_auc_score(label[group == g], score[group == g]) for g in both]
        assert found.value == pytest.approx(np.average(areas, weights=[(group == g).sum() for g in both]))
    else:
        assert found.value is None


def test_one_user_has_the_plain_auc_whatever_the_weights() -> None:
    """And scores that are no numbers have none at all."""
    label, score = [1, 0, 1, 0], [0.9, 0.9, 0.4, 0.1]
    for weights in ("impressions", "clicks", "equal"):
        assert gauc(score, label, [7] * 4, weights).value == pytest.approx(0.625)  # type: ignore[arg-type]
    assert gauc([math.nan, 1.0], [1, 0], [0, 0]).value is None


def test_places_count_from_the_top_of_each_list() -> None:
    """0 for the highest; among equals the earlier row first."""
    assert places([1, 3, 3, 2, 9], ["a", "a", "a", "b", "a"]).tolist() == [3, 1, 2, 0, 0]
    assert all(
        sorted(places(order, [0] * 4).tolist()) == [0, 1, 2, 3] for order in itertools.permutations([1, 2, 2, 5])
    )
