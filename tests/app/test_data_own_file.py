"""Your own file on the data page: a schema that was saved before, good ones and bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app import analysis, own_files
from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from app.own_files import LabelChoice, adopt, revise
from mtl_core.comparison import preset_spec
from mtl_core.data.base import DataError
from mtl_core.data.table import Guess, Table
from mtl_core.schema import Task
from mtl_core.spec import RunSpec
from tests.app.conftest import healthy, visit

HEADER = "user_id,age,day,place,seen,click,buy,rest\n"


def rows(start: int, header: str = HEADER) -> bytes:
    """A small shop log: ages have gaps, purchases come after clicks."""
    lines = [
        f"u{i % 17},{20 + i % 40 if i % 5 else ''},2024-01-{1 + i % 28:02d},{1 + i % 9},i{i % 7}|i{i % 5},"
        f"{int(i % 3 == 0)},{int(i % 9 == 0)},{'ab'[i % 2]}\n"
        for i in range(start, start + 400)
    ]
    return (header + "".join(lines)).encode()


@pytest.fixture
def kept(home: Path) -> Path:
    """An upload."""
    return own_files.keep("january.csv", rows(0))


@pytest.fixture
def found(kept: Path) -> Guess:
    """What it seems to be."""
    return own_files.look(kept)


def corrected(found: Guess) -> Guess:
    """By hand: ages in classes, one column left out, purchases on all rows."""
    uses = {column.name: column.use for column in found.columns} | {"age": "categorical", "rest": "left out"}
    return revise(found, uses, [LabelChoice("buy", "binary"), LabelChoice("click", "binary")])


def saved(schema: Guess, *changes: tuple[str, str]) -> bytes:
    """As the page writes it, then edited by hand."""
    text = schema.to_yaml()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text.encode()


# Taking up a schema


def test_a_saved_schema_says_the_same_of_the_same_file(found: Guess) -> None:
    """Save, load, adopt: features, labels, dates; the table of uses shows what a person chose."""
    schema = corrected(found)
    again = adopt(found, saved(schema))
    assert (again.features, again.tasks, again.dates) == (schema.features, schema.tasks, schema.dates)
    assert {c.name: c.use for c in again.columns} == {c.name: c.use for c in schema.columns}
    assert again.options("x") == schema.options("x")
    assert revise(again, {c.name: c.use for c in again.columns}, choices(again)).options("x") == schema.options("x")


def choices(schema: Guess) -> list[LabelChoice]:
    """The labels as they stand."""
    label = {task.name: task.label for task in schema.tasks}
    positive = schema.positive
    return [LabelChoice(t.label, t.kind, positive.get(t.label, ""), label.get(t.after or "", "")) for t in schema.tasks]


def test_a_schema_serves_another_file_of_the_same_columns(found: Guess, home: Path) -> None:
    """Counts, gaps and hash are those of the new file, whose runs would else be refused as changed."""
    path = own_files.keep("february.csv", rows(1000) + b"u1,30,2024-02-01,3,i1|i2,1,0,a\n")
    later = own_files.look(path)
    schema = adopt(later, saved(corrected(found)))
    assert (schema.rows, schema.sha256) == (401, later.sha256)
    assert [c.missing for c in schema.columns] == [c.missing for c in later.columns]
    options = own_files.settle(path, schema).options
    frames = Table.model_validate(options).frames(0)
    assert len(frames.train) + len(frames.valid) + len(frames.test) == 401


def test_a_new_column_is_left_out_and_named(found: Guess, home: Path) -> None:
    """Nothing comes in unseen, and nothing is dropped in silence."""
    wider = rows(0).replace(b"rest\n", b"rest,price\n").replace(b"a\n", b"a,1.5\n").replace(b"b\n", b"b,2.5\n")
    schema = adopt(own_files.look(own_files.keep("wider.csv", wider)), saved(corrected(found)))
    (price,) = [c for c in schema.columns if c.name == "price"]
    assert (price.use, price.reason) == ("left out", "not in the schema")
    assert schema.notes == ("The schema does not know `price`: left out until you choose a use.",)


def test_what_was_edited_by_hand_counts_over_the_table_of_uses(found: Guess) -> None:
    """Bins, names of tasks and sample spaces have no control of their own on the page, and stay as the file says."""
    schema = found.model_copy(
        update={
            "features": tuple(f.model_copy(update={"bins": 8}) if f.name == "age" else f for f in found.features),
            "tasks": (Task(name="ctr", label="click"), Task(name="cvr", label="buy", space="click", after="ctr")),
        }
    )
    again = adopt(found, saved(schema, ("name: day\n  use: date", "name: day\n  use: left out")))
    uses = {c.name: c.use for c in again.columns}
    assert uses["day"] == "left out"
    settled = revise(again, uses, choices(again))
    assert settled.features == tuple(f for f in schema.features if f.name != "day")
    assert settled.tasks == schema.tasks  # though the label of the task before is called otherwise than the task


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00\x01", "This is no YAML: it is not UTF-8 text."),
        (b"", "This is no schema: "),
        (b"a: [", "This is no YAML: "),
        (b"user_id,age\n1,2\n", "This is no schema: "),
        (b"rows: 4\n", "This is no schema: columns: Field required."),
        (b"x" * 2_000_001, "This is no schema: it is far too large."),
    ],
)
def test_what_is_no_schema_is_refused(found: Guess, content: bytes, said: str) -> None:
    """One sentence that says what is wrong."""
    with pytest.raises(DataError) as caught:
        adopt(found, content)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("name: user_id", "name: member"), "This schema is for another file: it uses the column `member`"),
        (("label: buy", "label: bought"), "The schema calls `buy` a label, but none of its tasks has it."),
        (("space: null", "space: shown"), "This schema is for another file: it uses the column `shown`"),
        (("positive: {}", "positive: {age: '3'}"), "The schema gives `age` a positive value, but"),
        (("label: buy", "label: age"), "The schema says two things of `age`: categorical under columns, and the label"),
        (("use: categorical", "use: colour"), "This is no schema: columns.1.use: "),
    ],
)
def test_a_schema_that_does_not_fit_is_refused(found: Guess, change: tuple[str, str], said: str) -> None:
    """The column is named."""
    with pytest.raises(DataError) as caught:
        adopt(found, saved(corrected(found), change))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_label_with_gaps_is_learned_where_it_is_known(kept: Path) -> None:
    """Of a file whose likes are not always asked for; taken out of the funnel they keep a sample space."""
    content = rows(0).replace(b",rest\n", b",like\n").replace(b",a\n", b",\n").replace(b",b\n", b",1\n", 150)
    found = own_files.look(own_files.keep("gaps.csv", content.replace(b",b\n", b",0\n")))
    uses = {column.name: column.use for column in found.columns} | {"like": "label"}
    labels = [LabelChoice("click", "binary"), LabelChoice("like", "binary")]
    assert revise(found, uses | {"buy": "left out"}, labels).tasks[1].space == "like is known"
    behind = [LabelChoice("click", "binary"), LabelChoice("like", "binary", after="click")]
    assert revise(found, uses | {"buy": "left out"}, behind).tasks[1].space == "click"


# On the page


def upload(content: bytes = b"", schema: tuple[str, bytes] | None = None) -> AppTest:
    """The data page with a file of one's own and, if one is given, a schema."""
    at = healthy(visit("data", data="table"))
    at.file_uploader(key="own.upload").upload("january.csv", content or rows(0), "text/csv").run()
    if schema is not None:
        (kept,) = own_files.folder().glob("*-january.csv")
        at.file_uploader(key=f"own.schema.{kept.name}").upload(*schema, "application/yaml").run()
    return at


