"""The model zoo: what is listed and found, what is said of it, and where its buttons lead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import glossary, wording, zoo
from app.charts.first_steps import STEPS
from app.jobs.store import RunStore
from mtl_core import registry
from mtl_core.spec import RunSpec
from tests.app.conftest import healthy, texts, visit

ENTRIES = [(kind, entry.name) for kind in zoo.KINDS for entry in zoo.entries(kind)]


def listed(at: AppTest) -> list[str]:
    return [option.strip("*") for option in at.radio(key="name").options]


# What is known


def test_every_system_and_part_is_there_and_has_its_family() -> None:
    assert set(ENTRIES) == {(kind, name) for kind in zoo.KINDS for name in registry.names(kind)}
    for kind in zoo.KINDS:
        named = [entry.family for entry in zoo.entries(kind)]
        assert set(named) == (set(zoo.families(kind)) or {None})


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_entry_has_a_spec_that_holds_it_and_a_picture(kind: str, name: str) -> None:
    spec = zoo.spec_of(kind, name)
    if kind != "recipe":
        assert zoo.parts_of(spec)[kind] == name
    picture = zoo.picture(spec.key, kind, name)
    assert len(picture.tasks) + picture.omitted == len(spec.schema.task_names)
    assert picture.tasks == spec.schema.task_names[: len(picture.tasks)]
    if not picture.omitted:
        assert picture.wiring == spec.wiring
    assert zoo.picture_sentence(picture).endswith(".")


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("recipe", "esmm", "One network per task: in the trunk no task hears another's. Embeddings are shared. "
                           "The head multiplies and learns the product on all rows: ctr × cvr."),
        ("recipe", "base_cvr", "One network per task: no task hears another's. Each task has embeddings of its own."),
        ("trunk", "shared_bottom", "One shared network: every task receives the same. Embeddings are shared."),
        ("trunk", "mmoe", "3 shared experts: each task has a mix of its own. Embeddings are shared."),
        ("trunk", "omoe", "3 shared experts: one gate mixes them, every task receives the same. "
                          "Embeddings are shared."),
        ("trunk", "cgc", "1 shared expert and 2 private ones: a task hears its own and what is shared. "
                         "Embeddings are shared."),
        ("trunk", "asymmetric", "One network per task: A is heard by all, and hears no other. Embeddings are shared."),
        ("trunk", "soft_sharing", "One network per task: no task hears another's; a penalty pulls their weights "
                                  "together. Embeddings are shared."),
        ("trunk", "cross_stitch", "One network per task: every task hears all of them. Embeddings are shared."),
        ("trunk", "ple", "2 levels, on the last 1 shared expert and 2 private ones: a task hears its own and the "
                         "shared, which hear everyone. Embeddings are shared."),
    ],
)  # fmt: skip
def test_who_sees_whom_in_words(kind: str, name: str, says: str) -> None:
    spec = zoo.spec_of(kind, name)
    assert zoo.picture_sentence(zoo.picture(spec.key, kind, name)) == says


def test_the_sentence_follows_what_reaches_a_tower_over_every_level() -> None:
    # PLE: what is private on level 1 reaches the other task through the shared stream alone; CGC has no such stream.
    assert zoo.heard_owners(zoo.spec_of("trunk", "cgc").wiring) == [{0, None}, {1, None}]
    assert zoo.heard_owners(zoo.spec_of("trunk", "ple").wiring) == [{0, 1, None}] * 2
    assert zoo.heard_owners(zoo.spec_of("trunk", "asymmetric").wiring) == [{0}, {0, 1}]


def test_systems_and_parts_know_of_each_other() -> None:
    assert "esmm" in zoo.used_by("head", "esmm")
    assert zoo.used_by("trunk", "ple") == ("ple",)
    for system in registry.names("recipe"):
        for kind, part in zoo.parts_of(zoo.spec_of("recipe", system)).items():
            assert system in zoo.used_by(kind, part)


def test_sizes_tell_the_published_from_the_one_here() -> None:
    rows = {row.name: (row.published, row.here) for row in zoo.sizes("recipe", "esmm")}
    assert rows == {"dim": (18, 8), "layers": ([360, 200, 80], [64, 32])}


def test_words_are_looked_for_in_problem_paper_authors_and_data() -> None:
    assert [entry.name for entry in zoo.found("recipe", None, "Sathiamoorthy")] == ["youtube"]
    assert "dupn" in [entry.name for entry in zoo.found("recipe", None, "SEQUENCES")]
    assert [entry.name for entry in zoo.found("recipe", "feeds", "2019 watch")] == ["youtube"]
    assert zoo.found("recipe", "funnel", "Sathiamoorthy") == []
    assert [entry.name for entry in zoo.found("balancer", None, "bargaining")] == ["nash"]


def test_links_go_to_arxiv_or_the_doi() -> None:
    assert zoo.entries("recipe")[0].link == "https://arxiv.org/abs/1804.07931"
    by_name = {entry.name: entry.link for entry in zoo.entries("trunk") + zoo.entries("balancer")}
    assert by_name["ple"] == "https://doi.org/10.1145/3383313.3412236"
    assert by_name["pcgrad"] == "https://arxiv.org/abs/2001.06782"
    assert by_name["static"] is None


# The page


def test_the_page_opens_on_the_systems_with_one_formula_in_sight() -> None:
    at = healthy(visit("zoo"))
    assert at.radio(key="name").value == "esmm"
    assert len(listed(at)) == len(registry.names("recipe"))
    assert at.latex.len == 1
    assert "p_{\\mathrm{ctcvr}}" in at.latex[0].value
    said = texts(at)
    assert "Conversions are known for clicked rows only" in said
    assert "https://arxiv.org/abs/1804.07931" in said
    assert "Ma, Zhao, Huang" in said


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_entry_opens_by_its_link(kind: str, name: str) -> None:
    at = healthy(visit("zoo", kind=kind, name=name))
    entry = next(e for e in zoo.entries(kind) if e.name == name)
    assert at.radio(key="name").value == name
    assert entry.problem in texts(at)
    (chart,) = at.get("vega_lite_chart")
    assert entry.title in chart.proto.alt
    assert at.latex.len == (1 if entry.formula else 0)
    assert (kind == "encoder") or entry.formula
    data = {item.name: item for item in chart.proto.datasets}
    assert ({"shafts", "tips"} if name in STEPS and kind == "balancer" else {"nodes", "links"}) <= set(data)


def test_filters_narrow_the_list_and_stay_in_the_link() -> None:
    at = visit("zoo")
    at.button_group(key="family").set_value("feeds").run()
    assert listed(healthy(at)) == ["YouTube", "Zhihu", "Meitu NFwFM"]
    assert at.radio(key="name").value == "youtube"
    assert shown(at)["family"] == "feeds"
    at.radio(key="name").set_value("zhihu").run()
    assert shown(at)["name"] == "zhihu"
    again = healthy(visit("zoo", family="feeds", name="zhihu"))
    assert again.radio(key="name").value == "zhihu"
    at.button_group(key="kind").set_value("balancer").run()
    assert listed(healthy(at))[0] == "Static"
    assert shown(at)["kind"] == "balancer"


def test_words_that_match_nothing_are_said_to() -> None:
    at = visit("zoo")
    at.text_input(key="find").set_value("zebra").run()
    healthy(at)
    assert at.info.len == 1
    assert at.radio.len == 0
    at.text_input(key="find").set_value("calibrator sequential").run()
    assert healthy(at).info.len == 1
    at.text_input(key="find").set_value("sequential").run()
    assert listed(healthy(at)) == ["AITM"]


def test_a_part_links_to_its_systems_and_back() -> None:
    at = healthy(visit("zoo", kind="head", name="aitm"))
    links = [link.proto for link in at.get("page_link") if link.proto.page == "zoo"]
    assert [link.label for link in links] == ["AITM"]
    assert "kind=recipe" in links[0].query_string
    assert "name=aitm" in links[0].query_string
    back = healthy(visit("zoo", kind="recipe", name="aitm"))
    labels = [link.proto.label for link in back.get("page_link") if link.proto.page == "zoo"]
    assert labels == ["Embedding (encoder)", "CGC (trunk)", "AITM (head)", "Static (balancer)"]


def shown(at: AppTest) -> dict[str, Any]:
    """The query of the page that a button led to."""
    values = {name: at.query_params[name] for name in at.query_params}
    return {name: value[0] if isinstance(value, list) else value for name, value in values.items()}


@pytest.mark.parametrize("name", ["esmm", "dupn"])
def test_train_submits_the_system_on_its_data_and_leads_to_the_run(store: RunStore, name: str) -> None:
    at = visit("zoo", name=name)
    at.button(key="zoo.train").click().run()
    healthy(at)
    (run,) = store.runs()
    assert run.spec_key == zoo.spec_of("recipe", name).key
    assert shown(at)["run"] == run.id
    assert wording.run_name(run).startswith(f"{registry.title('recipe', name)} on ")
    # The playground's controls say the same as the run, so its player is that of this run.
    assert [button.label for button in at.button if button.key == "train"] == ["Pause"]
    back = healthy(visit("zoo", name=name))
    assert back.button(key="zoo.train").label == "Watch it train"
    back.button(key="zoo.train").click().run()
    assert len(store.runs()) == 1


@pytest.mark.parametrize("name", registry.names("recipe"))
def test_the_playground_can_say_all_of_every_system(name: str) -> None:
    at = visit("zoo", name=name)
    at.button(key="zoo.open").click().run()
    healthy(at)
    assert [toast.value for toast in at.toast] == []  # it says so where something has no control
    spec = setup_of(at)
    assert spec.key == zoo.spec_of("recipe", name).key


def test_opening_a_part_sets_the_playground_though_it_was_set_to_something_else() -> None:
    at = visit("playground", data="adult", trunk="ple", seed="7")
    at.switch_page("app_pages/zoo.py").run()
    at.button_group(key="kind").set_value("balancer").run()
    at.radio(key="name").set_value("cagrad").run()
    at.button(key="zoo.open").click().run()
    assert setup_of(healthy(at)).key == zoo.spec_of("balancer", "cagrad").key


def setup_of(at: AppTest) -> RunSpec:
    """What the playground's controls say, by what can be copied from it."""
    at.switch_page("app_pages/playground.py")  # where the button has led, which the test harness does not know
    at.session_state["share"] = True  # opened
    at.run()
    (command,) = [code.value for code in at.code if "mtl_core train" in code.value]
    text = command.split("printf '%s' ", 1)[1].split(" > spec.json", 1)[0]
    return RunSpec.parse(json.loads(text.strip("'")))


