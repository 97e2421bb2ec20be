"""What holds for the model of every registered trunk. A new trunk joins by being registered."""

from __future__ import annotations

import itertools
import random
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from mtl_core import registry
from mtl_core.encoders import EncoderOptions
from mtl_core.losses import task_losses
from mtl_core.nn.embedding import EmbeddingEncoder
from mtl_core.nn.heads import Output
from mtl_core.nn.mlp import MLPBank
from mtl_core.nn.model import Model
from mtl_core.schema import Task
from mtl_core.spec import ModelSpec
from mtl_core.trunks import TrunkOptions

NAMES = registry.names("trunk")
TASKS = ("A", "B", "C")
NUMERIC, VOCABULARY = 3, (4, 3)
#: Small sizes for the options that trunks have in common; what a trunk does not have is left out.
SMALL = {
    "layers": [16, 12],
    "expert_layers": [16, 12],
    "experts": 3,
    "shared_experts": 2,
    "task_experts": 1,
    "levels": 2,
}


def model_spec(trunk: str, sharing: str = "shared") -> ModelSpec:
    """A small model with this trunk."""
    fields = registry.get("trunk", trunk).model_fields
    return ModelSpec.model_validate(
        {
            "encoder": {"options": {"dim": 2, "embedding_sharing": sharing}},
            "trunk": {"name": trunk, "options": {k: v for k, v in SMALL.items() if k in fields}},
            "towers": [12],
        }
    )


def build(trunk: str, tasks: int = 2, seed: int = 0, sharing: str = "shared") -> Model:
    """A small model with this trunk, from a seed."""
    generator = torch.Generator().manual_seed(seed)
    return Model(model_spec(trunk, sharing), TASKS[:tasks], NUMERIC, VOCABULARY, generator)


def fits(trunk: str, sharing: str, tasks: int = 2) -> bool:
    """Can this trunk read these embeddings, all of them?"""
    spec = model_spec(trunk, sharing)
    part = cast(TrunkOptions, spec.trunk.part)
    streams = cast(EncoderOptions, spec.encoder.part).streams(tasks, part.separate_embeddings)
    try:
        return part.wire(TASKS[:tasks], streams).reads == set(range(streams))
    except ValueError:
        return False


#: Every trunk with shared embeddings, and with the other kinds where they fit.
CASES = [
    pytest.param(trunk, sharing, id=f"{trunk}-{sharing}")
    for trunk, sharing in itertools.product(NAMES, ("shared", "per_task", "both"))
    if sharing == "shared" or (trunk != "single_task" and fits(trunk, sharing))
]


def batch(rows: int, seed: int = 7) -> tuple[Tensor, Tensor]:
    """Numeric columns and ids; both fields take all their values, the unknown one included."""
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(0, size, (rows,), generator=generator) for size in VOCABULARY]
    return torch.randn(rows, NUMERIC, generator=generator), torch.stack(ids, 1)


