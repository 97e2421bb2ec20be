"""Texts in the reader's language: looked up, formatted, complete, and all in one place."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from app import i18n
from app.i18n import APP, FOLDER, as_read, by_language, core, language, languages, mark, nearest, speaking, tr, trn
from app.locale.update import template, untranslated, updated, write

TRANSLATED = [name for name in languages() if name != i18n.ENGLISH]
POLISH = """# Polski
msgid ""
msgstr ""
"Language: pl\\n"
"Content-Type: text/plain; charset=utf-8\\n"

msgid "Train {name} for {epochs} epochs"
msgstr "{epochs} epok modelu {name}"

msgid "{n} run"
msgid_plural "{n} runs"
msgstr[0] "jeden przebieg"
msgstr[1] "{n} przebiegi"
msgstr[2] "{n} przebiegów"

msgid "Nobody has translated {this}"
msgstr ""

msgid "{n} model"
msgid_plural "{n} models"
msgstr[0] ""
msgstr[1] ""
msgstr[2] ""
"""


@pytest.fixture
def polish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A further language is a folder and nothing else."""
    folder = tmp_path / "pl" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "app.po").write_text(POLISH, encoding="utf-8")
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)
    return "pl"


def read(name: str) -> Catalog:
    with (FOLDER / name / "LC_MESSAGES" / f"{APP}.po").open("rb") as file:
        return read_po(file, locale=name)


def messages(catalog: Catalog) -> dict[str, Message]:
    return {str(message.id): message for message in catalog if message.id}


def placeholders(text: str) -> set[tuple[str, str, str]]:
    """Names with their formats: a translation may move them, not change them."""
    return {(name, form or "", how or "") for _, name, form, how in string.Formatter().parse(text) if name is not None}


def test_without_a_reader_everything_is_english() -> None:
    assert language() == "en"
    assert tr("Train {name} for {epochs} epochs", name="PLE", epochs=5) == "Train PLE for 5 epochs"
    assert [trn("{n} run", "{n} runs", n) for n in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert core("Rows per step") == mark("Rows per step") == "Rows per step"


def test_a_further_language_is_only_a_folder(polish: str) -> None:
    assert languages() == {"en": "English", "pl": "Polski"}
    with speaking(polish):
        assert tr("Train {name} for {epochs} epochs", name="PLE", epochs=5) == "5 epok modelu PLE"
        assert [trn("{n} run", "{n} runs", n) for n in (1, 2, 7)] == ["jeden przebieg", "2 przebiegi", "7 przebiegów"]
        assert tr("Nobody has translated {this}", this="that") == "Nobody has translated that"
        assert [trn("{n} model", "{n} models", n) for n in (1, 3)] == ["1 model", "3 models"]
        assert tr("Nobody has heard of {this}", this="that") == "Nobody has heard of that"
        assert core("Rows per step") == "Rows per step"
    assert tr("Train {name} for {epochs} epochs", name="PLE", epochs=5) == "Train PLE for 5 epochs"


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("zh-CN", "zh_CN"), ("zh_CN", "zh_CN"), ("zh", "zh_CN"), ("zh-Hans-CN", "zh_CN"), ("ZH-cn", "zh_CN"),
        ("en-US", "en"), ("en", "en"), ("fr-FR", "en"), ("", "en"), (None, "en"), ("zhuang", "en"), ("../etc", "en"),
    ],
)  # fmt: skip
def test_a_browser_gets_the_nearest_language(locale: str | None, expected: str) -> None:
    assert nearest(locale) == expected


def test_spaces_beside_latin_words_are_not_left_between_chinese_ones() -> None:
    with speaking("zh_CN"):
        said = [tr("{models} cannot be told from single-task", models=name) for name in ("PLE", "共享底层")]
    assert said == ["PLE 与单任务无法区分", "共享底层与单任务无法区分"]


def test_what_is_made_later_is_in_the_language_of_its_reader() -> None:
    with speaking("zh_CN"):
        make = as_read(lambda name: f"{name}: {tr('Train')}")
    assert (make("b"), tr("Train")) == ("b: 训练", "Train")


def test_what_is_kept_is_kept_by_language() -> None:
    made: list[tuple[str, int]] = []

    @by_language(maxsize=4)
    def picture(size: int) -> str:
        made.append((language(), size))
        return language()

    assert picture(1) == "en"
    with speaking("zh_CN"):
        assert picture(1) == picture(1) == "zh_CN"
    assert picture(1) == "en"
    assert made == [("en", 1), ("zh_CN", 1)]


def test_the_template_holds_the_texts_of_the_code() -> None:
    with (FOLDER / f"{APP}.pot").open("rb") as file:
        kept = read_po(file)
    # Else: python -m app.locale.update
    assert messages(kept).keys() == messages(template()).keys()


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_language_is_complete(name: str) -> None:
    catalog = read(name)
    assert messages(catalog).keys() == messages(template()).keys()
    assert untranslated(catalog) == []
    assert [message.id for message in catalog if message.fuzzy and message.id] == []
    assert languages()[name]


@pytest.mark.parametrize("name", TRANSLATED)
def test_translations_have_the_placeholders_of_their_texts(name: str) -> None:
    for message in messages(read(name)).values():
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        wanted = placeholders(ids[-1])
        for text in message.string if isinstance(message.string, tuple) else (message.string,):
            found = placeholders(text)
            # A plural form for one thing alone may leave the number out.
            assert found == wanted or (len(ids) > 1 and wanted - found == {("n", "", "")}), message.id


@pytest.mark.parametrize("name", TRANSLATED)
def test_plural_forms_are_those_of_the_language(name: str) -> None:
    catalog = read(name)
    assert (catalog.num_plurals, catalog.plural_expr) == (
        Catalog(locale=Locale.parse(name)).num_plurals,
        Catalog(locale=Locale.parse(name)).plural_expr,
    )
    for message in messages(catalog).values():
        assert not isinstance(message.id, tuple) or len(message.string) == catalog.num_plurals


def test_an_update_keeps_what_is_translated(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(
        'from app.i18n import mark, tr, trn\nA = mark("Kept")\ntr("New {x}", x=1), trn("{n} run", "{n} runs", 2)\n'
    )
    path = tmp_path / "zh_CN" / "LC_MESSAGES" / "app.po"
    write(updated(path, "zh_CN", template(tmp_path)), path)
    path.write_text(
        path.read_text().replace("# zh_CN", "# 简体中文").replace('"Kept"\nmsgstr ""', '"Kept"\nmsgstr "留着"')
    )
    (tmp_path / "page.py").write_text('from app.i18n import mark, tr\nA = mark("Kept")\nprint(tr("Newer"))\n')
    write(updated(path, "zh_CN", template(tmp_path)), path)
    text = path.read_text()
    assert text.startswith("# 简体中文\n")
    assert 'msgid "Kept"\nmsgstr "留着"' in text
    assert 'msgid "Newer"\nmsgstr ""' in text
    assert "New {x}" not in text
    assert "{n} run" not in text
    assert "Date" not in text
