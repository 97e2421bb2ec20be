"""Which workers are dead."""

from __future__ import annotations

import os
import socket
import threading
import time

import psutil

from app.jobs.records import WorkerRecord

#: A worker beats once a second. One that is silent for so long is given up.
SILENCE_SECONDS = 10.0
#: The same, where its pid now belongs to another process: no proof alone, for a corrected clock shifts start times.
SHORT_SILENCE_SECONDS = 3.0
_SAME_START = 2.0


def this_process() -> tuple[str, int, float]:
    """Host, pid and start time of this process."""
    return socket.gethostname(), os.getpid(), float(psutil.Process().create_time())


def process_state(worker: WorkerRecord) -> str:
    """`alive`, `dead`, or `unknown` where the process cannot be seen from here or may be another one."""
    if worker.host != socket.gethostname():
        return "unknown"
    try:
        process = psutil.Process(worker.pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return "dead"
        return "alive" if abs(process.create_time() - worker.process_started) < _SAME_START else "unknown"
    except psutil.NoSuchProcess:
        return "dead"
    except psutil.AccessDenied:
        return "unknown"


class Watch:
    """Watches heartbeats by this process's own monotonic clock.

    Comparing the written time with ours would take every worker of a host with a wrong clock for dead, and after a
    laptop's sleep the healthy ones too.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def dead(self, workers: list[WorkerRecord]) -> set[str]:
        """Ids of the workers that will not come back."""
        now = time.monotonic()
        with self._lock:
            before, self._seen = self._seen, {}
            for worker in workers:
                beat, since = before.get(worker.id, (worker.heartbeat_at, now))
                self._seen[worker.id] = (beat, since) if beat == worker.heartbeat_at else (worker.heartbeat_at, now)
            silent = {name: now - since for name, (_, since) in self._seen.items()}
        return {worker.id for worker in workers if self._is_dead(worker, silent[worker.id])}

    @staticmethod
    def _is_dead(worker: WorkerRecord, silent: float) -> bool:
        state = process_state(worker)
        if state == "dead":
            return True
        here = worker.host == socket.gethostname()
        return silent > (SHORT_SILENCE_SECONDS if here and state == "unknown" else SILENCE_SECONDS)
