"""`funnel`: its truth is exact, its log shows what a shop sees, and its known answers come out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from mtl_core.data import worlds
from mtl_core.data.base import Frames
from mtl_core.data.funnel import BIASES, FEATURES, Funnel, Scores

Floats = NDArray[np.float64]
X = [f"x{i}" for i in range(FEATURES)]
SETTINGS: tuple[dict[str, Any], ...] = (
    {"inputs": "dense"},
    {"inputs": "dense", "correlation": -0.5, "misspecification": 1.0, "position_policy": 2.0},
    {"inputs": "ids"},
    {"inputs": "ids", "correlation": -0.3, "confounder": 1.0},
)


def whole(frames: Frames) -> pd.DataFrame:
    return pd.concat([frames.train, frames.valid, frames.test], ignore_index=True)


def within(observed: pd.Series, chance: pd.Series, errors: float = 3.5) -> bool:
    """Whether draws are as frequent as their chances say, up to so many standard errors."""
    spread = np.sqrt((chance * (1 - chance)).sum()) / len(chance)
    return bool(abs(observed.mean() - chance.mean()) < errors * spread)


@pytest.mark.parametrize("options", SETTINGS)
def test_frequencies_agree_with_the_truth(options: dict[str, Any]) -> None:
    """Clicks everywhere; carts and purchases of all exposures as they would have been; both together in the log."""
    table = whole(Funnel(rows=100_000, **options).frames(0))
    assert within(table.click, table.p_ctr)
    assert within(table.cart_if_clicked, table.p_cart)
    assert within(table.buy_if_clicked, table.p_cvr)
    assert within(table.buy, table.p_ctcvr)


def test_the_log_shows_only_what_a_shop_sees() -> None:
    """No cart and no purchase without a click; what would have happened is hidden."""
    options = Funnel(rows=20_000, tasks="ctr, cart, cvr")
    table = whole(options.frames(0))
    assert not table.loc[~table.click, ["cart", "buy"]].any(axis=None)
    clicked = table[table.click]
    assert (clicked.cart == clicked.cart_if_clicked).all()
    assert (clicked.buy == clicked.buy_if_clicked).all()
    assert table.buy_if_clicked[~table.click].any()
    hidden = set(options.table_schema().hidden)
    assert {"cart_if_clicked", "buy_if_clicked", "intent", "p_ctr", "p_cvr", "p_ctcvr", "p_cart"} <= hidden
    assert {feature.name for feature in options.table_schema().features} == {"user", "item"}


def test_a_purchase_comes_with_or_without_a_cart() -> None:
    """P(buy | click) = P(cart) P(buy | cart) + (1 - P(cart)) P(buy | no cart); by hand at the biases."""
    scores = Scores(*(np.zeros(1) for _ in range(3)))
    chances = Funnel(inputs="dense").chances(scores, np.array([4]), 0.0)
    cart, with_cart, without = (1 / (1 + np.exp(-b)) for b in (-1.5, -0.5, -4.0))
    assert chances.buy[0] == pytest.approx(cart * with_cart + (1 - cart) * without)
    assert chances.click[0] == pytest.approx(0.32 / (1 + np.exp(2.0)))
    assert BIASES["dense"].click == -2.0


@pytest.mark.parametrize("correlation", [-1.0, -0.5, 0.0, 0.8, 1.0])
def test_directions_have_exactly_that_cosine(correlation: float) -> None:
    """Click against cart and purchase; dense scores are those projections, and ids' affinities correlate as much."""
    options = Funnel(inputs="dense", correlation=correlation)
    click, cart, buy = options.directions(np.random.default_rng(0))
    assert click @ buy == pytest.approx(correlation)
    assert click @ cart == pytest.approx(correlation)
    assert buy @ cart == pytest.approx(correlation**2)
    np.testing.assert_allclose([v @ v for v in (click, cart, buy)], 1.0)
    _, scores = Funnel(inputs="ids", correlation=correlation)._ids(np.random.default_rng(0))
    assert np.corrcoef(scores.click, scores.buy)[0, 1] == pytest.approx(correlation, abs=0.08)


