"""What is said of gates, experts and curves: hand-computed values, and what must not change them."""

from __future__ import annotations

import math

import pytest
import torch

from mtl_core import gating, metrics, probes
from mtl_core.events import GateSummary
from mtl_core.gating import entropy, measures, normalised_entropy
from mtl_core.quality import precision_recall, reliability, roc
from mtl_core.similarity import linear_cka, zero_share
from mtl_core.trunks.wiring import Gate

GATE = Gate(name="A", owner=0, source=0, sees=(0, 1, 2))


def summary(rows: list[list[float]]) -> GateSummary:
    return probes.summarise_gate(torch.tensor(rows, dtype=torch.double))


# Gates


def test_entropies_of_one_row_by_hand() -> None:
    w = (0.7, 0.2, 0.1)
    assert entropy(w) == pytest.approx(0.8018, abs=5e-5)
    assert normalised_entropy(w) == pytest.approx(0.7298, abs=5e-5)
    assert entropy((1.0, 0.0)) == 0.0
    assert normalised_entropy((1.0,)) == 0.0


def test_the_entropy_of_the_mean_is_not_the_mean_of_the_entropies() -> None:
    # Every row chooses one expert, and rows share the experts evenly: sharp rows, an even mean.
    sharp = measures(GATE, summary([[1, 0, 0], [0, 1, 0], [0, 0, 1]]))
    assert sharp is not None
    assert (sharp.row_entropy, sharp.mean_entropy) == (pytest.approx(0.0, abs=1e-6), pytest.approx(1.0, abs=1e-5))
    assert (sharp.effective, sharp.polarised, sharp.idle) == (pytest.approx(1.0, abs=1e-5), 1.0, ())
    # All rows alike: the two agree.
    alike = measures(GATE, summary([[0.7, 0.2, 0.1]] * 4))
    assert alike is not None
    assert alike.row_entropy == pytest.approx(0.7298, abs=5e-5)
    assert alike.mean_entropy == pytest.approx(0.7298, abs=5e-5)
    assert alike.effective == pytest.approx(2.2296, abs=5e-5)
    assert alike.utilisation == pytest.approx((0.7, 0.2, 0.1))


@pytest.mark.parametrize(
    ("rows", "share"), [(([0.95, 0.05, 0], [0.05, 0.95, 0], [0.5, 0.5, 0], [0.85, 0.1, 0.05]), 0.5)]
)
def test_polarised_rows_are_counted_once_each_from_the_histogram(rows: tuple[list[float], ...], share: float) -> None:
    found = measures(GATE, summary(list(rows)))
    assert found is not None
    assert found.polarised == share
    assert found.idle == (2,)  # mean .0125, and a tenth of a third is .0333
    # The threshold is an edge of the histogram, so the count is exact.
    edge = gating.POLARISED * probes.BINS
    assert edge == pytest.approx(round(edge))


def test_a_gate_without_a_choice_or_without_a_distribution_has_no_measures() -> None:
    assert measures(Gate(name="A", owner=0, source=0, sees=(1,)), summary([[0, 1.0, 0]])) is None
    assert measures(Gate(name="A", owner=0, source=0, sees=(0, 1, 2), kind="mix"), summary([[0.9, -0.3, 0.1]])) is None


def test_an_expert_that_the_gate_may_not_see_does_not_count_as_idle() -> None:
    found = measures(Gate(name="A", owner=0, source=0, sees=(0, 2)), summary([[0.5, 0.0, 0.5]] * 3))
    assert found is not None
    assert (found.idle, found.row_entropy) == ((), pytest.approx(1.0, abs=1e-5))


# Experts


def test_cka_of_a_rotated_scaled_and_shifted_copy_is_one() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 5, generator=generator, dtype=torch.double)
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.double))[0]
    assert linear_cka(x, 3.0 * x @ rotation + 7.0) == pytest.approx(1.0, abs=1e-9)


