"""Numbers as people read them, and sentences that follow from the numbers they stand under."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any, cast

import pytest

from app import comparing, gains, wording
from app.charts.seesaw import SeesawGroup
from app.i18n import speaking
from app.library import History, examples
from mtl_core import registry
from mtl_core.comparison import Interval
from mtl_core.events import GateSummary
from mtl_core.trunks import TrunkOptions
from mtl_core.trunks.wiring import Wiring, gate_key

TASKS = ("A", "B", "C")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "under 1 s"),
        (0.4, "under 1 s"),
        (0.99, "under 1 s"),
        (1, "1 s"),
        (6.2, "6 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (80, "1 min 20 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (-3, "under 1 s"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert wording.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (312, "312"),
        (9_999, "9,999"),
        (9_999.7, "10.0k"),
        (31_234, "31.2k"),
        (999_949, "999.9k"),
        (999_960, "1.00M"),
        (1_240_000, "1.24M"),
    ],
)
def test_count(value: float, text: str) -> None:
    assert wording.count(value) == text


def test_signs_are_real_and_zero_has_no_minus() -> None:
    assert gains.signed(15.71) == "+15.7"
    assert gains.signed(-3.349, 2) == "\u22123.35"
    assert gains.signed(-0.04) == "+0.0"
    assert "-" not in gains.signed(-1)


def test_intervals_and_scores() -> None:
    assert gains.interval(Interval(15.7, 2.84, 8)) == "+15.7 ±2.8"
    assert gains.interval(Interval(15.7, 2.84, 8), "regression") == "+15.7% ±2.8%"
    assert gains.interval(Interval(-15.7, None, 1)) == "\u221215.7"
    assert wording.auc(0.91239) == "0.9124"
    assert wording.auc(None) == "undefined"


@pytest.mark.parametrize(("parts", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_join(parts: list[str], text: str) -> None:
    assert wording.join(parts) == text


# Runs


@pytest.fixture
def history() -> History:
    return examples()["example-conflict-mmoe-0"].history


def with_scores(history: History, **scores: float | None) -> History:
    """The same run with other test scores."""
    assert history.finished is not None
    metrics = {**history.finished.metrics, "test": {task: {"auc": value} for task, value in scores.items()}}
    return replace(history, finished=history.finished.model_copy(update={"metrics": metrics}))


def test_a_run_has_a_name_and_a_source() -> None:
    example = examples()["example-adult-ple-0"]
    assert wording.run_name(example.record) == "PLE on Adult, seed 0"
    line = wording.source_line(example.history)
    assert line.startswith("Adult")
    assert "26.0k training" in line
    assert "seed 0" in line
    assert wording.source_line(History()) == ""


def test_the_sentence_under_the_curves_follows_the_numbers(history: History) -> None:
    assert wording.curves_sentence(History(), None) == "No epoch is done yet."
    running = replace(history, finished=None, epochs=history.epochs[:3])
    assert "after epoch 3" in wording.curves_sentence(running, None)
    last = running.epochs[-1].metrics["valid"]["A"]["auc"]
    assert last is not None
    assert f"A {last:.4f}" in wording.curves_sentence(running, None)

    done = with_scores(history, A=0.95, B=0.9)
    assert "A 0.9500 and B 0.9000" in wording.curves_sentence(done, None)
    assert "thousandths" not in wording.curves_sentence(done, None)
    assert "thousandths" not in wording.curves_sentence(done, running)  # a yardstick that is not done
    text = wording.curves_sentence(done, with_scores(history, A=0.94, B=0.9025))
    assert "A +10.0 and B \u22122.5 (thousandths of AUC)" in text
    assert "one seed" in text
    text = wording.curves_sentence(with_scores(history, A=None, B=0.9), with_scores(history, A=0.94, B=0.9))
    assert "A undefined" in text
    assert "B +0.0 (thousandths of AUC)" in text


def test_gains_of_numbers_have_a_unit_of_their_own(history: History) -> None:
    """A squared error of 0.8 that falls to 0.6 fell by a quarter, whatever the label counts."""
    assert history.finished is not None

    def scored(auc: float, mse: float) -> History:
        metrics = {**history.finished.metrics, "test": {"A": {"auc": auc}, "time": {"mse": mse}}}  # type: ignore[union-attr]
        return replace(history, finished=history.finished.model_copy(update={"metrics": metrics}))  # type: ignore[union-attr]

    text = wording.curves_sentence(scored(0.95, 0.6), scored(0.94, 0.8))
    assert "A +10.0 and time +25.0% (thousandths of AUC, percent less MSE)" in text


# Gates


def wiring(trunk: str, tasks: int = 2, **options: Any) -> Wiring:
    part = cast(TrunkOptions, registry.get("trunk", trunk).model_validate(options))
    streams = {None: 1, "shared": 1, "per_task": tasks, "both": tasks + 1}[part.embeddings]
    return part.wire(TASKS[:tasks], streams)


def said(wired: Wiring, *means: list[float], tasks: int = 2) -> str:
    """The sentence for these mean weights of the last level's gates."""
    number, level = len(wired.levels), wired.levels[-1]
    gates = {
        gate_key(number, gate.name): GateSummary(mean=mean, histogram=[[1]] * len(mean), entropy=0)
        for gate, mean in zip(level.gates, means, strict=True)
    }
    return wording.gates_sentence(wired, TASKS[:tasks], gates)