def truth(rows: int, tasks: int, seed: int = 8) -> tuple[Tensor, Tensor]:
    """Labels and masks."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (rows, tasks), generator=generator).float()
    return labels, torch.rand(rows, tasks, generator=generator) < 0.9


def tasks_of(model: Model) -> tuple[Task, ...]:
    """Binary tasks."""
    return tuple(Task(name=name, label=f"y_{name}") for name in model.task_names)


def losses(model: Model, rows: int = 96) -> Tensor:
    """Losses [K] on a random batch."""
    numeric, ids = batch(rows)
    return task_losses(model(numeric, ids).logits, *truth(rows, len(model.task_names)), tasks_of(model))


def gradients(model: Model, loss: Tensor) -> dict[str, Tensor]:
    """Gradient by parameter; zeros where the loss does not reach."""
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, retain_graph=True)
    return {
        name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(parameters.items(), found, strict=True)
    }


def assert_same(a: Any, b: Any, tolerance: float = 1e-6) -> None:
    """Equal up to float rounding."""
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


# T7g
@pytest.mark.parametrize("tasks", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("trunk", NAMES)
def test_shapes_for_few_rows_and_any_number_of_tasks(trunk: str, rows: int, tasks: int) -> None:
    """No squeeze loses the batch or the task dimension; tasks keep their order."""
    model = build(trunk, tasks)
    out = model(*batch(rows))
    assert isinstance(out, Output)
    assert tuple(out.logits) == TASKS[:tasks] == tuple(out.representations)
    assert all(logit.shape == (rows,) for logit in out.logits.values())
    assert all(r.shape == (rows, model.trunk.width) for r in out.representations.values())
    assert all(gate.ndim == 2 and len(gate) == rows for gate in out.gates.values())
    assert all(torch.isfinite(logit).all() for logit in out.logits.values())


# T7c
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("trunk", "sharing"), CASES)
def test_a_rows_output_does_not_depend_on_its_batch(trunk: str, sharing: str, training: bool) -> None:
    """f(x)[i] is f(x[i : i + 1]), in training mode too."""
    model = build(trunk, 3 if fits(trunk, sharing, 3) else 2, sharing=sharing).train(training)
    numeric, ids = batch(7)
    whole = model(numeric, ids)
    for i in range(7):
        alone = model(numeric[i : i + 1], ids[i : i + 1])
        for part, single in zip(whole, alone, strict=True):
            for name, tensor in part.items():
                assert_same(tensor[i : i + 1], single[name])


@pytest.mark.parametrize("tasks", [1, 2, 3])
@pytest.mark.parametrize("trunk", NAMES)
def test_gates_are_weights_over_the_visible_experts(trunk: str, tasks: int) -> None:
    """Non-negative, rows sum to 1, exactly 0 for an invisible expert and above 0 for a visible one."""
    model = build(trunk, tasks)
    gates = model(*batch(33)).gates
    visible = {
        f"level {number} / {gate.name}": torch.tensor(row)
        for number, level in enumerate(model.trunk.wiring.levels, start=1)
        for gate, row in zip(level.gates, level.visible, strict=True)
    }
    assert set(gates) == set(visible)
    for name, gate in gates.items():
        assert_same(gate.sum(1), torch.ones(33))
        assert (gate[:, visible[name]] > 0).all()
        assert (gate[:, ~visible[name]] == 0).all()


@pytest.mark.parametrize("trunk", [name for name in NAMES if name not in ("single_task", "shared_bottom")])
def test_gates_that_choose_depend_on_the_row(trunk: str) -> None:
    """At the start a gate neither ignores its input nor has already decided."""
    gates = build(trunk)(*batch(33)).gates
    assert all(gate.std(0).max() > 1e-3 for gate in gates.values())
    assert all(gate.mean(0).max() < 0.9 for gate in gates.values())


# T1, T7
@pytest.mark.parametrize("tasks", [1, 2, 3])
@pytest.mark.parametrize(("trunk", "sharing"), CASES)
def test_no_parameter_is_dead(trunk: str, sharing: str, tasks: int) -> None:
    """One backward of all losses reaches every tensor, every network of a bank and every table."""
    if not fits(trunk, sharing, tasks):
        pytest.skip(f"{trunk} cannot read {sharing} embeddings of {tasks} task(s)")
    model = build(trunk, tasks, sharing=sharing)
    losses(model).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        if name.startswith("encoder."):
            reached = parameter.grad.unflatten(0, (model.encoder.streams, -1)).abs().sum((1, 2))
        else:
            reached = parameter.grad.flatten(1).abs().sum(1)
        assert (reached > 0).all(), name


@pytest.mark.parametrize(("trunk", "sharing"), CASES)
def test_every_parameter_moves_in_a_few_steps(trunk: str, sharing: str) -> None:
    """The optimiser holds every parameter, and the loss goes down."""
    model = build(trunk, sharing=sharing)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    first = losses(model).sum().item()
    for _ in range(5):
        optimizer.zero_grad()
        losses(model).sum().backward()
        optimizer.step()
    assert losses(model).sum().item() < first
    for name, parameter in model.named_parameters():
        assert (parameter - before[name]).abs().max() > 1e-4, name


# T3
@pytest.mark.parametrize("trunk", NAMES)
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
@pytest.mark.parametrize("trunk", NAMES)
def test_output_is_neither_affine_nor_flat_in_the_input(trunk: str) -> None:
    """f(a) + f(b) - f(a + b) - f(0) is not 0, and logits vary over rows at the start."""
    model = build(trunk)
    (a, ids), (b, _) = batch(64, seed=1), batch(64, seed=2)
    for task in model.task_names:

        def f(numeric: Tensor, task: str = task) -> Tensor:
            return model(numeric * 3, ids).logits[task]

        assert (f(a) + f(b) - f(a + b) - f(torch.zeros_like(a))).abs().max() > 1e-3
        assert f(a).std() > 1e-3


def test_experts_and_towers_have_hidden_nonlinearities() -> None:
    """A bank alone is not affine either: a softmax gate must not hide linear experts."""
    x = torch.randn(2, 64, NUMERIC, generator=torch.Generator().manual_seed(0)) * 3
    for last_linear, layers in ((False, [5]), (True, [5, 1])):
        bank = MLPBank(3, NUMERIC, layers, torch.Generator().manual_seed(1), last_linear=last_linear)

        def f(rows: Tensor, bank: MLPBank = bank) -> Tensor:
            return bank(rows[None])

        bend = f(x[0]) + f(x[1]) - f(x[0] + x[1]) - f(torch.zeros_like(x[0]))
        assert (bend.abs().amax((1, 2)) > 1e-2).all()
        assert bool((f(x[0]) < 0).any()) == last_linear


def test_a_bank_gives_the_same_for_rows_read_together_or_apart() -> None:
    """The one wide product for common rows equals one product per network."""
    bank = MLPBank(3, NUMERIC, [5, 4], torch.Generator().manual_seed(1))
    x = torch.randn(1, 9, NUMERIC, generator=torch.Generator().manual_seed(0))
    assert_same(bank(x), bank(x.expand(3, -1, -1).clone()))


@pytest.mark.parametrize("trunk", NAMES)
def test_state_dict_round_trip(trunk: str) -> None:
    """A model of another seed, given these weights, gives these outputs bit for bit."""
    model, other = build(trunk, 3, seed=0), build(trunk, 3, seed=1)
    x = batch(7)
    assert not torch.equal(model(*x).logits["A"], other(*x).logits["A"])
    other.load_state_dict(model.state_dict())
    for part, copy in zip(model(*x), other(*x), strict=True):
        assert all(torch.equal(tensor, copy[name]) for name, tensor in part.items())
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


# T25, T7b
@pytest.mark.parametrize("trunk", NAMES)
def test_start_values_follow_from_the_seed_alone(trunk: str) -> None:
    """Same seed same weights, other seed other weights, and the global random states stay as they were."""
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first, again, other = build(trunk, seed=5), build(trunk, seed=5), build(trunk, seed=6)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]
    assert np.array_equal(before[2], after[2])
    for (name, a), b, c in zip(
        first.state_dict().items(), again.state_dict().values(), other.parameters(), strict=True
    ):
        assert torch.equal(a, b), name
        assert not torch.equal(a, c), name


# T1, T7b
@pytest.mark.parametrize(("trunk", "sharing"), CASES)
def test_every_tensor_moves_with_the_model(trunk: str, sharing: str) -> None:
    """A tensor that is neither parameter nor buffer would stay behind on the CPU, and the products would be refused."""
    model = build(trunk, sharing=sharing).to("meta")
    numeric, ids = batch(5)
    out = model(numeric.to("meta"), ids.to("meta"))
    assert all(tensor.device.type == "meta" for part in out for tensor in part.values())


@pytest.mark.parametrize(("trunk", "sharing"), CASES)
def test_every_tensor_is_a_parameter_or_a_buffer(trunk: str, sharing: str) -> None:
    """None is kept as a plain attribute, or in a plain list or dict, where neither device nor optimiser finds it."""
    for path, module in build(trunk, sharing=sharing).named_modules():
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers"):
                continue
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            assert not [item for item in items if isinstance(item, Tensor)], f"{path}.{name}"


@pytest.mark.parametrize(("trunk", "sharing"), CASES)
def test_functional_call_equals_the_module(trunk: str, sharing: str) -> None:
    """Weights passed in are the weights used, all of them."""
    model, other = build(trunk, sharing=sharing), build(trunk, seed=1, sharing=sharing)
    x = batch(7)
    called = functional_call(other, dict(model.named_parameters()), x)
    for part, expected in zip(called, model(*x), strict=True):
        assert_same(part, expected)


@pytest.mark.parametrize(("trunk", "sharing"), CASES)
def test_two_members_under_vmap_equal_the_same_run_apart(trunk: str, sharing: str) -> None:
    """Stacked parameters, each member on its own batch: outputs as if alone, with no branch on data."""
    members = [build(trunk, seed=seed, sharing=sharing) for seed in (0, 1)]
    parameters, buffers = stack_module_state(members)
    buffers = {name: tensor[0] for name, tensor in buffers.items()}
    batches = [batch(7, seed=seed) for seed in (3, 4)]
    numeric, ids = (torch.stack(parts) for parts in zip(*batches, strict=True))

    def forward(p: dict[str, Tensor], numeric: Tensor, ids: Tensor) -> Output:
        return functional_call(members[0], (p, buffers), (numeric, ids))

    together = vmap(forward)(parameters, numeric, ids)
    for i, member in enumerate(members):
        for part, expected in zip(together, member(*batches[i]), strict=True):
            for name, tensor in expected.items():
                assert_same(part[name][i].expand_as(tensor), tensor)


@pytest.mark.parametrize(("trunk", "sharing"), CASES)
def test_gradients_of_two_members_under_vmap_equal_those_apart(trunk: str, sharing: str) -> None:
    """The training step's loss and gradient run for a population, each member with its own loss weights and masks."""
    members = [build(trunk, seed=seed, sharing=sharing) for seed in (0, 1)]
    parameters, buffers = stack_module_state(members)
    buffers = {name: tensor[0] for name, tensor in buffers.items()}
    tasks = tasks_of(members[0])
    batches = [(*batch(16, seed=s), *truth(16, 2, seed=s + 10)) for s in (3, 4)]
    weights = torch.tensor([[1.0, 0.5], [0.2, 3.0]])

    def loss(p: dict[str, Tensor], weight: Tensor, rows: tuple[Tensor, ...]) -> Tensor:
        x, ids, labels, mask = rows
        out = functional_call(members[0], (p, buffers), (x, ids))
        return (weight * task_losses(out.logits, labels, mask, tasks)).sum(-1)

    stacked = tuple(torch.stack(parts) for parts in zip(*batches, strict=True))
    together = vmap(grad(loss))(parameters, weights, stacked)
    for i, member in enumerate(members):
        x, ids, labels, mask = batches[i]
        own = (weights[i] * task_losses(member(x, ids).logits, labels, mask, tasks)).sum()
        for name, gradient in gradients(member, own).items():
            assert_same(together[name][i], gradient)


