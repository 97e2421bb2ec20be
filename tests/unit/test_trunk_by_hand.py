"""Every trunk beyond the first six worked out with plain numbers, from the papers' equations, without its module."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from mtl_core import registry
from mtl_core.nn.dselect_k import DSelectKTrunk, smooth_step
from mtl_core.nn.experts import GatedExperts
from mtl_core.nn.mixture import MixtureTrunk
from mtl_core.nn.mlp import MLPBank
from mtl_core.nn.pepnet import PEPNetTrunk
from mtl_core.nn.sluice import SluiceTrunk
from mtl_core.nn.snr import SNRTrunk, hard_concrete, open_probability
from mtl_core.nn.soft_sharing import squared_distances, trace_norm
from mtl_core.nn.trunk import Trunk
from mtl_core.trunks import TrunkOptions
from tests.unit.test_core_hand_computed import Matrix, Vector, dot, fill, layers_of, mix, mlp, rows_of

TASKS = ("A", "B")
X: Matrix = [[0.5, -1.0, 2.0], [-1.5, 0.25, 1.0]]


def build(name: str, streams: int = 1, **options: Any) -> Any:
    """A filled trunk of two tasks over three columns."""
    part = cast(TrunkOptions, registry.get("trunk", name).model_validate(options))
    trunk = part.build(TASKS, streams, len(X[0]), torch.Generator().manual_seed(0))
    fill(cast(MixtureTrunk, trunk))
    return trunk


def run(trunk: Trunk, x_SBD: Tensor | None = None) -> tuple[Any, dict[str, Any]]:
    """Representations and gates as numbers: [task][row], name -> [row]."""
    with torch.no_grad():
        r, gates = trunk(torch.tensor([X]) if x_SBD is None else x_SBD)
    # Units that are off, or rows that are alike, would make agreement cheap.
    assert all((one[0] - one[1]).abs().max() > 1e-3 for one in r)
    return [r[k].tolist() for k in range(len(TASKS))], {name: gate.tolist() for name, gate in gates.items()}


def bank_layers(bank: MLPBank, network: int) -> list[tuple[Matrix, Vector]]:
    """One network's weights and biases as numbers."""
    return [(w[network].tolist(), b[network, 0].tolist()) for w, b in zip(bank.weights, bank.biases, strict=True)]


def close(numbers: Any) -> Any:
    """Equal up to float rounding."""
    return pytest.approx(numbers, abs=1e-4)


def combine(weights: Vector, vectors: list[Vector]) -> Vector:
    """sum_i w_i v_i."""
    return [sum(w * v[h] for w, v in zip(weights, vectors, strict=True)) for h in range(len(vectors[0]))]


def test_cross_stitch() -> None:
    """x~_i = sum_j a_ij x_j after each of two layers; the second reads the mixes of the first."""
    trunk = build("cross_stitch", layers=[4, 2])
    alphas = [[[0.9, -0.5], [0.25, 1.5]], [[1.0, 2.0], [-1.0, 0.5]]]
    with torch.no_grad():
        for stitch, alpha in zip(trunk.stitches, alphas, strict=True):
            stitch.alpha.copy_(torch.tensor(alpha)[:, :, None])
    r, gates = run(trunk)
    for b, x in enumerate(X):
        h = [x, x]
        for number, (bank, alpha) in enumerate(zip(trunk.banks, alphas, strict=True), start=1):
            out = [mlp(h[k], bank_layers(bank, k)) for k in range(2)]
            h = [combine(alpha[i], out) for i in range(2)]
            assert gates[f"level {number} / A"][b] == close(alpha[0])
        assert [r[0][b], r[1][b]] == [close(h[0]), close(h[1])]


def test_cross_stitch_per_unit() -> None:
    """Each unit has a constant of its own: x~_ih = sum_j a_ijh x_jh."""
    trunk = build("cross_stitch", layers=[2], stitches="per_unit")
    alpha = [[[1.0, -1.0], [0.5, 2.0]], [[0.0, 3.0], [1.0, 0.25]]]  # [i][j][h]
    with torch.no_grad():
        trunk.stitches[0].alpha.copy_(torch.tensor(alpha))
    r, gates = run(trunk)
    for b, x in enumerate(X):
        out = [mlp(x, bank_layers(trunk.banks[0], k)) for k in range(2)]
        for i in range(2):
            assert r[i][b] == close([sum(alpha[i][j][h] * out[j][h] for j in range(2)) for h in range(2)])
        assert gates["level 1 / A"][b] == close([0.0, 1.25])  # means over units


