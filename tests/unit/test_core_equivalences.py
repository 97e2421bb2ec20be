"""Members of the mixture family that are the same function, shown by copying weights from one to the other (T7f)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from mtl_core import registry
from mtl_core.nn.experts import GatedExperts
from mtl_core.nn.mixture import MixtureTrunk
from mtl_core.nn.mlp import MLPBank
from mtl_core.trunks import TrunkOptions

TASKS = ("A", "B", "C")
WIDTH, ROWS = 6, 11


def build(name: str, seed: int, streams: int = 1, **options: Any) -> MixtureTrunk:
    """A registered trunk on `WIDTH` columns."""
    part = cast(TrunkOptions, registry.get("trunk", name).model_validate(options))
    return cast(MixtureTrunk, part.build(TASKS, streams, WIDTH, torch.Generator().manual_seed(seed)))


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


# T7f
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


# Beyond the first six


def copy_parameters(target: nn.Module, source: nn.Module) -> None:
    """All parameters, in order."""
    with torch.no_grad():
        for mine, theirs in zip(target.parameters(), source.parameters(), strict=True):
            mine.copy_(theirs)


def copy_layers(banks: Iterable[nn.Module], single: GatedExperts) -> None:
    """Layer l of the networks of a single-task trunk into bank l."""
    with torch.no_grad():
        for bank, weight, bias in zip(banks, single.experts.weights, single.experts.biases, strict=True):
            cast(MLPBank, bank).weights[0].copy_(weight)
            cast(MLPBank, bank).biases[0].copy_(bias)


def test_ml_mmoe_of_one_level_is_mmoe() -> None:
    """On one level the raw input is what experts and gates read anyway."""
    deep = build("ml_mmoe", 1, levels=1, experts=5, expert_layers=[5, 4])
    mmoe = build("mmoe", 2, experts=5, expert_layers=[5, 4])
    x = inputs()
    assert_different(deep(x)[0], mmoe(x)[0])
    mmoe.load_state_dict(deep.state_dict())
    assert_equal(deep(x)[0], mmoe(x)[0])


def test_adatt_of_one_level_without_native_line_is_mmoe_over_all_experts() -> None:
    """Private experts that everyone sees are shared ones."""
    adatt = build("adatt", 1, levels=1, task_experts=[2, 3, 1], shared_experts=2, native=False, expert_layers=[5])
    mmoe = build("mmoe", 2, experts=8, expert_layers=[5])
    x = inputs()
    assert_different(adatt(x)[0], mmoe(x)[0])
    mmoe.load_state_dict(adatt.state_dict())
    assert_equal(adatt(x)[0], mmoe(x)[0])


def test_adatts_native_line_is_added_outside_the_softmax() -> None:
    """With one expert per task the line adds that expert's output to what the gate mixes, and leaves gates alone."""
    options = {"levels": 1, "task_experts": 1, "shared_experts": 2, "expert_layers": [5]}
    with_line, without = build("adatt", 1, native=True, **options), build("adatt", 2, native=False, **options)
    without.load_state_dict(with_line.state_dict())
    x = inputs()
    (r_with, gates_with), (r_without, gates_without) = with_line(x), without(x)
    own = level(with_line).experts(x)[: len(TASKS)]
    assert_different(r_with, r_without)
    assert_equal(r_with, r_without + own)
    for name, gate in gates_with.items():
        assert_equal(gate, gates_without[name])


def test_stem_on_zero_shared_embeddings_is_adatt_without_native_line() -> None:
    """Forward, stopping gradients changes nothing, and x_k + 0 selects as x_k does."""
    options = {"levels": 1, "task_experts": [2, 3, 1], "shared_experts": 2, "expert_layers": [5, 4]}
    stem, adatt = build("stem", 1, 4, **options), build("adatt", 2, 4, native=False, **options)
    x = inputs(4)
    x[-1] = 0.0
    assert_different(stem(x)[0], adatt(x)[0])
    adatt.load_state_dict(stem.state_dict())
    assert_equal(stem(x)[0], adatt(x)[0])


