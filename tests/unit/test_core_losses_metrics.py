"""Losses and metrics are taken in a task's own sample space, and metrics are exact."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor

from mtl_core import training
from mtl_core.columns import Columns
from mtl_core.data.tables import Arrays, Encoded
from mtl_core.engine import evaluation
from mtl_core.engine.rows import to_device
from mtl_core.losses import task_losses
from mtl_core.metrics import auc, normalised_entropy, selection_score, task_metrics
from mtl_core.schema import Feature, Schema, Task
from mtl_core.spec import RunSpec

CLICK = Task(name="click", label="y_click")
BUY = Task(name="buy", label="y_buy", space="clicked")
DWELL = Task(name="dwell", kind="regression", label="seconds", space="clicked")
TASKS = (CLICK, BUY, DWELL)
ROWS = 40


def example(seed: int = 0) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Logits by task, labels and masks; click is observed everywhere, the other two on about half of the rows."""
    generator = torch.Generator().manual_seed(seed)
    logits = {task.name: torch.randn(ROWS, generator=generator) for task in TASKS}
    labels = torch.randint(0, 2, (ROWS, 3), generator=generator).float()
    labels[:, 2] = torch.randn(ROWS, generator=generator)
    inside = torch.rand(ROWS, generator=generator) < 0.5
    return logits, labels, torch.stack([torch.ones(ROWS, dtype=torch.bool), inside, inside], 1)


def outside(labels: Tensor, mask: Tensor, what: str) -> Tensor:
    """The labels with those outside the sample space spoilt."""
    spoilt = {"flipped": 1 - labels, "nan": torch.full_like(labels, torch.nan), "inf": labels + torch.inf}[what]
    return torch.where(mask, labels, spoilt)


def gradient(logits: dict[str, Tensor], labels: Tensor, mask: Tensor, weights: Tensor | None = None) -> Tensor:
    """Gradient of the weighted sum of losses with respect to all logits. [K, B]"""
    leaves = {name: logit.clone().requires_grad_() for name, logit in logits.items()}
    losses = task_losses(leaves, labels, mask, TASKS)
    total = (losses if weights is None else weights * losses).sum()
    return torch.stack(torch.autograd.grad(total, list(leaves.values())))


# T13
@pytest.mark.parametrize("what", ["flipped", "nan", "inf"])
def test_labels_outside_the_sample_space_change_nothing(what: str) -> None:
    """Neither loss, nor gradient, nor any metric reads them."""
    logits, labels, mask = example()
    spoilt = outside(labels, mask, what)
    assert not torch.equal(spoilt, labels)
    assert torch.equal(task_losses(logits, labels, mask, TASKS), task_losses(logits, spoilt, mask, TASKS))
    assert torch.equal(gradient(logits, labels, mask), gradient(logits, spoilt, mask))
    assert task_metrics(logits, labels, mask, TASKS) == task_metrics(logits, spoilt, mask, TASKS)


def test_labels_inside_the_sample_space_do_count() -> None:
    """The counterpart: flipping one label inside changes loss and metrics of its task and of no other."""
    logits, labels, mask = example()
    row = int(mask[:, 1].nonzero()[0, 0])
    flipped = labels.clone()
    flipped[row, 1] = 1 - flipped[row, 1]
    before, after = task_losses(logits, labels, mask, TASKS), task_losses(logits, flipped, mask, TASKS)
    assert (before != after).tolist() == [False, True, False]
    metrics = task_metrics(logits, labels, mask, TASKS), task_metrics(logits, flipped, mask, TASKS)
    assert [metrics[0][t.name] != metrics[1][t.name] for t in TASKS] == [False, True, False]


def test_logits_outside_the_sample_space_change_nothing() -> None:
    """Even a logit that overflowed outside its task's space leaves loss and gradient finite."""
    logits, labels, mask = example()
    spoilt = {name: torch.where(mask[:, k], logits[name], torch.inf) for k, name in enumerate(logits)}
    assert torch.equal(task_losses(logits, labels, mask, TASKS), task_losses(spoilt, labels, mask, TASKS))
    found = gradient(spoilt, labels, mask)
    assert torch.equal(found, gradient(logits, labels, mask))
    assert (found[~mask.T] == 0).all()