def test_sluice() -> None:
    """Two parts of two units: parts mixed by A after each layer, layers mixed by beta at the end."""
    trunk: SluiceTrunk = build("sluice", width=4, levels=2, subspaces=2)
    assert trunk.beta is not None
    beta = trunk.beta.tolist()
    r, gates = run(trunk)
    for b, x in enumerate(X):
        h, layers = [x, x], []
        for number, (bank, stitch) in enumerate(zip(trunk.banks, trunk.stitches, strict=True), start=1):
            out = [mlp(h[k], bank_layers(bank, k)) for k in range(2)]
            parts = [out[0][:2], out[0][2:], out[1][:2], out[1][2:]]  # task-major: A 1, A 2, B 1, B 2
            alpha = stitch.alpha[:, :, 0].tolist()
            mixed = [combine(alpha[p], parts) for p in range(4)]
            h = [mixed[0] + mixed[1], mixed[2] + mixed[3]]
            layers.append(h)
            assert gates[f"level {number} / B 1"][b] == close(alpha[2])
        for k in range(2):
            assert r[k][b] == close(combine(beta[k], [layers[0][k], layers[1][k]]))
        assert gates["level 3 / A"][b] == close([*beta[0], 0.0, 0.0])
        assert gates["level 3 / B"][b] == close([0.0, 0.0, *beta[1]])


def test_sluice_penalty() -> None:
    """c ||W_1^T W_2||_F^2 over layers and tasks, where W_s are the columns of a part."""
    trunk: SluiceTrunk = build("sluice", width=2, levels=1, subspaces=2, orthogonality=0.5)
    columns = [list(zip(*bank_layers(trunk.banks[0], k)[0][0], strict=True)) for k in range(2)]
    expected = sum(dot(list(a), list(b)) ** 2 for a, b in columns)
    penalty = trunk.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.5 * expected, rel=1e-5)
    assert build("sluice", width=2, levels=1, subspaces=1).penalty() is None


def test_asymmetric_and_customized() -> None:
    """Fixed fusions of plain networks."""
    both = {fuse: build("asymmetric", layers=[4, 2], fuse=fuse) for fuse in ("concat", "sum", "average")}
    custom = build("customized", layers=[4, 2])
    for b, x in enumerate(X):
        a_out, b_out = (mlp(x, layers_of(both["concat"].levels[0], e)) for e in (0, 1))
        expected = {
            "concat": a_out + b_out,
            "sum": [p + q for p, q in zip(a_out, b_out, strict=True)],
            "average": [(p + q) / 2 for p, q in zip(a_out, b_out, strict=True)],
        }
        for fuse, trunk in both.items():
            r, _ = run(trunk)
            assert r[0][b] == close(a_out)
            assert r[1][b] == close(expected[fuse])
        r, _ = run(custom)
        own_a, own_b, shared = (mlp(x, layers_of(custom.levels[0], e)) for e in (0, 1, 2))
        assert [r[0][b], r[1][b]] == [close(shared + own_a), close(shared + own_b)]


def test_ml_mmoe() -> None:
    """Level 2's experts read mixes of their own; the gates of both levels read x."""
    trunk = build("ml_mmoe", experts=3, levels=2, expert_layers=[4, 2])
    first, second = (cast(GatedExperts, level) for level in trunk.levels)
    r, gates = run(trunk)
    for b, x in enumerate(X):
        experts = [mlp(x, layers_of(first, e)) for e in range(3)]
        rows = rows_of(first)
        reads = [mix(experts, [0, 1, 2], rows[3 * e : 3 * e + 3], x)[0] for e in range(3)]
        experts = [mlp(reads[e], layers_of(second, e)) for e in range(3)]
        rows = rows_of(second)
        for k, task in enumerate(TASKS):
            expected, spread = mix(experts, [0, 1, 2], rows[3 * k : 3 * k + 3], x)
            assert r[k][b] == close(expected)
            assert gates[f"level 2 / {task}"][b] == close(spread)


