"""What an interaction costs the server: `python -m benchmarks.interaction` writes a section of docs/benchmarks.md.

A store of 200 finished runs beside the bundled ones. On every page one control is moved back and forth, and the run of
the page's script that answers it is timed: from the request to the last message for the browser, drawing included, the
network and the browser not. Streamlit's own test harness holds the session. Several times per page: the median, with
the smallest and the largest; processor time is that of the script's thread, which other programs slow less.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from streamlit import config
from streamlit.runtime.scriptrunner import ScriptRunner
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest, local_script_runner
from streamlit.util import calc_hash

from app.jobs.executor import LocalExecutor
from app.jobs.store import RunStore, open_store
from app.library import examples
from benchmarks import machine, report
from benchmarks.machine import spread
from mtl_core.comparison import preset_spec
from mtl_core.events import Checkpoint, Event, Step
from mtl_core.spec import RunSpec
from mtl_core.training import train

MAIN = Path(__file__).parent.parent / "app" / "main.py"
RUNS = 200
#: What the issue of the pages allows.
LIMIT_MS = 150
TITLE = "Interaction"
#: Addresses of pages whose file has another name.
ADDRESSES = {"seesaw_plot": "seesaw", "playground": ""}


@dataclass(frozen=True)
class Case:
    """One control of one page, and what it is set to in turns."""

    name: str
    page: str
    query: dict[str, str]
    move: Callable[[AppTest, int], Any]


@dataclass
class Times:
    """Seconds of the runs of a page's script since the last look."""

    wall: float = 0.0
    processor: float = 0.0

    def take(self) -> tuple[float, float]:
        """Both, from now on counted anew."""
        found = self.wall, self.processor
        self.wall = self.processor = 0.0
        return found


def watch() -> Times:
    """Time every run of a script, wherever it happens."""
    times, run = Times(), ScriptRunner._run_script

    def timed(self: ScriptRunner, data: Any) -> None:
        wall, processor = time.perf_counter(), time.thread_time()
        try:
            run(self, data)
        finally:
            times.wall += time.perf_counter() - wall
            times.processor += time.thread_time() - processor

    setattr(ScriptRunner, "_run_script", timed)  # noqa: B010
    # A server compiles a page once, the harness would at every run; and the dashboard's own file says so of garbage.
    cache = ScriptCache()
    setattr(local_script_runner, "ScriptCache", lambda: cache)  # noqa: B010
    config.set_option("runner.postScriptGC", False)
    config.set_option("browser.gatherUsageStats", False)
    # Nobody trains while pages are timed.
    setattr(LocalExecutor, "_ensure", lambda self, wanted: None)  # noqa: B010
    return times


def fill(store: RunStore) -> str:
    """Two hundred finished runs, of the bundled ones' events with other seeds; the id of one with eight tasks."""
    store.register_worker("w", 0)
    known = [example for example in examples().values() if example.history.gates]
    for number in range(RUNS - 1):
        example = known[number % len(known)]
        started, finished = example.history.started, example.history.finished
        assert started is not None
        assert finished is not None
        spec = RunSpec.parse({**started.spec, "seed": 1000 + number})
        events = (started.model_copy(update={"spec": spec.to_json()}), *example.history.epochs, finished)
        _tell(store, spec, list(events))
    heavy = heaviest()
    return _tell(store, heavy, list(train([heavy])))


def heaviest() -> RunSpec:
    """Eight tasks, three levels, gradients combined in every step."""
    spec = preset_spec("video_feed", "ple").to_json()
    spec["data"]["options"]["rows"] = 2000
    spec["model"]["trunk"]["options"] |= {"levels": 3, "shared_experts": 2, "task_experts": 2}
    spec["balancer"] = {"name": "pcgrad", "options": {}}
    spec["training"]["epochs"] = 8
    return RunSpec.parse(spec)


def _tell(store: RunStore, spec: RunSpec, events: list[Event]) -> str:
    run, _ = store.submit(spec, again=True)
    claimed = store.claim("w")
    assert claimed is not None
    for event in events:
        if not isinstance(event, Step | Checkpoint):
            store.append(run.id, "w", event)
    return run.id


