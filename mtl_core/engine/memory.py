"""How many members of a population fit into memory."""

from __future__ import annotations

import psutil
import torch
from torch.autograd.graph import saved_tensors_hooks

from mtl_core.data.tables import Encoded
from mtl_core.engine.rows import Rows, to_device
from mtl_core.nn.model import Model
from mtl_core.spec import RunSpec

#: Part of the free memory that a population may take.
SHARE = 0.5
#: More members than this gain nothing on a CPU: its caches are full long before.
MOST_ON_CPU = 64
#: Rows on which a step's memory is measured.
MEASURED_ROWS = 64

#: The C library's limit for what it keeps is twice the largest block that was ever freed, if that is below 32 MiB.
LARGEST_KEPT = 31 * 2**20


def keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next one, instead of handing it back to the system page by page.

    Without this a tenth of a step's time goes into page faults. It adapts its limits to what it sees: one freed block
    is enough, and it need not be touched. With other allocators nothing happens.
    """
    torch.empty(LARGEST_KEPT, dtype=torch.uint8)


def members_that_fit(model: Model, data: Encoded, spec: RunSpec, device: torch.device, wanted: int) -> int:
    """At least 1, at most `wanted`.

    Args:
        model: one member's, on the CPU.
        data: one member's; each member may have rows of its own.
        spec: its spec.
        device: where the population will live.
        wanted: how many there are.
    """
    if wanted == 1:
        return 1
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    fit = int(SHARE * free / max(member_bytes(model, data, spec), 1))
    most = wanted if device.type == "cuda" else MOST_ON_CPU
    return max(1, min(wanted, fit, most))


def member_bytes(model: Model, data: Encoded, spec: RunSpec) -> int:
    """Memory of one member: its rows, parameters with gradients and moments, and what a step keeps for its backward."""
    parameters = sum(p.nbytes for p in model.parameters())
    tasks = len(data.schema.tasks)
    # Parameters, two moments, the best epoch's copy, one gradient per task.
    stored = parameters * (4 + tasks)
    splits = [to_device(split, torch.device("cpu")) for split in (data.train, data.valid)]
    rows = min(MEASURED_ROWS, len(data.train))
    per_row = _saved_bytes(model, splits[0].at(slice(rows))) / max(rows, 1)
    return int(stored + sum(split.bytes for split in splits) + 2 * per_row * spec.training.batch_size)


def _saved_bytes(model: Model, rows: Rows) -> int:
    """What autograd keeps of one forward pass, apart from the parameters."""
    own = {p.data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model(rows.inputs)
        model.losses(out, rows.labels, rows.mask).sum()
    return sum(kept.values())