def test_cka_with_one_of_two_equal_and_uncorrelated_columns_is_the_root_of_a_half() -> None:
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert linear_cka(x, x[:, :1]) == pytest.approx(0.7071, abs=5e-5)
    assert linear_cka(x[:, :1], x[:, 1:]) == pytest.approx(0.0, abs=1e-12)


def test_cka_is_centred() -> None:
    """Two unrelated outputs far from 0 are not alike; without centring they would be."""
    generator = torch.Generator().manual_seed(1)
    x, y = (100.0 + torch.randn(5000, 3, generator=generator) for _ in range(2))
    found = linear_cka(x, y)
    assert found is not None
    assert found < 0.01


def test_cka_of_a_dead_expert_or_of_too_few_rows_is_undefined() -> None:
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(2))
    assert linear_cka(x, torch.zeros(50, 4)) is None
    assert linear_cka(x, torch.full((50, 4), 0.1)) is None
    assert linear_cka(x[:4], x[:4]) is None


def test_the_share_of_zeros() -> None:
    assert zero_share(torch.tensor([[0.0, 1.0], [0.0, 0.5], [0.0, 0.0], [2.0, 0.0]])) == 0.625


# Curves


def test_roc_with_a_tie_by_hand() -> None:
    curve = roc(torch.tensor([0.9, 0.9, 0.4, 0.1]), torch.tensor([1.0, 0.0, 1.0, 0.0]))
    assert curve is not None
    assert list(zip(curve.x, curve.y, strict=True)) == [(0, 0), (0.5, 0.5), (0.5, 1), (1, 1)]
    assert _area(curve.x, curve.y) == 0.625


def test_precision_recall_with_a_tie_by_hand() -> None:
    found = precision_recall(torch.tensor([0.9, 0.9, 0.4, 0.1]), torch.tensor([1.0, 0.0, 1.0, 0.0]))
    assert found is not None
    curve, average = found
    assert list(zip(curve.x, curve.y, strict=True)) == [(0.5, 0.5), (1.0, pytest.approx(2 / 3, abs=1e-5))]
    assert average == pytest.approx(0.5 * 0.5 + 0.5 * 2 / 3)


def test_one_class_has_neither_curve() -> None:
    for labels in (torch.ones(3), torch.zeros(3)):
        assert roc(torch.rand(3, generator=torch.Generator().manual_seed(0)), labels) is None
        assert precision_recall(torch.zeros(3), labels) is None


def test_reliability_by_hand_and_its_error_is_the_metric() -> None:
    y = torch.tensor([0.0, 0, 0, 1, 0, 1, 1, 1])
    p = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.6, 0.7, 0.8, 0.9])
    found = reliability(p, y, bins=2)
    assert found.predicted == pytest.approx([0.15, 0.75])
    assert found.observed == pytest.approx([0.25, 0.75])
    assert found.rows == [4, 4]
    parts = zip(*found, strict=True)
    error = math.fsum(n * abs(a - b) for a, b, n in parts) / len(y)
    assert error == pytest.approx(0.05)
    assert error == pytest.approx(metrics.expected_calibration_error(p, y, bins=2))
    assert reliability(p[:0], y[:0]) == ([], [], [])


def test_thinned_curves_stay_on_the_curve_and_keep_their_ends_and_area() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = (torch.rand(50_000, generator=generator) < 0.02).float()
    scores = torch.randn(50_000, generator=generator) + 1.5 * labels
    curve = roc(scores, labels, points=150)
    assert curve is not None
    assert 100 <= len(curve.x) <= 150
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    area = metrics.auc(scores, labels)
    assert area is not None
    assert _area(curve.x, curve.y) == pytest.approx(area, abs=0.003)
    found = precision_recall(scores, labels, points=150)
    assert found is not None
    assert len(found[0].x) <= 150
    assert found[0].x[-1] == 1.0


def _area(x: list[float], y: list[float]) -> float:
    return math.fsum((b - a) * (u + v) / 2 for a, b, u, v in zip(x, x[1:], y, y[1:], strict=False))
