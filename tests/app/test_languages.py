"""Which language a page speaks, and how that is kept."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.conftest import MAIN, PAGES, healthy, visit


def shown(at: AppTest) -> str:
    """The language of the session."""
    return str(at.session_state["language.shown"])


def kept(at: AppTest) -> str | None:
    """The language in the link."""
    value = at.query_params.get("lang")
    return value[0] if isinstance(value, list) else value


def from_browser(locale: str, **query: str) -> AppTest:
    """A new session of a browser with this locale."""
    at = AppTest.from_file(str(MAIN), default_timeout=30)
    at.query_params.update(query)
    at.context["locale"] = locale
    return healthy(at.run())


def test_english_goes_without_saying() -> None:
    at = healthy(visit())
    assert (shown(at), kept(at)) == ("en", None)
    at = healthy(visit(lang="en"))
    assert (shown(at), kept(at)) == ("en", None)


@pytest.mark.parametrize("bad", ["", "zh", "zh-CN", "ZH_CN", "xx", "../../etc", "x" * 5000])
def test_a_language_that_is_not_there_is_ignored(bad: str) -> None:
    at = healthy(visit(lang=bad))
    assert (shown(at), kept(at)) == ("en", None)


def test_the_link_decides_and_is_kept_from_page_to_page() -> None:
    at = healthy(visit(lang="zh_CN"))
    for page in PAGES:
        at.switch_page(f"app_pages/{page}.py").run()
        assert (shown(healthy(at)), kept(at)) == ("zh_CN", "zh_CN"), page


def test_the_browser_is_asked_where_the_link_says_nothing() -> None:
    at = from_browser("zh-CN")
    assert (shown(at), kept(at)) == ("zh_CN", None)
    at = from_browser("zh-CN", lang="en")
    assert (shown(at), kept(at)) == ("en", "en")
    at = from_browser("fr-FR")
    assert (shown(at), kept(at)) == ("en", None)


def test_two_sessions_speak_two_languages() -> None:
    chinese, english = healthy(visit(lang="zh_CN")), healthy(visit())
    chinese.run()
    english.run()
    assert (shown(chinese), shown(english)) == ("zh_CN", "en")
