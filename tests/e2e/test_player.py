"""The keys of the playground in a real browser: Space plays and pauses, S steps, 0 starts over."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from app.jobs.records import RunRecord
from tests.e2e.conftest import Server, wait_for
from tests.e2e.test_browser import settle

NewTab = Callable[..., Page]
SIZES = [(1280, 800), (390, 844)]


def player(page: Page, key: str) -> str:
    """What one of the buttons says."""
    return page.locator(f".st-key-{key} button").inner_text()


def press(page: Page, key: str, button: str) -> None:
    """Press a key once its button would take it: a disabled one passes keys over, as it should."""
    settle(page)
    expect(page.locator(f".st-key-{button} button").first).to_be_enabled()
    page.keyboard.press(key)


def test_space_s_and_0_play_pause_step_and_reset(server: Server, new_tab: NewTab) -> None:
    page = new_tab("/?batch_size=16&epochs=500&seed=41")
    wait_for(lambda: "Train" in player(page, "train"), what="the player")
    page.get_by_text("Who listens to whom").click()  # the page has the keyboard
    press(page, "Space", "train")
    run = wait_for(lambda: next(iter(server.store.runs()), None), what="a run")
    expect(page.locator(".st-key-train button")).to_contain_text("Pause")
    server.wait_until(run.id, lambda run: run.epoch >= 1)
    press(page, "Space", "train")
    paused = server.wait_until(run.id, lambda run: run.state == "stopped")
    expect(page.locator(".st-key-train button")).to_contain_text("Go on")
    press(page, "s", "step")

    def stepped(now: RunRecord) -> bool:
        return now.state == "stopped" and now.epoch == paused.epoch + 1

    server.wait_until(run.id, stepped)
    expect(page.get_by_text(f"Paused after epoch {paused.epoch + 1} of 500")).to_be_visible()
    # Who is quick presses S while the run is still on its way to a pause.
    press(page, "Space", "train")
    expect(page.locator(".st-key-train button")).to_contain_text("Pause")
    server.wait_until(run.id, lambda run: run.state == "running")
    press(page, "Space", "train")
    stopping = server.wait_until(run.id, lambda run: run.state in ("stopping", "stopped"))
    page.keyboard.press("s")
    server.wait_until(run.id, lambda run: run.state == "stopped" and run.epoch > stopping.epoch)
    press(page, "0", "reset")
    expect(page.get_by_text("nothing is trained yet")).to_be_visible()
    (fresh,) = server.store.runs()
    assert (fresh.state, fresh.epoch) == ("stopped", 0)
    assert fresh.id != run.id


def test_space_trains_after_a_click_on_a_preset(server: Server, new_tab: NewTab) -> None:
    known = {run.id for run in server.store.runs()}
    page = new_tab("/?seed=43")
    settle(page)
    page.locator(".st-key-preset").get_by_text("PLE", exact=True).click()
    wait_for(lambda: "trunk=ple" in page.evaluate("location.search"), what="the preset")
    press(page, "Space", "train")
    run = wait_for(lambda: next((r for r in server.store.runs() if r.id not in known), None), what="a run")
    assert run.spec["model"]["trunk"]["name"] == "ple"
    # Who walks through the buttons with the keyboard presses the one that has the focus.
    server.wait_until(run.id, lambda run: run.state == "finished")
    settle(page)
    page.locator(".st-key-preset button").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    wait_for(lambda: "trunk=ple" not in page.evaluate("location.search"), what="another preset")


def test_fast_presses_on_the_epoch_slider_are_all_counted(new_tab: NewTab) -> None:
    page = new_tab("/?run=example-conflict-mmoe-0")
    settle(page)
    slider = page.get_by_role("slider", name="Epoch")
    for pause in (0.0, 0.08, 0.15):
        before = int(str(slider.get_attribute("aria-valuetext")))
        for _ in range(4):
            slider.press("ArrowLeft")
            time.sleep(pause)
        wait_for(lambda at=before - 4: page.get_by_text(f"after epoch {at}.").count(), what="the picture")
        settle(page)
        assert slider.get_attribute("aria-valuetext") == str(before - 4)
        assert page.evaluate("location.search").endswith(f"epoch={before - 4}")


def test_what_is_typed_presses_no_button(server: Server, new_tab: NewTab) -> None:
    known = {run.id for run in server.store.runs()}
    page = new_tab("/?trunk=ple&seed=42")
    wait_for(lambda: "Train" in player(page, "train"), what="the player")
    field = page.get_by_role("textbox", name="Expert layers")
    field.click()
    page.keyboard.type(" 0 s")
    page.keyboard.press("Enter")
    expect(page.get_by_text("These options cannot be trained")).to_be_visible()
    assert {run.id for run in server.store.runs()} == known


def test_what_is_picked_in_the_zoo_is_in_sight_on_a_phone(new_tab: NewTab) -> None:
    page = new_tab("/zoo?name=aitm")
    page.set_viewport_size({"width": 390, "height": 844})
    heading = page.get_by_role("heading", name="AITM")
    expect(heading).to_be_in_viewport()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_nothing_is_wider_than_the_screen(new_tab: NewTab, width: int, height: int) -> None:
    page = new_tab("/?run=example-conflict-ple-0")
    page.set_viewport_size({"width": width, "height": height})
    page.locator('[data-testid="stVegaLiteChart"]').nth(2).locator("svg, canvas").wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    for chart in page.locator('[data-testid="stVegaLiteChart"]').all():
        box = chart.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width + 1
