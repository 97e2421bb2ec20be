"""Loss weights and conflict: hand-computed pictures, and sentences that say what the numbers say."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from app import gradients
from app.charts.conflict import arrows, conflict_shares, cosine_curves, cosine_table, plane
from app.charts.curves import shortened
from app.charts.drawing import Drawing
from app.charts.palette import QUIET, hue
from app.charts.weights import LENGTH, SHARE, WEIGHT, task_lines
from app.library import History
from mtl_core.comparison import preset_spec
from mtl_core.events import Conflict, Epoch
from mtl_core.trunks.wiring import Wiring

AB = ("A", "B")
ABC = ("A", "B", "C")


def epoch(
    number: int = 1,
    weights: Sequence[float] = (1.0, 1.0),
    norms: Sequence[float | None] = (3.0, 4.0),
    cosine: float | Sequence[Sequence[float | None]] = 0.0,
    negative: float | Sequence[Sequence[float | None]] = 0.5,
    effective: Sequence[float | None] = (3 / 7, 4 / 7),
    unsolved: int = 0,
) -> Epoch:
    tasks = ABC[: len(weights)]

    def square(value: Any) -> Any:
        return [[1.0, value], [value, 1.0]] if isinstance(value, float) else value

    return Epoch(
        run=0, epoch=number, train_seconds=1.0, samples_per_second=1.0, losses=dict.fromkeys(tasks, 0.5),
        weights=dict(zip(tasks, weights, strict=True)), metrics={"valid": {}}, gates={}, unsolved=unsolved,
        conflict=Conflict(
            steps=4, cosine=square(cosine), negative=square(negative), norms=list(norms), effective=list(effective)
        ),
    )  # fmt: skip


def told(*epochs: Epoch) -> History:
    return History(epochs=epochs)


# The plane of two gradients


def test_at_equal_weights_the_step_is_the_sum_of_both_gradients() -> None:
    # Lengths 3 and 4 at a right angle: the sum is 5 long, atan(4/3) off the shorter and atan(3/4) off the longer.
    picture = plane([3, 4], 0.0, [3 / 7, 4 / 7])
    assert picture.angle == pytest.approx(math.pi / 2)
    assert picture.step_length == pytest.approx(5)
    assert picture.off == pytest.approx((math.atan2(4, 3), math.atan2(3, 4)))


@pytest.mark.parametrize("cosine", [-0.9, -0.3, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (2.0, 0.5), (0.0, 1.0)])
def test_the_step_lies_where_the_weighted_sum_lies(cosine: float, weights: tuple[float, float]) -> None:
    lengths = (0.7, 2.1)
    whole = sum(w * n for w, n in zip(weights, lengths, strict=True))
    picture = plane(lengths, cosine, [w * n / whole for w, n in zip(weights, lengths, strict=True)])
    # In a basis of our own: the first gradient along x.
    a, b = (lengths[0], 0.0), (lengths[1] * cosine, lengths[1] * math.sqrt(1 - cosine**2))
    d = [weights[0] * a[i] + weights[1] * b[i] for i in (0, 1)]
    angles = [math.acos(min(1.0, (d[0] * v[0] + d[1] * v[1]) / math.hypot(*d) / math.hypot(*v))) for v in (a, b)]
    assert picture.off == pytest.approx(angles, abs=1e-6)
    assert picture.step_length == pytest.approx(math.hypot(*d) * sum(lengths) / whole)


def test_opposite_gradients_of_one_length_leave_no_step() -> None:
    picture = plane([2, 2], -1.0, [0.5, 0.5])
    assert picture.step_length == pytest.approx(0, abs=1e-12)
    assert picture.off is None
    assert "cancel" in arrows(picture, AB).data["names"]["text"].iloc[-1]


def test_a_cosine_past_one_by_rounding_is_one() -> None:
    assert plane([1, 1], 1.0000001, [0.5, 0.5]).angle == 0
    assert plane([1, 1], -1.0000001, [0.5, 0.5]).angle == pytest.approx(math.pi)


def test_a_rule_may_turn_a_gradient_around() -> None:
    # Shares have no sign; the weights do.
    one = epoch(weights=(1.0, -1.0))
    picture = gradients.plane_of(one, AB)
    assert picture is not None
    assert picture.off is not None
    assert picture.off[1] > math.pi / 2


def test_arrows_have_their_lengths_their_angle_and_their_tasks_hues() -> None:
    drawing = arrows(plane([3, 4], 0.0, [3 / 7, 4 / 7]), AB)
    tips = drawing.data["tips"]
    assert list(tips["colour"]) == [hue(0), hue(1), QUIET]
    lengths = [math.hypot(x, y) for x, y in zip(tips["x"], tips["y"], strict=True)]
    assert lengths == pytest.approx([3 / 5, 4 / 5, 1])
    (ax, ay), (bx, by) = tips[["x", "y"]].to_numpy()[:2]
    assert ax * bx + ay * by == pytest.approx(0)
    assert ax < 0 < bx  # the first task to the left
    # Heads point along their shafts: Vega turns clockwise from upwards.
    assert list(tips["turn"]) == pytest.approx(
        [math.degrees(math.atan2(x, y)) for x, y in zip(tips["x"], tips["y"], strict=True)]
    )
    assert list(drawing.data["names"]["text"]) == ["A 3", "B 4", "step: 53° off A, 37° off B"]


def test_an_arrow_is_drawn_with_one_unit_for_both_directions() -> None:
    drawing = arrows(None, AB).to_dict()
    x, y = (drawing["layer"][0]["encoding"][axis]["scale"]["domain"] for axis in "xy")
    assert drawing["width"] / (x[1] - x[0]) == pytest.approx(drawing["height"] / (y[1] - y[0]), rel=0.01)


@pytest.mark.parametrize("cosine", [-1.0, -0.7, 0.0, 0.9, 1.0])
@pytest.mark.parametrize("lengths", [(1.0, 1.0), (0.001, 5.0)])
def test_every_arrow_stays_in_the_picture(cosine: float, lengths: tuple[float, float]) -> None:
    drawing = arrows(plane(lengths, cosine, [0.5, 0.5]), AB)
    (x0, x1), (y0, y1) = (drawing.template["layer"][0]["encoding"][axis]["scale"]["domain"] for axis in "xy")
    for name in ("tips", "names", "arc"):
        rows = drawing.data[name]
        assert rows["x"].between(x0, x1).all()
        assert rows["y"].between(y0, y1).all()
    names = drawing.data["names"]
    assert math.dist(names[["x", "y"]].to_numpy()[0], names[["x", "y"]].to_numpy()[1]) > 0.1


# Lines


def histories() -> list[History]:
    epochs = [epoch(n, cosine=0.1 * n - 0.3, negative=0.7 - 0.1 * n, norms=(n / 10, 0.4)) for n in range(1, 6)]
    return [told(*epochs[:n]) for n in range(6)]


def drawings(history: History) -> list[Drawing]:
    quantities = [task_lines(gradients.task_rows(history, AB, q), AB, 15, q) for q in (WEIGHT, LENGTH, SHARE)]
    pairs = gradients.pair_rows(history, AB)
    last = gradients.latest(history)
    picture = gradients.plane_of(last, AB) if last else None
    cosine = last.conflict.cosine if last and last.conflict else []
    return [
        *quantities, cosine_curves(pairs, 15), conflict_shares(pairs, 15), arrows(picture, AB), cosine_table(cosine, AB)
    ]  # fmt: skip


def test_a_run_that_grows_changes_rows_and_nothing_else() -> None:
    grown = [drawings(history) for history in histories()]
    for same in zip(*grown, strict=True):
        assert all(drawing.template == same[0].template for drawing in same)
        texts = {json.dumps(drawing.to_dict(), sort_keys=True, default=float) for drawing in same}
        assert len(texts) > 1


def test_nothing_yet_is_a_picture_too() -> None:
    for drawing in drawings(History()):
        assert drawing.to_dict()["layer"]


def test_lines_have_one_row_per_epoch_and_task_and_end_in_a_name() -> None:
    drawing = task_lines(gradients.task_rows(histories()[3], AB, LENGTH), AB, 15, LENGTH)
    rows = drawing.data["lines"]
    assert rows[rows["task"] == "A"]["value"].tolist() == [0.1, 0.2, 0.3]
    assert sorted(drawing.data["labels"]["text"]) == ["A 0.3", "B 0.4"]
    share = task_lines(gradients.task_rows(histories()[3], AB, SHARE), AB, 15, SHARE)
    assert sorted(share.data["labels"]["text"]) == ["A 43%", "B 57%"]
    weight = task_lines(gradients.task_rows(histories()[3], AB, WEIGHT), AB, 15, WEIGHT)
    assert set(weight.data["lines"]["value"]) == {1.0}
    assert weight.data["labels"]["value"].nunique() == 2  # both at 1, moved apart


def test_a_task_without_rows_leaves_a_gap() -> None:
    history = told(epoch(1), epoch(2, norms=(None, 4.0), effective=(None, 1.0)))
    labels = task_lines(gradients.task_rows(history, AB, LENGTH), AB, 15, LENGTH).data["labels"]
    assert dict(zip(labels["task"], labels["epoch"], strict=True)) == {"A": 1, "B": 2}


def test_the_cosine_axis_is_the_whole_range_and_its_sides_are_named() -> None:
    drawing = cosine_curves(gradients.pair_rows(histories()[5], AB), 15)
    for layer in drawing.template["layer"]:
        assert layer["encoding"]["y"]["scale"]["domain"] == [-1, 1]
    assert set(drawing.data["sides"]["text"]) == {"pull apart", "pull together"}
    assert drawing.data["labels"]["text"].tolist() == ["A, B +0.20"]


def test_of_many_pairs_only_the_ends_are_named() -> None:
    rows = pd.DataFrame(
        [(1, f"p{i}", i / 10 - 0.3, i / 10) for i in range(10)], columns=["epoch", "pair", "cosine", "negative"]
    )
    assert cosine_curves(rows, 5).data["labels"]["text"].tolist() == ["p0 \u22120.30", "p9 +0.60"]


def test_the_table_has_each_pair_once_with_its_number() -> None:
    cosine = [[1.0, -0.25, None], [-0.25, 1.0, 0.5], [None, 0.5, 1.0]]
    fields = cosine_table(cosine, ABC).data["fields"]
    assert fields[["one", "other", "text"]].to_numpy().tolist() == [["B", "A", "\u22120.25"], ["C", "B", "+0.50"]]


def test_names_are_cut_to_fit() -> None:
    assert shortened("income") == "income"
    assert shortened("never_married") == "never_mar…"


# Sentences


def test_who_makes_up_the_step_and_why() -> None:
    text = gradients.weights_sentence(told(epoch(7, norms=(1.0, 3.0), effective=(0.25, 0.75))), AB)
    assert text == "In epoch 7 B made up 75% of the step, A 25%: at equal weights, its gradient is 3.0 times as long."
    text = gradients.weights_sentence(told(epoch(weights=(1.0, 0.1), norms=(1, 1), effective=(0.91, 0.09))), AB)
    assert text == "In epoch 1 A made up 91% of the step, B 9%: its loss counts 10 times as much."
    text = gradients.weights_sentence(told(epoch(weights=(1.0, 0.5), norms=(1.0, 4.0), effective=(0.33, 0.67))), AB)
    assert text.endswith("its loss counts 0.5 times as much and its gradient is 4.0 times as long.")


def test_equal_parts_are_called_equal() -> None:
    text = gradients.weights_sentence(told(epoch(norms=(2, 2), effective=(0.505, 0.495))), AB)
    assert text == "In epoch 1 A and B both put equal parts into the step."


def test_a_balancer_that_found_no_solution_is_told() -> None:
    assert "In one step so far the balancer found no solution" in gradients.weights_sentence(
        told(epoch(unsolved=1)), AB
    )
    assert "In 1,200 steps" in gradients.weights_sentence(told(epoch(unsolved=1200)), AB)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (epoch(3, cosine=-0.2, negative=0.81, norms=(1, 1), effective=(0.5, 0.5)),
         "In epoch 3 A and B pulled apart in 81% of 4 batches (mean cosine \u22120.20); the mean step lies in the "
         "middle and lowers both losses."),
        (epoch(cosine=0.3, negative=0.1), "the mean step lowers both losses and lies nearer to B's gradient."),
        # cos = -0.8 and lengths 1 : 3. The step a + b has a.(a + b) = 1 - 2.4 < 0.
        (epoch(cosine=-0.8, negative=1.0, norms=(1, 3), effective=(0.25, 0.75)),
         "the mean step goes against A: it raises that loss."),
        (epoch(cosine=-1.0, negative=1.0, norms=(1, 1), effective=(0.5, 0.5)), "they cancel"),
    ],
)  # fmt: skip
def test_how_two_tasks_stand_to_each_other(given: Epoch, says: str) -> None:
    assert says in gradients.conflict_sentence(told(given), AB)


def test_how_many_tasks_stand_to_each_other() -> None:
    cosine = [[1.0, -0.25, 0.1], [-0.25, 1.0, 0.5], [0.1, 0.5, 1.0]]
    negative = [[0.0, 0.9, 0.4], [0.9, 0.0, 0.1], [0.4, 0.1, 0.0]]
    one = epoch(4, weights=(1, 1, 1), norms=(1, 1, 1), effective=(0.2, 0.3, 0.5), cosine=cosine, negative=negative)
    assert gradients.conflict_sentence(told(one), ABC) == (
        "In epoch 4 1 of 3 pairs pulled apart in most batches; worst were A and B (mean cosine \u22120.25, "
        "apart in 90% of 4 batches), the most alike B and C (+0.50)."
    )
    assert "C made up most of the step (50%), A least (20%)" in gradients.weights_sentence(told(one), ABC)


def test_tasks_that_never_met_are_no_pair() -> None:
    one = epoch(cosine=[[1.0, None], [None, 1.0]], negative=[[0.0, None], [None, 0.0]])
    assert "no two tasks had a gradient" in gradients.conflict_sentence(told(one), AB)
    assert gradients.plane_of(one, AB) is None


# Where nothing is shared


def bare(number: int = 1) -> Epoch:
    return epoch(number).model_copy(update={"conflict": None})


def wiring(trunk: str) -> Wiring:
    return preset_spec("conflict", trunk).wiring


def test_nothing_shared_is_nothing_to_conflict() -> None:
    for history in (History(), told(bare())):
        reason = gradients.nothing_to_compare(history, wiring("single_task"), AB, example=False)
        assert reason is not None
        assert "nothing is shared, so there is nothing to conflict" in reason


@pytest.mark.parametrize("trunk", ["shared_bottom", "mmoe", "cgc", "ple", "customized", "asymmetric"])
def test_what_shares_is_drawn_before_its_first_epoch(trunk: str) -> None:
    assert gradients.nothing_to_compare(History(), wiring(trunk), AB, example=False) is None
    assert gradients.nothing_to_compare(told(epoch()), wiring(trunk), AB, example=False) is None


def test_an_example_without_gradients_is_not_said_to_share_nothing() -> None:
    reason = gradients.nothing_to_compare(told(bare()), wiring("mmoe"), AB, example=True)
    assert reason is not None
    assert "press Train" in reason
    assert "nothing is shared" in (gradients.nothing_to_compare(told(bare()), wiring("single_task"), AB, True) or "")


def test_one_task_has_nothing_to_pull_against() -> None:
    assert "one task" in (gradients.nothing_to_compare(History(), wiring("mmoe"), ("A",), False) or "")


def test_a_task_that_drowns_the_others_at_equal_weights_has_a_remedy() -> None:
    """Named where the weights are equal: who weighs a task more wants it so."""
    drowning = epoch(norms=(1.0, 20.0), effective=(0.05, 0.95))
    assert "A smaller loss weight for B" in gradients.weights_sentence(told(drowning), AB)
    for other in (
        epoch(norms=(1.0, 3.0), effective=(0.25, 0.75)),
        epoch(weights=(0.1, 1.0), norms=(1, 1), effective=(0.09, 0.91)),
    ):
        assert "smaller" not in gradients.weights_sentence(told(other), AB)
