"""The dashboard as people meet it: a real server, real workers, a real browser."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from functools import partial

import pytest
from playwright.sync_api import Locator, Page, expect

from mtl_core.comparison import budget_key, is_baseline, preset_spec
from mtl_core.data.adult import FILES
from mtl_core.data.base import DataError
from mtl_core.data.files import locate
from mtl_core.spec import RunSpec
from tests.e2e.conftest import Server, wait_for

pytestmark = pytest.mark.browser

PAGES = ("/", "/compare", "/seesaw", "/runs", "/data", "/zoo")
#: A seed that no bundled example has.
SEED = 41
VEGA = '[data-testid="stVegaLiteChart"]'
NewTab = Callable[..., Page]


def widget(page: Page, key: str) -> Locator:
    """The element with this widget key."""
    return page.locator(f".st-key-{re.sub('[^a-zA-Z0-9_-]', '-', key)}")


def settle(page: Page) -> None:
    """Until the page's script has run."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def write(page: Page, key: str, value: object) -> None:
    """Type into a field, and do not wait for anything: neither does a person."""
    widget(page, key).locator("input").fill(str(value))


def without_exception(page: Page) -> None:
    """No traceback and no error box."""
    settle(page)
    expect(page.locator('[data-testid="stException"]')).to_have_count(0)
    expect(page.locator('[data-testid="stAlertContentError"]')).to_have_count(0)


def named_in(page: Page, key: str) -> list[str]:
    """Every text of the Vega chart with this key."""
    # For a moment the one before stands there, too: a chart whose alt text changes is drawn anew.
    chart = widget(page, key).locator("svg.marks").last
    chart.wait_for()
    texts: list[str] = chart.evaluate("el => [...el.querySelectorAll('text')].map(node => node.textContent)")
    return texts


def drawing(page: Page) -> str:
    """What the chart of AUC curves shows at this moment."""
    chart = page.locator(VEGA).last
    return str(chart.evaluate("el => el.querySelector('canvas')?.toDataURL() ?? el.querySelector('svg').outerHTML"))


def another_drawing(page: Page, seen: str) -> str | None:
    """The chart of AUC curves, if it shows something else by now."""
    return now if (now := drawing(page)) != seen else None


def tag_charts(page: Page) -> int:
    """Leave a mark on the picture of every live chart; how many there are."""
    nodes = f"[...document.querySelectorAll('{VEGA} canvas, {VEGA} svg')]"
    return int(page.evaluate(f"() => {{ const all = {nodes}; all.forEach(n => n.marked = true); return all.length }}"))


def tagged_charts(page: Page) -> int:
    """How many live charts still have the mark."""
    nodes = f"[...document.querySelectorAll('{VEGA} canvas, {VEGA} svg')]"
    return int(page.evaluate(f"() => {nodes}.filter(n => n.marked).length"))


def charts_that_stay(page: Page) -> int | None:
    """How many live charts there are, all of them with a mark, if the next epoch is drawn in place.

    While a page is being built its charts come and go.
    """
    charts, seen = tag_charts(page), drawing(page)
    wait_for(partial(another_drawing, page, seen), what="a curve that grows")
    return charts if tagged_charts(page) == charts else None


def train(page: Page, server: Server) -> str:
    """Press Train; the id of the new run, which the page then shows."""
    known = {run.id for run in server.store.runs()}
    widget(page, "train").get_by_role("button").click()
    run = wait_for(lambda: next((run for run in server.store.runs() if run.id not in known), None), what="a new run")
    page.wait_for_url(f"**run={run.id}*")
    return run.id


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_first_screen_shows_pictures_before_anything_is_trained(
    server: Server, new_tab: NewTab, dark: bool
) -> None:
    page = new_tab(dark=dark)
    page.locator(f'{VEGA}[aria-label^="Architecture"]').first.locator("svg, canvas").wait_for()
    page.locator(f'{VEGA}[aria-label*="AUC"]').first.locator("svg, canvas").wait_for()
    assert {"MMoE 1:1", "MMoE 20:1", "PLE 1:1", "CGC", "OMoE"} <= set(named_in(page, "small.plot"))
    without_exception(page)
    assert server.store.runs() == []


