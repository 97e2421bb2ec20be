"""From rows to arrays: what is fitted where, what no model may see, and the two data sets."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pooch
import pytest
import requests
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from mtl_core.data import files
from mtl_core.data.adult import CATEGORIES, Adult
from mtl_core.data.adult import FILES as ADULT_FILES
from mtl_core.data.base import DataError, Frames
from mtl_core.data.conflict import Conflict
from mtl_core.data.tables import Arrays, Encoded, TableEncoder, encode
from mtl_core.nn.embedding import EmbeddingEncoder
from mtl_core.nn.encoder import Inputs
from mtl_core.schema import Feature, Schema, Task

SCHEMA = Schema(
    features=(
        Feature(name="age", kind="numeric"),
        Feature(name="gain", kind="numeric", scaling="quantile", bins=4),
        Feature(name="raw", kind="numeric", scaling="none"),
        Feature(name="city", kind="categorical"),
        Feature(name="sex", kind="categorical", categories=("f", "m")),
    ),
    tasks=(Task(name="click", label="y_click"), Task(name="buy", label="y_buy", space="clicked")),
    hidden=("truth",),
)


def table(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """A table that fits the schema."""
    rng = np.random.default_rng(seed)
    clicked = rng.random(rows) < 0.5
    return pd.DataFrame(
        {
            "age": rng.normal(40, 9, rows),
            "gain": np.exp(rng.normal(0, 3, rows)),
            "raw": rng.normal(0, 1, rows),
            "city": rng.choice(["Bern", "Lima", "Oslo"], rows),
            "sex": rng.choice(["f", "m"], rows),
            "clicked": clicked,
            "y_click": clicked.astype(float),
            "y_buy": np.where(clicked, rng.integers(0, 2, rows), np.nan),
            "truth": rng.random(rows),
        }
    )


def frames(test: pd.DataFrame | None = None, valid: pd.DataFrame | None = None) -> Frames:
    """Three splits."""
    return Frames(table(seed=0), table(seed=1) if valid is None else valid, table(seed=2) if test is None else test)


def inputs_of(split: Arrays) -> Inputs:
    """What a model reads of these rows."""
    return Inputs(*(torch.from_numpy(part) for part in (split.numeric, split.ids, split.sequences, split.missing)))


def arrays_of(split: Any) -> tuple[NDArray[Any], ...]:
    """The four arrays of a split."""
    return split.numeric, split.ids, split.labels, split.mask


def test_arrays_have_the_schemas_shapes_and_the_rows_order() -> None:
    """Numeric features, embedded fields and tasks, in the schema's order."""
    data = encode(SCHEMA, frames())
    assert data.train.numeric.shape == (60, 3)
    assert data.train.ids.shape == (60, 3)
    assert data.train.labels.shape == data.train.mask.shape == (60, 2)
    rows = table(seed=0)
    assert data.train.numeric[:, 2] == pytest.approx(rows["raw"], rel=1e-6)
    assert [("?", "Bern", "Lima", "Oslo")[i] for i in data.train.ids[:, 0]] == rows["city"].tolist()
    assert [("?", "f", "m")[i] for i in data.train.ids[:, 1]] == rows["sex"].tolist()
    assert data.train.mask[:, 1].tolist() == rows["clicked"].tolist()
    assert data.train.labels[:, 0].tolist() == rows["y_click"].tolist()


# T23
def test_everything_is_fitted_on_training_rows_only() -> None:
    """Extreme rows and new values in validation and test change no array of the training rows, nor each other's."""
    extreme = table(seed=3).assign(age=1e6, gain=1e9, city="Atlantis")
    plain, spoilt = encode(SCHEMA, frames()), encode(SCHEMA, frames(test=extreme, valid=extreme))
    for mine, theirs in zip(arrays_of(plain.train), arrays_of(spoilt.train), strict=True):
        assert np.array_equal(mine, theirs)
    assert plain.columns == spoilt.columns
    assert spoilt.test.numeric[:, 0].min() > 1e3


def test_standard_scaling_is_that_of_the_training_rows() -> None:
    """Mean 0 and variance 1 on the training rows; others by the same shift and scale."""
    data, rows = encode(SCHEMA, frames()), table(seed=0)
    assert data.train.numeric[:, 0].mean() == pytest.approx(0, abs=1e-6)
    assert data.train.numeric[:, 0].std() == pytest.approx(1, abs=1e-6)
    expected = (table(seed=2)["age"] - rows["age"].mean()) / rows["age"].std(ddof=0)
    assert data.test.numeric[:, 0] == pytest.approx(expected.to_numpy(), abs=1e-5)


