"""Every head: joint probabilities in log space, labels read where they may be, losses by hand, constants fitted."""

from __future__ import annotations

import itertools
import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.func import grad, vmap

from mtl_core import registry
from mtl_core.columns import Columns, FieldColumn, NumericColumn
from mtl_core.funnel import Funnel
from mtl_core.heads import HeadOptions
from mtl_core.losses import conditional_logit, joint_labels, joint_logits, log_loss, mixed_logit, symmetric_kl
from mtl_core.metrics import task_metrics
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.heads import Head, Output, joint_part
from mtl_core.schema import Feature, Schema, Task
from mtl_core.spec import RunSpec, SpecError

CLICK = Task(name="click", label="clicked")
CART = Task(name="cart", label="carted", space="clicked", after="click")
BUY = Task(name="buy", label="bought", space="clicked", after="click")
BUY_CART = Task(name="buy", label="bought", space="carted", after="cart")
WATCH = Task(name="watch", kind="regression", label="seconds", space="clicked", after="click")
OTHER = Task(name="other", label="o")
PAIR, CHAIN, TREE = (CLICK, BUY), (CLICK, CART, BUY_CART), (CLICK, CART, BUY)
MIXED = (CLICK, WATCH, CART, OTHER, BUY)
COLUMNS = Columns(
    numeric=(NumericColumn("x"),),
    fields=(
        FieldColumn("position", 4, "position"),
        FieldColumn("device", 3, "context"),
        FieldColumn("item", 5, "item"),
    ),
)
WIDTH = 6

#: Every head, each with the options that change what it computes.
HEADS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in registry.names("head")),
    *(("independent", {"conversion_rows": how}) for how in ("aman", "oversampling", "unbias")),
    *((name, {"kl_bound": 0.5}) for name in ("independent", "esmm", "esm2", "escm2_ips", "escm2_dr", "dcmt")),
    *(("shallow_tower", {"inner": name}) for name in registry.names("head") if name != "shallow_tower"),
    ("shallow_tower", {"inner": "independent", "inner_options": {"conversion_rows": "aman"}, "cross_context": True}),
]
every_head = pytest.mark.parametrize(("name", "options"), HEADS, ids=str)


def make(name: str, options: dict[str, Any] | None = None) -> HeadOptions:
    """The options of a head."""
    return cast(HeadOptions, registry.get("head", name).model_validate(options or {}))


def build(name: str, tasks: tuple[Task, ...], options: dict[str, Any] | None = None, seed: int = 0) -> Head:
    """The head's module."""
    return make(name, options).build(tasks, COLUMNS, WIDTH, torch.Generator().manual_seed(seed))


def tasks_for(name: str, options: dict[str, Any], *, mixed: bool = False) -> tuple[Task, ...]:
    """Tasks that this head fits: three for ESM2, whatever stands around it."""
    if mixed:
        return MIXED
    return TREE if "esm2" in (name, options.get("inner")) else PAIR


def towers(name: str, tasks: tuple[Task, ...], options: dict[str, Any], rows: int, seed: int = 1) -> Tensor:
    """Random outputs of the towers: numbers or vectors."""
    head = make(name, options)
    shape = (len(head.towers(tasks)), rows, *((WIDTH,) if head.vectors else ()))
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def inputs(rows: int, seed: int = 2) -> Inputs:
    """Random inputs."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(0, f.rows, (rows,), generator=generator) for f in COLUMNS.fields], 1)
    none = torch.zeros(rows, 0, 0, dtype=torch.long)
    return Inputs(torch.randn(rows, 1, generator=generator), ids, none, torch.zeros(rows, 1, dtype=torch.bool))


def noise(head: Head, rows: int, seed: int = 3) -> Tensor | None:
    """What training draws for this head."""
    return torch.rand(rows, head.noise, generator=torch.Generator().manual_seed(seed)) if head.noise else None


def truth(tasks: tuple[Task, ...], rows: int, seed: int = 4) -> tuple[Tensor, Tensor]:
    """Labels; masks as the funnel has them: inside where the task before happened."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (rows, len(tasks)), generator=generator).float()
    mask = torch.ones(rows, len(tasks), dtype=torch.bool)
    place = {task.name: k for k, task in enumerate(tasks)}
    for k, task in enumerate(tasks):
        if task.after is not None:
            before = place[task.after]
            mask[:, k] = mask[:, before] & (labels[:, before] > 0.5)
        labels[:, k] = torch.where(mask[:, k], labels[:, k], 0.0)
    return labels, mask


def output(logits: dict[str, Tensor], parts: dict[str, Tensor]) -> Output:
    """What a model with this head returns."""
    return Output(logits, {}, {}, parts)


def run(name: str, options: dict[str, Any], tasks: tuple[Task, ...], rows: int) -> tuple[Head, Output, Tensor | None]:
    """A head, what it gives for random towers, and the noise that made it."""
    head = build(name, tasks, options)
    drawn = noise(head, rows)
    return head, output(*head(towers(name, tasks, options, rows), inputs(rows), drawn)), drawn


def joint_loss(p: float, label: int) -> float:
    """Log loss of a probability."""
    return -math.log(p if label else 1 - p)


def s(z: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-z))


def z(p: float) -> float:
    """The logit."""
    return math.log(p / (1 - p))


# The numerics of products


def exact_joint_logit(*logits: float) -> float:
    """In float64, without any difference of nearly equal numbers: 1 - p q = (1 - p) + p (1 - q)."""
    log_p, log_not = 0.0, -math.inf
    for one in logits:
        log_not = float(np.logaddexp(log_not, log_p - np.logaddexp(0, one)))
        log_p -= float(np.logaddexp(0, -one))
    return log_p - (log_not if log_p > -0.6 else math.log1p(-math.exp(log_p)))


wide = st.floats(-60, 60)


