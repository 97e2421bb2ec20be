"""The data page's numbers and pictures, by hand: counts over sample spaces, and what each figure is given to draw."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from app.charts.data import (
    BLANK,
    NONE,
    feature_against_label,
    funnel,
    label_correlation,
    label_overlap,
    label_rates,
)
from app.charts.palette import hue
from app.data_summary import (
    MISSING,
    OTHER,
    Summary,
    distribution,
    funnel_sentence,
    is_ordered,
    overlap_sentence,
    spread_sentence,
    summarise,
)
from mtl_core.data.base import Frames
from mtl_core.schema import Feature, Schema, Task

SCHEMA = Schema(
    features=(
        Feature(name="age", kind="numeric"),
        Feature(name="city", kind="categorical"),
        Feature(name="seen", kind="sequence", separator="|", max_length=2),
        Feature(name="slot", kind="categorical", role="position"),
    ),
    tasks=(
        Task(name="ctr", label="click"),
        Task(name="cvr", label="buy", space="click", after="ctr"),
        Task(name="like", label="liked", space="click", after="ctr"),
        Task(name="spend", kind="regression", label="euro", space="click", after="ctr"),
    ),
)
TASKS = list(SCHEMA.task_names)
GAP = None
#: Ten rows, five of them clicked. The sixth claims a purchase and a like without a click: it counts for neither.
TABLE = pd.DataFrame(
    {
        "age": [20, 20, 30, 30, GAP, 20, 30, 30, 30, GAP],
        "city": ["Bern", "Oslo", "Bern", GAP, "Bern", "Oslo", "Oslo", "Oslo", "Bern", "Bern"],
        "seen": ["a|b|c", "a", "", GAP, "a|b", "a", "a", "a", "a", "a"],
        "slot": ["1", "2", "10", "1", "2", "10", "1", "2", "10", "1"],
        "click": [1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
        "buy": [1, 1, 1, 0, 0, 1, 0, 0, 0, 0],
        "liked": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        "euro": [10.0, 20, 30, 0, 0, GAP, GAP, GAP, GAP, GAP],
    }
)


@pytest.fixture(scope="module")
def summary() -> Summary:
    """Counted over all splits, wherever the rows lie."""
    return summarise(SCHEMA, Frames(TABLE.iloc[:4], TABLE.iloc[4:7], TABLE.iloc[7:]))


def layers(chart: Any) -> list[dict[str, Any]]:
    """The chart's layers as a browser gets them, nested ones unfolded."""
    found: list[dict[str, Any]] = []

    def walk(part: dict[str, Any]) -> None:
        for inner in part.get("layer", []):
            walk(inner)
        if "mark" in part:
            found.append(part)

    walk(json.loads(chart.to_json()))
    return found


def drawn(chart: Any) -> pd.DataFrame:
    """The rows of the chart: one table for all its layers."""
    (rows,) = json.loads(chart.to_json())["datasets"].values()
    return pd.DataFrame(rows)


# Labels


def test_rates_are_taken_in_each_tasks_own_sample_space(summary: Summary) -> None:
    """Half the rows are clicked; of the five clicks three are bought, one liked, and 60 euro spent."""
    assert summary.rows["rows"].tolist() == [4, 3, 3]
    assert summary.labels["rate"].tolist() == [0.5, 0.6, 0.2, 12.0]
    assert summary.labels["rows"].tolist() == [10, 5, 5, 5]
    assert summary.labels["share"].tolist() == [1.0, 0.5, 0.5, 0.5]


