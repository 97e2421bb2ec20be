"""Your own file: what is read, what is guessed, what is refused and with which sentence."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet as pq
from pydantic import ValidationError

from mtl_core.comparison import preset_spec
from mtl_core.data.base import DataError
from mtl_core.data.table import MAX_UPLOAD_MB, Guess, Table, check_upload, guess
from mtl_core.data.tables import encode
from mtl_core.schema import Feature, Task
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec, SpecError


def shop(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """A small shop log: ids, numbers with gaps, a history, a position, three labels in a funnel's order."""
    rng = np.random.default_rng(seed)
    click = rng.random(rows) < 0.5
    cart = click & (rng.random(rows) < 0.6)
    buy = cart & (rng.random(rows) < 0.5)
    city = rng.choice(np.array(["Bern", "Lima", "Oslo"], object), rows)
    city[rng.random(rows) < 0.1] = None
    return pd.DataFrame(
        {
            "user_id": rng.integers(0, 40, rows) + 16_777_216,
            "item_id": [f"i{i}" for i in rng.integers(0, 30, rows)],
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(18, 90, rows)),
            "price": np.exp(rng.normal(3, 2, rows)).round(2),
            "city": city,
            "history": [" ".join(f"i{i}" for i in rng.integers(0, 30, n)) for n in rng.integers(0, 5, rows)],
            "position": rng.integers(1, 11, rows),
            "day": [f"2024-01-{d:02d}" for d in rng.integers(1, 29, rows)],
            "empty": None,
            "click": click.astype(int),
            "cart": cart.astype(int),
            "buy": buy.astype(int),
        }
    )


FEATURES = (Feature(name="age", kind="numeric"), Feature(name="city", kind="categorical"))


def written(folder: Path, table: pd.DataFrame, name: str = "shop.csv", **options: Any) -> str:
    """The table as a file, and its path."""
    path = folder / name
    if name.endswith(".parquet"):
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, **options)
    return str(path)


def frames_of(path: str, **options: Any) -> pd.DataFrame:
    """All rows that come out, whatever their split."""
    parts = Table.model_validate({"path": path, **options}).frames(0)
    return pd.concat([parts.train, parts.valid, parts.test], ignore_index=True)


def problem(path: str, **options: Any) -> str:
    """What is said: one sentence or two on one line, ending in a full stop."""
    with pytest.raises((DataError, ValidationError)) as caught:
        Table.model_validate({"path": path, **options}).frames(0)
    error = caught.value
    text = error.errors()[0]["msg"].removeprefix("Value error, ") if isinstance(error, ValidationError) else str(error)
    assert "\n" not in text
    assert text.endswith(".")
    return text


# What is guessed


def test_a_shop_log_is_understood(tmp_path: Path) -> None:
    """Numbers, categories, ids, a sequence, a position, dates, labels in a funnel's order, with a reason for each."""
    found = guess(written(tmp_path, shop()))
    uses = {c.name: c.use for c in found.columns}
    assert uses == {
        "user_id": "id", "item_id": "id", "age": "numeric", "price": "numeric", "city": "categorical",
        "history": "sequence", "position": "position", "day": "date", "empty": "left out",
        "click": "label", "cart": "label", "buy": "label",
    }  # fmt: skip
    features = {f.name: f for f in found.features}
    assert features["price"].scaling == "quantile"
    assert features["position"].role == "position"
    assert features["user_id"].kind == "categorical"
    assert (features["user_id"].role, features["item_id"].role) == ("user", "item")
    assert features["history"].separator == " "
    assert [(t.name, t.space, t.after) for t in found.tasks] == [
        ("click", None, None), ("cart", "click", "click"), ("buy", "cart", "cart"),
    ]  # fmt: skip
    assert found.dates == ("day",)
    assert found.time_column == "day"
    assert all(c.reason for c in found.columns)
    by_name = {c.name: c for c in found.columns}
    assert by_name["city"].missing == pytest.approx(shop()["city"].isna().mean(), abs=1e-4)
    assert by_name["user_id"].distinct == shop()["user_id"].nunique()
    assert "`empty` is left out: it holds no value." in found.notes


@pytest.mark.parametrize(
    ("values", "use"),
    [
        (["a|b", "b", "c|a|b"], "sequence"),
        (["3;4", "4", "5;3;4"], "sequence"),
        (["New York", "Los Angeles", "Rome"], "categorical"),
        (["1.5", "2.25", "-3e2"], "numeric"),
        (["1", "2", "3"], "categorical"),
        (["1,234.5", "2,000.25", "17.5"], "left out"),
        (["2024-01-01 10:00:00", "2024-01-02 11:30:00", "2024-02-03 00:00:00"], "date"),
        (["01/02/2024", "02/02/2024", "03/02/2024"], "categorical"),
        (["12", "13", "unknown"], "categorical"),
        (["2024-01-31", "2024-13-31", "2024-01-01"], "categorical"),
        (["1_000", "2_000", "3_000"], "categorical"),
        (["1.5", "inf", "-2.5"], "numeric"),
        (["x", "x", "x"], "left out"),
    ],
)
def test_columns_by_their_values(tmp_path: Path, values: list[str], use: str) -> None:
    """One column each; the name says nothing."""
    table = pd.DataFrame({"what": values * 60, "click": [0, 1] * 90})
    assert guess(written(tmp_path, table)).columns[0].use == use


