"""One suite over every registered balancer: batches, empty sample spaces, order of tasks, scales, resuming, options."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl_core import registry
from mtl_core.balancing import combine
from mtl_core.balancing.base import BalancerOptions
from mtl_core.balancing.rules import Balancer, State
from mtl_core.spec import RunSpec, SpecError

CPU = torch.device("cpu")
NAMES = registry.names("balancer")
every_rule = pytest.mark.parametrize("name", NAMES)
#: Rules that solve for the weights, and so have something that can go unsolved.
SOLVERS = {"mgda", "pe_ltr", "epo", "cagrad", "imtl_g", "nash", "aligned", "upgrad"}


def built(name: str, tasks: int = 3, **options: Any) -> Balancer:
    part = cast(BalancerOptions, registry.get("balancer", name).model_validate(options))
    names = tuple(f"task {k}" for k in range(tasks))
    part.check(names)
    return part.build(names)


def stacked(state: State, *lead: int) -> State:
    return {key: value.expand((*lead, *value.shape)).clone() for key, value in state.items()}


class Course:
    """Made-up losses, gradients and noise of a few steps, for members [*lead] of a population."""

    def __init__(self, rule: Balancer, *lead: int, tasks: int = 3, dtype: torch.dtype = torch.float32) -> None:
        generator = torch.Generator().manual_seed(0)
        self.rule, self.lead, self.tasks = rule, lead, tasks
        self.losses = torch.rand(4, *lead, tasks, generator=generator, dtype=dtype) + 0.3
        self.after = self.losses * (0.7 + 0.3 * torch.rand(4, *lead, tasks, generator=generator, dtype=dtype))
        self.rows = torch.randn(4, *lead, tasks, 7, generator=generator, dtype=dtype) + 0.3
        self.noise = torch.rand(4, *lead, rule.noise, generator=generator) if rule.noise else None
        self.drawn = torch.rand(4, *lead, 7, generator=generator)
        # A task is missing now and then; its gradient is 0 then.
        self.active = torch.rand(4, *lead, tasks, generator=generator) < 0.8
        self.active[..., 0] = True
        self.rows = self.rows * self.active.unsqueeze(-1)

    def step(self, t: int, state: State, member: tuple[int, ...] = ()) -> tuple[Tensor, Tensor, State]:
        """Weights, direction and the next state; of the whole population or of one member."""
        rule, at = self.rule, (t, *member)
        rows = self.rows[at]
        gramian = rows @ rows.mT if rule.needs_gramian else None
        noise = None if self.noise is None else self.noise[at]
        weights, state = rule.weights(self.losses[at], gramian, state, active=self.active[at], noise=noise)
        direction = rule.direction(rows, weights, self.drawn[at] if rule.noise_per_element else None, state)
        if rule.needs_losses_after:
            state = rule.after_step(self.losses[at], self.after[at], state)
        return weights, direction, rule.after_epoch(self.losses[at] * self.active[at], state)


def test_the_names_that_stay() -> None:
    """Scripts outside the repository rely on them."""
    of_losses = {"static", "decay", "uncertainty", "uncertainty_positive", "imtl_l", "dwa", "rlw", "gls", "famo"}
    of_gradients = {"gradnorm", "mgda", "pe_ltr", "epo", "pcgrad", "gradvac", "graddrop", "cagrad", "imtl_g", "nash"}
    assert set(NAMES) == of_losses | of_gradients | {"aligned", "upgrad"}


@every_rule
@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_weights_are_numbers_of_the_losses_type(name: str, tasks: int) -> None:
    """In the plainest call, for any number of tasks."""
    rule = built(name, tasks)
    for dtype in (torch.float32, torch.float64):
        course = Course(rule, tasks=tasks, dtype=dtype)
        weights, direction, state = course.step(0, rule.initial_state(CPU))
        assert weights.dtype == dtype
        assert weights.shape == (tasks,)
        assert weights.isfinite().all()
        assert direction.shape == (7,)
        assert all(value.isfinite().all() for value in state.values())


@every_rule
def test_one_task_is_that_task(name: str) -> None:
    """d = g up to the rule's own scale."""
    g = torch.tensor([[0.6, -0.8]], dtype=torch.float64)
    scale = {"uncertainty": 0.5, "uncertainty_positive": 0.5, "cagrad": 1.4}.get(name, 1)
    torch.testing.assert_close(combine(name, g, [0.7]), scale * g[0], rtol=1e-6, atol=1e-6)