def test_quantile_scaling_takes_the_tail_away_and_keeps_the_order() -> None:
    """A value a million times the largest seen stays a few standard deviations away."""
    test = table(seed=2)
    test.loc[0, "gain"] = 1e15
    data = encode(SCHEMA, frames(test=test))
    assert np.abs(data.test.numeric[:, 1]).max() < 10
    order = np.argsort(table(seed=0)["gain"].to_numpy())
    assert (np.diff(data.train.numeric[order, 1]) >= 0).all()


def test_missing_numbers_become_the_training_median() -> None:
    """NaN and infinities are filled with the median of the training rows' known values, and marked."""
    test = table(seed=2)
    test.loc[0, "raw"], test.loc[1, "raw"], test.loc[2, "raw"] = np.nan, np.inf, -np.inf
    found = encode(SCHEMA, frames(test=test)).test
    assert found.numeric[:3, 2].tolist() == pytest.approx([table(seed=0)["raw"].median()] * 3)
    assert np.argwhere(found.missing).tolist() == [[0, 2], [1, 2], [2, 2]]


def test_bins_grow_with_the_value_and_missing_ones_are_unknown() -> None:
    """Bin ids run from 1 upwards in the order of the values; a missing value is the field's unknown row 0."""
    test = table(seed=2)
    test.loc[0, "gain"], test.loc[1, "gain"], test.loc[2, "gain"] = np.nan, -1.0, 1e12
    data = encode(SCHEMA, frames(test=test))
    order = np.argsort(table(seed=0)["gain"].to_numpy())
    assert (np.diff(data.train.ids[order, 2]) >= 0).all()
    assert set(data.train.ids[:, 2]) == {1, 2, 3, 4}
    assert data.test.ids[:3, 2].tolist() == [0, 1, 4]
    assert [(f.name, f.rows, f.binned) for f in data.columns.fields] == [
        ("city", 4, False),
        ("sex", 3, False),
        ("gain", 5, True),
    ]


# T24
def test_values_never_seen_become_the_fields_unknown_value() -> None:
    """0, and every id stays inside its field's rows."""
    test = table(seed=2).assign(city="Atlantis")
    test.loc[0, "sex"] = "x"
    data = encode(SCHEMA, frames(test=test))
    assert (data.test.ids[:, 0] == 0).all()
    assert data.test.ids[0, 1] == 0
    assert (data.test.ids[1:, 1] > 0).all()
    for split in (data.train, data.valid, data.test):
        assert split.ids.min() >= 0
        assert (split.ids.max(0) < np.array(data.columns.tables)).all()


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_a_missing_category_is_a_value_of_its_own(missing: Any, dtype: str) -> None:
    """Seen in training it has an id of its own, apart from unknown; never seen it is unknown; never -1."""
    train = table(seed=0).astype({"city": object})
    train.loc[0, "city"] = missing
    test = table(seed=2).astype({"city": object})
    test.loc[0, "city"], test.loc[1, "city"] = missing, "Atlantis"
    train["city"], test["city"] = train["city"].astype(dtype), test["city"].astype(dtype)
    data = encode(SCHEMA, Frames(train, test, test))
    assert data.columns.fields[0].rows == 3 + 1 + 1
    assert data.test.ids[0, 0] == data.train.ids[0, 0] > 0
    assert data.test.ids[1, 0] == 0
    never = encode(SCHEMA, Frames(table(seed=0), test, test))
    assert never.test.ids[0, 0] == 0


def test_embedding_rows_of_two_fields_are_apart() -> None:
    """Encoded ids of one field move no embedding row of the other, whatever the values, unknown ones included."""
    test = table(seed=2).assign(city="Atlantis", sex="x")
    data = encode(SCHEMA, frames(test=test))
    encoder = EmbeddingEncoder(data.columns, 2, 1, torch.Generator().manual_seed(0))
    starts = np.cumsum([0, *data.columns.tables])
    for split in (data.train, data.test):
        for field in range(3):
            assert encoder.table is not None
            x = encoder(inputs_of(split))
            (gradient,) = torch.autograd.grad(x[0, :, 3 + 2 * field : 5 + 2 * field].sum(), encoder.table)
            touched = gradient.abs().sum(1).nonzero().flatten().numpy()
            assert set(touched) == {starts[field] + i for i in split.ids[:, field]}