def test_single_tasks_share_nothing() -> None:
    """No element of any tensor, embeddings included, gets gradient from two tasks; together the tasks reach all."""
    model = build("single_task", 3)
    each = [gradients(model, loss) for loss in losses(model)]
    for name in each[0]:
        touched = torch.stack([g[name] != 0 for g in each]).sum(0)
        assert touched.max() == 1, name
    assert model.encoder.streams == 3


@pytest.mark.parametrize("trunk", [name for name in NAMES if name != "single_task"])
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
    encoder = EmbeddingEncoder(1, VOCABULARY, 2, 2, torch.Generator().manual_seed(0))
    assert encoder.table is not None
    for first, second in itertools.product(range(VOCABULARY[0]), range(VOCABULARY[1])):
        x = encoder(torch.zeros(1, 1), torch.tensor([[first, second]]))
        for stream in range(2):
            start = stream * sum(VOCABULARY)
            for columns, row in ((slice(1, 3), first), (slice(3, 5), VOCABULARY[0] + second)):
                (gradient,) = torch.autograd.grad(x[stream, 0, columns].sum(), encoder.table, retain_graph=True)
                assert gradient.abs().sum(1).nonzero().flatten().tolist() == [start + row]


def test_unknown_rows_start_at_zero_and_no_other_does() -> None:
    """A value never seen adds nothing at the start; streams have tables of their own."""
    encoder = EmbeddingEncoder(1, VOCABULARY, 2, 2, torch.Generator().manual_seed(0))
    assert encoder.table is not None
    zero = (encoder.table == 0).all(1).nonzero().flatten().tolist()
    assert zero == [0, 4, 7, 11]
    assert not torch.equal(encoder.table[1:4], encoder.table[8:11])


