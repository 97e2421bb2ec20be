"""`mmoe_synthetic` is the paper's recipe: exact angles, common sines, noise of the stated variance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mtl_core.data.base import Frames
from mtl_core.data.mmoe_synthetic import MMoESynthetic
from mtl_core.data.worlds import equal_cosines, orthonormal
from mtl_core.spec import RunSpec, SpecError

FEATURES = [f"x{i}" for i in range(100)]


def whole(frames: Frames) -> pd.DataFrame:
    return pd.concat([frames.train, frames.valid, frames.test], ignore_index=True)


@pytest.mark.parametrize(("tasks", "cosine"), [(2, -1.0), (2, 0.3), (2, 1.0), (3, -0.5), (4, 0.8), (6, -0.2), (6, 0.0)])
def test_directions_have_exactly_that_cosine(tasks: int, cosine: float) -> None:
    """Between every pair, with length `scale`."""
    options = MMoESynthetic(tasks=tasks, correlation=cosine, scale=0.3)
    weights = options.draw_tasks(np.random.default_rng(0)).weights_KD / 0.3
    np.testing.assert_allclose(weights @ weights.T, np.where(np.eye(tasks), 1.0, cosine), atol=1e-12)


def test_two_directions_are_built_as_in_the_paper() -> None:
    """w_1 = u_1 and w_2 = p u_1 + sqrt(1 - p^2) u_2."""
    np.testing.assert_allclose(equal_cosines(2, 0.6), [[1, 0], [0.6, 0.8]])
    basis = orthonormal(np.random.default_rng(1), 5, 7)
    np.testing.assert_allclose(basis @ basis.T, np.eye(5), atol=1e-12)


def test_directions_that_cannot_exist_are_refused_in_one_sentence() -> None:
    """Three vectors cannot all point away from each other."""
    with pytest.raises(SpecError, match=r"3 directions cannot all have cosine -0\.6 .* between -0\.5 and 1"):
        RunSpec.parse({"data": {"name": "mmoe_synthetic", "options": {"tasks": 3, "correlation": -0.6}}})


def test_labels_follow_the_formula_and_the_noise_has_its_variance() -> None:
    """y = w x + sum sin(alpha w x + beta) + noise, the same alpha and beta for every task."""
    options = MMoESynthetic(tasks=3, correlation=0.4, rows=20_000, noise_variance=0.04)
    table = whole(options.frames(3))
    tasks = options.draw_tasks(np.random.default_rng([3, 0x33]))
    x = table[FEATURES].to_numpy(np.float64)
    for k, name in enumerate("ABC"):
        z = x @ tasks.weights_KD[k]
        mean = z + np.sin(tasks.alpha_M[:, None] * z + tasks.beta_M[:, None]).sum(0)
        np.testing.assert_allclose(table[f"mean_{name}"], mean, atol=1e-9)
        noise = table[f"y_{name}"] - mean
        assert abs(noise.mean()) < 4 * 0.2 / np.sqrt(20_000)
        assert noise.var() == pytest.approx(0.04, rel=4 * np.sqrt(2 / 20_000))


def test_noise_is_0_01_unless_said_otherwise() -> None:
    """A variance, not a standard deviation."""
    table = whole(MMoESynthetic(rows=20_000).frames(0))
    assert (table.y_A - table.mean_A).var() == pytest.approx(0.01, rel=0.05)


def test_the_same_direction_gives_the_same_task() -> None:
    """With p = 1 and no noise the labels are one and the same: nothing else differs between tasks."""
    table = whole(MMoESynthetic(correlation=1.0, noise_variance=0.0, rows=1000).frames(0))
    np.testing.assert_allclose(table.y_A, table.y_B, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_label_correlation_grows_with_p(seed: int) -> None:
    """Pearson's, which is not p itself."""
    found = []
    for p in (0.0, 0.25, 0.5, 0.75, 1.0):
        table = whole(MMoESynthetic(correlation=p, rows=10_000).frames(seed))
        found.append(np.corrcoef(table.y_A, table.y_B)[0, 1])
    assert (np.diff(found) > 0).all()
    assert abs(found[0]) < 0.05
    assert found[-1] > 0.99


def test_binary_labels_are_halves_and_their_truth_is_a_chance() -> None:
    """Threshold: the median. Of rows with a chance near q, a share near q is positive."""
    table = whole(MMoESynthetic(labels="binary", noise_variance=1.0, rows=40_000).frames(0))
    for name in "AB":
        label, chance = table[f"y_{name}"], table[f"mean_{name}"]
        assert label.mean() == 0.5
        groups = pd.cut(chance, np.linspace(0, 1, 6), include_lowest=True)
        by_group = pd.DataFrame({"y": label, "p": chance}).groupby(groups, observed=True).agg(["mean", "count"])
        error = np.sqrt(0.25 / by_group["y"]["count"])
        assert ((by_group["y"]["mean"] - by_group["p"]["mean"]).abs() < 4 * error).all()
    sure = whole(MMoESynthetic(labels="binary", noise_variance=0.0, rows=1000).frames(0))
    np.testing.assert_array_equal(sure.y_A, sure.mean_A)
