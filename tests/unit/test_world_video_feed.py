"""`video_feed`: eight signals, their rates, their correlation and the bias of position, each moved by its dial."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mtl_core.data.base import Frames
from mtl_core.data.video_feed import ACTIONS, SIGNALS, VideoFeed


def whole(frames: Frames) -> pd.DataFrame:
    return pd.concat([frames.train, frames.valid, frames.test], ignore_index=True)


@pytest.mark.parametrize("seed", range(3))
def test_rates_are_those_of_a_feed(seed: int) -> None:
    """Clicks 15 to 25%; of clicks likes 3 to 7%, other actions rarer, follows rarest; some rate."""
    table = whole(VideoFeed().frames(seed))
    assert 0.15 < table.clicked.mean() < 0.25
    clicks = table[table.clicked]
    rates = {name: clicks[f"{name}_done"].mean() for name in ACTIONS}
    assert 0.03 < rates["like"] < 0.07
    assert all(0.001 < rate < rates["like"] for name, rate in rates.items() if name != "like")
    assert rates["follow"] < 0.01
    assert 0.04 < clicks.rated.mean() < 0.2
    assert set(table.stars.dropna()) == {1, 2, 3, 4, 5}


def test_nothing_happens_without_a_click() -> None:
    """No action, no seconds watched, no stars."""
    table = whole(VideoFeed(rows=5000).frames(0))
    rest = table[~table.clicked]
    assert not rest[[f"{name}_done" for name in ACTIONS] + ["rated"]].any(axis=None)
    assert rest[["log_watch", "stars"]].isna().all(axis=None)
    assert table.log_watch[table.clicked].notna().all()
    assert (table.log_watch <= np.log(table.length) + 1e-4)[table.clicked].all()
    assert table.stars.notna().equals(table.rated)


@pytest.mark.parametrize("correlation", [0.0, 0.4, 1.0])
def test_scores_correlate_as_the_dial_says(correlation: float) -> None:
    """Every pair of signals, up to what few users and videos leave to chance; at 1 exactly."""
    options = VideoFeed(correlation=correlation, users=5000, videos=3000)
    rng = np.random.default_rng(0)
    scores = options.scores(rng, options._exposures(rng))
    assert tuple(scores) == SIGNALS
    table = np.corrcoef(np.stack(list(scores.values())))
    off = table[~np.eye(len(SIGNALS), dtype=bool)]
    assert off.mean() == pytest.approx(correlation, abs=0.1)
    if correlation == 1.0:
        np.testing.assert_allclose(off, 1.0)


def test_position_bias_moves_clicks_and_nothing_else() -> None:
    """Placed at random, the top is clicked more only as far as it is looked at more; the mean rate stays."""
    rates = {}
    for bias in (0.0, 0.5, 1.0):
        table = whole(VideoFeed(position_bias=bias, position_policy=0.0).frames(0))
        by_place = table.groupby("position").clicked.mean()
        rates[bias] = (by_place[0] / by_place[9], table.clicked.mean(), table.p_like.mean())
    assert rates[0.0][0] == pytest.approx(1, abs=0.15)
    assert 1.3 < rates[0.5][0] < rates[1.0][0]
    assert rates[1.0][0] == pytest.approx(1 / 0.17, rel=0.2)
    assert rates[1.0][1] == pytest.approx(rates[0.0][1], rel=0.05)
    assert rates[1.0][2] == pytest.approx(rates[0.0][2], rel=0.02)


def test_a_ranker_puts_good_videos_first() -> None:
    """With a policy, position and relevance go together; without one they do not."""
    sorted_, random = (whole(VideoFeed(position_policy=p, rows=20_000).frames(0)) for p in (1.0, 0.0))
    assert np.corrcoef(sorted_.position, sorted_.p_relevance)[0, 1] < -0.3
    assert abs(np.corrcoef(random.position, random.p_relevance)[0, 1]) < 0.03


def test_those_who_rate_liked_it_more() -> None:
    """Rated rows are no random sample of clicks."""
    table = whole(VideoFeed().frames(0))
    assert table.mean_rating[table.rated].mean() > table.mean_rating[table.clicked].mean() + 0.1
