"""`ecommerce_sequences`: shoppers whose taste stands in the order of what they did, not in how often they did it.

After Ni, Ou, Liu, Li, Ou, Zeng, Si, "Perceive Your Users in Depth" (DUPN), KDD 2018: one user representation read from
behaviours <item, property>, used for several tasks and updated day by day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl_core.data import worlds
from mtl_core.data.base import DatasetOptions, Frames
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Feature, Schema, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACTIONS = ("click", "cart", "buy")
CLICK, CART, BUY = range(3)
ACTION_CHANCES = (0.5, 0.2, 0.3)
GAPS = ("minutes", "hours", "days", "weeks")
SHOPS, BRANDS, CATEGORIES = 60, 20, 12
#: Exposures of one person, behaviours that pass from one day to the next, and days in all.
EXPOSURES, PER_DAY, DAYS = 8, 4, 7
#: Share of candidates that come from the category or brand of something the person bought, each.
RECALLED = 0.3
CLICK_BIAS, BUY_BIAS = -2.6, -1.7
#: What a full match adds to a logit: click by category and brand, purchase by brand and by categories carted.
CLICK_CATEGORY, CLICK_BRAND, BUY_BRAND, BUY_CARTED = 2.4, 1.2, 2.0, 2.0
#: Standard deviation of an item's appeal and the part of it that its reviews tell; what a unit of price distance takes
#: off a purchase's logit.
APPEAL, REVIEWED, PRICE_DISTANCE = 0.7, 0.8, 0.4
#: Price level 1 .. 7: the middle, and what prices bought, spending power and chance add.
LEVELS, MIDDLE, BY_TASTE, BY_SPENDING, BY_CHANCE = 7, 4.0, 1.2, 0.8, 0.6


@dataclass(frozen=True)
class Catalogue:
    """The shop's items. All [items]."""

    shop: NDArray[np.int64]
    brand: NDArray[np.int64]
    category: NDArray[np.int64]
    price: NDArray[np.float64]  # mean 0, variance 1
    reviews: NDArray[np.float64]  # mean 0, variance 1
    click_appeal: NDArray[np.float64]
    buy_appeal: NDArray[np.float64]


@dataclass(frozen=True)
class Histories:
    """What people did, oldest first. All [users, length]."""

    item: NDArray[np.int64]
    action: NDArray[np.int64]
    gap: NDArray[np.int64]

    def window(self, start: int, length: int) -> Histories:
        """The behaviours from `start` on."""
        kept = slice(start, start + length)
        return Histories(self.item[:, kept], self.action[:, kept], self.gap[:, kept])

    def shuffled(self, rng: np.random.Generator) -> Histories:
        """The same behaviours of each person in a random order: a bag."""
        order = rng.permuted(np.tile(np.arange(self.item.shape[1]), (len(self.item), 1)), axis=1)
        item, action, gap = (np.take_along_axis(part, order, axis=1) for part in (self.item, self.action, self.gap))
        return Histories(item, action, gap)


@dataclass(frozen=True)
class World:
    """Everything that stays from day to day, and the day's exposures."""

    items: Catalogue
    histories: Histories  # of each user, as known on the day
    spending: NDArray[np.float64]  # [users]
    trend: NDArray[np.float64]  # [CATEGORIES], the day's fashion: added to a click's logit
    user: NDArray[np.int64]  # [n]
    candidate: NDArray[np.int64]  # [n], item


