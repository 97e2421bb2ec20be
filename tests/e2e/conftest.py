"""A real server with a home of its own, and a browser that listens for trouble."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from app.jobs.records import RunRecord
from app.jobs.store import RunStore

MAIN = Path(__file__).parents[2] / "app" / "main.py"
#: Generous: these tests wait for something to happen, however slow the machine is.
PATIENCE = 120.0
BROWSER_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
#: The frontend asks below the page's own path first; these answers of 404 are its way of finding the server.
ASKED_IN_VAIN = ("/_stcore/health", "/_stcore/host-config")
T = TypeVar("T")
expect.set_options(timeout=1000 * PATIENCE / 2)


def wait_for(look: Callable[[], T | None], seconds: float = PATIENCE, what: str = "what was waited for") -> T:
    """The first true answer of `look`."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return answer


@dataclass
class Server:
    """A running dashboard."""

    url: str
    home: Path
    store: RunStore
    log: Path

    def newest(self) -> RunRecord:
        """The run that was made last."""
        return self.store.runs(limit=1)[0]

    def wait_until(self, run_id: str, test: Callable[[RunRecord], bool], seconds: float = PATIENCE) -> RunRecord:
        """The run as soon as it passes the test."""

        def look() -> RunRecord | None:
            run = self.store.get(run_id)
            return run if run is not None and test(run) else None

        return wait_for(look, seconds, f"run {run_id}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _end_workers(home: Path) -> None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("SEESAW_HOME") == str(home) and "app.jobs.worker" in process.cmdline():
                process.kill()
                process.wait(timeout=10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The dashboard as people start it, but from another folder and with an empty home."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    home = elsewhere / "home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEESAW_")}
    environment |= {"SEESAW_HOME": str(home), "SEESAW_WORKER_IDLE": "120", "OMP_NUM_THREADS": "1"}
    if "SEESAW_DATA" in os.environ:
        environment["SEESAW_DATA"] = os.environ["SEESAW_DATA"]
    port = _free_port()
    url, log = f"http://127.0.0.1:{port}", elsewhere / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(MAIN), "--server.headless=true", f"--server.port={port}"],
            cwd=elsewhere, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    store = None
    try:
        wait_for(lambda: process.poll() is not None or _answers(f"{url}/_stcore/health"), what="the server")
        assert process.poll() is None, log.read_text()
        store = RunStore(home=home)
        yield Server(url, home, store, log)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
        process.kill()
        process.wait()
        _end_workers(home)
        if store is not None:
            store.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless Chromium or Chrome, whichever is installed."""
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("needs Chromium or Google Chrome on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=BROWSER_FLAGS)
        yield browser
        browser.close()


@dataclass
class Trouble:
    """What pages complained about."""

    host: str
    found: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> Page:
        """Note everything that should not happen on this page."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.found.append(f"uncaught: {error}"))
        page.on("request", lambda request: self._request(request.url))
        return page

    def _console(self, message: ConsoleMessage) -> None:
        where = message.location.get("url", "")
        if message.type == "error" and not ("404" in message.text and where.endswith(ASKED_IN_VAIN)):
            self.found.append(f"console: {message.text} ({where})")

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self.host:
            self.found.append(f"asked another host: {url}")


@pytest.fixture
def new_tab(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens tabs, each a stranger to the others; at the end none of them may have complained."""
    trouble = Trouble(urlsplit(server.url).netloc)
    contexts = []

    def open_tab(path: str = "/", *, dark: bool = False) -> Page:
        contexts.append(
            browser.new_context(viewport={"width": 1400, "height": 1000}, color_scheme="dark" if dark else "light")
        )
        contexts[-1].set_default_timeout(1000 * PATIENCE / 2)
        page = trouble.listen(contexts[-1].new_page())
        page.goto(server.url + path)
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert trouble.found == []
