"""Members of the mixture family that are the same function, shown by copying weights from one to the other (T7f)."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from mtl_core import registry
from mtl_core.nn.experts import GatedExperts
from mtl_core.nn.mixture import MixtureTrunk
from mtl_core.trunks import TrunkOptions

TASKS = ("A", "B", "C")
WIDTH, ROWS = 6, 11


def build(name: str, seed: int, streams: int = 1, **options: Any) -> MixtureTrunk:
    """A registered trunk on `WIDTH` columns."""
    part = cast(TrunkOptions, registry.get("trunk", name).model_validate(options))
    return part.build(TASKS, streams, WIDTH, torch.Generator().manual_seed(seed))


def level(trunk: MixtureTrunk, number: int = 0) -> GatedExperts:
    """One level of a trunk."""
    return cast(GatedExperts, trunk.levels[number])


def inputs(streams: int = 1) -> Tensor:
    """Random streams."""
    return torch.randn(streams, ROWS, WIDTH, generator=torch.Generator().manual_seed(99))


def copy_experts(target: GatedExperts, source: GatedExperts, order: list[int] | None = None) -> None:
    """Expert i of the target becomes expert order[i] of the source."""
    with torch.no_grad():
        for mine, theirs in zip(target.experts.parameters(), source.experts.parameters(), strict=True):
            mine.copy_(theirs if order is None else theirs[order])


def gate_rows(module: GatedExperts) -> Tensor:
    """The gates' weights, one row per (gate, visible expert)."""
    assert module.gate_weight is not None
    return module.gate_weight


def assert_different(a: Tensor, b: Tensor) -> None:
    """Before the weights are copied the two must differ, or the comparison afterwards shows nothing."""
    assert (a - b).abs().max() > 1e-3


def assert_equal(a: Tensor, b: Tensor) -> None:
    """Equal to 1e-6."""
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("counts", [{"task_experts": 2, "shared_experts": 5}, {"task_experts": [2, 3, 1]}])
def test_ple_of_one_level_is_cgc(counts: dict[str, Any]) -> None:
    """The same options and weights give the same representations and gates."""
    ple = build("ple", 1, levels=1, expert_layers=[5, 4], **counts)
    cgc = build("cgc", 2, expert_layers=[5, 4], **counts)
    x = inputs()
    assert_different(ple(x)[0], cgc(x)[0])
    cgc.load_state_dict(ple.state_dict())
    (r_ple, gates_ple), (r_cgc, gates_cgc) = ple(x), cgc(x)
    assert_equal(r_ple, r_cgc)
    assert list(gates_ple) == list(gates_cgc)
    for name, gate in gates_ple.items():
        assert_equal(gate, gates_cgc[name])


def test_cgc_without_private_experts_is_mmoe() -> None:
    """With shared experts only, a task's gate sees the whole pool."""
    cgc = build("cgc", 1, shared_experts=5, task_experts=0, expert_layers=[5, 4])
    mmoe = build("mmoe", 2, experts=5, expert_layers=[5, 4])
    x = inputs()
    assert_different(cgc(x)[0], mmoe(x)[0])
    mmoe.load_state_dict(cgc.state_dict())
    assert_equal(cgc(x)[0], mmoe(x)[0])


def test_mmoe_with_tied_gates_is_omoe() -> None:
    """When all tasks' gates have the same weights, all tasks receive OMoE's one mix."""
    omoe = build("omoe", 1, experts=5, expert_layers=[5, 4])
    mmoe = build("mmoe", 2, experts=5, expert_layers=[5, 4])
    x = inputs()
    copy_experts(level(mmoe), level(omoe))
    assert_different(omoe(x)[0], mmoe(x)[0])
    with torch.no_grad():
        gate_rows(level(mmoe)).copy_(gate_rows(level(omoe)).repeat(len(TASKS), 1))
    r_omoe, _ = omoe(x)
    assert_equal(r_omoe, mmoe(x)[0])
    assert_equal(r_omoe[0], r_omoe[1])
    assert_equal(r_omoe[0], r_omoe[2])


