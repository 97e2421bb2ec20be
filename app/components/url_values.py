"""Option values that are kept in the URL: short, defaults left out, bad ones ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from app.components import url_memory
from app.components.url_choice import leave_out
from app.url_text import from_text, to_text

#: Set by `load`: the next run of the page takes everything from the URL.
LOADING = "url.loading"


def load(query: Mapping[str, str], keep: Sequence[str] = ()) -> None:
    """Give the page these query parameters and let every control take its value from them, or else its default.

    For callbacks: the controls must not have been drawn yet.

    Args:
        query: parameters by name.
        keep: parameters that stay as they are.
    """
    kept = {name: st.query_params[name] for name in keep if name in st.query_params}
    st.query_params.from_dict({**kept, **query})
    st.session_state[LOADING] = True


class UrlValues:
    """The options on a page and their texts in the URL, for one run of the page."""

    def __init__(self, page: str = "") -> None:
        """`page`: tells what pages have written apart where the names of their options may be the same."""
        self._page = page
        self._loading = bool(st.session_state.pop(LOADING, False))
        self._drawn: set[str] = set()
        self._keys: dict[str, Sequence[str]] = {}

    @property
    def loading(self) -> bool:
        """Must a control that the URL says nothing of go back to its default?"""
        return self._loading

    def take_up(
        self, name: str, field: Mapping[str, Any], key: str, start: Any, shown: Callable[[Any], Any] | None = None
    ) -> None:
        """Before the control is drawn: put what the URL brings into its state.

        Args:
            name: of the parameter.
            field: JSON schema of the option.
            key: of the control.
            start: the default.
            shown: how the control holds the value; None: as it is.
        """
        for value in self.brought(name, field, start, 0, [key]):
            st.session_state[key] = value if shown is None else shown(value)

    def take_up_each(self, name: str, field: Mapping[str, Any], keys: Sequence[str], starts: Sequence[Any]) -> None:
        """The same for an option with one value, and one control, per task."""
        for values in self.brought(name, field, list(starts), len(keys), keys):
            st.session_state.update(zip(keys, values, strict=True))

    def brought(
        self, name: str, field: Mapping[str, Any], start: Any, tasks: int, keys: Sequence[str]
    ) -> list[Any]:  # fmt: skip
        """What the URL brings that is new, as a list with nothing in it where there is none.

        A control that has just been moved is right: the URL that comes with it may be the one before.

        Args:
            name: of the parameter.
            field: JSON schema of the option.
            start: the default.
            tasks: how many numbers there are where there is one per task.
            keys: of the controls.
        """
        self._keys[name] = keys
        asked = st.query_params.get(name)
        if asked is not None and (self._loading or url_memory.is_news(self._control(name), asked, _state_of(keys))):
            try:
                return [from_text(field, asked, tasks)]
            except ValueError:
                leave_out(name, asked)
        return [start] if self._loading else []

    def write_down(self, name: str, value: Any, start: Any) -> None:
        """After the control was drawn: the URL says its value, or nothing if that is the default."""
        self._drawn.add(name)
        text = None if _same(value, start) else to_text(value)
        url_memory.write(self._control(name), name, text, _state_of(self._keys.get(name, ())))

    def forget_others(self, prefixes: Sequence[str]) -> None:
        """At the end: take options from the URL that belong to parts no longer chosen."""
        for name in list(st.query_params):
            if name.startswith(tuple(prefixes)) and name not in self._drawn:
                st.query_params.pop(name, None)
                url_memory.forget(self._control(name))

    def _control(self, name: str) -> str:
        """Apart from controls of other kinds and other pages that go by the same name."""
        return f"option {self._page}{name}"


def _state_of(keys: Sequence[str]) -> list[Any]:
    return [st.session_state.get(key) for key in keys]


def _same(value: Any, start: Any) -> bool:
    if isinstance(value, Sequence) and isinstance(start, Sequence):
        return list(value) == list(start)
    return bool(value == start)