# T14
def test_a_task_without_rows_in_the_batch_costs_exactly_nothing() -> None:
    """Loss exactly 0, gradient exactly 0 and finite, even where labels are NaN."""
    logits, labels, _ = example()
    nothing = torch.zeros(ROWS, 3, dtype=torch.bool)
    labels = torch.full_like(labels, torch.nan)
    assert task_losses(logits, labels, nothing, TASKS).tolist() == [0.0, 0.0, 0.0]
    assert (gradient(logits, labels, nothing) == 0).all()


def test_rows_outside_the_space_do_not_dilute_the_loss() -> None:
    """Doubling the rows outside a task's space leaves its loss; it is a mean over the rows inside."""
    logits, labels, mask = example()
    extra = ~mask[:, 1]
    more = {name: torch.cat([logit, logit[extra]]) for name, logit in logits.items()}
    before = task_losses(logits, labels, mask, TASKS)
    after = task_losses(more, torch.cat([labels, labels[extra]]), torch.cat([mask, mask[extra]]), TASKS)
    torch.testing.assert_close(before[1:], after[1:])
    assert abs(before[0] - after[0]) > 1e-4


def test_losses_by_hand() -> None:
    """Mean over the rows inside: log(1 + e^-z) for a positive, squared error for a regression."""
    logits = {"click": torch.tensor([0.0, 2.0]), "buy": torch.tensor([-1.0, 9.0]), "dwell": torch.tensor([3.0, 9.0])}
    labels = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    expected = [(math.log(2) + 2 + math.log1p(math.exp(-2))) / 2, math.log1p(math.e), 4.0]
    assert task_losses(logits, labels, mask, TASKS).tolist() == pytest.approx(expected, rel=1e-6)


def test_doubling_a_weight_doubles_its_part_of_loss_and_gradient() -> None:
    """No normalisation takes a static weight back."""
    logits, labels, mask = example()
    one = gradient(logits, labels, mask, torch.tensor([1.0, 1.0, 1.0]))
    two = gradient(logits, labels, mask, torch.tensor([1.0, 2.0, 1.0]))
    assert torch.equal(two[1], 2 * one[1])
    assert torch.equal(two[[0, 2]], one[[0, 2]])


def test_losses_batch_over_members() -> None:
    """Under vmap each member has its own labels and masks, an empty one included."""
    members = [example(seed) for seed in (1, 2)]
    members[1][2][:, 1] = False
    logits = {name: torch.stack([m[0][name] for m in members]) for name in members[0][0]}
    labels, mask = (torch.stack([m[i] for m in members]) for i in (1, 2))
    together = torch.func.vmap(lambda *rows: task_losses(*rows, TASKS))(logits, labels, mask)
    torch.testing.assert_close(together, torch.stack([task_losses(*m, TASKS) for m in members]))


# T11
@given(st.lists(st.floats(-60, 60), min_size=1, max_size=30), st.integers(0, 2**30))
def test_log_loss_keeps_its_precision_for_extreme_logits(values: list[float], bits: int) -> None:
    """Against float64, for logits in [-60, 60]; the gradient is sigmoid(z) - y, finite and of the right sign."""
    z = torch.tensor(values, dtype=torch.float32, requires_grad=True)
    y = torch.tensor([float(bits >> i & 1) for i in range(len(values))])
    loss = task_losses({"click": z}, y[:, None], torch.ones(len(values), 1, dtype=torch.bool), (CLICK,))[0]
    wide = z.detach().numpy().astype(np.float64)
    exact = np.logaddexp(0, np.where(y.numpy() > 0.5, -wide, wide))
    # One unit in the last place of the largest logit is all that may be lost.
    assert loss.item() == pytest.approx(exact.mean(), rel=1e-6, abs=8e-6)
    (slope,) = torch.autograd.grad(loss, z)
    expected = (1 / (1 + np.exp(-wide)) - y.numpy()) / len(values)
    assert torch.isfinite(slope).all()
    assert slope.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-7)


