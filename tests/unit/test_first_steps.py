"""The picture of what a balancer does to two gradients: its numbers are those of the rule."""

from __future__ import annotations

import math

import pytest

from app import zoo
from app.charts.first_steps import ANGLE, LENGTHS, STEPS, first_step, first_step_sentence, gradients, plain_sum
from mtl_core import registry
from mtl_core.balancing import combine
from mtl_core.balancing.base import BalancerOptions

BALANCERS = registry.names("balancer")


@pytest.mark.parametrize("name", STEPS)
def test_the_numbers_are_the_rules_own(name: str) -> None:
    step = combine(name, gradients(), [1.0, 1.0])
    assert STEPS[name] == pytest.approx([float(part) for part in step], abs=6e-5)


@pytest.mark.parametrize("name", BALANCERS)
def test_every_rule_whose_first_step_is_not_along_the_sum_has_a_picture(name: str) -> None:
    x, y = (float(part) for part in combine(name, gradients(), [1.0, 1.0]))
    across = abs(x * plain_sum()[1] - y * plain_sum()[0]) / (math.hypot(x, y) * math.hypot(*plain_sum()))
    assert (name in STEPS) == (across > 1e-6)


def test_the_gradients_pull_apart_and_the_sum_hurts_one() -> None:
    (ax, ay), (bx, by) = gradients()
    assert (math.hypot(ax, ay), math.hypot(bx, by)) == pytest.approx(LENGTHS)
    assert (ax * bx + ay * by) / (LENGTHS[0] * LENGTHS[1]) == pytest.approx(math.cos(ANGLE))
    x, y = plain_sum()
    assert x * bx + y * by < 0 < x * ax + y * ay


@pytest.mark.parametrize("name", STEPS)
def test_the_step_is_drawn_beside_the_sum_and_equally_long(name: str) -> None:
    drawing = first_step(name)
    shafts = drawing.data["shafts"]
    assert shafts["arrow"].nunique() == 4
    ends = shafts[shafts["t"] == 1].set_index("about")
    lengths = {about: math.hypot(row["x"], row["y"]) for about, row in ends.iterrows()}
    assert lengths["the plain sum of both gradients"] == pytest.approx(lengths["the step, from each task's share"])
    x, y = STEPS[name]
    drawn = ends.loc["the step, from each task's share"]
    assert math.atan2(drawn["x"], drawn["y"]) == pytest.approx(math.atan2(x, y))
    # What is said is what the numbers say.
    hurt = x * gradients()[1][0] + y * gradients()[1][1] < -1e-3
    assert ("both losses fall" in first_step_sentence(name, "M")) == (not hurt and name != "epo")


@pytest.mark.parametrize("name", BALANCERS)
def test_every_balancer_has_a_typeset_formula(name: str) -> None:
    part = registry.get("balancer", name)
    assert issubclass(part, BalancerOptions)
    assert part.formula.count("{") == part.formula.count("}")
    (entry,) = [entry for entry in zoo.entries("balancer") if entry.name == name]
    assert entry.formula == part.formula