# T11
@given(wide, wide, st.booleans())
def test_the_joint_loss_keeps_its_precision_for_extreme_logits(a: float, b: float, label: bool) -> None:
    """float32 against float64 for logits in [-60, 60]: loss; gradients are finite and of the right sign."""
    logits = torch.tensor([a, b], dtype=torch.float32, requires_grad=True)
    joint = joint_logits([logits[:1], logits[1:]], Funnel.of(PAIR))[1]
    loss = log_loss(joint, torch.tensor([float(label)]))
    narrow = [float(value) for value in logits.detach()]
    exact = exact_joint_logit(*narrow)
    assert loss.item() == pytest.approx(np.logaddexp(0, -exact if label else exact), rel=2e-5, abs=1e-30)
    (slope,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(slope).all()
    for found, one in zip(slope.tolist(), narrow, strict=True):
        # d log p / dz_j = 1 - p_j; d log (1 - p) / dz_j = -(1 - p_j) p / (1 - p), and p / (1 - p) = exp(exact)
        rest = math.exp(-float(np.logaddexp(0, one)))
        expected = -rest if label else rest * math.exp(exact)
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-30)
        assert found <= 0 if label else found >= 0


@pytest.mark.parametrize("tasks", [PAIR, CHAIN, TREE])
def test_the_joint_logit_has_the_right_gradient(tasks: tuple[Task, ...]) -> None:
    """gradcheck, on both sides of p = 1/2."""
    start = torch.tensor([[-3.0, 2.0, 4.0], [1.5, 0.1, 5.0], [-7.0, 3.0, -1.0]], dtype=torch.float64)
    rows = start[:, : len(tasks)].T.contiguous().requires_grad_()

    def joint(logits: Tensor) -> Tensor:
        return torch.stack(list(joint_logits(list(logits), Funnel.of(tasks)).values()))

    assert torch.autograd.gradcheck(joint, rows)


@given(wide, wide, wide)
def test_a_chain_of_three_is_a_product_of_three(a: float, b: float, c: float) -> None:
    """Chains multiply all the way up, in float64 to its last digits."""
    logits = [torch.tensor([value], dtype=torch.float64) for value in (a, b, c)]
    found = joint_logits(logits, Funnel.of(CHAIN))
    assert found[1].item() == pytest.approx(exact_joint_logit(a, b), rel=1e-9, abs=1e-9)
    assert found[2].item() == pytest.approx(exact_joint_logit(a, b, c), rel=1e-9, abs=1e-9)


def test_branches_share_their_click() -> None:
    """In a tree cart and purchase each multiply with the click, not with each other."""
    logits = [torch.tensor([z(p)], dtype=torch.float64) for p in (0.2, 0.3, 0.1)]
    found = {k: torch.sigmoid(v).item() for k, v in joint_logits(logits, Funnel.of(TREE)).items()}
    assert found == {1: pytest.approx(0.06), 2: pytest.approx(0.02)}


@given(wide, wide, wide)
def test_a_mixed_logit_is_that_of_the_mixture(a: float, b: float, c: float) -> None:
    """Between its two parts, and right where a float64 probability still is."""
    found = mixed_logit(*(torch.tensor([v], dtype=torch.float64) for v in (a, b, c))).item()
    assert min(b, c) - 1e-6 <= found <= max(b, c) + 1e-6
    if max(map(abs, (a, b, c))) < 20:
        assert s(found) == pytest.approx(s(a) * s(b) + (1 - s(a)) * s(c), rel=1e-9)


@given(wide, wide)
def test_a_conditional_logit_is_that_of_the_ratio(joint: float, before: float) -> None:
    """Finite everywhere, p / p_before where that is below 1, from .99 on log-linear."""
    found = conditional_logit(torch.tensor([joint]), torch.tensor([before])).item()
    assert math.isfinite(found)
    ratio = math.exp(float(np.logaddexp(0, -before)) - float(np.logaddexp(0, -joint)))
    if ratio >= 0.99:
        assert found == pytest.approx(z(0.99) + math.log(ratio / 0.99), rel=1e-4, abs=1e-4)
    elif ratio > 1e-6:
        assert s(found) == pytest.approx(ratio, rel=1e-4)


def test_ratios_above_1_keep_their_order() -> None:
    """1.001, 1.5 and 3 are three different logits: no ties at the cut."""
    before = torch.full((3,), z(0.2))
    found = conditional_logit(torch.tensor([z(0.2 * r) for r in (1.001, 1.5, 3.0)]), before)
    assert (found.diff() > 1e-4).all()


def test_symmetric_kl_by_hand() -> None:
    """P = .005 against Q = .01 costs .00349; nothing where they agree; finite at any logit."""
    p, q = (torch.tensor([z(v)], dtype=torch.float64) for v in (0.005, 0.01))
    assert symmetric_kl(p, q).item() == pytest.approx(0.00349, abs=5e-6)
    by_definition = sum((a - b) * math.log(a / b) for a, b in ((0.005, 0.01), (0.995, 0.99)))
    assert symmetric_kl(p, q).item() == pytest.approx(by_definition)
    assert symmetric_kl(p, p).item() == 0
    assert torch.isfinite(symmetric_kl(torch.tensor([-500.0]), torch.tensor([500.0]))).all()


# Funnels and their labels


def test_steps_are_binary_tasks_after_binary_tasks() -> None:
    """A regression after a click is no step, and neither is a task alone."""
    assert Funnel.of(MIXED).parents == (None, None, 0, None, 0)
    assert Funnel.of(CHAIN).steps == (1, 2)
    assert [Funnel.of(CHAIN).root(k) for k in range(3)] == [0, 0, 0]
    with pytest.raises(ValueError, match="comes after no other"):
        Funnel.of(CHAIN).parent(0)


def test_joint_labels_by_hand() -> None:
    """One where everything up to the step happened; zero, not unknown, where the click did not."""
    nan = math.nan
    labels = torch.tensor([[1.0, 1, 1], [1, 1, 0], [1, 0, nan], [0, nan, nan], [nan, 1, 1]])
    mask = torch.tensor([[True] * 3, [True] * 3, [True, True, False], [True, False, False], [False] * 3])
    steps = joint_labels(labels, mask, Funnel.of(CHAIN))
    assert steps[1].label.tolist() == [1, 1, 0, 0, 0]
    assert steps[2].label.tolist() == [1, 0, 0, 0, 0]
    assert steps[2].reached.tolist() == [True, True, False, False, False]
    assert steps[2].space.tolist() == [True, True, True, True, False]
    assert steps[2].own.tolist() == [1, 0, 0, 0, 0]


