"""The compare page: what it shows first, every control, what it says, and what it asks of the worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import comparing
from app.jobs import bundled
from app.jobs.answers import answer_one
from app.jobs.executor import LocalExecutor
from app.jobs.questions import Answer, Question, Questions
from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from app.library import Library, examples
from mtl_core import checkpoints
from mtl_core.events import Checkpoint, Step
from mtl_core.spec import RunSpec
from mtl_core.training import train
from tests.app.conftest import healthy, small, texts, visit, wait_for

Train = Callable[[RunSpec], RunRecord]
MMOE, PLE = "example-conflict-mmoe-0", "example-conflict-ple-0"


def chart(at: AppTest, words: str) -> dict[str, list[dict[str, Any]]]:
    """The data of the Altair chart whose alt text holds these words."""
    import pyarrow as pa

    (proto,) = [c.proto for c in at.get("vega_lite_chart") if words in c.proto.alt]
    return {d.name: pa.ipc.open_stream(d.data.data).read_all().to_pylist() for d in proto.datasets}


def figure(at: AppTest, key: str) -> dict[str, Any]:
    """The Plotly figure with this key."""
    (found,) = [c for c in at.get("plotly_chart") if c.proto.id.endswith(f"-{key}")]
    spec: dict[str, Any] = json.loads(found.proto.spec)
    return spec


def matrix(at: AppTest, words: str) -> dict[tuple[str, str], float | None]:
    """Row and column -> number of a matrix."""
    return {(c["row"], c["column"]): c["value"] for c in chart(at, words)["cells"]}


@pytest.fixture
def kept(store: RunStore, claimed: Callable[[RunSpec], RunRecord]) -> Train:
    """Trains a run within this process and keeps its weights, as a worker does."""

    def finish(spec: RunSpec) -> RunRecord:
        run = claimed(spec)
        for event in train([spec], folders=[store.folder(run.id)]):
            if not isinstance(event, Step | Checkpoint):
                store.append(run.id, "w", event)
        done = store.get(run.id)
        assert done is not None
        return done

    return finish


def answered(at: AppTest, store: RunStore) -> AppTest:
    """The page after a worker has answered all that it asked."""
    questions = Questions(store.home)
    assert answer_one(store, questions, "w")
    while answer_one(store, questions, "w"):
        pass
    time.sleep(0.001)
    return healthy(at.run())


# Which runs


def test_it_opens_with_mmoe_against_ple() -> None:
    at = healthy(visit("compare"))
    assert at.session_state["runs"] == [MMOE, PLE]
    assert "runs" not in at.query_params
    assert at.table[0].value.columns.tolist() == ["1 MMoE", "2 PLE"]


def test_it_opens_with_ones_own_two_newest_models(kept: Train) -> None:
    at = healthy(visit("compare"))
    assert at.session_state["runs"] == [MMOE, PLE]
    kept(small("cgc"))
    assert healthy(at.run()).session_state["runs"] == [MMOE, PLE]  # one beside nothing is no comparison
    older, _, newest = kept(small("mmoe", seed=1)), kept(small("mmoe", seed=2)), kept(small("ple", seed=1))
    other_budget = kept(small("omoe", training={"epochs": 1, "batch_size": 100, "device": "cpu"}))
    for page in (healthy(visit("compare")), healthy(at.run())):
        assert page.session_state["runs"] == [older.id, newest.id]
        # Somebody else's page would begin otherwise: the link says which runs are meant.
        assert param(page, "runs") == f"{older.id},{newest.id}"
    # The bundled pair can be had, and is then in the link, too.
    page.multiselect(key="runs").set_value([MMOE, PLE]).run()
    assert param(healthy(page), "runs") == f"{MMOE},{PLE}"
    assert healthy(page.run()).session_state["runs"] == [MMOE, PLE]
    linked = healthy(visit("compare", runs=f"{MMOE},{other_budget.id}"))
    assert linked.session_state["runs"] == [MMOE, other_budget.id]


def param(at: AppTest, name: str) -> str:
    value = at.query_params[name]
    return value if isinstance(value, str) else value[-1]


def test_up_to_six_runs_are_kept_in_the_link_by_their_ids() -> None:
    names = [f"example-{data}-{trunk}-0" for data in ("conflict", "adult") for trunk in ("mmoe", "ple", "cgc")]
    at = visit("compare")
    at.multiselect(key="runs").set_value(names).run()
    healthy(at)
    assert at.query_params["runs"] in (",".join(names), [",".join(names)])
    assert at.multiselect(key="runs").max_selections == 6
    again = healthy(visit("compare", runs=",".join([*names, "example-adult-omoe-0"])))
    assert again.session_state["runs"] == names
    assert len(again.table[0].value.columns) == 6
    # Scores of other data are not compared, and a task that a run does not have stays empty.
    assert "cannot be compared" in texts(again)
    assert again.table[0].value.loc["test AUC, income"].tolist()[:3] == ["", "", ""]


@pytest.mark.parametrize("runs", ["nonsense", ",,,", "../../etc,example-conflict-mmoe-1", "%00'; drop table run"])
def test_a_bad_link_falls_back(runs: str) -> None:
    assert healthy(visit("compare", runs=runs)).session_state["runs"] == [MMOE, PLE]


def test_links_of_two_halves_still_work(kept: Train) -> None:
    done = kept(small("cgc"))
    at = healthy(visit("compare", left=done.id))
    assert at.session_state["runs"] == [done.id, PLE]
    assert "left" not in at.query_params


def test_only_finished_runs_with_gates_are_offered(store: RunStore, kept: Train) -> None:
    done = kept(small("cgc"))
    queued, _ = store.submit(small(seed=9))
    at = healthy(visit("compare", runs=f"{done.id},{queued.id},{PLE}"))
    assert at.session_state["runs"] == [done.id, PLE]
    offered = at.multiselect(key="runs").options
    assert len(offered) == 1 + sum(bool(example.history.gates) for example in examples().values())
    # One is not enough to compare, and who empties the field is told what to do.
    at.multiselect(key="runs").set_value([done.id]).run()
    assert "second run" in healthy(at).info[0].value
    at.multiselect(key="runs").set_value([]).run()
    assert "Pick two" in healthy(at.run()).info[0].value
    assert at.session_state["runs"] == []
    at.multiselect(key="runs").set_value([PLE, MMOE]).run()
    assert healthy(at).table[0].value.columns.tolist() == ["1 PLE", "2 MMoE"]


def test_it_outlives_a_run_that_is_deleted(store: RunStore, kept: Train) -> None:
    done = kept(small("shared_bottom"))
    at = healthy(visit("compare", runs=f"{MMOE},{done.id}"))
    store.delete(done.id)
    assert healthy(at.run()).session_state["runs"] == [MMOE]


# What differs, and what the numbers say


def test_only_what_differs_is_listed_beside_scores_size_and_time() -> None:
    table = visit("compare").table[0].value
    assert table.index[:6].tolist() == [
        "test AUC, A", "test AUC, B", "parameters", "training", "samples per second", "tested epoch",
    ]  # fmt: skip
    record = examples()[MMOE].record
    assert record.metrics_test is not None
    assert table.loc["test AUC, A", "1 MMoE"] == f"{record.metrics_test['A']['auc']:.4f}"
    assert table.loc["parameters"].tolist() == ["1,002", "982"]
    assert table.loc["trunk"].tolist() == ["MMoE", "PLE"]
    assert table.loc["trunk levels"].tolist() == ["", "2"]
    assert not [row for row in table.index if row.startswith(("data", "training e", "seed"))]


def test_runs_of_one_model_with_two_seeds_are_told_apart_by_seed(kept: Train) -> None:
    runs = [kept(small("mmoe", seed=seed)) for seed in (0, 1)]
    at = healthy(visit("compare", runs=",".join(run.id for run in runs)))
    assert at.table[0].value.columns.tolist() == ["1 MMoE, seed 0", "2 MMoE, seed 1"]
    assert "whatever differs is chance" in texts(at)


def test_one_seed_proves_nothing_and_says_so(kept: Train) -> None:
    runs = [kept(small(trunk)) for trunk in ("mmoe", "ple")]
    at = healthy(visit("compare", runs=",".join(run.id for run in runs)))
    assert "one seed and proves nothing" in texts(at)
    assert "±" not in texts(at)


def test_several_seeds_give_an_interval_of_the_paired_difference() -> None:
    said = texts(visit("compare"))
    assert "16 paired seeds" in said
    assert "±" in said


def test_a_regression_is_compared_by_its_squared_error(kept: Train) -> None:
    data = {"name": "video_feed", "options": {"rows": 2000}}
    runs = [kept(small(trunk, data=data)) for trunk in ("mmoe", "shared_bottom")]
    at = healthy(visit("compare", runs=",".join(run.id for run in runs)))
    assert [row for row in at.table[0].value.index if row.startswith("test MSE")]
    assert [c for c in at.get("vega_lite_chart") if "Validation MSE" in c.proto.alt]


# Gates by epoch


def test_gates_and_curves_follow_one_slider() -> None:
    at = visit("compare")
    slider = at.select_slider(key="epoch")
    assert slider.options == [*map(str, range(1, 16)), "tested"]
    before = matrix(at, "1 MMoE. Mean gate weights")
    assert chart(at, "Validation AUC of A")["now"] == []
    at.select_slider(key="epoch").set_value("1").run()
    healthy(at)
    first = examples()[MMOE].history.epochs[0].gates["level 1 / A"].mean
    after = matrix(at, "1 MMoE. Mean gate weights")
    assert after != before
    assert [after["A", f"S{e}"] for e in (1, 2, 3)] == pytest.approx(first)
    assert chart(at, "Validation AUC of A")["now"] == [{"epoch": 1}]
    assert at.query_params["epoch"] in ("1", ["1"])
    means = [row["y"] for row in chart(at, "1 MMoE. Spread")["marks"] if row["role"] == "mean"]
    assert sorted(means) != sorted(before.values())  # type: ignore[type-var]
    again = healthy(visit("compare", epoch="1"))
    assert matrix(again, "1 MMoE. Mean gate weights") == after


def test_an_expert_that_a_gate_may_not_see_is_not_drawn_as_zero() -> None:
    at = visit("compare")
    weights = matrix(at, "2 PLE. Mean gate weights")
    assert weights["A", "B1"] is None
    assert weights["B", "A1"] is None
    a = weights["A", "A1"], weights["A", "S1"]
    assert a[0] is not None
    assert a[1] is not None
    assert sum(v or 0 for v in a) == pytest.approx(1.0, abs=1e-4)
    empty = [t["text"] for t in chart(at, "2 PLE. Spread")["texts"] if t["role"] == "empty"]
    assert empty == ["not visible", "not visible"]


def test_the_level_is_chosen_for_all_and_a_shallower_run_shows_its_last() -> None:
    at = visit("compare")
    assert at.button_group(key="level").value == "2"
    before = matrix(at, "1 MMoE. Mean gate weights"), matrix(at, "2 PLE. Mean gate weights")
    at.button_group(key="level").select("1").run()
    healthy(at)
    assert matrix(at, "1 MMoE. Mean gate weights") == before[0]
    level = matrix(at, "2 PLE. Mean gate weights")
    assert {row for row, _ in level} == {"A", "B", "shared"}
    assert level != before[1]


def test_weights_beyond_zero_and_one_stretch_the_scale_of_all_and_are_named(kept: Train) -> None:
    done = kept(small("pepnet"))
    at = healthy(visit("compare", runs=f"{MMOE},{done.id}"))
    assert "need not sum to 1" in texts(at)
    domains = {
        tuple(layer["encoding"]["fill"]["scale"]["domain"])
        for c in at.get("vega_lite_chart")
        if "Mean gate weights" in c.proto.alt
        for layer in json.loads(c.proto.spec)["layer"]
        if "fill" in layer["encoding"]
    }
    ((low, high),) = domains
    assert low == 0.0
    assert high > 1.0


def test_no_chart_has_more_than_two_thousand_marks() -> None:
    names = [f"example-adult-{trunk}-0" for trunk in ("mmoe", "ple", "cgc", "omoe", "shared_bottom", "single_task")]
    at = healthy(visit("compare", runs=",".join(names)))
    for c in at.get("vega_lite_chart"):
        assert c.proto.alt
        assert sum(len(rows) for rows in chart(at, c.proto.alt).values()) < 2000


# Flow


def test_the_flow_is_one_sankey_per_run_in_which_nothing_is_lost() -> None:
    at = healthy(visit("compare", look="flow"))
    for number in (1, 2):
        (trace,) = figure(at, f"flow.{number}")["data"]
        assert trace["type"] == "sankey"
        into = dict.fromkeys(range(len(trace["node"]["label"])), 0.0)
        out = dict(into)
        for a, b, value in zip(trace["link"]["source"], trace["link"]["target"], trace["link"]["value"], strict=True):
            out[a] += value
            into[b] += value
        for node, label in enumerate(trace["node"]["label"]):
            if label in ("A", "B"):  # towers
                assert into[node] == pytest.approx(1.0, abs=0.01)
            elif label == "features":
                assert out[node] == pytest.approx(2.0, abs=0.02)
            else:
                assert into[node] == pytest.approx(out[node], abs=0.01)
    assert "shared experts pass 100%" in texts(at)


# What the worker is asked


@pytest.fixture
def pair(kept: Train) -> str:
    """Two runs whose weights were kept, as the page's link names them."""
    return ",".join(kept(small(trunk)).id for trunk in ("mmoe", "ple"))


