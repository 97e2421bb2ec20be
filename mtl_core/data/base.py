"""What every data set declares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mtl_core.options import Options
from mtl_core.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.data.files import PublicFile


class DataError(ValueError):
    """Data that cannot be had or cannot be used; the message says in plain words what to do."""


@dataclass(frozen=True)
class Frames:
    """Raw rows by split. Columns are features, labels, sample spaces and, in a made world, hidden truth."""

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    notes: tuple[str, ...] = field(default=())


class DatasetOptions(Options):
    """Options of a data set."""

    def table_schema(self) -> Schema:
        """Features, tasks and hidden columns; known without loading anything."""
        raise NotImplementedError

    def frames(self, seed: int) -> Frames:
        """The rows. `seed` draws a made world, or the split of a real table.

        Raises:
            DataError: the data cannot be had; the message says what to do.
        """
        raise NotImplementedError

    def files(self) -> tuple[PublicFile, ...]:
        """Public files that `frames` will read, or download where they are not on this machine yet."""
        return ()

    @classmethod
    def preset(cls) -> dict[str, Any]:
        """`{"spec": SPEC, "trunks": {name: options}}`: how the data is first shown; trunks matched in parameters."""
        raise NotImplementedError
