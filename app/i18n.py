"""The words of the dashboard in the reader's language. English texts are in the code and are the ids of the others.

    tr("{n} of {all} runs", n=3, all=5)
    trn("{n} run", "{n} runs", count)

A language is a folder of .po files below `app/locale`; they are read when its first reader comes. No Streamlit: pages
say through `listen_to` who is reading, and without them, as in a worker or on the command line, everything is English.
"""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

ENGLISH = "en"
FOLDER = Path(__file__).parent / "locale"
#: The catalogue of the dashboard's own texts, and that of the texts which the core brings.
APP, CORE = "app", "core"

#: Languages without spaces between words, and the spaces there: beside their punctuation, and between two characters.
#: Those beside Latin letters and digits stay.
_UNSPACED = ("zh", "ja")
_HAN, _POINTS = r"\u3040-\u30ff\u3400-\u9fff", r"\u3001\u3002\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f"
_SPACES = re.compile(rf"(?<=[{_POINTS}]) +| +(?=[{_POINTS}])|(?<=[{_HAN}]) +(?=[{_HAN}])")

P = ParamSpec("P")
T = TypeVar("T")

_spoken: ContextVar[str | None] = ContextVar("spoken", default=None)
#: Whom to ask; nobody until a page is shown.
_readers: list[Callable[[], str]] = []


def tr(message: str, **values: object) -> str:
    """The message in the reader's language, with these values in place of its {names}.

    Args:
        message: the English text, written out here: it is what is looked up, and what is collected for translators.
        values: by name, so that another language may put them in another order.
    """
    spoken = language()
    if spoken == ENGLISH:
        return message.format(**values)
    return _set(_catalogue(FOLDER, spoken, APP).gettext(message).format(**values), spoken)


def trn(one: str, many: str, n: int, **values: object) -> str:
    """The same for a text that depends on a number, which it may hold as {n}."""
    spoken = language()
    if spoken == ENGLISH:
        return (one if n == 1 else many).format(n=n, **values)
    return _set(_catalogue(FOLDER, spoken, APP).ngettext(one, many, n).format(n=n, **values), spoken)


def _set(text: str, spoken: str) -> str:
    """A value that was put in may be a Latin name or a word of the language: templates have spaces for the former."""
    return _SPACES.sub("", text) if spoken.startswith(_UNSPACED) and " " in text else text


def mark(message: str) -> str:
    """The message as it is: a constant that `tr` translates when it is shown."""
    return message


def core(text: str) -> str:
    """A text that the core brings, such as the description of an option; as it is where nobody has translated it."""
    spoken = language()
    return _catalogue(FOLDER, spoken, CORE).gettext(text) if spoken != ENGLISH and text else text


def language() -> str:
    """The language of whoever reads this: "en", "zh_CN"."""
    return _spoken.get() or (_readers[0]() if _readers else ENGLISH)


@contextmanager
def speaking(locale: str) -> Iterator[None]:
    """Everything within in this language, whoever reads it: for threads of their own, which know no reader."""
    before = _spoken.set(locale)
    try:
        yield
    finally:
        _spoken.reset(before)


def as_read(make: Callable[P, T]) -> Callable[P, T]:
    """`make` in the language of whoever reads this now, whenever it is called.

    For files that are made later, in a thread of their own, and for names of choices, which Streamlit asks for again
    when it reads what a browser has sent: that is in the language of the page that was shown.
    """
    spoken = language()

    def made(*args: P.args, **kwargs: P.kwargs) -> T:
        with speaking(spoken):
            return make(*args, **kwargs)

    return made


def listen_to(reader: Callable[[], str]) -> None:
    """Whom to ask for the language of the one who is reading; called for every text, so it must be quick."""
    _readers[:] = [reader]


def languages() -> dict[str, str]:
    """Every language with the name that its speakers have for it, English first."""
    return {ENGLISH: "English", **_translated(FOLDER)}


def nearest(wanted: str | None) -> str:
    """The language for a browser's locale such as zh-CN: that one, else one of the same tongue, else English."""
    parts = (wanted or "").replace("-", "_").split("_")
    known = {name.lower(): name for name in languages()}
    for size in range(len(parts), 0, -1):
        if (name := "_".join(parts[:size]).lower()) in known:
            return known[name]
    return next((name for lower, name in known.items() if lower.split("_")[0] == parts[0].lower()), ENGLISH)


def by_language(maxsize: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`lru_cache` for what has words in it: one server shows all languages at once, so each has its own."""

    def decorate(make: Callable[P, T]) -> Callable[P, T]:
        @lru_cache(maxsize)
        def kept(spoken: str, *args: P.args, **kwargs: P.kwargs) -> T:
            return make(*args, **kwargs)

        @wraps(make)
        def ask(*args: P.args, **kwargs: P.kwargs) -> T:
            return kept(language(), *args, **kwargs)  # type: ignore[arg-type]

        return ask

    return decorate


@lru_cache(maxsize=8)
def _translated(folder: Path) -> dict[str, str]:
    """Locale -> its own name, which is the first line of its file."""
    found = {}
    for path in sorted(folder.glob(f"*/LC_MESSAGES/{APP}.po")):
        with path.open(encoding="utf-8") as file:
            found[path.parents[1].name] = file.readline().lstrip("#").strip()
    return found


@lru_cache(maxsize=32)
def messages(folder: Path, locale: str, domain: str) -> Catalog | None:
    """A language's file with its translations, read once; None where there is none."""
    path = folder / locale / "LC_MESSAGES" / f"{domain}.po"
    if not path.is_file():
        return None
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        return read_po(file, locale=locale, domain=domain)


@lru_cache(maxsize=32)
def _catalogue(folder: Path, locale: str, domain: str) -> gettext.NullTranslations:
    """Read and compiled in memory; empty where there is no such file."""
    catalogue = messages(folder, locale, domain)
    if catalogue is None:
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo

    for message in catalogue:
        if isinstance(message.string, tuple) and not all(message.string):
            message.string = ""  # shown in English, as anything that nobody has translated yet
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