def test_adatt() -> None:
    """f_t = (pad(v_t) + softmax(W_t f_t)) E over all experts; a single own expert has v = 1 (T4)."""
    trunk = build("adatt", task_experts=(2, 1), shared_experts=3, levels=2, expert_layers=[2])
    own = {"A": [0, 1], "B": [2], "shared": [3, 4, 5]}
    r, gates = run(trunk)
    for b, x in enumerate(X):
        f: dict[str, Vector] = dict.fromkeys(own, x)
        for number, level in enumerate((cast(GatedExperts, level) for level in trunk.levels), start=1):
            experts = [mlp(f[unit], layers_of(level, e)) for unit in own for e in own[unit]]
            rows = rows_of(level)
            assert level.native_weight is not None
            learned = level.native_weight.tolist()
            mixes = {}
            for unit in ("A", "B", "shared") if number == 1 else ("A", "B"):
                unit_rows, rows = rows[:6], rows[6:]
                mixed, spread = mix(experts, [0, 1, 2, 3, 4, 5], unit_rows, f[unit])
                if len(own[unit]) == 1:
                    native = [1.0]
                else:
                    native, learned = learned[: len(own[unit])], learned[len(own[unit]) :]
                line = combine(native, [experts[e] for e in own[unit]])
                mixes[unit] = [m + n for m, n in zip(mixed, line, strict=True)]
                # What is shown is the softmax alone.
                assert gates[f"level {number} / {unit}"][b] == close(spread)
            assert not rows
            assert not learned
            f = mixes
        assert [r[0][b], r[1][b]] == [close(f["A"]), close(f["B"])]


def test_stem() -> None:
    """Experts read their own table, a task's gate the sum of its own and the shared one, the shared gate the latter."""
    trunk = build("stem", streams=3, task_experts=(2, 1), shared_experts=1, levels=2, expert_layers=[2])
    tables = [X, [[1.0, 0.5, -0.5], [0.25, 2.0, -1.0]], [[-1.0, 1.0, 0.75], [0.5, 0.5, 1.5]]]
    owner = ["A", "A", "B", "shared"]
    r, gates = run(trunk, torch.tensor(tables))
    for b in range(2):
        h = {name: tables[s][b] for s, name in enumerate(("A", "B", "shared"))}
        for number, level in enumerate((cast(GatedExperts, level) for level in trunk.levels), start=1):
            experts = [mlp(h[owner[e]], layers_of(level, e)) for e in range(4)]
            rows, mixes = rows_of(level), {}
            for name in ("A", "B", "shared") if number == 1 else ("A", "B"):
                added = h["shared"] if name == "shared" else [p + q for p, q in zip(h[name], h["shared"], strict=True)]
                mixes[name], spread = mix(experts, [0, 1, 2, 3], rows[:4], added)
                rows = rows[4:]
                assert gates[f"level {number} / {name}"][b] == close(spread)
            h = mixes
        assert [r[0][b], r[1][b]] == [close(h["A"]), close(h["B"])]


def test_soft_sharing_penalties() -> None:
    """Three tasks, two weights each: (1, 0), (0, 1), (1, 1)."""
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    # Pairs: (1 + 1) + (0 + 1) + (1 + 0).
    assert squared_distances(weight).item() == pytest.approx(4.0)
    # W^T W = [[2, 1], [1, 2]] has eigenvalues 3 and 1.
    assert trace_norm(weight).item() == pytest.approx(math.sqrt(3) + 1, abs=2e-3)


def test_soft_sharing_sums_over_layers_and_leaves_biases_free() -> None:
    """a (||A_1 - B_1||^2 + ||A_2 - B_2||^2)."""
    trunk = build("soft_sharing", layers=[4, 2], strength=0.5)
    a, b = (layers_of(trunk.levels[0], e) for e in (0, 1))
    expected = sum(
        (p - q) ** 2
        for (one, _), (two, _) in zip(a, b, strict=True)
        for row_p, row_q in zip(one, two, strict=True)
        for p, q in zip(row_p, row_q, strict=True)
    )
    assert trunk.penalty().item() == pytest.approx(0.5 * expected, rel=1e-5)
    with torch.no_grad():
        trunk.levels[0].experts.biases[0][0] += 9
    assert trunk.penalty().item() == pytest.approx(0.5 * expected, rel=1e-5)


