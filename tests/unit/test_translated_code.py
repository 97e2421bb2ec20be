"""Nothing that people read is written past the catalogue: the code of the dashboard is searched for such texts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from app.i18n import FOLDER
from app.locale.update import template

APP = FOLDER.parent
#: What hands a text to the catalogue, and what is given one that was there.
TRANSLATORS = {"tr", "trn", "mark"}
#: Modules whose texts are no page's: what workers keep in English and `sentence` translates, code and schemas to copy,
#: link values that were refused, groups and presets that `core` translates, and the tools of the translators.
NO_PAGES = {
    "jobs/worker.py", "jobs/answers.py", "jobs/questions.py", "jobs/store.py", "downloads.py", "exports.py",
    "url_text.py", "families.py", "setup_values.py", "core_texts.py", "core_sentences.py", "locale/sentences.py",
    "locale/update.py",
}  # fmt: skip
FILES = sorted(path for path in APP.rglob("*.py") if str(path.relative_to(APP)) not in NO_PAGES)
#: Arguments that are shown wherever they stand.
SHOWN = {"label", "help", "placeholder", "title", "alt", "text", "message"}
#: Functions whose first argument is shown.
SHOWING = {
    "button", "caption", "checkbox", "data_editor", "download_button", "error", "expander", "file_uploader", "header",
    "info", "markdown", "menu_button", "metric", "multiselect", "number_input", "page_link", "pills", "popover",
    "progress", "radio", "segmented_control", "select_slider", "selectbox", "slider", "spinner", "subheader", "success",
    "text", "text_area", "text_input", "toast", "toggle", "warning", "write", "url_choice", "url_choices",
    "url_integer", "CheckboxColumn", "ListColumn", "LineChartColumn", "NumberColumn", "ProgressColumn",
    "SelectboxColumn", "TextColumn", "alt_text", "_alt", "_file", "_head", "_small", "card",
}  # fmt: skip
#: Names of formats and measures are the same everywhere.
NAMES = {"SVG", "PNG", "HTML", "JSON", "YAML", "CSV", "AUC", "MSE", "AP", "ROC", "PCOC", "ECE", "linear CKA", "Seesaw"}
#: What is compared with, or raised for nobody but a programmer.
CODES = {"not distinguishable", "up to ", "BEGIN IMMEDIATE", "no such table", "unable to open", "not a database"}
UNREAD = {" is no JSON", " is not a finished run."}
NO_WORDS = re.compile(
    r"^app_pages/\w+\.py$|\bdatum\.\w+|:material/\w+:|:gray-badge\[|https?://\S+|\bSEESAW_\w+|%\{[^}]*\}|<[^>]*>|&#?\w+;|^\w+:[NQOT]$|^\w*(\.\w+)+$"
)
SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:.]? [A-Za-z]{2,}")


@cache
def texts() -> set[str]:
    """Every text of the catalogue."""
    return {text for m in template() if m.id for text in (m.id if isinstance(m.id, tuple) else (m.id,))}


def called(node: ast.Call) -> str:
    """The name of a function without what it belongs to."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def literals(node: ast.AST) -> Iterator[ast.Constant]:
    """Texts that stand in an expression and are not somebody else's arguments."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    elif isinstance(node, ast.JoinedStr | ast.IfExp | ast.BoolOp | ast.BinOp | ast.Tuple | ast.List):
        for child in ast.iter_child_nodes(node):
            yield from literals(child)


def docstrings(tree: ast.AST) -> set[int]:
    """Where texts stand alone, which no program reads."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def words(text: str) -> bool:
    """Does it say something in letters?"""
    return text not in NAMES and re.search("[A-Za-z]{2,}", NO_WORDS.sub("", text)) is not None


def untranslated_arguments(tree: ast.AST) -> Iterator[str]:
    """What is shown by name of the function or of the argument."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or called(node) in TRANSLATORS:
            continue
        given = [k.value for k in node.keywords if k.arg in SHOWN and called(node) != "transform_calculate"]
        given += node.args[:1] if called(node) in SHOWING else []
        for argument in given:
            yield from (f"{c.lineno}: {c.value!r}" for c in literals(argument) if words(str(c.value)))


def untranslated_sentences(tree: ast.AST) -> Iterator[str]:
    """Anything that reads like words in a row, wherever it stands."""
    known, catalogue = docstrings(tree), texts()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in TRANSLATORS:
            known |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in known:
            plain = NO_WORDS.sub("", node.value)
            code = re.search(r"[<>{}=|$]|fill|font|stroke", plain) or plain in NAMES | CODES | UNREAD
            # A text of the catalogue may be a key that is translated where it is shown.
            if SENTENCE.search(plain) and not code and plain not in catalogue:
                yield f"{node.lineno}: {node.value!r}"


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(APP)))
def test_what_is_shown_is_translated(path: Path) -> None:
    tree = parsed(path)
    assert list(untranslated_arguments(tree)) == []
    assert list(untranslated_sentences(tree)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(APP)))
def test_no_text_is_put_together_before_it_is_looked_up(path: Path) -> None:
    composed = [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and called(node) in TRANSLATORS
        for argument in node.args[: 2 if called(node) == "trn" else 1]
        if isinstance(argument, ast.JoinedStr | ast.BinOp | ast.IfExp)
    ]
    assert composed == []


def test_every_text_is_found_by_whoever_collects_them() -> None:
    # A call inside an f-string is not, before Python 3.12.
    written = {
        argument.value
        for path in APP.rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and called(node) in TRANSLATORS
        for argument in node.args[: 2 if called(node) == "trn" else 1]
        if isinstance(argument, ast.Constant)
    }
    assert len(written) > 500
    assert written - texts() == set()


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('st.button("Train")', True),
        ('st.button(tr("Train"))', False),
        ('st.caption(f"{n} of them")', True),
        ('st.caption("done" if done else tr("going on"))', True),
        ('left.slider(tr("Seed"), help="Draws the data")', True),
        ('st.caption(f":material/info: {note}")', False),
        ('alt.Axis(title="epoch")', True),
        ('alt.Tooltip("epoch:Q", title=tr("epoch"))', False),
        ('x = "A sentence that somebody may read."', True),
        ('def f():\n    """A sentence that nobody is shown."""', False),
        ('st.download_button("SVG", data)', False),
    ],
)
def test_these_tests_find_what_they_look_for(code: str, found: bool) -> None:
    tree = ast.parse(code)
    assert bool([*untranslated_arguments(tree), *untranslated_sentences(tree)]) is found
