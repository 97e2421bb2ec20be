"""`funnel`: exposure, click, cart, buy, with the chance of a purchase known even where nobody clicked.

What ESMM and its successors argue about: Ma, Zhao, Huang, Wang, Hu, Zhu, Gai, "Entire Space Multi-Task Model",
SIGIR 2018 (ESMM); Wang et al., "ESCM2", SIGIR 2022 (selection and propensities); Wen et al., SIGIR 2020 (cart between
click and purchase).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mtl_core.data import worlds
from mtl_core.data.base import DatasetOptions, Frames
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Feature, Schema, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

Inputs = Literal["dense", "ids"]
FEATURES = 16
#: Length of the vectors behind the ids, how far one standard deviation of their match moves a logit, and the share of
#: its variance that all users agree on.
LATENT, MATCH_STRENGTH, AGREED = 4, 1.5, 0.3
#: The r-th most popular item is shown in proportion to r to the minus this.
TAIL = 0.8


@dataclass(frozen=True)
class Biases:
    """Logits of an average exposure: click, cart after a click, purchase after cart, purchase without cart."""

    click: float
    cart: float
    buy_cart: float
    buy_other: float


#: ids: 8.6% of exposures are clicked and 34% of clicks bought at the preset.
BIASES: dict[Inputs, Biases] = {
    "dense": Biases(-2.0, -1.5, -0.5, -4.0),
    "ids": Biases(-1.71, -1.44, -0.44, -3.94),
}


@dataclass(frozen=True)
class Scores:
    """Relevance of each exposure's item before any bias. All [n]."""

    click: NDArray[np.float64]
    cart: NDArray[np.float64]
    buy: NDArray[np.float64]


@dataclass(frozen=True)
class Chances:
    """What happens to an exposure, step by step. All [n]."""

    relevance: NDArray[np.float64]  # a click, if the position is looked at
    click: NDArray[np.float64]
    cart: NDArray[np.float64]  # given a click
    buy_cart: NDArray[np.float64]  # given a click and a cart
    buy_other: NDArray[np.float64]  # given a click and no cart

    @property
    def buy(self) -> NDArray[np.float64]:
        """A purchase, given a click."""
        return self.cart * self.buy_cart + (1.0 - self.cart) * self.buy_other


