"""Sentences of the core in a reader's language: found in its source, recognised when they are said, filled in again."""

from __future__ import annotations

import gzip
import string
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from app import i18n
from app.core_sentences import CONTEXT, sentence
from app.i18n import CORE, ENGLISH, FOLDER, languages, speaking
from app.locale.sentences import sentences
from app.setup_values import refusals
from mtl_core import registry
from mtl_core.data.base import DataError
from mtl_core.data.table import guess
from mtl_core.spec import RunSpec, SpecError

TRANSLATED = [name for name in languages() if name != ENGLISH]
POLISH = r"""# Polski
msgid ""
msgstr ""
"Language: pl\n"
"Content-Type: text/plain; charset=utf-8\n"

msgctxt "sentence"
msgid "Task {task_name} has no rows: `{space}` is never true."
msgstr "`{space}` nigdy nie jest prawdą, więc zadanie {task_name} nie ma wierszy."

msgctxt "sentence"
msgid "There is no {kind} called {name}.{hint} Choose one of: {known}."
msgstr "Nie ma {name}.{hint} Do wyboru: {known}."

msgctxt "sentence"
msgid " Did you mean {near}?"
msgstr " Może {near}?"

msgctxt "sentence"
msgid "{where}: {error}"
msgstr "{where} – {error}"

msgctxt "sentence"
msgid "A search is {{\"trials\": {count}}}."
msgstr "Szukanie to {{\"trials\": {count}}}."
"""


@pytest.fixture
def polish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "pl" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "core.po").write_text(POLISH, encoding="utf-8")
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)
    return "pl"


def read(name: str) -> list[Message]:
    with (FOLDER / name / "LC_MESSAGES" / f"{CORE}.po").open("rb") as file:
        return [message for message in read_po(file) if message.context == CONTEXT]


def places(template: str) -> set[str]:
    return {name for _, name, *_ in string.Formatter().parse(template) if name is not None}


def test_sentences_are_found_with_names_for_their_values() -> None:
    found = sentences()
    assert found["{path_name} has two columns called `{name}`. Rename one of them."] == [
        "mtl_core/data/table/reading.py"
    ]
    assert found["Task {name} has no positive row in the training part: there is nothing to learn."]
    # What is put into another sentence: assigned before, returned by a function, one of a table, handed over.
    for phrase in (" where `{space}` is true", "It holds: {listed}.", "a PDF document", " inside gzip", "two values"):
        assert phrase in found
    # Warnings and reasons are no errors, and are found too.
    assert "Both labels are functions of the same rating: the tasks are related by construction." in found
    assert "it holds numbers with a heavy tail: scaled by rank and cut into bins" in found
    # What workers write and a run keeps is read by others, in other languages.
    assert found["The worker died {attempts} times in a row at this run: see worker.log."] == ["app/jobs/store.py"]
    # A word alone may be anybody's column.
    assert not {"label", "position", "numeric"} & found.keys()


def test_a_sentence_is_translated_with_its_values_in_their_places(polish: str) -> None:
    said = "Task cvr has no rows: `click` is never true."
    assert sentence(said) == said
    with speaking(polish):
        assert sentence(said) == "`click` nigdy nie jest prawdą, więc zadanie cvr nie ma wierszy."
        assert sentence("Nobody has translated this.") == "Nobody has translated this."
        assert sentence('A search is {"trials": 24}.') == 'Szukanie to {"trials": 24}.'
        assert sentence("") == ""


def test_phrases_inside_a_sentence_are_translated_too(polish: str) -> None:
    with speaking(polish):
        assert sentence("There is no trunk called x. Choose one of: mmoe, ple.") == "Nie ma x. Do wyboru: mmoe, ple."
        said = "There is no trunk called 'pl'. Did you mean 'ple'? Choose one of: mmoe, ple."
        assert sentence(said) == "Nie ma 'pl'. Może 'ple'? Do wyboru: mmoe, ple."


def test_the_option_that_a_sentence_is_about_stays_before_it(polish: str) -> None:
    with speaking(polish):
        said = "model.trunk: There is no trunk called x. Choose one of: ple."
        assert sentence(said) == "model.trunk – Nie ma x. Do wyboru: ple."


@pytest.mark.parametrize("name", TRANSLATED)
def test_translations_have_no_place_that_their_sentence_lacks(name: str) -> None:
    for message in read(name):
        assert places(message.string) <= places(message.id), message.id


@pytest.mark.parametrize("name", TRANSLATED)
def test_every_sentence_is_recognised_whatever_its_values(name: str) -> None:
    with speaking(name):
        for message in read(name):
            said = str(message.id).format(**{place: place for place in places(message.id)})
            assert sentence(said) != said, message.id