@every_rule
@pytest.mark.parametrize("lead", [(3,), (2, 3)])
def test_a_population_is_balanced_as_its_members_are(name: str, lead: tuple[int, ...]) -> None:
    """Four steps with missing tasks: weights, directions and states, in one call or one by one."""
    rule = built(name)
    course = Course(rule, *lead)
    together, alone = stacked(rule.initial_state(CPU), *lead), {}
    for t in range(4):
        weights, direction, together = course.step(t, together)
        for member in np.ndindex(*lead):
            w, d, alone[member] = course.step(t, alone.get(member, rule.initial_state(CPU)), member)
            torch.testing.assert_close(weights[member], w)
            torch.testing.assert_close(direction[member], d)
            assert together.keys() == alone[member].keys()
            for key, value in alone[member].items():
                torch.testing.assert_close(together[key][member], value)


DIALS: list[tuple[str, str, Any, Any]] = [
    ("static", "weights", [1, 2, 3], [2, 0, 1]),
    ("decay", "gamma", [0.5, 1, 1], [0.9, 0.8, 0.7]),
    ("uncertainty", "learning_rate", 0.1, 0.01),
    ("dwa", "T", 0.5, 5),
    ("gradnorm", "alpha", 0, 2),
    ("famo", "learning_rate", 0.5, 0.01),
    ("pe_ltr", "c", [0.3, 0.3, 0.3], [0, 0, 0.9]),
    ("epo", "r", [1, 1, 1], [1, 5, 1]),
    ("gradvac", "target", 0.0, 0.5),
    ("cagrad", "c", 0.1, 0.8),
    ("nash", "max_norm", 0.5, 1),
    ("aligned", "w", [1, 1, 1], [0, 0, 1]),
    ("upgrad", "pref", [1, 1, 1], [0, 0, 1]),
    ("graddrop", "leak", 0.0, 0.7),
]


@pytest.mark.parametrize(("name", "field", "one", "other"), DIALS)
def test_members_may_differ_in_a_dial(name: str, field: str, one: Any, other: Any) -> None:
    """The dials are state: a population of two settings is one stacked state, whichever rule object runs it."""
    rules = [built(name, **{field: value}) for value in (one, other)]
    course = Course(rules[0], 2)
    states = [rule.initial_state(CPU) for rule in rules]
    together = {key: torch.stack([state[key] for state in states]) for key in states[0]}
    for t in range(4):
        weights, direction, together = course.step(t, together)
        expected, directions = [], []
        for member, rule in enumerate(rules):
            course.rule = rule
            w, d, states[member] = course.step(t, states[member], (member,))
            expected.append(w)
            directions.append(d)
        course.rule = rules[0]
        torch.testing.assert_close(weights, torch.stack(expected))
        torch.testing.assert_close(direction, torch.stack(directions))


@every_rule
def test_a_copied_state_goes_on_bit_for_bit(name: str) -> None:
    """4 steps = 2 steps + a checkpoint + 2 steps with another rule object."""  # T36
    rule = built(name)
    course = Course(rule)
    state = rule.initial_state(CPU)
    straight = []
    for t in range(4):
        weights, direction, state = course.step(t, state)
        straight.append((weights, direction))
    fresh = rule.initial_state(CPU)
    for t in range(2):
        _, _, fresh = course.step(t, fresh)
    file = io.BytesIO()
    torch.save(fresh, file)
    file.seek(0)
    again = torch.load(file, weights_only=True)
    course.rule = built(name)
    for t in (2, 3):
        weights, direction, again = course.step(t, again)
        assert torch.equal(weights, straight[t][0])
        assert torch.equal(direction, straight[t][1])
    assert again.keys() == state.keys()
    assert all(torch.equal(again[key], state[key]) for key in state)


@every_rule
def test_a_step_leaves_the_old_state_and_the_global_generator_alone(name: str) -> None:
    rule = built(name)
    state = rule.initial_state(CPU)
    before, random = {key: value.clone() for key, value in state.items()}, torch.get_rng_state()
    Course(rule).step(0, state)
    assert all(torch.equal(state[key], before[key]) for key in before)
    assert torch.equal(torch.get_rng_state(), random)


