"""A spec to take along: as a file, a command line or a few lines of Python. No Streamlit, no torch."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

import yaml

from mtl_core import registry
from mtl_core.spec import ModelSpec, RunSpec, TrainingSpec


def short(spec: RunSpec) -> dict[str, Any]:
    """The spec as JSON data without what is a default anyway."""
    value, usual, tasks = spec.to_json(), RunSpec().to_json(), spec.schema.task_names
    model = {kind: _short_part(kind, value["model"][kind], usual["model"][kind], tasks) for kind in _PARTS}
    result = {
        "data": _short_part("dataset", value["data"], usual["data"], tasks),
        "model": {kind: part for kind, part in model.items() if part},
        "balancer": _short_part("balancer", value["balancer"], usual["balancer"], tasks),
        "training": _changed(value["training"], TrainingSpec().model_dump(mode="json")),
    }
    if value["model"]["towers"] != list(ModelSpec.model_fields["towers"].default):
        result["model"]["towers"] = value["model"]["towers"]
    result |= {name: value[name] for name in ("init_from", "seed") if value[name] != usual[name]}
    return {name: part for name, part in result.items() if part}


_PARTS = ("encoder", "trunk", "head")


def _short_part(kind: str, part: dict[str, Any], usual: dict[str, Any], tasks: Sequence[str]) -> dict[str, Any]:
    options = _changed(part["options"], registry.get(kind, part["name"])().canonical(tasks).model_dump(mode="json"))
    named = {} if part["name"] == usual["name"] and not options else {"name": part["name"]}
    return {**named, **({"options": options} if options else {})}


def _changed(options: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value != usual.get(name)}


def as_json(spec: RunSpec) -> str:
    """Every option written out."""
    return json.dumps(spec.to_json(), indent=2) + "\n"


def as_yaml(spec: RunSpec) -> str:
    """Every option written out."""
    return str(yaml.safe_dump(spec.to_json(), sort_keys=False))


def command_line(spec: RunSpec) -> str:
    """What trains the same in a shell."""
    text = json.dumps(short(spec))
    return f"printf '%s' {shlex.quote(text)} > spec.json\npython -m mtl_core train spec.json --out run"


def python_code(spec: RunSpec) -> str:
    """What trains the same in Python."""
    return (
        "from mtl_core import RunSpec, train\n\n"
        f"spec = RunSpec.parse({_python(short(spec))})\n"
        'for event in train([spec], folders=["run"]):\n'
        "    print(event.to_json())\n"
    )


def _python(value: Any, indent: str = "") -> str:
    """A literal with a line per entry, down to the parts' options."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict):
        return repr(value)
    entries = [f"{json.dumps(name)}: {_python(entry, indent + '    ')}" for name, entry in value.items()]
    if not entries or len(indent) >= 12:
        return "{" + ", ".join(entries) + "}"
    return "{\n" + "".join(f"{indent}    {entry},\n" for entry in entries) + indent + "}"
