"""Your own file, as people bring it: from upload to a comparison of two trained models, without a line of code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Locator, Page, expect

from mtl_core.data.table import Table
from mtl_core.spec import RunSpec
from tests.e2e.conftest import Server, wait_for
from tests.e2e.test_browser import VEGA, NewTab, settle, train, widget, without_exception, write

pytestmark = pytest.mark.browser

ROWS = 100_000
COLUMNS = ["user_id", "item_id", "age", "city", "price", "row", "click", "buy"]
#: Rows of the test split that hold a city which no other row holds.
NEWCOMERS = 60


def shop(rows: int) -> pd.DataFrame:
    """A shop log: people like what is good and, older, like more; a twelfth of the ages and cities is missing."""
    rng = np.random.default_rng(7)
    user, item = rng.integers(0, 2000, rows), rng.integers(0, 500, rows)
    age, price = rng.integers(18, 75, 2000)[user], np.exp(rng.normal(3, 1, 500))[item].round(2)
    liking = 1.5 * rng.standard_normal(500)[item] + (age - 45) / 12
    click = rng.random(rows) < 1 / (1 + np.exp(1 - liking))
    buy = click & (rng.random(rows) < 1 / (1 + np.exp(np.log(price) - 3)))
    table = pd.DataFrame(
        {
            "user_id": user,
            "item_id": [f"i{i}" for i in item],
            "age": pd.array(age, dtype="Int64"),
            "city": pd.Series(np.array(["Bern", "Lima", "Oslo", "Pune"])[user % 4], dtype="object"),
            "price": price,
            "row": np.arange(rows),
            "click": click.astype(int),
            "buy": buy.astype(int),
        },
        columns=COLUMNS,
    )
    for name in ("age", "city"):
        table.loc[rng.random(rows) < 1 / 12, name] = None
    return table


def splits(path: Path, options: dict[str, object]) -> dict[str, pd.DataFrame]:
    """Train, validation and test rows as a run with seed 0 gets them."""
    frames = Table.model_validate({**options, "path": str(path)}).frames(0)
    return {"train": frames.train, "valid": frames.valid, "test": frames.test}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file; a random split goes by the number of rows alone: which will be the test's is known before."""
    path = tmp_path / "my shop.csv"
    table = shop(ROWS)
    table.to_csv(path, index=False)
    features = [{"name": "row", "kind": "numeric"}]
    tasks = [
        {"name": "click", "label": "click"},
        {"name": "buy", "label": "buy", "space": "click", "after": "click"},
    ]
    test = splits(path, {"features": features, "tasks": tasks})["test"]["row"].to_numpy(int)
    table.loc[test[:NEWCOMERS], "city"] = "Atlantis"
    table.to_csv(path, index=False)
    return path


def cell(table: Locator, row: int, column: int) -> Locator:
    """A cell of an editable table, as screen readers meet it."""
    return table.get_by_test_id(f"glide-cell-{column}-{row}")


def note_runs(page: Page) -> None:
    """From now on `window.hasRun` tells whether the page's script began to run."""
    page.evaluate(
        """() => {
            const app = document.querySelector('[data-testid="stApp"]')
            const look = () => { window.hasRun ||= app.getAttribute('data-test-script-state') === 'running' }
            window.hasRun = false
            new MutationObserver(look).observe(app, { attributes: true })
        }"""
    )