def cases(store: RunStore, heavy: str) -> list[Case]:
    """One per page, and the heaviest settings of the two heaviest."""
    from app.setup_values import query_of

    six = ",".join(run.id for run in store.runs(limit=7) if run.id != heavy)[: 9 * 6 - 1]
    flow = {"runs": six, "look": "flow"}
    on_heavy = query_of(heaviest()) | {"run": heavy}
    return [
        Case("Playground: epochs", "playground", {}, partial(_number, "play.conflict.epochs", 20)),
        Case("Playground, 8 tasks: epochs", "playground", on_heavy, partial(_number, "play.video_feed.epochs", 20)),
        Case("Compare, 2 runs: epoch", "compare", {}, partial(_slide, "epoch")),
        Case("Compare, 6 runs: epoch", "compare", {"runs": six}, partial(_slide, "epoch")),
        Case("Compare, 6 runs: flow", "compare", flow, partial(_pick, "look", "flow", "gates")),
        Case("Seesaw plot: equal parameters", "seesaw_plot", {}, partial(_toggle, "equal")),
        Case("Runs: find", "runs", {}, partial(_write, "text")),
        Case("Data: seed", "data", {"data": "conflict"}, partial(_number, "data.seed", 0)),
        Case("Model zoo: an entry", "zoo", {}, partial(_entry, "name")),
    ]


def _number(key: str, start: int, at: AppTest, turn: int) -> Any:
    return at.number_input(key=key).set_value(start + turn % 2)


def _slide(key: str, at: AppTest, turn: int) -> Any:
    slider = at.select_slider(key=key)
    return slider.set_value(slider.options[turn % 3])


def _pick(key: str, one: str, other: str, at: AppTest, turn: int) -> Any:
    return at.segmented_control(key=key).set_value((one, other)[turn % 2])


def _toggle(key: str, at: AppTest, turn: int) -> Any:
    return at.toggle(key=key).set_value(turn % 2 == 0)


def _write(key: str, at: AppTest, turn: int) -> Any:
    return at.text_input(key=key).set_value(("ple", "mmoe", "")[turn % 3])


def _entry(key: str, at: AppTest, turn: int) -> Any:
    return at.radio(key=key).set_value(at.radio(key=key).options[turn % 4])


def visit(case: Case) -> AppTest:
    """A session that has just opened the page."""
    at = AppTest.from_file(str(MAIN), default_timeout=120)
    at.query_params.update(case.query)
    at._page_hash = calc_hash(ADDRESSES.get(case.page, case.page))
    return at.run()


def measure(case: Case, times: Times, turns: int) -> tuple[float, list[float], list[float]]:
    """Milliseconds: of the first visit, and of each interaction by the clock and by processor."""
    times.take()
    at = visit(case)
    first = 1000 * times.take()[0]
    wall, processor = [], []
    for turn in range(turns + 2):
        case.move(at, turn).run()
        if at.exception:
            raise SystemExit(f"{case.name}: {at.exception[0].message}")
        spent = times.take()
        if turn >= 2:  # what is kept from then on is there
            wall.append(1000 * spent[0])
            processor.append(1000 * spent[1])
    return first, wall, processor


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--only", default="", help="cases whose name contains this; nothing is written")
    chosen = parser.parse_args()
    times = watch()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEESAW_HOME"] = folder
        store = open_store()
        for case in cases(store, fill(store)):
            if chosen.only.lower() in case.name.lower():
                first, wall, processor = measure(case, times, chosen.turns)
                rows.append([case.name, f"{first:,.0f}", spread(wall, 0), spread(processor, 0)])
                print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
        store.close()
    about = " ".join((__doc__ or "").split("\n\n", 1)[1].split())
    body = (
        f"`python -m benchmarks.interaction --turns {chosen.turns}`, on {machine.describe()}.\n\n{about}\n\n"
        f"{report.table(['page: control', 'first visit, ms', 'interaction, ms', 'processor, ms'], rows)}\n\n"
        f"The limit is {LIMIT_MS} ms."
    )
    if not chosen.only:
        report.write(TITLE, body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
