"""How many threads a training process takes."""

from __future__ import annotations

import os


def spare_a_core(processes: int = 1) -> None:
    """Let torch use this process's share of all cores but one, unless `OMP_NUM_THREADS` says otherwise.

    With a thread on every core each small operation waits until all of them are scheduled: beside one busy process that
    was measured ten to a hundred times slower than a single thread.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, ((os.cpu_count() or 1) - 1) // processes))
