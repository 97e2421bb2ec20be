"""The run store, the executor and the library, once per server process."""

from __future__ import annotations

import os
from functools import lru_cache

import streamlit as st

from app.i18n import tr
from app.jobs import settings
from app.jobs.archive import Archive
from app.jobs.executor import Executor, get_executor
from app.jobs.settings import SettingsError
from app.jobs.store import RunStore, StoreError, open_store
from app.library import Library


def _place() -> tuple[str, ...]:
    return (os.getcwd(), *(os.environ.get(name, "") for name in ("SEESAW_HOME", "SEESAW_STORE", "SEESAW_EXECUTOR")))


# Not st.cache_resource: any browser may clear that for everybody.
@lru_cache(maxsize=8)
def _services(place: tuple[str, ...]) -> tuple[RunStore, Executor, Library]:
    store = open_store()
    return store, get_executor(store), Library(store)


def library() -> Library:
    """All runs. Stops the page with a clear message if there are settings that cannot be used, or no store."""
    try:
        settings.workers()  # said here at once, not when a worker is wanted
        return _services(_place())[2]
    except SettingsError as error:
        st.error(str(error), title=tr("A setting cannot be used"))
        st.stop()
    except StoreError as error:
        st.error(str(error), title=tr("The run store cannot be opened"))
        st.stop()


@lru_cache(maxsize=8)
def _archive(store: RunStore) -> Archive:
    return Archive(store)


def archive() -> Archive:
    """Tags, notes, deleted runs and runs from files."""
    return _archive(library().store)


def executor() -> Executor:
    """Whatever keeps workers alive."""
    library()
    return _services(_place())[1]
