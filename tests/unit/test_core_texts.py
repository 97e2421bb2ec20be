"""The texts of the core that pages show: all are found, and every language that is begun has all of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from app.core_texts import core_texts, gate_name, label, paragraphs, words
from app.families import FAMILIES
from app.i18n import APP, CORE, ENGLISH, FOLDER, core, languages, speaking
from app.locale.update import core_template, main, untranslated
from app.setup_values import PRESETS
from mtl_core import registry
from mtl_core.comparison import preset_spec
from mtl_core.data.base import DatasetOptions
from mtl_core.options import Options, option
from mtl_core.spec import TrainingSpec
from mtl_core.trunks.wiring import Gate

TRANSLATED = [name for name in languages() if name != ENGLISH]
#: What a translation has to leave as it is: code and formulas.
UNTOUCHED = re.compile(r"`[^`]*`|\$[^$]*\$")
PARTS = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    return core_texts()


@pytest.fixture(scope="module")
def everything() -> Catalog:
    return core_template()


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_part_is_found_with_all_that_is_told_of_it(kind: str, name: str, texts: dict[str, list[str]]) -> None:
    part = registry.get(kind, name)
    assert f"{kind} {name}: title" in texts[registry.title(kind, name)]
    assert paragraphs(part.__doc__ or "")[0] in texts
    if card := getattr(part, "card", None):
        assert card.problem in texts
    for field, declared in part.model_fields.items():
        assert declared.description, f"{field} of {name} has no description"
        assert declared.description in texts
        assert label(field) in texts


def test_training_presets_groups_and_choices_are_found(texts: dict[str, list[str]]) -> None:
    for field, declared in TrainingSpec.model_fields.items():
        assert declared.description in texts
        assert label(field) in texts
    for title in (*PRESETS, *(group for groups in FAMILIES.values() for group in groups), "Towers"):
        assert title in texts
    assert "encoder embedding: choice of join" in texts["sum by role"]
    assert "head shallow_tower: choice of inner" in texts["escm2 ips"]


def test_gates_of_no_task_have_names_in_the_readers_language(texts: dict[str, list[str]]) -> None:
    def gates(trunk: str) -> list[Gate]:
        return [gate for level in preset_spec("conflict", trunk).wiring.levels for gate in level.gates]

    assert texts["all tasks"] == ["trunk shared_bottom: gate of no task", "trunk omoe: gate of no task"]
    assert {"shared", "next"} <= texts.keys()
    for trunk in registry.names("trunk"):
        assert [gate_name(gate) for gate in gates(trunk)] == [gate.name for gate in gates(trunk)]
    with speaking("zh_CN"):
        assert [gate_name(gate) for gate in gates("omoe")] == ["所有任务"]
        assert [gate_name(gate) for gate in gates("ple")] == ["A", "B", "共享", "A", "B"]
        assert [gate_name(gate) for gate in gates("ml_mmoe")][:3] == ["下一级 S1", "下一级 S2", "下一级 S3"]


def test_what_data_sets_say_of_their_tasks_is_found_for_all_their_options(texts: dict[str, list[str]]) -> None:
    for name in registry.names("dataset"):
        for task in cast(DatasetOptions, registry.get("dataset", name)()).table_schema().tasks:
            assert not task.description or task.description in texts
    assert texts["3 stars or more"] == ["dataset movielens_100k: task liked"]
    assert "dataset census_income: task education" in texts["an Associate's degree or more"]
    assert "dataset funnel: task cart" in texts["put in the cart after a click"]


def test_a_new_option_has_its_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Surprising(Options):
        """A part from tomorrow.

        It has a second paragraph.
        """

        odd_number: int = option(3, "How odd it is", ge=1, le=9)

    monkeypatch.setitem(registry._parts["encoder"], "surprising", Surprising)
    monkeypatch.setitem(registry._titles, ("encoder", "surprising"), "Surprising encoder")
    found = core_texts()
    told = ["Surprising encoder", "A part from tomorrow.", "It has a second paragraph.", "Odd number", "How odd it is"]
    assert [text for text, places in found.items() if places[0].startswith("encoder surprising")] == told


def test_texts_are_as_pages_look_them_up(texts: dict[str, list[str]]) -> None:
    for text in texts:
        assert text == " ".join(text.split())
    assert (label("expert_layers"), label("T"), words("sum_by_role")) == ("Expert layers", "T", "sum by role")


def test_the_template_tells_where_a_text_stands_and_promises_no_formats(
    texts: dict[str, list[str]], everything: Catalog
) -> None:
    told = {message.id: message for message in everything if message.id and message.context is None}
    assert list(told) == list(texts)
    assert told["MMoE"].auto_comments == ["preset of the playground", "trunk mmoe: title", "recipe mmoe: title"]
    assert told["Dim"].auto_comments[-1].endswith(" more")
    assert not any(message.flags for message in told.values())  # "20% of exposures" is no format


def test_pages_can_write_names_without_the_catalogue_tools() -> None:
    script = "import sys, app.core_texts; assert not any(name.split('.')[0] == 'babel' for name in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def kept(path: str) -> Catalog:
    with (FOLDER / path).open("rb") as file:
        return read_po(file)


def test_the_template_in_the_repository_is_that_of_the_code(everything: Catalog) -> None:
    # Else: python -m app.locale.update
    assert [(m.id, m.context, m.auto_comments) for m in kept(f"{CORE}.pot")] == [
        (m.id, m.context, m.auto_comments) for m in everything
    ]


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_language_is_complete(name: str, everything: Catalog) -> None:
    catalog = kept(f"{name}/LC_MESSAGES/{CORE}.po")
    assert [(m.id, m.context) for m in catalog] == [(m.id, m.context) for m in everything]
    assert untranslated(catalog) == []
    assert not any(message.fuzzy for message in catalog if message.id)


@pytest.mark.parametrize("name", TRANSLATED)
def test_code_and_formulas_stay_as_they_are(name: str) -> None:
    for message in kept(f"{name}/LC_MESSAGES/{CORE}.po"):
        assert sorted(UNTOUCHED.findall(message.string)) == sorted(UNTOUCHED.findall(message.id)), message.id


@pytest.mark.parametrize("name", TRANSLATED)
def test_choices_of_one_option_stay_different(name: str) -> None:
    """Two choices with one name could not be told apart."""
    options = [
        field
        for kind, part in PARTS
        for field in registry.json_schema(registry.get(kind, part)).get("properties", {}).values()
        if "enum" in field
    ]
    with speaking(name):
        for field in options:
            assert len({core(words(value)) for value in field["enum"]}) == len(field["enum"])
        for kind in registry.KINDS:
            titles = [core(registry.title(kind, part)) for part in registry.names(kind)]
            assert len(set(titles)) == len(titles)


def test_an_update_brings_core_texts_into_every_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything: Catalog
) -> None:
    monkeypatch.setattr("app.locale.update.FOLDER", tmp_path)
    monkeypatch.setattr("app.locale.update.template", Catalog)
    monkeypatch.setattr("app.locale.update.core_template", lambda: everything)
    main(["pl"])
    path = tmp_path / "pl" / "LC_MESSAGES" / "core.po"
    path.write_text(
        path.read_text().replace('msgid "Rows per step"\nmsgstr ""', 'msgid "Rows per step"\nmsgstr "Wiersze"')
    )
    main([])
    text = path.read_text()
    assert '#. training: option batch_size\nmsgid "Rows per step"\nmsgstr "Wiersze"' in text
    assert (tmp_path / "core.pot").is_file()
    assert (tmp_path / "pl" / "LC_MESSAGES" / f"{APP}.po").is_file()