def test_hidden_columns_and_labels_reach_no_input() -> None:
    """Other truth, labels and spaces leave the inputs bit for bit."""
    plain = encode(SCHEMA, frames()).train
    other = table(seed=0).assign(truth=7.0, y_click=1.0, y_buy=0.0, clicked=True)
    spoilt = encode(SCHEMA, Frames(other, other, other)).train
    assert np.array_equal(plain.numeric, spoilt.numeric)
    assert np.array_equal(plain.ids, spoilt.ids)
    assert np.array_equal(plain.sequences, spoilt.sequences)
    assert np.array_equal(plain.missing, spoilt.missing)
    known = {"numeric", "ids", "sequences", "missing", "labels", "mask", "truth"}
    assert {field.name for field in dataclasses.fields(plain)} == known


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_missing_label_inside_the_space_is_refused(split: str, bad: float) -> None:
    """A clear sentence that names label and task; outside the space the same value is no matter."""
    rows = table(seed=5)
    inside, outside = rows.index[rows["clicked"]][0], rows.index[~rows["clicked"]][0]
    parts = {"train": table(seed=0), "valid": table(seed=1), "test": table(seed=2), split: rows}
    rows.loc[outside, "y_buy"] = bad
    encode(SCHEMA, Frames(**parts))
    rows.loc[inside, "y_buy"] = bad
    with pytest.raises(DataError, match=r"^Label 'y_buy' is missing or infinite .*task buy.*\.$"):
        encode(SCHEMA, Frames(**parts))


def test_a_binary_label_is_0_or_1() -> None:
    """1 and 2, or a share, are no binary label; outside the space anything goes."""
    rows = table(seed=0)
    rows.loc[rows.index[~rows["clicked"]], "y_buy"] = 7.0
    encode(SCHEMA, Frames(rows, rows, rows))
    rows.loc[0, "y_click"] = 0.5
    with pytest.raises(DataError, match=r"^Label 'y_click' of binary task click has values other than 0 and 1\.$"):
        encode(SCHEMA, Frames(rows, rows, rows))


def test_a_regression_label_may_be_any_number() -> None:
    """Only binary tasks are held to 0 and 1."""
    schema = SCHEMA.model_copy(update={"tasks": (Task(name="dwell", kind="regression", label="raw_y"),)})
    rows = table(seed=0).assign(raw_y=lambda t: t["raw"] * 100)
    assert encode(schema, Frames(rows, rows, rows)).train.labels[:, 0] == pytest.approx(rows["raw_y"], rel=1e-5)


@pytest.mark.parametrize("column", ["age", "city", "y_click", "clicked"])
def test_a_column_that_is_not_there_is_named(column: str) -> None:
    """Feature, label or sample space: a sentence with its name, not a KeyError."""
    rows = table(seed=0).drop(columns=column)
    with pytest.raises(DataError, match=rf"no column '{column}'"):
        encode(SCHEMA, Frames(rows, rows, rows))


@pytest.mark.parametrize("values", [[None, True], [np.nan, 1.0]])
def test_a_sample_space_with_gaps_is_refused(values: list[Any]) -> None:
    """A missing value is neither inside nor outside; NaN must not pass for true."""
    rows = table(seed=0).assign(y_buy=1.0)
    rows["clicked"] = (values * len(rows))[: len(rows)]
    with pytest.raises(DataError, match=r"^Column 'clicked'.*task buy.*missing.*\.$"):
        encode(SCHEMA, Frames(rows, rows, rows))


def test_a_column_without_any_known_number_becomes_zero() -> None:
    """All missing: nothing to fit, and nothing breaks."""
    rows = table(seed=0).assign(age=np.nan, gain=np.nan, raw=np.nan)
    data = encode(SCHEMA, Frames(rows, rows, rows))
    assert (data.train.numeric == 0).all()
    assert (data.train.ids[:, 2] == 0).all()


def test_an_empty_split_can_be_encoded() -> None:
    """No rows in, no rows out."""
    found = TableEncoder(SCHEMA).fit(table()).transform(table().iloc[:0])
    assert [len(a) for a in arrays_of(found)] == [0, 0, 0, 0]


