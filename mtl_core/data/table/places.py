"""Where a person's own file may lie, how large an upload may be, and what kind of file it really is."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from mtl_core.data.base import DataError

#: The largest upload that the dashboard takes; larger files are opened by path.
MAX_UPLOAD_MB = 200
#: What a file of another kind begins with.
_OTHERS = {
    b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"GIF8": "a GIF picture", b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook: save the sheet as CSV", b"\xd0\xcf\x11\xe0": "an old Excel "
    "workbook: save the sheet as CSV", b"SQLite format 3": "an SQLite database: export the table as CSV",
    b"\x89HDF": "an HDF5 file: save the table as Parquet", b"ORC": "an ORC file: save the table as Parquet",
    b"ARROW1": "an Arrow file: save the table as Parquet", b"BZh": "a bzip2 archive: unpack it, or use gzip",
    b"\xfd7zXZ": "an xz archive: unpack it, or use gzip", b"(\xb5/\xfd": "a Zstandard archive: unpack it, or use gzip",
    b"7z\xbc\xaf": "a 7-Zip archive: unpack it",
}  # fmt: skip
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

Form = Literal["text", "gzip", "parquet"]


def check_upload(name: str, size: int) -> None:
    """Refuse an upload that is too large, by its size in bytes.

    Raises:
        DataError: it is larger than `MAX_UPLOAD_MB`.
    """
    if size > MAX_UPLOAD_MB * 2**20:
        raise DataError(
            f"{name} has {size / 2**20:,.0f} MB; uploads may have {MAX_UPLOAD_MB} MB. Save it as Parquet or CSV.gz, "
            f"which are smaller, or open it by its path on the server."
        )


#: An upload is kept under so many digits of its hash, a dash and its own name.
HASH_DIGITS = 12


def find(path: str, sha256: str = "", folders: str | None = None) -> Path:
    """The file at this path, links and ".." resolved, if it may be read; else an upload of the same content.

    Args:
        path: where it lay when the run was set up: perhaps on another machine.
        sha256: its hash, if it is known.
        folders: separated as in PATH; files outside are refused, whether they exist or not. Empty: any file may be
            read. None: as SEESAW_TABLES says.

    Raises:
        DataError: outside the allowed folders, not there, a folder, not readable, or empty.
    """
    told = os.environ.get("SEESAW_TABLES", "") if folders is None else folders
    places = [Path(f).expanduser().resolve() for f in told.split(os.pathsep) if f]
    try:
        return _at(path, places)
    except DataError:
        same = _upload_of(sha256, places)
        if same is None:
            raise
        return same


def _upload_of(sha256: str, folders: Sequence[Path]) -> Path | None:
    """The upload with this hash in one of these folders."""
    if not sha256:
        return None
    for folder in folders:
        for path in sorted(folder.glob(f"{sha256[:HASH_DIGITS]}-*")):
            state = path.stat()
            if path.is_file() and _hash(path, state.st_mtime_ns, state.st_size) == sha256:
                return path
    return None


@lru_cache(maxsize=64)
def _hash(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _at(path: str, folders: Sequence[Path]) -> Path:
    if "\0" in path:
        raise DataError("A path cannot hold the character NUL.")
    try:
        found = Path(path).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # a loop of links, a home folder that nobody has
        raise DataError(f"{path} cannot be opened: {error}.") from error
    if folders and not any(found.is_relative_to(folder) for folder in folders):
        raise DataError(f"{path} lies outside the folders that this server may read. Upload the file instead.")
    try:
        if found.is_dir():
            raise DataError(f"{path} is a folder. Give the path of a CSV, TSV, CSV.gz or Parquet file in it.")
        if not found.is_file():
            raise DataError(f"There is no file {path}. Check the path, or upload the file again.")
        if found.stat().st_size == 0:
            raise DataError(f"{path} is empty: it has 0 bytes.")
        with found.open("rb"):
            pass
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror or error}.") from error
    return found


def form_of(path: Path) -> Form:
    """What the file holds, whatever its name says.

    Raises:
        DataError: neither text, nor gzipped text, nor Parquet; the message says what it seems to be.
    """
    with path.open("rb") as file:
        start = file.read(65536)
    if start[:4] == b"PAR1":
        return "parquet"
    if start[:2] != b"\x1f\x8b":
        _refuse_other(path, start, "")
        return "text"
    try:
        with gzip.open(path, "rb") as packed:
            inner = packed.read(65536)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is a damaged gzip file: {error}. Pack or upload it again.") from error
    if not inner:
        raise DataError(f"{path.name} is empty once unpacked.")
    if inner[:4] == b"PAR1":
        raise DataError(f"{path.name} is a Parquet file inside gzip. Unpack it first: Parquet is compressed by itself.")
    if inner[257:262] == b"ustar":
        raise DataError(f"{path.name} is a tar archive. Unpack it and choose one file of it.")
    _refuse_other(path, inner, " inside gzip")
    return "gzip"


def _refuse_other(path: Path, start: bytes, where: str) -> None:
    for magic, what in _OTHERS.items():
        if start.startswith(magic):
            raise DataError(
                f"{path.name} is no table: it holds {what}{where}. CSV, TSV, CSV.gz and Parquet can be read."
            )
    if b"\0" in start and not start.startswith(_UTF16):
        raise DataError(
            f"{path.name} is no table: it holds binary data{where}. CSV, TSV, CSV.gz and Parquet can be read."
        )
