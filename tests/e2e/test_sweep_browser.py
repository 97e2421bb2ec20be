"""From an empty store to a seesaw plot: one click trains a sweep, points appear, a click on one opens its run."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from mtl_core.comparison import is_baseline
from mtl_core.spec import RunSpec
from tests.e2e.conftest import Server, wait_for
from tests.e2e.test_browser import settle, widget, without_exception

pytestmark = pytest.mark.browser

DRAWN = '[data-testid="stVegaLiteChart"] canvas, [data-testid="stVegaLiteChart"] svg'
NewTab = Callable[..., Page]


def mark_chart(page: Page) -> None:
    """Leave a mark on the plot that only a new plot would lose."""
    page.locator(DRAWN).first.wait_for()
    page.evaluate(f"() => document.querySelectorAll('{DRAWN}').forEach(node => node.marked = true)")


def is_marked(page: Page) -> bool:
    return bool(page.evaluate(f"() => [...document.querySelectorAll('{DRAWN}')].every(node => node.marked)"))


def test_seesaw_from_a_sweep(server: Server, new_tab: NewTab) -> None:
    page = new_tab("/seesaw?weights=equal")
    button = widget(page, "sweep.train").get_by_role("button")
    button.wait_for()
    settle(page)
    # Another budget than the examples': few rows, few epochs.
    page.get_by_text("Other data or budget").click()
    widget(page, "sweep.other").locator("label").first.click()
    for field, value in (("rows", 1500), ("epochs", 40)):
        written = widget(page, f"sweep.conflict.{field}").locator("input")
        written.fill(str(value))
        written.press("Enter")
        settle(page)
    expect(button).to_have_text(re.compile("Train 12 runs"))
    button.click()
    (sweep,) = wait_for(server.store.sweeps)
    page.wait_for_url("**budget=*")
    bar = page.get_by_text(re.compile(r"\d+ of 12 runs done"))
    expect(bar).to_be_visible()
    settle(page)
    mark_chart(page)
    # The first model's points appear while others train, in the very view that was there before.
    assert wait_for(lambda: places_of_points(page))
    assert is_marked(page)
    expect(bar).to_be_visible()
    for run_id in sweep.runs:
        assert server.wait_until(run_id, lambda run: not run.open).state == "finished"
    expect(bar).to_have_count(0)
    # The table names every model with all its seeds.
    table = page.locator('[data-testid="stTable"]').first
    for name in ("Shared bottom", "MMoE", "PLE"):
        expect(table.get_by_role("row").filter(has_text=name)).to_have_count(1)
    without_exception(page)
    expect(button).to_be_disabled()
    runs = [server.store.get(run_id) for run_id in sweep.runs]
    assert sum(is_baseline(RunSpec.parse(run.spec)) for run in runs if run is not None) == 3
    members = {server.store.events(run_id, kinds=["started"])[0].payload["members"] for run_id in sweep.runs}
    assert members == {3}

    # Somewhere on the plot there is a point: a click opens its run in the playground.
    box = page.locator(DRAWN).first.bounding_box()
    assert box is not None
    page.locator(DRAWN).first.scroll_into_view_if_needed()
    for x, y in places_of_points(page):
        page.mouse.click(x, y)
        settle(page)
        if "run=" in page.url:
            break
    opened = re.search("run=([0-9a-f]{8})", page.url)
    assert opened is not None
    assert opened[1] in sweep.runs
    without_exception(page)
    # Coming back, the plot is there again and does not send anybody away.
    page.go_back()
    page.locator(DRAWN).first.wait_for()
    settle(page)
    without_exception(page)
    night = new_tab(page.url.removeprefix(server.url), dark=True)
    night.locator(DRAWN).first.wait_for()
    without_exception(night)


def places_of_points(page: Page) -> list[tuple[float, float]]:
    """Middles of the marks of the first chart, on the page."""
    code = """() => {
        const chart = document.querySelector('[data-testid="stVegaLiteChart"]');
        const marks = chart.querySelectorAll('.mark-symbol path');
        return [...marks].map(node => node.getBoundingClientRect()).filter(box => box.width > 2)
            .map(box => [box.x + box.width / 2, box.y + box.height / 2]);
    }"""
    return [(x, y) for x, y in page.evaluate(code)]


def test_a_sweep_is_stopped_by_one_click(server: Server, new_tab: NewTab) -> None:
    page = new_tab("/seesaw?weights=equal")
    button = widget(page, "sweep.train").get_by_role("button")
    button.wait_for()
    settle(page)
    page.get_by_text("Other data or budget").click()
    widget(page, "sweep.other").locator("label").first.click()
    written = widget(page, "sweep.conflict.epochs").locator("input")
    written.fill("900")
    written.press("Enter")
    settle(page)
    known = len(server.store.sweeps())
    button.click()
    wait_for(lambda: len(server.store.sweeps()) > known)
    sweep = server.store.sweeps()[0]
    server.wait_until(sweep.runs[0], lambda run: run.epoch >= 1)
    widget(page, "seesaw.stop").get_by_role("button").click()
    # What has begun is paused; the rest is gone.
    wait_for(lambda: not any(run.open for run in server.store.runs()), seconds=20)
    left = [run for run_id in sweep.runs if (run := server.store.get(run_id)) is not None]
    assert {run.state for run in left} == {"stopped"}
    assert len(left) < len(sweep.runs)
    expect(widget(page, "seesaw.stop")).to_have_count(0)
    without_exception(page)