def test_a_conversion_label_on_all_rows_is_joined_with_the_click() -> None:
    """The raw label of a conversion may be 1 without a click (another channel's): click AND conversion is learned."""
    labels = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    steps = joint_labels(labels, torch.ones(2, 2, dtype=torch.bool), Funnel.of(PAIR))
    assert steps[1].label.tolist() == [0, 1]
    assert steps[1].reached.tolist() == [False, True]


# What holds for every head


@every_head
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_shapes(name: str, options: dict[str, Any], rows: int) -> None:
    """One logit per task and row, in task order, finite losses, rows that each is a mean over."""
    for tasks in (tasks_for(name, options), MIXED):
        head, out, drawn = run(name, options, tasks, rows)
        assert list(out.logits) == [task.name for task in tasks]
        assert all(part.shape == (rows,) for part in (*out.logits.values(), *out.parts.values()))
        labels, mask = truth(tasks, rows)
        losses = head.losses(out, labels, mask, drawn)
        assert losses.shape == head.rows(mask).shape == (len(tasks),)
        assert torch.isfinite(losses).all()


# T8
@every_head
def test_every_funnel_head_knows_joint_probabilities(name: str, options: dict[str, Any]) -> None:
    """Steps have a joint logit in the parts; the probability in its sample space times the one before gives it."""
    with torch.no_grad():
        _, out, _ = run(name, options, MIXED, 64)
    assert {key for key in out.parts if key.startswith("joint")} == {joint_part("cart"), joint_part("buy")}
    click = torch.sigmoid(out.logits["click"].double())
    for step in ("cart", "buy"):
        joint = torch.sigmoid(out.parts[joint_part(step)].double())
        inside = out.logits[step] < z(0.99)  # a ratio below 1
        assert inside.any()
        product = click * torch.sigmoid(out.logits[step].double())
        assert joint[inside].numpy() == pytest.approx(product[inside].numpy(), rel=2e-4)


PRODUCTS = [case for case in HEADS if not {"division", "aitm"} & {case[0], case[1].get("inner")}]


# T8
@pytest.mark.parametrize(("name", "options"), PRODUCTS, ids=str)
def test_click_and_conversion_is_never_likelier_than_the_click(name: str, options: dict[str, Any]) -> None:
    """A product of probabilities, at any logits; and the click's tower moves it."""
    tasks = tasks_for(name, options)
    head = build(name, tasks, options)
    towers_JB = 20 * towers(name, tasks, options, 500)
    _, parts = head(towers_JB, inputs(500))
    logits, _ = head(towers_JB, inputs(500))
    assert (parts[joint_part("buy")] <= logits["click"] + 1e-5).all()

    def joint(z_JB: Tensor) -> Tensor:
        return cast(Tensor, head(z_JB, inputs(5))[1][joint_part("buy")].sum())

    slope = grad(joint)(towers(name, tasks, options, 5))
    assert (slope[0] > 0).all()


#: A shallow tower without further words is around independent heads.
ENTIRE_SPACE = [
    case for case in HEADS if "independent" not in (case[0], case[1].get("inner")) and case != ("shallow_tower", {})
]


# T8
@pytest.mark.parametrize(("name", "options"), ENTIRE_SPACE, ids=str)
def test_unclicked_rows_teach_the_conversion(name: str, options: dict[str, Any]) -> None:
    """A row without a click moves the step's tower: the loss is over all exposures."""
    tasks = tasks_for(name, options)
    head = build(name, tasks, options)
    labels, mask = torch.zeros(3, len(tasks)), torch.zeros(3, len(tasks), dtype=torch.bool)
    mask[:, 0] = True

    def loss(z_JB: Tensor) -> Tensor:
        return head.losses(output(*head(z_JB, inputs(3))), labels, mask)[-1]

    slope = grad(loss)(towers(name, tasks, options, 3))
    assert slope[len(tasks) - 1].abs().sum() > 0
    assert head.rows(mask).tolist() == [3] * len(tasks)


# T13
@every_head
@pytest.mark.parametrize("spoil", [math.nan, math.inf, 5.0])
def test_labels_outside_a_sample_space_change_nothing(name: str, options: dict[str, Any], spoil: float) -> None:
    """Neither a loss, nor a gradient, nor a metric, joint ones included."""
    head, out, drawn = run(name, options, MIXED, 40)
    labels, mask = truth(MIXED, 40)
    mask[0] = False  # a row that is no exposure either
    spoilt = torch.where(mask, labels, 1 - labels if spoil == 5.0 else spoil)
    assert not torch.equal(spoilt, labels)
    towers_JB = towers(name, MIXED, options, 40)

    def total(z_JB: Tensor, given: Tensor) -> Tensor:
        return head.losses(output(*head(z_JB, inputs(40), drawn)), given, mask, drawn).sum()

    assert torch.equal(head.losses(out, labels, mask, drawn), head.losses(out, spoilt, mask, drawn))
    assert torch.equal(grad(total)(towers_JB, labels), grad(total)(towers_JB, spoilt))
    joint = {task.name: out.parts[joint_part(task.name)] for task in MIXED if joint_part(task.name) in out.parts}
    found = [task_metrics(out.logits, given, mask, MIXED, joint=joint) for given in (labels, spoilt)]
    assert found[0] == found[1]


# T14
@every_head
def test_nothing_to_learn_from_costs_exactly_nothing(name: str, options: dict[str, Any]) -> None:
    """A batch outside every sample space has loss 0 and gradient 0, with any labels."""
    tasks = tasks_for(name, options)
    head = build(name, tasks, options)
    mask = torch.zeros(5, len(tasks), dtype=torch.bool)
    drawn = noise(head, 5)

    def total(z_JB: Tensor) -> Tensor:
        return head.losses(
            output(*head(z_JB, inputs(5), drawn)), torch.full((5, len(tasks)), math.nan), mask, drawn
        ).sum()

    towers_JB = towers(name, tasks, options, 5)
    assert total(towers_JB).item() == 0
    assert (grad(total)(towers_JB) == 0).all()


