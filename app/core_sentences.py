"""Sentences with values in them that the core says, such as why data cannot be read, in the reader's language.

They come finished, in English, and some are kept with a run. Each is recognised by its template in the language's
`core.po` (where `app.locale.sentences` put it), translated, and filled in again. No Streamlit.
"""

from __future__ import annotations

import os
import re
import string
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app import i18n
from app.i18n import CORE, ENGLISH, language
from app.jobs import settings

#: Marks templates of sentences among the core's texts.
CONTEXT = "sentence"
#: Which option a sentence is about comes before it: model.trunk.options: there is no task 5.
ABOUT = "{where}: {error}"


@dataclass(frozen=True)
class _Known:
    """A translated sentence, and how it is recognised."""

    pattern: re.Pattern[str]
    translation: str


#: An upload is kept under its hash, a dash and the name by which people know it.
_KEPT_AS = re.compile(r"(?:/\S*/)?(?<![0-9A-Za-z])[0-9a-f]{12}-(?=\S)")


def sentence(text: str) -> str:
    """The sentence in the reader's language, as it is where nobody has translated it; uploads by their own names."""
    text = _KEPT_AS.sub("", text.replace(f"{settings.uploads()}{os.sep}", ""))
    spoken = language()
    return _translated(i18n.FOLDER, spoken, text) if spoken != ENGLISH and text else text


@lru_cache(maxsize=1024)
def _translated(folder: Path, locale: str, text: str) -> str:
    for known in _known(folder, locale):
        found = known.pattern.fullmatch(text)
        if found is not None:
            # A value may be a phrase of its own: "two values", " where `click` is true".
            values = {name: _translated(folder, locale, value) for name, value in found.groupdict().items()}
            return known.translation.format(**values)
    return text


@lru_cache(maxsize=8)
def _known(folder: Path, locale: str) -> tuple[_Known, ...]:
    """A language's sentences: of two templates that fit, the one with more letters of its own says more."""
    found = {
        str(message.id): str(message.string)
        for message in i18n.messages(folder, locale, CORE) or ()
        if message.context == CONTEXT and message.string
    }
    more = "|".join(_pattern(template, named=False) for template in found if template.startswith(" "))
    told = sorted(found, key=lambda template: -sum(len(own) for own, _ in _pieces(template)))
    return tuple(_Known(re.compile(_pattern(template, more), re.DOTALL), found[template]) for template in told)


def _pattern(template: str, more: str = "", *, named: bool = True) -> str:
    """A regular expression for sentences of a template.

    Args:
        template: with places for values.
        more: expression for phrases that go on from a value; one may stand right behind another value.
        named: name the values.
    """
    made, before = "", False
    for own, name in _pieces(template):
        value = f"(?:{more})?" if before and not own and more else ".*?"
        if (template, name) == (ABOUT, "where"):
            value = r"\w+(?:\.\w+)*"  # an option's place is dots and names; anything else may be a value
        made += re.escape(own) + (f"(?P<{name}>{value})" if name and named else value if name else "")
        before = name is not None
    return made


def _pieces(template: str) -> list[tuple[str, str | None]]:
    """Own text, each with the name of the value behind it; braces that are written twice are text."""
    return [(own, name) for own, name, *_ in string.Formatter().parse(template)]