def test_the_sentence_under_a_mixture_follows_the_weights() -> None:
    wired = wiring("mmoe", experts=2)
    alike = said(wired, [0.5, 0.5], [0.52, 0.48])
    some = said(wired, [0.5, 0.5], [0.7, 0.3])
    different = said(wired, [0.9, 0.1], [0.1, 0.9])
    assert "alike" in alike
    assert "0.02" in alike
    assert "0.20" in some
    assert "0.80" in different
    assert len({text.split("(", maxsplit=1)[0] for text in (alike, some, different)}) == 3
    for text in (alike, some, different):
        assert text.startswith("A and B")


def test_three_tasks_are_alike_only_if_all_are() -> None:
    wired = wiring("mmoe", 3, experts=2)
    assert "alike" in said(wired, [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], tasks=3)
    for odd in range(3):
        means = [[0.5, 0.5]] * 3
        means[odd] = [0.95, 0.05]
        assert "different" in said(wired, *means, tasks=3)


def test_the_share_of_shared_experts() -> None:
    wired = wiring("cgc", shared_experts=1, task_experts=1)  # A1, B1, S1
    text = said(wired, [0.7, 0.0, 0.3], [0.0, 0.1, 0.9])
    assert "A 30% and B 90%" in text


def test_sentences_where_a_gate_has_nothing_to_choose() -> None:
    assert "nothing is shared" in said(wiring("single_task"), [1.0, 0.0], [0.0, 1.0])
    assert said(wiring("shared_bottom"), [1.0]) == "All tasks share one network: there is nothing to choose between."
    assert "same mix" in said(wiring("omoe", experts=2), [0.9, 0.1])
    # One expert for all is the opposite of a network of one's own.
    for wired in (wiring("mmoe", experts=1), wiring("cgc", shared_experts=1, task_experts=0)):
        text = said(wired, [1.0], [1.0])
        assert "share" in text
        assert "nothing is shared" not in text
    assert "yet" in wording.gates_sentence(wiring("mmoe"), TASKS[:2], {})


def test_what_is_shared_without_any_gate_that_chooses() -> None:
    assert "pulls their weights" in said(wiring("soft_sharing"), [1.0, 0.0], [0.0, 1.0])
    beside = said(wiring("customized"), [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0])
    assert "shared network beside its task's own" in beside
    one_way = said(wiring("asymmetric", lead=1), [1.0, 0.0], [0.0, 1.0])
    assert "the network of B" in one_way