@every_head
def test_tasks_outside_the_funnel_keep_the_plain_loss(name: str, options: dict[str, Any]) -> None:
    """Squared error over clicked rows for the regression, log loss over all rows for the task alone and the click."""
    head, out, drawn = run(name, options, MIXED, 40)
    labels, mask = truth(MIXED, 40)
    losses = head.losses(out, labels, mask, drawn)
    inside = mask[:, 1]
    assert losses[1].item() == pytest.approx(
        (out.logits["watch"] - labels[:, 1])[inside].square().mean().item(), rel=1e-5
    )
    for k in (0, 3):
        expected = torch.nn.functional.binary_cross_entropy_with_logits(out.logits[MIXED[k].name], labels[:, k])
        assert losses[k].item() == pytest.approx(expected.item(), rel=1e-5)


@every_head
def test_heads_run_for_a_population(name: str, options: dict[str, Any]) -> None:
    """Losses and their gradients under vmap equal those of each member apart, an empty sample space included."""
    tasks = tasks_for(name, options, mixed=True)
    head = build(name, tasks, options)
    labels, mask = (torch.stack(both) for both in zip(*(truth(tasks, 9, seed) for seed in (5, 6)), strict=True))
    mask[1, :, 1:] = False
    towers_MJB = torch.stack([towers(name, tasks, options, 9, seed) for seed in (7, 8)])
    rows = [inputs(9, seed) for seed in (9, 10)]
    ids = torch.stack([r.ids for r in rows])
    drawn = torch.rand(2, 9, head.noise, generator=torch.Generator().manual_seed(0))

    def total(z_JB: Tensor, ids_BC: Tensor, y: Tensor, m: Tensor, u: Tensor) -> Tensor:
        given = u if head.noise else None
        return head.losses(output(*head(z_JB, rows[0]._replace(ids=ids_BC), given)), y, m, given).sum()

    members = (towers_MJB, ids, labels, mask, drawn)
    together = vmap(grad(total))(*members), vmap(total)(*members)
    for i in range(2):
        one = [part[i] for part in members]
        torch.testing.assert_close(together[0][i], grad(total)(*one), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(together[1][i], total(*one), rtol=1e-5, atol=1e-6)
    counts = vmap(head.rows)(mask)
    assert torch.equal(counts[1], head.rows(mask[1]))


@every_head
def test_parameters_are_counted_without_building(name: str, options: dict[str, Any]) -> None:
    """The declaration's count is the module's."""
    tasks = tasks_for(name, options, mixed=True)
    head = build(name, tasks, options)
    assert make(name, options).parameters(tasks, COLUMNS, WIDTH) == sum(p.numel() for p in head.parameters())


FITTED = [
    case for case in HEADS if case[0] != "shallow_tower" and case[1].get("conversion_rows", "clicked") == "clicked"
]


# T9, T7h
@pytest.mark.parametrize(("name", "options"), FITTED, ids=str)
def test_constant_labels_are_fitted_all_at_once(name: str, options: dict[str, Any]) -> None:
    """On constant input a click rate of .3 and a conversion rate of .05 are both reached: no bias is shared."""
    tasks = tasks_for(name, options)
    rows, clicks, buys = 200, 60, 3
    labels, mask = torch.zeros(rows, len(tasks)), torch.ones(rows, len(tasks), dtype=torch.bool)
    labels[:clicks, 0], labels[:buys, -1] = 1.0, 1.0
    mask[clicks:, 1:] = False
    if len(tasks) == 3:
        labels[1:16, 1] = 1.0  # 15 carts, of which two were bought
    head = build(name, tasks, options)
    constant = towers(name, tasks, options, 1)
    free = constant.clone().requires_grad_()
    optimizer = torch.optim.Adam([free, *head.parameters()], lr=0.1)
    given = inputs(rows)
    for _ in range(300):
        out = output(*head(free.expand(-1, rows, *free.shape[2:]), given))
        loss = head.losses(out, labels, mask).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    logits, parts = head(free.detach(), inputs(1))
    assert torch.sigmoid(logits["click"]).item() == pytest.approx(0.3, abs=0.01)
    # DCMT's mirror learns from labels that are made up, and pulls by lambda.
    assert torch.sigmoid(logits["buy"]).item() == pytest.approx(0.05, abs=0.02 if name == "dcmt" else 0.005)
    if name != "dcmt":
        assert torch.sigmoid(parts[joint_part("buy")]).item() == pytest.approx(0.015, abs=0.002)


# T10
@pytest.mark.parametrize("name", ["independent", "esmm", "escm2_ips"])
def test_wrapping_a_model_changes_no_loss(name: str) -> None:
    """The head owns the loss: no trainer asks what class a model is."""
    head, out, drawn = run(name, {}, PAIR, 30)
    wrapped = torch.nn.Sequential(head)
    labels, mask = truth(PAIR, 30)
    inside = cast(Head, next(iter(wrapped.children())))
    assert torch.equal(inside.losses(out, labels, mask, drawn), head.losses(out, labels, mask, drawn))
    shallow = build("shallow_tower", PAIR, {"inner": name})
    unchanged = output(*shallow(towers(name, PAIR, {}, 30), inputs(30)))
    assert torch.equal(shallow.losses(unchanged, labels, mask), head.losses(unchanged, labels, mask))


# Each head by hand


def losses_of(name: str, options: dict[str, Any], tasks: tuple[Task, ...], z_JB: Tensor, rows: Any) -> list[float]:
    """Losses of towers' numbers without noise. `rows`: labels and mask."""
    head = build(name, tasks, options)
    return cast(list[float], head.losses(output(*head(z_JB, inputs(z_JB.shape[1]))), *rows).tolist())


#: Four exposures: clicked and bought, clicked only, two not clicked.
LABELS = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, math.nan], [0.0, math.nan]])
MASK = torch.tensor([[True, True], [True, True], [True, False], [True, False]])
P_CLICK, P_BUY = (0.5, 0.4, 0.2, 0.1), (0.3, 0.2, 0.1, 0.6)
TOWERS = torch.tensor([[z(p) for p in P_CLICK], [z(p) for p in P_BUY]])


def joint_part_of_loss() -> float:
    """The mean log loss of click and conversion over the four exposures."""
    return sum(joint_loss(a * b, y) for a, b, y in zip(P_CLICK, P_BUY, (1, 0, 0, 0), strict=True)) / 4


def test_esmm_by_hand() -> None:
    """The click's loss in its place, click AND conversion's in the conversion's, both over all exposures."""
    click = sum(joint_loss(p, y) for p, y in zip(P_CLICK, (1, 1, 0, 0), strict=True)) / 4
    assert losses_of("esmm", {}, PAIR, TOWERS, (LABELS, MASK)) == pytest.approx([click, joint_part_of_loss()], rel=1e-5)


