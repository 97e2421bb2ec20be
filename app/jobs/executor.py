"""Keeps workers alive.

    executor = get_executor()
    executor.start_supervisor()
    run, created = open_store().submit(spec)
    executor.ensure_worker()

Importing this module does not import torch, and no worker is a child by `multiprocessing`: under `streamlit run`
such a child would execute the dashboard's script again.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from app.i18n import tr
from app.jobs import settings
from app.jobs.liveness import process_state
from app.jobs.store import RunStore, StoreError, open_store

#: A worker that was just started has so long to register before another one is tried.
STARTING_SECONDS = 3.0
#: The same after one that ended with an error.
BROKEN_SECONDS = 15.0
SUPERVISE_SECONDS = 1.0

log = logging.getLogger("seesaw.executor")


class Executor(Protocol):
    """Where runs are trained. The methods may be called from any thread and return at once."""

    @property
    def problem(self) -> str | None:
        """Why no worker can be started, in one sentence; None when all is well."""

    def ensure_worker(self) -> None:
        """Make sure that queued runs are worked on."""

    def warm(self) -> None:
        """Start a worker before it is needed, so that the first run begins at once."""

    def start_supervisor(self) -> None:
        """From now on see to it, without further calls, that queued and orphaned runs are worked on."""

    def close(self, *, stop_workers: bool = False) -> None:
        """End the supervisor. Workers go on to the end of the queue, unless they are told to stop."""


class LocalExecutor:
    """Workers as processes of this machine, which outlive this one.

    Args:
        store: whose runs they take. The workers get its URL and home folder.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._children: list[subprocess.Popen[bytes]] = []
        self._broken = False
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._supervisor: threading.Thread | None = None

    @property
    def problem(self) -> str | None:
        """Why no worker can be started, in one sentence; None when all is well."""
        if not self._broken:
            return None
        return tr("The worker could not go on: see {log}.", log=self._store.home / "worker.log")

    def ensure_worker(self) -> None:
        """Make sure that there are as many workers as there are runs for, up to `SEESAW_WORKERS`."""
        self._ensure(self._store.open_runs())

    def warm(self) -> None:
        """Start a worker before it is needed, so that the first run begins at once."""
        self._ensure(1)

    def start_supervisor(self) -> None:
        """From now on, take up the runs of dead workers and start workers for queued ones; once is enough."""
        with self._lock:
            if self._supervisor is None or not self._supervisor.is_alive():
                self._stop.clear()
                self._supervisor = threading.Thread(target=self._supervise, name="seesaw-supervisor", daemon=True)
                self._supervisor.start()

    def close(self, *, stop_workers: bool = False) -> None:
        """End the supervisor. Workers go on to the end of the queue, unless they are told to stop."""
        self._stop.set()
        if self._supervisor is not None:
            self._supervisor.join()
        if stop_workers:
            self._stop_children()

    def _ensure(self, wanted: int) -> None:
        slots = settings.workers()
        with self._lock:
            self._reap()
            alive = {worker.pid for worker in self._store.workers() if process_state(worker) == "alive"}
            if alive:
                self._broken = False
            missing = min(wanted, slots) - len(alive | {child.pid for child in self._children})
            if missing <= 0 or time.monotonic() < self._not_before:
                return
            self._not_before = time.monotonic() + STARTING_SECONDS
            self._children += [self._spawn() for _ in range(missing)]

    def _spawn(self) -> subprocess.Popen[bytes]:
        home = self._store.home
        root = Path(__file__).parents[2]  # under `streamlit run` the package may be importable here only
        path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
        places = {
            "SEESAW_HOME": str(home),
            "SEESAW_STORE": self._store.url,
            "SEESAW_TABLES": settings.table_folders(),
            "PYTHONPATH": path,
        }
        home.mkdir(parents=True, exist_ok=True)
        with (home / "worker.log").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "app.jobs.worker"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | places,
                start_new_session=True,  # Ctrl-C at the server must not reach it
            )

    def _reap(self) -> None:
        """Let ended children go, which else stay as zombies."""
        for child in [child for child in self._children if child.poll() is not None]:
            self._children.remove(child)
            if child.returncode > 0:
                self._broken = True
                self._not_before = time.monotonic() + BROKEN_SECONDS

    def _supervise(self) -> None:
        told = ""
        while not self._stop.wait(SUPERVISE_SECONDS):
            try:
                self._store.reclaim_orphans()
                with self._lock:
                    self._reap()
                if self._store.open_runs():
                    self.ensure_worker()
                told = ""
            except (StoreError, settings.SettingsError, OSError) as error:
                if str(error) != told:  # once, not every second
                    log.error("%s", error)
                told = str(error)

    def _stop_children(self) -> None:
        with self._lock:
            for child in self._children:
                child.terminate()
            for child in self._children:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=10)
                if child.poll() is None:
                    child.kill()
                    child.wait()
            self._children.clear()


_executors: dict[RunStore, LocalExecutor] = {}
_executors_lock = threading.Lock()


def get_executor(store: RunStore | None = None) -> Executor:
    """The executor that `SEESAW_EXECUTOR` names; one object per store, shared by all sessions.

    Raises:
        SettingsError: there is no such executor.
    """
    if settings.executor() != "local":
        raise settings.SettingsError(
            tr("SEESAW_EXECUTOR must be 'local', not {given}.", given=repr(settings.executor()))
        )
    store = store or open_store()
    with _executors_lock:
        if store not in _executors:
            _executors[store] = LocalExecutor(store)
        return _executors[store]