def test_stem_stops_only_the_gradient_of_other_tasks_experts() -> None:
    """Against the same wiring without stops: equal outputs; A's loss reaches no expert and no table of B and C."""
    options = {"levels": 1, "task_experts": 1, "shared_experts": 1, "expert_layers": [5]}
    stem = build("stem", 1, 4, **options)
    wiring = stem.wiring
    gates = tuple(gate.model_copy(update={"detached": ()}) for gate in wiring.levels[0].gates)
    open_level = wiring.levels[0].model_copy(update={"gates": gates})
    free = MixtureTrunk(wiring.model_copy(update={"levels": (open_level,)}), WIDTH, torch.Generator())
    free.load_state_dict(stem.state_dict())
    reached = {}
    for name, trunk in (("stem", stem), ("free", free)):
        x = inputs(4).requires_grad_()
        r, _ = trunk(x)
        r[0].square().sum().backward()
        (weight,) = level(trunk).experts.weights
        assert weight.grad is not None
        assert x.grad is not None
        reached[name] = r.detach(), weight.grad.abs().sum((1, 2)) > 0, x.grad.abs().sum((1, 2)) > 0
    assert_equal(reached["stem"][0], reached["free"][0])
    assert reached["stem"][1].tolist() == reached["stem"][2].tolist() == [True, False, False, True]
    assert reached["free"][1].tolist() == reached["free"][2].tolist() == [True] * 4


# T7e
@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("stitches", ["per_task", "per_unit"])
def test_cross_stitch_at_identity_is_single_networks_bit_for_bit(stitches: str, streams: int) -> None:
    """With own = 1 nothing crosses; at the usual start something does."""
    single = build("single_task", 1, streams, layers=[5, 4])
    x = inputs(streams)
    for own in (1.0, 0.9):
        stitched = cast(Any, build("cross_stitch", 2, streams, layers=[5, 4], stitches=stitches, own=own))
        copy_layers(stitched.banks, level(single))
        assert torch.equal(stitched(x)[0], single(x)[0]) == (own == 1.0)
        for stitch in stitched.stitches:
            assert_equal(stitch.alpha.sum(1), torch.ones_like(stitch.alpha[0]))


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("subspaces", [1, 2])
def test_sluice_at_identity_is_single_networks(subspaces: int, streams: int) -> None:
    """Parts that keep to themselves, and towers that read the last layer: whatever the number of parts."""
    single = build("single_task", 1, streams, layers=[4, 4])
    sluice = cast(Any, build("sluice", 2, streams, width=4, levels=2, subspaces=subspaces, own=1.0))
    copy_layers(sluice.banks, level(single))
    x = inputs(streams)
    assert_different(sluice(x)[0], single(x)[0])  # a tenth of beta still goes to the first layer
    with torch.no_grad():
        sluice.beta.copy_(torch.tensor([0.0, 1.0]))
    assert torch.equal(sluice(x)[0], single(x)[0])


def test_sluice_of_one_part_that_reads_the_last_layer_is_cross_stitch() -> None:
    """The two differ by parts and by beta."""
    stitched = cast(Any, build("cross_stitch", 1, layers=[4, 4], own=0.7))
    sluice = cast(Any, build("sluice", 2, width=4, levels=2, subspaces=1, own=0.7))
    copy_parameters(sluice.banks, stitched.banks)
    with torch.no_grad():
        sluice.beta.copy_(torch.tensor([0.0, 1.0]))
    assert_equal(sluice(inputs())[0], stitched(inputs())[0])


def test_soft_sharing_of_equal_networks_costs_nothing_and_has_a_finite_gradient() -> None:
    """The trap of the norm that is not squared: its slope at equal weights is no number."""
    for tie in ("l2", "trace_norm"):
        trunk = cast(Any, build("soft_sharing", 1, layers=[5, 4], tie=tie, strength=1.0))
        assert trunk.penalty().item() > 0
        with torch.no_grad():
            for parameter in trunk.parameters():
                parameter.copy_(parameter[:1].expand_as(parameter).clone())
        penalty = trunk.penalty()
        if tie == "l2":
            assert penalty.item() == 0.0
        penalty.backward()
        for weight in level(trunk).experts.weights:
            assert weight.grad is not None
            assert torch.isfinite(weight.grad).all()


def test_soft_sharing_is_single_networks_with_a_penalty() -> None:
    """The function is the same; only the penalty ties."""
    soft, single = build("soft_sharing", 1, layers=[5, 4]), build("single_task", 2, layers=[5, 4])
    single.load_state_dict(soft.state_dict())
    assert torch.equal(soft(inputs())[0], single(inputs())[0])