def test_the_bound_by_hand() -> None:
    """The extra tower's log loss and c times the symmetric KL are added to the conversion's loss."""
    direct = (0.2, 0.1, 0.05, 0.01)
    rows = torch.cat([TOWERS, torch.tensor([[z(q) for q in direct]])])
    own = sum(joint_loss(q, y) for q, y in zip(direct, (1, 0, 0, 0), strict=True)) / 4
    kl = sum((a * b - q) * (z(a * b) - z(q)) for a, b, q in zip(P_CLICK, P_BUY, direct, strict=True)) / 4
    found = losses_of("esmm", {"kl_bound": 2.0}, PAIR, rows, (LABELS, MASK))
    assert found[1] == pytest.approx(joint_part_of_loss() + own + 2 * kl, rel=1e-5)
    base = (joint_loss(0.3, 1) + joint_loss(0.2, 0)) / 2
    found = losses_of("independent", {"kl_bound": 2.0}, PAIR, rows, (LABELS, MASK))
    assert found[1] == pytest.approx(base + own + 2 * kl, rel=1e-5)


def test_the_bound_pulls_both_sides() -> None:
    """The product and the direct tower move towards each other."""
    head = build("esmm", PAIR, {"kl_bound": 1.0})

    def kl(z_JB: Tensor) -> Tensor:
        _, parts = head(z_JB, inputs(1))
        return symmetric_kl(parts["joint buy"], parts["direct buy"]).sum()

    slope = grad(kl)(torch.tensor([[z(0.1)], [z(0.05)], [z(0.01)]]))
    assert (slope.sign().flatten() == torch.tensor([-1.0, -1.0, 1.0])).all()


def test_esm2_by_hand() -> None:
    """Y = (.1, .2, .3, .02): the action .02, the purchase .076 after a click and .0076 in all."""
    head = build("esm2", TREE)
    logits, parts = head(torch.tensor([[z(p)] for p in (0.1, 0.2, 0.3, 0.02)]), inputs(1))
    found = {name: torch.sigmoid(value).item() for name, value in (*logits.items(), *parts.items())}
    assert found == pytest.approx(
        {
            "click": 0.1,
            "cart": 0.2,
            "buy": 0.076,
            "joint cart": 0.02,
            "joint buy": 0.0076,
            "buy after cart": 0.3,
            "buy without cart": 0.02,
        },
        rel=1e-5,
    )


def test_esm2_takes_the_first_and_the_last_binary_task_after_the_click() -> None:
    """Whatever stands between is learned as by ESMM, and the fourth tower is the purchase's."""
    wish = Task(name="wish", label="w", space="clicked", after="click")
    tasks = (CLICK, WATCH, CART, wish, BUY)
    assert make("esm2").towers(tasks) == (0, 1, 2, 3, 4, 4)
    esm2, esmm = build("esm2", tasks), build("esmm", tasks)
    z_JB = towers("esm2", tasks, {}, 6)
    found, plain = esm2(z_JB, inputs(6))[0], esmm(z_JB[:5], inputs(6))[0]
    assert [torch.equal(found[t.name], plain[t.name]) for t in tasks] == [True, True, True, True, False]


def test_escm2_ips_by_hand() -> None:
    """Clicked rows' losses over the click's probability, divided by all exposures; a floor under the probability."""
    error = (joint_loss(0.3, 1) / 0.5 + joint_loss(0.2, 0) / 0.4) / 4
    options = {"lambda_cvr": 0.5, "lambda_ctcvr": 2.0}
    found = losses_of("escm2_ips", options, PAIR, TOWERS, (LABELS, MASK))
    assert found[1] == pytest.approx(0.5 * error + 2 * joint_part_of_loss(), rel=1e-5)
    floored = (joint_loss(0.3, 1) / 0.5 + joint_loss(0.2, 0) / 0.45) / 4
    found = losses_of("escm2_ips", {**options, "propensity_floor": 0.45}, PAIR, TOWERS, (LABELS, MASK))
    assert found[1] == pytest.approx(0.5 * floored + 2 * joint_part_of_loss(), rel=1e-5)


def test_escm2_dr_by_hand() -> None:
    """The guess everywhere, corrected where clicked, and the guess's own squared distance."""
    guesses = (0.5, 1.0, 0.2, 0.3)
    rows = torch.cat([TOWERS, torch.tensor([[math.log(math.expm1(g)) for g in guesses]])])
    off = (joint_loss(0.3, 1) - 0.5, joint_loss(0.2, 0) - 1.0)
    risk = (sum(guesses) + off[0] / 0.5 + off[1] / 0.4) / 4
    imputation = (off[0] ** 2 / 0.5 + off[1] ** 2 / 0.4) / 4
    found = losses_of("escm2_dr", {"lambda_cvr": 0.5}, PAIR, rows, (LABELS, MASK))
    assert found[1] == pytest.approx(0.5 * (risk + imputation) + joint_part_of_loss(), rel=1e-5)


def test_dcmt_by_hand() -> None:
    """Clicked rows over p, unclicked ones with the mirror's label 1 over 1 - p, and what keeps the two apart."""
    mirror = (0.6, 0.7, 0.8, 0.5)
    rows = torch.cat([TOWERS, torch.tensor([[z(m) for m in mirror]])])
    factual = joint_loss(0.3, 1) / 0.5 + joint_loss(0.2, 0) / 0.4
    counterfactual = joint_loss(0.8, 1) / 0.8 + joint_loss(0.5, 1) / 0.9
    apart = sum(abs(1 - (b + m)) for b, m in zip(P_BUY, mirror, strict=True))
    options = {"lambda_cvr": 1.0, "lambda_consistency": 0.3}
    found = losses_of("dcmt", options, PAIR, rows, (LABELS, MASK))
    expected = (factual + counterfactual + 0.3 * apart) / 4 + joint_part_of_loss()
    assert found[1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["escm2_ips", "escm2_dr", "dcmt"])