def pair_count(scores: list[float], labels: list[int]) -> float:
    """The share of (positive, negative) pairs in the right order, ties counted half, pair by pair."""
    pairs = [
        (a > b) + (a == b) / 2
        for (a, y), (b, z) in itertools.product(zip(scores, labels, strict=True), repeat=2)
        if y == 1 and z == 0
    ]
    return sum(pairs) / len(pairs)


labelled = st.lists(st.tuples(st.integers(-3, 3) | st.floats(-1e30, 1e30), st.integers(0, 1)), min_size=2, max_size=40)


# T15
@given(labelled.filter(lambda rows: len({y for _, y in rows}) == 2))
def test_auc_is_the_share_of_ordered_pairs(rows: list[tuple[float, int]]) -> None:
    """Exact, with ties, whatever the order of the rows; sklearn agrees."""
    scores = torch.tensor([s for s, _ in rows], dtype=torch.float64)
    labels = torch.tensor([float(y) for _, y in rows])
    value = auc(scores, labels)
    assert value == pytest.approx(pair_count(scores.tolist(), [y for _, y in rows]), abs=1e-12)
    assert value == pytest.approx(roc_auc_score(labels.numpy(), scores.numpy()), abs=1e-12)
    assert value == pytest.approx(auc(scores.flip(0), labels.flip(0)), abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
        ([1, 2, 3, 4], [1, 1, 0, 0], 0.0),
        ([5, 5, 5], [0, 1, 0], 0.5),
        ([1, 2, 2, 3], [0, 1, 0, 1], 3.5 / 4),
    ],
)
def test_auc_by_hand(scores: list[float], labels: list[float], expected: float) -> None:
    """Perfect, reversed, all tied, one tie among four pairs."""
    assert auc(torch.tensor(scores), torch.tensor(labels)) == expected


def test_auc_of_rare_events_with_tiny_scores() -> None:
    """Probabilities near 1e-4 that differ in the fifth digit are not thrown into one bin."""
    rng = np.random.default_rng(0)
    label = (rng.random(20_000) < 1e-3).astype(np.float32)
    score = (1e-4 + 1e-8 * (rng.standard_normal(20_000) + 2 * label)).astype(np.float32)
    value = auc(torch.from_numpy(score), torch.from_numpy(label))
    assert value == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert value is not None
    assert value > 0.85


def test_auc_reads_order_alone() -> None:
    """A strictly increasing transform leaves it, a decreasing one reflects it."""
    logits, labels, _ = example()
    score, label = logits["click"].double(), labels[:, 0]
    value = auc(score, label)
    assert value == auc(torch.sigmoid(score), label) == auc(score.exp() * 1e-9, label)
    assert auc(-score, label) == pytest.approx(1 - value)


# T17b
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_auc(label: float) -> None:
    """No pair exists: None, not 0.5, no warning; the log loss is still there."""
    assert auc(torch.randn(5, generator=torch.Generator().manual_seed(0)), torch.full((5,), label)) is None
    logits, labels, mask = example()
    labels[:, 0] = label
    found = task_metrics(logits, labels, mask, TASKS)["click"]
    assert found["auc"] is None
    assert found["log_loss"] is not None


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_scores_that_are_no_numbers_have_no_metrics(bad: float) -> None:
    """None, so that JSON stays valid and no such epoch can be chosen."""
    logits, labels, mask = example()
    row = int(mask[:, 1].nonzero()[0, 0])
    labels[row, :2] = 1 if bad < 0 else 0
    for logit in logits.values():
        logit[row] = bad
    found = task_metrics(logits, labels, mask, TASKS)
    assert found == {
        "click": dict.fromkeys(("auc", "log_loss", "pcoc", "ece")),
        "buy": dict.fromkeys(("auc", "log_loss", "pcoc", "ece")),
        "dwell": {"mse": None},
    }