def test_train_mmoe_and_ple_compare_them_and_place_both_on_the_seesaw(server: Server, new_tab: NewTab) -> None:
    runs = {}
    for trunk in ("mmoe", "ple"):
        page = new_tab(f"/?data=conflict&trunk={trunk}&seed={SEED}", dark=trunk == "ple")
        widget(page, "train").get_by_role("button").wait_for()
        settle(page)
        write(page, "play.conflict.epochs", 60)
        runs[trunk] = run_id = train(page, server)
        # Progress, then curves that grow in place.
        expect(page.locator('[data-testid="stProgress"]').first).to_be_visible()
        expect(page.get_by_text(re.compile(r"epoch \d+ of 60")).first).to_be_visible()
        # From here on the page has drawn an epoch of this run, and what it showed before is gone.
        expect(page.get_by_text(re.compile(r"epoch ([2-9]|\d\d) of 60")).first).to_be_visible()
        settle(page)
        page.wait_for_function(f"() => document.querySelectorAll('{VEGA} canvas, {VEGA} svg').length >= 3")
        charts, before = wait_for(partial(charts_that_stay, page), what="charts that stay"), drawing(page)
        for _ in range(2):
            before = wait_for(partial(another_drawing, page, before), what="a curve that grows")
            assert tagged_charts(page) == charts
        run = server.wait_until(run_id, lambda run: not run.open)
        assert (run.state, run.message, run.seed, run.trunk, run.epochs) == ("finished", None, SEED, trunk, 60)
        expect(page.locator(f"{VEGA}[aria-label^=AUC]")).to_have_attribute("aria-label", re.compile("Test AUC"))
        expect(page.locator('[data-testid="stProgress"]')).to_have_count(0)
        without_exception(page)
        page.close()

    page = new_tab("/runs")
    table = page.locator('[data-testid="stDataFrame"]')
    box = table.locator("canvas").first.bounding_box()
    assert box is not None
    for row in (2, 1):  # newest first: MMoE is the second row
        page.mouse.click(box["x"] + 18, box["y"] + 35 * row + 17)
        settle(page)
    page.get_by_role("button", name="Compare").last.click()
    page.wait_for_url("**/compare*")
    assert {runs["mmoe"], runs["ple"]} <= set(re.findall("[0-9a-f]{8}", page.url))
    for name in ("MMoE", "PLE"):
        spread = page.locator(f'{VEGA}[aria-label*=" {name}. Spread of the gate weights"]')
        spread.locator("svg, canvas").first.wait_for()
    without_exception(page)

    spec = RunSpec.parse(server.newest().spec)
    page.goto(f"{server.url}/seesaw?budget={budget_key(spec)}")
    button = widget(page, "seesaw.missing").get_by_role("button")
    button.click()
    baseline = wait_for(lambda: run if (run := server.newest()).id not in runs.values() else None)
    assert is_baseline(RunSpec.parse(baseline.spec))  # one, which serves both runs
    assert (baseline.seed, baseline.epochs) == (SEED, 60)
    assert server.wait_until(baseline.id, lambda run: not run.open).state == "finished"
    expect(button).to_have_count(0)
    wait_for(lambda: {"MMoE", "PLE"} <= set(named_in(page, "seesaw.plot")), what="both points on the plot")
    without_exception(page)


@pytest.fixture
def adult_files() -> None:
    try:
        for file in FILES.values():
            locate(file)
    except DataError:
        pytest.skip("adult.data and adult.test are neither in SEESAW_DATA nor in the download cache")