def uses_shown(at: AppTest) -> dict[str, str]:
    """The first table of the page: what each column is used as."""
    table = at.dataframe[0].value
    return dict(zip(table["column"], table["use"], strict=True))


def test_the_page_shows_a_schema_that_fits_and_settles_it(found: Guess) -> None:
    """The uses are the schema's, the button keeps them, and the page goes over to the file."""
    schema = corrected(found)
    at = healthy(upload(schema=("mine.yaml", saved(schema))))
    assert uses_shown(at) == {c.name: c.use for c in schema.columns}
    assert "mine.yaml" in at.success[0].value
    at.button(key="own.settle").click().run()
    (settled,) = own_files.settled().values()
    assert settled.options == schema.options(settled.options["path"])
    assert healthy(at).session_state["file"] == settled.id


def test_the_page_refuses_a_schema_in_one_sentence_and_keeps_the_guess(found: Guess) -> None:
    """Guess and button stay: nothing that was there before is lost, and the next schema can be tried."""
    bad = saved(corrected(found), ("name: user_id", "name: member"))
    at = upload(schema=("other.yaml", bad))
    assert [element.message for element in at.exception] == []
    (error,) = at.error
    assert "`member`" in error.value
    assert "\n" not in error.value
    assert uses_shown(at) == {c.name: c.use for c in found.columns}
    assert not at.button(key="own.settle").disabled
    (kept,) = own_files.folder().glob("*-january.csv")
    field = at.file_uploader(key=f"own.schema.{kept.name}")
    field.upload("mine.yaml", saved(corrected(found)), "application/yaml").run()
    assert uses_shown(healthy(at))["age"] == "categorical"


