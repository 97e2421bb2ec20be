"""Features that give a label away: named when they do, and not when they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core.data import files
from mtl_core.data.adult import Adult
from mtl_core.data.base import DataError, Frames
from mtl_core.data.census_income import CensusIncome
from mtl_core.data.conflict import Conflict
from mtl_core.data.leaks import leak_notes, single_feature_aucs
from mtl_core.schema import Feature, Schema, Task

ROWS = 4000


def frames(seed: int = 0, **columns: Any) -> tuple[Frames, Schema]:
    """Two harmless features, two labels in a funnel, and these columns as features too."""
    rng = np.random.default_rng(seed)
    click = rng.random(ROWS) < 0.3
    table = pd.DataFrame(
        {
            "age": rng.normal(40, 9, ROWS),
            "city": rng.choice(np.array(["Bern", "Lima", "Oslo"], object), ROWS),
            "click": click.astype(float),
            "buy": (click & (rng.random(ROWS) < 0.4)).astype(float),
        }
    )
    for name, make in columns.items():
        table[name] = make(table, rng)
    numeric = {name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])}
    features = tuple(
        Feature(name=name, kind="numeric" if name in numeric else "categorical")
        for name in table.columns
        if name not in ("click", "buy")
    )
    tasks = (Task(name="click", label="click"), Task(name="buy", label="buy", space="click"))
    return Frames(table, table, table), Schema(features=features, tasks=tasks)


@pytest.mark.parametrize(
    "make",
    [
        lambda t, rng: t["click"] + rng.normal(0, 0.1, ROWS),
        lambda t, rng: -t["click"] * 1e9,
        lambda t, rng: np.where(t["click"] == 1, rng.normal(9, 1, ROWS), np.nan),
        lambda t, rng: np.where(t["click"] == 1, "opened", "shown"),
        lambda t, rng: pd.Categorical(np.where(t["click"] == 1, rng.choice(["a", "b"], ROWS), None)),
        lambda t, rng: [f"{int(c)}{i % 50}" for i, c in enumerate(t["click"])],
    ],
    ids=["close to the label", "falling", "known only after a click", "words", "missing without a click", "codes"],
)
def test_a_planted_leak_is_named(make: Any) -> None:
    """Numbers in either direction, words, gaps: with the feature's and the task's name."""
    notes = leak_notes(*frames(leak=make))
    assert len(notes) == 1
    assert notes[0].startswith("Feature leak alone gives task click away (AUC ")


def test_a_leak_counts_within_the_sample_space() -> None:
    """What gives a purchase away among clicks need not do so over all rows, and the other way round."""
    notes = leak_notes(*frames(leak=lambda t, rng: np.where(t["click"] == 1, t["buy"], rng.random(ROWS))))
    assert [note.split(" (")[0] for note in notes] == ["Feature leak alone gives task buy away"]
    assert [n.split()[5] for n in leak_notes(*frames(leak=lambda t, rng: t["click"] + 0.0))] == ["click"]


def test_harmless_features_are_left_alone() -> None:
    """Noise, an id of its own in every row, an id with few rows each."""
    parts, schema = frames(
        row=lambda t, rng: [f"r{i}" for i in range(ROWS)], few=lambda t, rng: rng.integers(0, 900, ROWS).astype(str)
    )
    assert leak_notes(parts, schema) == ()
    aucs = single_feature_aucs(parts.train, schema)
    assert aucs["click"]["row"] == 0.5
    assert max(auc for task in aucs.values() for auc in task.values()) < 0.6


def test_a_regression_label_is_looked_at_too() -> None:
    """Cut at its median."""
    parts, schema = frames(leak=lambda t, rng: np.arange(ROWS) * 1.0)
    table = parts.train.assign(dwell=lambda t: np.log1p(t["leak"]))
    schema = Schema(features=schema.features, tasks=(Task(name="dwell", kind="regression", label="dwell"),))
    assert len(leak_notes(Frames(table, table, table), schema)) == 1


def test_a_label_that_hardly_occurs_says_nothing() -> None:
    """Ten positives give no warning, however well a feature fits them; nor do no rows at all."""
    parts, schema = frames(leak=lambda t, rng: t["click"])
    table = parts.train.assign(click=0.0, buy=0.0)
    table.loc[:9, "click"] = 1.0
    assert leak_notes(Frames(table, table, table), schema) == ()
    empty = table.iloc[:0]
    assert leak_notes(Frames(empty, empty, empty), schema) == ()


def test_the_global_random_state_stays() -> None:
    """And the same rows give the same numbers."""
    before = np.random.get_state()[1].copy()
    parts, schema = frames()
    assert single_feature_aucs(parts.train, schema) == single_feature_aucs(parts.train, schema)
    assert np.array_equal(before, np.random.get_state()[1])


def test_made_worlds_and_public_data_are_not_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strongest single features: relationship .914 in adult, household status .976 in census, both below .98."""
    assert leak_notes(Conflict().frames(0), Conflict().table_schema()) == ()

    def no_download(*_args: Any, **_options: Any) -> str:
        raise OSError("tests do not download")

    monkeypatch.setattr("pooch.retrieve", no_download)
    for options, feature, auc in (
        (Adult(), "relationship", 0.914),
        (CensusIncome(split="test_only"), "household_status", 0.976),
    ):
        try:
            parts = options.frames(0)
        except DataError:
            pytest.skip(f"no public files here; {files.cache_folder()} is empty")
        schema = options.table_schema()
        assert leak_notes(parts, schema) == ()
        found = single_feature_aucs(parts.train, schema)["never_married"]
        assert max(found, key=lambda name: found[name]) == feature
        assert found[feature] == pytest.approx(auc, abs=0.006)