def test_without_the_debiased_loss_this_is_esmm(name: str) -> None:
    """lambda_cvr = 0."""
    rows = torch.cat([TOWERS, torch.zeros(1, 4)])[: len(make(name).towers(PAIR))]
    found = losses_of(name, {"lambda_cvr": 0.0}, PAIR, rows, (LABELS, MASK))
    assert found == pytest.approx(losses_of("esmm", {}, PAIR, TOWERS, (LABELS, MASK)))


@pytest.mark.parametrize("name", ["escm2_ips", "escm2_dr", "dcmt"])
def test_the_clicks_tower_is_not_moved_by_the_debiased_loss(name: str) -> None:
    """The propensity is a constant: else the click's tower would learn to look likely."""
    head = build(name, PAIR, {"lambda_ctcvr": 0.0})

    def conversion(z_JB: Tensor) -> Tensor:
        return head.losses(output(*head(z_JB, inputs(4))), LABELS, MASK)[1]

    slope = grad(conversion)(torch.cat([TOWERS, torch.zeros(1, 4)])[: len(make(name).towers(PAIR))])
    assert (slope[0] == 0).all()
    assert (slope[1:] != 0).any(1).all()


def test_ips_repairs_the_risk_of_two_groups() -> None:
    """Shares .5/.5, click rates .4/.1, losses .2/.5 per group: ideal .35, clicked rows .26, weighed exactly .35."""
    rows = 1000
    group = torch.arange(rows) < rows // 2
    clicked = torch.zeros(rows, dtype=torch.bool)
    clicked[:200], clicked[500:550] = True, True
    error = torch.where(group, 0.2, 0.5)
    labels, mask = torch.stack([clicked.float(), torch.zeros(rows)], 1), torch.stack([torch.ones(rows) > 0, clicked], 1)
    z_JB = torch.stack([torch.where(group, z(0.4), z(0.1)), torch.log(torch.expm1(error))])  # softplus(z) = error
    assert losses_of("independent", {}, PAIR, z_JB, (labels, mask))[1] == pytest.approx(0.26, rel=1e-5)
    options = {"lambda_cvr": 1.0, "lambda_ctcvr": 0.0}
    assert losses_of("escm2_ips", options, PAIR, z_JB, (labels, mask))[1] == pytest.approx(0.35, rel=1e-5)


def test_the_propensity_of_a_later_step_is_that_of_its_whole_way() -> None:
    """click -> cart -> buy: a carted row is weighed by p(click and cart)."""
    head = build("escm2_ips", CHAIN, {"lambda_cvr": 1.0, "lambda_ctcvr": 0.0})
    labels, mask = torch.tensor([[1.0, 1.0, 1.0]]), torch.ones(1, 3, dtype=torch.bool)
    z_JB = torch.tensor([[z(0.5)], [z(0.4)], [z(0.3)]])
    found = head.losses(output(*head(z_JB, inputs(1))), labels, mask)
    assert found[1:].tolist() == pytest.approx([joint_loss(0.4, 1) / 0.5, joint_loss(0.3, 1) / 0.2], rel=1e-5)


def test_division_by_hand() -> None:
    """pCTCVR .02 over pCTR .1 is a conversion rate of .2; .3 over .1 is just below 1."""
    head = build("division", PAIR)
    logits, parts = head(torch.tensor([[z(0.1), z(0.1)], [z(0.02), z(0.3)]]), inputs(2))
    assert torch.sigmoid(logits["buy"].double()).tolist() == pytest.approx(
        [0.2, s(z(0.99) + math.log(3 / 0.99))], rel=1e-5
    )
    assert torch.sigmoid(parts["joint buy"]).tolist() == pytest.approx([0.02, 0.3], rel=1e-5)


# AITM


def test_the_calibrator_by_hand() -> None:
    """Two rows (.2, .3), (.4, .1), alpha .6: .6 mean(.1, 0) = .03, and no more for a longer batch of the same rows."""
    for copies in (1, 3):
        extra = []
        for alpha in (0.0, 0.6):
            head = build("aitm", PAIR, {"alpha": alpha})
            rows = torch.tensor([[z(0.2), z(0.4)], [z(0.3), z(0.1)]]).repeat(1, copies)
            labels, mask = torch.zeros(2 * copies, 2), torch.tensor([[True, False]] * 2 * copies)
            extra.append(head.losses(output(*head.compose(rows)), labels, mask)[1].item())
        assert extra[1] - extra[0] == pytest.approx(0.03, abs=1e-6)


# T12c
def test_the_calibrator_reduces_violations_and_is_nothing_where_steps_are_ordered() -> None:
    """Trained on labels that break the funnel's order nowhere, rows that are predicted out of order become fewer."""
    ordered = torch.tensor([[z(0.5)], [z(0.3)]])
    labels, mask = torch.tensor([[1.0, 0.0]]), torch.ones(1, 2, dtype=torch.bool)
    for alpha in (0.0, 5.0):
        head = build("aitm", PAIR, {"alpha": alpha})
        loss = head.losses(output(*head.compose(ordered)), labels, mask)[1].item()
        assert loss == pytest.approx(joint_loss(0.3, 0), rel=1e-5)

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 2 * WIDTH, generator=generator)
    labels, mask = truth(PAIR, 200)
    excess = []
    for alpha in (0.0, 20.0):
        head = build("aitm", PAIR, {"alpha": alpha})
        weights = torch.randn(2, 2 * WIDTH, WIDTH, generator=torch.Generator().manual_seed(1)).requires_grad_()
        optimizer = torch.optim.Adam([weights, *head.parameters()], lr=0.01)
        for _ in range(60):
            out = output(*head(torch.tanh(x @ weights), inputs(200)))
            optimizer.zero_grad()
            head.losses(out, labels, mask).sum().backward()
            optimizer.step()
        p = torch.sigmoid(head.numbers(torch.tanh(x @ weights)).detach())
        excess.append(torch.relu(p[1] - p[0]).mean().item())
    assert excess[0] > 1e-4
    assert excess[1] < excess[0] / 2


# T12b
def test_aitm_follows_the_funnel_not_the_column_order() -> None:
    """A step hears from the task it comes after: not from its neighbour, and nothing flows upwards."""
    for tasks, expected in (
        (CHAIN, [[1, 0, 0], [1, 1, 0], [1, 1, 1]]),
        (TREE, [[1, 0, 0], [1, 1, 0], [1, 0, 1]]),
        (MIXED, [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 0], [1, 0, 0, 0, 1]]),
    ):
        head = build("aitm", tasks)
        hears = torch.autograd.functional.jacobian(lambda q, head=head: head.numbers(q), towers("aitm", tasks, {}, 1))
        assert (hears.abs().sum((1, 3, 4)) > 0).int().tolist() == expected


