"""The tables, and the engine that reaches them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    Dialect,
    Double,
    Engine,
    ForeignKey,
    Index,
    Text,
    TypeDecorator,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.i18n import tr

#: Places in the queue from here on are those of sweeps.
SWEEP_PLACE = 2**30
#: How long a writer waits for another one.
BUSY_SECONDS = 10.0


class StoreError(RuntimeError):
    """The run store cannot be used. The message is one sentence that says what to do."""


class SharedJson(TypeDecorator[dict[str, Any]]):
    """JSON that many rows or many readings have in common; equal texts are the same object, not to be changed."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        """To text."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        """From text. Listing some hundred runs, as pages do all the time, would else be mostly this."""
        return None if value is None else _parse(value)


@lru_cache(maxsize=4096)
def _parse(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text)
    return parsed


class Base(DeclarativeBase):
    """All tables. Times are seconds since 1970 (UTC)."""

    type_annotation_map = {dict[str, Any]: JSON, float: Double}  # noqa: RUF012  # SQLAlchemy reads it from the class


class Run(Base):
    """One run: what was asked for, where it stands, what came out. `RunRecord` explains the columns."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    spec: Mapped[dict[str, Any]] = mapped_column(SharedJson)
    spec_key: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[float] = mapped_column(index=True)
    started_at: Mapped[float | None]
    updated_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    #: Order in the queue. Kept when a worker dies, so that its run does not wait again behind everybody. Runs of
    #: sweeps begin at SWEEP_PLACE, behind those that somebody waits for.
    place: Mapped[int]
    epoch: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=0)
    samples_per_second: Mapped[float | None]
    resumed_from: Mapped[int] = mapped_column(default=0)
    parameters: Mapped[int | None]
    device: Mapped[str | None]
    train_seconds: Mapped[float] = mapped_column(default=0.0)
    best_epoch: Mapped[int | None]
    metrics_test: Mapped[dict[str, Any] | None] = mapped_column(SharedJson)
    message: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    #: Who holds the run; nobody else may write to it.
    worker_id: Mapped[str | None]
    #: Number of the last event ever stored.
    last_seq: Mapped[int] = mapped_column(default=0)
    #: To be removed as soon as the worker lets go.
    deleted: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (Index("queue", "state", "place"),)


class Event(Base):
    """One event of a run."""

    __tablename__ = "events"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    epoch: Mapped[int | None]
    payload: Mapped[dict[str, Any]]


class Pause(Base):
    """A run that is to be stopped when an epoch is done. A table of its own: stores without it stay readable."""

    __tablename__ = "pauses"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    after_epoch: Mapped[int]


class Label(Base):
    """What people wrote beside a run. A table of its own: stores without it stay readable."""

    __tablename__ = "labels"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    tags: Mapped[list[str]] = mapped_column(JSON)
    note: Mapped[str]


class Binned(Base):
    """A deleted run that can still be had back; its row in `runs` says `deleted`."""

    __tablename__ = "bin"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    at: Mapped[float]
    #: It waited in the queue, and will wait there again when it is had back.
    queued: Mapped[bool]


class Sweep(Base):
    """Runs that were asked for together, and the searches that will ask for more."""

    __tablename__ = "sweeps"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[float] = mapped_column(index=True)
    #: {"searches": [...]}.
    request: Mapped[dict[str, Any]] = mapped_column(SharedJson)
    #: Whether a search may still ask for runs.
    searching: Mapped[bool] = mapped_column(index=True)


class SweepRun(Base):
    """A run of a sweep; a run may be in several."""

    __tablename__ = "sweep_runs"

    sweep_id: Mapped[str] = mapped_column(ForeignKey("sweeps.id", ondelete="CASCADE"), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, index=True)
    #: Order in which they were asked for.
    number: Mapped[int]


class Worker(Base):
    """One worker process."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    process_started: Mapped[float]
    slot: Mapped[int]
    heartbeat_at: Mapped[float]


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def open_engine(text: str) -> Engine:
    """An engine whose tables exist.

    Transactions begun with the execution option `writes=True` take SQLite's write lock at once: one that begins by
    reading and then finds the lock taken would fail without waiting.
    """
    try:
        url = make_url(text)
        sqlite = url.get_backend_name() == "sqlite"
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(tr("SEESAW_STORE is not an SQLAlchemy URL such as sqlite:////data/store.sqlite.")) from error
    if sqlite:
        if url.database in (None, "", ":memory:"):
            raise StoreError(tr("SEESAW_STORE must name a file: workers cannot see an SQLite store in memory."))
        path = Path(str(url.database)).expanduser().absolute()
        url = url.set(database=str(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                tr("The folder {folder} cannot be made: set SEESAW_HOME to one that can.", folder=path.parent)
            ) from error
    try:
        engine = create_engine(url)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            tr("The database driver of SEESAW_STORE is not installed: {problem}.", problem=error)
        ) from error
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with store_errors(engine), engine.execution_options(writes=True).begin() as connection:
            Base.metadata.create_all(connection)
            _check_columns(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def store_errors(engine: Engine) -> Iterator[None]:
    """Say in one sentence what is wrong with the database."""
    try:
        yield
    except DBAPIError as error:
        name = engine.url.database if engine.dialect.name == "sqlite" else engine.url.render_as_string()
        reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        if "not a database" in reason or "malformed" in reason:
            problem = tr(
                "The run store {name} is not a sound SQLite database: move it away, or let SEESAW_STORE name another "
                "file.",
                name=name,
            )
        elif "unable to open" in reason or "readonly" in reason:
            problem = tr(
                "The run store {name} cannot be written: check its rights, or set SEESAW_HOME to a folder of your own.",
                name=name,
            )
        elif "locked" in reason:
            problem = tr(
                "The run store {name} was locked by another program for {seconds:g} seconds: close that program.",
                name=name, seconds=BUSY_SECONDS,
            )  # fmt: skip
        elif "no such table" in reason:
            problem = tr("The run store {name} was removed or replaced while in use: start the app again.", name=name)
        else:
            problem = tr("The run store {name} does not answer ({reason}).", name=name, reason=reason)
        raise StoreError(problem) from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Transactions begin in _begin_sqlite, not when the driver thinks fit.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # The switch, done once in a file's life, does not honour busy_timeout: two processes that open a new store at the
    # same moment would see "database is locked".
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _check_columns(connection: Connection) -> None:
    there = inspect(connection)
    for table in Base.metadata.sorted_tables:
        missing = {column.name for column in table.columns} - {str(c["name"]) for c in there.get_columns(table.name)}
        if missing:
            name = connection.engine.url.render_as_string()
            raise StoreError(
                tr("The run store {name} was written by another version: move it away, or use that version.", name=name)
            )
