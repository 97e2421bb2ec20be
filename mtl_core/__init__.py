"""A compact torch core for multi-task learning in recommender systems: `encoder -> trunk -> towers -> head`."""

from __future__ import annotations

from typing import Any

__all__ = ["RunSpec", "SpecError", "train"]


def __getattr__(name: str) -> Any:
    # Lazily: a spec can be validated, and the catalogue listed, without loading torch.
    if name == "train":
        from mtl_core.training import train

        return train
    if name in ("RunSpec", "SpecError"):
        from mtl_core import spec

        return getattr(spec, name)
    raise AttributeError(f"module 'mtl_core' has no attribute {name!r}")
