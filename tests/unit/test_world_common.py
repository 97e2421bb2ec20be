"""What every made world keeps to: declared columns, hidden truth, seeds, sensible rates, a matched preset that runs."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from mtl_core import registry
from mtl_core.comparison import preset_spec
from mtl_core.data import worlds
from mtl_core.data.base import DatasetOptions, Frames
from mtl_core.data.tables import encode
from mtl_core.events import Finished
from mtl_core.schema import Schema
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec
from mtl_core.training import train

WORLDS = ("mmoe_synthetic", "funnel", "video_feed", "ecommerce_sequences")
#: Enough to learn something in a second or two.
FEW_ROWS = {"mmoe_synthetic": 12_000, "funnel": 60_000, "video_feed": 40_000, "ecommerce_sequences": 15_000}
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("mmoe_synthetic", {"tasks": 4, "labels": "binary"}),
    ("mmoe_synthetic", {}),
    ("funnel", {}),
    ("funnel", {"inputs": "dense", "tasks": "ctr, cart, cvr", "position_feature": True, "confounder": 1.0}),
    ("video_feed", {}),
    ("video_feed", {"position_feature": False, "position_bias": 0.0}),
    ("ecommerce_sequences", {}),
    ("ecommerce_sequences", {"day": 3, "length": 7, "memory": 0.5}),
)


def world(name: str, **options: Any) -> DatasetOptions:
    return cast(DatasetOptions, registry.get("dataset", name).model_validate(options))


def whole(frames: Frames) -> pd.DataFrame:
    return pd.concat([frames.train, frames.valid, frames.test], ignore_index=True)


def in_space(schema: Schema, table: pd.DataFrame, k: int) -> pd.DataFrame:
    space = schema.tasks[k].space
    return table if space is None else table[table[space].to_numpy(bool)]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_the_table_is_what_the_schema_says(name: str, options: dict[str, Any]) -> None:
    """Every column is a feature, a label, a sample space or hidden; no feature is any of the others."""
    made = world(name, rows=2000, **options)
    schema = made.table_schema()
    features = {feature.name for feature in schema.features}
    other = {t.label for t in schema.tasks} | {t.space for t in schema.tasks if t.space} | set(schema.hidden)
    frames = made.frames(0)
    columns = set(frames.train.columns)
    assert features | other == columns
    assert not features & other
    assert not features & set(schema.task_names)
    assert [len(part) for part in (frames.train, frames.valid, frames.test)] == [1200, 400, 400]
    assert len(encode(schema, frames).train) == 1200


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_a_seed_draws_one_world(name: str, options: dict[str, Any]) -> None:
    """The same seed gives identical tables, another seed another world."""
    made = world(name, rows=1500, **options)
    for a, b in zip(vars(made.frames(5)).values(), vars(made.frames(5)).values(), strict=True):
        if isinstance(a, pd.DataFrame):
            pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert not made.frames(5).train.equals(made.frames(6).train)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_labels_average_to_their_truth(name: str, options: dict[str, Any]) -> None:
    """In every task's sample space the mean label lies within four standard errors of the mean truth.

    Where a hidden intent drives click and purchase alike, the truth is of clicks that are made, and differs.
    """
    made = world(name, rows=40_000, **options)
    schema, table = made.table_schema(), whole(made.frames(1))
    for k, task in enumerate(schema.tasks):
        if task.space is not None and options.get("confounder"):
            continue
        rows = in_space(schema, table, k)
        assert task.truth is not None
        # Given clicks the labels are independent of each other, so this is the error of the difference.
        error = (rows[task.label] - rows[task.truth]).std() / np.sqrt(len(rows))
        assert abs(rows[task.label].mean() - rows[task.truth].mean()) < max(
            4 * error, 1e-2 * (name == "mmoe_synthetic")
        )
        assert table[task.truth].notna().all()
        if task.kind == "binary":
            assert table[task.truth].between(0, 1).all()


@pytest.mark.parametrize("name", WORLDS)
def test_preset_trunks_have_the_same_number_of_parameters(name: str) -> None:
    """Within 3% of MMoE's, counted exactly, for the trunks of the first lessons; the others' are checked with them."""
    trunks = ("single_task", "shared_bottom", "omoe", "mmoe", "cgc", "ple")
    assert set(world(name).preset()["trunks"]) >= set(trunks)
    sizes = {trunk: parameter_count(preset_spec(name, trunk)) for trunk in trunks}
    assert all(abs(size.parameters / sizes["mmoe"].parameters - 1) < 0.03 for size in sizes.values()), sizes


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("trunk", ["mmoe", "ple"])
def test_a_short_run_beats_a_constant(name: str, trunk: str) -> None:
    """On a part of the rows and the epochs; tasks with too few positives there to be judged are left out."""
    spec = preset_spec(name, trunk).to_json()
    spec["data"]["options"]["rows"] = min(spec["data"]["options"]["rows"], FEW_ROWS[name])
    spec["training"] |= {"epochs": 3, "device": "cpu"}
    *_, last = train([RunSpec.parse(spec)])
    assert isinstance(last, Finished)
    made = registry.get("dataset", name).model_validate(spec["data"]["options"])
    schema = cast(DatasetOptions, made).table_schema()
    test = cast(DatasetOptions, made).frames(0).test
    gains = []
    for k, task in enumerate(schema.tasks):
        metrics, labels = last.metrics["test"][task.name], in_space(schema, test, k)[task.label]
        if task.kind == "binary" and labels.sum() < 200:
            continue
        if task.kind == "binary":
            gains.append((metrics["auc"] or 0.5) - 0.5)
        else:
            gains.append(1 - (metrics["mse"] or np.inf) / labels.var())
    assert np.mean(gains) > 0.03


def test_quadrature_is_exact() -> None:
    """E exp(s h) = exp(s^2 / 2), and no spread means no averaging."""
    (mean,) = worlds.average_over_normal(lambda h: [np.exp(np.array([h]))], 1.5)
    np.testing.assert_allclose(mean, np.exp(1.5**2 / 2), rtol=1e-9)
    (once,) = worlds.average_over_normal(lambda h: [np.array([h + 2.0])], 0.0)
    assert once[0] == 2.0


def test_means_of_rounded_and_capped_values_are_exact() -> None:
    """Against a large sample: stars 1 to 5, seconds up to the end."""
    noise = np.random.default_rng(0).standard_normal(400_000)
    for mean in (0.5, 3.2, 5.5):
        stars = worlds.levels(mean + 0.7 * noise, 1, 5)
        assert worlds.mean_level(np.array([mean]), 0.7, 1, 5)[0] == pytest.approx(stars.mean(), abs=5e-3)
        capped = np.minimum(mean + 0.7 * noise, 3.0)
        assert worlds.mean_below(np.array([mean]), 0.7, np.array([3.0]))[0] == pytest.approx(capped.mean(), abs=5e-3)


def test_positions_are_ranks_within_a_session() -> None:
    """Each place once per session; sorted by score the more the policy says; a short last session starts at the top."""
    rng = np.random.default_rng(0)
    score = rng.standard_normal(25_003)
    place = worlds.positions(rng, score, 0.0)
    assert (np.sort(place[:25_000].reshape(-1, 10), axis=1) == np.arange(10)).all()
    assert sorted(place[25_000:]) == [0, 1, 2]
    assert abs(np.corrcoef(place, score)[0, 1]) < 0.03
    assert np.corrcoef(worlds.positions(rng, score, 1.0), score)[0, 1] < -0.5
    exact = worlds.positions(rng, score, 1e9)[:10]
    assert (np.argsort(exact) == np.argsort(-score[:10])).all()


def test_a_split_never_cuts_through_a_block() -> None:
    """60 : 20 : 20 in whole sessions."""
    frames = worlds.split({"session": np.arange(1234) // 10}, 1234, block=10)
    parts = [set(part.session) for part in (frames.train, frames.valid, frames.test)]
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]
    assert sum(map(len, parts)) == 124


def test_popular_ids_are_drawn_by_rank() -> None:
    """Counts fall as r^-exponent."""
    drawn = worlds.tail_draws(np.random.default_rng(0), 50, 200_000, 1.0)
    counts = np.sort(np.bincount(drawn, minlength=50))[::-1]
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.15)
    assert counts.min() > 0