def test_tasks_that_may_listen_to_each_other() -> None:
    stem = wiring("stem", shared_experts=1, task_experts=1)  # A1, B1, S1
    text = said(stem, [0.5, 0.2, 0.3], [0.1, 0.9, 0.0])
    assert "A takes 50% from its own experts, 30% from shared ones and 20% from other tasks'" in text
    assert "B takes 90% from its own experts, 0% from shared ones and 10% from other tasks'" in text
    adatt = wiring("adatt", levels=1, shared_experts=0, task_experts=1)
    text = said(adatt, [0.6, 0.4], [0.2, 0.8])
    assert "A takes 60% from its own experts and 40% from other tasks'" in text
    assert "shared" not in text
    assert "past the gate" in text
    assert "past the gate" not in said(wiring("adatt", levels=1, native=False), *[[0.2] * 5] * 2)


def test_constants_and_selections_have_words_of_their_own() -> None:
    text = said(wiring("cross_stitch", layers=[4]), [0.9, -0.25], [0.1, 1.2])
    assert text.startswith(
        "A keeps 0.90 of its own and takes \u22120.25 from others; B keeps 1.20 of its own and takes"
    )
    text = said(wiring("pepnet", layers=[4]), [1.2, 0.0], [0.0, 0.7])
    assert "those of A by 1.20 and those of B by 0.70" in text
    text = said(wiring("dselect_k", experts=4), [0.5, 0.5, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0])
    assert text == "Of 4 experts A uses 2 and B uses 1; 1 serve all tasks."
    text = said(wiring("asymmetric", fuse="sum"), [1.0, 0.0], [1.0, 1.0])
    assert "A keeps 1.00 of its own and takes 0.00 from others; B keeps 1.00 of its own and takes 1.00" in text


