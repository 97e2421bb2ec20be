"""Public data sets: published counts, splits, formats, and what is said when a file is not there."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pooch
import pytest

from mtl_core.comparison import preset_spec
from mtl_core.data import census_income, files
from mtl_core.data.ali_ccp import FIELDS, SEVERAL, AliCCP
from mtl_core.data.base import DataError, Frames
from mtl_core.data.census_income import CATEGORIES, COLUMNS, NUMERIC, CensusIncome
from mtl_core.data.movielens import MovieLens
from mtl_core.data.tables import encode
from mtl_core.sizes import parameter_count


@pytest.mark.parametrize("name", ["census_income", "movielens_100k", "ali_ccp"])
def test_presets_are_matched_in_parameters(name: str) -> None:
    """The trunks of the first lessons within 3% of the single-task models; the others are checked with them."""
    trunks = ("single_task", "shared_bottom", "omoe", "mmoe", "cgc", "ple")
    counts = {trunk: parameter_count(preset_spec(name, trunk)).parameters for trunk in trunks}
    assert all(abs(count / counts["single_task"] - 1) < 0.03 for count in counts.values()), counts


@pytest.fixture(scope="module")
def census() -> Iterator[Frames]:
    """The census test file of this machine, never a download."""

    def no_network(*_args: Any, **_options: Any) -> str:
        raise OSError("tests do not download")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooch, "retrieve", no_network)
        try:
            parts = CensusIncome(split="test_only").frames(0)
        except DataError as error:
            if "cannot be reached" not in str(error):
                raise
            pytest.skip("census-income.test.gz is neither in SEESAW_DATA nor in the download cache")
        yield parts


@pytest.fixture(scope="module")
def census_rows(census: Frames) -> pd.DataFrame:
    """All rows in the file's order."""
    return pd.concat([census.train, census.valid, census.test]).sort_index()


def test_census_split_is_60_20_20_disjoint_and_complete(census: Frames, census_rows: pd.DataFrame) -> None:
    """Each of the 99,762 rows stands in one split; the note says that it is not the paper's."""
    assert [len(census.train), len(census.valid), len(census.test)] == [59_857, 19_952, 19_953]
    assert census_rows.index.tolist() == list(range(99_762))
    assert "not the paper's split" in census.notes[0]


def test_census_has_the_published_rates(census_rows: pd.DataFrame) -> None:
    """Rates of the three labels, and their correlations with never-married beside the paper's."""
    labels = census_rows[["income_over_50k", "college", "never_married"]]
    assert labels["income_over_50k"].sum() == 6186
    assert labels.mean().tolist() == pytest.approx([0.0620, 0.195, 0.4325], abs=5e-4)
    correlations = labels.corr()["never_married"].abs()
    assert correlations["income_over_50k"] == pytest.approx(0.1787, abs=5e-5)
    assert correlations["college"] == pytest.approx(0.2376, abs=5e-5)


def test_census_keeps_repeated_rows_and_missing_values(census_rows: pd.DataFrame) -> None:
    """Half of the migration columns are "?", which is a value; rows that occur twice stay."""
    for name in ("migration_msa", "migration_region", "migration_within_region", "previous_sunbelt"):
        assert census_rows[name].eq("?").mean() == pytest.approx(0.501, abs=5e-4)
    assert not census_rows.isna().any().any()
    assert census_rows.duplicated().any()


def test_every_category_of_census_is_declared(census_rows: pd.DataFrame) -> None:
    """No value of the test file is unknown."""
    for name, known in CATEGORIES.items():
        assert set(map(str, census_rows[name].cat.categories)) <= set(known), name
        assert len(set(known)) == len(known)


# T23
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("variant", ["standard", "hard"])
def test_census_inputs_hold_no_label(census_rows: pd.DataFrame, group: Any, variant: Any) -> None:
    """40 columns less education and marital status, less three in the hard variant; no weight, no label."""
    schema = CensusIncome(group=group, variant=variant).table_schema()
    names = [f.name for f in schema.features]
    assert len(names) == 38 - 3 * (variant == "hard")
    assert sum(f.kind == "numeric" for f in schema.features) == 7
    gone = {"income", "education", "marital_status", "instance_weight", "income_over_50k", "college", "never_married"}
    assert not gone & set(names)
    assert not {"income", "education", "marital_status", "instance_weight"} & set(census_rows.columns)
    assert schema.task_names == (("income", "education")[group - 1], "never_married")


