"""The benchmark's architectures are what its limit is computed from, and its report keeps other sections."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import contest, report
from mtl_core.columns import Columns
from mtl_core.schema import Feature
from mtl_core.sizes import parameters_of
from mtl_core.spec import ModelSpec

TABLE_ROWS = 5


@pytest.mark.parametrize("kind", ["mmoe", "ple"])
def test_the_multiply_adds_of_a_contest_are_those_of_its_model(kind: str) -> None:
    schema = contest.CensusContest().table_schema()

    def rows(feature: Feature) -> int:
        return TABLE_ROWS

    model = ModelSpec.model_validate(contest.model(kind))
    count = parameters_of(model, schema.tasks, Columns.of(schema, rows))
    assert count == contest.weights(kind, TABLE_ROWS * len(contest.FIELDS))


def test_multiply_adds_by_hand() -> None:
    experts = 8 * (264 * 64 + 64 * 32)
    gates, mixes, towers = 2 * 264 * 8, 2 * 8 * 32, 2 * (32 * 16 + 16)
    assert contest.multiply_adds("mmoe") == experts + gates + mixes + towers
    first = 8 * 264 * 64 + (6 + 6 + 8) * (264 + 64)
    second = 8 * 64 * 64 + (6 + 6) * (64 + 64)
    assert contest.multiply_adds("ple") == first + second + 2 * (64 * 16 + 16)


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    report.write("Balancers", "old", path)
    report.write("Throughput", "fast\n\n### MMoE\n\nfaster", path)
    report.write("Balancers", "new", path)
    text = path.read_text(encoding="utf-8")
    assert text.endswith("## Throughput\n\nfast\n\n### MMoE\n\nfaster\n\n## Balancers\n\nnew\n")
    assert "old" not in text
    assert text.startswith(report.HEAD)
