"""What a run leaves in its folder: a checkpoint to go on from, then weights and gates to take home."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mtl_core.atomic import write_atomically

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.safetensors"
GATES = "gates.npz"

log = logging.getLogger("seesaw.checkpoints")


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write the state of a run: nested dicts of tensors and plain values only."""
    write_atomically(folder / CHECKPOINT, lambda path: torch.save(state, path))


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The last state, or None if there is none that can be read. Loads data only, never code."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError) as error:
        log.warning("%s cannot be read (%s): the run begins anew", path, error)
        return None
    return state


def save_weights(folder: Path, weights: dict[str, Tensor]) -> None:
    """Write model weights as safetensors."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    write_atomically(folder / WEIGHTS, lambda path: save_file(plain, path))


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Read model weights.

    Raises:
        OSError: there are none.
        ValueError: the file is not what its name says.
    """
    try:
        weights: dict[str, Tensor] = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} holds no weights ({error})") from error
    return weights


def save_gates(folder: Path, gates: dict[str, Tensor]) -> None:
    """Write gate weights of the probe rows: gate -> [rows, experts]."""
    arrays: dict[str, Any] = {name: gate.detach().float().cpu().numpy() for name, gate in gates.items()}
    write_atomically(folder / GATES, lambda path: _savez(path, arrays))


def load_gates(folder: Path) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Read gate weights of the probe rows."""
    with np.load(folder / GATES) as file:
        return {name: file[name] for name in file.files}


def _savez(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