@register("dataset", "ecommerce_sequences", "Shop with behaviour sequences")
class EcommerceSequences(DatasetOptions):
    """Shoppers with their last 20 behaviours: what they want now shows in what they bought last, not most often.

    A model that only counts what somebody did misses most of it; one that reads the order finds it.

    Every behaviour has an item with shop, brand and category, an action (click, cart, buy) and the time since the one
    before. Tasks: a click on the item shown, the price level the person asks for now (1 to 7, predicted as a number:
    there are no tasks of several classes), and a purchase after the click.

    Behaviours are drawn independently of each other, so a shuffled history would have been as likely: all that a bag
    of behaviours can know is the average over all orders. With purchases numbered 0, 1, ... from the latest back,
    purchase j has weight proportional to memory^j, and carts likewise. m_category, m_brand and m_carted are the
    weights of purchases (carts) that match the item shown, t is the weighted price bought.
    logit(click) = -2.6 + 2.4 m_category + 1.2 m_brand + appeal + trend;
    logit(buy | click) = -1.7 + 2 m_brand + 2 m_carted (by category) - 0.4 |price - t| + appeal;
    price level = 4 + 1.2 t + 0.8 spending + 0.6 N(0, 1), rounded.
    Reviews tell four fifths of an item's appeal. Shops and the time between behaviours tell nothing. Three of ten
    items shown share the category of a random purchase of that person, three the brand.

    Users differ between train, validation and test. From one `day` to the next the same people (of one seed) do four
    more things, the oldest four are forgotten, other items are shown, and fashion (`trend`) moves by `drift`.

    Hidden: p_ctr, mean_price and p_purchase (for a click that is made, whoever made it), the truth of each task.
    """

    memory: float = option(
        0.0,
        "Weight of a purchase against the next later one: 0 only the last counts, 1 order tells nothing",
        ge=0,
        le=1,
    )
    length: int = option(20, "Behaviours known of each person", ge=2, le=100)
    rows: int = option(
        40_000, "Exposures in all, 8 a person: 60% train, 20% validation, 20% test", ge=500, le=1_000_000
    )
    day: int = option(0, "Day of the log: later days have the same people with newer histories", ge=0, le=DAYS - 1)
    drift: float = option(
        0.3, "How far a category's fashion moves in a day (standard deviation of its logit)", ge=0, le=3, advanced=True
    )
    items: int = option(300, "Items (ids)", ge=50, le=100_000, advanced=True)

    def table_schema(self) -> Schema:
        columns = {"item": self.items, "shop": SHOPS, "brand": BRANDS, "category": CATEGORIES}
        features = [
            *(
                Feature(name=name, kind="categorical", role="item", categories=worlds.id_names(count))
                for name, count in columns.items()
            ),
            Feature(name="price", kind="numeric", role="item"),
            Feature(name="reviews", kind="numeric", role="item"),
            Feature(name="spending", kind="numeric", role="user"),
            *(self._history(f"{name}_history", table_of=name) for name in columns),
            self._history("action_history", categories=ACTIONS),
            self._history("gap_history", categories=GAPS),
        ]
        tasks = (
            Task(name="ctr", label="clicked", truth="p_ctr", description="click on the item shown"),
            Task(
                name="price_level",
                kind="regression",
                label="level",
                truth="mean_price",
                description="price level the person asks for now, 1 to 7",
            ),
            Task(
                name="purchase",
                label="bought",
                space="clicked",
                after="ctr",
                truth="p_purchase",
                description="purchase after a click",
            ),
        )
        return Schema(features=tuple(features), tasks=tasks, hidden=("p_ctr", "mean_price", "p_purchase", "person"))

    def _history(self, name: str, **more: Any) -> Feature:
        return Feature(name=name, kind="sequence", role="user", max_length=self.length, **more)

    def frames(self, seed: int) -> Frames:
        world = self.world(seed)
        rng = np.random.default_rng([seed, 0xEC, 2, self.day])
        truth = self.truth(world, world.histories)
        clicked = worlds.bernoulli(rng, truth["p_ctr"])
        wanted = self.price_wanted(world, world.histories)
        level = worlds.levels(wanted + BY_CHANCE * rng.standard_normal(self.rows), 1, LEVELS)
        shown, user = world.candidate, world.user
        columns: dict[str, Any] = {
            "item": shown,
            "shop": world.items.shop[shown],
            "brand": world.items.brand[shown],
            "category": world.items.category[shown],
            "price": world.items.price[shown].astype(np.float32),
            "reviews": world.items.reviews[shown].astype(np.float32),
            "spending": world.spending[user].astype(np.float32),
            **{name: cells[user] for name, cells in _as_text(world).items()},
            "clicked": clicked,
            "level": level,
            "bought": clicked & worlds.bernoulli(rng, truth["p_purchase"]),
            "person": user,
            **truth,
        }
        return worlds.split(columns, self.rows, block=EXPOSURES)

    def world(self, seed: int) -> World:
        """Items, people and what is shown to them on the day."""
        rng = np.random.default_rng([seed, 0xEC])
        items = self._catalogue(rng)
        users = -(-self.rows // EXPOSURES)
        trend = self.drift * rng.standard_normal((DAYS, CATEGORIES)).cumsum(axis=0)[self.day]
        spending = rng.standard_normal(users)
        lived = (users, self.length + PER_DAY * (DAYS - 1))
        histories = Histories(
            item=worlds.tail_draws(rng, self.items, users * lived[1], 0.3).reshape(lived),
            action=rng.choice(len(ACTIONS), lived, p=ACTION_CHANCES),
            gap=rng.integers(0, len(GAPS), lived),
        ).window(PER_DAY * self.day, self.length)

        today = np.random.default_rng([seed, 0xEC, 1, self.day])
        user = np.arange(users).repeat(EXPOSURES)[: self.rows]
        return World(items, histories, spending, trend, user, self._shown(today, items, histories, user))

    def _catalogue(self, rng: np.random.Generator) -> Catalogue:
        brand, category = rng.integers(0, BRANDS, self.items), rng.integers(0, CATEGORIES, self.items)
        price = rng.standard_normal(BRANDS)[brand] + rng.standard_normal(CATEGORIES)[category]
        price = price + rng.standard_normal(self.items)
        reviews, own_click, own_buy = rng.standard_normal((3, self.items))
        aside = np.sqrt(1 - REVIEWED**2)
        return Catalogue(
            shop=rng.integers(0, SHOPS, self.items),
            brand=brand,
            category=category,
            price=(price - price.mean()) / price.std(),
            reviews=reviews,
            click_appeal=APPEAL * (REVIEWED * reviews + aside * own_click),
            buy_appeal=APPEAL * (REVIEWED * reviews + aside * own_buy),
        )

    def _shown(
        self, rng: np.random.Generator, items: Catalogue, histories: Histories, user: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """One item per exposure: anything, or something like a random purchase of that person, whenever made. [n]"""
        rows = len(user)
        # A random purchase: the highest of random numbers that only purchases have.
        lots = np.where(histories.action[user] == BUY, rng.random((rows, self.length)), -1.0)
        place = lots.argmax(axis=1)
        model = histories.item[user, place]
        way = np.where(lots[np.arange(rows), place] > 0, rng.random(rows), 1.0)
        shown = rng.integers(0, self.items, rows)
        for like, low in ((items.category, 0.0), (items.brand, RECALLED)):
            recalled = (way >= low) & (way < low + RECALLED)
            shown[recalled] = _alike(rng, like, model[recalled])
        return shown

    def weights(self, histories: Histories, action: int = BUY) -> NDArray[np.float64]:
        """What each behaviour counts for taste: one action only, later ones more; a row sums to 1 or 0."""
        done = histories.action == action
        later = done[:, ::-1].cumsum(axis=1)[:, ::-1] - done  # such actions after this behaviour
        weight = np.where(done, np.power(float(self.memory), later), 0.0)
        total = weight.sum(axis=1, keepdims=True)
        return np.asarray(weight / np.where(total > 0, total, 1.0))

    def price_wanted(self, world: World, histories: Histories) -> NDArray[np.float64]:
        """The price level asked for, before chance and rounding. [n]"""
        taste = (self.weights(histories) * world.items.price[histories.item]).sum(axis=1)
        return np.asarray(MIDDLE + (BY_TASTE * taste + BY_SPENDING * world.spending)[world.user])

    def truth(self, world: World, histories: Histories) -> dict[str, NDArray[np.float64]]:
        """What each task's label would average to if people had these histories. {hidden column: [n]}"""
        items, user, shown = world.items, world.user, world.candidate
        bought, carted = self.weights(histories), self.weights(histories, CART)

        def match(weight: NDArray[np.float64], kind: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.asarray((weight[user] * (kind[histories.item][user] == kind[shown][:, None])).sum(axis=1))

        by_brand = match(bought, items.brand)
        click = CLICK_BIAS + CLICK_CATEGORY * match(bought, items.category) + CLICK_BRAND * by_brand
        buy = BUY_BIAS + BUY_BRAND * by_brand + BUY_CARTED * match(carted, items.category)
        distance = np.abs(items.price[shown] - (bought * items.price[histories.item]).sum(axis=1)[user])
        return {
            "p_ctr": worlds.sigmoid(click + items.click_appeal[shown] + world.trend[items.category[shown]]),
            "mean_price": worlds.mean_level(self.price_wanted(world, histories), BY_CHANCE, 1, LEVELS),
            "p_purchase": worlds.sigmoid(buy + items.buy_appeal[shown] - PRICE_DISTANCE * distance),
        }

    @classmethod
    def preset(cls) -> dict[str, Any]:
        trunks: dict[str, dict[str, Any]] = {
            "single_task": {"layers": [66]},
            "shared_bottom": {"layers": [218, 64]},
            "soft_sharing": {"layers": [111, 29]},
            "cross_stitch": {"layers": [139]},
            "sluice": {"width": 68, "levels": 2, "subspaces": 2},
            "asymmetric": {"layers": [107, 29]},
            "customized": {"layers": [87, 23]},
            "omoe": {"experts": 4, "expert_layers": [110]},
            "mmoe": {"experts": 6, "expert_layers": [76]},
            "ml_mmoe": {"experts": 6, "levels": 2, "expert_layers": [42]},
            "cgc": {"shared_experts": 2, "task_experts": 1, "expert_layers": [91]},
            "ple": {"shared_experts": 2, "task_experts": 1, "levels": 2, "expert_layers": [49]},
            "adatt": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [56]},
            "stem": {"shared_experts": 1, "task_experts": 1, "levels": 1, "expert_layers": [21]},
            "snr": {"experts": 3, "levels": 2, "expert_layers": [32]},
            "dselect_k": {"experts": 4, "selectors": 2, "expert_layers": [111]},
            "pepnet": {"layers": [95], "gate_hidden": 16},
        }
        spec = {
            "data": {"name": "ecommerce_sequences"},
            "model": {
                # No mean of the behaviours can tell what their order does.
                "encoder": {"name": "behaviour_sequence", "options": {"dim": 8, "hidden": 16}},
                "trunk": {"name": "mmoe", "options": trunks["mmoe"]},
                "towers": [16],
            },
            "training": {"epochs": 10, "batch_size": 512, "learning_rate": 0.005},
        }
        return {"spec": spec, "trunks": trunks}


def _alike(rng: np.random.Generator, kind: NDArray[np.int64], model: NDArray[np.int64]) -> NDArray[np.int64]:
    """A random item of the same kind as each of these items. [m]"""
    order = np.argsort(kind, kind="stable")
    first = np.searchsorted(kind[order], kind[model], side="left")
    count = np.searchsorted(kind[order], kind[model], side="right") - first
    return np.asarray(order[first + (rng.random(len(model)) * count).astype(np.int64)])


def _as_text(world: World) -> dict[str, NDArray[np.object_]]:
    """Each person's history as the cells of a table: values with a space between them, oldest first. {name: [users]}"""
    items, done = world.items, world.histories
    numbers = np.array([str(i) for i in range(max(len(items.shop), SHOPS, BRANDS, CATEGORIES))], object)
    words = {
        "item_history": numbers[done.item],
        "shop_history": numbers[items.shop[done.item]],
        "brand_history": numbers[items.brand[done.item]],
        "category_history": numbers[items.category[done.item]],
        "action_history": np.array(ACTIONS, object)[done.action],
        "gap_history": np.array(GAPS, object)[done.gap],
    }
    return {name: np.array([" ".join(row) for row in rows], object) for name, rows in words.items()}