@register("dataset", "funnel", "Purchase funnel")
class Funnel(DatasetOptions):
    """A shop's log: who saw what, clicked it, put it in the cart, bought it. Purchases are seen only after clicks.

    Because the world is made, the chance of a purchase is known for every exposure, clicked or not, and a model
    that learned from clicks can be held to the rows it never saw.

    `dense`: x ~ N(0, 1)^16, orthonormal u_0, u_1, u_2, w_click = u_0, w_buy = p u_0 + sqrt(1 - p^2) u_1,
    w_cart = p u_0 + sqrt(1 - p^2) u_2, score_t = z + m sin(2 z) with z = w_t x. `ids`: users and items have vectors
    of 4 numbers, an item one for all actions, a user one for clicks and one for carts and purchases; z is their inner
    product, scaled to standard deviation 1.5. A user's two vectors correlate with p, and so do the affinities; 30% of
    an affinity's variance is what all users agree on. Items have a popularity tail, and only the ids are inputs.

    P(click) = eta_k s(b_1 + score_click + beta h), P(cart | click) = s(b_2 + score_cart + beta h),
    P(buy | cart) = s(b_3 + score_buy + beta h), P(buy | click, no cart) = s(b_4 + score_buy + beta h), with the
    chance eta_k that position k of a session of 10 is looked at, and a hidden intent h ~ N(0, 1) that no input tells.
    Position is the rank of policy * score_click + N(0, 1). b = (-2, -1.5, -0.5, -4) for `dense`.

    Truth is averaged over h exactly (21-point Gauss-Hermite): p_ctr = P(click | x, k), p_relevance the same without
    eta, p_cart and p_cvr for a click that is made, whoever made it, p_ctcvr = P(click and buy). With h the product
    p_ctr * p_cvr is not p_ctcvr: p_ctcvr / p_ctr is the rate among those who click of themselves. cart and buy are 0
    where nothing was clicked; what would have happened is hidden in cart_if_clicked and buy_if_clicked.
    """

    inputs: Inputs = option("ids", "What a model sees: user and item ids, or 16 numbers")
    correlation: float = option(
        0.8, "How far liking to click and liking to buy go together (p); below 0 they are opposites", ge=-1, le=1
    )
    confounder: float = option(0.0, "Strength of a hidden intent behind clicks and purchases alike (beta)", ge=0, le=5)
    misspecification: float = option(
        0.0, "How far scores bend away from a straight line (m); with 0 a logistic regression is right", ge=0, le=3
    )
    position_policy: float = option(
        0.0, "How strongly the list is sorted by relevance; 0 puts items at random positions", ge=0, le=10
    )
    tasks: Literal["ctr, cvr", "ctr, cart, cvr"] = option("ctr, cvr", "Whether carts are predicted too")
    rows: int = option(200_000, "Exposures in all: 60% train, 20% validation, 20% test", ge=500, le=2_000_000)
    position_feature: bool = option(False, "Show the position to the model", advanced=True)
    click_bias: float = option(0.0, "Added to the logit of every click", ge=-5, le=5, advanced=True)
    cart_bias: float = option(0.0, "Added to the logit of every cart", ge=-5, le=5, advanced=True)
    buy_bias: float = option(0.0, "Added to the logits of every purchase", ge=-5, le=5, advanced=True)
    users: int = option(2_000, "Users (ids)", ge=10, le=200_000, advanced=True)
    items: int = option(2_000, "Items (ids)", ge=10, le=200_000, advanced=True)

    def table_schema(self) -> Schema:
        features = list(self._features())
        if self.position_feature:
            names = worlds.id_names(worlds.SESSION)
            features.append(Feature(name="position", kind="categorical", role="position", categories=names))
        tasks = [Task(name="ctr", label="click", truth="p_ctr", description="click on an exposure")]
        if self.tasks == "ctr, cart, cvr":
            tasks.append(_after_click("cart", "cart", "p_cart", "put in the cart after a click"))
        # After the click, not after the cart: things are bought without one, too.
        tasks.append(_after_click("cvr", "buy", "p_cvr", "purchase after a click"))
        hidden = ["session", "p_ctr", "p_relevance", "p_cart", "p_cvr", "p_ctcvr", "intent"]
        if not self.position_feature:
            hidden.append("position")
        if self.tasks == "ctr, cvr":
            hidden.append("cart")
        return Schema(
            features=tuple(features), tasks=tuple(tasks), hidden=(*hidden, "cart_if_clicked", "buy_if_clicked")
        )

    def _features(self) -> tuple[Feature, ...]:
        if self.inputs == "dense":
            return tuple(Feature(name=f"x{i}", kind="numeric", scaling="none") for i in range(FEATURES))
        return (
            Feature(name="user", kind="categorical", role="user", categories=worlds.id_names(self.users)),
            Feature(name="item", kind="categorical", role="item", categories=worlds.id_names(self.items)),
        )

    def frames(self, seed: int) -> Frames:
        rng = np.random.default_rng([seed, 0xF0])
        columns, scores = self._dense(rng) if self.inputs == "dense" else self._ids(rng)
        place = worlds.positions(rng, scores.click, self.position_policy)
        intent = rng.standard_normal(self.rows)

        drawn = self.chances(scores, place, self.confounder * intent)
        click = worlds.bernoulli(rng, drawn.click)
        cart = worlds.bernoulli(rng, drawn.cart)
        buy = worlds.bernoulli(rng, np.where(cart, drawn.buy_cart, drawn.buy_other))
        columns |= {
            "position": place,
            "session": np.arange(self.rows) // worlds.SESSION,
            "click": click,
            "cart": click & cart,
            "buy": click & buy,
            "cart_if_clicked": cart,
            "buy_if_clicked": buy,
            "intent": intent,
            **self._truth(scores, place),
        }
        return worlds.split(columns, self.rows, block=worlds.SESSION)

    def chances(self, scores: Scores, place: NDArray[np.int64], shift: NDArray[np.float64] | float) -> Chances:
        """Chances of every step for items at these positions, with `shift` (beta h) added to every logit."""
        b = BIASES[self.inputs]
        relevance = worlds.sigmoid(b.click + self.click_bias + scores.click + shift)
        return Chances(
            relevance=relevance,
            click=worlds.EXAMINATION[place] * relevance,
            cart=worlds.sigmoid(b.cart + self.cart_bias + scores.cart + shift),
            buy_cart=worlds.sigmoid(b.buy_cart + self.buy_bias + scores.buy + shift),
            buy_other=worlds.sigmoid(b.buy_other + self.buy_bias + scores.buy + shift),
        )

    def _truth(self, scores: Scores, place: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Chances given what a model could know: averaged over the hidden intent."""

        def curves(shift: float) -> tuple[NDArray[np.float64], ...]:
            c = self.chances(scores, place, shift)
            return c.relevance, c.click, c.cart, c.buy, c.click * c.buy

        names = ("p_relevance", "p_ctr", "p_cart", "p_cvr", "p_ctcvr")
        return dict(zip(names, worlds.average_over_normal(curves, self.confounder), strict=True))

    def _dense(self, rng: np.random.Generator) -> tuple[dict[str, Any], Scores]:
        directions = self.directions(rng)
        x = rng.standard_normal((self.rows, FEATURES), np.float32)
        bent = (self._bend(z) for z in directions @ x.T.astype(np.float64))
        return {f"x{i}": x[:, i] for i in range(FEATURES)}, Scores(*bent)

    def directions(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """w_click, w_cart and w_buy of the dense inputs, each of length 1. [3, FEATURES]"""
        click, own_buy, own_cart = worlds.orthonormal(rng, 3, FEATURES)
        along, aside = self.correlation, np.sqrt(1.0 - self.correlation**2)
        return np.stack([click, along * click + aside * own_cart, along * click + aside * own_buy])

    def _ids(self, rng: np.random.Generator) -> tuple[dict[str, Any], Scores]:
        common = np.sqrt(LATENT) * worlds.orthonormal(rng, 2, LATENT)  # what everybody likes, by action
        each = rng.standard_normal((2, self.users, LATENT))
        likes_click, aside = np.sqrt(AGREED) * common[:, None] + np.sqrt(1.0 - AGREED) * each
        likes_buy = self.correlation * likes_click + np.sqrt(1.0 - self.correlation**2) * aside
        offers = rng.standard_normal((self.items, LATENT))
        sessions = -(-self.rows // worlds.SESSION)
        user = rng.integers(0, self.users, sessions).repeat(worlds.SESSION)[: self.rows]
        item = worlds.tail_draws(rng, self.items, self.rows, TAIL)
        matches = (np.einsum("nd,nd->n", likes[user], offers[item]) for likes in (likes_click, likes_buy))
        click, buy = (self._bend(MATCH_STRENGTH * worlds.standardised(match)) for match in matches)
        return {"user": user, "item": item}, Scores(click, buy, buy)

    def _bend(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        return z + self.misspecification * np.sin(2.0 * z)

    @classmethod
    def preset(cls) -> dict[str, Any]:
        trunks: dict[str, dict[str, Any]] = {
            "single_task": {"layers": [84, 64]},
            "shared_bottom": {"layers": [388, 64]},
            "soft_sharing": {"layers": [268, 44]},
            "cross_stitch": {"layers": [130, 99]},
            "sluice": {"width": 114, "levels": 2, "subspaces": 2},
            "asymmetric": {"layers": [267, 44]},
            "customized": {"layers": [214, 35]},
            "omoe": {"experts": 4, "expert_layers": [96, 64]},
            "mmoe": {"experts": 4, "expert_layers": [96, 64]},
            "ml_mmoe": {"experts": 4, "levels": 2, "expert_layers": [79]},
            "cgc": {"shared_experts": 2, "task_experts": 1, "expert_layers": [96, 64]},
            "ple": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [92]},
            "adatt": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [91]},
            "stem": {"shared_experts": 2, "task_experts": 1, "levels": 1, "expert_layers": [96, 64]},
            "snr": {"experts": 4, "levels": 2, "expert_layers": [31]},
            "dselect_k": {"experts": 4, "selectors": 2, "expert_layers": [96, 64]},
            "pepnet": {"layers": [111, 85], "gate_hidden": 16},
        }
        spec = {
            "data": {"name": "funnel"},
            "model": {
                "encoder": {"name": "embedding", "options": {"dim": 4}},
                "trunk": {"name": "mmoe", "options": trunks["mmoe"]},
                "towers": [],
            },
            "training": {"epochs": 7, "batch_size": 1024, "learning_rate": 0.005, "weight_decay": 1e-4},
        }
        return {"spec": spec, "trunks": trunks}


def _after_click(name: str, label: str, truth: str, description: str) -> Task:
    return Task(name=name, label=label, space="click", after="ctr", truth=truth, description=description)