@pytest.mark.parametrize("leak", ["y_click", "y_buy", "clicked", "truth"])
def test_the_schema_refuses_labels_spaces_and_truth_as_features(leak: str) -> None:
    """No typing mistake can hand a label to a model."""
    with pytest.raises(ValidationError, match=f"no feature: {leak}"):
        Schema(features=(Feature(name=leak, kind="numeric"),), tasks=SCHEMA.tasks, hidden=SCHEMA.hidden)


def test_the_schema_refuses_names_used_twice() -> None:
    """Two features or two tasks of one name would overwrite each other."""
    with pytest.raises(ValidationError, match="Two features have the same name"):
        Schema(features=(SCHEMA.features[0],) * 2, tasks=SCHEMA.tasks)
    with pytest.raises(ValidationError, match="Two tasks have the same name"):
        Schema(features=SCHEMA.features, tasks=(SCHEMA.tasks[0],) * 2)


def conflict(seed: int = 0, **options: Any) -> Frames:
    """A small conflict world."""
    return Conflict.model_validate({"rows": 1000, **options}).frames(seed)


def test_conflict_follows_from_its_seed() -> None:
    """Same seed same rows, other seed other rows, and the global random state stays."""
    before = np.random.get_state()[1].copy()
    first, again, other = conflict(3), conflict(3), conflict(4)
    for split in ("train", "valid", "test"):
        pd.testing.assert_frame_equal(getattr(first, split), getattr(again, split))
        assert not np.allclose(getattr(first, split), getattr(other, split))
    assert np.array_equal(before, np.random.get_state()[1])


def test_conflict_splits_are_60_20_20_and_disjoint() -> None:
    """Each row stands in one split."""
    parts = conflict(rows=1000)
    assert [len(parts.train), len(parts.valid), len(parts.test)] == [600, 200, 200]
    everything = pd.concat([parts.train, parts.valid, parts.test])
    assert not everything.duplicated().any()


def test_conflict_relatedness_runs_from_nothing_in_common_to_the_same() -> None:
    """At 1 both scores are equal; their correlation grows with the share in common."""
    same = conflict(relatedness=1).train
    assert same["score_A"].to_numpy() == pytest.approx(same["score_B"].to_numpy(), abs=1e-12)
    at = [np.corrcoef(*(conflict(relatedness=r).train[f"score_{k}"] for k in "AB"))[0, 1] for r in (0.0, 0.5, 0.9, 1.0)]
    assert at == sorted(at)
    assert at[-1] == pytest.approx(1)


def test_conflict_labels_have_the_rates_asked_for() -> None:
    """Over all rows, to one row."""
    parts = conflict(rows=5000, rate_a=0.3, rate_b=0.02)
    labels = pd.concat([parts.train, parts.valid, parts.test])[["y_A", "y_B"]]
    assert labels["y_A"].mean() == pytest.approx(0.3, abs=1 / 5000)
    assert labels["y_B"].mean() == pytest.approx(0.02, abs=1 / 5000)


def test_conflict_labels_come_from_the_scores() -> None:
    """Without noise the positives are exactly the highest scores; noise loosens that."""
    clean, noisy = conflict(noise=0), conflict(noise=1.0)
    for k in "AB":
        rows = pd.concat([clean.train, clean.valid, clean.test])
        assert rows[f"score_{k}"][rows[f"y_{k}"] == 1].min() > rows[f"score_{k}"][rows[f"y_{k}"] == 0].max()
        rows = pd.concat([noisy.train, noisy.valid, noisy.test])
        assert rows[f"score_{k}"][rows[f"y_{k}"] == 1].min() < rows[f"score_{k}"][rows[f"y_{k}"] == 0].max()


def test_conflict_hides_its_scores() -> None:
    """The truth is in the frames for plots, and in no array."""
    schema = Conflict().table_schema()
    assert {"score_A", "score_B"} <= set(conflict().train.columns)
    assert not [f.name for f in schema.features if f.name.startswith(("score", "y_"))]
    data = encode(schema, conflict())
    assert data.train.numeric.shape[1] == len(schema.features)
    scores = conflict().train[["score_A", "score_B"]].to_numpy()
    correlation = np.corrcoef(np.column_stack([data.train.numeric, scores]).T)[:-2, -2:]
    assert np.abs(correlation).max() < 0.95