@every_rule
def test_a_task_without_rows(name: str) -> None:
    """Weight 0 and no trace; the others get what they would get alone, or their own shares of all tasks."""
    options: dict[str, Any] = {"c": [0.2, 0.3, 0.1]} if name == "pe_ltr" else {}
    fewer: dict[str, Any] = {"c": [0.2, 0.3]} if name == "pe_ltr" else {}
    rule, two = built(name, **options), built(name, 2, **fewer)
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    rows[2] = 0
    losses = torch.tensor([0.5, 1.5, 0.0], dtype=torch.float64)
    active = torch.tensor([True, True, False])
    noise = torch.rand(rule.noise, generator=generator) if rule.noise else None
    state = rule.initial_state(CPU)
    weights, later = rule.weights(losses, rows @ rows.T, state, active=active, noise=noise)
    later = rule.after_step(losses, losses * 0.9, later)
    assert weights[2] == 0
    assert weights.isfinite().all()
    # What is remembered per task stays as it was for the absent one, and would be new for the others.
    for key, value in later.items():
        if key not in ("active", "rho") and value.dim():
            assert torch.equal(value[2], state[key][2]), key
    if name == "rlw":
        assert noise is not None
        everyone, _ = rule.weights(losses, None, state, noise=noise)
        torch.testing.assert_close(weights[:2], everyone[:2])
        return
    alone, _ = two.weights(losses[:2], rows[:2] @ rows[:2].T, two.initial_state(CPU))
    share = 2 / 3 if name in ("cagrad", "aligned", "upgrad") else 1
    torch.testing.assert_close(weights[:2], share * alone, rtol=1e-5, atol=1e-6)


@every_rule
def test_a_single_active_task_and_none_at_all(name: str) -> None:
    """Nothing but finite numbers comes out, and all of it is on the one that is there."""
    rule = built(name)
    rows = torch.zeros(3, 7)
    rows[1] = 1
    for active in (torch.tensor([False, True, False]), torch.zeros(3, dtype=torch.bool)):
        noise = torch.full((rule.noise,), 0.5) if rule.noise else None
        gramian = (rows * active.unsqueeze(-1)) @ rows.T
        weights, state = rule.weights(torch.ones(3), gramian, rule.initial_state(CPU), active=active, noise=noise)
        state = rule.after_step(torch.ones(3), torch.ones(3), state)
        assert weights.isfinite().all()
        assert ((weights > 0) == active).all()
        assert all(value.isfinite().all() for value in state.values())
        assert state.get("unsolved", torch.zeros(())) == 0


