"""Every deterministic rule on six fixed pairs of gradients, the identities that hold there, and where it leads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from mtl_core import registry
from mtl_core.balancing import combine

#: Orthogonal, not conflicting, conflicting, conflicting, conflicting with different lengths, opposite.
PAIRS = {
    "O": ((1, 0), (0, 1)),
    "N": ((1, 1), (-0.5, 1)),
    "C": ((1, 0), (-0.5, 1)),
    "C2": ((1, 1), (-1, 0.5)),
    "S": ((3, 0), (-0.5, 1)),
    "X": ((1, 0), (-2, 0)),
}
MGDA = ((0.5, 0.5), (0, 1), (0.3077, 0.4615), (-0.1765, 0.7059), (0.2264, 0.7925), (0, 0))
PCGRAD = ((1, 1), (0.5, 2), (0.8, 1.4), (-0.15, 1.95), (2.4, 2.2), (0, 0))
#: Directions on the pairs in their order; None where the rule has no answer there.
DIRECTIONS: list[tuple[str, dict[str, Any], tuple[tuple[float, float] | None, ...]]] = [
    ("static", {}, ((1, 1), (0.5, 2), (0.5, 1), (0, 1.5), (2.5, 1), (-1, 0))),
    ("static", {"weights": [0.5, 0.5]}, ((0.5, 0.5), (0.25, 1), (0.25, 0.5), (0, 0.75), (1.25, 0.5), (-0.5, 0))),
    ("mgda", {}, MGDA),
    ("pcgrad", {}, PCGRAD),
    ("gradvac", {"target": 0}, PCGRAD),
    (
        "gradvac",
        {"target": 0.5},
        ((1.5774, 1.5774), (0.5366, 2.4758), (1.1464, 1.8619), (-0.4098, 2.7294), (2.2845, 3.5856), None),
    ),
    ("upgrad", {}, ((0.5, 0.5), (0.25, 1), (0.4, 0.7), (-0.075, 0.975), (1.2, 1.1), (0, 0))),
    (
        "cagrad",
        {"c": 0.5},
        ((0.75, 0.75), (0.0195, 1.4610), (0.4579, 0.6868), (-0.2560, 1.0240), (0.9490, 1.1021), (-0.25, 0)),
    ),
    (
        "cagrad",
        {"c": 0.5, "rescale": True},
        ((0.6, 0.6), (0.0156, 1.1688), (0.3663, 0.5495), (-0.2048, 0.8192), (0.7592, 0.8817), (-0.2, 0)),
    ),
    ("imtl_g", {}, ((0.5, 0.5), (0.1623, 1), (0.2918, 0.4721), (-0.1170, 0.7208), (0.4502, 0.7285), (0, 0))),
    ("nash", {}, ((1, 1), (0.2265, 1.3960), (0.7435, 1.2030), (-0.2265, 1.3960), (0.7435, 1.2030), None)),
    ("aligned", {}, ((0.5, 0.5), (0.1, 0.7), (0.2840, 0.4734), (-0.1, 0.7), (0.4275, 0.5497), (-0.5, 0))),
    ("aligned", {"w": [1, 1]}, ((1, 1), (0.2, 1.4), (0.5680, 0.9468), (-0.2, 1.4), (0.8550, 1.0994), (-1, 0))),
    ("pe_ltr", {"c": [0.2, 0.3]}, MGDA),
    ("pe_ltr", {"c": [0.4, 0.4]}, ((0.5, 0.5), (0.1, 1), MGDA[2], MGDA[3], (0.9, 0.6), (-0.2, 0))),
]
WEIGHTS: list[tuple[str, dict[str, Any], dict[str, tuple[float, float]]]] = [
    ("mgda", {}, {"O": (0.5, 0.5), "N": (1 / 3, 2 / 3), "C": (7 / 13, 6 / 13), "C2": (7 / 17, 10 / 17)}),
    ("mgda", {}, {"S": (0.2075, 0.7925), "X": (2 / 3, 1 / 3)}),
    ("imtl_g", {}, {"N": (0.4415, 0.5585), "C": (0.5279, 0.4721), "S": (0.2715, 0.7285), "X": (2 / 3, 1 / 3)}),
    ("nash", {}, {"O": (1, 1), "N": (0.6163, 0.7796), "C": (1.3450, 1.2030), "C2": (0.8551, 1.0817)}),
    ("nash", {}, {"S": (0.4483, 1.2030)}),
    ("aligned", {}, {"N": (0.3, 0.4), "C": (0.5208, 0.4734), "C2": (0.4333, 0.5333), "S": (0.2341, 0.5497)}),
    ("aligned", {}, {"X": (-0.1, 0.2)}),
    ("pe_ltr", {"c": [0.4, 0.4]}, {"N": (0.4, 0.6), "S": (0.4, 0.6), "X": (0.6, 0.4)}),
]


def pair(name: str) -> torch.Tensor:
    return torch.tensor(PAIRS[name], dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize(("name", "options", "directions"), DIRECTIONS, ids=lambda value: str(value)[:24])
def test_directions(name: str, options: dict[str, Any], directions: Any, dtype: torch.dtype) -> None:
    # T32 among others: PCGrad's row is its closed form for two tasks.
    for key, expected in zip(PAIRS, directions, strict=True):
        if expected is not None:
            found = combine(name, pair(key).to(dtype), **options)
            assert found.dtype == dtype
            np.testing.assert_allclose(found.numpy(), expected, atol=1e-3, err_msg=key)


@pytest.mark.parametrize(("name", "options", "expected"), WEIGHTS, ids=lambda value: str(value)[:24])
def test_weights(name: str, options: dict[str, Any], expected: dict[str, tuple[float, float]]) -> None:
    """X tells them apart where the directions cannot: all of them vanish."""
    rule = registry.get("balancer", name).model_validate(options).build(("a", "b"))
    for key, weights in expected.items():
        rows = pair(key)
        found, _ = rule.weights(torch.ones(2, dtype=torch.float64), rows @ rows.T, rule.initial_state(rows.device))
        np.testing.assert_allclose(found.numpy(), weights, atol=1e-3, err_msg=key)


def test_nash_has_no_answer_to_opposite_gradients() -> None:
    """The documented fallback, equal weights, and it is counted."""  # T30
    rule = registry.get("balancer", "nash")().build(("a", "b"))  # type: ignore[attr-defined]
    rows = pair("X")
    weights, state = rule.weights(torch.ones(2), rows @ rows.T, rule.initial_state(rows.device))
    assert weights.tolist() == [0.5, 0.5]
    assert state["unsolved"] == 1


@pytest.mark.parametrize("key", ["C", "C2", "S"])
def test_mgda_inside_the_hull(key: str) -> None:
    """d.g1 = d.g2 = |d|^2."""
    rows = pair(key)
    d = combine("mgda", rows)
    torch.testing.assert_close(rows @ d, d.dot(d).expand(2))


@pytest.mark.parametrize("key", PAIRS)
def test_upgrad_of_two_is_half_of_pcgrad(key: str) -> None:
    torch.testing.assert_close(2 * combine("upgrad", pair(key)), combine("pcgrad", pair(key)))


@pytest.mark.parametrize("key", ["O", "N", "C", "C2", "S", "X"])
def test_cagrad_stays_on_its_ball(key: str) -> None:
    rows = pair(key)
    mean = rows.mean(0)
    away = combine("cagrad", rows, c=0.5) - mean
    assert away.norm() == pytest.approx(0.5 * mean.norm().item())


@pytest.mark.parametrize("key", PAIRS)
def test_cagrad_without_room_is_the_mean(key: str) -> None:
    torch.testing.assert_close(combine("cagrad", pair(key), c=0), pair(key).mean(0))  # T37


@pytest.mark.parametrize("key", ["O", "N", "C", "C2", "S"])
def test_imtl_g_and_nash_for_two(key: str) -> None:
    """Equal projections; weights |g_j| / (|g_i| + |g_j|); Nash: u1 + u2 with length sqrt(2), u the unit gradients."""
    rows = pair(key)
    units = rows / rows.norm(dim=1, keepdim=True)
    first, second = units @ combine("imtl_g", rows)
    assert first.item() == pytest.approx(second.item())
    nash = combine("nash", rows)
    assert nash.norm().item() == pytest.approx(math.sqrt(2))
    cosine = units[0].dot(units[1])
    torch.testing.assert_close(nash, units.sum(0) / (1 + cosine).sqrt(), rtol=1e-5, atol=1e-6)


def test_scale_free_rules_see_no_scale() -> None:
    """S is C with one gradient three times as long."""
    torch.testing.assert_close(combine("nash", pair("S")), combine("nash", pair("C")))
    one, other = combine("imtl_g", pair("S")), combine("imtl_g", pair("C"))
    assert torch.cosine_similarity(one, other, dim=0).item() == pytest.approx(1)


def test_aligned_rows_have_equal_singular_values() -> None:
    """Equal to the smallest of the given gradients."""
    for key in ("N", "C", "C2", "S"):
        rows = pair(key)
        aligned = torch.stack([combine("aligned", rows, w=w) for w in ([1, 0], [0, 1])])
        least = torch.linalg.svdvals(rows).min()
        torch.testing.assert_close(torch.linalg.svdvals(aligned), least.expand(2))


@pytest.mark.parametrize(("c", "relaxed"), [((0.2, 0.3), (0.1333, 0.3667))])
def test_pe_ltr_relaxed(c: tuple[float, float], relaxed: tuple[float, float]) -> None:
    """Pair N, inside the bounds: w - c is the closed form."""
    rule = registry.get("balancer", "pe_ltr").model_validate({"c": c}).build(("a", "b"))  # type: ignore[attr-defined]
    rows = pair("N")
    weights, _ = rule.weights(torch.ones(2), rows @ rows.T, rule.initial_state(rows.device))
    np.testing.assert_allclose(weights.numpy() - c, relaxed, atol=1e-3)


# The quadratic flow: L1 = |t - a|^2 / 2, L2 = k2 |t - b|^2 / 2 with a = (-1, 0), b = (1, 0), from (0.5, 1).
# |d| of Nash never shrinks, so its steps have to; the other surgeons and scale-free rules depend a little on the step.
SHORT, LONG, SHRINKING = (0.01, 1.0, 750), (0.05, 1.0, 600), (0.005, 0.995, 400)
END_POINTS: list[tuple[str, dict[str, Any], tuple[float, float], tuple[float, float, int]]] = [
    ("static", {"weights": [0.5, 0.5]}, (0, 9 / 11), LONG),
    ("cagrad", {"c": 0.5}, (0, 9 / 11), LONG),
    ("aligned", {}, (0, 9 / 11), LONG),
    ("mgda", {}, (0.5, -0.01), SHORT),
    ("pcgrad", {}, (0.234, 0.615), SHORT),
    ("upgrad", {}, (0.234, 0.614), SHORT),
    ("imtl_g", {}, (0.342, 0.342), SHORT),
    ("nash", {}, (0.342, 0.342), SHRINKING),
    ("gls", {}, (1, 1), SHORT),
]


@pytest.mark.parametrize(("name", "options", "ends", "steps"), END_POINTS, ids=lambda value: str(value)[:24])
def test_quadratic_flow(
    name: str, options: dict[str, Any], ends: tuple[float, float], steps: tuple[float, float, int]
) -> None:
    """Where the rules end for k2 = 1 and k2 = 10, trained at once as a population of two."""
    rule = registry.get("balancer", name).model_validate(options).build(("a", "b"))  # type: ignore[attr-defined]
    goals = torch.tensor([[-1.0, 0], [1, 0]], dtype=torch.float64)
    steep = torch.tensor([[1.0, 1], [1, 10]], dtype=torch.float64)
    at = torch.tensor([[0.5, 1], [0.5, 1]], dtype=torch.float64)
    state = {key: torch.stack([value, value]) for key, value in rule.initial_state(at.device).items()}
    rate, shrink, count = steps
    for _ in range(count):
        apart = at.unsqueeze(1) - goals
        losses, gradients = steep * apart.square().sum(-1) / 2, steep.unsqueeze(-1) * apart
        weights, state = rule.weights(losses, gradients @ gradients.mT, state)
        at = at - rate * rule.direction(gradients, weights, None, state)
        rate *= shrink
    np.testing.assert_allclose(at[:, 0].numpy(), ends, atol=0.01)
    assert at[:, 1].abs().max() < 0.01