def test_a_step_must_come_after_a_task_before_it() -> None:
    """The order of a funnel is declared and checked: conversion first, click second is refused."""
    with pytest.raises(ValueError, match="must be a task before it"):
        Schema(features=(Feature(name="x", kind="numeric"),), tasks=(BUY, CLICK))


def test_attention_by_hand() -> None:
    """One head over two vectors: softmax over the two, not over the rows; values are linear."""
    from mtl_core.nn.heads.end_to_end import Transfer

    transfer = Transfer(2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in transfer.parameters():
            parameter.copy_(torch.eye(2) if parameter.dim() == 2 else torch.zeros(2))
    before, own = torch.tensor([[2.0, -5.0], [1.0, 1.0]]), torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    weight = 1 / (1 + math.exp((1 - 4) / math.sqrt(2)))  # <(2, 0), (2, 0)> = 4 against 1
    expected = [[2 * weight, 1 - weight], [1.0, 1.0]]
    assert transfer(before, own).tolist() == pytest.approx(np.array(expected), rel=1e-6)


# The rows of a conversion


def test_oversampling_counts_positives_several_times() -> None:
    """One positive, one negative, three copies: a mean over four rows."""
    found = losses_of("independent", {"conversion_rows": "oversampling", "copies": 3}, PAIR, TOWERS, (LABELS, MASK))
    assert found[1] == pytest.approx((3 * joint_loss(0.3, 1) + joint_loss(0.2, 0)) / 4, rel=1e-5)


def test_aman_draws_unclicked_rows_as_negatives() -> None:
    """Clicked rows as they are, and those unclicked ones whose draw is below the rate."""
    head = build("independent", PAIR, {"conversion_rows": "aman", "unclicked_rate": 0.5})
    drawn = torch.tensor([[0.0], [0.9], [0.4], [0.6]])
    found = head.losses(output(*head(TOWERS, inputs(4), drawn)), LABELS, MASK, drawn)[1].item()
    assert found == pytest.approx((joint_loss(0.3, 1) + joint_loss(0.2, 0) + joint_loss(0.1, 0)) / 3, rel=1e-5)
    assert head.rows(MASK).tolist() == [4, 2 + 0.5 * 2]


def test_aman_over_many_draws_takes_its_rate() -> None:
    """With all labels and logits alike the weight of unclicked rows is their share times the rate."""
    head = build("independent", PAIR, {"conversion_rows": "aman", "unclicked_rate": 0.2})
    rows = 20_000
    labels, mask = torch.ones(rows, 2), torch.ones(rows, 2, dtype=torch.bool)
    mask[rows // 2 :, 1], labels[rows // 2 :, 0] = False, 0.0
    drawn = torch.rand(rows, 1, generator=torch.Generator().manual_seed(0))
    logits = torch.zeros(2, rows)
    logits[1] = z(0.9)
    found = head.losses(output(*head(logits, inputs(rows), drawn)), labels, mask, drawn)[1].item()
    assert found == pytest.approx((joint_loss(0.9, 1) + 0.2 * joint_loss(0.9, 0)) / 1.2, rel=0.02)


def test_unbias_rejects_clicked_rows_with_the_clicks_probability() -> None:
    """Rows whose draw is below pCTR are rejected, and the click's tower learns nothing from that."""
    head = build("independent", PAIR, {"conversion_rows": "unbias"})
    drawn = torch.tensor([[0.49], [0.41], [0.9], [0.9]])

    def conversion(z_JB: Tensor) -> Tensor:
        return head.losses(output(*head(z_JB, inputs(4), drawn)), LABELS, MASK, drawn)[1]

    assert conversion(TOWERS).item() == pytest.approx(joint_loss(0.2, 0), rel=1e-5)
    assert (grad(conversion)(TOWERS)[0] == 0).all()
    without_draws = (0.5 * joint_loss(0.3, 1) + 0.6 * joint_loss(0.2, 0)) / 1.1
    found = losses_of("independent", {"conversion_rows": "unbias"}, PAIR, TOWERS, (LABELS, MASK))
    assert found[1] == pytest.approx(without_draws, rel=1e-5)


def test_rates_that_are_not_read_do_not_tell_runs_apart() -> None:
    """Equal runs have equal specs, inside a shallow tower, too."""

    def key(**options: Any) -> str:
        return RunSpec.parse({"data": {"name": "funnel"}, "model": {"head": {"name": "independent", **options}}}).key

    assert key() == key(options={"unclicked_rate": 0.7, "copies": 9})
    aman = {"conversion_rows": "aman"}
    assert key(options=aman) == key(options={**aman, "copies": 9}) != key(options={**aman, "unclicked_rate": 0.7})

    def shallow(**options: Any) -> str:
        data = {"name": "funnel", "options": {"position_feature": True}}
        return RunSpec.parse({"data": data, "model": {"head": {"name": "shallow_tower", "options": options}}}).key

    assert shallow() == shallow(inner="independent", inner_options={"kl_bound": 0.0, "copies": 5})
    assert shallow() != shallow(inner_options={"kl_bound": 0.1})


# Shallow tower


def shallow_term(head: Head, ids: list[list[int]], drawn: list[float]) -> Tensor:
    """What is added to each tower for these rows."""
    rows = len(ids)
    given = torch.tensor(drawn)[:, None].expand(rows, head.noise)
    rows_in = inputs(rows)._replace(ids=torch.tensor(ids))
    z_JB = torch.zeros(len(make("shallow_tower").towers(head.tasks)), rows)
    logits, _ = head(z_JB, rows_in, given)
    return torch.stack([logits[task.name] for task in head.tasks])


def test_the_positions_weight_is_added_before_the_sigmoid() -> None:
    """To binary tasks' logits, each with weights of its own; a regression and an unknown position get nothing."""
    head = build("shallow_tower", MIXED, {"drop": 0.1})
    weights = dict(head.named_parameters())["weight_RT"]
    assert weights.shape == (3, 4)
    found = shallow_term(head, [[1, 0, 0], [3, 2, 4], [0, 1, 1], [2, 0, 0]], [0.5, 0.11, 0.9, 0.05])
    expected = torch.zeros(5, 4)
    for row, position in ((0, 0), (1, 2)):  # the third is unknown, the fourth dropped
        expected[[0, 2, 3, 4], row] = weights[position]
    torch.testing.assert_close(found, expected)


def test_crossed_with_context_every_pair_has_its_weight() -> None:
    """Position x device: three known positions times three rows of the device's table, the unknown one included."""
    head = build("shallow_tower", PAIR, {"cross_context": True})
    weights = dict(head.named_parameters())["weight_RT"]
    assert weights.shape == (3 + 3 * 3, 2)
    pairs = list(itertools.product((1, 2, 3), (0, 1, 2)))
    found = shallow_term(head, [[p, d, 0] for p, d in pairs], [0.5] * 9)
    expected = torch.stack([weights[p - 1] + weights[3 + (p - 1) * 3 + d] for p, d in pairs], 1)
    torch.testing.assert_close(found, expected)


def test_serving_and_evaluation_know_no_position() -> None:
    """Without noise the term is gone: positions change nothing."""
    head = build("shallow_tower", PAIR)
    z_JB = torch.zeros(2, 2)
    same = [head(z_JB, inputs(2)._replace(ids=torch.tensor([[p, 0, 0]] * 2)))[0]["click"] for p in (1, 3)]
    assert torch.equal(*same)
    assert (same[0] == 0).all()


def test_only_first_steps_if_asked() -> None:
    """Position explains clicks; whether it explains what follows is a choice."""
    head = build("shallow_tower", MIXED, {"tasks": "first steps"})
    added = shallow_term(head, [[1, 0, 0]], [0.5])[:, 0] != 0
    assert added.tolist() == [True, False, False, True, False]


@pytest.mark.parametrize(("inner", "expected"), [("escm2_dr", 2), ("dcmt", 2), ("esm2", 4)])
def test_towers_of_errors_and_mirrors_take_no_position(inner: str, expected: int) -> None:
    """The term belongs to logits of the task: both towers of ESM2's purchase, no guess of an error."""
    tasks = TREE if inner == "esm2" else PAIR
    head = build("shallow_tower", tasks, {"inner": inner})
    term = cast(Any, head).term(torch.tensor([[2, 0, 0]]), torch.tensor([True]))
    assert (term != 0).sum().item() == expected
    if inner == "esm2":
        assert torch.equal(term[2], term[3])


def test_a_position_is_learned_apart_from_taste() -> None:
    """Clicks that follow position alone: the tower's weights take them, and what is served does not depend on place."""
    generator = torch.Generator().manual_seed(0)
    rows = 4000
    rows_in = inputs(rows)
    position = torch.arange(rows) % 3 + 1
    rows_in = rows_in._replace(ids=torch.stack([position, *rows_in.ids.T[1:]], 1))
    rate = torch.tensor([0.0, 0.6, 0.3, 0.1])[position]
    labels = (torch.rand(rows, generator=generator) < rate).float()[:, None]
    head = build("shallow_tower", (CLICK,), {"drop": 0.1})
    bias = torch.zeros(1, 1, requires_grad=True)
    optimizer = torch.optim.Adam([bias, *head.parameters()], lr=0.1)
    for _ in range(150):
        drawn = torch.rand(rows, 1, generator=generator)
        out = output(*head(bias.expand(1, rows), rows_in, drawn))
        optimizer.zero_grad()
        head.losses(out, labels, torch.ones(rows, 1, dtype=torch.bool), drawn).sum().backward()
        optimizer.step()
    weights = dict(head.named_parameters())["weight_RT"][:, 0]
    assert torch.sigmoid(bias[0, 0] + weights).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.06)
    assert torch.sigmoid(bias).item() == pytest.approx(1 / 3, abs=0.05)


# What is refused


FUNNEL = {"name": "funnel"}
POSITIONS = {"name": "funnel", "options": {"position_feature": True}}


@pytest.mark.parametrize(
    ("data", "name", "options", "message"),
    [
        ({"name": "conflict"}, "esmm", {}, "none of A, B is a binary task after another"),
        ({"name": "conflict"}, "independent", {"kl_bound": 1.0}, "none of A, B is a binary task after another"),
        (FUNNEL, "esm2", {}, "needs a click and at least two binary tasks that come after it"),
        (FUNNEL, "shallow_tower", {}, "needs a categorical (or binned) column of role position"),
        (POSITIONS, "shallow_tower", {"cross_context": True}, "needs a categorical column of role context"),
        (POSITIONS, "shallow_tower", {"inner": "esm2"}, "needs a click and at least two binary tasks"),
        (POSITIONS, "shallow_tower", {"inner": "shallow_tower"}, "holds no other shallow tower"),
        (POSITIONS, "shallow_tower", {"inner": "esm"}, "Did you mean 'esmm'?"),
        (
            POSITIONS,
            "shallow_tower",
            {"inner": "esmm", "inner_options": {"x": 1}},
            "inner_options of esmm: x: there is",
        ),
        (POSITIONS, "shallow_tower", {"inner_options": {"copies": 0}}, "inner_options of independent: copies:"),
    ],
)
def test_a_head_that_does_not_fit_says_why(
    data: dict[str, Any], name: str, options: dict[str, Any], message: str
) -> None:
    """In one line."""
    with pytest.raises(SpecError) as error:
        RunSpec.parse({"data": data, "model": {"head": {"name": name, "options": options}}})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_head_of_vectors_wants_a_hidden_layer_in_its_towers() -> None:
    """AITM, and a shallow tower around it."""
    for data, head in (
        (FUNNEL, {"name": "aitm"}),
        (POSITIONS, {"name": "shallow_tower", "options": {"inner": "aitm"}}),
    ):
        with pytest.raises(SpecError, match="last hidden layer"):
            RunSpec.parse({"data": data, "model": {"towers": [], "head": head}})
        RunSpec.parse({"data": data, "model": {"towers": [8], "head": head}})


def test_every_head_has_a_card() -> None:
    """With a problem and a formula."""
    for name in registry.names("head"):
        card = make(name).card
        assert card.problem
        assert card.formula