def test_snr_with_all_switches_open_is_a_plain_sum() -> None:
    """z = 1: aver adds all sub-networks, and trans with unit matrices is aver."""
    options = {"experts": 4, "levels": 1, "expert_layers": [5]}
    aver, trans = (cast(Any, build("snr", 1, connection=c, **options)) for c in ("aver", "trans"))
    copy_parameters(trans.banks, aver.banks)
    with torch.no_grad():
        for trunk in (aver, trans):
            trunk.routings[0].log_alpha.fill_(9.0)
        trans.routings[0].transform.copy_(torch.eye(5).expand(len(TASKS), 4, -1, -1))
    x = inputs()
    expected = aver.banks[0](x).sum(0).expand(len(TASKS), -1, -1)
    torch.testing.assert_close(aver(x)[0], expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(trans(x)[0], expected, rtol=1e-6, atol=1e-6)


def test_snr_of_one_sub_network_is_a_shared_bottom() -> None:
    """There is one connection to each tower, and it is open."""
    snr = cast(Any, build("snr", 1, experts=1, levels=1, expert_layers=[5, 4], connection="aver"))
    bottom = build("shared_bottom", 2, layers=[5, 4])
    copy_parameters(level(bottom).experts, snr.banks[0])
    assert_equal(snr(inputs())[0], bottom(inputs())[0])


def test_dselect_k_that_has_decided_is_single_networks_of_the_chosen_experts() -> None:
    """Bits beyond the slope: the weights are exactly 0 and 1."""
    trunk = cast(Any, build("dselect_k", 1, experts=4, selectors=1, expert_layers=[5, 4]))
    chosen = [2, 0, 3]
    with torch.no_grad():
        bits = torch.tensor([[[code & 1, code >> 1]] for code in chosen])
        trunk.bits.copy_(2.0 * bits - 1.0)
    x = inputs()
    r, gates = trunk(x)
    assert torch.equal(r, trunk.bank(x)[chosen])
    for task, expert in zip(TASKS, chosen, strict=True):
        assert (gates[f"level 1 / {task}"] == torch.eye(4)[expert]).all()


def test_dselect_k_of_one_expert_is_a_shared_bottom() -> None:
    """No bits, nothing to select."""
    trunk = cast(Any, build("dselect_k", 1, experts=1, expert_layers=[5, 4]))
    bottom = build("shared_bottom", 2, layers=[5, 4])
    copy_parameters(level(bottom).experts, trunk.bank)
    assert_equal(trunk(inputs())[0], bottom(inputs())[0])
    assert trunk.penalty() is None


@pytest.mark.parametrize("streams", [1, 3])
def test_pepnet_at_zero_gate_logits_is_single_networks(streams: int) -> None:
    """2 sigmoid(0) = 1 leaves everything as it is."""
    pepnet = cast(Any, build("pepnet", 1, streams, layers=[5, 4], gate_hidden=3))
    single = build("single_task", 2, streams, layers=[5, 4])
    copy_layers(pepnet.banks, level(single))
    x = inputs(streams)
    assert_different(pepnet(x)[0], single(x)[0])
    with torch.no_grad():
        for gate in (pepnet.embedding_gate, *pepnet.gates):
            gate.bank.weights[-1].zero_()
            gate.bank.biases[-1].zero_()
    assert torch.equal(pepnet(x)[0], single(x)[0])


def test_pepnets_gates_train_nothing_that_they_read() -> None:
    """The slope at the embeddings is that of the factors held fixed."""
    pepnet = cast(Any, build("pepnet", 1, layers=[5, 4], gate_hidden=3))
    x = inputs().requires_grad_()
    r, _ = pepnet(x)
    r.sum().backward()
    fixed = inputs().requires_grad_()
    with torch.no_grad():
        first = pepnet.embedding_gate(fixed)
        factors = [gate(first * fixed) for gate in pepnet.gates]
    h = first * fixed
    for bank, factor in zip(pepnet.banks, factors, strict=True):
        h = bank(h) * factor
    h.sum().backward()
    assert x.grad is not None
    assert fixed.grad is not None
    assert_equal(x.grad, fixed.grad)


@pytest.mark.parametrize("fuse", ["concat", "sum"])
def test_asymmetric_leaves_the_lead_alone(fuse: str) -> None:
    """The lead's own loss reaches no other network; the others' losses reach the lead's."""
    trunk = build("asymmetric", 1, layers=[5, 4], fuse=fuse, lead=1)
    for k, expected in enumerate(([True, True, False], [False, True, False], [False, True, True])):
        trunk.zero_grad()
        trunk(inputs())[0][k].square().sum().backward()
        (weight, _) = level(trunk).experts.weights
        assert weight.grad is not None
        assert (weight.grad.abs().sum((1, 2)) > 0).tolist() == expected


# T6
def test_ples_second_level_shared_input_has_gradient_from_private_experts() -> None:
    """Hand-wired: what the shared experts of level 2 read depends on every task's private experts of level 1."""
    ple = build("ple", 1, levels=2, task_experts=[2, 3, 1], shared_experts=5, expert_layers=[4])
    x = inputs()
    mixes, _ = level(ple)(x, x)
    mixes[-1].square().sum().backward()
    (weight,) = level(ple).experts.weights
    assert weight.grad is not None
    assert (weight.grad.abs().sum((1, 2)) > 0).all()
