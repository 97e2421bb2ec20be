"""The machine a benchmark runs on: what it is, how fast it multiplies matrices, how much memory a process took."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch

#: Side of the square matrices: large enough for the library's best rate, small enough for a fraction of a second.
SIDE = 1024


def describe() -> str:
    """One line: processor, cores, torch and its threads."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    name = models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    threads = torch.get_num_threads()
    return (
        f"{name}, {os.cpu_count()} cores, {device}; Python {platform.python_version()}, torch {torch.__version__}, "
        f"{threads} thread{'s' if threads > 1 else ''}, load {os.getloadavg()[0]:.1f} at the end"
    )


def multiply_rate(seconds: float = 0.5) -> float:
    """Multiply-adds per second of large float32 matrix products with torch's current threads, median over products."""
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - start)
    return SIDE**3 / statistics.median(times)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median with the smallest and the largest value: 3.10 (2.95 to 3.30)."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
