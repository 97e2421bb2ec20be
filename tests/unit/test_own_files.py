"""Files that people bring: kept, looked at, corrected, settled, found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import own_files
from app.jobs import settings
from app.own_files import LabelChoice
from mtl_core.data.base import DataError
from mtl_core.data.table import Guess
from mtl_core.spec import RunSpec

ROWS = "user_id,age,click,buy,grade\n" + "".join(
    f"u{i % 17},{20 + i % 40},{int(i % 3 == 0)},{int(i % 9 == 0)},{i % 4}\n" for i in range(400)
)
LABELS = [LabelChoice("click", "binary"), LabelChoice("buy", "binary", after="click")]


@pytest.fixture
def kept(home: Path) -> Path:
    """An upload."""
    return own_files.keep("my shop (1).csv", ROWS.encode())


def uses(found: Guess, **changes: str) -> dict[str, str]:
    """The guessed uses, some changed."""
    return {column.name: column.use for column in found.columns} | changes


def test_an_upload_is_kept_once_under_a_safe_name(kept: Path, home: Path) -> None:
    """The same bytes are the same file; a name cannot lead out of the folder."""
    assert own_files.keep("my shop (1).csv", ROWS.encode()) == kept
    assert kept.parent == home / "uploads"
    evil = own_files.keep("../../etc/pass wd", ROWS.encode())
    assert evil.parent == home / "uploads"
    assert " " not in evil.name


def test_an_upload_that_is_no_table_is_refused(home: Path) -> None:
    """The sentence says what it is."""
    path = own_files.keep("picture.csv", b"\x89PNG\r\n\x1a\n" + b"0" * 100)
    with pytest.raises(DataError, match="PNG picture"):
        own_files.look(path)


def test_a_column_can_become_something_else(kept: Path) -> None:
    """What was not changed stays as guessed; what was is what the person said."""
    found = own_files.look(kept)
    revised = own_files.revise(found, uses(found, age="categorical", grade="left out"), LABELS)
    assert {f.name: f.kind for f in revised.features} == {"user_id": "categorical", "age": "categorical"}
    same = own_files.revise(found, uses(found), LABELS)
    assert same.features == found.features


def test_labels_follow_the_funnel_that_was_said(kept: Path) -> None:
    """`after` sets the sample space; without it a task has all rows."""
    found = own_files.look(kept)
    revised = own_files.revise(found, uses(found), LABELS)
    assert [(t.name, t.space, t.after) for t in revised.tasks] == [("click", None, None), ("buy", "click", "click")]
    loose = own_files.revise(found, uses(found), [LabelChoice("click", "binary"), LabelChoice("buy", "binary")])
    assert [(t.name, t.after) for t in loose.tasks] == [("click", None), ("buy", None)]


def test_choices_that_do_not_fit_are_one_sentence(kept: Path) -> None:
    """No label, or a task after one that comes later."""
    found = own_files.look(kept)
    with pytest.raises(DataError, match="No column looks like a label"):
        own_files.revise(found, uses(found, click="left out", buy="left out", grade="left out"), [])
    with pytest.raises(DataError, match="must be a task before it") as caught:
        own_files.revise(
            found, uses(found), [LabelChoice("click", "binary", after="buy"), LabelChoice("buy", "binary")]
        )
    assert "\n" not in str(caught.value)


def test_a_settled_file_is_found_again_and_gives_a_spec(kept: Path) -> None:
    """Its options alone make a run: no guessing later, and the file is held to its hash."""
    found = own_files.look(kept)
    settled = own_files.settle(kept, own_files.revise(found, uses(found), LABELS))
    again = own_files.settled()
    assert again == {settled.id: settled}
    assert settled.name == "my_shop_1_.csv"
    spec = RunSpec.parse({"data": {"name": "table", "options": settled.options}})
    assert spec.schema.task_names == ("click", "buy")
    assert spec.to_json()["data"]["options"]["sha256"] != ""
    yaml = kept.with_name(kept.name + ".yaml").read_text(encoding="utf-8")
    assert Guess.from_yaml(yaml).tasks == spec.schema.tasks


def test_a_file_that_is_gone_is_not_offered(kept: Path) -> None:
    """A settled schema without its file is no choice."""
    found = own_files.look(kept)
    own_files.settle(kept, own_files.revise(found, uses(found), LABELS))
    kept.unlink()
    assert own_files.settled() == {}


def test_workers_read_tables_from_these_folders_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads, public data and the server's own folder, unless the environment says otherwise."""
    monkeypatch.delenv("SEESAW_TABLES", raising=False)
    assert str(home / "uploads") in settings.table_folders().split(":")
    monkeypatch.setenv("SEESAW_TABLES", "/srv/tables")
    assert settings.table_folders() == "/srv/tables"
