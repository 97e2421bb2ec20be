"""What holds for every model: each encoder with each trunk and head that fit together, and each trunk with each kind of
embeddings. A new part joins by being registered.
"""

from __future__ import annotations

import itertools
import random
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from mtl_core.columns import Columns
from mtl_core.nn.embedding import EmbeddingEncoder
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.heads import Output
from mtl_core.nn.mlp import MLPBank
from mtl_core.nn.model import Model
from mtl_core.sizes import parameters_of
from mtl_core.trunks.wiring import gate_key
from tests.unit import compositions
from tests.unit.compositions import (
    COLUMNS,
    HEADS,
    TASKS,
    TRUNKS,
    assert_same,
    batch,
    gradients,
    losses,
    model_spec,
    noise,
    objective,
    truth,
)

#: Every trunk with shared embeddings, and with the other kinds where they fit.
CASES = [
    pytest.param(trunk, sharing, id=f"{trunk}-{sharing}")
    for trunk, sharing in itertools.product(TRUNKS, ("shared", "per_task", "both"))
    if sharing == "shared" or (trunk != "single_task" and compositions.fits(model_spec(trunk, sharing=sharing), 2))
]
#: Every composition, with as many tasks as fit.
EVERY = [
    pytest.param(parts, id="-".join(parts))
    for parts in dict.fromkeys(itertools.chain(*(compositions.every(tasks) for tasks in (1, 2, 3))))
]
#: A part of them in which every trunk meets every head, and both meet every encoder.
PAIRS = [
    case
    for case in EVERY
    for encoder, trunk, head in [cast(compositions.Parts, case.values[0])]
    if compositions.ENCODERS.index(encoder) == (TRUNKS.index(trunk) + HEADS.index(head)) % len(compositions.ENCODERS)
]
NUMERIC, VOCABULARY = 3, (4, 3)
#: Trunks whose tasks meet nowhere in the trunk itself.
APART = ("single_task", "soft_sharing")


def inputs_of(numeric: Tensor, ids: Tensor) -> Inputs:
    """Numbers and ids alone."""
    none = torch.zeros(len(numeric), 0, 0, dtype=torch.long)
    return Inputs(numeric, ids, none, torch.zeros_like(numeric, dtype=torch.bool))


def build(trunk: str, tasks: int = 2, seed: int = 0, sharing: str = "shared") -> Model:
    """A small model with this trunk, from a seed."""
    return compositions.build(model_spec(trunk, sharing=sharing), tasks, seed)


def fits(trunk: str, sharing: str, tasks: int) -> bool:
    """Can this trunk read these embeddings, all of them?"""
    return compositions.fits(model_spec(trunk, sharing=sharing), tasks)


def test_every_head_and_encoder_takes_part() -> None:
    """No part is left out because nothing fits it."""
    for cases in (EVERY, PAIRS):
        met = {pair for case in cases for pair in itertools.permutations(cast(compositions.Parts, case.values[0]), 2)}
        for one, other in itertools.combinations((compositions.ENCODERS, TRUNKS, HEADS), 2):
            assert met >= set(itertools.product(one, other))


def composed(parts: compositions.Parts, tasks: int = 2, seed: int = 0) -> Model:
    """A small model of encoder, trunk and head, from a seed."""
    encoder, trunk, head = parts
    return compositions.build(model_spec(trunk, encoder, head), tasks, seed)


def largest(parts: compositions.Parts) -> int:
    """As many tasks as these parts fit."""
    encoder, trunk, head = parts
    return max(t for t in (1, 2, 3) if compositions.fits(model_spec(trunk, encoder, head), t))


def softmax_gates(model: Model) -> dict[str, list[bool]]:
    """By name of each gate that is a softmax over its experts: which of them it may see."""
    levels = enumerate(model.trunk.wiring.levels, start=1)
    return {
        gate_key(number, gate.name): row
        for number, level in levels
        for gate, row in zip(level.gates, level.visible, strict=True)
        if gate.kind == "softmax"
    }


