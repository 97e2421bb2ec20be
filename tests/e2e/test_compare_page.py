"""Comparing MMoE with PLE in a real browser: from the bundled picture to what each would be without an expert."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Server

pytestmark = pytest.mark.browser

VEGA, PLOTLY = '[data-testid="stVegaLiteChart"]', '[data-testid="stPlotlyChart"]'
NewTab = Callable[..., Page]


def chart(page: Page, words: str) -> Locator:
    """The Altair chart whose alt text begins so, once it is drawn."""
    found = page.locator(f'{VEGA}[aria-label^="{words}"]')
    found.locator("svg, canvas").first.wait_for()
    return found


def look_at(page: Page, name: str) -> None:
    """Choose a part of the page."""
    page.locator(".st-key-look").get_by_role("radio", name=name).or_(
        page.locator(".st-key-look").get_by_role("button", name=name)
    ).first.click()


def settled(page: Page) -> Page:
    """When nothing runs any more: no traceback, no error box."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    expect(page.locator('[data-testid="stException"]')).to_have_count(0)
    expect(page.locator('[data-testid="stAlertContentError"]')).to_have_count(0)
    return page


def drawing(found: Locator) -> str:
    """What a chart shows at this moment."""
    return str(found.evaluate("el => el.querySelector('canvas')?.toDataURL() ?? el.querySelector('svg').outerHTML"))


def test_from_the_first_picture_to_what_if(server: Server, new_tab: NewTab) -> None:
    page = new_tab("/compare")
    weights = chart(page, "1 MMoE. Mean gate weights")
    chart(page, "2 PLE. Spread of the gate weights")
    expect(page.get_by_text("What the numbers say")).to_be_visible()
    assert server.store.runs() == []

    # One slider moves all of them, in place.
    settled(page)
    before = drawing(weights)
    weights.evaluate("el => { el.querySelector('canvas, svg').marked = true }")
    thumb = page.locator(".st-key-epoch").get_by_role("slider").first
    thumb.focus()
    thumb.press("Home")
    page.wait_for_url("**epoch=1*")
    expect(page.get_by_text("epoch 1", exact=False).first).to_be_visible()
    page.wait_for_function(
        "([el, seen]) => (el.querySelector('canvas')?.toDataURL() ?? el.querySelector('svg').outerHTML) !== seen",
        arg=[weights.element_handle(), before],
    )
    assert weights.evaluate("el => el.querySelector('canvas, svg').marked") is True

    look_at(page, "Flow")
    expect(page.locator(f"{PLOTLY} .sankey")).to_have_count(2)
    settled(page)

    # The bundled pair carries its weights: the worker answers, and nothing has to be trained.
    look_at(page, "What if")
    page.wait_for_url("**look=whatif*")
    chart(page, "1 MMoE. Change of each task's score without one expert")
    chart(page, "2 PLE. Change of each task's score without one expert")
    expect(page.get_by_text(re.compile(r"would miss \S+ (of level 2 )?most")).first).to_be_visible()
    assert server.store.runs() == []
    settled(page)

    # Answers are kept: a stranger with the same link sees them at once.
    stranger = new_tab(page.url.removeprefix(server.url), dark=True)
    chart(stranger, "2 PLE. Change of each task's score without one expert")
    for name, words in (("Experts", "1 MMoE. Similarity"), ("Gates by segment", "2 PLE. Mean weights of the gate")):
        look_at(stranger, name)
        stranger.locator(f'{VEGA}[aria-label^="{words}"]').first.locator("svg, canvas").first.wait_for()
    look_at(stranger, "ROC and calibration")
    stranger.locator(f"{PLOTLY} .main-svg").first.wait_for()
    settled(stranger)
    assert "Traceback" not in server.log.read_text()
