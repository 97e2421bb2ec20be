"""Nothing on a page in Chinese is left in English, but names: all that a page says is looked through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from app.core_texts import core_texts
from app.i18n import core, speaking
from mtl_core import registry
from mtl_core.card import Card
from tests.app.conftest import PAGES, healthy, visit

#: Three words in a row are a phrase; one or two may be a task, a column or a model.
PHRASE = re.compile(r"[A-Za-z][a-z']+(?: [a-z][a-z']*){2,}")
#: What is written for machines.
FOR_MACHINES = {"code", "html", "latex"}


@pytest.fixture(scope="module")
def names() -> list[str]:
    """What stays in English in every language: papers, authors, references."""
    cards = [registry.get(kind, name).__dict__.get("card") for kind in registry.KINDS for name in registry.names(kind)]
    papers = [text for card in cards if isinstance(card, Card) for text in (card.paper, card.authors, card.venue)]
    with speaking("zh_CN"):
        same = [text for text in core_texts() if core(text) == text]
    return sorted({text for text in (*papers, *same) if text}, key=len, reverse=True)


@pytest.mark.parametrize(
    ("page", "query"),
    [
        *((page, {}) for page in PAGES),
        ("playground", {"data": "funnel", "head": "shallow_tower", "d.position_feature": "on"}),
        ("playground", {"data": "table", "balancer": "pcgrad"}),
        ("playground", {"t.shared_experts": "0", "trunk": "ple"}),
        ("data", {"data": "table"}),
        ("data", {"data": "ali_ccp"}),
        ("zoo", {"kind": "trunk", "name": "snr"}),
        ("zoo", {"kind": "balancer", "name": "nash"}),
    ],
)
def test_a_page_in_chinese_says_nothing_in_english(page: str, query: dict[str, str], names: list[str]) -> None:
    at = visit(page, lang="zh_CN", **query)
    assert [element.message for element in at.exception] == []
    left = [text for text in said(at) if PHRASE.search(_without(text, names))]
    assert left == []


def test_english_would_be_noticed(names: list[str]) -> None:
    left = [text for text in said(healthy(visit())) if PHRASE.search(_without(text, names))]
    everything = "\n".join(left)
    # A heading, a caption, a help text, a choice and the words in a chart.
    for text in ("**Who listens to whom**", "Train one epoch, then pause", "ESMM on a funnel", "steps in conflict"):
        assert text in everything


def said(at: AppTest) -> Iterator[str]:
    """Every text of a page: what it shows, explains, offers, and writes into charts."""
    nodes: list[Any] = [at._tree]
    while nodes:
        node = nodes.pop()
        nodes += getattr(node, "children", {}).values()
        proto = getattr(node, "proto", None)
        if isinstance(proto, Message) and getattr(node, "type", "") not in FOR_MACHINES:
            for text in _texts(proto):
                yield from _words(text)


def _texts(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        several = value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]
        if field.type == FieldDescriptor.TYPE_STRING:
            yield from (item for item in several if isinstance(item, str))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            yield from (text for item in several if isinstance(item, Message) for text in _texts(item))


def _words(text: str) -> Iterator[str]:
    """A text, or the texts in a chart's JSON."""
    try:
        values: list[Any] = [json.loads(text)]
    except ValueError:
        yield text
        return
    while values:
        value = values.pop()
        if isinstance(value, dict | list):
            values += value.values() if isinstance(value, dict) else value
        elif isinstance(value, str):
            yield value


def _without(text: str, names: list[str]) -> str:
    for name in names:
        text = text.replace(name, "")
    return text