def test_census_is_read_in_little_memory(census_rows: pd.DataFrame) -> None:
    """Categories as codes and numbers in four bytes: under 10 MB for 99,762 rows and 41 columns."""
    assert census_rows.memory_usage(deep=True).sum() < 10e6
    assert all(census_rows[name].dtype == "int32" for name in NUMERIC)


def test_census_seed_draws_the_split(census: Frames) -> None:
    """Same seed same rows, another seed others."""
    again, other = (CensusIncome(split="test_only").frames(seed) for seed in (0, 1))
    assert again.train.index.equals(census.train.index)
    assert not other.train.index.equals(census.train.index)


def test_census_ids_fit_their_tables(census: Frames) -> None:
    """Encoded: nothing unknown, nothing out of range, nothing infinite."""
    data = encode(CensusIncome().table_schema(), census)
    for split in (data.train, data.valid, data.test):
        assert split.ids.min() >= 1
        assert (split.ids.max(0) < np.array(data.columns.tables)).all()
        assert np.isfinite(split.numeric).all()


def census_lines(rows: int, start: int = 0) -> str:
    """Made-up rows in the file's format."""
    lines = []
    for i in range(start, start + rows):
        cells = {name: CATEGORIES[name][i % len(CATEGORIES[name])] for name in CATEGORIES}
        cells |= {name: str(i) for name in NUMERIC}
        cells |= {"education": census_income.COLLEGE[0] if i % 2 else "Children", "instance_weight": "1.5"}
        cells |= {
            "marital_status": "Never married" if i % 3 else "Widowed",
            "income": "50000+." if i % 4 else "- 50000.",
        }
        lines.append(", ".join(cells[name] for name in COLUMNS))
    return "\n".join(lines) + "\n"


@pytest.fixture
def census_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both files, made up and small."""
    monkeypatch.setenv("SEESAW_DATA", str(tmp_path))
    monkeypatch.setattr(census_income, "TRAIN_ROWS", 30)
    monkeypatch.setattr(census_income, "TEST_ROWS", 20)
    monkeypatch.setattr(census_income, "locate", lambda file: tmp_path / file.name)
    for name, lines in ((census_income.TRAIN_NAME, census_lines(30)), (census_income.TEST.name, census_lines(20, 100))):
        (tmp_path / name).write_bytes(gzip.compress(lines.encode()))
    return tmp_path


def test_census_takes_the_papers_split_where_both_files_are(census_folder: Path) -> None:
    """The training file trains; the test file is halved; test_only leaves the training file alone."""
    for split in ("auto", "paper"):
        parts = CensusIncome.model_validate({"split": split}).frames(0)
        assert [len(parts.train), len(parts.valid), len(parts.test)] == [30, 10, 10]
        assert parts.train["age"].tolist() == list(range(30))
        assert sorted([*parts.valid["age"], *parts.test["age"]]) == list(range(100, 120))
        assert "as in the MMoE paper" in parts.notes[0]
    alone = CensusIncome(split="test_only").frames(0)
    assert [len(alone.train), len(alone.valid), len(alone.test)] == [12, 4, 4]


def test_census_without_its_training_file(census_folder: Path) -> None:
    """auto goes on with the test file; paper says what to fetch and where to put it."""
    (census_folder / census_income.TRAIN_NAME).unlink()
    assert len(CensusIncome().frames(0).train) == 12
    with pytest.raises(
        DataError, match=r"^The paper's split needs census-income\.data\.gz .*SEESAW_DATA.*test_only\.$"
    ):
        CensusIncome(split="paper").frames(0)


@pytest.mark.parametrize(
    "content",
    # Without the time of packing: it would be in the test's name, and two processes would collect different tests.
    [b"", b"not gzip", gzip.compress(b"1, 2\n", mtime=0), gzip.compress(census_lines(29).encode(), mtime=0)],
    ids=["nothing", "no gzip", "other columns", "a row too few"],
)
def test_another_training_file_is_refused(census_folder: Path, content: bytes) -> None:
    """Nothing, no gzip, other columns, a row too few: one sentence with the address of the right one."""
    (census_folder / census_income.TRAIN_NAME).write_bytes(content)
    with pytest.raises(DataError, match=r"^.*is not the published census-income\.data\.gz.*https://archive.*\.gz\.$"):
        CensusIncome().frames(0)


def test_census_hash_is_that_of_the_published_test_file() -> None:
    """Another file of that name is refused, as for adult."""
    assert files.locate.__module__ == "mtl_core.data.files"
    assert len(census_income.TEST.sha256) == 64


# MovieLens


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    """Ten ratings in the published format, Latin-1 title included, not in the order of time."""
    (tmp_path / "u.data").write_text(
        "".join(f"{1 + i % 3}\t{1 + i % 2}\t{1 + i % 5}\t{881250000 + 7 * i % 10}\n" for i in range(10))
    )
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|94043\n3|23|M|writer|T8H1N\n")
    flags = {"1": (5, 8), "2": (1,)}
    (tmp_path / "u.item").write_bytes(
        "".join(
            f'{item}|Misérables, "Les" (1995)|01-Jan-1995||http://us.imdb.com/M|'
            + "|".join("1" if i in on else "0" for i in range(19))
            + "\n"
            for item, on in flags.items()
        ).encode("latin-1")
    )
    return tmp_path


def test_movielens_joins_the_three_files(movielens: Path) -> None:
    """Users, films and genres beside each rating; liked from the threshold on; split by time."""
    parts = MovieLens(folder=str(movielens)).frames(0)
    rows = pd.concat([parts.train, parts.valid, parts.test])
    assert [len(parts.train), len(parts.valid), len(parts.test)] == [6, 2, 2]
    expected = sorted(range(10), key=lambda i: 7 * i % 10)
    assert rows["rating"].tolist() == [1 + i % 5 for i in expected]
    assert rows["liked"].tolist() == [float(1 + i % 5 >= 4) for i in expected]
    by_user = rows.groupby("user_id")[["age", "gender", "occupation", "zip_prefix"]].first()
    assert by_user.loc["3"].tolist() == [23.0, "M", "writer", "T"]
    assert rows.groupby("item_id")["genres"].first().tolist() == ["Comedy|Drama", "Action"]
    assert "by construction" in parts.notes[0]
    assert len(MovieLens(folder=str(movielens), liked_from=2, zip_digits=3).frames(0).train["zip_prefix"].iloc[0]) == 3


def test_movielens_is_found_in_seesaw_data(movielens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder itself, or in ml-100k in it."""
    monkeypatch.setenv("SEESAW_DATA", str(movielens))
    assert len(MovieLens().frames(0).train) == 6
    monkeypatch.setenv("SEESAW_DATA", str(movielens.parent))
    movielens.rename(movielens.parent / "ml-100k")
    assert len(MovieLens().frames(0).train) == 6