@pytest.mark.parametrize(
    "options",
    [
        {"relatedness": -0.1},
        {"relatedness": 1.1},
        {"relatedness": float("nan")},
        {"rows": 0},
        {"rows": 10**9},
        {"noise": -1},
        {"rate_a": 0},
        {"rate_b": 1},
        {"rates": 0.5},
    ],
)
def test_conflict_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """Limits live in the options."""
    with pytest.raises(ValidationError):
        Conflict.model_validate(options)


@pytest.fixture(scope="module")
def adult() -> Iterator[Frames]:
    """The Adult files of this machine, never a download."""

    def no_network(*_args: Any, **_options: Any) -> str:
        raise OSError("tests do not download")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooch, "retrieve", no_network)
        try:
            parts = Adult().frames(0)
        except DataError as error:
            if "cannot be reached" not in str(error):
                raise
            pytest.skip("adult.data and adult.test are neither in SEESAW_DATA nor in the download cache")
        yield parts


@pytest.fixture(scope="module")
def adult_arrays(adult: Frames) -> Encoded:
    """Adult, encoded."""
    return encode(Adult().table_schema(), adult)


def test_adult_has_the_published_rows(adult: Frames) -> None:
    """All 32,561 rows of the training file, in two splits, and all 16,281 of the test file."""
    assert len(adult.train) + len(adult.valid) == 32_561
    assert len(adult.test) == 16_281
    assert not set(adult.train.index) & set(adult.valid.index)


def test_adult_has_the_published_rates(adult: Frames) -> None:
    """Income over 50K: 24.08% and 23.62%; never married: 32.8% and 33.4%; also where test labels end in a dot."""
    rows = pd.concat([adult.train, adult.valid])
    assert rows["income_over_50k"].mean() == pytest.approx(0.2408, abs=5e-5)
    assert adult.test["income_over_50k"].mean() == pytest.approx(0.2362, abs=5e-5)
    assert rows["never_married"].mean() == pytest.approx(0.328, abs=5e-4)
    assert adult.test["never_married"].mean() == pytest.approx(0.334, abs=5e-4)
    assert np.corrcoef(rows["income_over_50k"], rows["never_married"])[0, 1] == pytest.approx(-0.318, abs=5e-4)


def test_adult_keeps_missing_values_as_a_value(adult: Frames) -> None:
    """Rows with a "?" are there: 2,399 and 1,221."""
    for rows, count in ((pd.concat([adult.train, adult.valid]), 2399), (adult.test, 1221)):
        assert int((rows[["workclass", "occupation", "native_country"]] == "?").any(axis=1).sum()) == count


# T23
def test_adult_inputs_hold_no_label_and_no_survey_weight() -> None:
    """Neither fnlwgt, nor marital status, nor income; the hard variant has no relationship either."""
    names = {
        variant: {f.name for f in Adult(variant=variant).table_schema().features} for variant in ("standard", "hard")
    }
    for features in names.values():
        assert not {f for f in features if any(word in f for word in ("fnlwgt", "marital", "married", "income"))}
    assert names["standard"] - names["hard"] == {"relationship"}
    assert len(names["standard"]) == 12


def test_adult_rows_hold_no_label_beside_the_labels(adult: Frames) -> None:
    """What the labels were made from is dropped from the rows too."""
    for part in (adult.train, adult.valid, adult.test):
        assert not {"fnlwgt", "marital_status", "income"} & set(part.columns)


def test_adult_warns_of_relationship_in_the_standard_variant_alone(adult: Frames) -> None:
    """Husbands and wives give the second label away; the reader is told."""
    assert len(adult.notes) == 1
    assert "relationship" in adult.notes[0]
    married = adult.train["relationship"].isin(["Husband", "Wife"])
    assert adult.train.loc[married, "never_married"].sum() == 0
    assert Adult(variant="hard").frames(0).notes == ()


# T24
def test_every_category_of_adult_is_declared(adult: Frames, adult_arrays: Encoded) -> None:
    """The official files hold no value outside the declared lists, so no unknown id; ids fit their tables."""
    for name, known in CATEGORIES.items():
        for part in (adult.train, adult.valid, adult.test):
            assert set(part[name]) <= set(known)
    for split in (adult_arrays.train, adult_arrays.valid, adult_arrays.test):
        assert split.ids.min() >= 1
        assert (split.ids.max(0) < np.array(adult_arrays.columns.tables)).all()
        assert np.isfinite(split.numeric).all()