@pytest.mark.usefixtures("adult_files")
def test_mmoe_and_ple_reach_their_scores_on_adult(server: Server, new_tab: NewTab) -> None:
    floors, ids = {}, []
    page = new_tab("/?data=adult")
    for trunk in ("mmoe", "ple"):
        page.goto(f"{server.url}/?data=adult&trunk={trunk}&seed={SEED}")
        widget(page, f"play.adult.{trunk}.expert_layers").locator("input").wait_for()
        settle(page)
        ids.append(run_id := train(page, server))
        floors[run_id] = {"income": 0.910, "never_married": 0.960}
        shown = server.store.get(run_id)
        assert shown is not None
        assert shown.spec == preset_spec("adult", trunk, seed=SEED).to_json()
    for trunk in ("mmoe", "ple"):
        hard = preset_spec("adult", trunk, seed=SEED, data={"name": "adult", "options": {"variant": "hard"}})
        record, _ = server.store.submit(hard)
        floors[record.id] = {"income": 0.885, "never_married": 0.875}
    for run_id, floor in floors.items():
        run = server.wait_until(run_id, lambda run: not run.open, seconds=300)
        assert (run.state, run.message) == ("finished", None)
        assert run.metrics_test is not None
        scores = {task: metrics["auc"] or 0 for task, metrics in run.metrics_test.items()}
        assert {task: score for task, score in scores.items() if score < floor[task]} == {}
        if run_id == ids[-1]:  # the one on the screen
            for score in scores.values():
                expect(page.get_by_text(f"{score:.4f}").first).to_be_visible()
    without_exception(page)


def test_a_run_outlives_its_tab_is_found_again_stops_when_told_and_goes_on(server: Server, new_tab: NewTab) -> None:
    page = new_tab(f"/?data=conflict&trunk=mmoe&seed={SEED + 1}")
    widget(page, "train").get_by_role("button").wait_for()
    settle(page)
    for field, value in (("batch_size", 16), ("epochs", 1000)):
        write(page, f"play.conflict.{field}", value)
    run_id = train(page, server)
    server.wait_until(run_id, lambda run: run.state == "running")
    page.context.close()
    done = server.wait_until(run_id, lambda run: run.epoch >= 1).epoch
    page = new_tab()
    expect(widget(page, f"stop.{run_id}").get_by_role("button")).to_be_visible()
    assert server.wait_until(run_id, lambda run: run.epoch > done).state == "running"
    widget(page, f"stop.{run_id}").get_by_role("button").click()
    assert server.wait_until(run_id, lambda run: not run.open, seconds=10).state == "stopped"
    # It goes on, and the page with it.
    done = server.wait_until(run_id, lambda run: not run.open).epoch
    widget(page, f"resume.{run_id}").get_by_role("button").click()
    server.wait_until(run_id, lambda run: run.epoch > done + 1)
    expect(page.get_by_text(re.compile(rf"epoch (?!{done + 1} )\d+ of 1000")).first).to_be_visible()
    widget(page, f"stop.{run_id}").get_by_role("button").click()
    expect(widget(page, f"resume.{run_id}").get_by_role("button")).to_be_visible()
    without_exception(page)


def test_a_killed_worker_is_replaced_while_people_watch(server: Server, new_tab: NewTab) -> None:
    page = new_tab(f"/?data=conflict&trunk=ple&seed={SEED + 2}")
    widget(page, "train").get_by_role("button").wait_for()
    settle(page)
    write(page, "play.conflict.epochs", 40)
    run_id = train(page, server)
    done = server.wait_until(run_id, lambda run: run.epoch >= 3)
    assert done.state == "running"
    (worker,) = server.store.workers()
    os.kill(worker.pid, signal.SIGKILL)
    run = server.wait_until(run_id, lambda run: not run.open)
    assert (run.state, run.message, run.epoch) == ("finished", None, 40)
    assert run.resumed_from >= 2
    assert [entry.epoch for entry in server.store.events(run_id, kinds=["epoch"])] == list(range(1, 41))
    expect(page.locator(f"{VEGA}[aria-label^=AUC]")).to_have_attribute("aria-label", re.compile("Test AUC"))
    without_exception(page)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_as_a_deep_link_in_both_themes(server: Server, new_tab: NewTab, path: str, dark: bool) -> None:
    page = new_tab(path, dark=dark)
    drawn = {"/runs": '[data-testid="stDataFrame"] canvas'}
    chart = drawn.get(path, f"{VEGA} svg.marks, {VEGA} canvas")
    page.locator(chart).first.wait_for()
    without_exception(page)
    background = page.locator('[data-testid="stApp"]').evaluate("el => getComputedStyle(el).backgroundColor")
    red, green, blue = map(int, re.findall(r"\d+", background)[:3])
    assert (red + green + blue < 3 * 128) is dark
    assert "Traceback" not in server.log.read_text()
