"""The report of a comparison: it stands alone, says what was measured, and shows what text it is given as text."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from app import report
from app.charts import still
from app.charts.svg import as_file
from app.jobs.archive import Labels
from app.library import examples
from app.report import Told
from app.report_settings import data_section, model_section
from mtl_core.comparison import paired_interval, preset_spec
from mtl_core.spec import RunSpec


def told(*names: str) -> list[Told]:
    return [
        Told(examples()[f"example-{name}"].record, examples()[f"example-{name}"].history, Labels()) for name in names
    ]


SEEDS = [f"conflict-{trunk}-{seed}" for trunk in ("shared_bottom", "mmoe", "ple") for seed in range(4)]


def auc(name: str, task: str) -> float:
    metrics = examples()[f"example-{name}"].record.metrics_test
    assert metrics is not None
    value = metrics[task]["auc"]
    assert value is not None
    return value


def test_it_needs_nothing_from_anywhere() -> None:
    page = report.page(told(*SEEDS))
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\ssrc=|\shref=", page)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert len(page) < 2_000_000


def test_its_pictures_are_sound_and_have_alternative_texts() -> None:
    page = report.page(told(*SEEDS))
    pictures = re.findall(r"<svg .*?</svg>", page)
    assert len(pictures) == 2 + 2 * 3  # a curve per task; architecture and gates per model
    for picture in pictures:
        assert len(ET.fromstring(picture).attrib["aria-label"]) > 10


def test_scores_are_means_over_seeds_with_their_intervals() -> None:
    page = report.page(told(*SEEDS))
    interval = paired_interval([auc(f"conflict-ple-{seed}", "B") for seed in range(4)])
    assert f"{interval.mean:.4f} ±{interval.half_width:.4f}" in page
    single = report.page(told("conflict-ple-0"))
    assert f"{auc('conflict-ple-0', 'B'):.4f}" in single
    assert "±" not in single
    assert "One seed each" in single


def test_gains_are_paired_by_seed_and_bracketed_where_they_may_be_chance() -> None:
    gains = [1000 * (auc(f"conflict-mmoe-{s}", "A") - auc(f"conflict-shared_bottom-{s}", "A")) for s in range(4)]
    interval = paired_interval(gains)
    cell = f"+{interval.mean:.1f} ±{interval.half_width:.1f}"
    assert interval.verdict == "gains"
    page = report.page(told(*SEEDS))
    assert f"<td class=n>{cell}</td>" in page
    # Seeds that the first model does not have say nothing about it.
    apart = report.page(told("conflict-shared_bottom-0", "conflict-mmoe-0", "conflict-mmoe-1"))
    assert f"<td class=n>(+{gains[0]:.1f})</td>" in apart
    assert "<h2>Gain" not in report.page(told("conflict-ple-0", "conflict-mmoe-1"))
    assert "<h2>Gain" not in report.page(told("conflict-ple-0", "adult-ple-0"))


def test_runs_of_one_model_are_one_line() -> None:
    found = report.models(told("conflict-ple-1", "conflict-mmoe-0", "conflict-ple-0"))
    assert [(model.name, [run.record.seed for run in model.runs]) for model in found] == [
        ("1 PLE", [0, 1]),
        ("2 MMoE", [0]),
    ]
    line = report.curve(found[0], "A")
    values = [
        [e.metrics["valid"]["A"]["auc"] for e in examples()[f"example-conflict-ple-{s}"].history.epochs] for s in (0, 1)
    ]
    assert [value for _, value in line.points] == pytest.approx([(a + b) / 2 for a, b in zip(*values, strict=True)])


def test_models_on_different_data_say_on_which() -> None:
    found = report.models(told("conflict-ple-0", "adult-ple-0"))
    assert found[0].name.endswith("on Conflict")
    page = report.page(told("conflict-ple-0", "adult-ple-0"))
    assert "never_married, AUC" in page


def test_only_what_differs_is_listed() -> None:
    page = report.page(told("conflict-ple-0", "conflict-mmoe-0"))
    table = page.split("<h2>What differs</h2>", 1)[1].split("</table>", 1)[0]
    assert "trunk levels" in table
    assert "learning rate" not in table
    assert "What differs" not in report.page(told("conflict-ple-0", "conflict-ple-1"))


def test_what_people_wrote_is_text() -> None:
    (run,) = told("conflict-ple-0")
    page = report.page([replace(run, labels=Labels(("<i>tag</i>",), "<script>alert(1)</script>"))])
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<i>" not in page


def test_curves_that_end_alike_have_labels_apart() -> None:
    lines = [still.Line(f"model {n}", "A", ((1, 0.5), (2, 0.9 + n * 1e-5))) for n in range(4)]
    picture = ET.fromstring(still.curves_svg(lines, "AUC", "#0072B2"))
    texts = picture.iter("{http://www.w3.org/2000/svg}text")
    heights = sorted(float(t.attrib["y"]) for t in texts if (t.text or "").startswith("model"))
    assert len(heights) == 4
    assert min(b - a for a, b in itertools.pairwise(heights)) > 13
    dashes = {line.attrib.get("stroke-dasharray") for line in picture.iter("{http://www.w3.org/2000/svg}polyline")}
    assert len(dashes) == 4  # one hue, told apart without it


def test_a_task_without_a_score_has_no_curve_and_says_so() -> None:
    assert "Nothing was measured." in still.curves_svg([still.Line("m", "A", ())], "AUC", "#0072B2")


def test_the_width_of_a_line_is_the_weight_of_its_gate() -> None:
    history = examples()["example-conflict-mmoe-0"].history
    assert history.started is not None
    picture = still.architecture_svg(history.started.wiring, ["A", "B"], history.gates)
    drawn = {
        path[0].text: float(path.attrib["stroke-width"])
        for path in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}path")
    }
    gate = history.gates["level 1 / A"]
    first = history.started.wiring.levels[0].experts[0].name
    assert drawn[f"A takes {gate.mean[0]:.0%} from {first}"] == pytest.approx(13.0 * gate.mean[0], abs=0.06)


def test_a_picture_of_its_own_has_a_ground() -> None:
    (run,) = told("conflict-ple-0")
    file = as_file(report.run_curves_svg(run))
    assert ET.fromstring(file).attrib["style"].startswith("color:")
    assert len(re.findall("<polyline", file)) == 2


def test_settings_are_told_in_full() -> None:
    """Everything that a reader needs to train the same: data, split, every option, and the spec itself."""
    page = report.page(told(*SEEDS))
    settings = page[page.index("<h2>Settings</h2>") :]
    record = examples()["example-conflict-ple-0"].record
    spec = RunSpec.parse(record.spec)
    assert "14,400 training" in settings
    assert "labels: A (yes or no), B (yes or no)" in settings
    assert f"{len(spec.schema.features)} features" in settings
    specs = [json.loads(unescape(text)) for text in re.findall(r"<pre>(.*?)</pre>", settings, re.S)]
    assert [value["model"]["trunk"]["name"] for value in specs] == ["shared_bottom", "mmoe", "ple"]
    assert RunSpec.parse(specs[2]) == spec
    for option in ("training learning rate", "training batch size", "trunk expert layers", "towers", "seed"):
        assert settings.count(f"<td>{option}</td>") >= 2
    assert settings.count("<details>") == 2 * 3


def test_a_file_of_ones_own_is_told_by_its_name_and_hash(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("age,click\n" + "\n".join(f"{i},{i % 2}" for i in range(200)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = preset_spec("table", "mmoe", data={"name": "table", "options": {"path": str(path), "sha256": digest}})
    run = told("conflict-mmoe-0")[0]
    text = data_section([(spec, run.history)]) + model_section("1 MMoE", spec)
    assert "shop.csv" in text
    assert digest[:16] in text
    assert str(tmp_path) not in text
    assert "split random" in text