def test_without_confounder_the_funnel_is_a_product() -> None:
    """p_ctcvr = p_ctr * p_cvr exactly; with one, those who click of themselves buy more."""
    plain, driven = (whole(Funnel(rows=5000, confounder=beta).frames(0)) for beta in (0.0, 1.0))
    np.testing.assert_array_equal(plain.p_ctcvr, plain.p_ctr * plain.p_cvr)
    assert (driven.p_ctcvr > driven.p_ctr * driven.p_cvr).all()


def test_truth_is_the_average_over_the_hidden_intent() -> None:
    """Quadrature against a large sample of intents for a few exposures."""
    options = Funnel(inputs="dense", confounder=1.5)
    scores = Scores(*np.random.default_rng(0).standard_normal((3, 4)))
    place = np.array([0, 3, 6, 9])
    truth = options._truth(scores, place)
    intents = np.random.default_rng(1).standard_normal(40_000)
    drawn = [options.chances(scores, place, 1.5 * h) for h in intents]
    np.testing.assert_allclose(truth["p_cvr"], np.mean([c.buy for c in drawn], axis=0), rtol=0.03)
    np.testing.assert_allclose(truth["p_ctcvr"], np.mean([c.click * c.buy for c in drawn], axis=0), rtol=0.03)


def test_position_and_policy() -> None:
    """Ten places a session; sorted by relevance if asked; p_relevance is the click's chance if it is looked at."""
    random, sorted_ = (whole(Funnel(rows=20_000, position_policy=policy).frames(0)) for policy in (0.0, 2.0))
    assert (np.sort(random.position.to_numpy().reshape(-1, 10), axis=1) == np.arange(10)).all()
    np.testing.assert_allclose(random.p_ctr, random.p_relevance * worlds.EXAMINATION[random.position])
    assert abs(np.corrcoef(random.position, random.p_relevance)[0, 1]) < 0.03
    assert np.corrcoef(sorted_.position, sorted_.p_relevance)[0, 1] < -0.4
    assert sorted_.click.mean() > random.click.mean()
    shown = Funnel(position_feature=True).table_schema()
    assert shown.features[-1].role == "position"
    assert "position" not in shown.hidden


@pytest.mark.parametrize("seed", range(3))
def test_rates_of_the_ids_preset(seed: int) -> None:
    """8.6% of exposures clicked, 34% of clicks bought, far fewer purchases if everybody clicked; a popularity tail."""
    table = whole(Funnel().frames(seed))
    assert table.click.mean() == pytest.approx(0.086, abs=0.004)
    assert table.buy[table.click].mean() == pytest.approx(0.34, abs=0.015)
    assert table.p_cvr.mean() < 0.22
    shown = table.item.value_counts()
    assert shown.iloc[:200].sum() > 0.3 * len(table)


def fit(x: Floats, y: Floats, weight: Floats | None = None) -> Floats:
    """Logistic regression by Newton's method, with an intercept. [d + 1]"""
    design = np.c_[np.ones(len(x)), x]
    weight = np.ones(len(x)) if weight is None else weight / weight.mean()
    beta = np.zeros(design.shape[1])
    for _ in range(12):
        p = worlds.sigmoid(design @ beta)
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design
        beta += np.linalg.solve(curvature + 1e-6 * np.eye(len(beta)), design.T @ (weight * (y - p)))
    return beta


def soft_auc(scores: Floats, positive: Floats, negative: Floats | None = None) -> float:
    """Expected AUC where each row is a positive and a negative with these chances; pairs with itself are left out."""
    order = np.argsort(scores)
    positive = positive[order]
    negative = 1 - positive if negative is None else negative[order]
    below = np.cumsum(negative) - negative
    return float((positive * below).sum() / (positive.sum() * negative.sum() - (positive * negative).sum()))