# T7g
@pytest.mark.parametrize("parts", PAIRS)
def test_shapes_for_few_rows_and_any_number_of_tasks(parts: compositions.Parts) -> None:
    """No squeeze loses the batch or the task dimension; tasks keep their order."""
    for tasks in (1, 2, 3):
        if not compositions.fits(model_spec(parts[1], parts[0], parts[2]), tasks):
            continue
        model = composed(parts, tasks)
        for rows in (1, 2, 7):
            out = model(batch(rows))
            assert isinstance(out, Output)
            assert tuple(out.logits) == TASKS[:tasks] == tuple(out.representations)
            assert all(logit.shape == (rows,) for logit in out.logits.values())
            widths = dict(zip(TASKS, model.trunk.widths, strict=False))
            assert all(r.shape == (rows, widths[name]) for name, r in out.representations.items())
            assert all(gate.ndim == 2 and len(gate) == rows for gate in out.gates.values())
            assert all(part.shape == (rows,) for part in out.parts.values())
            assert all(torch.isfinite(logit).all() for logit in out.logits.values())


# T7c
@pytest.mark.parametrize("parts", EVERY)
def test_a_rows_output_does_not_depend_on_its_batch(parts: compositions.Parts) -> None:
    """f(x)[i] is f(x[i : i + 1]), in training mode too."""
    for training in (True, False):
        model = composed(parts, largest(parts)).train(training)
        inputs = batch(7)
        whole = model(inputs)
        for i in (0, 3, 6):
            alone = model(Inputs(*(part[i : i + 1] for part in inputs)))
            for part, single in zip(whole, alone, strict=True):
                for name, tensor in part.items():
                    assert_same(tensor[i : i + 1], single[name])


# T1, T7
@pytest.mark.parametrize("parts", EVERY)
def test_no_parameter_is_dead(parts: compositions.Parts) -> None:
    """One backward of all losses reaches every tensor, and every network of every bank."""
    model = composed(parts, largest(parts))
    objective(model).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name
    for path, bank in model.named_modules():
        if isinstance(bank, MLPBank):
            for weight in bank.weights:
                assert weight.grad is not None
                assert (weight.grad.flatten(1).abs().sum(1) > 0).all(), path


@pytest.mark.parametrize("parts", PAIRS)
def test_every_parameter_moves_in_a_few_steps(parts: compositions.Parts) -> None:
    """The optimiser holds every parameter, and the loss goes down."""
    model = composed(parts, largest(parts))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    first = objective(model).item()
    for _ in range(5):
        optimizer.zero_grad()
        objective(model).backward()
        optimizer.step()
    assert objective(model).item() < first
    for name, parameter in model.named_parameters():
        assert (parameter - before[name]).abs().max() > 1e-4, name


@pytest.mark.parametrize("parts", EVERY)
def test_labels_outside_a_sample_space_change_nothing(parts: compositions.Parts) -> None:
    """Flipped, or no numbers at all: neither a loss nor a gradient notices."""
    model = composed(parts, largest(parts))
    tasks, drawn = len(model.tasks), noise(model, 64)
    labels, mask = truth(64, tasks)
    spoilt = torch.where(mask, labels, torch.where(labels > 0.5, 0.0, float("nan")))
    inputs = batch(64)
    found = []
    for y in (labels, spoilt):
        each = model.losses(model(inputs, drawn), y, mask, drawn)
        found.append((each, gradients(model, each.sum())))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(g, found[1][1][name]) for name, g in found[0][1].items())


@pytest.mark.parametrize("parts", PAIRS)
def test_state_dict_round_trip(parts: compositions.Parts) -> None:
    """A model of another seed, given these weights, gives these outputs bit for bit."""
    tasks = largest(parts)
    model, other = composed(parts, tasks, seed=0), composed(parts, tasks, seed=1)
    x = batch(7)
    assert not torch.equal(model(x).logits["A"], other(x).logits["A"])
    other.load_state_dict(model.state_dict())
    for part, copy in zip(model(x), other(x), strict=True):
        assert all(torch.equal(tensor, copy[name]) for name, tensor in part.items())
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


