"""Figures: pure functions whose specs follow the visual grammar, for every registered trunk."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from app.charts.architecture import architecture
from app.charts.curves import COLUMNS, TEST, VALIDATION, YARDSTICK, auc_curves
from app.charts.drawing import Drawing
from app.charts.gates import bar_rows, gate_bars
from app.charts.labels import LETTER, letters, place_labels, wrapped
from app.charts.layout import WIDEST, layout
from app.charts.matrix import bounds, matrix
from app.charts.order import drawing_order
from app.charts.palette import (
    FAMILY_COLOURS,
    FAMILY_SHAPES,
    INK,
    LINE,
    QUIET,
    SHARED,
    TASK_HUES,
    contrast,
    expert_colour,
    family_shape,
    hue,
    pale,
    task_colours,
    tint,
)
from app.charts.seesaw import SeesawGroup, fronts, seesaw, small_multiples, spoken_of, uneven
from app.charts.spread import gate_spread
from mtl_core import registry
from mtl_core.comparison import paired_interval
from mtl_core.events import GateSummary
from mtl_core.trunks import TrunkOptions
from mtl_core.trunks.wiring import Wiring, gate_key

TASKS = ("income", "never_married", "C")
BINS = 20


def streams_of(part: TrunkOptions, tasks: int) -> int:
    """Streams that an encoder with shared embeddings gives this trunk."""
    return {None: 1, "shared": 1, "per_task": tasks, "both": tasks + 1}[part.embeddings]


def wiring(trunk: str, tasks: int = 2, **options: Any) -> Wiring:
    part = cast(TrunkOptions, registry.get("trunk", trunk).model_validate(options))
    return part.wire(TASKS[:tasks], streams_of(part, tasks))


def variants() -> list[Any]:
    """Every registered trunk for one to three tasks, with 1 to 9 experts where it has any."""
    cases = []
    for trunk in registry.names("trunk"):
        fields = registry.get("trunk", trunk).model_fields
        for tasks in (1, 2, 3):
            for experts in (1, 2, 5, 9) if fields.keys() & {"experts", "shared_experts"} else [0]:
                options: dict[str, Any] = {}
                if "experts" in fields:
                    options = {"experts": experts}
                elif "shared_experts" in fields:
                    options = {"shared_experts": experts, "task_experts": 1 if trunk == "stem" else experts % 3}
                cases.append(pytest.param(trunk, tasks, options, id=f"{trunk}-{tasks}-{experts}"))
    return cases


def summaries(wired: Wiring, seed: int = 0, rows: int = 200) -> dict[str, GateSummary]:
    """What a worker would say of these gates: weights of visible experts as their kind has them, others have none."""
    rng = np.random.default_rng(seed)
    result = {}
    for number, level in enumerate(wired.levels, start=1):
        for gate in level.gates:
            weights = np.zeros((rows, len(level.experts)))
            logits = np.exp(2 * rng.standard_normal((rows, len(gate.sees))))
            seen = {
                "softmax": logits / logits.sum(1, keepdims=True),
                "mix": 0.5 + rng.standard_normal((rows, len(gate.sees))),
                "select": np.clip(0.5 + rng.standard_normal((rows, len(gate.sees))), 0, 1),
            }
            weights[:, list(gate.sees)] = seen[gate.kind]
            low, high = min(0.0, float(weights.min())), max(1.0, float(weights.max()))
            result[gate_key(number, gate.name)] = GateSummary(
                mean=weights.mean(0).tolist(),
                histogram=[np.histogram(column, BINS, (low, high))[0].tolist() for column in weights.T],
                entropy=0.5 if gate.kind == "softmax" else None,
                low=low,
                high=high,
            )
    return result


def means(gates: dict[str, GateSummary]) -> dict[str, Sequence[float]]:
    return {name: summary.mean for name, summary in gates.items()}


def as_json(figure: Drawing) -> dict[str, Any]:
    """The figure as a browser gets it: strict JSON."""
    answer: dict[str, Any] = json.loads(json.dumps(figure.to_dict(), allow_nan=False))
    return answer


def layers(drawing: Drawing) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], as_json(drawing)["layer"])


@pytest.mark.parametrize(("trunk", "tasks", "options"), variants())
def test_every_trunk_is_drawn(trunk: str, tasks: int, options: dict[str, Any]) -> None:
    wired, names = wiring(trunk, tasks, **options), TASKS[:tasks]
    gates = summaries(wired)
    figures = [architecture(wired, names), architecture(wired, names, means(gates))]
    figures += [gate_bars(wired, gates), gate_bars(wired, {})]
    for figure in figures:
        assert as_json(figure)

    nodes, links = layout(wired, names, means(gates))
    assert nodes["y"].between(0, 1).all()
    assert links["y"].between(0, 1).all()
    # No two experts, gates or towers of a column on the same spot.
    assert not nodes.duplicated(["x", "y"]).any()
    # What has nothing to mix is no ring; a gate unit has a line through it, and one from what it reads.
    every = [gate for level in wired.levels for gate in level.gates]
    visible = sum(len(gate.sees) for gate in every if gate.mixes) + 2 * sum(gate.modulates for gate in every)
    assert (nodes["shape"] == "gate").sum() == sum(gate.mixes for gate in every)
    assert (nodes["shape"] == "unit").sum() == sum(gate.modulates for gate in every)
    native = sum(len(gate.native) for level in wired.levels for gate in level.gates)
    tied = sum(len(level.experts) - 1 for level in wired.levels if level.tied)
    reads = sum(1 + len(expert.also) for level in wired.levels for expert in level.experts)
    # One link per visible pair, one per stream into each expert, one per mix into each tower.
    assert links["link"].nunique() == visible + native + tied + reads + sum(map(len, wired.outputs))


def test_charts_load_no_streamlit_and_no_torch() -> None:
    import subprocess

    modules = "architecture, curves, drawing, gates, labels, order, palette, seesaw"
    code = f"from app.charts import {modules}; import sys; print({{'streamlit', 'torch'}} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "set()"


# Colours


def test_a_task_has_one_hue_in_every_chart() -> None:
    wired = wiring("ple")
    gates = summaries(wired)
    names = TASKS[:2]
    assert len(set(TASK_HUES)) == len(TASK_HUES) >= 6
    assert list(task_colours(names).values()) == [hue(0), hue(1)]
    curves = as_json(auc_curves(rows(3), ["A", "B"], 5))
    scales = [layer["encoding"]["color"]["scale"] for layer in curves["layer"]]
    assert [dict(zip(s["domain"], s["range"], strict=True)) for s in scales] == [{"A": hue(0), "B": hue(1)}] * 4
    nodes, links = layout(wired, names, means(gates))
    for k, name in enumerate(names):
        assert set(nodes[nodes["about"] == f"tower of {name}"]["colour"]) == {hue(k)}
        assert set(nodes[nodes["about"] == f"gate of {name}"]["colour"]) == {hue(k)}
        assert set(links[links["about"].str.startswith(f"{name} takes")]["colour"]) == {hue(k)}
        assert set(nodes[nodes["about"].str.endswith(f"private to {name}")]["colour"]) == {hue(k)}
        bars = bar_rows(wired, gates)
        assert set(bars[bars["expert"].str.startswith(name)]["colour"]) == {pale(hue(k), 0.5)}
    spread = gate_spread(wired, gates, 2, (0.0, 1.0)).data
    assert list(spread["texts"].query("role == 'gate'")["colour"]) == [hue(0), hue(1)]
    for k, name in enumerate(names):
        drawn = spread["shapes"][spread["shapes"]["about"].str.startswith(f"{name} on")]
        assert set(drawn["colour"]) == {hue(k)}


def test_a_shared_expert_is_grey_everywhere() -> None:
    assert expert_colour(None) == SHARED
    assert SHARED not in TASK_HUES
    red, green, blue = (int(SHARED[i : i + 2], 16) for i in (1, 3, 5))
    assert max(red, green, blue) - min(red, green, blue) < 20
    for trunk in ("mmoe", "omoe", "shared_bottom"):
        wired = wiring(trunk)
        nodes, _ = layout(wired, TASKS[:2], None)
        assert set(nodes[nodes["about"].str.startswith("expert")]["colour"]) == {SHARED}
        greys = {pale(SHARED, strength) for strength in (0.5, 0.75)}
        assert set(bar_rows(wired, summaries(wired))["colour"]) <= greys


def test_no_family_borrows_the_hue_of_the_first_two_tasks() -> None:
    assert not set(FAMILY_COLOURS.values()) & set(TASK_HUES[:2])
    assert {family_shape("mmoe").split("-")[0], family_shape("omoe").split("-")[0]} == {"circle"}
    assert {family_shape("ple").split("-")[0], family_shape("cgc").split("-")[0]} == {"triangle"}
    assert family_shape("a trunk of tomorrow") not in FAMILY_SHAPES.values()
    shapes = [family_shape(trunk) for trunk in registry.names("trunk")]
    assert len(set(shapes)) == len(shapes)


def test_tints() -> None:
    assert tint("#0072B2", 0.5) == "rgba(0,114,178,0.5)"
    assert pale("#0072B2", 1) == "#0072B2"
    assert pale("#0072B2", 0) == "#FFFFFF"


# Architecture


def test_every_table_of_embeddings_is_a_box_from_which_its_experts_read() -> None:
    nodes, _ = layout(wiring("mmoe"), TASKS[:2], None)
    assert list(nodes[nodes["x"] == 0]["label"]) == ["features"]
    wired = wiring("stem", shared_experts=1, task_experts=1)
    nodes, links = layout(wired, TASKS[:2], None)
    tables = nodes[nodes["x"] == 0]
    assert set(tables["about"]) == {
        "embeddings of income's own", "embeddings of never_married's own", "embeddings that all tasks share"
    }  # fmt: skip
    assert set(tables["colour"]) == {hue(0), hue(1), LINE}
    for expert in wired.levels[0].experts:
        start = links[links["about"] == f"what expert {expert.name} reads"].iloc[0]
        assert tables[tables["y"] == start["y"]]["colour"].item() == (
            LINE if expert.owner is None else hue(expert.owner)
        )


@pytest.mark.parametrize("trunk", ["mmoe", "ple", "cgc"])
def test_link_width_is_mean_gate_weight(trunk: str) -> None:
    wired = wiring(trunk)
    gates = summaries(wired)
    _, links = layout(wired, TASKS[:2], means(gates))
    for number, level in enumerate(wired.levels, start=1):
        for gate in level.gates:
            drawn = []
            for e in gate.sees:
                share = gates[gate_key(number, gate.name)].mean[e]
                about = f"{gate.name} takes {share:.0%} from {level.experts[e].name}"
                widths = links[links["about"] == about]["width"].unique()
                drawn.append((share, float(min(widths, key=lambda w: abs(w - 13 * share)))))
            ratios = {round(width / share, 6) for share, width in drawn if width > 0.6}
            assert len(ratios) == 1


def test_before_training_every_visible_expert_counts_alike() -> None:
    _, links = layout(wiring("mmoe", experts=4), TASKS[:2], None)
    gate_links = links[links["about"].str.contains("may mix")]
    assert gate_links["width"].nunique() == 1
    assert not links["about"].str.contains("%").any()


def test_weights_change_the_rows_of_the_architecture_and_nothing_else() -> None:
    wired = wiring("ple")
    one, two = (architecture(wired, TASKS[:2], means(summaries(wired, seed))) for seed in (0, 1))
    assert one.template == two.template == architecture(wired, TASKS[:2]).template
    assert not one.data["links"].equals(two.data["links"])
    assert one.data["nodes"].equals(two.data["nodes"])


def gate_links(wired: Wiring, gates: dict[str, GateSummary]) -> pd.DataFrame:
    """The links into gates, one row each."""
    _, links = layout(wired, TASKS[:2], means(gates))
    return links[links["about"].str.contains(" weighs | leaves out ")].groupby("link").first()


def with_means(gates: dict[str, GateSummary], **named: list[float]) -> dict[str, GateSummary]:
    """The same summaries with the means of some gates of level 1 replaced."""
    new = {
        gate_key(1, name): gates[gate_key(1, name)].model_copy(update={"mean": mean}) for name, mean in named.items()
    }
    return {**gates, **new}


def test_negative_constants_are_dashed_and_as_wide_as_they_are_large() -> None:
    wired = wiring("cross_stitch", layers=[4])
    gates = with_means(summaries(wired), income=[0.9, -0.3], never_married=[0.0, 1.7])
    links = gate_links(wired, gates).set_index("about")
    negative = links.loc["income weighs never_married 1 by -0.30"]
    positive = links.loc["income weighs income 1 by 0.90"]
    assert negative["dashed"]
    assert not positive["dashed"]
    assert positive["width"] == pytest.approx(3 * negative["width"])
    assert links["width"].max() <= 13  # however large a constant becomes


def test_a_connection_that_was_left_out_is_barely_there() -> None:
    wired = wiring("dselect_k", experts=2)
    gates = with_means(summaries(wired), income=[1.0, 0.0], never_married=[0.4, 0.6])
    links = gate_links(wired, gates).set_index("about")
    out = links.loc["income leaves out S2"]
    assert out["opacity"] < 0.2 < links.drop("income leaves out S2")["opacity"].min()


def test_fixed_weights_are_drawn_before_training() -> None:
    _, links = layout(wiring("asymmetric", fuse="average"), TASKS[:2], None)
    widths = links[links["about"].str.contains("may mix")].groupby("about")["width"].first()
    assert list(widths) == pytest.approx([WIDEST / 2] * 2)  # the lead's own network goes on unmixed


def test_native_experts_ties_and_joined_mixes_have_links_of_their_own() -> None:
    def abouts(trunk: str, **options: Any) -> pd.Series:
        _, links = layout(wiring(trunk, **options), TASKS[:2], None)
        return links.groupby("link").first()["about"]

    past = abouts("adatt", levels=1, task_experts=2, shared_experts=1)
    assert past.str.contains("also reaches income past the gate").sum() == 2
    assert abouts("soft_sharing").str.contains("a penalty pulls the weights of").sum() == 1
    for name in TASKS[:2]:
        assert (abouts("customized") == f"what the tower of {name} reads").sum() == 2
    # The parts of a layer are read side by side, and each task's layers wherever they are.
    sluice = abouts("sluice")
    assert (sluice == "what expert income 1 reads").sum() == 1 + 2
    assert (sluice == "what expert income layer 1 reads").sum() == 2


@pytest.mark.parametrize("trunk", ["ml_mmoe", "sluice"])
def test_several_gates_of_one_owner_have_places_of_their_own(trunk: str) -> None:
    nodes, _ = layout(wiring(trunk, 3), TASKS, None)
    gates = nodes[nodes["shape"] == "gate"]
    for _, column in gates.groupby("x"):
        assert column["y"].is_unique


@pytest.mark.parametrize("trunk", ["cgc", "ple"])
@pytest.mark.parametrize("tasks", [2, 3])
def test_shared_experts_are_drawn_between_private_ones(trunk: str, tasks: int) -> None:
    level = wiring(trunk, tasks, shared_experts=3, task_experts=2).levels[0]
    owners = [level.experts[e].owner for e in drawing_order(level)]
    assert sorted(drawing_order(level)) == list(range(len(level.experts)))
    assert owners[0] == 0
    assert owners[-1] == tasks - 1
    middle = [place for place, owner in enumerate(owners) if owner is None]
    assert middle == list(range(middle[0], middle[0] + 3))
    nodes, _ = layout(wiring(trunk, tasks, shared_experts=3, task_experts=2), TASKS[:tasks], None)
    experts = nodes[nodes["about"].str.startswith("expert") & (nodes["x"] == 1)].sort_values("y", ascending=False)
    assert [("shared" in about) for about in experts["about"]] == [owner is None for owner in owners]


# Gate weights


@pytest.mark.parametrize("trunk", ["mmoe", "cgc", "ple"])
def test_an_expert_that_a_gate_may_not_see_is_not_drawn_as_zero(trunk: str) -> None:
    wired = wiring(trunk)
    gates = summaries(wired)
    for number, level in enumerate(wired.levels, start=1):
        drawn = gate_spread(wired, gates, number, (0.0, 1.0)).data
        visible = sum(len(gate.sees) for gate in level.gates)
        hidden = len(level.gates) * len(level.experts) - visible
        words = list(drawn["texts"].query("role == 'empty'")["text"])
        assert words == ["not visible"] * hidden
        assert drawn["shapes"]["shape"].nunique() == visible
        labels = {about.split(":")[0] for about in drawn["shapes"]["about"]}
        assert labels == {f"{g.name} on {level.experts[e].name}" for g in level.gates for e in g.sees}
    bars = bar_rows(wired, gates)
    assert len(bars) == sum(len(gate.sees) for gate in wired.levels[-1].gates)


@pytest.mark.parametrize("options", [{"experts": 2}, {"layers": [4]}], ids=["mmoe", "cross_stitch"])
def test_a_violin_is_as_wide_as_its_histogram_and_stays_within_the_scale(options: dict[str, Any]) -> None:
    wired = wiring("mmoe" if "experts" in options else "cross_stitch", **options)
    gates = summaries(wired)
    low, high = scale = bounds([gates])
    shapes = gate_spread(wired, gates, 1, scale).data["shapes"].set_index("shape")
    for g, gate in enumerate(wired.levels[0].gates):
        summary = gates[gate_key(1, gate.name)]
        base = (len(wired.levels[0].gates) - 1 - g) * 1.22  # bands of height 1 from below, the first gate's on top
        for e in gate.sees:
            violin, counts = shapes.loc[f"{g}.{e}"], summary.histogram[e]
            widths = dict(zip((violin["y"] - base).round(6), violin["x1"] - violin["x0"], strict=True))
            assert max(widths.values()) == pytest.approx(0.72)
            assert 0 <= min(widths) < max(widths) <= 1.02  # the ends of a run's scale are rounded to tenths
            for i, count in enumerate(counts):
                if count:
                    weight = summary.low + (i + 0.5) / BINS * (summary.high - summary.low)
                    place = round((weight - low) / (high - low), 6)
                    assert widths[place] == pytest.approx(0.72 * count / max(counts))


def test_the_pieces_of_a_bar_make_up_its_length() -> None:
    wired = wiring("ple", 3)
    bars = bar_rows(wired, summaries(wired))
    for _, pieces in bars.groupby("gate"):
        assert pieces["mean"].sum() == pytest.approx(1)
        assert pieces["end"].iloc[-1] == pytest.approx(1)
        assert list(pieces["start"][1:]) == pytest.approx(list(pieces["end"][:-1]))
    (bars_layer, names) = layers(gate_bars(wired, summaries(wired)))
    assert bars_layer["encoding"]["x"]["scale"]["domain"] == [0, 1]
    assert names["mark"]["type"] == "text"


def test_constants_that_are_negative_go_to_the_left_of_zero() -> None:
    wired = wiring("cross_stitch", 3, layers=[4])
    gates = {name: summary.model_copy(update={"mean": [0.9, -0.2, 0.4]}) for name, summary in summaries(wired).items()}
    bars = bar_rows(wired, gates)
    for _, pieces in bars.groupby("gate"):
        ends = {row.mean: (row.start, row.end) for row in pieces.itertuples()}
        assert ends[-0.2] == pytest.approx((0.0, -0.2))
        right = sorted(end for mean, end in ends.items() if mean > 0)
        assert right[0][0] == 0
        assert right[1] == pytest.approx((right[0][1], 1.3))
    # Where weights need not sum to 1, the scale follows them.
    (bars_layer, _) = layers(gate_bars(wired, gates))
    assert "domain" not in bars_layer["encoding"]["x"]["scale"]


# Curves


def rows(epochs: int, *, baseline: bool = False, test: bool = False) -> pd.DataFrame:
    table = [(e, task, 0.5 + 0.01 * e + bonus, "run", VALIDATION) for e in range(1, epochs + 1) for task, bonus in AB]
    if baseline:
        table += [(e, task, 0.5 + 0.005 * e, "single task", YARDSTICK) for e in range(1, 16) for task, _ in AB]
    if test:
        table += [(epochs, task, 0.6 + bonus, "run", TEST) for task, bonus in AB]
    return pd.DataFrame(table, columns=COLUMNS)


AB = (("A", 0.0), ("B", 0.1))


def test_a_curve_that_grows_changes_rows_and_nothing_else() -> None:
    drawings = [auc_curves(rows(n, baseline=n > 3), ["A", "B"], 15) for n in range(16)]
    assert all(drawing.template == drawings[0].template for drawing in drawings)
    assert len({json.dumps(drawing.to_dict(), sort_keys=True) for drawing in drawings}) == 16


@pytest.mark.parametrize("epochs", [1, 2, 5, 15, 1000])
def test_the_epoch_axis_has_its_length_from_the_start(epochs: int) -> None:
    for drawn in (0, 1):
        for layer in layers(auc_curves(rows(drawn), ["A", "B"], epochs)):
            low, high = layer["encoding"]["x"]["scale"]["domain"]
            assert low == 1
            assert high > max(epochs, 1)
            ticks = layer["encoding"]["x"].get("axis", {}).get("values")
            if ticks:
                assert ticks[0] == 1
                assert ticks[-1] == epochs
                assert len(ticks) <= 12


def test_no_rows_are_a_figure_too() -> None:
    drawing = auc_curves(rows(0), ["A", "B"], 15)
    assert all(frame.empty for frame in drawing.data.values())
    assert as_json(drawing)["layer"]


def test_solid_is_validation_dotted_the_yardstick_and_a_ring_the_test() -> None:
    filters = {}
    for layer in layers(auc_curves(rows(3, baseline=True, test=True), ["A", "B"], 5)):
        for step in (step for step in layer.get("transform", []) if "filter" in step):
            filters[str(step["filter"])] = layer["mark"]
    (solid,) = [mark for text, mark in filters.items() if f"'{VALIDATION}'" in text]
    (dotted,) = [mark for text, mark in filters.items() if f"'{YARDSTICK}'" in text]
    (ring,) = [mark for text, mark in filters.items() if f"'{TEST}'" in text]
    assert "strokeDash" not in solid
    assert dotted["strokeDash"]
    assert ring["type"] == "point"
    assert ring["filled"] is False


def test_end_labels_name_task_and_last_value_and_keep_apart() -> None:
    table = rows(4, baseline=True, test=True)
    labels = auc_curves(table, ["A", "B"], 15).data["labels"]
    assert sorted(labels["text"]) == ["A 0.5400", "B 0.6400"]
    assert set(labels["epoch"]) == {4}
    table["value"] = 0.7  # all lines on one spot
    labels = auc_curves(table, ["A", "B"], 15).data["labels"]
    assert labels["value"].nunique() == 2
    assert labels["value"].mean() == pytest.approx(0.7)


def test_an_undefined_value_leaves_a_gap() -> None:
    table = rows(3)
    table.loc[table["epoch"] == 3, "value"] = None
    labels = auc_curves(table, ["A", "B"], 15).data["labels"]
    assert set(labels["epoch"]) == {2}


# Seesaw plot


def group(label: str, x: Sequence[float], y: Sequence[float], trunk: str = "mmoe") -> SeesawGroup:
    return SeesawGroup(label, trunk, tuple(range(len(x))), tuple(x), tuple(y), paired_interval(x), paired_interval(y))


CLEAR = group("MMoE", (10.0, 11.0, 12.0), (-5.0, -6.0, -5.5))
TOUCHING = group("PLE", (20.0, 21.0, 22.0), (1.0, -1.0, 0.5), "ple")


def test_the_seesaw_plot_is_square_and_holds_every_point_bar_and_quadrant() -> None:
    wild = group("CGC", (120.0, 150.0), (-3.0, -90.0), "cgc")
    for groups in ([], [CLEAR], [CLEAR, TOUCHING], [wild, CLEAR]):
        drawing = seesaw(groups, "A", "B")
        spec = drawing.to_dict()
        assert spec["width"] == spec["height"]
        # Both axes take their range from the zones, whose corners hold everything else.
        zones = drawing.data["zones"]
        low, high = zones["x"].min(), zones["x2"].max()
        assert (zones["y"].min(), zones["y2"].max()) == (low, high)
        assert low < 0 < high
        for name in ("bars", "marks", "labels", "fronts"):
            frame = drawing.data[name]
            for column in {"x", "y", "x2", "y2"} & set(frame.columns):
                assert all(low < value < high for value in frame[column])
        words = " ".join(drawing.data["words"]["text"])
        for text in ("both gain", "both lose", "A gains, B pays", "B gains, A pays", "single task"):
            assert text in words
        assert list(drawing.data["labels"]["label"]) == [g.label for g in groups]


def test_a_seesaw_plot_that_fills_changes_rows_and_nothing_else() -> None:
    drawings = [seesaw(groups, "A", "B") for groups in ([], [CLEAR], [CLEAR, TOUCHING])]
    assert all(drawing.template == drawings[0].template for drawing in drawings)
    assert as_json(drawings[0])["layer"]
    assert seesaw([], "B", "A").template != drawings[0].template


def marks_of(drawing: Drawing, what: str) -> pd.DataFrame:
    frame = drawing.data["marks"]
    return frame[frame["what"].str.startswith(what)]


def test_grey_means_that_an_interval_touches_zero() -> None:
    assert CLEAR.told_apart
    assert not TOUCHING.told_apart
    drawing = seesaw([CLEAR, TOUCHING, group("one seed", (30.0,), (30.0,), "cgc")], "A", "B")
    means = drawing.data["marks"].iloc[-3:]
    assert dict(zip(means["label"], means["stroke"], strict=True)) == {
        "MMoE": FAMILY_COLOURS["mmoe"], "PLE": QUIET, "one seed": QUIET,
    }  # fmt: skip


def test_a_pale_dot_is_a_seed_and_the_bar_its_interval() -> None:
    drawing = seesaw([replace(CLEAR, runs=("a", "b", "c"))], "A", "B")
    seeds, (mean,) = marks_of(drawing, "seed"), marks_of(drawing, "mean of 3").to_dict("records")
    assert seeds["x"].tolist() == [10, 11, 12]
    assert seeds["run"].tolist() == ["a", "b", "c"]
    assert all(colour.startswith("rgba") for colour in seeds["stroke"])
    assert set(seeds["shape"]) == {mean["shape"]} == {FAMILY_SHAPES["mmoe"]}
    assert mean["x"] == pytest.approx(11)
    across, up = drawing.data["bars"].to_dict("records")
    half = CLEAR.x_interval.half_width
    assert (across["x"], across["x2"]) == (pytest.approx(11 - half), pytest.approx(11 + half))
    assert (up["y"], up["y2"]) == (
        pytest.approx(CLEAR.y_interval.mean - CLEAR.y_interval.half_width),
        pytest.approx(CLEAR.y_interval.mean + CLEAR.y_interval.half_width),
    )


def test_one_seed_is_one_mark_without_a_bar() -> None:
    drawing = seesaw([group("MMoE", (10.0,), (5.0,))], "A", "B")
    assert len(drawing.data["marks"]) == 1
    assert drawing.data["bars"].empty


@pytest.mark.parametrize("trunk", [*registry.names("trunk"), "unheard of"])
def test_every_trunk_has_a_shape_that_vega_can_draw(trunk: str) -> None:
    (mark,) = seesaw([group("it", (1.0,), (1.0,), trunk)], "A", "B").data["marks"].to_dict("records")
    named = {"circle", "square", "cross", "diamond", "triangle-up"}
    assert mark["shape"] in named or mark["shape"].startswith("M")
    hollow = FAMILY_SHAPES.get(trunk, "").endswith("-open")
    assert not hollow or mark["fill"] == "transparent"
    other = seesaw([replace(group("it", (1.0,), (1.0,), trunk), balancer="pcgrad")], "A", "B")
    assert other.data["marks"]["shape"].tolist() == ["diamond"]


def weighted(*points: tuple[str, float, float], line: str = "MMoE", trunk: str = "mmoe") -> list[SeesawGroup]:
    """One model with several loss weights."""
    made = [group(f"{line} (weights {short})", (x - 1, x + 1), (y - 1, y + 1), trunk) for short, x, y in points]
    return [replace(g, line=line, short=short) for g, (short, _, _) in zip(made, points, strict=True)]


FRONT = weighted(("1:9", -20, 30), ("1:3", 0, 28), ("1:1", 10, 10), ("1:2", 5, 26), ("9:1", 25, -9))


def test_the_front_of_loss_weights_is_a_line_per_model() -> None:
    other = weighted(("2:1", 1, 2), ("1:1", 2, 1), ("1:2", 3, 0), line="CGC", trunk="cgc")
    drawing = seesaw([*FRONT, *other, CLEAR], "A", "B")
    lines = dict(list(drawing.data["fronts"].groupby("line")))
    assert lines["MMoE"][["x", "y"]].to_numpy().tolist() == [[-20, 30], [0, 28], [5, 26], [10, 10], [25, -9]]
    assert set(lines["MMoE"]["stroke"]) == {FAMILY_COLOURS["mmoe"]}
    # A second channel beside the colour: the simpler member of a family is dashed, as its mark is hollow.
    assert {line: set(rows["dashed"]) for line, rows in lines.items()} == {"MMoE": {False}, "CGC": {True}}
    beaten = weighted(("1:9", -20, 30), ("1:1", -30, 20), ("9:1", 25, -9))
    assert seesaw(beaten, "A", "B").data["fronts"]["x"].tolist() == [-20, 25]


def test_of_a_front_ends_best_and_equal_weights_are_named() -> None:
    drawing = seesaw(FRONT, "A", "B")
    assert set(drawing.data["labels"]["label"]) == {"MMoE 1:9", "MMoE 1:2", "MMoE 1:1", "MMoE 9:1"}
    assert len(drawing.data["bars"]) == 2 * 4
    assert len(marks_of(drawing, "mean")) == 5
    assert [g.short for g in spoken_of(FRONT, ends=False)] == ["1:1", "1:2"]


def test_a_large_sweep_stays_small() -> None:
    """24 trials of 6 models with 8 seeds, and every trunk with 16 seeds."""
    groups = [
        g
        for k in range(6)
        for g in weighted(*((f"1:{i}", i - k, -i - k) for i in range(24)), line=f"Model {k}", trunk="ple")
    ]
    wide = [group(name, tuple(range(16)), tuple(range(16)), name) for name in registry.names("trunk")]
    assert sum(map(len, seesaw([*groups, *wide], "A", "B").data.values())) < 2000
    pictures = [("A", "B", wide)] * 10
    assert sum(map(len, small_multiples(pictures).data.values())) < 2000


def test_small_multiples_have_a_square_per_pair_with_its_own_range() -> None:
    drawing = small_multiples([("A", "B", [CLEAR]), ("A", "C", [TOUCHING, CLEAR]), ("B", "C", [])])
    rows = drawing.data["pairs"]
    assert list(dict.fromkeys(rows["pair"])) == ["B up, A across", "C up, A across", "C up, B across"]
    counts = rows[rows["part"] == "marks"].groupby("pair").size().to_dict()
    assert counts == {"B up, A across": 1, "C up, A across": 2}
    ranges = {pair: (part["x"].min(), part["x2"].max()) for pair, part in rows[rows["part"] == "zones"].groupby("pair")}
    assert len(set(ranges.values())) == 3
    spec = as_json(drawing)
    assert spec["resolve"]["scale"] == {"x": "independent", "y": "independent"}


def test_labels_of_crowded_points_do_not_lie_on_each_other() -> None:
    crowd = [group(f"Model {i}", (10.0 + i / 10, 10.2 + i / 10), (5.0, 5.2)) for i in range(6)]
    labels = seesaw(crowd, "A", "B").data["labels"]
    assert len({(round(x, 1), round(y, 1)) for x, y in zip(labels["x"], labels["y"], strict=True)}) == 6


def test_chinese_labels_take_the_room_of_two_letters_each() -> None:
    assert (letters("MMoE"), letters("共享底层"), letters("MMoE 对")) == (4, 8, 7)
    marks, names = [(0.0, 0.0), (70.0, 0.0)], ["单任务网络", "共享底层网络"]
    offsets = place_labels(marks, names)
    boxes = [
        (x + dx - letters(name) * LETTER / 2, x + dx + letters(name) * LETTER / 2, y + dy)
        for (x, y), (dx, dy), name in zip(marks, offsets, names, strict=True)
    ]
    (left, right, high), (other_left, other_right, other_high) = boxes
    assert right <= other_left or other_right <= left or abs(high - other_high) >= 17


# Names in boxes


@pytest.mark.parametrize(
    ("name", "most", "text"),
    [
        ("click", 7, "click"),
        ("watch_time", 10, "watch_time"),
        ("watch_time", 7, "watch_\ntime"),
        ("embeddings of click", 10, "embeddings\nof click"),
        ("conversion", 7, "conver-\nsion"),
        ("ctr × cart", 7, "ctr ×\ncart"),
        ("a_very_long_name_of_a_task", 7, "a_very_\nlong_\nname_…"),
    ],
)
def test_names_are_broken_where_they_may_and_keep_their_spelling(name: str, most: int, text: str) -> None:
    assert wrapped(name, most) == text
    assert all(letters(line) <= most for line in text.split("\n"))


def test_dark_letters_read_on_every_tint_in_use() -> None:
    """WCAG asks for 4.5 to 1 (at least 18.66 px of bold letters could do with less)."""
    tasks = tuple(f"t{k}" for k in range(len(TASK_HUES)))
    for trunk in registry.names("trunk"):
        wired = wiring(trunk, 2)
        part = cast(TrunkOptions, registry.get("trunk", trunk)())
        wired = part.wire(tasks, streams_of(part, len(tasks)))
        nodes, _ = layout(wired, tasks, None)
        boxes = nodes[nodes["shape"] == "box"]
        worst = min(contrast(ink, fill) for ink, fill in zip(boxes["ink"], boxes["fill"], strict=True))
        assert worst >= 4.5, trunk
        bars = bar_rows(wired, {})
        assert min(contrast(INK, fill) for fill in bars["colour"]) >= 4.5, trunk
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)


@pytest.mark.parametrize("diverging", [False, True])
def test_numbers_read_on_every_shade_of_a_matrix(diverging: bool) -> None:
    """On the colours that Vega makes of these values."""
    import vl_convert

    low = -1.0 if diverging else 0.0
    values = [low + (1 - low) * i / 40 for i in range(41)]
    worst = 21.0
    for some in (values[i : i + 8] for i in range(0, len(values), 8)):  # more would have no numbers
        names = [f"c{i}" for i in range(len(some))]
        drawing = matrix([("r", QUIET)], names, [some], (low, 1.0), what="w", diverging=diverging)
        svg = vl_convert.vegalite_to_svg(drawing.to_dict())
        fills = re.findall(r'aria-label="[^"]*column: c\d[^"]*"[^>]* fill="([^"]+)"', svg)
        inks = list(drawing.data["cells"]["ink"])
        assert len(fills) >= len(inks)
        worst = min(worst, *(contrast(ink, _hex(fill)) for ink, fill in zip(inks, fills, strict=False)))
    assert worst >= 4.5


def _hex(colour: str) -> str:
    if colour.startswith("#"):
        return colour
    return "#" + "".join(f"{int(part):02X}" for part in re.findall(r"\d+", colour)[:3])


def test_a_label_stands_nearest_to_its_own_mark() -> None:
    """In crowds of nine marks, where there is not room for all: a nearer place that reads wrongly is not taken."""
    names = ["MMoE 1:20", "CGC", "PLE 20:1", "OMoE", "Shared bottom", "MMoE 1:1", "STEM", "PLE 1:1", "AdaTT"]
    wrong = 0
    for seed in range(20):
        marks = np.random.default_rng(seed).uniform((0, 0), (150, 110), (9, 2))
        places = marks + place_labels([(x, y) for x, y in marks], names)
        for i, name in enumerate(names):
            half = np.array([letters(name) * LETTER / 2, 8.5])
            wrong += int(np.hypot(*np.maximum(np.abs(marks - places[i]) - half, 0).T).argmin()) != i
    assert wrong <= 25  # of 180


def test_a_line_compares_the_seeds_that_all_of_its_models_have() -> None:
    """The third seed, which only one has, would put it before the other."""
    one = replace(group("PLE 1:1", [5.0, 5.0, 50.0], [5.0, 5.0, 50.0], "ple"), line="PLE", short="1:1")
    two = replace(group("PLE 2:1", [6.0, 6.0], [6.0, 6.0], "ple"), line="PLE", short="2:1")
    assert [g.short for g in fronts([one, two])["PLE"]] == ["2:1"]
    assert uneven([one, two])
    apart = replace(two, seeds=(7, 8))
    assert [g.short for g in fronts([one, apart])["PLE"]] == ["1:1"]
    assert not uneven([one])


def test_many_models_keep_few_intervals_and_what_cannot_be_told_apart_is_pale() -> None:
    models = [group(f"model {i}", [i, i + 1.0], [20.0 - i, 21.0 - i]) for i in range(8)]
    drawn = seesaw(models, "A", "B")
    assert len(drawn.data["bars"]) == 16
    assert len(drawn.data["marks"]) == 24
    assert drawn.note == "Pale: one seed."
    beaten = [group(f"beaten {i}", [-i - 1.0, i], [-9.0, -8.0]) for i in range(3)]
    drawn = seesaw([*models, *beaten], "A", "B")
    assert len(drawn.data["bars"]) == 16
    assert len(drawn.data["marks"]) == 11
    assert drawn.note == ("Intervals are drawn of the 8 models that no other one beats. Single seeds are left out.")
    clear, unclear = group("clear", [5.0, 5.1], [5.0, 5.1]), group("unclear", [-5.0, 5.0], [5.0, 5.1])
    bars = seesaw([clear, unclear], "A", "B").data["bars"]
    assert bars["strength"].tolist() == [1.0, 1.0, 0.6, 0.6]
    assert bars["width"].tolist() == [2.0, 2.0, 1.0, 1.0]


def test_long_names_are_whole_where_the_plot_is_wide() -> None:
    """Vega knows the width: a name that is cut on a small laptop is not cut on a large screen."""
    import vl_convert

    frame = pd.DataFrame(
        [(epoch, task, 0.8, "run", VALIDATION) for epoch in (1, 2) for task in ("never_married", "B")], columns=COLUMNS
    )
    drawing = auc_curves(frame, ["never_married", "B"], 2).to_dict()
    texts = {}
    for width in (260, 700):
        svg = vl_convert.vegalite_to_svg({**drawing, "width": width})
        texts[width] = set(re.findall(r">([^<>]* 0\.8000)<", svg))
    assert texts == {260: {"never_mar… 0.8000", "B 0.8000"}, 700: {"never_married 0.8000", "B 0.8000"}}
