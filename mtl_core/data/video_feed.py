"""`video_feed`: a video feed with eight signals of one exposure, from click to rating.

After Zhao et al., "Recommending What Video to Watch Next", RecSys 2019 (YouTube: engagement and satisfaction, clicks
that depend on position and device), and Zhihu's ranking of a feed by eight actions at once.
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

SIGNALS = ("click", "watch", "like", "follow", "share", "comment", "collect", "rating")
#: What somebody may do after a click, and the share of clicks after which it is to be expected.
ACTIONS = {"like": 0.05, "follow": 0.008, "share": 0.012, "comment": 0.02, "collect": 0.025}
#: Share of exposures clicked, and of clicks rated.
CLICKED, RATED = 0.2, 0.1
#: How far one standard deviation of a signal's score moves the logit of a click, and of an action after it.
CLICK_STRENGTH, ACTION_STRENGTH = 1.5, 2.0
#: Numbers that everybody sees, standard normal but for the length.
USER_NUMBERS = ("age", "activity", "tenure", "curiosity")
VIDEO_NUMBERS = ("freshness", "quality", "pace", "length")
DEVICES = ("phone", "tablet", "tv", "desktop")
DAYPARTS = ("morning", "noon", "evening", "night")
#: Shares of a score's variance: user and video numbers, their interplay, video, user, device and time of day.
SHARES = {"numbers": 0.5, "pairs": 0.1, "video": 0.15, "user": 0.15, "context": 0.1}
#: Log seconds of a video: mean and standard deviation. Log seconds watched: what an average video loses, how far one
#: standard deviation of the score moves it, and the spread of chance.
LOG_LENGTH, LOG_LENGTH_SPREAD = 4.5, 0.7
WATCH_LOSS, WATCH_STRENGTH, WATCH_SPREAD = 1.0, 0.8, 0.6
RATED_STRENGTH = 0.5
STARS, STARS_STRENGTH, STARS_SPREAD = 3.0, 1.0, 0.7


@dataclass(frozen=True)
class Exposures:
    """Who was shown what, where and when. Rows are users and videos; everything else follows from them."""

    user: NDArray[np.int64]  # [n]
    video: NDArray[np.int64]  # [n]
    device: NDArray[np.int64]  # [n]
    daypart: NDArray[np.int64]  # [n]
    user_numbers: NDArray[np.float64]  # [n, 4]
    video_numbers: NDArray[np.float64]  # [n, 4]


@register("dataset", "video_feed", "Video feed, 8 signals")
class VideoFeed(DatasetOptions):
    """A feed of short videos: click, seconds watched, like, follow, share, comment, collect and a star rating.

    Most signals are rare and exist only after a click; a rating exists only where somebody cared to give one, and
    those who liked it care more often. Videos at the top are clicked more, good or not.

    score_t = sqrt(r) common + sqrt(1 - r) own_t, so that any two signals' scores correlate with r; common and own_t
    each come from what is visible (numbers of user and video and their products, device, time of day) and from user
    and video themselves, which only ids tell. P(click) = eta_k s(b + 1.5 score), with the chance eta_k that position
    k of 10 is looked at: the mean chance at `position_bias` 0, a steep curve at 1. Position is the rank of
    policy * score_click + N(0, 1). Likes, follows, shares, comments and collections are Bernoulli given a click. Biases
    are such that 20% of exposures are clicked and, of clicks, 5% liked, 0.8% followed, 1.2% shared, 2% commented, 2.5%
    collected and 10% rated. watch is the natural logarithm of seconds, at most the video's length; rating is 1 to 5
    stars, predicted as a number. Both are missing where there are none.

    Hidden: p_relevance, a click's chance if every position were looked at, and the truth of each task: p_click at the
    position shown, and p_t or mean_t for a click (for the rating: a given one), whoever would make it.
    """

    correlation: float = option(0.4, "How far the eight signals' scores go together (r)", ge=0, le=1)
    position_bias: float = option(
        1.0, "How much more often the top is looked at: 0 all positions alike, 1 six times the last", ge=0, le=1
    )
    position_policy: float = option(
        1.0, "How strongly the feed is sorted by relevance; 0 puts videos at random positions", ge=0, le=10
    )
    rows: int = option(100_000, "Exposures in all: 60% train, 20% validation, 20% test", ge=1000, le=2_000_000)
    position_feature: bool = option(True, "Show the position to the model", advanced=True)
    users: int = option(500, "Users (ids)", ge=10, le=200_000, advanced=True)
    videos: int = option(300, "Videos (ids)", ge=10, le=200_000, advanced=True)

    def table_schema(self) -> Schema:
        features = [
            Feature(name="user", kind="categorical", role="user", categories=worlds.id_names(self.users)),
            Feature(name="video", kind="categorical", role="item", categories=worlds.id_names(self.videos)),
            Feature(name="device", kind="categorical", role="context", categories=DEVICES),
            Feature(name="daypart", kind="categorical", role="context", categories=DAYPARTS),
            *(Feature(name=name, kind="numeric", role="user") for name in USER_NUMBERS),
            *(Feature(name=name, kind="numeric", role="item") for name in VIDEO_NUMBERS),
        ]
        if self.position_feature:
            names = worlds.id_names(worlds.SESSION)
            features.append(Feature(name="position", kind="categorical", role="position", categories=names))
        tasks = (
            Task(name="click", label="clicked", truth="p_click", description="click on a video in the feed"),
            _after_click("watch", "mean_watch", "log of the seconds watched", regression=True),
            *(_after_click(name, f"p_{name}", f"{name} after a click") for name in ACTIONS),
            Task(
                name="rating",
                kind="regression",
                label="stars",
                space="rated",
                after="click",
                truth="mean_rating",
                description="stars, 1 to 5, where a rating was given",
            ),
        )
        hidden = [*(task.truth for task in tasks if task.truth), "p_relevance", "session"]
        if not self.position_feature:
            hidden.append("position")
        return Schema(features=tuple(features), tasks=tasks, hidden=tuple(hidden))

    def frames(self, seed: int) -> Frames:
        rng = np.random.default_rng([seed, 0x5F])
        shown = self._exposures(rng)
        scores = self.scores(rng, shown)
        place = worlds.positions(rng, scores["click"], self.position_policy)
        looked = worlds.EXAMINATION.mean() * (1 - self.position_bias) + worlds.EXAMINATION[place] * self.position_bias

        logit = CLICK_STRENGTH * scores["click"]
        relevance = worlds.sigmoid(logit + worlds.bias_for(CLICKED / looked.mean(), logit, looked))
        columns: dict[str, Any] = {"p_relevance": relevance, "p_click": looked * relevance}
        clicked = worlds.bernoulli(rng, columns["p_click"])
        for name, rate in ACTIONS.items():
            logit = ACTION_STRENGTH * scores[name]
            columns[f"p_{name}"] = worlds.sigmoid(logit + worlds.bias_for(rate, logit, columns["p_click"]))
            columns[f"{name}_done"] = clicked & worlds.bernoulli(rng, columns[f"p_{name}"])
        columns |= self._watch(rng, scores["watch"], shown.video_numbers[:, -1], clicked)
        columns |= self._rating(rng, scores["rating"], columns["p_click"], clicked)
        columns |= {
            "clicked": clicked,
            "position": place,
            "session": np.arange(self.rows) // worlds.SESSION,
            "user": shown.user,
            "video": shown.video,
            "device": np.array(DEVICES, object)[shown.device],
            "daypart": np.array(DAYPARTS, object)[shown.daypart],
        }
        numbers = np.concatenate([shown.user_numbers, shown.video_numbers], axis=1).astype(np.float32)
        columns |= {name: numbers[:, i] for i, name in enumerate(USER_NUMBERS + VIDEO_NUMBERS)}
        columns["length"] = np.exp(_log_length(shown.video_numbers[:, -1])).astype(np.float32)
        return worlds.split(columns, self.rows, block=worlds.SESSION)

    def _exposures(self, rng: np.random.Generator) -> Exposures:
        """A session is one user, device and time of day; videos have a popularity tail."""
        sessions = -(-self.rows // worlds.SESSION)

        def per_session(values: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.asarray(values.repeat(worlds.SESSION)[: self.rows])

        user = per_session(worlds.tail_draws(rng, self.users, sessions, 0.5))
        video = worlds.tail_draws(rng, self.videos, self.rows, 0.7)
        return Exposures(
            user=user,
            video=video,
            device=per_session(rng.choice(len(DEVICES), sessions, p=(0.65, 0.1, 0.1, 0.15))),
            daypart=per_session(rng.integers(0, len(DAYPARTS), sessions)),
            user_numbers=rng.standard_normal((self.users, len(USER_NUMBERS)))[user],
            video_numbers=rng.standard_normal((self.videos, len(VIDEO_NUMBERS)))[video],
        )

    def scores(self, rng: np.random.Generator, shown: Exposures) -> dict[str, NDArray[np.float64]]:
        """How well each exposure does by each signal, mean 0 and variance 1 over the rows. {signal: [n]}"""
        common = self._component(rng, shown)
        along, aside = np.sqrt(self.correlation), np.sqrt(1.0 - self.correlation)
        return {name: along * common + aside * self._component(rng, shown) for name in SIGNALS}

    def _component(self, rng: np.random.Generator, shown: Exposures) -> NDArray[np.float64]:
        """One random taste of the crowd. Draws new weights and effects; mean 0 and variance 1 over the rows. [n]"""
        numbers = np.concatenate([shown.user_numbers, shown.video_numbers], axis=1)
        pairs = rng.standard_normal((len(USER_NUMBERS), len(VIDEO_NUMBERS)))
        parts = {
            "numbers": numbers @ rng.standard_normal(numbers.shape[1]),
            "pairs": np.einsum("nu,uv,nv->n", shown.user_numbers, pairs, shown.video_numbers, optimize=True),
            "video": rng.standard_normal(self.videos)[shown.video],
            "user": rng.standard_normal(self.users)[shown.user],
            "context": rng.standard_normal((len(DEVICES), len(DAYPARTS)))[shown.device, shown.daypart],
        }
        total = sum(np.sqrt(SHARES[name]) * worlds.standardised(part) for name, part in parts.items())
        return worlds.standardised(np.asarray(total))

    def _watch(
        self,
        rng: np.random.Generator,
        score: NDArray[np.float64],
        length: NDArray[np.float64],
        clicked: NDArray[np.bool_],
    ) -> dict[str, NDArray[np.float64]]:
        """Log seconds watched, at most the whole video; missing where nobody watched."""
        whole = _log_length(length)
        mean = whole - WATCH_LOSS + WATCH_STRENGTH * score
        seen = np.minimum(mean + WATCH_SPREAD * rng.standard_normal(self.rows), whole)
        return {
            "log_watch": np.where(clicked, seen, np.nan),
            "mean_watch": worlds.mean_below(mean, WATCH_SPREAD, whole),
        }

    def _rating(
        self,
        rng: np.random.Generator,
        score: NDArray[np.float64],
        click: NDArray[np.float64],
        clicked: NDArray[np.bool_],
    ) -> dict[str, Any]:
        """Stars, missing where none were given: those who would give many bother more often."""
        mean = STARS + STARS_STRENGTH * score
        stars = worlds.levels(mean + STARS_SPREAD * rng.standard_normal(self.rows), 1, 5)
        bother = RATED_STRENGTH * score
        rated = clicked & worlds.bernoulli(rng, worlds.sigmoid(bother + worlds.bias_for(RATED, bother, click)))
        return {
            "rated": rated,
            "stars": np.where(rated, stars, np.nan),
            "mean_rating": worlds.mean_level(mean, STARS_SPREAD, 1, 5),
        }

    @classmethod
    def preset(cls) -> dict[str, Any]:
        trunks: dict[str, dict[str, Any]] = {
            "single_task": {"layers": [13]},
            "shared_bottom": {"layers": [246, 64]},
            "soft_sharing": {"layers": [68, 18]},
            "cross_stitch": {"layers": [91]},
            "sluice": {"width": 42, "levels": 2, "subspaces": 2},
            "asymmetric": {"layers": [67, 17]},
            "customized": {"layers": [61, 16]},
            "omoe": {"experts": 6, "expert_layers": [67, 32]},
            "mmoe": {"experts": 6, "expert_layers": [64, 32]},
            "ml_mmoe": {"experts": 6, "levels": 2, "expert_layers": [47]},
            "cgc": {"shared_experts": 2, "task_experts": 1, "expert_layers": [74]},
            "ple": {"shared_experts": 2, "task_experts": 1, "levels": 2, "expert_layers": [35]},
            "adatt": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [34]},
            "stem": {"shared_experts": 2, "task_experts": 1, "levels": 1, "expert_layers": [70]},
            "snr": {"experts": 6, "levels": 2, "expert_layers": [16]},
            "dselect_k": {"experts": 4, "selectors": 2, "expert_layers": [85, 42]},
            "pepnet": {"layers": [52], "gate_hidden": 16},
        }
        spec = {
            "data": {"name": "video_feed"},
            "model": {
                "encoder": {"name": "embedding", "options": {"dim": 4}},
                "trunk": {"name": "mmoe", "options": trunks["mmoe"]},
                "towers": [8],
            },
            "training": {"epochs": 6, "batch_size": 1024, "learning_rate": 0.005},
        }
        return {"spec": spec, "trunks": trunks}


def _after_click(name: str, truth: str, description: str, regression: bool = False) -> Task:
    label = "log_watch" if regression else f"{name}_done"
    kind = "regression" if regression else "binary"
    return Task(name=name, kind=kind, label=label, space="clicked", after="click", truth=truth, description=description)


def _log_length(standard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log seconds of a video from its standard normal number."""
    return LOG_LENGTH + LOG_LENGTH_SPREAD * standard
