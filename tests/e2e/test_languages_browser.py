"""A second language in a real browser: the menu, what was set before, and every page in both themes."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import wait_for
from tests.e2e.test_browser import settle, widget, without_exception, write

pytestmark = pytest.mark.browser

NewTab = Callable[..., Page]
PAGES = ("/", "/compare", "/compare?look=flow", "/seesaw", "/runs", "/data", "/data?data=funnel", "/zoo")
CHINESE = re.compile("[\u4e00-\u9fff]")


def speak(page: Page, language: str) -> None:
    """Choose in the menu."""
    widget(page, "language").get_by_role("button").first.click()
    page.get_by_role("menuitem", name=language).click()
    expect(widget(page, "language").get_by_role("button").first).to_contain_text(language)
    settle(page)


def chosen(page: Page, key: str) -> str:
    """What a field holds."""
    return widget(page, key).locator("input").first.input_value()


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_what_was_set_outlives_a_change_of_language(new_tab: NewTab) -> None:
    page = new_tab("/?data=funnel&trunk=ple&head=esmm&seed=5")
    widget(page, "seed").wait_for()
    settle(page)
    was = {name: chosen(page, name) for name in ("data", "trunk", "play.funnel.head", "seed")}
    link = query(page)
    speak(page, "简体中文")
    assert query(page) == link | {"lang": ["zh_CN"]}
    expect(widget(page, "data").locator("input").first).to_have_value(CHINESE)
    assert CHINESE.search(chosen(page, "trunk"))
    # The next press sends back what was shown.
    write(page, "seed", 7)
    page.keyboard.press("Enter")
    page.wait_for_url("**seed=7**")
    settle(page)
    assert query(page) == link | {"lang": ["zh_CN"], "seed": ["7"]}
    speak(page, "English")
    assert query(page) == link | {"seed": ["7"]}
    assert {name: chosen(page, name) for name in was} == was | {"seed": "7"}
    without_exception(page)


def test_a_language_goes_along_from_page_to_page(new_tab: NewTab) -> None:
    page = new_tab("/zoo?lang=zh_CN")
    page.get_by_role("link", name="训练记录").click()
    widget(page, "status").wait_for()
    settle(page)
    assert query(page)["lang"] == ["zh_CN"]
    other = new_tab("/runs")
    widget(other, "status").wait_for()
    expect(widget(other, "status")).to_contain_text("State")
    expect(widget(page, "status")).to_contain_text("状态")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_in_chinese(path: str, dark: bool, new_tab: NewTab) -> None:
    page = new_tab(f"{path}{'&' if '?' in path else '?'}lang=zh_CN", dark=dark)
    expect(page.locator('[data-testid="stMain"]')).to_contain_text(CHINESE)
    without_exception(page)


def test_the_browser_is_told_the_language(new_tab: NewTab) -> None:
    page = new_tab("/?lang=zh_CN")
    wait_for(lambda: page.evaluate("document.documentElement.lang") == "zh-CN", what="Chinese")
    page = new_tab("/compare?lang=en")
    wait_for(lambda: page.evaluate("document.documentElement.lang") == "en", what="English")
