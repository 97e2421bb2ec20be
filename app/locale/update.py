"""Collects all texts, the dashboard's in app.pot and the core's in core.pot, and brings every language up to date.

    python -m app.locale.update           # and then translate what is empty
    python -m app.locale.update zh_CN     # the same, beginning a language that has no folder yet

A text that is gone is taken out, a new one comes in empty; nothing is guessed.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from app import core_texts
from app.core_sentences import CONTEXT
from app.i18n import APP, CORE, FOLDER
from app.locale.sentences import sentences

KEYWORDS = {"tr": None, "trn": (1, 2), "mark": None}
#: Lines of a header that would change with every update, or say nothing.
NO_HEADERS = (
    "POT-Creation-Date",
    "PO-Revision-Date",
    "Last-Translator",
    "Language-Team",
    "Report-Msgid-Bugs-To",
    "Generated-By",
)


def template(source: Path = FOLDER.parent) -> Catalog:
    """All texts of the Python files in a folder, with the files in which they stand."""
    catalog = Catalog(
        project="Seesaw", version="1", charset="utf-8", fuzzy=False,
        header_comment="# All texts of the dashboard. Made by `python -m app.locale.update`: not to be edited.",
    )  # fmt: skip
    found = extract_from_dir(source, [("**.py", "python")], keywords=KEYWORDS)
    for name, _, message, _, context in sorted(found, key=lambda item: (item[0], item[1])):
        catalog.add(message, locations=[(name, 0)], context=context)
    return catalog


def core_template() -> Catalog:
    """The core's texts, and in a context of their own its sentences with places for values."""
    catalog = core_texts.template()
    for text, places in sentences().items():
        catalog.add(text, context=CONTEXT, auto_comments=[", ".join(places)])
    return catalog


def updated(path: Path, locale: str, texts: Catalog) -> Catalog:
    """A language's texts: those of the template, translated as far as the file at `path` has them."""
    known = Catalog(locale=locale)
    if path.is_file():
        with path.open("rb") as file:
            known = read_po(file, locale=locale)
    catalog = Catalog(
        locale=locale, project="Seesaw", version="1", charset="utf-8", fuzzy=False,
        header_comment=known.header_comment if path.is_file() else f"# {locale}",
    )  # fmt: skip
    for message in texts:
        if message.id:
            old = known.get(message.id, message.context)
            string = old.string if old is not None and not old.fuzzy else None
            added = catalog.add(
                message.id, string, locations=message.locations, auto_comments=message.auto_comments,
                context=message.context,
            )  # fmt: skip
            added.flags = set(message.flags)
    return catalog


def write(catalog: Catalog, path: Path) -> None:
    """A .pot or .po file without dates and line numbers, so that it changes with texts alone."""
    written = io.BytesIO()
    write_po(written, catalog, width=120, include_lineno=False)
    lines = written.getvalue().decode().splitlines(keepends=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line for line in lines if not line[1:].startswith(NO_HEADERS)), encoding="utf-8")


def untranslated(catalog: Catalog) -> list[str]:
    """Ids without a text of their own in every form."""
    forms = {m.id: m.string if isinstance(m.string, tuple) else (m.string,) for m in catalog if m.id}
    return [str(message) for message, texts in forms.items() if not texts or not all(texts)]


def main(locales: list[str]) -> None:
    """Write the templates and every language."""
    known = [path.parents[1].name for path in FOLDER.glob(f"*/LC_MESSAGES/{APP}.po")]
    for domain, texts in ((APP, template()), (CORE, core_template())):
        write(texts, FOLDER / f"{domain}.pot")
        for locale in sorted({*known, *locales}):
            path = FOLDER / locale / "LC_MESSAGES" / f"{domain}.po"
            catalog = updated(path, locale, texts)
            write(catalog, path)
            print(f"{path.name} of {locale}: {len(catalog)} texts, {len(untranslated(catalog))} not translated yet")


if __name__ == "__main__":
    main(sys.argv[1:])