def test_movielens_encodes(movielens: Path) -> None:
    """Ids by number, genres as a sequence, both kinds of labels."""
    data = encode(MovieLens().table_schema(), MovieLens(folder=str(movielens)).frames(0))
    assert {field.name: field.rows for field in data.columns.fields[:2]} == {"user_id": 944, "item_id": 1683}
    assert data.train.sequences.shape[1] == 1
    assert set(data.train.labels[:, 1]) <= {0.0, 1.0}


@pytest.mark.parametrize("name", ["u.data", "u.item", "u.user"])
def test_a_missing_movielens_file_is_named(movielens: Path, name: str) -> None:
    """With the official place and the licence."""
    (movielens / name).unlink()
    with pytest.raises(
        DataError, match=rf"^There is no {name} in .*https://grouplens\.org/.*redistributed.*folder.*\.$"
    ):
        MovieLens(folder=str(movielens)).frames(0)


@pytest.mark.parametrize("name", ["u.data", "u.item", "u.user"])
@pytest.mark.parametrize("content", ["a,b\n1,2\n", "1\t2\tx\ty\n", ""])
def test_another_movielens_file_is_refused(movielens: Path, name: str, content: str) -> None:
    """Other columns, text for numbers, nothing at all."""
    (movielens / name).write_text(content)
    with pytest.raises(DataError, match=rf"{name}"):
        MovieLens(folder=str(movielens)).frames(0)


# Ali-CCP


def ali_features(**fields: str) -> str:
    """Features as the files write them."""
    return "\x01".join(
        f"{name.removeprefix('f')}\x02{v}\x031.0" for name, value in fields.items() for v in value.split()
    )


