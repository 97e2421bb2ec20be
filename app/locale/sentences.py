"""What the core and the workers say with values in it, as templates: refusals, warnings, and reasons for a guess.

    raise DataError(f"{path.name} has no column `{name}`.")      ->      {path_name} has no column `{name}`.

They say each in English, finished, and some are kept with a run. Templates are read from the source, so that no line
of the core has to know of languages; `app.core_sentences` recognises a finished sentence by its template.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mtl_core
from app.core_sentences import ABOUT
from mtl_core.spec import PLAIN

#: Where people's own doing can lead to a sentence; elsewhere errors speak to programmers.
SOURCES = (
    "mtl_core/balancing/*.py", "mtl_core/columns.py", "mtl_core/data/**/*.py", "mtl_core/encoders/*.py",
    "mtl_core/funnel.py", "mtl_core/heads/*.py", "mtl_core/inspection.py", "mtl_core/registry.py", "mtl_core/schema.py",
    "mtl_core/spec.py", "mtl_core/sweep.py", "mtl_core/training.py", "mtl_core/trunks/*.py",
    "app/jobs/answers.py", "app/jobs/questions.py", "app/jobs/store.py", "app/jobs/worker.py",
)  # fmt: skip
NOT_THESE = ("mtl_core/balancing/combine.py",)
ERRORS = {"CannotLook", "DataError", "SpecError", "TrainingFailed", "UnknownName", "ValueError"}
#: Names of variables, fields and lists that hold sentences, and functions that return them.
HOLDERS = {"message", "note", "notes", "reason"}
SAYERS = {"leak_notes", "_sentence"}
#: What is said of a value that a control, a link or a file can give, as `mtl_core.spec` ends it.
VALUES = tuple(dict.fromkeys(f"{text}, not {{given}}." for text in PLAIN.values()))
#: A template with fewer letters of its own would fit any text.
LEAST_LETTERS = 5


def sentences() -> dict[str, list[str]]:
    """Every template with the files in which it stands."""
    root = Path(mtl_core.__file__).parents[1]
    paths = sorted({path for pattern in SOURCES for path in root.glob(pattern)})
    places = [place for path in paths if (place := path.relative_to(root).as_posix()) not in NOT_THESE]
    calls: _Calls = {}
    modules = [_Module(ast.parse((root / place).read_text(encoding="utf-8")), calls) for place in places]
    found: dict[str, list[str]] = {}
    for place, module in zip(places, modules, strict=True):
        for text in module.says():
            if place not in found.setdefault(text, []):
                found[text].append(place)
    return found | {text: ["mtl_core/spec.py"] for text in (*VALUES, ABOUT)}


@dataclass
class _Template:
    """Text with names for what is put in."""

    text: str = ""
    names: tuple[str, ...] = ()

    def put(self, value: ast.expr) -> None:
        """A place for a value, called as the value is."""
        name = _name(value)
        taken = [n for n in self.names if n.rstrip("0123456789_") == name]
        name = f"{name}_{len(taken) + 1}" if taken else name
        self.names, self.text = (*self.names, name), f"{self.text}{{{name}}}"


def _name(value: ast.expr) -> str:
    """path for self.path, path_name for found.path.name, rows for len(rows)."""
    if isinstance(value, ast.Attribute):
        above = value.value.attr if isinstance(value.value, ast.Attribute) else getattr(value.value, "id", "")
        return f"{above}_{value.attr}" if value.attr == "name" and above not in ("", "self") else value.attr.strip("_")
    if isinstance(value, ast.Name):
        return value.id.strip("_")
    inner = (node for child in ast.iter_child_nodes(value) for node in ast.walk(child))
    plain = [n for n in inner if isinstance(n, ast.Name | ast.Attribute) and _name(n) not in ("len", "join", "map")]
    return _name(plain[0]) if plain else "value"


#: Text that is written out.
_Text = ast.Constant | ast.JoinedStr
#: Function -> what it is called with, wherever it is called.
_Calls = dict[str, list[ast.Call]]


class _Module:
    """One file: its functions, and the sentences that it says."""

    def __init__(self, tree: ast.Module, calls: _Calls) -> None:
        self._tree, self._calls = tree, calls
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                calls.setdefault(_called(node.func), []).append(node)
        plain = [node for node in tree.body if isinstance(node, ast.Assign)]
        self._tables = {name: node.value for node in plain for name in _names(*node.targets)}
        self._functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

    def says(self) -> Iterator[str]:
        """Templates of all that it says, and of the phrases in them, in the order of the file."""
        for scope in [self._tree, *self._functions.values()]:
            for said in _said(scope):
                yield from filter(_tells, self._texts(said, scope, frozenset()))

    def _texts(self, value: ast.expr, scope: ast.AST, seen: frozenset[ast.AST]) -> Iterator[str]:
        """What an expression may say: its own words, and those of what it is made of."""
        if value in seen:
            return
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield _escaped(value.value)
        elif isinstance(value, ast.JoinedStr):
            yield _template(value)
        elif isinstance(value, ast.Call):
            function = self._functions.get(_called(value.func))
            for result in _returned(function) if function is not None else ():
                yield from self._texts(result, function or scope, seen | {value})
        for part in self._parts(value, scope):
            yield from self._texts(part, scope, seen | {value})

    def _parts(self, value: ast.expr, scope: ast.AST) -> Iterable[ast.expr]:
        """The expressions in one function that may become text within this one, or in its place."""
        match value:
            case ast.JoinedStr(values=values):
                return [part.value for part in values if isinstance(part, ast.FormattedValue)]
            case ast.Name(id=name):
                return [*_given(name, scope), *self._looped(name, scope), *self._passed(name, scope)]
            case ast.IfExp(body=one, orelse=other):
                return [one, other]
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return items
            case ast.Starred(value=item) | ast.GeneratorExp(elt=item) | ast.ListComp(elt=item):
                return [item]
        return []

    def _passed(self, name: str, scope: ast.AST) -> Iterator[ast.expr]:
        """The texts, written out, that a function is called with under this name."""
        if isinstance(scope, ast.FunctionDef):
            names = [argument.arg for argument in scope.args.args]
            for call in self._calls.get(scope.name, ()):
                pairs = [*zip(names, call.args, strict=False), *((k.arg, k.value) for k in call.keywords)]
                yield from (given for key, given in pairs if key == name and isinstance(given, _Text))

    def _looped(self, name: str, scope: ast.AST) -> Iterator[ast.expr]:
        """The texts that a name goes through in a loop over a table of this file."""
        for node in _own(scope):
            if isinstance(node, ast.For) and name in _names(node.target):
                for table in filter(None, map(self._tables.get, _names(node.iter))):
                    yield from (n for n in ast.walk(table) if isinstance(n, ast.Constant))


def _template(value: ast.JoinedStr) -> str:
    made = _Template()
    for part in value.values:
        if isinstance(part, ast.FormattedValue):
            made.put(part.value)
        elif isinstance(part, ast.Constant):
            made.text += _escaped(str(part.value))
    return made.text


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _said(scope: ast.AST) -> Iterator[ast.expr]:
    """Expressions of this function that end as a sentence before a reader."""
    if isinstance(scope, ast.FunctionDef) and scope.name in SAYERS:
        yield from _returned(scope)
    for node in _own(scope):
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=error), args=[said, *_])) if error in ERRORS:
                yield said
            case ast.Call(func=ast.Attribute(attr="append", value=target), args=[said]) if _called(target) in HOLDERS:
                yield said
            case ast.Assign(targets=[target], value=said) if _called(target) in HOLDERS:
                yield said
            case ast.keyword(arg=name, value=said) if name in HOLDERS:
                yield said
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                yield from (said for key, said in pairs if isinstance(key, ast.Constant) and key.value in HOLDERS)


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a function or module without those of the functions in it."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, ast.FunctionDef):
            yield node
            yield from _own(node)


def _given(name: str, scope: ast.AST) -> Iterator[ast.expr]:
    """What is assigned to a name in a function."""
    for node in _own(scope):
        if isinstance(node, ast.Assign) and name in _names(*node.targets):
            yield node.value


def _names(*inside: ast.AST) -> list[str]:
    return [node.id for part in inside for node in ast.walk(part) if isinstance(node, ast.Name)]


def _returned(function: ast.FunctionDef) -> list[ast.expr]:
    return [node.value for node in _own(function) if isinstance(node, ast.Return) and node.value is not None]


def _called(value: ast.AST) -> str:
    """name of `name` and of `self.name`."""
    return str(getattr(value, "attr", getattr(value, "id", "")))


def _tells(template: str) -> bool:
    """Is it more than a word, which might be anybody's column, and more than places for values?"""
    own = re.sub(r"\{\w+\}", "", template)
    if own == template:
        return " " in template.strip()
    # What begins with a blank goes on from another sentence and fits nothing else.
    return own.startswith(" ") or sum(map(str.isalpha, own)) >= LEAST_LETTERS
