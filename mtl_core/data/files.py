"""Public data files: looked for in `SEESAW_DATA`, else downloaded once to a cache; their hash is checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mtl_core.data.base import DataError


@dataclass(frozen=True)
class PublicFile:
    """A file as its owner publishes it."""

    name: str
    url: str
    sha256: str


def cache_folder() -> Path:
    """Where downloads are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("seesaw"))


def find(file: PublicFile) -> Path | None:
    """Path of the file if it is on this machine already.

    Raises:
        DataError: the folder in `SEESAW_DATA` holds another file of this name.
    """
    import pooch

    folder = os.environ.get("SEESAW_DATA")
    if folder:
        local = Path(folder).expanduser() / file.name
        if local.is_file():
            if pooch.file_hash(str(local)) != file.sha256:
                raise DataError(
                    f"{local} is not the published {file.name} (its SHA-256 differs). "
                    f"Replace it with {file.url}, or unset SEESAW_DATA to have it downloaded."
                )
            return local
    cached = cache_folder() / file.name
    return cached if cached.is_file() and pooch.file_hash(str(cached)) == file.sha256 else None


def locate(file: PublicFile) -> Path:
    """Path of the file on this machine, after a download if need be.

    Raises:
        DataError: neither file nor network; or a file that is not the one expected.
    """
    import pooch

    there = find(file)
    if there is not None:
        return there
    pooch.get_logger().setLevel("ERROR")
    try:
        folder = cache_folder()
        return Path(pooch.retrieve(file.url, known_hash=f"sha256:{file.sha256}", fname=file.name, path=folder))
    except ValueError as error:
        raise DataError(f"The download of {file.url} was not the published file: {error}. Try again later.") from error
    except OSError as error:  # requests' errors are OSErrors
        raise DataError(
            f"{file.name} is not on this machine and {file.url} cannot be reached. Connect to the network once, or "
            f"download the file elsewhere, put it in a folder and set SEESAW_DATA to that folder. "
            f"Made worlds such as 'conflict' work without any file."
        ) from error