@pytest.mark.parametrize("name", ["mmoe", "omoe"])
def test_mixture_of_one_expert_is_a_shared_bottom(name: str) -> None:
    """A softmax over one expert is 1 whatever the gate."""
    mixture = build(name, 1, experts=1, expert_layers=[5, 4])
    bottom = build("shared_bottom", 2, layers=[5, 4])
    x = inputs()
    assert_different(mixture(x)[0], bottom(x)[0])
    copy_experts(level(bottom), level(mixture))
    assert_equal(mixture(x)[0], bottom(x)[0])
    count = {kind: sum(p.numel() for p in trunk.parameters()) for kind, trunk in (("m", mixture), ("b", bottom))}
    assert count["m"] == count["b"]


@pytest.mark.parametrize("streams", [1, 3])
def test_cgc_of_one_private_expert_each_is_single_task(streams: int) -> None:
    """Nothing shared and one expert per task: separate networks, on one stream or on each task's own."""
    cgc = build("cgc", 1, streams, shared_experts=0, task_experts=1, expert_layers=[5, 4])
    single = build("single_task", 2, streams, layers=[5, 4])
    x = inputs(streams)
    assert_different(cgc(x)[0], single(x)[0])
    single.load_state_dict(cgc.state_dict())
    assert_equal(cgc(x)[0], single(x)[0])


def test_permuting_experts_with_their_gate_rows_changes_nothing() -> None:
    """Experts have no order: only the pairing with gate weights counts."""
    a = build("mmoe", 1, experts=5, expert_layers=[5, 4])
    b = build("mmoe", 2, experts=5, expert_layers=[5, 4])
    order = [3, 0, 4, 1, 2]
    x = inputs()
    copy_experts(level(b), level(a), order)
    with torch.no_grad():
        gate_rows(level(b)).copy_(gate_rows(level(a)))
    assert_different(a(x)[0], b(x)[0])
    with torch.no_grad():
        gate_rows(level(b)).copy_(gate_rows(level(a)).unflatten(0, (len(TASKS), 5))[:, order].flatten(0, 1))
    (r_a, gates_a), (r_b, gates_b) = a(x), b(x)
    assert_equal(r_a, r_b)
    for name, gate in gates_a.items():
        assert_equal(gate[:, order], gates_b[name])


def test_permuting_tasks_permutes_the_representations() -> None:
    """CGC of unequal counts with tasks in another order is the same model, renamed."""
    part = cast(TrunkOptions, registry.get("trunk", "cgc").model_validate({"task_experts": [2, 3, 1]}))
    mirrored = cast(TrunkOptions, registry.get("trunk", "cgc").model_validate({"task_experts": [1, 3, 2]}))
    a = part.build(TASKS, 1, WIDTH, torch.Generator().manual_seed(1))
    b = mirrored.build(TASKS[::-1], 1, WIDTH, torch.Generator().manual_seed(2))
    # Experts of a: A A B B B C S S S S; of b: C B B B A A S S S S.
    copy_experts(level(b), level(a), [5, 2, 3, 4, 0, 1, 6, 7, 8, 9])
    rows_a, rows_b, sizes = gate_rows(level(a)), gate_rows(level(b)), [2 + 4, 3 + 4, 1 + 4]
    with torch.no_grad():
        rows_b.copy_(torch.cat(rows_a.split(sizes)[::-1]))
    x = inputs()
    assert_equal(a(x)[0], b(x)[0].flip(0))


def test_one_stream_repeated_per_task_equals_one_stream_shared() -> None:
    """Reading K + 1 copies of x through the streams gives what reading x once gives."""
    options = {"task_experts": [2, 3, 1], "shared_experts": 5, "levels": 2, "expert_layers": [4]}
    one = build("ple", 1, 1, **options)
    many = build("ple", 2, 4, **options)
    many.load_state_dict(one.state_dict())
    x = inputs()
    assert_equal(one(x)[0], many(x.expand(4, -1, -1))[0])