@pytest.fixture
def ali(tmp_path: Path) -> Path:
    """Forty samples a file; every eighth is bought, every fortieth bought without a click."""
    for part, start in (("train", 0), ("test", 1000)):
        lines = []
        for i in range(40):
            click, buy = int(i % 4 == 0), int(i % 8 == 0 or i == 5)
            own = ali_features(f205=f"{start + i}", f206="7", f210="3 4", f301="1", f999="x")
            lines.append(f"{start + i},{click},{buy},key{i % 3},5,{own}\n")
        (tmp_path / f"sample_skeleton_{part}.csv").write_text("".join(lines))
        common = [f"key{k},4,{ali_features(f101=f'u{k}', f121='1', f109_14='8 9 8', f110_14='2')}\n" for k in range(5)]
        (tmp_path / f"common_features_{part}.csv").write_text("".join(common))
    return tmp_path


def test_ali_ccp_joins_samples_with_their_common_features(ali: Path) -> None:
    """Own and common features in one row, several values with a space between, absent fields missing."""
    parts = AliCCP(folder=str(ali)).frames(0)
    assert len(parts.train) + len(parts.valid) == 39
    row = parts.test.iloc[1]
    assert [row[name] for name in ("101", "205", "210", "109_14", "301")] == ["u1", "1001", "3 4", "8 9 8", "1"]
    assert parts.test["216"].isna().all()
    assert not set(parts.train.columns) - set(FIELDS) - {"click", "conversion"}


def test_ali_ccp_drops_and_counts_purchases_without_a_click(ali: Path) -> None:
    """One in each file."""
    parts = AliCCP(folder=str(ali)).frames(0)
    rows = pd.concat([parts.train, parts.valid, parts.test])
    assert rows["conversion"].le(rows["click"]).all()
    assert parts.notes[-1] == "2 rows with a purchase but no click are left out."


def test_ali_ccp_conversion_lives_on_clicks(ali: Path) -> None:
    """The sample space of the conversion is the click."""
    parts = AliCCP(folder=str(ali)).frames(0)
    data = encode(AliCCP().table_schema(), parts)
    assert data.schema.tasks[1].after == data.schema.tasks[1].space == "click"
    assert np.array_equal(data.train.mask[:, 1], parts.train["click"].to_numpy(bool))
    assert data.train.sequences.shape[1] == len(SEVERAL)


def test_ali_ccp_reads_no_more_than_asked(tmp_path: Path, ali: Path) -> None:
    """`rows` counts lines from the start of each skeleton file."""
    skeleton = ali / "sample_skeleton_train.csv"
    skeleton.write_text(skeleton.read_text() * 5)
    parts = AliCCP(folder=str(ali), rows=100).frames(0)
    assert len(parts.train) + len(parts.valid) == 100 - 3
    assert AliCCP(folder=str(ali), rows=100).frames(1).train.index.tolist() != parts.train.index.tolist()


@pytest.mark.parametrize("name", ["sample_skeleton_train.csv", "common_features_test.csv"])
def test_a_missing_ali_ccp_file_is_named(ali: Path, name: str) -> None:
    """With Tianchi's page and the licence."""
    (ali / name).unlink()
    with pytest.raises(DataError, match=rf"^There is no {name} in .*https://tianchi\.aliyun\.com/.*redistributed.*\.$"):
        AliCCP(folder=str(ali)).frames(0)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("sample_skeleton_train.csv", "1,0\n", "line 1: 6 cells were expected, not 2"),
        ("sample_skeleton_train.csv", "1,2,0,key0,0,\n", "line 1: click and purchase must be 0 or 1"),
        ("sample_skeleton_train.csv", "1,0,0,key0,1,abc\n", "line 1: 'abc' is no feature"),
        ("sample_skeleton_train.csv", "", "holds no row"),
        ("common_features_train.csv", "key0,0,\n", "lacks the common features of 2 keys"),
    ],
)
def test_another_ali_ccp_file_is_refused(ali: Path, name: str, content: str, said: str) -> None:
    """File, line and what is wrong."""
    (ali / name).write_text(content)
    with pytest.raises(DataError, match=said):
        AliCCP(folder=str(ali)).frames(0)


@pytest.mark.parametrize("options", [MovieLens(), AliCCP()])
def test_without_any_folder_the_message_says_so(options: MovieLens | AliCCP, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither option nor SEESAW_DATA."""
    monkeypatch.delenv("SEESAW_DATA", raising=False)
    with pytest.raises(DataError, match=r"^There is no .* set the option folder or SEESAW_DATA"):
        options.frames(0)