def test_encoder_puts_numeric_columns_beside_embeddings() -> None:
    """Columns: numeric ones as they are, then each field's, the same numeric ones in every stream."""
    encoder = EmbeddingEncoder(NUMERIC, VOCABULARY, 2, 3, torch.Generator().manual_seed(0))
    numeric, ids = batch(5)
    x = encoder(numeric, ids)
    assert x.shape == (3, 5, encoder.width)
    assert encoder.width == NUMERIC + 2 * len(VOCABULARY)
    assert all(torch.equal(stream[:, :NUMERIC], numeric) for stream in x)


def test_encoder_without_categorical_fields_has_no_table() -> None:
    """Numeric columns alone pass through."""
    encoder = EmbeddingEncoder(NUMERIC, (), 2, 3, torch.Generator().manual_seed(0))
    numeric, _ = batch(5)
    assert torch.equal(encoder(numeric, torch.zeros(5, 0, dtype=torch.long)), numeric.expand(3, -1, -1))
    assert not list(encoder.parameters())


# T25
def test_ids_above_float_precision_stay_apart() -> None:
    """Ids are integers throughout: 2^24 and 2^24 + 1, which one float32 cannot tell apart, read two rows."""
    encoder = EmbeddingEncoder(0, (2**24 + 2,), 1, 1, torch.Generator().manual_seed(0))
    x = encoder(torch.zeros(2, 0), torch.tensor([[2**24], [2**24 + 1]]))
    assert x[0, 0] != x[0, 1]