def test_a_task_without_rows_has_no_metrics() -> None:
    """An empty sample space gives None, not NaN."""
    logits, labels, mask = example()
    mask[:, 1:] = False
    found = task_metrics(logits, labels, mask, TASKS)
    assert found["buy"] == dict.fromkeys(("auc", "log_loss", "pcoc", "ece"))
    assert found["dwell"] == {"mse": None}
    assert found["click"]["auc"] is not None


# T13, T16
def test_each_metric_is_that_of_the_task_alone_in_its_own_space() -> None:
    """Per-task values equal one-dimensional ones computed elsewhere on the rows inside."""
    logits, labels, mask = example()
    found = task_metrics(logits, labels, mask, TASKS)
    for k, task in enumerate(TASKS):
        inside = mask[:, k].numpy()
        z, y = logits[task.name].numpy()[inside].astype(np.float64), labels[:, k].numpy()[inside]
        if task.kind == "binary":
            assert found[task.name]["auc"] == pytest.approx(roc_auc_score(y, z))
            assert found[task.name]["log_loss"] == pytest.approx(log_loss(y, 1 / (1 + np.exp(-z))))
        else:
            assert found[task.name]["mse"] == pytest.approx(np.mean((z - y) ** 2))
    assert found["buy"]["auc"] != pytest.approx(roc_auc_score(labels[:, 1].numpy(), logits["buy"].numpy()))


# T12
def test_swapping_tasks_swaps_values() -> None:
    """Values go with the task's name, whatever the order of the columns."""
    logits, labels, mask = example()
    order = [2, 0, 1]
    swapped = tuple(TASKS[i] for i in order)
    assert task_metrics(logits, labels[:, order], mask[:, order], swapped) == task_metrics(logits, labels, mask, TASKS)
    losses = task_losses(logits, labels, mask, TASKS)
    assert torch.equal(task_losses(logits, labels[:, order], mask[:, order], swapped), losses[order])


def test_selection_score_is_the_mean_over_tasks_and_higher_is_better() -> None:
    """AUC counts up, squared error down."""
    metrics = {"click": {"auc": 0.8, "log_loss": 9.0}, "buy": {"auc": 0.6, "log_loss": 9.0}, "dwell": {"mse": 0.2}}
    assert selection_score(metrics, TASKS) == pytest.approx((0.8 + 0.6 - 0.2) / 3)
    assert selection_score(metrics, (CLICK, BUY)) == pytest.approx(0.7)


# T17b, T21
def test_an_undefined_metric_has_no_selection_score() -> None:
    """One task without a value leaves the epoch without a score, so it cannot be called best."""
    metrics: dict[str, dict[str, float | None]] = {"click": {"auc": 1.0}, "buy": {"auc": None}}
    assert selection_score(metrics, (CLICK, BUY)) is None