# T25, T7b
@pytest.mark.parametrize("parts", PAIRS)
def test_start_values_follow_from_the_seed_alone(parts: compositions.Parts) -> None:
    """Same seed same weights, other seed other outputs, and the global random states stay as they were."""
    tasks = largest(parts)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False)
    first, again, other = (composed(parts, tasks, seed) for seed in (5, 5, 6))
    drawn = noise(first, 7)
    first.losses(first(batch(7), drawn), *truth(7, tasks), drawn)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False)
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]
    assert repr(before[2]) == repr(after[2])
    for (name, a), b in zip(first.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    x = batch(7)
    assert not any(torch.equal(a, b) for a, b in zip(first(x).logits.values(), other(x).logits.values(), strict=True))


# T1, T7b
@pytest.mark.parametrize("parts", PAIRS)
def test_every_tensor_moves_with_the_model(parts: compositions.Parts) -> None:
    """A tensor that is neither parameter nor buffer would stay behind on the CPU, and the products would be refused."""
    model = composed(parts, largest(parts)).to("meta")
    out = model(Inputs(*(part.to("meta") for part in batch(5))))
    assert all(tensor.device.type == "meta" for part in out for tensor in part.values())
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers"):
                continue
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            assert not [item for item in items if isinstance(item, Tensor)], f"{path}.{name}"


@pytest.mark.parametrize("parts", PAIRS)
def test_two_members_under_vmap_equal_the_same_run_apart(parts: compositions.Parts) -> None:
    """Stacked parameters, each member on its own batch: outputs, losses and gradients as if alone."""
    tasks = largest(parts)
    members = [composed(parts, tasks, seed) for seed in (0, 1)]
    stacked, buffers = stack_module_state(members)
    buffers = {name: tensor[0] for name, tensor in buffers.items()}
    batches = [batch(16, seed=seed) for seed in (3, 4)]
    truths = [truth(16, tasks, seed=seed) for seed in (13, 14)]
    drawn = [noise(members[0], 16, seed=seed) for seed in (23, 24)]
    weights = torch.tensor([[1.0, 0.5, 0.3], [0.2, 3.0, 2.0]])[:, :tasks]

    def outputs(p: dict[str, Tensor], inputs: Inputs) -> Output:
        return cast(Output, functional_call(members[0], (p, buffers), (inputs,)))

    def objective_of(p: dict[str, Tensor], inputs: Inputs, y: Tensor, mask: Tensor, u: Tensor, w: Tensor) -> Tensor:
        given = None if drawn[0] is None else u
        each, penalty = functional_call(Objective(members[0]), (p_of(p), buffers_of(buffers)), (inputs, y, mask, given))
        return cast(Tensor, (w * each).sum() + penalty)

    inputs = Inputs(*(torch.stack(pair) for pair in zip(*batches, strict=True)))
    labels, masks = (torch.stack(pair) for pair in zip(*truths, strict=True))
    given = torch.zeros(2, 16, 0) if drawn[0] is None else torch.stack([d for d in drawn if d is not None])
    together = vmap(outputs)(stacked, inputs)
    slopes = vmap(grad(objective_of))(stacked, inputs, labels, masks, given, weights)
    for i, member in enumerate(members):
        for part, expected in zip(together, member(batches[i]), strict=True):
            for name, tensor in expected.items():
                assert_same(part[name][i].expand_as(tensor), tensor, 1e-5)
        each, penalty = Objective(member)(batches[i], *truths[i], drawn[i])
        for name, gradient in gradients(member, (weights[i] * each).sum() + penalty).items():
            assert_same(slopes[name][i], gradient, 1e-5)


class Objective(nn.Module):
    """Losses and penalty of a model as one call, which `functional_call` can reach."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Inputs, labels: Tensor, mask: Tensor, drawn: Tensor | None) -> tuple[Tensor, Tensor]:
        penalty = self.model.trunk.penalty()
        each = self.model.losses(self.model(inputs, drawn), labels, mask, drawn)
        return each, each.new_zeros(()) if penalty is None else penalty


def p_of(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names as `Objective` has them."""
    return {f"model.{name}": tensor for name, tensor in parameters.items()}


buffers_of = p_of


@pytest.mark.parametrize("parts", EVERY)
def test_counted_parameters_are_those_of_the_real_module(parts: compositions.Parts) -> None:
    """What the dashboard counts without torch is what torch trains, in one stream and in several."""
    tasks = largest(parts)
    spec = model_spec(parts[1], parts[0], parts[2])
    assert parameters_of(spec, compositions.schema(tasks).tasks, COLUMNS) == composed(parts, tasks).parameter_count()


@pytest.mark.parametrize(("trunk", "sharing"), CASES)
def test_counted_parameters_with_other_embeddings(trunk: str, sharing: str) -> None:
    """The same for embeddings per task, or both."""
    spec = model_spec(trunk, sharing=sharing)
    assert parameters_of(spec, compositions.schema(2).tasks, COLUMNS) == compositions.build(spec).parameter_count()


@pytest.mark.parametrize(("trunk", "sharing"), CASES)
def test_every_kind_of_embeddings_is_read(trunk: str, sharing: str) -> None:
    """Each stream's table gets gradient."""
    model = build(trunk, sharing=sharing)
    objective(model).backward()
    table = model.encoder.table
    assert isinstance(table, Tensor)
    assert table.grad is not None
    assert (table.grad.unflatten(0, (model.encoder.streams, -1)).abs().sum((1, 2)) > 0).all()


@pytest.mark.parametrize("tasks", [1, 2, 3])
@pytest.mark.parametrize("trunk", TRUNKS)
def test_softmax_gates_are_weights_over_the_visible_experts(trunk: str, tasks: int) -> None:
    """Non-negative, rows sum to 1, exactly 0 for an invisible expert and above 0 for a visible one."""
    model = build(trunk, tasks)
    gates = model(batch(33)).gates
    for name, row in softmax_gates(model).items():
        visible = torch.tensor(row)
        assert_same(gates[name].sum(1), torch.ones(33))
        assert (gates[name][:, visible] > 0).all()
        assert (gates[name][:, ~visible] == 0).all()


@pytest.mark.parametrize("trunk", TRUNKS)
def test_every_gate_of_the_picture_has_its_weights(trunk: str) -> None:
    """Gates and experts drawn are gates and experts run."""
    model = build(trunk, 3)
    gates = model(batch(5)).gates
    for number, level in enumerate(model.trunk.wiring.levels, start=1):
        for gate in level.gates:
            assert gates[gate_key(number, gate.name)].shape == (5, len(level.experts))


@pytest.mark.parametrize("trunk", TRUNKS)
def test_gates_that_choose_depend_on_the_row(trunk: str) -> None:
    """At the start a softmax over several experts neither ignores its input nor has already decided."""
    model = build(trunk)
    gates = model(batch(33)).gates
    for name, row in softmax_gates(model).items():
        if sum(row) > 1:
            assert gates[name].std(0).max() > 1e-3
            assert gates[name].mean(0).max() < 0.9


# T3
@pytest.mark.parametrize("trunk", TRUNKS)
def test_networks_of_a_bank_differ_at_the_start(trunk: str) -> None:
    """No two experts, and no two towers, begin as copies of each other."""
    model = build(trunk, 3)
    banks = [module for module in model.modules() if isinstance(module, MLPBank)]
    assert len(banks) >= 2
    for parameter in itertools.chain.from_iterable(bank.parameters() for bank in banks):
        flat = parameter.flatten(1)
        for a, b in itertools.combinations(range(len(flat)), 2):
            assert (flat[a] - flat[b]).abs().max() > 1e-3


# T2, T3
@pytest.mark.parametrize("parts", PAIRS)
def test_output_is_neither_affine_nor_flat_in_the_input(parts: compositions.Parts) -> None:
    """f(a) + f(b) - f(a + b) - f(0) is not 0, and logits vary over rows at the start."""
    model = composed(parts, largest(parts))
    a, b = batch(64, seed=1), batch(64, seed=2)
    nothing = torch.zeros_like(a.missing)
    for task in model.task_names:

        def f(numeric: Tensor, task: str = task) -> Tensor:
            return cast(Output, model(a._replace(numeric=numeric * 3, missing=nothing))).logits[task]

        bend = f(a.numeric) + f(b.numeric) - f(a.numeric + b.numeric) - f(torch.zeros_like(a.numeric))
        assert bend.abs().max() > 1e-3
        assert f(a.numeric).std() > 1e-3


def test_experts_and_towers_have_hidden_nonlinearities() -> None:
    """A bank alone is not affine either: a softmax gate must not hide linear experts."""
    x = torch.randn(2, 64, NUMERIC, generator=torch.Generator().manual_seed(0)) * 3
    for last_linear, layers in ((False, [5]), (True, [5, 1])):
        bank = MLPBank(3, NUMERIC, layers, torch.Generator().manual_seed(1), last_linear=last_linear)

        def f(rows: Tensor, bank: MLPBank = bank) -> Tensor:
            return cast(Tensor, bank(rows[None]))

        bend = f(x[0]) + f(x[1]) - f(x[0] + x[1]) - f(torch.zeros_like(x[0]))
        assert (bend.abs().amax((1, 2)) > 1e-2).all()
        assert bool((f(x[0]) < 0).any()) == last_linear


def test_a_bank_gives_the_same_for_rows_read_together_or_apart() -> None:
    """The one wide product for common rows equals one product per network."""
    bank = MLPBank(3, NUMERIC, [5, 4], torch.Generator().manual_seed(1))
    x = torch.randn(1, 9, NUMERIC, generator=torch.Generator().manual_seed(0))
    assert_same(bank(x), bank(x.expand(3, -1, -1).clone()))


def test_single_tasks_share_nothing() -> None:
    """No element of any tensor, embeddings included, gets gradient from two tasks; together the tasks reach all."""
    model = build("single_task", 3)
    each = [gradients(model, loss) for loss in losses(model)]
    for name in each[0]:
        touched = torch.stack([g[name] != 0 for g in each]).sum(0)
        assert touched.max() == 1, name
    assert model.encoder.streams == 3


@pytest.mark.parametrize("trunk", [name for name in TRUNKS if name not in APART])
def test_other_trunks_share_trunk_and_embeddings(trunk: str) -> None:
    """The counterpart: with shared embeddings, all tasks' gradients meet in the table and in the trunk."""
    model = build(trunk, 3)
    each = [gradients(model, loss) for loss in losses(model)]
    common = {name for name in each[0] if all(g[name].any() for g in each)}
    together = {n for n in common if torch.stack([g[n] != 0 for g in each]).all(0).any()}
    assert "encoder.table" in together
    assert any(name.startswith("trunk.") for name in together)
    assert not any(name.startswith("towers.") for name in together)


# T24
def test_a_field_never_reads_another_fields_rows() -> None:
    """Gradient reaches exactly the row of each field's id, in each stream, for every pair of ids."""
    encoder = EmbeddingEncoder(Columns.plain(1, VOCABULARY), 2, 2, torch.Generator().manual_seed(0))
    assert encoder.table is not None
    for first, second in itertools.product(range(VOCABULARY[0]), range(VOCABULARY[1])):
        x = encoder(inputs_of(torch.zeros(1, 1), torch.tensor([[first, second]])))
        for stream in range(2):
            start = stream * sum(VOCABULARY)
            for columns, row in ((slice(1, 3), first), (slice(3, 5), VOCABULARY[0] + second)):
                (gradient,) = torch.autograd.grad(x[stream, 0, columns].sum(), encoder.table, retain_graph=True)
                assert gradient.abs().sum(1).nonzero().flatten().tolist() == [start + row]


def test_unknown_rows_start_at_zero_and_no_other_does() -> None:
    """A value never seen adds nothing at the start; streams have tables of their own."""
    encoder = EmbeddingEncoder(Columns.plain(1, VOCABULARY), 2, 2, torch.Generator().manual_seed(0))
    assert encoder.table is not None
    zero = (encoder.table == 0).all(1).nonzero().flatten().tolist()
    assert zero == [0, 4, 7, 11]
    assert not torch.equal(encoder.table[1:4], encoder.table[8:11])


def test_encoder_puts_numeric_columns_beside_embeddings() -> None:
    """Columns: numeric ones as they are, then each field's, the same numeric ones in every stream."""
    encoder = EmbeddingEncoder(Columns.plain(NUMERIC, VOCABULARY), 2, 3, torch.Generator().manual_seed(0))
    numeric = torch.randn(5, NUMERIC, generator=torch.Generator().manual_seed(1))
    x = encoder(inputs_of(numeric, torch.ones(5, 2, dtype=torch.long)))
    assert x.shape == (3, 5, encoder.width)
    assert encoder.width == NUMERIC + 2 * len(VOCABULARY)
    assert all(torch.equal(stream[:, :NUMERIC], numeric) for stream in x)


def test_encoder_without_categorical_fields_has_no_table() -> None:
    """Numeric columns alone pass through."""
    encoder = EmbeddingEncoder(Columns.plain(NUMERIC), 2, 3, torch.Generator().manual_seed(0))
    numeric = torch.randn(5, NUMERIC, generator=torch.Generator().manual_seed(1))
    assert torch.equal(encoder(inputs_of(numeric, torch.zeros(5, 0, dtype=torch.long))), numeric.expand(3, -1, -1))
    assert not list(encoder.parameters())


# T25
def test_ids_above_float_precision_stay_apart() -> None:
    """Ids are integers throughout: 2^24 and 2^24 + 1, which one float32 cannot tell apart, read two rows."""
    encoder = EmbeddingEncoder(Columns.plain(0, (2**24 + 2,)), 1, 1, torch.Generator().manual_seed(0))
    x = encoder(inputs_of(torch.zeros(2, 0), torch.tensor([[2**24], [2**24 + 1]])))
    assert x[0, 0] != x[0, 1]