def test_a_different_value_in_every_row_is_left_out(tmp_path: Path) -> None:
    """A row's own id or text tells nothing about other rows."""
    table = shop().assign(log_id=range(300), note=[f"order number {i}" for i in range(300)])
    uses = {c.name: c.use for c in guess(written(tmp_path, table)).columns}
    assert uses["log_id"] == uses["note"] == "left out"


def test_labels_are_found_by_their_place_where_no_name_helps(tmp_path: Path) -> None:
    """Columns of 0 and 1 at the end of the table."""
    table = shop().rename(columns={"click": "a1", "cart": "a2", "buy": "a3"})
    assert [t.label for t in guess(written(tmp_path, table)).tasks] == ["a1", "a2", "a3"]


def test_labels_of_words_get_a_positive_value(tmp_path: Path) -> None:
    """yes and no; an amount beside it becomes a regression."""
    table = shop().assign(buy=lambda t: t["buy"].map({0: "no", 1: "yes"}), rating=lambda t: t["price"])
    found = guess(written(tmp_path, table))
    assert found.positive == {"buy": "yes"}
    assert {t.name: t.kind for t in found.tasks}["rating"] == "regression"
    rows = frames_of(written(tmp_path, table))
    assert rows["buy"].sum() == shop()["buy"].sum()


def test_a_label_with_gaps_is_learned_where_it_is_known(tmp_path: Path) -> None:
    """Gaps outside the funnel need nothing; others make a sample space of the rows that are known."""
    table = shop()
    table["buy"] = table["buy"].where(table["cart"] == 1)
    table["like"] = np.where(np.arange(300) % 3 == 0, np.nan, np.arange(300) % 2)
    found = guess(written(tmp_path, table))
    spaces = {t.name: t.space for t in found.tasks}
    assert spaces["buy"] == "cart"
    assert spaces["like"] == "like is known"
    data = encode(found.schema_, Table.model_validate(found.options(written(tmp_path, table))).frames(0))
    assert data.train.mask[:, found.schema_.task_names.index("like")].mean() == pytest.approx(2 / 3, abs=0.1)


def test_a_guess_survives_yaml(tmp_path: Path) -> None:
    """Save, load, the same; odd names and values included."""
    table = shop().rename(columns={"age": 'yes: "no" # é 名', "city": "null"})
    table["buy"] = table["buy"].map({0: "no", 1: "yes"})
    found = guess(written(tmp_path, table))
    assert Guess.from_yaml(found.to_yaml()) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no schema"),
        ("a: [", "no YAML"),
        ("[1, 2]", "no schema"),
        ("rows: 1\n", "columns: Field required"),
        ("a: &x 1\nb: *x\n", "no YAML aliases"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
        ("x" * 2_000_001, "too large"),
    ],
)
def test_yaml_that_is_no_schema_is_refused(text: str, said: str) -> None:
    """One sentence; nothing in it is run."""
    with pytest.raises(DataError, match=said):
        Guess.from_yaml(text)


# What a spec holds


def test_a_spec_alone_reproduces_a_run(tmp_path: Path) -> None:
    """All that was guessed is written into the spec, which then needs no file to be valid."""
    path = written(tmp_path, shop())
    spec = RunSpec.parse({"data": {"name": "table", "options": {"path": path}}})
    assert spec.schema.task_names == ("click", "cart", "buy")
    options = spec.to_json()["data"]["options"]
    assert len(options["features"]) == 8
    assert options["dates"] == ["day"]
    Path(path).unlink()
    again = RunSpec.parse(spec.to_json())
    assert again.key == spec.key


def test_what_yaml_says_of_a_column_counts(tmp_path: Path) -> None:
    """A person edits one line, and that is what the column is: nothing else in the file says it again."""
    text = guess(written(tmp_path, shop())).to_yaml()
    assert "features:" not in text
    assert text.count("price") == 1

    def edited(old: str, new: str) -> Guess:
        before, at, after = text.partition("- name: price\n")
        assert old in after
        return Guess.from_yaml(before + at + after.replace(old, new, 1))

    assert "price" not in {f.name for f in edited("use: numeric", "use: left out").features}
    (price,) = [f for f in edited("use: numeric", "use: categorical").features if f.name == "price"]
    assert (price.kind, price.bins) == ("categorical", None)
    (price,) = [f for f in edited("bins: 32", "bins: 8").features if f.name == "price"]
    assert (price.kind, price.bins, price.scaling) == ("numeric", 8, "quantile")
    assert edited("split: random", "split: time").options("x")["time_column"] == "day"