def test_the_chart_of_rates_has_a_bar_of_its_hue_per_binary_task(summary: Summary) -> None:
    """A mean of euros is no share and has no bar."""
    chart = label_rates(summary.labels, TASKS)
    rows = drawn(chart)
    assert dict(zip(rows["task"], rows["rate"], strict=True)) == {"ctr": 0.5, "cvr": 0.6, "like": 0.2}
    bars, text = layers(chart)
    assert (bars["mark"]["type"], text["mark"]["type"]) == ("bar", "text")
    scale = bars["encoding"]["color"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == {n: hue(i) for i, n in enumerate(TASKS)}
    assert bars["encoding"]["x"]["scale"] == {"domain": [0, 1]}  # shares of different data are read on one scale


# Correlation


def test_correlation_is_pearsons_over_common_rows(summary: Summary) -> None:
    """buy = 1,1,1,0,0 against liked = 1,0,0,0,0: covariance 0.08, variances 0.24 and 0.16."""
    table = summary.correlation.set_index(["a", "b"])
    expected = 0.08 / math.sqrt(0.24 * 0.16)
    assert table.loc[("cvr", "like"), "correlation"] == pytest.approx(expected)
    assert table.loc[("like", "cvr"), "correlation"] == pytest.approx(expected)
    assert table.loc[("cvr", "like"), "rows"] == 5
    assert table.loc[("ctr", "ctr"), "correlation"] == pytest.approx(1)
    # Where a purchase can be seen every row is clicked: a constant goes together with nothing.
    assert math.isnan(table.loc[("ctr", "cvr"), "correlation"])


def test_the_chart_of_correlations_says_every_number_and_leaves_no_hole(summary: Summary) -> None:
    """Undefined cells are a grey of their own, and say so by a dash."""
    chart = label_correlation(summary.correlation, TASKS)
    rows = drawn(chart).set_index(["a", "b"])
    assert len(rows) == 16
    assert rows.loc[("cvr", "like"), "text"] == "+0.41"
    assert rows.loc[("ctr", "cvr"), "text"] == NONE
    blank, valid, text = layers(chart)
    assert blank["mark"]["color"] == BLANK
    assert blank["transform"] == [{"filter": "!isValid(datum.correlation)"}]
    assert valid["transform"] == [{"filter": "isValid(datum.correlation)"}]
    assert "transform" not in text
    assert valid["encoding"]["color"]["scale"]["domain"] == [-1, 0, 1]
    negative = pd.DataFrame({"a": ["x"], "b": ["y"], "correlation": [-0.25], "rows": [9]})
    assert drawn(label_correlation(negative, ["x", "y"]))["text"].tolist() == ["\N{MINUS SIGN}0.25"]


# Overlap


def test_overlap_counts_rows_that_know_both_labels(summary: Summary) -> None:
    """Three purchases and one like among five clicks; the purchase without a click counts nowhere."""
    table = summary.overlap.set_index(["a", "b"])
    assert list(table.index) == [(a, b) for a in TASKS[:3] for b in TASKS[:3] if a != b]  # no numbers, no diagonal
    columns = ["rows", "positive", "both", "share", "given", "jaccard"]
    assert table.loc[("ctr", "cvr"), columns].tolist() == pytest.approx([5, 5, 3, 0.6, 0.6, 0.6])
    assert table.loc[("cvr", "ctr"), columns].tolist() == pytest.approx([5, 3, 3, 0.6, 1.0, 0.6])
    assert table.loc[("cvr", "like"), columns].tolist() == pytest.approx([5, 3, 1, 0.2, 1 / 3, 1 / 3])
    assert table.loc[("like", "cvr"), columns].tolist() == pytest.approx([5, 1, 1, 0.2, 1.0, 1 / 3])


def overlap_of(x: list[int], y: list[int]) -> pd.DataFrame:
    """Two labels known everywhere."""
    schema = Schema(
        features=(Feature(name="f", kind="numeric"),), tasks=(Task(name="x", label="x"), Task(name="y", label="y"))
    )
    table = pd.DataFrame({"f": 0.0, "x": x, "y": y})
    return summarise(schema, Frames(table, table[:0], table[:0])).overlap


def test_what_never_happens_has_no_overlap_and_no_error() -> None:
    """No x at all: the share of y among x is undefined, not 0; of y none has x."""
    table = overlap_of([0, 0, 0], [1, 0, 0])
    assert table["both"].tolist() == [0, 0]
    assert math.isnan(table["given"][0])
    assert table["given"][1] == 0
    assert drawn(label_overlap(table, ["x", "y"]))["text"].tolist() == [NONE, "0.0%|0", "", ""]
    assert overlap_sentence(table) == "Of the 1 rows with y, 0 have x too: 0.0%."
    assert overlap_sentence(overlap_of([0, 0], [0, 0])) == "No row is positive where two labels are known."


def test_labels_of_numbers_have_no_overlap() -> None:
    """One binary task goes together with nothing."""
    schema = SCHEMA.model_copy(update={"tasks": (SCHEMA.tasks[0], SCHEMA.tasks[3])})
    assert not len(summarise(schema, Frames(TABLE, TABLE[:0], TABLE[:0])).overlap)


def test_the_sentence_reads_the_pair_that_chance_explains_least(summary: Summary) -> None:
    """Steps of a funnel overlap by definition; the like among purchases is news: 1 of 1 against 3 of 5."""
    assert overlap_sentence(summary.overlap) == (
        "Of the 1 rows with like, 1 have cvr too: 100.0%, against 60.0% of all 5 rows in which both are known."
    )
    nested = summary.overlap[summary.overlap["a"].isin(["ctr", "cvr"]) & summary.overlap["b"].isin(["ctr", "cvr"])]
    assert overlap_sentence(nested.reset_index(drop=True)) == "Of the 5 rows with ctr, 3 have cvr too: 60.0%."
    # Labels that exclude each other are as telling as labels that go together.
    apart = overlap_of([1] * 4 + [0] * 4, [0] * 4 + [1] * 4)
    assert overlap_sentence(apart).startswith("Of the 4 rows with x, 0 have y too: 0.0%, against 50.0%")


def test_the_chart_of_overlap_reads_from_left_to_bottom(summary: Summary) -> None:
    """A row is a condition: its cells are shares of that label's rows, with their counts; the diagonal says nothing."""
    chart = label_overlap(summary.overlap, TASKS)
    rows = drawn(chart).set_index(["a", "b"])
    assert len(rows) == 9
    assert rows.loc[("cvr", "ctr"), "text"] == "100.0%|3"
    assert rows.loc[("cvr", "like"), "text"] == "33.3%|1"
    assert rows.loc[("like", "like"), "text"] == ""
    blank, valid, text = layers(chart)
    for layer in (blank, valid, text):
        assert (layer["encoding"]["y"]["field"], layer["encoding"]["x"]["field"]) == ("a", "b")
        assert layer["encoding"]["x"]["sort"] == TASKS[:3]
    assert valid["encoding"]["color"]["field"] == "given"
    assert valid["encoding"]["color"]["scale"]["domain"] == [0, 1]
    assert {"both", "positive", "rows", "share", "given", "jaccard"} <= {
        t["field"] for t in valid["encoding"]["tooltip"]
    }
    assert text["mark"]["lineBreak"] == "|"


# Funnel


def test_a_share_is_of_the_step_it_comes_after(summary: Summary) -> None:
    """Likes come after clicks, not after purchases, however they are listed."""
    assert summary.funnel.to_dict("list") == {
        "step": ["all rows", "ctr", "cvr", "like"],
        "after": ["", "all rows", "ctr", "ctr"],
        "rows": [10, 5, 3, 1],
        "share": [1.0, 0.5, 0.6, 0.2],
    }
    assert funnel_sentence(summary.funnel) == "cvr and like are no sequence: each is counted on its own after ctr."


def test_a_chain_ends_with_its_last_step(summary: Summary) -> None:
    """One step after another."""
    chain = SCHEMA.model_copy(update={"tasks": SCHEMA.tasks[:2]})
    steps = summarise(chain, Frames(TABLE, TABLE[:0], TABLE[:0])).funnel
    assert funnel_sentence(steps) == "3 of 10 rows reach the last step."
    flat = SCHEMA.model_copy(update={"tasks": (SCHEMA.tasks[0],)})
    assert not len(summarise(flat, Frames(TABLE, TABLE[:0], TABLE[:0])).funnel)


def test_the_funnels_bars_are_centred_and_named_with_their_share(summary: Summary) -> None:
    """From minus half to half the rows; in the order of the steps."""
    chart = funnel(summary.funnel)
    rows = drawn(chart)
    assert rows["low"].tolist() == [-5, -2.5, -1.5, -0.5]
    assert (rows["half"] - rows["low"]).tolist() == [10, 5, 3, 1]
    names = ["all rows  10", "ctr  5 (50.0% of all rows)", "cvr  3 (60.0% of ctr)", "like  1 (20.0% of ctr)"]
    assert rows["name"].tolist() == names
    (bars,) = layers(chart)
    assert bars["encoding"]["y"]["sort"] == names
    never = summary.funnel.assign(rows=[0, 0, 0, 0], share=[math.nan] * 4)
    assert drawn(funnel(never))["name"].tolist()[1] == f"ctr  0 ({NONE} of all rows)"


# One feature against one label


def spread(feature: str, task: str) -> pd.DataFrame:
    return distribution(SCHEMA, TABLE, feature, task).set_index("value")


def test_a_distribution_stays_in_the_tasks_sample_space() -> None:
    """Clicks by age over all rows; purchases over the five clicks; missing ages stand last."""
    clicks = spread("age", "ctr")
    assert clicks["rows"].to_dict() == {"20": 3, "30": 5, MISSING: 2}
    assert clicks["rate"].to_dict() == pytest.approx({"20": 2 / 3, "30": 2 / 5, MISSING: 1 / 2})
    bought = spread("age", "cvr")
    assert bought["rows"].to_dict() == {"20": 2, "30": 2, MISSING: 1}
    assert bought["rate"].to_dict() == {"20": 1.0, "30": 0.5, MISSING: 0.0}
    assert spread("age", "spend")["rate"].to_dict() == {"20": 15.0, "30": 15.0, MISSING: 0.0}


def test_a_sequence_is_counted_by_its_length() -> None:
    """Three values of which two are kept, an empty cell and a missing one alike have none."""
    assert spread("seen", "cvr")["rows"].to_dict() == {"0 values": 2, "1 values": 1, "2 values": 2}


def test_positions_stand_in_the_order_of_their_numbers() -> None:
    """10 comes after 2."""
    assert list(spread("slot", "ctr").index) == ["1", "2", "10"]
    assert [is_ordered(feature) for feature in SCHEMA.features] == [True, False, True, True]


def test_rare_values_are_counted_together() -> None:
    """Nineteen cities at most have a bar of their own."""
    names = [f"c{i}" for i in range(40)] + ["c0"] * 5
    table = pd.DataFrame({"age": 1.0, "city": names, "seen": "a", "slot": "1", "click": 1})
    rows = distribution(SCHEMA, table, "city", "ctr")
    assert len(rows) == 20
    assert (rows["value"].iloc[-1], rows["rows"].iloc[-1]) == (OTHER, 21)
    assert rows.set_index("value").loc["c0", "rows"] == 6


def test_numbers_of_many_values_are_cut_into_equal_steps_whose_ends_hold_the_tails() -> None:
    """0 to 999: the middle 98% in 18 bars of equal width; nothing is lost at either end."""
    table = pd.DataFrame({"age": np.arange(1000.0), "city": "a", "seen": "a", "slot": "1", "click": [0, 1] * 500})
    rows = distribution(SCHEMA, table, "age", "ctr")
    assert len(rows) == 18
    assert rows["rows"].sum() == 1000
    assert rows["value"].iloc[0] == "up to 64.4"
    assert rows["value"].iloc[-1] == "over 935"
    assert rows["rows"].iloc[1:-1].between(54, 55).all()
    assert rows["rate"].to_numpy() == pytest.approx(0.5, abs=0.01)


def test_a_shares_interval_is_wilsons() -> None:
    """2 of 3: (0.208, 0.939); 0 of 1: from 0 to 0.793, not from 0 to 0."""
    clicks = spread("age", "ctr").loc["20"]
    assert [clicks["low"], clicks["high"]] == pytest.approx([0.2077, 0.9385], abs=1e-4)
    nothing = spread("age", "cvr").loc[MISSING]
    assert [nothing["low"], nothing["high"]] == pytest.approx([0.0, 0.7935], abs=1e-4)


def test_a_means_interval_is_the_normal_one() -> None:
    """10 and 20 euro: 15 plus or minus 1.96 * 7.071 / sqrt(2) = 9.8; a single row has none."""
    spent = spread("age", "spend")
    assert [spent.loc["20", "low"], spent.loc["20", "high"]] == pytest.approx([5.2, 24.8], abs=1e-3)
    assert math.isnan(spent.loc[MISSING, "low"])


def test_the_sentence_names_the_ends_of_the_spread() -> None:
    """Values, means and how many rows they rest on."""
    rows = distribution(SCHEMA, TABLE, "age", "ctr")
    assert spread_sentence(rows, "share with ctr", share=True) == (
        "Share with ctr: 40.0% (30, 5 rows) to 66.7% (20, 3 rows)."
    )
    rows = distribution(SCHEMA, TABLE, "city", "spend")
    assert spread_sentence(rows, "mean spend", share=False).startswith("Mean spend: 0 (")


@pytest.mark.parametrize(
    ("feature", "marks"), [("age", ["bar", "line", "rule", "point"]), ("city", ["bar", "rule", "point"])]
)
def test_only_an_order_is_followed_by_a_line(feature: str, marks: list[str]) -> None:
    """Cities have none; the line of ages leaves out the missing ones; intervals and dots show every value."""
    rows = distribution(SCHEMA, TABLE, feature, "cvr")
    ordered = is_ordered(next(f for f in SCHEMA.features if f.name == feature))
    chart = feature_against_label(rows, feature, "share with cvr", hue(1), share=True, ordered=ordered)
    parts = layers(chart)
    assert [part["mark"]["type"] for part in parts] == marks
    pd.testing.assert_frame_equal(drawn(chart)[list(rows)], rows, check_dtype=False)
    assert {part["mark"]["color"] for part in parts[1:]} == {hue(1)}
    rule = parts[marks.index("rule")]["encoding"]
    assert (rule["y"]["field"], rule["y2"]["field"]) == ("low", "high")
    if ordered:
        (filtered,) = parts[1]["transform"]
        assert MISSING in filtered["filter"]
    top = cast(dict[str, Any], json.loads(chart.to_json()))
    assert top["resolve"] == {"scale": {"y": "independent"}}  # rows at the left, shares at the right


def test_the_features_of_a_table_are_counted(summary: Summary) -> None:
    """Missing shares and distinct values over all splits."""
    table = summary.features.set_index("feature")
    assert table["missing"].to_dict() == pytest.approx({"age": 0.2, "city": 0.1, "seen": 0.1, "slot": 0.0})
    assert table["distinct"].to_dict() == {"age": 2, "city": 2, "seen": 4, "slot": 3}
    assert table.loc["slot", "role"] == "position"


def test_the_pictures_of_data_load_no_streamlit_and_no_torch() -> None:
    """Charts are pure functions."""
    code = "import app.charts.data, sys; print({'streamlit', 'torch'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "set()"
