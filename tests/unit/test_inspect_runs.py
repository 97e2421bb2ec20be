"""Inside finished runs: what is found is what the run said, and an expert that is switched off is really off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
import torch

from mtl_core import checkpoints, registry
from mtl_core.comparison import preset_spec
from mtl_core.data.load import load
from mtl_core.events import Finished
from mtl_core.inspection import CannotLook, Inspection, expert_off, open_run, renormalised, segments_of
from mtl_core.nn.mixture import MixtureTrunk
from mtl_core.spec import RunSpec
from mtl_core.training import build_model, train
from mtl_core.trunks.wiring import Gate, gate_key

#: Models that have just begun: nothing here depends on what was learned.
BEGUN = {"epochs": 1, "batch_size": 256, "learning_rate": 0.01, "device": "cpu"}


def small(trunk: str, data: str = "conflict", **options: Any) -> RunSpec:
    return preset_spec(data, trunk, data={"name": data, "options": options or {"rows": 1000}}, training=BEGUN)


def trained(spec: RunSpec, folder: Path) -> Finished:
    (last,) = [event for event in train([spec], folders=[folder]) if isinstance(event, Finished)]
    return last


def fresh(spec: RunSpec) -> Inspection:
    data = load(spec.data, spec.seed)
    return Inspection(spec, build_model(spec, data).eval(), data)


def carried_by_the_first() -> Inspection:
    """An MMoE of two experts with even gates; only the first sends anything, and scaling it changes no order."""
    spec = RunSpec.parse(
        {
            "data": {"name": "conflict", "options": {"rows": 1000}},
            "model": {"trunk": {"name": "mmoe", "options": {"experts": 2, "expert_layers": [8]}}},
            "training": BEGUN,
        }
    )
    inside = fresh(spec)
    trunk = cast(MixtureTrunk, inside.model.trunk)
    with torch.no_grad():
        level = cast(Any, trunk.levels[0])
        level.gate_weight.zero_()
        level.experts.weights[-1][1] = 0.0
        level.experts.biases[-1][1] = 0.0
        for bank in inside.model.towers.banks:
            for bias in cast(Any, bank).biases:
                bias.zero_()
    return inside


def test_without_the_expert_that_carries_a_task_its_auc_is_chance() -> None:
    found = carried_by_the_first().switch_off()
    first, second = found["off"]
    for task, before in found["before"].items():
        assert before != 0.5
        assert first["change"][task] == 0.5 - before
        assert second["change"][task] == 0.0
    assert (found["split"], found["rows"]) == ("test", 200)


def test_the_weights_of_an_expert_that_is_off_go_to_the_others_in_proportion() -> None:
    weights = torch.tensor([[[0.7, 0.2, 0.1]], [[0.0, 1.0, 0.0]], [[0.5, -0.5, 2.0]]])
    gates = [
        Gate(name="A", owner=0, source=0, sees=(0, 1, 2)),
        Gate(name="B", owner=1, source=0, sees=(1,)),
        Gate(name="C", owner=2, source=0, sees=(0, 1, 2), kind="mix"),
    ]
    off = renormalised(weights, gates, 1)
    torch.testing.assert_close(off[0, 0], torch.tensor([0.875, 0.0, 0.125]))
    assert off[1, 0].tolist() == [0.0, 0.0, 0.0]  # nothing else to turn to
    assert off[2, 0].tolist() == [0.5, 0.0, 2.0]  # constants are not scaled


@pytest.mark.parametrize("trunk", registry.names("trunk"))
def test_an_expert_of_any_trunk_is_off_and_on_again(trunk: str) -> None:
    inside = fresh(small(trunk))
    model, inputs = inside.model, inside.test.at(slice(64)).inputs
    with torch.no_grad():
        before = model(inputs)
        for number, level in enumerate(model.trunk.wiring.levels, start=1):
            for e in range(len(level.experts)):
                if trunk == "sluice" and number == len(model.trunk.wiring.levels):
                    continue  # layers, not networks
                with expert_off(model, number, e):
                    off = model(inputs)
                for gate in level.gates:
                    if gate.kind == "softmax" and len(gate.sees) > 1:
                        weights = off.gates[gate_key(number, gate.name)]
                        assert (weights[:, e] == 0).all()
                        torch.testing.assert_close(weights.sum(1), torch.ones(64))
        after = model(inputs)
    for task in before.logits:
        assert torch.equal(before.logits[task], after.logits[task])
    assert len(inside.switch_off()["off"]) >= 1
    assert inside.experts()["levels"]


def test_a_private_expert_serves_its_own_task_alone(tmp_path: Path) -> None:
    spec = small("cgc")
    trained(spec, tmp_path)
    off = {entry["expert"]: entry for entry in open_run(spec, tmp_path).switch_off()["off"]}
    assert off["A1"]["change"]["B"] == 0.0
    assert off["A1"]["change"]["A"] != 0.0
    assert off["B1"]["change"]["A"] == 0.0
    assert (off["A1"]["owner"], off["S1"]["owner"]) == (0, None)


def test_the_curves_belong_to_the_scores_that_the_run_told(tmp_path: Path) -> None:
    spec = small("mmoe")
    told = trained(spec, tmp_path).metrics["test"]
    found = open_run(spec, tmp_path).quality()
    for task, values in found["tasks"].items():
        for name in ("auc", "pcoc", "ece", "log_loss"):
            assert values["metrics"][name] == pytest.approx(told[task][name], abs=1e-6)
        assert values["rows"] == 200
        assert values["roc"][0][0] == values["roc"][1][0] == 0.0
    assert len(json.dumps(found)) < 40_000


def test_scores_are_taken_in_each_tasks_sample_space_and_numbers_have_no_roc(tmp_path: Path) -> None:
    spec = small("shared_bottom", "video_feed", rows=2000)
    trained(spec, tmp_path)
    inside = open_run(spec, tmp_path)
    found = inside.quality()["tasks"]
    for k, task in enumerate(spec.schema.tasks):
        assert found[task.name]["rows"] == int(inside.test.mask[:, k].sum())
        assert (found[task.name]["roc"] is None) == (
            task.kind == "regression" or found[task.name]["metrics"]["auc"] is None
        )
        assert sum(found[task.name]["reliability"][2]) == found[task.name]["rows"]
    kinds = {task.kind for task in spec.schema.tasks}
    assert kinds == {"binary", "regression"}


def test_segments_are_means_over_their_rows() -> None:
    inside = fresh(small("mmoe"))
    found = inside.segments("x0")
    assert len(found["segments"]) == len(found["rows"]) == 5
    assert sum(found["rows"]) == 200
    assert max(found["rows"]) - min(found["rows"]) <= 1
    with torch.no_grad():
        out = inside.model(inside.valid.inputs)
    values = inside.valid.inputs.numeric[:, 0]  # this world does not scale its features
    low = values <= torch.quantile(values, 0.2)
    for key, rows in found["gates"].items():
        torch.testing.assert_close(torch.tensor(rows[0]), out.gates[key][low].mean(0), atol=1e-4, rtol=0)
        weighted = sum(n * torch.tensor(row) for n, row in zip(found["rows"], rows, strict=True)) / 200
        torch.testing.assert_close(weighted, out.gates[key].mean(0), atol=1e-4, rtol=0)


def test_hidden_columns_may_cut_the_rows_and_unknown_ones_may_not() -> None:
    inside = fresh(small("mmoe"))
    assert len(inside.segments("score_A")["segments"]) == 5
    with pytest.raises(CannotLook, match="no column 'nonsense'"):
        inside.segments("nonsense")


def test_segments_of_categories_numbers_and_gaps() -> None:
    names, place = segments_of(pd.Series([*"aabbbcdefghij", None]))
    assert names[:2] == ["b", "a"]  # the most frequent first
    assert names[-1] == "other"
    assert len(names) == 9
    assert place[:5].tolist() == [1, 1, 0, 0, 0]
    assert segments_of(pd.Series([1.0, 0.0, 1.0]))[0] == ["0", "1"]
    names, place = segments_of(pd.Series([*range(100), None]))
    assert names[0].startswith("up to ")
    assert names[-1] == "missing"
    assert torch.bincount(place).tolist() == [20, 20, 20, 20, 20, 1]
    # Quantiles that fall together make fewer segments, none of them empty.
    names, place = segments_of(pd.Series([0.0] * 90 + [float(i) for i in range(1, 11)]))
    assert (torch.bincount(place, minlength=len(names)) > 0).all()


def test_lengths_cut_sequences() -> None:
    inside = fresh(small("mmoe", "ecommerce_sequences", rows=2000))
    name = inside.data.schema.sequences[0].name
    assert sum(inside.segments(name)["rows"]) == len(inside.valid.labels)


def test_a_run_without_weights_or_with_anothers_is_not_looked_into(tmp_path: Path) -> None:
    spec = small("mmoe")
    with pytest.raises(CannotLook, match="were not kept"):
        open_run(spec, tmp_path)
    checkpoints.save_weights(tmp_path, {"nothing": torch.zeros(1)})
    with pytest.raises(CannotLook, match="do not fit"):
        open_run(spec, tmp_path)


def test_a_look_between_two_steps_changes_nothing_of_the_training(tmp_path: Path) -> None:
    spec = small("mmoe")
    trained(spec, tmp_path / "before")

    def weights(folder: str, *, looked_at: bool) -> dict[str, torch.Tensor]:
        other = spec.model_copy(update={"seed": 1})
        for _ in train([other], folders=[tmp_path / folder], step_seconds=0):
            if looked_at:
                inside = open_run(spec, tmp_path / "before")
                inside.switch_off()
                inside.segments("x0")
        return checkpoints.load_weights(tmp_path / folder)

    plain, watched = weights("plain", looked_at=False), weights("watched", looked_at=True)
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