@every_rule
def test_an_active_task_with_a_gradient_of_zero(name: str) -> None:
    """Finite, and the other gradients are not lost, except where standing still is the rule's answer."""  # T34, T37
    rows = torch.randn(3, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    rows[1] = 0
    d = combine(name, rows, torch.ones(3))
    assert d.isfinite().all()
    assert (d.abs().max() < 1e-9) == (name == "mgda")


@every_rule
def test_without_shared_parameters_all_tasks_count(name: str) -> None:
    """Single-task models: a Gramian of zeros gives every task a weight, and nothing is called unsolved."""
    rule = built(name)
    noise = torch.full((rule.noise,), 0.5) if rule.noise else None
    weights, state = rule.weights(torch.ones(3), torch.zeros(3, 3), rule.initial_state(CPU), noise=noise)
    assert (weights > 0).all()
    assert state.get("unsolved", torch.zeros(())) == 0


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_a_gramian_that_is_no_number_is_counted(name: str) -> None:
    """Equal weights, no exception: the trainer has its own words for a model that ran away."""
    rule = built(name)
    gramian = torch.full((2, 3, 3), torch.nan)
    gramian[1] = torch.eye(3)
    weights, state = rule.weights(torch.ones(2, 3), gramian, stacked(rule.initial_state(CPU), 2))
    assert weights[0].tolist() == pytest.approx([1 / 3] * 3)
    assert state["unsolved"].tolist() == [1, 0]


@every_rule
def test_only_rules_with_a_solver_count_the_unsolved(name: str) -> None:
    assert ("unsolved" in built(name).initial_state(CPU)) == (name in SOLVERS)


@every_rule
def test_the_order_of_tasks_does_not_matter(name: str) -> None:
    """Tasks permuted, weights permuted."""  # T37
    rule = built(name, 4)
    generator = torch.Generator().manual_seed(5)
    rows = torch.randn(4, 9, generator=generator, dtype=torch.float64)
    losses = torch.rand(4, generator=generator, dtype=torch.float64) + 0.2
    noise = torch.rand(rule.noise, generator=generator) if rule.noise else None
    turn = torch.tensor([2, 0, 3, 1])
    turned = noise
    if noise is not None:
        turned = noise[turn] if noise.numel() == 4 else noise.reshape(4, 4)[turn][:, turn].flatten()
    here, there = rule.initial_state(CPU), rule.initial_state(CPU)
    for _ in range(2):
        weights, here = rule.weights(losses, rows @ rows.T, here, noise=noise)
        other, there = rule.weights(losses[turn], rows[turn] @ rows[turn].T, there, noise=turned)
        torch.testing.assert_close(other, weights[turn])


@every_rule
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
def test_all_gradients_larger_or_smaller(name: str, dtype: torch.dtype) -> None:
    """From 1e-8 to 1e8 the weights stay the same; Nash-MTL's go with the inverse, so that |d| stays."""  # T37
    rows = torch.randn(3, 9, generator=torch.Generator().manual_seed(2), dtype=dtype)
    plain = combine(name, rows, torch.ones(3))
    for scale in (1e-8, 1e-4, 1e4, 1e8):
        scaled = combine(name, rows * scale, torch.ones(3))
        expected = plain if name == "nash" else plain * scale
        torch.testing.assert_close(scaled, expected, rtol=2e-3, atol=2e-3 * expected.abs().max().item())


@every_rule
def test_gradients_of_very_different_size(name: str) -> None:
    """1e-8, 1 and 1e8 in one batch: finite, and solved where there is a solution."""
    rows = torch.randn(3, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    rows = rows * torch.tensor([[1e-8], [1.0], [1e8]])
    rule = built(name)
    noise = torch.full((rule.noise,), 0.5) if rule.noise else None
    weights, state = rule.weights(torch.ones(3).double(), rows @ rows.T, rule.initial_state(CPU), noise=noise)
    assert weights.isfinite().all()
    assert state.get("unsolved", torch.zeros(())) == 0
    if name == "upgrad":
        d = weights @ rows
        assert ((rows @ d) / rows.norm(dim=1) >= -1e-5 * d.norm()).all()


# Options.


def test_an_unknown_balancer_lists_the_known_ones() -> None:
    # T33
    with pytest.raises(registry.UnknownName) as caught:
        combine("pcgrd", np.eye(2))
    assert "Did you mean 'pcgrad'?" in str(caught.value)
    assert all(name in str(caught.value) for name in NAMES)


@every_rule
def test_equal_settings_are_written_alike(name: str) -> None:
    """Whatever is left out stands for one value per task; a spec writes them out, and reads them back."""
    bare = RunSpec.parse({"balancer": {"name": name}})
    options = bare.balancer.options
    fields = registry.get("balancer", name).model_json_schema()["properties"] if options else {}
    per_task = [field for field, schema in fields.items() if schema.get("per_task")]
    assert all(len(cast(list[float], options[field])) == 2 for field in per_task)
    again = RunSpec.parse({"balancer": {"name": name, "options": options}})
    assert again.key == bare.key
    for field in per_task:
        with pytest.raises(SpecError, match=f"{field} has 3 numbers for 2 tasks"):
            RunSpec.parse({"balancer": {"name": name, "options": {field: [0.1, 0.1, 0.1]}}})


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("static", {"weights": [0, 0]}, "all 0"),
        ("decay", {"weights": [0, 0]}, "all 0"),
        ("aligned", {"w": [0, 0]}, "all 0"),
        ("upgrad", {"pref": [0, 0]}, "all 0"),
        ("pe_ltr", {"c": [0.6, 0.6]}, "at most 1 together"),
        ("epo", {"r": [0, 1]}, "more than 0"),
        ("cagrad", {"c": -1}, "at least 0, not -1"),
        ("mgda", {"normaliser": "l1"}, "'l2'"),
    ],
)
def test_settings_that_make_no_sense(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        RunSpec.parse({"balancer": {"name": name, "options": options}})
    with pytest.raises(ValueError, match=words):
        combine(name, np.eye(2), [1, 1], **options)


def test_combine_says_what_it_misses() -> None:
    """Shapes, losses and orders, in one sentence each; arrays in, arrays out."""
    assert isinstance(combine("mgda", [[1, 0], [0, 1]]), np.ndarray)
    assert isinstance(combine("mgda", torch.eye(2)), torch.Tensor)
    for wrong, words in (
        (lambda: combine("mgda", [1.0, 2.0]), "one row per task"),
        (lambda: combine("gls", np.eye(2)), "reads the losses"),
        (lambda: combine("mgda", np.eye(2), normaliser="loss+"), "reads the losses"),
        (lambda: combine("gls", np.eye(2), [1, 2, 3]), "one per task"),
        (lambda: combine("pcgrad", np.eye(3), order=[0, 1, 1]), "each of 0 .. 2 once"),
        (lambda: combine("cagrad", np.eye(2), c=7), "cagrad: c: must be at most 1"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()


def test_declarations_and_combine_come_without_torch() -> None:
    code = (
        "import sys, mtl_core.balancing as b\n"
        "from mtl_core import registry\n"
        "[registry.get('balancer', n)().check(('a', 'b')) for n in registry.names('balancer')]\n"
        "assert callable(b.combine)\n"
        "import mtl_core.balancing.combine\n"
        "assert callable(b.combine)\n"
        "print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"