@pytest.mark.parametrize("name", TRANSLATED)
def test_what_is_wrong_with_a_spec_is_said_in_the_readers_language(name: str) -> None:
    wrong = [
        {"data": {"name": "conflicts"}},
        {"model": {"trunk": {"name": "ple", "options": {"shared_experts": 0}}}},
        {"model": {"trunk": {"name": "asymmetric", "options": {"lead": 7}}}},
        {"model": {"towers": ["16a"]}},
        {"model": {"towers": [0]}},
        {"training": {"learning_rate": 2}},
        {"training": {"optimizer": "adamax"}},
        {"model": {"head": {"name": "esmm"}}},
        {"model": {"head": {"name": "shallow_tower"}}},
        {"balancer": {"name": "static", "options": {"weights": [0, 0]}}},
        {"balancer": {"name": "static", "options": {"weights": [1]}}},
        {"balancer": {"name": "pe_ltr", "options": {"c": [0.7, 0.7]}}},
    ]
    for value in wrong:
        with pytest.raises(SpecError) as caught:
            RunSpec.parse(value)
        said = str(caught.value)
        with speaking(name):
            assert not _rest(said, sentence(said))


@pytest.mark.parametrize("name", TRANSLATED)
def test_why_a_part_does_not_fit_is_said_in_the_readers_language(name: str) -> None:
    for dataset in registry.names("dataset"):
        schema = registry.get("dataset", dataset)().table_schema()  # type: ignore[attr-defined]
        for kind in ("encoder", "head"):
            for said in refusals(kind, schema).values():
                with speaking(name):
                    assert not _rest(said, sentence(said))


@pytest.mark.parametrize("name", TRANSLATED)
def test_guesses_about_a_file_are_explained_in_the_readers_language(name: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    lines = ["row,user_id,day,tags,price,mixed,constant,empty,ts,position,click"]
    for n in range(400):
        price, mixed = 10.0 ** (n % 9), "x" if n % 5 else str(n % 4)
        lines.append(f"r{n},{n % 9},2024-01-{n % 28 + 1:02},a|b,{price},{mixed},1,,{1_700_000_000 + n},{n % 7},{n % 2}")
    path.write_text("\n".join(lines))
    found = guess(str(path))
    said = [*(column.reason for column in found.columns), *found.notes]
    assert len(set(said)) > 8
    with speaking(name):
        assert [text for text in said if _rest(text, sentence(text))] == []


@pytest.mark.parametrize("name", TRANSLATED)
def test_why_a_file_cannot_be_read_is_said_in_the_readers_language(name: str, tmp_path: Path) -> None:
    files = {
        "picture.csv": b"%PDF-1.7", "blank.csv": b"  \n\n", "one.csv": b"a\n1\n2\n", "twice.csv": b"a,a,b\n1,2,3\n",
        "numbers.csv": b"1,2,3\n4,5,6\n", "names.csv": b"a,b,click\n", "nothing.csv": b"",
        "packed.csv.gz": gzip.compress(b"%PDF-1.7"),
    }  # fmt: skip
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
        with pytest.raises(DataError) as caught:
            guess(str(tmp_path / file))
        said = str(caught.value)
        with speaking(name):
            assert not _rest(said, sentence(said))


@pytest.mark.parametrize("name", TRANSLATED)
@pytest.mark.parametrize("dataset", ["movielens_100k", "ali_ccp"])
def test_where_data_are_to_be_had_is_said_in_the_readers_language(dataset: str, name: str, tmp_path: Path) -> None:
    part = registry.get("dataset", dataset).model_validate({"folder": str(tmp_path)})
    with pytest.raises(DataError) as caught:
        part.frames(0)  # type: ignore[attr-defined]
    said = str(caught.value)
    with speaking(name):
        assert str(tmp_path) in sentence(said)
        assert not _rest(said, sentence(said))


def _rest(said: str, shown: str) -> str:
    """English words that a translation still has in a row: three of them are a phrase, one may be a name."""
    words = [word.strip("`'\"().,:;") for word in said.split()]
    runs = [" ".join(words[n : n + 3]) for n in range(len(words) - 2)]
    return next((run for run in runs if run in shown and run.replace(" ", "").isalpha()), "")


def test_uploads_go_by_the_names_that_people_gave_them(home: Path) -> None:
    """They are kept under their hash, here or on the machine that a run came from."""
    kept = home / "uploads" / "e3b0c44298fc-my log.csv"
    assert sentence(f"{kept} is empty: it has 0 bytes.") == "my log.csv is empty: it has 0 bytes."
    assert sentence("There is no file /srv/uploads/e3b0c44298fc-a.csv.") == "There is no file a.csv."
    assert sentence("4d7ef96b3c61-a.csv has no column `x`.") == "a.csv has no column `x`."
    assert sentence("a.csv holds 'e3b0c44298fc'.") == "a.csv holds 'e3b0c44298fc'."