def small_data() -> Encoded:
    """Three splits of the same 97 rows, with a sample space."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((97, 3)).astype(np.float32)
    labels = (rng.random((97, 2)) < 0.4).astype(np.float32)
    mask = np.stack([np.ones(97, bool), rng.random(97) < 0.6], 1)
    arrays = Arrays(x, np.zeros((97, 0), np.int64), labels, mask)
    features = tuple(Feature(name=f"x{i}", kind="numeric") for i in range(3))
    schema = Schema(features=features, tasks=(CLICK, BUY))
    return Encoded(schema, arrays, arrays, arrays, Columns.plain(3), ())


# T17
def test_metrics_do_not_depend_on_the_evaluation_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """AUC over all rows at once, not a mean over batches: rows per pass of 1, 7 and all give the same."""
    data = small_data()
    spec = RunSpec.parse({"model": {"trunk": {"options": {"experts": 2, "expert_layers": [5]}}}})
    model = training.build_model(spec, data)
    rows = to_device(data.valid, torch.device("cpu"))
    found = []
    for size in (1, 7, 96, 97, 10_000):
        monkeypatch.setattr(evaluation, "EVALUATION_ROWS", size)
        found.append(evaluation.score(model, rows, data.schema.tasks))
    for other in found[1:]:
        for task, values in found[0].items():
            assert other[task] == pytest.approx(values, abs=1e-6)
    shuffled = torch.randperm(97, generator=torch.Generator().manual_seed(0))
    mixed = evaluation.score(model, rows.at(shuffled), data.schema.tasks)
    assert mixed["buy"] == pytest.approx(found[0]["buy"], abs=1e-6)


# T19
@pytest.mark.parametrize("mode", [True, False])
def test_evaluation_puts_the_models_mode_back(mode: bool) -> None:
    """Scoring leaves a training model training, and gradients on."""
    data = small_data()
    model = training.build_model(RunSpec.parse({}), data).train(mode)
    evaluation.score(model, to_device(data.valid, torch.device("cpu")), data.schema.tasks)
    assert model.training is mode
    assert torch.is_grad_enabled()


# Joint metrics of a funnel

PURCHASE = Task(name="buy", label="y_buy", space="clicked", after="click")


def funnel_example() -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor]:
    """Logits, joint logits, labels and masks of 200 exposures; purchases are known where somebody clicked."""
    generator = torch.Generator().manual_seed(3)
    logits = {name: torch.randn(200, generator=generator) for name in ("click", "buy")}
    labels = torch.randint(0, 2, (200, 2), generator=generator).float()
    mask = torch.stack([torch.ones(200, dtype=torch.bool), labels[:, 0] > 0.5], 1)
    return logits, {"buy": torch.randn(200, generator=generator)}, torch.where(mask, labels, torch.nan), mask


# T12, T13
def test_joint_metrics_are_taken_over_all_exposures() -> None:
    """Click AND purchase against the joint probability, on every row: not on clicked ones, and not the raw label."""
    logits, joint, labels, mask = funnel_example()
    found = task_metrics(logits, labels, mask, (CLICK, PURCHASE), joint=joint)
    both = ((labels[:, 0] > 0.5) & (labels[:, 1] > 0.5)).numpy()
    score = joint["buy"].double().numpy()
    assert found["buy"]["joint_auc"] == pytest.approx(roc_auc_score(both, score))
    assert found["buy"]["joint_log_loss"] == pytest.approx(log_loss(both, 1 / (1 + np.exp(-score))))
    assert not [name for name in found["click"] if name.startswith("joint")]
    # The metrics in the task's own sample space stay what they are.
    without = task_metrics(logits, labels, mask, (CLICK, PURCHASE))
    assert without["buy"] == {k: v for k, v in found["buy"].items() if not k.startswith("joint")}


def test_joint_metrics_stay_undefined_where_nothing_can_be_said() -> None:
    """No conversion at all: no joint AUC. Scores that are no numbers: nothing."""
    logits, joint, labels, mask = funnel_example()
    labels[:, 1] = torch.where(mask[:, 1], 0.0, torch.nan)
    found = task_metrics(logits, labels, mask, (CLICK, PURCHASE), joint=joint)["buy"]
    assert found["joint_auc"] is None
    assert found["joint_log_loss"] is not None
    joint["buy"][0] = torch.nan
    found = task_metrics(logits, labels, mask, (CLICK, PURCHASE), joint=joint)["buy"]
    assert found["joint_auc"] is None
    assert found["joint_log_loss"] is None


def test_a_log_loss_against_the_base_rates_entropy() -> None:
    """y = (1, 0, 0, 0), p = (.4, .2, .2, .2): .3964 / .5623; the constant base rate gives 1; one class has none."""
    y, p = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0.4, 0.2, 0.2, 0.2], dtype=torch.float64)
    assert normalised_entropy(torch.logit(p), y) == pytest.approx(0.7050, abs=5e-5)
    assert normalised_entropy(torch.logit(torch.full((4,), 0.25, dtype=torch.float64)), y) == pytest.approx(1)
    assert normalised_entropy(torch.zeros(3), torch.ones(3)) is None
    assert normalised_entropy(torch.zeros(0), torch.zeros(0)) is None
