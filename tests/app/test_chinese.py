"""Every page in Chinese: it opens, and says nothing in English that the catalogue has in Chinese."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from google.protobuf.json_format import MessageToDict
from streamlit.testing.v1 import AppTest

from app import report
from app.core_texts import label, title, words
from app.i18n import core, speaking, tr
from app.jobs.archive import Labels
from app.jobs.records import RunRecord
from app.library import examples
from app.run_list import SORTS, STATES
from mtl_core import registry
from mtl_core.data.base import DatasetOptions
from mtl_core.spec import RunSpec
from tests.app.conftest import healthy, small, visit
from tests.unit.test_i18n import messages, read

CHINESE = re.compile("[\u4e00-\u9fff]")
#: Every page, and what is behind its switches.
VIEWS = [
    ("playground", {}),
    ("playground", {"data": "funnel", "trunk": "ple", "head": "esmm"}),
    ("playground", {"data": "video_feed", "trunk": "dselect_k"}),
    ("compare", {}),
    ("compare", {"look": "flow"}),
    ("compare", {"look": "segments"}),
    ("compare", {"look": "experts"}),
    ("compare", {"look": "quality"}),
    ("compare", {"look": "whatif"}),
    ("seesaw_plot", {}),
    ("runs", {}),
    ("runs", {"selected": "example-conflict-mmoe-0"}),
    ("runs", {"selected": "example-conflict-mmoe-0,example-conflict-ple-0"}),
    ("data", {}),
    ("data", {"data": "funnel"}),
    ("data", {"data": "table"}),
    ("zoo", {}),
    ("zoo", {"kind": "trunk", "name": "ple"}),
    ("zoo", {"kind": "balancer", "name": "pcgrad"}),
]


def english() -> set[str]:
    """Texts that must not be seen: ids without placeholders whose Chinese is another one."""
    found = set()
    for message in messages(read("zh_CN")).values():
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        found |= {text.strip("* ") for text in ids if "{" not in text and text not in strings}
    return found - columns()


def columns() -> set[str]:
    """Names in data are nobody's words."""
    found = set()
    for name in registry.names("dataset"):
        schema = cast(DatasetOptions, registry.get("dataset", name)()).table_schema()
        found |= {feature.name for feature in schema.features} | set(schema.task_names)
    return found


def said(at: AppTest) -> Iterator[str]:
    """Every text that the browser is sent."""
    for element in at.main, at.sidebar:
        for node in walk(element):
            proto = getattr(node, "proto", None)
            if proto is not None:
                yield from strings(MessageToDict(proto))


def walk(node: Any) -> Iterator[Any]:
    """A block and everything in it."""
    yield node
    for child in getattr(node, "children", {}).values():
        yield from walk(child)


def strings(value: Any) -> Iterator[str]:
    """Texts of a message, those of the specifications of charts too."""
    if isinstance(value, dict):
        for name, entry in value.items():
            if name in ("spec", "columns") and isinstance(entry, str):
                yield from titles(json.loads(entry or "{}"))
            elif name not in ("id", "key", "formId", "url", "queryParamKey", "datasets"):
                yield from strings(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from strings(entry)
    elif isinstance(value, str):
        yield from (line.strip("*-# ") for line in value.splitlines())


def titles(spec: Any) -> Iterator[str]:
    """What a chart or a table writes."""
    if isinstance(spec, dict):
        for name, entry in spec.items():
            if name in ("title", "label", "help") and isinstance(entry, str):
                yield entry
            elif name != "datasets":
                yield from titles(entry)
    elif isinstance(spec, list):
        for entry in spec:
            yield from titles(entry)


@pytest.mark.parametrize(("page", "query"), VIEWS, ids=lambda value: str(value) if isinstance(value, str) else None)
def test_a_page_speaks_chinese(page: str, query: dict[str, str]) -> None:
    at = healthy(visit(page, lang="zh_CN", **query))
    found = set(said(at))
    assert len([text for text in found if CHINESE.search(text)]) > 15
    assert found & english() == set()


def test_a_run_of_this_machine_speaks_chinese(trained: Callable[[RunSpec], RunRecord]) -> None:
    run = trained(small())
    for page, query in (("playground", {"run": run.id}), ("runs", {"selected": run.id}), ("seesaw_plot", {})):
        assert set(said(healthy(visit(page, lang="zh_CN", **query)))) & english() == set()


def test_a_report_is_in_the_language_of_its_reader() -> None:
    runs = [report.Told(e.record, e.history, Labels()) for e in list(examples().values())[:2]]
    with speaking("zh_CN"):
        page = report.page(runs)
    assert page.startswith("<!doctype html><html lang='zh-CN'>")
    told = re.split(r"<[^>]*>", page.split("</style>")[1])
    assert {text.strip() for text in told} & english() == set()
    assert "lang='en'" in report.page(runs)


def test_choices_can_be_told_apart() -> None:
    """A browser answers with the name that was shown."""
    with speaking("zh_CN"):
        lists = [[title(kind, name) for name in registry.names(kind)] for kind in registry.KINDS]
        lists += [[tr(word) for word in STATES.values()], [tr(name) for name, _ in SORTS.values()]]
        for kind in registry.KINDS:
            for entry in registry.catalogue()[kind].values():
                fields = entry.get("properties", {})
                lists.append([core(label(name)) for name in fields])
                lists += [
                    [core(words(choice)) for choice in field["enum"]] for field in fields.values() if "enum" in field
                ]
    assert [names for names in lists if len(set(names)) < len(names)] == []