@pytest.mark.parametrize("connection", ["trans", "aver"])
def test_snr(connection: str) -> None:
    """v_j = sum_i z_ij W_ij u_i on two levels, scored with z = clip(1.2 s(log a) - 0.1, 0, 1)."""
    trunk: SNRTrunk = build("snr", experts=2, levels=2, expert_layers=[2], connection=connection)
    logs = [[[0.0, -3.0], [1.0, 4.0]], [[0.5, 0.0], [-1.0, 2.0]]]
    with torch.no_grad():
        for routing, log in zip(trunk.routings, logs, strict=True):
            routing.log_alpha.copy_(torch.tensor(log))
    r, gates = run(trunk)
    z = [[[min(max(1.2 / (1 + math.exp(-a)) - 0.1, 0.0), 1.0) for a in row] for row in log] for log in logs]
    assert z[0][0][1] == 0.0  # closed exactly,
    assert z[0][1][1] == 1.0  # and open exactly
    for b, x in enumerate(X):
        reads = [x, x]
        for level, (bank, routing) in enumerate(zip(trunk.banks, trunk.routings, strict=True)):
            u = [mlp(reads[e], bank_layers(bank, e)) for e in range(2)]
            reads = []
            for j in range(2):
                sent = u
                if connection == "trans":
                    matrices = routing.transform[j].tolist()
                    sent = [
                        [dot(u[e], [row[h] for row in matrices[e]]) for h in range(2)] for e in range(2)
                    ]  # u_e W_je
                reads.append(combine(z[level][j], sent))
        assert [r[0][b], r[1][b]] == [close(reads[0]), close(reads[1])]
        assert gates["level 1 / next S2"][b] == close(z[0][1])
        assert gates["level 2 / A"][b] == close(z[1][0])


def test_hard_concrete_switches() -> None:
    """P(z = 0) = 0.4606, 0.1036, 0.0154 for log a = -2, 0, 2 (computed), in formula and in draws."""
    log_alpha = torch.tensor([-2.0, 0.0, 2.0])
    assert (1 - open_probability(log_alpha)).tolist() == pytest.approx([0.4606, 0.1036, 0.0154], abs=1e-4)
    u = torch.rand(200_000, 3, generator=torch.Generator().manual_seed(0))
    drawn = hard_concrete(log_alpha, u)
    assert (drawn == 0).float().mean(0).tolist() == pytest.approx([0.4606, 0.1036, 0.0154], abs=0.005)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    # By hand: u = 0.5 and log a = 0 give s = 0.5 and z = 1.2 * 0.5 - 0.1.
    assert hard_concrete(torch.zeros(1), torch.tensor([0.5])).item() == pytest.approx(0.5)
    ends = hard_concrete(torch.zeros(2), torch.tensor([0.0, 1.0]))
    assert ends.tolist() == [0.0, 1.0]


def test_snr_penalty() -> None:
    """c times the expected number of open connections: 0.9846 of each at the start, 0.8964 at log a = 0."""
    trunk: SNRTrunk = build("snr", experts=2, levels=2, expert_layers=[2], sparsity=0.1)
    with torch.no_grad():
        for routing in trunk.routings:
            routing.log_alpha.zero_()
    penalty = trunk.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.1 * 8 * 0.8964, abs=1e-4)
    assert build("snr", experts=1).penalty() is None


def test_smooth_step() -> None:
    """S(0) = 0.5, S(0.25) = 0.84375 for gamma 1; exactly 0 and 1 beyond half of gamma."""
    t = torch.tensor([-9.0, -0.5, 0.0, 0.25, 0.5, 9.0])
    assert smooth_step(t, 1.0).tolist() == pytest.approx([0, 0, 0.5, 0.84375, 1, 1], abs=1e-6)
    assert smooth_step(2 * t, 2.0).tolist() == pytest.approx([0, 0, 0.5, 0.84375, 1, 1], abs=1e-6)