# Settings; CTR, CVR of clicks, CVR of all, Bayes' soft AUC; soft AUC and PCOC over all exposures by training set.
TABLE: tuple[tuple[dict[str, float], tuple[float, ...], dict[str, tuple[float, float]]], ...] = (
    (
        {"correlation": 0.5},
        (0.0606, 0.1661, 0.1163, 0.7623),
        {"oracle": (0.7618, 1.007), "clicked": (0.7607, 1.008), "aman": (0.7400, 0.087), "ipw": (0.7592, 1.013)},
    ),
    (
        {"correlation": 0.9, "misspecification": 1.0},
        (0.0759, 0.3197, 0.1756, 0.8444),
        {"oracle": (0.8343, 1.002), "clicked": (0.8331, 1.233), "aman": (0.8314, 0.138), "ipw": (0.8336, 0.997)},
    ),
    (
        {"correlation": 0.5, "confounder": 1.0},
        (0.0721, 0.3051, 0.1575, 0.7154),
        {"oracle": (0.7150, 1.007), "clicked": (0.7114, 1.678), "ipw": (0.7118, 1.667)},
    ),
)


@pytest.mark.parametrize(("options", "rates", "models"), TABLE)
def test_the_known_table_comes_out(
    options: dict[str, Any], rates: tuple[float, ...], models: dict[str, tuple[float, float]]
) -> None:
    """Measured elsewhere on another draw: rates within 1.5 to 6%, soft AUC within .008, PCOC within 9%.

    The bounds are about three standard errors of a model that learned from some 10,000 clicks. What they must not blur:
    clicks alone are enough when the model is right and nothing is hidden; a wrong model over-predicts, and weighting by
    the true propensity repairs it; with a hidden intent weighting by what is observed repairs nothing.
    """
    table = whole(Funnel(inputs="dense", rows=200_000, **options).frames(0))
    ctr, of_clicks, of_all, bayes = rates
    truth, click = table.p_cvr.to_numpy(), table.click.to_numpy()
    assert click.mean() == pytest.approx(ctr, rel=0.03)
    assert table.buy[click].mean() == pytest.approx(of_clicks, rel=0.06)
    assert truth.mean() == pytest.approx(of_all, rel=0.015)
    assert soft_auc(truth, truth) == pytest.approx(bayes, abs=0.003)

    x, half = table[X].to_numpy(np.float64), np.arange(len(table)) < 160_000
    would_buy, bought = table.buy_if_clicked.to_numpy(float), table.buy.to_numpy(float)
    fitted = {
        "oracle": fit(x[half], would_buy[half]),
        "clicked": fit(x[half & click], bought[half & click]),
        "aman": fit(x[half], bought[half]),
        "ipw": fit(x[half & click], bought[half & click], 1 / table.p_ctr.to_numpy()[half & click]),
    }
    for name, (area, pcoc) in models.items():
        predicted = worlds.sigmoid(fitted[name][0] + x[~half] @ fitted[name][1:])
        assert soft_auc(predicted, truth[~half]) == pytest.approx(area, abs=0.008), name
        assert predicted.mean() / truth[~half].mean() == pytest.approx(pcoc, rel=0.09), name
    if options.get("confounder"):
        # Judged on clicks, the model that learned from clicks beats the one that saw everything, and even the truth.
        held = table[~half]
        buys, leaves = held.p_ctcvr.to_numpy(), (held.p_ctr - held.p_ctcvr).to_numpy()
        scores = {name: x[~half] @ fitted[name][1:] for name in ("oracle", "clicked")} | {"truth": truth[~half]}
        judged = {name: soft_auc(score, buys, leaves) for name, score in scores.items()}
        assert judged["clicked"] > judged["truth"]
        assert judged["clicked"] > judged["oracle"]
