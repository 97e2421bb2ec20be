"""What can be taken along trains the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import exports
from app.setup_values import recipe_spec
from mtl_core import registry
from mtl_core.comparison import preset_spec
from mtl_core.spec import RunSpec


def specs() -> list[RunSpec]:
    made = [preset_spec(data, "ple", seed=3) for data in registry.names("dataset")]
    made += [recipe_spec(name) for name in registry.names("recipe")]
    made += [RunSpec.parse({"balancer": {"name": name}}) for name in registry.names("balancer")]
    return [*made, RunSpec(), RunSpec.parse({"init_from": "it's a run", "training": {"patience": 2}})]


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: f"{spec.data.name}-{spec.balancer.name}-{spec.key[:4]}")
def test_short_files_python_and_shell_say_the_same_spec(spec: RunSpec) -> None:
    assert RunSpec.parse(exports.short(spec)) == spec
    assert RunSpec.parse(json.loads(exports.as_json(spec))) == spec
    assert RunSpec.parse(yaml.safe_load(exports.as_yaml(spec))) == spec
    namespace: dict[str, Any] = {}
    exec(exports.python_code(spec).split("for event")[0], namespace)
    assert namespace["spec"] == spec


def test_the_shortest_spec_is_short() -> None:
    assert exports.short(RunSpec()) == {}
    changed = RunSpec.parse({"model": {"trunk": {"name": "ple", "options": {"levels": 3}}}, "seed": 2})
    assert exports.short(changed) == {"model": {"trunk": {"name": "ple", "options": {"levels": 3}}}, "seed": 2}


def test_the_command_line_writes_the_spec_whatever_its_quotes(tmp_path: Path) -> None:
    spec = RunSpec.parse({"init_from": 'it\'s $HOME `x` "y" %s'})
    first, second = exports.command_line(spec).splitlines()
    subprocess.run(["sh", "-c", first], cwd=tmp_path, check=True, timeout=30)
    assert RunSpec.parse(json.loads((tmp_path / "spec.json").read_text())) == spec
    assert second == "python -m mtl_core train spec.json --out run"