def test_a_sluice_network_is_told_by_its_last_mix_between_tasks() -> None:
    """The last level of all mixes each task's own layers, which says nothing of the others."""
    wired = wiring("sluice", width=4, levels=2, subspaces=2)
    means = [[0.8, 0.2, 0.0, 0.0], [0.0, 0.6, 0.2, 0.2], [0.5, 0.5, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    gates = {
        gate_key(2, name): GateSummary(mean=mean, histogram=[[1]] * 4, entropy=None)
        for name, mean in zip(("A 1", "A 2", "B 1", "B 2"), means, strict=True)
    }
    text = wording.gates_sentence(wired, TASKS[:2], gates)
    assert "A keeps 0.80 of its own and takes 0.20 from others" in text
    assert "B keeps 1.00 of its own and takes 0.50 from others" in text


# Seesaw plot

INTERVALS = {
    "gains": Interval(5.0, 1.0, 3),
    "loses": Interval(-5.0, 1.0, 3),
    "not distinguishable": Interval(0.5, 1.0, 3),
}


def group(label: str, x: str, y: str, seeds: int = 3) -> SeesawGroup:
    values = (0.0,) * seeds
    return SeesawGroup(label, "mmoe", tuple(range(seeds)), values, values, INTERVALS[x], INTERVALS[y])


PAIRS = list(itertools.product(INTERVALS, repeat=2))


@pytest.mark.parametrize(("x", "y"), PAIRS)
def test_every_verdict(x: str, y: str) -> None:
    text = wording.verdict(group("M", x, y), "A", "B")
    assert text == {
        ("gains", "gains"): "both gain",
        ("loses", "loses"): "both lose",
        ("not distinguishable", "not distinguishable"): "not distinguishable from single-task",
    }.get((x, y), f"A {x}, B {y}")
    assert wording.verdict(group("M", x, y, seeds=1), "A", "B") == "one seed: no interval"


def test_every_outcome_has_a_sentence_of_its_own() -> None:
    sentences = {(x, y): wording.seesaw_sentence([group("M", x, y)], "A", "B") for x, y in PAIRS}
    assert len(set(sentences.values())) == len(PAIRS)
    assert sentences["gains", "gains"] == "M gains on both."
    assert sentences["loses", "loses"] == "M loses on both."
    assert sentences["gains", "loses"] == "M pays with B for A."
    assert sentences["loses", "gains"] == "M pays with A for B."
    assert sentences["not distinguishable", "not distinguishable"] == "M cannot be told from single-task."
    assert sentences["gains", "not distinguishable"] == "M gains on A, with no difference found on B."
    assert sentences["not distinguishable", "loses"] == "M loses on B, with no difference found on A."


def test_models_with_the_same_outcome_share_a_clause() -> None:
    text = wording.seesaw_sentence(
        [group("MMoE", "gains", "gains"), group("PLE", "gains", "gains"), group("CGC", "gains", "loses")], "A", "B"
    )
    assert text == "MMoE and PLE gain on both; CGC pays with B for A."


def test_no_groups_and_single_seeds_are_said_so() -> None:
    assert "single-task run" in wording.seesaw_sentence([], "A", "B")
    text = wording.seesaw_sentence([group("M", "gains", "gains", seeds=1)], "A", "B")
    assert "one seed" in text
    # A model with one seed is left out of a sentence about others.
    both = [group("M", "gains", "gains", seeds=1), group("N", "loses", "loses")]
    assert wording.seesaw_sentence(both, "A", "B") == "N loses on both."


def test_sentences_begin_with_a_capital_where_their_script_has_them() -> None:
    assert [wording.capital(text) for text in ("share with ctr", "PLE", "", "ctr 的比例")] == [
        "Share with ctr", "PLE", "", "ctr 的比例",
    ]  # fmt: skip


def test_segments_of_the_worker_have_names_in_the_language_of_the_reader() -> None:
    names = ["up to -0.934", "-0.934 to 1e+05", "above 1e+05", "missing", "other", "up to date", "3"]
    assert [comparing.segment_name(name) for name in names] == names
    with speaking("zh_CN"):
        said = [comparing.segment_name(name) for name in names]
    assert said == ["至多 -0.934", "-0.934 至 1e+05", "超过 1e+05", "缺失", "其他值", "up to date", "3"]


def test_the_seesaw_is_pointed_out_where_it_tips() -> None:
    both, tips = group("CGC", "gains", "gains"), group("MMoE (weights 20:1)", "gains", "loses")
    kinds = {"A": "binary", "B": "regression"}
    assert wording.where_it_tips([both], kinds, "A", "B") == ""
    told = wording.where_it_tips([both, replace(tips, line="MMoE", short="20:1")], kinds, "A", "B")
    assert re.fullmatch(r"With weights 20:1 MMoE gains \+\S+\d on A and pays −\S+% on B: the seesaw\.", told)
    other = group("PLE", "loses", "gains")
    told = wording.where_it_tips([other], kinds, "A", "B")
    assert re.fullmatch(r"PLE gains \+\S+% on B and pays −\S+ on A: the seesaw\.", told)


def test_more_seeds_are_asked_for_where_nothing_can_be_told() -> None:
    unclear = group("CGC", "not distinguishable", "not distinguishable")
    assert wording.more_seeds([unclear]) == "Every interval touches 0: 8 or more seeds say more."
    assert wording.more_seeds([unclear, group("MMoE", "gains", "not distinguishable")]) == ""
    assert wording.more_seeds([group("CGC", "not distinguishable", "not distinguishable", seeds=8)]) == ""
    assert wording.more_seeds([]) == ""


@pytest.mark.parametrize(
    ("parameters", "says"), [(36_000, "36 times as many"), (1_500, "50% more"), (700, "30% fewer"), (1_001, "as many")]
)
def test_sizes_far_apart_are_told_in_times(parameters: int, says: str) -> None:
    example = examples()["example-conflict-mmoe-0"]
    one, other = (
        comparing.Compared(n, f"{n} M{n}", replace(example.record, parameters=size), example.history)
        for n, size in ((1, 1_000), (2, parameters))
    )
    assert says in comparing.size_sentence(one, other)
