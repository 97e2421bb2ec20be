"""Data sets: made worlds and public files, as rows by split; `tables` turns rows into arrays."""

from mtl_core.data.adult import Adult
from mtl_core.data.base import DataError, DatasetOptions, Frames
from mtl_core.data.conflict import Conflict

__all__ = ["Adult", "Conflict", "DataError", "DatasetOptions", "Frames"]
