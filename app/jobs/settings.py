"""What the environment says. Read when asked, so that a test or a script can change it."""

from __future__ import annotations

import os
from pathlib import Path

from app.i18n import tr


class SettingsError(ValueError):
    """An environment variable that cannot be used. The message is one line: its name and what would be right."""


def home() -> Path:
    """The folder that holds store, runs, locks and log (`SEESAW_HOME`), absolute."""
    return Path(os.environ.get("SEESAW_HOME") or "runs").expanduser().absolute()


def uploads() -> Path:
    """The folder of the files that people bring."""
    return home() / "uploads"


def table_folders() -> str:
    """Folders from which workers read tables (`SEESAW_TABLES`, separated as in PATH).

    A path in a spec comes from whoever uses the dashboard, so by default: uploads, the folder of public data, and the
    one the server was started in.
    """
    places = [str(uploads()), os.environ.get("SEESAW_DATA", ""), os.getcwd()]
    return os.environ.get("SEESAW_TABLES") or os.pathsep.join(place for place in places if place)


def store_url() -> str | None:
    """The run store's SQLAlchemy URL (`SEESAW_STORE`); None: an SQLite file in the home folder."""
    return os.environ.get("SEESAW_STORE") or None


def workers() -> int:
    """How many workers may run under the home folder (`SEESAW_WORKERS`)."""
    return int(_number("SEESAW_WORKERS", 1, least=1, most=64))


def idle_seconds() -> float:
    """Seconds after which a worker without work leaves (`SEESAW_WORKER_IDLE`)."""
    return _number("SEESAW_WORKER_IDLE", 900, least=0, most=1e9)


def executor() -> str:
    """Where workers run (`SEESAW_EXECUTOR`)."""
    return os.environ.get("SEESAW_EXECUTOR") or "local"


def _number(name: str, default: float, *, least: float, most: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise SettingsError(
            tr(
                "{name} must be a number from {least:g} to {most:g}, not {given}.",
                name=name, least=least, most=most, given=repr(text),
            )
        )  # fmt: skip
    return value