@pytest.mark.parametrize(
    ("use", "features", "said"),
    [
        ("left out", [{"name": "age", "kind": "numeric"}], "left out under columns, numeric under features"),
        ("categorical", [{"name": "age", "kind": "numeric"}], "categorical under columns, numeric under features"),
        ("numeric", [{"name": "b", "kind": "numeric"}], "numeric under columns, absent from features"),
        ("label", [{"name": "b", "kind": "numeric"}], "calls `age` a label, but none of its tasks has it"),
        ("left out", [{"name": "b", "kind": "numeric"}], ""),
    ],
)
def test_yaml_that_says_two_things_of_a_column_is_refused(use: str, features: list[dict[str, str]], said: str) -> None:
    """By name, whichever of the two a person has edited; schemas from before list features as well."""
    column = {"name": "age", "use": use, "reason": "", "missing": 0.0, "distinct": 9}
    tasks = [{"name": "click", "label": "click"}]
    text = yaml.safe_dump({"rows": 9, "columns": [column], "features": features, "tasks": tasks})
    if not said:
        assert [f.name for f in Guess.from_yaml(text).features] == ["b"]
        return
    with pytest.raises(DataError, match=re.escape(said)):
        Guess.from_yaml(text)


def test_what_is_given_is_not_guessed(tmp_path: Path) -> None:
    """Own tasks with guessed features: labels never come back as features."""
    path = written(tmp_path, shop())
    found = Table.model_validate({"path": path, "tasks": [Task(name="buy", label="buy", space="click")]})
    names = {f.name for f in found.table_schema().features}
    assert not {"buy", "click"} & names
    assert Table.model_validate({"path": path, "features": FEATURES}).table_schema().features == FEATURES


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    """A guess's options carry the file's hash."""
    path = written(tmp_path, shop())
    options = guess(path).options(path)
    written(tmp_path, shop(seed=1))
    assert "has changed" in problem(path, **{k: v for k, v in options.items() if k != "path"})


def test_without_a_path_there_is_an_example() -> None:
    """The preset trains without any file."""
    spec = preset_spec("table", "mmoe")
    assert spec.schema.task_names == ("click", "buy")
    data = encode(spec.schema, Table().frames(0))
    assert data.train.sequences.shape[1] == 1
    trunks = ("single_task", "shared_bottom", "omoe", "mmoe", "cgc", "ple")
    counts = {trunk: parameter_count(preset_spec("table", trunk)).parameters for trunk in trunks}
    assert all(abs(count / counts["single_task"] - 1) < 0.03 for count in counts.values()), counts


def test_a_bad_file_is_a_clear_spec_error(tmp_path: Path) -> None:
    """From the command line: one line that names the field."""
    with pytest.raises(SpecError, match=r"^data\.options: There is no file .*nowhere\.csv"):
        RunSpec.parse({"data": {"name": "table", "options": {"path": str(tmp_path / "nowhere.csv")}}})


# What is read