def test_dselect_k() -> None:
    """Two selectors over four experts: bits 0.25 give S = 0.84375, decided ones 0 or 1; mixed by a softmax."""
    trunk: DSelectKTrunk = build("dselect_k", experts=4, selectors=2, expert_layers=[2], entropy=0.5)
    assert trunk.bits is not None
    assert trunk.mixing is not None
    with torch.no_grad():
        # [task][selector][bit]; the first bit is the last digit of an expert's number.
        trunk.bits.copy_(torch.tensor([[[0.25, -9.0], [9.0, 9.0]], [[0.0, 0.0], [-9.0, 0.25]]]))
        trunk.mixing.copy_(torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]]))
    s = 0.84375
    selectors = [
        [[1 - s, s, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
        [[0.25, 0.25, 0.25, 0.25], [1 - s, 0.0, s, 0.0]],
    ]
    shares = [[0.5, 0.5], [0.75, 0.25]]
    r, gates = run(trunk)
    for k, task in enumerate(TASKS):
        weights = combine(shares[k], selectors[k])
        for b, x in enumerate(X):
            assert gates[f"level 1 / {task}"][b] == close(weights)
            assert r[k][b] == close(combine(weights, [mlp(x, bank_layers(trunk.bank, e)) for e in range(4)]))
    entropy = sum(-w * math.log(w) for task in selectors for selector in task for w in selector if w > 0)
    penalty = trunk.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.5 * entropy, rel=1e-5)


def test_dselect_k_of_three_experts() -> None:
    """Bit pattern 11 names no expert: its quarter is lost, and 1 / 0.75 is added for each of the selectors."""
    trunk: DSelectKTrunk = build("dselect_k", experts=3, selectors=2, expert_layers=[2], entropy=0.0)
    assert trunk.bits is not None
    with torch.no_grad():
        trunk.bits.zero_()
    _, gates = run(trunk)
    assert gates["level 1 / A"][0] == close([0.25, 0.25, 0.25])
    penalty = trunk.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(4 / 0.75, rel=1e-5)


def test_dselect_k_per_example() -> None:
    """The numbers of a row are W x: rows select differently, and nothing is penalised."""
    trunk: DSelectKTrunk = build("dselect_k", experts=2, selectors=1, expert_layers=[2], per_example=True)
    assert trunk.bits is not None
    with torch.no_grad():
        trunk.bits.copy_(torch.tensor([[[[0.5, 0.0, 0.0]]], [[[0.0, 0.0, -0.25]]]]))
    _, gates = run(trunk)
    # Task A: 0.5 * 0.5 = 0.25 and 0.5 * -1.5 = -0.75; task B: -0.25 * 2 = -0.5 and -0.25 * 1 = -0.25.
    assert gates["level 1 / A"] == [close([1 - 0.84375, 0.84375]), close([1.0, 0.0])]
    assert gates["level 1 / B"] == [close([1.0, 0.0]), close([0.84375, 1 - 0.84375])]
    assert trunk.penalty() is None


def test_pepnet() -> None:
    """o = GateNU(x) x, h = relu(W h) GateNU(o), GateNU(v) = 2 / (1 + exp(-W_2 relu(W_1 v)))."""
    trunk: PEPNetTrunk = build("pepnet", layers=[4, 2], gate_hidden=3)

    def gate_nu(bank: MLPBank, network: int, v: Vector) -> Vector:
        first, (weight, bias) = bank_layers(bank, network)
        hidden = mlp(v, [first])
        columns = list(zip(*weight, strict=True))
        return [2 / (1 + math.exp(-dot(hidden, list(c)) - p)) for c, p in zip(columns, bias, strict=True)]

    r, gates = run(trunk)
    for b, x in enumerate(X):
        o = [f * v for f, v in zip(gate_nu(cast(MLPBank, trunk.embedding_gate.bank), 0, x), x, strict=True)]
        for k, task in enumerate(TASKS):
            h = o
            for number, (bank, gate) in enumerate(zip(trunk.banks, trunk.gates, strict=True), start=1):
                factor = gate_nu(cast(MLPBank, gate.bank), k, o)
                h = [f * v for f, v in zip(factor, mlp(h, bank_layers(cast(MLPBank, bank), k)), strict=True)]
                shown = [0.0, 0.0]
                shown[k] = sum(factor) / len(factor)
                assert gates[f"level {number} / {task}"][b] == close(shown)
            assert r[k][b] == close(h)
