"""CGC and PLE worked out with plain Python numbers and loops, from the papers' equations, without the brick."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch

from mtl_core import registry
from mtl_core.nn.experts import GatedExperts
from mtl_core.nn.mixture import MixtureTrunk
from mtl_core.trunks import TrunkOptions

Vector = list[float]
Matrix = list[Vector]

TASKS = ("A", "B", "C")
#: Private experts per task, and shared ones: all different, so that no count can stand in for another (T4).
PRIVATE, SHARED = (2, 0, 1), 3
X: Matrix = [[0.5, -1.0, 2.0], [-1.5, 0.25, 1.0]]


def softmax(z: Vector) -> Vector:
    """exp(z_i) / sum_j exp(z_j)."""
    powers = [math.exp(v) for v in z]
    return [p / sum(powers) for p in powers]


def dot(a: Vector, b: Vector) -> float:
    """Inner product."""
    return sum(p * q for p, q in zip(a, b, strict=True))


def mlp(x: Vector, layers: list[tuple[Matrix, Vector]]) -> Vector:
    """ReLU(x W + b), layer by layer; W is [in][out]."""
    for weight, bias in layers:
        columns = list(zip(*weight, strict=True))
        x = [max(0.0, dot(x, list(column)) + b) for column, b in zip(columns, bias, strict=True)]
    return x


def mix(experts: list[Vector], seen: list[int], gate_rows: Matrix, selector: Vector) -> tuple[Vector, Vector]:
    """The gated mix of the experts seen, and the weights over all experts."""
    weights = softmax([dot(row, selector) for row in gate_rows]) if len(seen) > 1 else [1.0]
    mixed = [sum(w * experts[e][h] for w, e in zip(weights, seen, strict=True)) for h in range(len(experts[0]))]
    spread = [0.0] * len(experts)
    for w, e in zip(weights, seen, strict=True):
        spread[e] = w
    return mixed, spread


def fill(trunk: MixtureTrunk) -> None:
    """Round numbers of both signs in every parameter, no two experts or gates alike."""
    with torch.no_grad():
        start = 0
        for parameter in trunk.parameters():
            index = torch.arange(start, start + parameter.numel())
            parameter.copy_((((index * 37) % 41 - 20) / 16).reshape(parameter.shape))
            start += parameter.numel()


def layers_of(level: GatedExperts, expert: int) -> list[tuple[Matrix, Vector]]:
    """One expert's weights and biases as numbers."""
    bank = level.experts
    return [(w[expert].tolist(), b[expert, 0].tolist()) for w, b in zip(bank.weights, bank.biases, strict=True)]


def rows_of(level: GatedExperts) -> Matrix:
    """The gates' rows as numbers, gate after gate, each over the experts it sees in the order of the experts."""
    assert level.gate_weight is not None
    return cast(Matrix, level.gate_weight.tolist())


def build(name: str, **options: Any) -> MixtureTrunk:
    """A filled trunk over the three columns of X."""
    options = {"task_experts": PRIVATE, "shared_experts": SHARED, "expert_layers": [4, 2], **options}
    part = cast(TrunkOptions, registry.get("trunk", name).model_validate(options))
    trunk = part.build(TASKS, 1, len(X[0]), torch.Generator().manual_seed(0))
    fill(trunk)
    return trunk


# Experts in order: A1 A2 (own of A), C1 (own of C), S1 S2 S3.
OWN = {"A": [0, 1], "B": [], "C": [2]}
SHARED_EXPERTS = [3, 4, 5]
STREAM_OF_EXPERT = ["A", "A", "C", "shared", "shared", "shared"]


def test_cgc_by_hand() -> None:
    """w_k = softmax(W_k x) over own and shared experts, g_k = w_k S_k: representations and gates agree."""
    trunk = build("cgc")
    level = cast(GatedExperts, trunk.levels[0])
    r_KBH, gates = trunk(torch.tensor([X]))
    for b, x in enumerate(X):
        experts = [mlp(x, layers_of(level, e)) for e in range(6)]
        rows = rows_of(level)
        for k, task in enumerate(TASKS):
            seen = OWN[task] + SHARED_EXPERTS
            own_rows, rows = rows[: len(seen)], rows[len(seen) :]
            expected, spread = mix(experts, seen, own_rows, x)
            assert r_KBH[k, b].tolist() == pytest.approx(expected, abs=1e-5)
            assert gates[f"level 1 / {task}"][b].tolist() == pytest.approx(spread, abs=1e-6)
        assert not rows


def test_ple_of_two_levels_by_hand() -> None:
    """Level 2 reads and selects from level 1's mixes; the shared stream mixes all experts of level 1 (T6)."""
    trunk = build("ple", levels=2)
    r_KBH, gates = trunk(torch.tensor([X]))
    first, second = (cast(GatedExperts, level) for level in trunk.levels)
    for b, x in enumerate(X):
        streams = dict.fromkeys((*TASKS, "shared"), x)
        for number, level in ((1, first), (2, second)):
            experts = [mlp(streams[STREAM_OF_EXPERT[e]], layers_of(level, e)) for e in range(6)]
            rows, mixes = rows_of(level), {}
            for name in TASKS if number == 2 else (*TASKS, "shared"):
                seen = list(range(6)) if name == "shared" else OWN[name] + SHARED_EXPERTS
                own_rows, rows = rows[: len(seen)], rows[len(seen) :]
                mixes[name], spread = mix(experts, seen, own_rows, streams[name])
                assert gates[f"level {number} / {name}"][b].tolist() == pytest.approx(spread, abs=1e-5)
            assert not rows
            streams = mixes
        for k, task in enumerate(TASKS):
            assert r_KBH[k, b].tolist() == pytest.approx(streams[task], abs=1e-4)
    assert "level 2 / shared" not in gates


def test_the_case_is_not_degenerate() -> None:
    """The numbers above exercise gates that choose, units that are on, and levels that differ by row and task."""
    r_KBH, gates = build("ple", levels=2)(torch.tensor([X]))
    assert len(torch.unique(r_KBH.flatten().round(decimals=4))) > r_KBH.numel() // 2
    assert all(0.05 < gate.max() < 1 for gate in gates.values())
    assert (r_KBH[:, 0] - r_KBH[:, 1]).abs().max() > 1e-2


def test_shared_stream_of_ple_depends_on_private_experts() -> None:
    """Task B's output moves when a private expert of A on level 1 does: information flows through the shared gate."""
    trunk = build("ple", levels=2)
    before, _ = trunk(torch.tensor([X]))
    with torch.no_grad():
        cast(GatedExperts, trunk.levels[0]).experts.biases[-1][0] += 1.0
    after, _ = trunk(torch.tensor([X]))
    assert (before[1] - after[1]).abs().max() > 1e-4


# T7d
def test_a_gate_of_zero_input_is_uniform_over_what_it_sees() -> None:
    """Gates have no bias (T7d): zero input gives each visible expert the same weight."""
    trunk = build("cgc")
    _, gates = trunk(torch.zeros(1, 1, len(X[0])))
    assert gates["level 1 / A"][0].tolist() == pytest.approx([1 / 5, 1 / 5, 0, 1 / 5, 1 / 5, 1 / 5])
    assert gates["level 1 / B"][0].tolist() == pytest.approx([0, 0, 0, 1 / 3, 1 / 3, 1 / 3])
    assert gates["level 1 / C"][0].tolist() == pytest.approx([0, 0, 1 / 4, 1 / 4, 1 / 4, 1 / 4])