@pytest.mark.parametrize(
    "name", ["shop.csv", "shop.tsv", "shop.csv.gz", "shop.parquet", "semi.csv", "pipe.txt", "none"]
)
def test_all_forms_give_the_same_rows(tmp_path: Path, name: str) -> None:
    """CSV, TSV, gzip, Parquet, other separators, no suffix."""
    signs = {"shop.tsv": "\t", "semi.csv": ";", "pipe.txt": "|"}
    options = {"sep": signs[name]} if name in signs else {}
    path, plain = written(tmp_path, shop(), name, **options), written(tmp_path, shop(), "plain.csv")
    mine, theirs = (frames_of(p).sort_index(axis=1) for p in (path, plain))
    assert mine["user_id"].astype(str).tolist() == theirs["user_id"].astype(str).tolist()
    for column in mine.columns.drop("user_id"):
        pd.testing.assert_series_equal(mine[column].astype(object), theirs[column].astype(object))


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        ("utf-8", ["Zürich", "北京"]), ("utf-8-sig", ["Zürich", "北京"]), ("gbk", ["北京", "上海"]),
        ("latin-1", ["Zürich", "Málaga"]), ("utf-16", ["Zürich", "北京"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_are_found(tmp_path: Path, codec: str, words: list[str], packed: bool) -> None:
    """UTF-8 with and without a byte order mark, GBK, Latin-1, UTF-16; in names and in cells."""
    table = pd.DataFrame({words[0]: range(60), "city": words * 30, "click": [0, 0, 1] * 20})
    raw = table.to_csv(index=False).encode(codec)
    path = tmp_path / "words.csv"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    found = guess(str(path))
    assert [c.name for c in found.columns] == [words[0], "city", "click"]
    rows = frames_of(str(path))
    assert set(rows["city"].astype(str)) == set(words)


def test_a_late_foreign_character_decides_the_encoding(tmp_path: Path) -> None:
    """The whole file is looked at, not only its start."""
    lines = ["age,city,click"] + [f"{i % 90},Bern,{i % 2}" for i in range(3000)] + ["40,Zürich,1"]
    path = tmp_path / "late.csv"
    path.write_bytes(("\n".join(lines) + "\n").encode("latin-1"))
    assert "Zürich" in set(frames_of(str(path))["city"].astype(str))


def test_quoted_line_breaks_stay_in_their_cell(tmp_path: Path) -> None:
    """Also where a block of the reader ends inside the quotes."""
    table = shop().assign(city=lambda t: "two\nlines, one " + t["city"].fillna("?"))
    rows = frames_of(written(tmp_path, table))
    assert len(rows) == 300
    assert set(rows["city"].astype(str)) == set(table["city"])


def test_a_very_long_cell_is_read(tmp_path: Path) -> None:
    """Seventeen megabytes in one cell, more than a block."""
    table = shop(100)
    table.loc[7, "city"] = "x" * (17 * 2**20)
    rows = frames_of(written(tmp_path, table), features=FEATURES, tasks=[Task(name="click", label="click")])
    assert max(len(c) for c in rows["city"].cat.categories) == 17 * 2**20


def test_names_with_odd_characters_are_kept(tmp_path: Path) -> None:
    """Blanks, signs, other scripts, a name with a dot; an empty name gets a number."""
    odd = ["a b", "c.d", "é/ü", '"q"', "名前", "x'y; DROP TABLE", ""]
    table = pd.DataFrame({name: np.arange(60) * 1.5 for name in odd}).assign(click=[0, 1] * 30)
    found = guess(written(tmp_path, table))
    assert [f.name for f in found.features] == [*odd[:-1], "column 7"]
    assert len(frames_of(written(tmp_path, table))) == 60
    flat = table.rename(columns={"": "c"})
    assert {"c.d", "c"} <= set(frames_of(written(tmp_path, flat, "odd.parquet")).columns)


# T25
@pytest.mark.parametrize("name", ["ids.csv", "ids.parquet"])
@pytest.mark.parametrize("gap", [False, True])
def test_large_ids_stay_distinct(tmp_path: Path, name: str, gap: bool) -> None:
    """2^24 and 2^53 and their neighbours are four ids; a gap makes floats of them in Parquet, harmless below 2^53."""
    ids = [2**24, 2**24 + 1, *([] if gap else [2**53, 2**53 + 1])]
    table = pd.DataFrame(
        {"user_id": ids * 50, "age": range(len(ids) * 50), "click": [0, 1, 1, 0] * (len(ids) * 50 // 4)}
    )
    if gap:
        table["user_id"] = table["user_id"].where(np.arange(100) > 4)
    path = written(tmp_path, table, name)
    options = Table.model_validate({"path": path})
    data = encode(options.table_schema(), options.frames(0))
    assert data.columns.fields[0].rows == len(ids) + 1 + gap
    assert len(np.unique(data.train.ids[:, 0])) == len(ids) + gap


def test_dates_become_day_numbers(tmp_path: Path) -> None:
    """2024-01-31, 2024/01/31 and 31.01.2024 with and without a time; from Parquet likewise."""
    for texts in (["2024-01-31", "2024-02-01"], ["2024/1/31", "2024/2/1"], ["31.01.2024", "01.02.2024"]):
        table = pd.DataFrame({"day": texts * 30, "age": range(60), "click": [0, 0, 1] * 20})
        assert set(frames_of(written(tmp_path, table))["day"]) == {19753.0, 19754.0}
    stamps = ["2024-01-31T12:00:00Z", None, "2024-02-01T00:00:00Z"]
    table = pd.DataFrame({"at": stamps * 20, "age": range(60), "click": [0, 0, 1] * 20})
    days = frames_of(written(tmp_path, table))["at"]
    assert set(days.dropna()) == {19753.5, 19754.0}
    assert days.isna().sum() == 20
    for dates in (pd.to_datetime(table["at"]), pd.to_datetime(table["at"]).dt.date):
        days = frames_of(written(tmp_path, table.assign(at=dates), "dates.parquet"))["at"]
        assert set(days.dropna()) in ({19753.5, 19754.0}, {19753.0, 19754.0})


def test_lists_in_parquet_are_sequences(tmp_path: Path) -> None:
    """A column of lists needs no separator."""
    values = pa.table({"seen": [["a", "b"], [], ["b", "c", "a"], None] * 15, "age": range(60), "click": [0, 0, 1] * 20})
    pq.write_table(values, tmp_path / "lists.parquet")
    options = Table.model_validate({"path": str(tmp_path / "lists.parquet")})
    assert options.table_schema().sequences[0].name == "seen"
    assert encode(options.table_schema(), options.frames(0)).train.sequences.shape[2] >= 3


def test_missing_and_unseen_values_reach_rows_of_their_own(tmp_path: Path) -> None:
    """Missing is a value; a value only of later rows is unknown (0); no id is negative."""
    table = shop().sort_values("day", ignore_index=True)
    table.loc[299, "city"], table.loc[298, "city"] = "Atlantis", None
    for name in ("unseen.csv", "unseen.parquet"):
        options = Table(path=written(tmp_path, table, name), split="time", time_column="day")
        data = encode(options.table_schema(), options.frames(0))
        place = [f.name for f in data.schema.fields].index("city")
        assert data.test.ids[-1, place] == 0
        assert data.test.ids[-2, place] > 0
        assert min(a.ids.min() for a in (data.train, data.valid, data.test)) >= 0
        assert data.columns.fields[place].rows == 3 + 1 + 1


def test_a_split_by_time_trains_on_the_past(tmp_path: Path) -> None:
    """The earliest 60%, the next 20%, the last 20%; rows without a time are left out and counted."""
    table = shop().assign(when=lambda t: 1.7e9 + np.random.default_rng(1).permutation(len(t)), age=range(300))
    table.loc[:9, "when"] = np.nan
    parts = Table(path=written(tmp_path, table), split="time", time_column="when").frames(0)
    assert "when" not in parts.train.columns
    when = table["when"].to_numpy()
    times = [when[part["age"].to_numpy(int)] for part in (parts.train, parts.valid, parts.test)]
    assert [len(t) for t in times] == [174, 58, 58]
    assert times[0].max() < times[1].min()
    assert times[1].max() < times[2].min()
    assert parts.notes == ("10 rows without a value in `when` are left out.",)


def test_a_random_split_is_complete_disjoint_and_follows_the_seed(tmp_path: Path) -> None:
    """60/20/20; the same for the same seed."""
    path = written(tmp_path, shop().assign(age=range(300)))
    first, again, other = (Table(path=path).frames(seed) for seed in (0, 0, 1))
    ages = [part["age"].astype(int).tolist() for part in (first.train, first.valid, first.test)]
    assert sorted(ages[0] + ages[1] + ages[2]) == list(range(300))
    assert [len(a) for a in ages] == pytest.approx([180, 60, 60], abs=2)
    pd.testing.assert_frame_equal(first.train, again.train)
    assert other.train["age"].tolist() != first.train["age"].tolist()


def test_a_random_split_is_the_same_whatever_is_predicted(tmp_path: Path) -> None:
    """A run with a further label is tested on the rows of the run without it; another seed has other rows."""
    path = written(tmp_path, shop())
    every, one = (
        (Task(name="click", label="click"), Task(name="buy", label="buy")),
        (Task(name="click", label="click"),),
    )
    number = Task(name="price", label="price", kind="regression")
    tables = [Table(path=path, features=FEATURES, tasks=tasks) for tasks in (every, one, (*every, number))]
    for part in ("train", "valid", "test"):
        first, *others = [getattr(table.frames(0), part)[["age", "city", "click"]] for table in tables]
        for other in others:
            pd.testing.assert_frame_equal(first, other)
    assert not tables[0].frames(0).test["age"].equals(tables[0].frames(1).test["age"])
    sizes = [len(getattr(tables[0].frames(0), part)) for part in ("train", "valid", "test")]
    assert sizes == [180, 60, 60]


def test_a_split_without_positives_is_noted(tmp_path: Path) -> None:
    """Where time decides, nothing can be spread: the note says which number is undefined."""
    table = shop().assign(when=range(300))
    table.loc[180:, "buy"] = 0
    notes = Table(path=written(tmp_path, table), split="time", time_column="when").frames(0).notes
    assert "Task buy has no positive row in the validation part: its AUC there is undefined." in notes
    assert "Task buy has no positive row in the test part: its AUC there is undefined." in notes


@pytest.mark.parametrize("name", ["large.csv", "large.csv.gz", "large.parquet"])
def test_larger_files_are_sampled(tmp_path: Path, name: str) -> None:
    """As many rows as asked, from all over the file, the same for every seed, with a note."""
    table = shop(3000).assign(age=range(3000))
    path = written(tmp_path, table, name)
    parts = Table(path=path, sample_rows=600).frames(0)
    ages = pd.concat([parts.train, parts.valid, parts.test])["age"]
    assert len(ages) == 600 == ages.nunique()
    assert ages.max() > 2800
    assert parts.notes == ("A random sample of 600 of about 3,000 rows is used.",)
    again = Table(path=path, sample_rows=600).frames(1)
    assert set(pd.concat([again.train, again.valid, again.test])["age"]) == set(ages)


# What is refused: the table of bad inputs

Maker = Callable[[Path], str]


def raw(content: bytes | str, name: str = "bad.csv") -> Maker:
    """A file with this content."""

    def make(folder: Path) -> str:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return str(folder / name)

    return make


def changed(**columns: Any) -> Maker:
    """The shop log with these columns."""
    return lambda folder: written(folder, shop().assign(**columns))


def parquet(**columns: Any) -> Maker:
    """The shop log with these columns, as Parquet."""
    return lambda folder: written(folder, shop().assign(**columns), "shop.parquet")


def tasks(*given: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Options with these tasks and two features."""
    return {"features": FEATURES, "tasks": [{"name": t["label"], **t} for t in given], **options}


CLICK, CART, BUY = {"label": "click"}, {"label": "cart"}, {"label": "buy"}
LINES = "age,city,click\n" + "".join(f"{i},Bern,{i % 2}\n" for i in range(40))
BAD: dict[str, tuple[Maker, dict[str, Any], str]] = {
    "empty file": (raw(b""), {}, r"bad\.csv is empty: it has 0 bytes"),
    "blanks only": (raw("\n \n\n"), {}, r"bad\.csv is empty"),
    "empty gzip": (raw(gzip.compress(b""), "bad.csv.gz"), {}, r"empty once unpacked"),
    "header only": (raw("age,city,click\n"), {}, r"has a line of column names and no rows"),
    "header only, Parquet": (lambda f: written(f, shop(0), "none.parquet"), {}, r"column names and no rows"),
    "one column": (raw("click\n0\n1\n"), {}, r"has one column only, `click`: a table needs features and a label"),
    "one column, Parquet": (
        lambda f: written(f, shop()[["click"]], "one.parquet"),
        {},
        r"has one column only, `click`",
    ),
    "duplicate names": (raw("age,age,click\n1,2,0\n"), {}, r"has two columns called `age`\. Rename one"),
    "no names": (raw("1,2,0\n3,4,1\n"), {}, r"first line of bad\.csv should name the columns, but holds numbers"),
    "too many cells": (raw(LINES + "1,2,3,4\n"), {}, r"has 4 cells where the first line names 3 columns: '1,2,3,4'"),
    "no label": (lambda f: written(f, shop()[["age", "city"]]), {}, r"looks like a label: name the tasks"),
    "constant label": (
        changed(click=1),
        tasks(CLICK),
        r"Label column `click` is 1 in all 300 rows: there is nothing to",
    ),
    "constant in its space": (
        changed(buy=lambda t: t["cart"]),
        tasks(CART, BUY | {"space": "cart"}),
        r"Label column `buy` is 1 in all \d+ rows where `cart` is true: there is nothing to learn",
    ),
    "three values as binary": (
        changed(buy=[0, 1, 2] * 100),
        tasks(BUY),
        r"^Label column `buy` has three values \(0, 1, 2\)\. Choose regression, or pick which value counts as "
        r"positive\.$",
    ),
    "words as binary": (
        changed(buy=["no", "yes", "no"] * 100),
        tasks(BUY),
        r"Label column `buy` has two values \(no, yes\), not 0 and 1\. Pick which value counts as positive",
    ),
    "long words as binary": (
        changed(buy=["a\nb" * 50, "c"] * 150),
        tasks(BUY),
        r"Label column `buy` has two values \(a ba ba ba.*\.\.\., c\), not 0 and 1",
    ),
    "1 and 2 as binary": (changed(buy=[1, 2] * 150), tasks(BUY), r"Label column `buy` has two values \(1, 2\)"),
    "positive that never occurs": (
        changed(),
        tasks(BUY, positive={"buy": "9"}),
        r"`buy` never holds '9', which was to count as positive\. It holds: 0, 1",
    ),
    "funnel out of order": (
        changed(),
        tasks(BUY, CLICK | {"after": "buy"}),
        r"Task click comes after buy, but \d+ rows have `click` without `buy`\. Every `buy` has a `click`: the",
    ),
    "funnel broken": (
        changed(buy=lambda t: 1 - t["click"]),
        tasks(CLICK, BUY | {"after": "click"}),
        r"Task buy comes after click, but \d+ rows have `buy` without `click`\. Correct these rows",
    ),
    "missing label": (
        changed(click=[0, None, 1] * 100),
        tasks(CLICK),
        r"`click` is missing in 100 of 300 rows\. Fill it, or give the task the sample space 'click is known'",
    ),
    "gaps in a sample space": (
        changed(cart=[0, None, 1] * 100),
        tasks(CLICK, BUY | {"space": "cart"}),
        r"`cart`, the sample space of task buy",
    ),
    "empty sample space": (
        changed(cart=0),
        tasks(BUY | {"space": "cart"}),
        r"Task buy has no rows: `cart` is never true",
    ),
    "infinite label": (
        changed(click=[0.0, np.inf, 1.0] * 100),
        tasks(CLICK | {"kind": "regression"}),
        r"`click` holds infinite numbers",
    ),
    "infinite label, Parquet": (
        parquet(click=[0.0, np.inf, 1.0] * 100),
        tasks(CLICK | {"kind": "regression"}),
        r"`click` holds infinite numbers",
    ),
    "text as regression": (
        changed(city="Bern"),
        {**tasks({"label": "city", "kind": "regression"}), "features": FEATURES[:1]},
        r"Column `city` should hold numbers, but holds 'Bern'",
    ),
    "PNG as CSV": (raw(b"\x89PNG\r\n\x1a\n" + bytes(99)), {}, r"bad\.csv is no table: it holds a PNG picture"),
    "Excel as CSV": (raw(b"PK\x03\x04" + bytes(99)), {}, r"an Excel workbook: save the sheet as CSV"),
    "binary as CSV": (raw(b"abc\0\1\2" * 99), {}, r"no table: it holds binary data"),
    "PNG in gzip": (raw(gzip.compress(b"\x89PNG" + bytes(99)), "a.csv.gz"), {}, r"a PNG picture inside gzip"),
    "Parquet in gzip": (raw(gzip.compress(b"PAR1" + bytes(99)), "a.gz"), {}, r"is a Parquet file inside gzip"),
    "cut gzip": (raw(gzip.compress(os.urandom(9000).hex().encode())[:-4000], "a.gz"), {}, r"is (a )?damaged"),
    "cut Parquet": (raw(b"PAR1" + bytes(999), "a.parquet"), {}, r"is a damaged Parquet file"),
    "wrong encoding chosen": (
        raw("städte,click\nBern,1\n".encode("latin-1") * 20),
        {"encoding": "utf-8"},
        r"not written in the chosen encoding",
    ),
    "missing file": (lambda f: str(f / "nowhere.csv"), {}, r"^There is no file .*nowhere\.csv\. Check the path"),
    "folder": (str, {}, r"is a folder\. Give the path of a CSV"),
    "NUL in the path": (lambda f: f"{f}/a\0b", {}, r"cannot hold the character NUL"),
    "absent column": (
        changed(),
        {**tasks(CLICK), "features": [{"name": "agee", "kind": "numeric"}]},
        r"has no column `agee`\. It has:",
    ),
    "absent label": (changed(), tasks({"label": "clicks"}), r"has no column `clicks`"),
    "mixed types": (
        changed(age=lambda t: t["age"].astype(object).where(t.index != 200, "old")),
        tasks(CLICK),
        r"Column `age` should hold numbers, but holds 'old'\. Treat the column as categorical",
    ),
    "mixed types, Parquet": (
        parquet(age=lambda t: t["age"].astype(str).where(t.index != 200, "old")),
        tasks(CLICK),
        r"`age` .* holds 'old'",
    ),
    "thousands separators": (changed(age="1,234.5"), tasks(CLICK), r"`age` .*'1,234\.5': a thousands separator"),
    "decimal commas": (changed(age="12,5"), tasks(CLICK), r"`age` .*'12,5': a decimal comma\. Choose decimal comma"),
    "units": (changed(age="12.5 %"), tasks(CLICK), r"`age` .*'12\.5 %': a number with a unit"),
    "dates as numbers": (changed(age="2024-01-31"), tasks(CLICK), r"`age` .*'2024-01-31': a date\. List the column"),
    "no dates": (changed(age="31st"), tasks(CLICK, dates=["age"]), r"`age` should hold dates .* but holds '31st'"),
    "impossible dates": (changed(age="2024-13-31"), tasks(CLICK, dates=["age"]), r"`age` should hold dates"),
    "too few rows": (lambda f: written(f, shop(12)), tasks(CLICK), r"has 12 rows that can be used; at least 20"),
    "no rows left": (
        changed(when=None),
        tasks(CLICK, split="time", time_column="when"),
        r"has 0 rows that can be used; at least 20",
    ),
    "a split by time without a column": (changed(), tasks(CLICK, split="time"), r"split by time needs time_column"),
    "no positives to train on": (
        changed(when=range(300), buy=[0] * 250 + [1] * 50),
        tasks(BUY, split="time", time_column="when"),
        r"Task buy has no positive row in the training part",
    ),
    "label as feature": (
        changed(),
        {"features": [{"name": "click", "kind": "numeric"}], "tasks": [{"name": "click", "label": "click"}]},
        r"no feature: click",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_clear_sentence(case: str, tmp_path: Path) -> None:
    """What is wrong, where, and what to do."""
    make, options, said = BAD[case]
    path = make(tmp_path)
    before = Path(path).read_bytes() if "\0" not in path and Path(path).is_file() else None
    text = problem(path, **options)
    assert re.search(said, text), text
    assert before is None or Path(path).read_bytes() == before


def test_a_parquet_file_called_csv_is_read(tmp_path: Path) -> None:
    """The content decides, not the name; a plain file called .gz likewise."""
    Path(written(tmp_path, shop(), "x.parquet")).rename(tmp_path / "x.csv")
    Path(written(tmp_path, shop(), "y.csv")).rename(tmp_path / "y.csv.gz")
    Path(written(tmp_path, shop(), "z.csv")).rename(tmp_path / "z.parquet")
    for name in ("x.csv", "y.csv.gz", "z.parquet"):
        assert len(frames_of(str(tmp_path / name))) == 300


def test_an_all_missing_column_that_was_asked_for_is_noted(tmp_path: Path) -> None:
    """It is kept, since it was named, and tells the models nothing."""
    features = (Feature(name="empty", kind="numeric"), *FEATURES)
    options = Table(path=written(tmp_path, shop()), features=features, tasks=(Task(name="click", label="click"),))
    assert options.frames(0).notes == ("`empty` is missing in every row: it tells the models nothing.",)
    encode(options.table_schema(), options.frames(0))


def test_infinite_numbers_of_a_feature_count_as_missing(tmp_path: Path) -> None:
    """With a note; labels are refused instead."""
    path = written(tmp_path, shop().assign(age=[1.5, np.inf, -np.inf] * 100))
    parts = Table(path=path, features=FEATURES, tasks=(Task(name="click", label="click"),)).frames(0)
    assert "200 infinite numbers in `age` count as missing." in parts.notes
    assert parts.train["age"].isna().any()


@pytest.mark.parametrize(
    ("separator", "cells", "decimal"),
    [
        (";", ["3,5", "12", "0,25"], "comma"),
        ("\t", ["3,5", "-12,75", ""], "comma"),
        (";", ["3.5", "12", "0.25"], "point"),
        (";", ["1,234", "2,500", "17"], "point"),  # thousands?
        (";", ["3,5", "a,b", "0,25"], "point"),
        (";", ["3,5;1.5", "4,5;2.5", "5,5;3.5"], "point"),  # both: nothing is sure
        (",", ["3.5", "12", "0.25"], "point"),
    ],
)
def test_decimal_commas_are_found(tmp_path: Path, separator: str, cells: list[str], decimal: str) -> None:
    """Where a column is written so throughout; the guess says how the file is read, and the options keep it."""
    names = ["price", "other"][: cells[0].count(";") + 1]
    lines = [separator.join([*names, "click"]), *(f"{cell}{separator}{i % 2}" for i, cell in enumerate(cells * 20))]
    path = tmp_path / "bills.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = guess(str(path))
    assert found.decimal == decimal
    assert found.options("x")["decimal"] == decimal
    if decimal == "comma":
        assert found.columns[0].use == "numeric"
        options = Table.model_validate(found.options(str(path)))
        assert options.frames(0).train["price"].max() == pytest.approx(12 if separator == ";" else 3.5)


def test_decimal_commas_are_read_when_chosen(tmp_path: Path) -> None:
    """With semicolons between cells, as spreadsheets of many countries write them."""
    path = written(tmp_path, shop(), sep=";", decimal=",")
    found = guess(path, decimal="comma")
    assert {c.name: c.use for c in found.columns}["price"] == "numeric"
    rows = frames_of(path, decimal="comma")
    assert sorted(rows["price"]) == pytest.approx(sorted(shop()["price"]), rel=1e-6)


def test_a_positive_value_makes_a_binary_label(tmp_path: Path) -> None:
    """Of three values one counts, however it is written."""
    path = written(tmp_path, shop().assign(buy=[0, 1, 2] * 100))
    rows = frames_of(path, features=FEATURES, tasks=[Task(name="buy", label="buy")], positive={"buy": "2.0"})
    assert rows["buy"].sum() == 100


def test_uploads_are_limited(tmp_path: Path) -> None:
    """200 MB and not a byte more."""
    check_upload("a.csv", MAX_UPLOAD_MB * 2**20)
    with pytest.raises(DataError, match=r"^a\.csv has 200 MB; uploads may have 200 MB\. .*Parquet.*path.*\.$"):
        check_upload("a.csv", MAX_UPLOAD_MB * 2**20 + 1)


def test_files_outside_the_allowed_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By "..", by a link, by a similar name; whether they exist is not told. Inside, links and ".." are fine."""
    for name in ("mine", "mine too", "others", "mine-not"):
        (tmp_path / name).mkdir()
    written(tmp_path / "mine", shop())
    written(tmp_path / "mine too", shop())
    written(tmp_path / "others", shop())
    written(tmp_path / "mine-not", shop())
    (tmp_path / "mine" / "link.csv").symlink_to(tmp_path / "others" / "shop.csv")
    (tmp_path / "mine" / "good.csv").symlink_to(tmp_path / "mine too" / "shop.csv")
    (tmp_path / "mine" / "loop.csv").symlink_to(tmp_path / "mine" / "loop.csv")
    assert guess(str(tmp_path / "others" / "shop.csv"))
    monkeypatch.setenv("SEESAW_TABLES", os.pathsep.join([str(tmp_path / "mine"), str(tmp_path / "mine too")]))
    for good in ("mine/shop.csv", "mine/../mine too/shop.csv", "mine/good.csv", "others/../mine/shop.csv"):
        assert guess(f"{tmp_path}/{good}")
    for bad in ("others/shop.csv", "mine/../others/shop.csv", "mine/link.csv", "mine-not/shop.csv", "others/no.csv"):
        with pytest.raises(DataError, match=r"lies outside the folders that this server may read\. Upload the file"):
            guess(f"{tmp_path}/{bad}")
    with pytest.raises(DataError):
        guess(f"{tmp_path}/mine/loop.csv")
    # A stored spec needs no file to be valid, but reading it asks again.
    options = Table(path=f"{tmp_path}/others/shop.csv", features=FEATURES, tasks=(Task(name="click", label="click"),))
    with pytest.raises(DataError, match="outside the folders"):
        options.frames(0)


def test_declaring_the_table_imports_no_reader() -> None:
    """pandas, pyarrow and yaml are loaded when a file is read."""
    code = "import mtl_core.data.table, sys; assert not {'pandas', 'pyarrow', 'yaml', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