def test_what_the_page_offers_to_save_can_be_brought_back(found: Guess, home: Path) -> None:
    """Kept beside the settled file, too."""
    at = upload()
    at.button(key="own.settle").click().run()
    healthy(at)
    (side,) = own_files.folder().glob("*.yaml")
    again = adopt(found, side.read_bytes())
    (options,) = own_files.folder().glob("*.json")
    assert again.options("") | {"path": 0} == json.loads(options.read_text(encoding="utf-8")) | {"path": 0}


def picked(at: AppTest, ending: str) -> Any:
    """The list of the card whose key ends so."""
    (found,) = [box for box in at.selectbox if box.key.startswith("own.") and box.key.endswith(ending)]
    return found


def test_labels_offer_their_values_and_a_missing_choice_blocks_the_button(home: Path) -> None:
    """Three grades: nothing can be used until one of them is said to be the positive one."""
    lines = [f"{20 + i % 40},{int(i % 3 == 0)},{('bad', 'good', 'ok')[i % 3]}" for i in range(400)]
    at = upload("\n".join(["age,click,grade", *lines]).encode(), ("s.yaml", LABELLED))
    assert picked(at, ".grade.positive").options == ["bad", "good", "ok"]
    assert picked(at, ".grade.positive").value is None
    assert "`grade` has three values (bad, good, ok)" in at.error[0].value
    assert "own.settle" not in {button.key for button in at.button}
    picked(at, ".grade.positive").set_value("good").run()
    healthy(at).button(key="own.settle").click().run()
    (settled,) = own_files.settled().values()
    assert settled.options["positive"] == {"grade": "good"}


#: `grade` is a label; the person who wrote this did not say which value counts.
LABELLED = b"""
rows: 400
columns:
- {name: age, use: numeric, reason: '', missing: 0, distinct: 40}
- {name: click, use: label, reason: '', missing: 0, distinct: 2}
- {name: grade, use: label, reason: '', missing: 0, distinct: 3}
tasks:
- {name: click, label: click}
- {name: grade, label: grade}
"""


