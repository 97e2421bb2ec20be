"""What is wrong with a spec, as a shell says it and as the dashboard does."""

from __future__ import annotations

from typing import Any

import pytest

from app.problems import told
from mtl_core.spec import RunSpec, SpecError


def problem_of(**trunk: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        RunSpec.parse({"model": {"trunk": {"name": "mmoe", "options": trunk}}})
    return caught.value


def test_one_problem_is_one_sentence_that_names_the_control() -> None:
    error = problem_of(experts=0)
    assert str(error) == "model.trunk.options.experts: must be at least 1, not 0."
    assert told(error) == "Trunk experts: must be at least 1, not 0."


def test_several_problems_are_a_list() -> None:
    error = problem_of(experts="many", expert_layers=["abc", 8, -1])
    assert error.problems == (
        'model.trunk.options.experts: must be a whole number, not "many".',
        'model.trunk.options.expert_layers.0: must be a whole number, not "abc".',
        "model.trunk.options.expert_layers.2: must be at least 1, not -1.",
    )
    assert str(error) == " ".join(error.problems)
    assert told(error).splitlines() == [
        '- Trunk experts: must be a whole number, not "many".',
        '- Trunk expert layers, entry 1: must be a whole number, not "abc".',
        "- Trunk expert layers, entry 3: must be at least 1, not -1.",
    ]


def test_entries_that_are_wrong_do_not_make_a_list_too_short() -> None:
    assert len(problem_of(expert_layers=["abc"]).problems) == 1
    assert told(problem_of(expert_layers=[])) == "Trunk expert layers: must have 1 or more entries, not []."


def test_no_line_break_gets_through() -> None:
    error = SpecError("a\nb", "c\x1b[31m")
    assert error.problems == ("a\\nb", "c\\x1b[31m")
    assert told(error) == "- a\\nb\n- c\\x1b[31m"
