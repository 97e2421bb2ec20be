"""The texts of the core that pages show: all are found, and every language that is begun has all of them."""

from __future__ import annotations

import subprocess
import sys
from typing import cast

import pytest

from app.core_texts import core_texts, label, paragraphs, template, words
from app.families import FAMILIES
from app.setup_values import PRESETS
from mtl_core import registry
from mtl_core.data.base import DatasetOptions
from mtl_core.options import Options, option
from mtl_core.spec import TrainingSpec

PARTS = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    return core_texts()


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

    monkeypatch.setitem(registry._parts["trunk"], "surprising", Surprising)
    monkeypatch.setitem(registry._titles, ("trunk", "surprising"), "Surprising trunk")
    found = core_texts()
    told = ["Surprising trunk", "A part from tomorrow.", "It has a second paragraph.", "Odd number", "How odd it is"]
    assert [text for text, places in found.items() if places[0].startswith("trunk surprising")] == told


def test_texts_are_as_pages_look_them_up(texts: dict[str, list[str]]) -> None:
    for text in texts:
        assert text == " ".join(text.split())
    assert (label("expert_layers"), label("T"), words("sum_by_role")) == ("Expert layers", "T", "sum by role")


def test_the_template_tells_where_a_text_stands_and_promises_no_formats() -> None:
    told = {message.id: message for message in template() if message.id}
    assert list(told) == list(core_texts())
    assert told["MMoE"].auto_comments == ["preset of the playground", "trunk mmoe: title", "recipe mmoe: title"]
    assert told["Dim"].auto_comments[-1].endswith(" more")
    assert not any(message.flags for message in told.values())  # "20% of exposures" is no format


def test_pages_can_write_names_without_the_catalogue_tools() -> None:
    script = "import sys, app.core_texts; assert not any(name.split('.')[0] == 'babel' for name in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