def test_a_schema_that_no_run_could_have_leaves_the_good_one_in_place(kept: Path, found: Guess) -> None:
    """It is tried before it takes the place of what works; the sentence stays."""
    good = own_files.settle(kept, found)
    numbers = {column.name: column.use for column in found.columns} | {"user_id": "numeric"}
    with pytest.raises(DataError, match="`user_id` should hold numbers"):
        own_files.settle(kept, revise(found, numbers, choices(found)))
    assert own_files.settled() == {good.id: good}
    bad = saved(found, ("name: user_id\n  use: id", "name: user_id\n  use: numeric"))
    at = upload(schema=("bad.yaml", bad))
    at.button(key="own.settle").click().run()
    assert "`user_id` should hold numbers" in at.error[0].value
    assert "`user_id` should hold numbers" in at.run().error[0].value
    assert own_files.settled() == {good.id: good}


def test_what_is_below_an_upload_says_whose_it_is(home: Path) -> None:
    """Before it is in use, and after one that failed, the charts are those of the file before."""
    at = upload()
    assert [head.value for head in at.subheader] == ["Still in use: A made-up shop log (example)"]
    at.button(key="own.settle").click().run()
    assert not at.subheader
    assert "january.csv is in use" in at.success[0].value
    assert at.query_params["file"] == at.session_state["file"]
    (link,) = [link for link in at.get("page_link") if link.proto.label == "Train on this file"]
    assert f"file={at.session_state['file']}" in link.proto.query_string
    at.file_uploader(key="own.upload").upload("empty.csv", b"", "text/csv").run()
    assert [error.value for error in at.error] == ["empty.csv is empty: it has 0 bytes."]
    assert [head.value for head in at.subheader] == ["Still in use: january.csv"]


def test_the_page_offers_how_a_file_is_read(home: Path) -> None:
    """As found at first; another separator gives other columns, and what cannot be read says why."""
    bill = rows(0).replace(b",", b";").replace(b";i", b";0,5;i").replace(b"place;", b"place;price;")
    at = healthy(upload(bill))
    assert uses_shown(at)["price"] in ("numeric", "left out")  # one value only
    assert picked(at, "own.decimal." + next(own_files.folder().glob("*.csv")).name).value == "auto"
    separator = next(box for box in at.selectbox if box.key.startswith("own.separator."))
    assert "semicolon" in separator.options[0]
    separator.set_value("tab").run()
    assert "one column only" in at.error[0].value
    next(box for box in at.selectbox if box.key.startswith("own.separator.")).set_value("auto").run()
    healthy(at).button(key="own.settle").click().run()
    (settled,) = own_files.settled().values()
    assert (settled.options["separator"], settled.options["decimal"]) == ("semicolon", "comma")


def test_a_split_by_time_is_offered_kept_and_named(found: Guess) -> None:
    """Dates first; the latest rows are the test, and both the link's file and the schema say so."""
    at = upload()
    picked(at, ".split.how").set_value("time").run()
    assert picked(at, ".split.column").options[0] == "day"
    at.button(key="own.settle").click().run()
    assert any("split by time (day)" in caption.value for caption in healthy(at).caption)
    (settled,) = own_files.settled().values()
    label = analysis.budget_label(own_spec(settled.options))
    assert label.startswith("january.csv · split by time (day) · ")
    frames = Table.model_validate(settled.options).frames(0)
    assert frames.train["day"].max() <= frames.test["day"].min()
    (side,) = own_files.folder().glob("*.yaml")
    again = adopt(found, side.read_bytes())
    assert again.options(settled.options["path"]) == settled.options


def test_days_that_are_no_feature_can_still_split_the_rows(found: Guess) -> None:
    """A column that is left out is read as dates where the split goes by it, and survives the YAML."""
    uses = {column.name: column.use for column in found.columns} | {"day": "left out"}
    revised = revise(found, uses, choices(found), "day")
    assert own_files.time_columns(revised, uses)[0] == "day"
    assert Guess.from_yaml(revised.to_yaml()).options("x") == revised.options("x")
    assert "day" not in {feature.name for feature in revised.features}


