"""Sentences with values in them that the core says, such as why data cannot be read, in the reader's language.

They come finished, in English, and some are kept with a run. Each is recognised by its template in the language's
`core.po` (where `app.locale.sentences` put it), translated, and filled in again. No Streamlit.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app import i18n
from app.i18n import CORE, ENGLISH, language

#: Marks templates of sentences among the core's texts.
CONTEXT = "sentence"
#: Which option a sentence is about comes before it: model.trunk.options: there is no task 5.
ABOUT = "{where}: {error}"


@dataclass(frozen=True)
class _Known:
    """A template with its translation."""

    template: str
    translation: str

    @property
    def own(self) -> int:
        """Letters of its own: of two templates that fit, the one with more says more."""
        return sum(len(literal) for literal, *_ in string.Formatter().parse(self.template))

    def read(self, text: str) -> dict[str, str] | None:
        """The values in a sentence that was made of it; None: it was not."""
        found = _pattern(self.template).fullmatch(text)
        return found.groupdict() if found else None


def sentence(text: str) -> str:
    """The sentence in the reader's language; as it is where nobody has translated it."""
    spoken = language()
    return _translated(i18n.FOLDER, spoken, text) if spoken != ENGLISH and text else text


@lru_cache(maxsize=1024)
def _translated(folder: Path, locale: str, text: str) -> str:
    for known in _templates(folder, locale):
        values = known.read(text)
        if values is not None:
            # A value may be a phrase of its own: "two values", " where `click` is true".
            said = {name: _translated(folder, locale, value) for name, value in values.items()}
            return known.translation.format(**said)
    return text


@lru_cache(maxsize=8)
def _templates(folder: Path, locale: str) -> tuple[_Known, ...]:
    """A language's sentences, those that say most first, and last the one that fits any."""
    path = folder / locale / "LC_MESSAGES" / f"{CORE}.po"
    if not path.is_file():
        return ()
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        found = [_Known(str(m.id), str(m.string)) for m in read_po(file) if m.context == CONTEXT and m.string]
    return tuple(sorted(found, key=lambda known: -known.own))


@lru_cache(maxsize=512)
def _pattern(template: str) -> re.Pattern[str]:
    made = ""
    for literal, name, *_ in string.Formatter().parse(template):
        # An option's place is dots and names; anything else may be a value.
        value = r"\w+(\.\w+)*" if (template, name) == (ABOUT, "where") else ".*?"
        made += re.escape(literal) + (f"(?P<{name}>{value})" if name is not None else "")
    return re.compile(made, re.DOTALL)