# Terms


def test_terms_have_a_section_that_is_in_the_link() -> None:
    at = visit("zoo")
    at.button_group(key="kind").set_value("term").run()
    told = texts(healthy(at))
    assert shown(at)["kind"] == "term"
    for term in glossary.TERMS:
        assert f"**{term.title}**" in told
        assert term.meaning in told
    again = healthy(visit("zoo", kind="term", find="dead heat"))
    assert "No term matches" in texts(again)


def test_a_term_is_found_by_its_word_and_by_what_is_said_of_it() -> None:
    for term in glossary.TERMS:
        assert term in glossary.find(term.word)
        assert glossary.terms_help(term.name) == f"**{term.title}**: {term.meaning}"
    assert [term.name for term in glossary.find("pays")] == ["seesaw"]
    told = texts(healthy(visit("zoo", kind="term", find="seesaw")))
    assert "**Seesaw**" in told
    assert "**Encoder**" not in told
    # Who looks for a word among the systems is led to what it means.
    at = healthy(visit("zoo", find="gate"))
    (link,) = [link.proto for link in at.get("page_link") if "What it means" in link.proto.label]
    assert "gate" in link.label
    assert "kind=term" in link.query_string


def test_terms_are_named_once_and_told_in_a_sentence_or_two() -> None:
    names = [term.name for term in glossary.TERMS]
    assert len(set(names)) == len(names) >= 20
    for term in glossary.TERMS:
        assert term.meaning.endswith(".")
        assert len(term.meaning) < 260
    assert {"expert", "gate", "trunk", "tower", "seesaw", "thousandths"} <= set(names)
