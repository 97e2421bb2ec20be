"""Your own file: what its columns seem to be (`guess`), and the data set `table`."""

from mtl_core.data.table.guessing import Column, Guess, guess
from mtl_core.data.table.options import Table
from mtl_core.data.table.places import MAX_UPLOAD_MB, check_upload

__all__ = ["MAX_UPLOAD_MB", "Column", "Guess", "Table", "check_upload", "guess"]