@pytest.mark.parametrize("look", ["whatif", "experts", "quality", "segments"])
def test_a_first_visitor_can_look_inside_the_bundled_pair(look: str, store: RunStore) -> None:
    at = answered(healthy(visit("compare", look=look)), store)
    assert at.get("progress") == []
    assert "nobody can look inside" not in texts(at)
    assert len(at.get("vega_lite_chart")) + len(at.get("plotly_chart")) >= 1
    assert store.runs() == []


def test_bundled_weights_are_those_of_the_bundled_scores(store: RunStore) -> None:
    for run_id in (MMOE, PLE):
        question = Question(run_id, "quality")
        Questions(store.home).ask(question)
        assert answer_one(store, Questions(store.home), "w")
        answer = Questions(store.home).look(question)
        assert isinstance(answer, Answer)
        tested = examples()[run_id].record.metrics_test or {}
        for task, found in answer.content["tasks"].items():
            assert found["metrics"]["auc"] == pytest.approx(tested[task]["auc"], abs=1e-4)


def test_bundled_runs_without_weights_are_trained_here_on_request(
    store: RunStore, kept: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    at = healthy(visit("compare", look="whatif"))
    assert "Not every bundled example carries its weights" in texts(at)
    assert at.get("vega_lite_chart") == []
    at.button(key="off.anew").click().run()
    healthy(at)
    queued = store.runs()
    assert {run.spec_key for run in queued} == {RunSpec.parse(examples()[i].record.spec).key for i in (MMOE, PLE)}
    assert "being trained here" in texts(at)
    assert "off.anew" not in {button.key for button in at.button}
    # The equal run that was trained here answers for the example.
    for run in queued:
        store.delete(run.id)
    twin = kept(RunSpec.parse(examples()[MMOE].record.spec))
    at = healthy(visit("compare", look="whatif", runs=f"{MMOE},{twin.id}"))
    at = answered(at, store)
    assert f"by run {twin.id}" in texts(at)
    assert len(at.get("vega_lite_chart")) == 2


def test_what_if_shows_every_expert_off_for_every_task(store: RunStore, pair: str) -> None:
    at = healthy(visit("compare", look="whatif", runs=pair))
    (bar,) = [bar.proto.text for bar in at.get("progress")]
    assert "waiting for the worker" in bar
    at = answered(at, store)
    assert at.get("progress") == []
    bars = chart(at, "1 MMoE. Change")["bars"]
    assert {(b["expert"], b["task"]) for b in bars} == {(f"without S{e}", t) for e in (1, 2, 3) for t in "AB"}
    # PLE's private experts of the last level serve their own task alone.
    deep = {(b["expert"], b["task"]): b["value"] for b in chart(at, "2 PLE. Change")["bars"]}
    assert deep["A1 of level 2", "B"] == 0.0
    assert "would miss" in texts(at)
    tables = [t.value for t in at.table]
    assert any("A1 of level 2" in table.index for table in tables)


def test_segments_cut_the_gates_by_a_column(store: RunStore, pair: str) -> None:
    at = healthy(visit("compare", look="segments", runs=pair))
    options = at.selectbox(key="by").options
    assert options[0] == "score_A (hidden truth)"
    assert len(options) == 2 + 32
    at = answered(at, store)
    cells = matrix(at, "1 MMoE. Mean weights of the gate of A by score_A")
    rows = list(dict.fromkeys(row for row, _ in cells))
    assert len(rows) == 5
    for row in rows:
        assert sum(v or 0 for (r, _), v in cells.items() if r == row) == pytest.approx(1.0, abs=1e-3)
    assert healthy(visit("compare", look="segments", runs=pair, by="nonsense")).session_state["by"] == "score_A"
    at.selectbox(key="by").set_value("x3").run()
    at = answered(at, store)
    assert matrix(at, "1 MMoE. Mean weights of the gate of A by x3") != cells
    assert at.query_params["by"] in ("x3", ["x3"])
    # Asked once: another visit has the answer at once.
    again = healthy(visit("compare", look="segments", runs=pair, by="x3"))
    assert matrix(again, "1 MMoE. Mean weights of the gate of A by x3")
    assert not answer_one(store, Questions(store.home), "w")


def test_runs_of_other_data_have_no_column_in_common() -> None:
    at = healthy(visit("compare", look="segments", runs=f"{MMOE},example-adult-mmoe-0"))
    assert "no column in common" in at.info[0].value


def test_experts_have_measures_at_once_and_similarity_when_asked(store: RunStore, pair: str) -> None:
    at = healthy(visit("compare", look="experts", runs=pair))
    measures = at.table[0].value
    assert measures["gate"].tolist() == ["A", "B"]
    assert all(value.endswith("of 3") for value in measures["experts used per row"])
    at = answered(at, store)
    alike = matrix(at, "1 MMoE. Similarity")
    assert alike["S1", "S1"] is None  # an expert is not compared with itself
    assert alike["S1", "S2"] == alike["S2", "S1"]
    assert all(0 <= v <= 1 for v in alike.values() if v is not None)
    zeros = matrix(at, "2 PLE. Share of zero")
    assert set(zeros) == {("zeros", name) for name in ("A1", "S1", "B1")}


@pytest.mark.parametrize(("curve", "axis"), [("roc", "true positive rate"), ("precision_recall", "precision")])
def test_curves_of_the_test_rows(store: RunStore, pair: str, curve: str, axis: str) -> None:
    at = answered(healthy(visit("compare", look="quality", runs=pair, curve=curve)), store)
    spec = figure(at, f"quality.{curve}")
    assert spec["layout"]["yaxis"]["title"]["text"] == axis
    lines = [t for t in spec["data"] if t.get("name")]
    assert len(lines) == 4
    # Two runs in a task's hue are told apart by their dashes.
    assert {t["line"]["dash"] for t in lines} == {"solid", "dash"}
    run = store.runs()[1]
    assert run.metrics_test is not None
    assert curve != "roc" or f"AUC {run.metrics_test['A']['auc']:.4f}" in lines[0]["name"]


def test_reliability_names_pcoc_and_ece(store: RunStore, pair: str) -> None:
    at = answered(healthy(visit("compare", look="quality", runs=pair)), store)
    at.button_group(key="curve").select("reliability").run()
    names = [t["name"] for t in figure(healthy(at), "quality.reliability")["data"] if t.get("name")]
    assert all("PCOC" in name and "ECE" in name for name in names)
    assert "too" in texts(at) or "right on average" in texts(at)


def test_a_look_that_fails_says_so_in_one_sentence_and_can_be_tried_again(store: RunStore, pair: str) -> None:
    broken, _ = pair.split(",")
    (store.folder(broken) / checkpoints.WEIGHTS).write_bytes(b"none")
    at = answered(healthy(visit("compare", look="whatif", runs=pair)), store)
    assert "1 MMoE: The weights of this run do not fit" in texts(at)
    assert chart(at, "2 PLE. Change")["bars"]
    at.button(key="off.again.1").click().run()
    (bar,) = [bar.proto.text for bar in healthy(at).get("progress")]
    assert "1 MMoE" in bar


def test_weights_that_were_not_kept_are_trained_again(store: RunStore, pair: str) -> None:
    lost, _ = pair.split(",")
    (store.folder(lost) / checkpoints.WEIGHTS).unlink()
    at = healthy(visit("compare", look="experts", runs=pair))
    assert "Some weights were not kept" in texts(at)
    at.button(key="experts.anew").click().run()
    (queued,) = [run for run in healthy(at) and store.runs() if run.open]
    assert queued.spec == next(run.spec for run in store.runs() if run.id == lost)


def test_a_worker_that_cannot_be_started_is_reported(pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalExecutor, "problem", "The worker could not go on: see worker.log.")
    at = visit("compare", look="quality", runs=pair)
    assert [error.value for error in at.error] == ["The worker could not go on: see worker.log."]


@pytest.mark.usefixtures("real_workers")
def test_a_real_worker_answers_while_the_page_waits(store: RunStore, pair: str) -> None:
    at = visit("compare", look="experts", runs=pair)

    def shown() -> bool:
        return bool([c for c in at.run().get("vega_lite_chart") if "Similarity" in c.proto.alt])

    wait_for(shown, every=0.5)  # the worker needs the processor, too
    healthy(at)


# How long an answer takes


def test_an_interaction_is_quick_with_two_hundred_runs(store: RunStore) -> None:
    for seed in range(200):
        store.submit(small(seed=seed))
    at = healthy(visit("compare"))
    spent = []
    for epoch in ("3", "7", "11", "tested", "2"):
        at.select_slider(key="epoch").set_value(epoch)
        began = time.perf_counter()
        at.run()
        spent.append(time.perf_counter() - began)
    # The whole page, not the fragment alone, and AppTest's own costs on a busy machine: far from tight.
    assert min(spent) < 1.0


# Sentences


def test_sentences_follow_the_intervals(store: RunStore) -> None:
    library = Library(store)
    records = library.records()
    named = {r.id: r for r in records}

    def run(number: int, run_id: str) -> comparing.Compared:
        return comparing.Compared(number, f"{number} {run_id.split('-')[2]}", named[run_id], library.history(run_id))

    shared, ple = run(1, "example-conflict-shared_bottom-0"), run(2, PLE)
    found = comparing.paired(shared, ple, records)
    assert [(d.task, d.interval.n) for d in found] == [("A", 16), ("B", 16)]
    sentence = comparing.score_sentence(shared, ple, records)
    for d in found:
        said = {"gains": "beats", "loses": "loses to", "not distinguishable": "told from chance"}[d.interval.verdict]
        assert said in sentence or "pays" in sentence
    # Turned round, every difference changes its sign.
    turned = comparing.paired(ple, shared, records)
    assert [d.interval.mean for d in turned] == pytest.approx([-d.interval.mean for d in found])
    assert comparing.paired(ple, ple, records) == []


def test_too_many_questions_are_put_off_and_the_page_says_so(
    store: RunStore, pair: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.questions.MOST_WAITING", 1)
    at = healthy(visit("compare", look="whatif", runs=pair))
    assert "wait for the worker already" in texts(at)
    at = answered(at, store)  # the first run's question; now there is room for the second's
    at = answered(at, store)
    assert len([c for c in at.get("vega_lite_chart") if "Change" in c.proto.alt]) == 2