def choose_use(page: Page, column: str, use: str) -> None:
    """Correct what a column is used as, by hand."""
    table = page.locator('[data-testid="stDataFrame"]').first
    table.scroll_into_view_if_needed()
    row = COLUMNS.index(column)
    expect(cell(table, row, 1)).not_to_have_text(use)
    # The table is a picture: its rows are 35 pixels high, the first column begins at the left, keys do the rest.
    box = table.locator("canvas").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 20, box["y"] + 35 * (row + 1) + 17)
    expect(cell(table, row, 0)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowRight")
    expect(cell(table, row, 1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    field = page.locator("#portal").get_by_role("combobox")
    expect(field).to_be_focused()
    field.fill(use)
    expect(page.locator("#portal").get_by_role("option")).to_have_text([use])
    note_runs(page)
    page.keyboard.press("Enter")
    expect(cell(table, row, 1)).to_have_text(use)
    # The edit travels a moment later, and what is done before the page has taken it may be lost on the way.
    page.wait_for_function("() => window.hasRun")
    settle(page)


def pick(page: Page, key: str, text: str, whole: str) -> None:
    """Choose from a list by typing some of what the wanted line says."""
    field = widget(page, key).get_by_role("combobox")
    if not re.fullmatch(whole, field.input_value()):
        field.click()
        field.fill(text)
        page.get_by_role("option").filter(has_text=re.compile(f"^{whole}$")).click()
    expect(field).to_have_value(re.compile(f"^{whole}$"))


def test_from_an_uploaded_file_to_mmoe_against_ple(server: Server, new_tab: NewTab, log: Path) -> None:
    page = new_tab("/data?data=table")
    widget(page, "own.upload").locator("input[type=file]").set_input_files(log)

    # What the columns seem to be.
    table = page.locator('[data-testid="stDataFrame"]').first
    expect(page.get_by_text(f"{ROWS:,} rows · {len(COLUMNS)} columns")).to_be_visible()
    guessed = dict(
        zip(COLUMNS, ("id", "id", "numeric", "categorical", "numeric", "numeric", "label", "label"), strict=True)
    )
    for row, (name, use) in enumerate(guessed.items()):
        expect(cell(table, row, 0)).to_have_text(name)
        expect(cell(table, row, 1)).to_have_text(use)

    # A row number tells nothing: a person leaves it out. A schema of something else changes nothing of that.
    choose_use(page, "row", "left out")
    page.get_by_text("Use a schema that you saved before").click()
    uploads = list((server.home / "uploads").glob("*.csv"))
    field = widget(page, f"own.schema.{uploads[0].name}").locator("input[type=file]")
    field.set_input_files({"name": "notes.yaml", "mimeType": "application/yaml", "buffer": b"milk: 2\n"})
    expect(page.get_by_text("This is no schema")).to_be_visible()
    expect(cell(table, COLUMNS.index("row"), 1)).to_have_text("left out")
    settle(page)
    widget(page, "own.settle").get_by_role("button").click()
    side = wait_for(lambda: next((server.home / "uploads").glob("*.json"), None), what="the settled file")
    options = json.loads(side.read_text(encoding="utf-8"))
    assert [f["name"] for f in options["features"]] == ["user_id", "item_id", "age", "city", "price"]
    expect(page.get_by_text("60,000 train")).to_be_visible()

    # The premise of all this: gaps everywhere, and a city that only the test split knows.
    parts = splits(uploads[0], options)
    assert {name: int((part["city"] == "Atlantis").sum()) for name, part in parts.items()} == {
        "train": 0, "valid": 0, "test": NEWCOMERS,
    }  # fmt: skip
    assert all(part[name].isna().any() for part in parts.values() for name in ("age", "city"))

    # Two models, trained from the page.
    page.get_by_role("link", name="Playground").click()
    widget(page, "train").get_by_role("button").wait_for()
    runs = {}
    for trunk, title in (("mmoe", "MMoE"), ("ple", "PLE")):
        pick(page, "trunk", title, rf"{title}(?: · .*)?")  # the family stands behind the name
        widget(page, f"play.table.{trunk}.expert_layers").locator("input").wait_for()
        settle(page)
        write(page, "play.table.epochs", 2)
        runs[trunk] = train(page, server)
    scores: list[float] = []
    for trunk, run_id in runs.items():
        run = server.wait_until(run_id, lambda run: not run.open, seconds=300)
        assert (run.state, run.message, run.trunk, run.epochs) == ("finished", None, trunk, 2)
        assert (
            RunSpec.parse(run.spec).to_json()["data"]["options"]
            == RunSpec.parse({"data": {"name": "table", "options": options}}).to_json()["data"]["options"]
        )
        assert run.metrics_test is not None
        assert list(run.metrics_test) == ["click", "buy"]
        scores += [metrics["auc"] or 0 for metrics in run.metrics_test.values()]
    assert min(scores) > 0.6

    # Side by side.
    page.goto(f"{server.url}/compare?runs={','.join(runs.values())}")
    for name in ("MMoE", "PLE"):
        spread = page.locator(f'{VEGA}[aria-label*=" {name}. Spread of the gate weights"]')
        spread.locator("svg, canvas").first.wait_for()
    settle(page)
    for score in scores:
        expect(page.locator('[data-testid="stTable"]')).to_contain_text(f"{score:.4f}")
    expect(page.locator('[data-testid="stTable"]')).to_contain_text("PLE")
    without_exception(page)
    night = new_tab(f"/data?data=table&file={uploads[0].name}", dark=True)
    expect(night.get_by_text("60,000 train")).to_be_visible()
    without_exception(night)