def test_the_preset_takes_the_newest_file_or_says_where_to_bring_one(kept: Path, found: Guess) -> None:
    """Without a file the made-up log stands in and is called so; a link names its file whichever is the newest."""
    at = healthy(visit("playground"))
    at.pills(key="preset").set_value("Your own file").run()
    assert at.session_state["file"] == "example"
    assert any("made-up shop log stands in" in caption.value for caption in at.caption)
    own = own_files.settle(kept, found)
    at.pills(key="preset").set_value("Your own file").run()
    assert healthy(at).session_state["file"] == at.query_params["file"] == own.id


# The data of a run


@pytest.fixture
def run(store: RunStore, kept: Path, found: Guess) -> RunRecord:
    """A run of the file with all of its labels, made before the file's schema was changed to one label."""
    options = own_files.settle(kept, found).options
    record, _ = store.submit(own_spec(options))
    only_click = {column.name: column.use for column in found.columns} | {"buy": "left out"}
    own_files.settle(kept, revise(found, only_click, [LabelChoice("click", "binary")]))
    return record


def own_spec(options: dict[str, Any]) -> RunSpec:
    """A short run of a file of one's own."""
    return preset_spec("table", "mmoe", data={"name": "table", "options": options})


def adopted(record: RunRecord) -> AppTest:
    """The playground with its controls set to the run, as they are when it is opened."""
    at = visit("playground", run=record.id)
    assert [element.message for element in at.exception] == []
    return at


def test_the_controls_take_the_schema_of_a_run_not_the_one_settled_since(run: RunRecord) -> None:
    """Both of its labels, its name in the link, and no word about options that have no control."""
    at = healthy(adopted(run))
    assert not at.toast
    assert at.session_state["file"].startswith("run-")
    assert at.query_params["file"] == at.session_state["file"]
    assert not at.button(key="train").disabled
    # Whoever opens the link trains the very same.
    link = dict(at.query_params)
    again = healthy(visit("playground", **link))
    assert f"adopt.{run.id}" not in {button.key for button in again.button}


def test_a_run_of_a_file_that_is_not_here_names_it_and_cannot_be_trained(run: RunRecord, kept: Path) -> None:
    """It was made on another machine: the alert stays until the same content is brought, under whatever name."""
    content = kept.read_bytes()
    kept.unlink()
    at = adopted(run)
    assert [error.value for error in at.error] == [
        "This run used january.csv, which is not here; bring the same file to go on."
    ]
    assert at.button(key="train").disabled
    assert f"adopt.{run.id}" not in {button.key for button in at.button}  # the controls do say what the run was
    assert [error.value for error in at.run().error] != []
    data = visit("data", data="table", file=at.session_state["file"])
    assert "january.csv, which is not here" in data.error[0].value
    brought = own_files.keep("the same.csv", content)
    assert not healthy(at.run()).button(key="train").disabled
    options = {**run.spec["data"]["options"], "path": str(brought)}
    elsewhere = Table.model_validate(run.spec["data"]["options"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEESAW_TABLES", str(own_files.folder()))
        pd.testing.assert_frame_equal(elsewhere.frames(0).test, Table.model_validate(options).frames(0).test)


def test_nothing_is_queued_that_would_only_miss_its_file(store: RunStore, run: RunRecord, kept: Path) -> None:
    """Next seed says which file is wanted; with it, the next seed is queued on the very same data."""
    content = kept.read_bytes()
    kept.unlink()
    at = healthy(visit("runs", selected=run.id))
    at.button(key="runs.rerun").click().run()
    assert "january.csv, which is not here" in at.error[0].value
    assert len(store.runs()) == 1
    own_files.keep("january.csv", content)
    at.button(key="runs.rerun").click().run()
    assert [record.seed for record in healthy(at) and store.runs()] == [1, 0]
    assert store.runs()[0].spec["data"] == run.spec["data"]


def test_a_link_that_names_a_file_of_another_machine_says_so(home: Path) -> None:
    """What stands in for it does not do so in silence."""
    at = healthy(visit("playground", data="table", file="0123456789ab-nowhere.csv"))
    assert "0123456789ab-nowhere.csv" in at.toast[0].value
    assert at.query_params["file"] == "example"
