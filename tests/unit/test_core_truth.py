"""Metrics against the truth of a made world, and calibration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_core.metrics import auc, expected_calibration_error, soft_auc, task_metrics
from mtl_core.schema import Task


def pairwise(scores: list[float], p: list[float]) -> float | None:
    """The definition, pair by pair."""
    won = total = 0.0
    for i in range(len(p)):
        for j in range(len(p)):
            if i != j:
                weight = p[i] * (1 - p[j])
                total += weight
                won += weight * (1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0)
    return won / total if total > 0 else None


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 10)), min_size=2, max_size=25))
def test_soft_auc_is_the_pairwise_definition(rows: list[tuple[int, int]]) -> None:
    """Ties in the scores and probabilities of 0 and 1 included."""
    scores, p = [float(s) for s, _ in rows], [q / 10 for _, q in rows]
    found, expected = soft_auc(torch.tensor(scores), torch.tensor(p, dtype=torch.float64)), pairwise(scores, p)
    if expected is None:
        assert found is None
    else:
        assert found == pytest.approx(expected)


def test_with_certain_labels_it_is_the_ordinary_auc() -> None:
    """Probabilities of 0 and 1 are labels."""
    rng = np.random.default_rng(0)
    scores, labels = torch.tensor(rng.normal(size=300).round(1)), torch.tensor((rng.random(300) < 0.3).astype(float))
    assert soft_auc(scores, labels) == pytest.approx(auc(scores, labels))


def test_it_is_what_drawn_labels_give_on_average() -> None:
    """Draws of labels from the probabilities scatter around it."""
    rng = np.random.default_rng(1)
    p = rng.random(2000)
    scores = torch.tensor(p + rng.normal(0, 0.3, 2000))
    drawn = [auc(scores, torch.tensor((rng.random(2000) < p).astype(float))) for _ in range(30)]
    expected = soft_auc(scores, torch.tensor(p))
    assert expected is not None
    assert abs(np.mean([d for d in drawn if d is not None]) - expected) < 0.005


def test_calibration_error_by_hand() -> None:
    """Two bins of four: |.15 - .25| and |.75 - .75|, each with half of the rows."""
    y = torch.tensor([0.0, 0, 0, 1, 0, 1, 1, 1])
    p = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.6, 0.7, 0.8, 0.9])
    assert expected_calibration_error(p, y, bins=2) == pytest.approx(0.05)
    assert expected_calibration_error(p[:0], y[:0]) is None


def test_truth_is_read_everywhere_and_labels_inside_the_space_only() -> None:
    """`@all` counts rows outside the sample space; the plain names do not."""
    task = Task(name="buy", label="y", space="clicked", truth="p")
    logits = {"buy": torch.tensor([2.0, -1.0, 0.5, 0.0])}
    labels, mask = torch.tensor([[1.0], [0.0], [9.0], [9.0]]), torch.tensor([[True], [True], [False], [False]])
    truth = torch.tensor([[0.9], [0.2], [0.5], [0.4]])
    found = task_metrics(logits, labels, mask, [task], truth)["buy"]
    predicted = torch.sigmoid(logits["buy"])
    assert found["auc"] == 1.0
    assert found["pcoc"] == pytest.approx(float(predicted[:2].sum()))
    assert found["pcoc@all"] == pytest.approx(float(predicted.sum() / truth.sum()))
    assert found["soft_auc@all"] == pytest.approx(pairwise(logits["buy"].tolist(), truth[:, 0].tolist()))


def test_without_a_truth_nothing_is_named_at_all() -> None:
    """A missing truth is not a zero."""
    nan = torch.full((2, 1), float("nan"))
    for truth in (None, nan):
        found = task_metrics(
            {"a": torch.zeros(2)}, torch.tensor([[1.0], [0.0]]), torch.ones(2, 1, dtype=torch.bool),
            [Task(name="a", label="y")], truth,
        )  # fmt: skip
        assert set(found["a"]) == {"auc", "log_loss", "pcoc", "ece"}


def test_a_regressions_truth_is_its_mean() -> None:
    """`mse@all` is the distance from the noiseless value."""
    task = Task(name="t", kind="regression", label="y", truth="m")
    found = task_metrics(
        {"t": torch.tensor([1.0, 3.0])}, torch.tensor([[1.0], [1.0]]), torch.tensor([[True], [False]]), [task],
        torch.tensor([[0.0], [1.0]]),
    )["t"]  # fmt: skip
    assert found == {"mse": 0.0, "mse@all": pytest.approx(2.5)}
