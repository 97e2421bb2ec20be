"""A number to be predicted is standardised for training, and all that is said of it is in its own units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mtl_core.data.load import load
from mtl_core.data.table import Guess, guess
from mtl_core.data.tables import encode
from mtl_core.engine.evaluation import score
from mtl_core.engine.rows import to_device
from mtl_core.events import Epoch, Finished, Started
from mtl_core.inspection import open_run
from mtl_core.schema import Task
from mtl_core.spec import RunSpec
from mtl_core.training import train

ROWS = 1500
#: Seconds watched: hundreds of them, known where something was clicked.
MEAN, SPREAD = 400.0, 150.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log in which one number explains clicks and seconds."""
    rng = np.random.default_rng(3)
    liking = rng.standard_normal(ROWS)
    click = rng.random(ROWS) < 1 / (1 + np.exp(-liking))
    seconds = MEAN + SPREAD * (0.8 * liking + 0.6 * rng.standard_normal(ROWS))
    table = pd.DataFrame({"liking": liking, "click": click.astype(int), "watch_time": np.where(click, seconds, np.nan)})
    table.to_csv(tmp_path / "log.csv", index=False)
    return tmp_path / "log.csv"


def spec_of(path: Path, **scaling: Any) -> RunSpec:
    """A short run; `scaling` changes the task of the seconds."""
    found = guess(str(path))
    tasks = tuple(t.model_copy(update=scaling) if t.name == "watch_time" else t for t in found.tasks)
    return RunSpec.parse(
        {
            "data": {"name": "table", "options": found.model_copy(update={"tasks": tasks}).options(str(path))},
            "model": {"trunk": {"name": "shared_bottom", "options": {"layers": [16]}}, "towers": [8]},
            "training": {"epochs": 12, "batch_size": 100, "learning_rate": 0.01, "device": "cpu"},
        }
    )


def test_a_guess_standardises_numbers_and_yaml_keeps_it(path: Path) -> None:
    """Binary labels have no scale; a person may say otherwise in the file."""
    found = guess(str(path))
    assert {task.name: task.scaling for task in found.tasks} == {"click": "none", "watch_time": "standard"}
    edited = Guess.from_yaml(found.to_yaml().replace("scaling: standard", "scaling: none"))
    assert {task.name: task.scaling for task in edited.tasks} == {"click": "none", "watch_time": "none"}


def test_the_scale_is_that_of_the_training_rows_in_the_sample_space(path: Path) -> None:
    """Rows outside are neither read nor moved; without scaling labels stay what they are."""
    spec = spec_of(path)
    data, plain = load(spec.data, 0), load(spec_of(path, scaling="none").data, 0)
    inside = plain.train.mask[:, 1]
    raw = plain.train.labels[inside, 1].astype(float)
    assert data.scales == {"watch_time": (pytest.approx(raw.mean()), pytest.approx(raw.std()))}
    assert plain.scales == {}
    assert data.train.labels[inside, 1].mean() == pytest.approx(0, abs=1e-4)
    assert data.train.labels[inside, 1].std() == pytest.approx(1, abs=1e-4)
    assert not data.train.labels[~inside, 1].any()
    mean, deviation = data.scales["watch_time"]
    for mine, theirs in ((data.valid, plain.valid), (data.test, plain.test)):
        np.testing.assert_allclose(
            mine.labels[mine.mask[:, 1], 1] * deviation + mean, theirs.labels[theirs.mask[:, 1], 1], rtol=1e-4
        )
        np.testing.assert_array_equal(mine.labels[:, 0], theirs.labels[:, 0])


def test_what_a_run_says_is_in_the_labels_own_units(path: Path, tmp_path: Path) -> None:
    """Squared seconds below their variance in events, in a look inside, and from the code that people copy."""
    spec = spec_of(path)
    events = list(train([spec], folders=[tmp_path / "run"]))
    started, finished = (next(e for e in events if isinstance(e, kind)) for kind in (Started, Finished))
    assert started.label_rates["watch_time"] == pytest.approx(MEAN, rel=0.2)
    told = finished.metrics["test"]["watch_time"]["mse"]
    assert told is not None
    assert 0.3 * SPREAD**2 < told < 0.8 * SPREAD**2
    last = [event for event in events if isinstance(event, Epoch)][-1]
    assert last.losses["watch_time"] < 1
    assert (last.metrics["valid"]["watch_time"]["mse"] or 0) > 0.3 * SPREAD**2
    looked = open_run(spec, tmp_path / "run")
    inside = looked.quality()["tasks"]["watch_time"]
    assert inside["metrics"]["mse"] == pytest.approx(told, rel=1e-5)
    assert inside["rate"] == pytest.approx(MEAN, rel=0.2)
    assert np.mean(inside["reliability"][0]) == pytest.approx(MEAN, rel=0.2)
    rows = to_device(looked.data.test, torch.device("cpu"))
    copied = score(looked.model, rows, looked.data.schema.tasks, looked.data.scales)
    assert copied["watch_time"]["mse"] == pytest.approx(told, rel=1e-5)
    assert copied["click"]["auc"] == pytest.approx(finished.metrics["test"]["click"]["auc"])


def test_seconds_no_longer_drown_the_clicks(path: Path) -> None:
    """At equal weights the raw label leaves the clicks next to nothing of the step, the standardised one a part."""
    shares = {}
    for scaling in ("none", "standard"):
        epochs = [event for event in train([spec_of(path, scaling=scaling)]) if isinstance(event, Epoch)]
        conflict = epochs[0].conflict
        assert conflict is not None
        shares[scaling] = conflict.effective[0] or 0.0
    assert shares["none"] < 0.01
    assert shares["standard"] > 0.08


def test_a_number_that_is_the_same_in_all_training_rows_is_only_moved() -> None:
    """Nothing is divided by zero."""
    from mtl_core.data.base import Frames
    from mtl_core.schema import Feature, Schema

    rows = pd.DataFrame({"x": np.arange(8.0), "y": 5.0})
    tasks = (Task(name="y", kind="regression", label="y", scaling="standard"),)
    data = encode(Schema(features=(Feature(name="x", kind="numeric"),), tasks=tasks), Frames(rows, rows, rows))
    assert data.scales == {"y": (5.0, 1.0)}
    assert not data.train.labels.any()