def test_adult_arrays_reach_a_sensible_scale(adult_arrays: Encoded) -> None:
    """No column of any split runs away."""
    for split in (adult_arrays.train, adult_arrays.valid, adult_arrays.test):
        assert np.abs(split.numeric).max() < 10
        assert (adult_arrays.train.numeric.std(0) > 0.1).all()


def test_adult_seed_draws_the_validation_rows_only(adult: Frames) -> None:
    """Same seed same split, other seed other split, always the same test rows."""
    again, other = Adult().frames(0), Adult().frames(1)
    assert again.valid.index.equals(adult.valid.index)
    assert not other.valid.index.equals(adult.valid.index)
    pd.testing.assert_frame_equal(other.test, adult.test)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """SEESAW_DATA and the download cache are empty."""
    monkeypatch.setenv("SEESAW_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize("error", [OSError("no network"), requests.exceptions.ConnectionError("no route")])
def test_no_file_and_no_network_says_what_to_do(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """One line that names the file, SEESAW_DATA and a data set that needs no file."""

    def unreachable(*_args: Any, **_options: Any) -> str:
        raise error

    monkeypatch.setattr(pooch, "retrieve", unreachable)
    with pytest.raises(DataError, match=r"^adult\.data is not on this machine[^\n]*SEESAW_DATA[^\n]*conflict[^\n]*\.$"):
        Adult().frames(0)


def test_a_download_that_is_not_the_published_file_is_refused(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a captive portal answers is no data."""

    def portal(*_args: Any, **_options: Any) -> str:
        raise ValueError("SHA256 hash of downloaded file does not match")

    monkeypatch.setattr(pooch, "retrieve", portal)
    with pytest.raises(DataError, match=r"^[^\n]*was not the published file[^\n]*\.$"):
        Adult().frames(0)


@pytest.mark.parametrize("content", ["", "39, State-gov\n", "<html>not found</html>"])
def test_another_file_in_seesaw_data_is_refused(nowhere: Path, content: str) -> None:
    """A file of that name with another hash is never read: the message says which file and what to do."""
    (nowhere / "adult.data").write_text(content)
    with pytest.raises(DataError, match=r"^[^\n]*adult\.data is not the published[^\n]*SEESAW_DATA[^\n]*\.$"):
        Adult().frames(0)


def test_a_file_in_seesaw_data_is_read_where_it_stands(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right file is found without a download; `~` means the home folder."""
    file = files.PublicFile("tiny.csv", "https://example.org/tiny.csv", pooch_hash := "0" * 64)
    local = nowhere / "tiny.csv"
    local.write_text("1,2\n")
    right = dataclasses.replace(file, sha256=pooch.file_hash(str(local)))
    assert pooch_hash != right.sha256
    assert files.locate(right) == local
    monkeypatch.setenv("HOME", str(nowhere.parent))
    monkeypatch.setenv("SEESAW_DATA", "~/data")
    assert files.locate(right) == local


def test_a_cached_download_is_used_again_unless_it_was_damaged(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash decides: a whole file is taken from the cache, a damaged one is fetched anew."""
    asked = []

    def retrieve(url: str, known_hash: str, fname: str, path: Path) -> str:
        asked.append((url, known_hash, fname))
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    cache = nowhere.parent / "cache"
    cache.mkdir()
    cached = cache / "tiny.csv"
    cached.write_text("1,2\n")
    file = files.PublicFile("tiny.csv", "https://example.org/tiny.csv", pooch.file_hash(str(cached)))
    assert files.locate(file) == cached
    assert asked == []
    cached.write_text("1,")
    files.locate(file)
    assert asked == [(file.url, f"sha256:{file.sha256}", "tiny.csv")]


def test_a_file_that_cannot_be_parsed_is_refused(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Even with the right hash, rows that are no Adult rows end in a sentence, not in a traceback."""
    broken = tmp_path / "broken"
    broken.write_text("a, b, c\n" * 3)
    monkeypatch.setattr("mtl_core.data.adult.locate", lambda _file: broken)
    with pytest.raises(DataError, match="is not the Adult file that was expected"):
        Adult().frames(0)


def test_adult_reads_copies_of_the_files_elsewhere(
    adult: Frames, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any folder named by SEESAW_DATA will do."""
    monkeypatch.undo()
    for file in ADULT_FILES.values():
        shutil.copy(files.locate(file), nowhere / file.name)
    monkeypatch.setenv("SEESAW_DATA", str(nowhere))
    pd.testing.assert_frame_equal(Adult().frames(0).test, adult.test)
