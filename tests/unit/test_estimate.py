"""How long it will take: from earlier runs of this machine, or not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.estimate import estimate, estimate_line
from app.jobs.records import RunRecord
from mtl_core.comparison import preset_spec
from mtl_core.spec import RunSpec

TRAINING = {"epochs": 10, "batch_size": 100, "device": "cpu"}


def spec(trunk: str = "mmoe", rows: int = 1000, **training: Any) -> RunSpec:
    data = {"name": "conflict", "options": {"rows": rows}}
    return preset_spec("conflict", trunk, data=data, training={**TRAINING, **training})


def record(given: RunSpec, seconds: float = 20.0, **changes: Any) -> RunRecord:
    """A finished run of so many seconds."""
    done = RunRecord(
        id="r", state="finished", spec=given.to_json(), spec_key=given.key, created_at=0, started_at=100.0,
        updated_at=100.0 + seconds, finished_at=100.0 + seconds, epoch=given.training.epochs, step=0, steps=6,
        samples_per_second=300.0, resumed_from=0, parameters=1000, device="cpu", train_seconds=1.0, best_epoch=1,
        metrics_test=None, message=None, attempts=0, queue_position=None,
    )  # fmt: skip
    return replace(done, **changes)


def seconds(given: RunSpec, *records: RunRecord) -> float | None:
    found = estimate(given, 1000, records)
    return None if found is None else found.seconds


def test_wall_time_scales_with_epochs_and_rows() -> None:
    # 20 s for 10 epochs, evaluation and all: 2 s each.
    assert seconds(spec(), record(spec())) == pytest.approx(20)
    assert seconds(spec(epochs=5), record(spec())) == pytest.approx(10)
    assert seconds(spec(rows=3000), record(spec())) == pytest.approx(60)


def test_a_run_that_trained_alone_says_more_than_one_of_a_population() -> None:
    """The wall time of a member is that of all of them."""
    alone = record(spec(), id="alone", started_at=50.0, finished_at=60.0)
    together = [record(spec(), id=f"member {i}") for i in range(3)]
    assert seconds(spec(), *together, alone) == pytest.approx(10)
    assert seconds(spec(), *together) == pytest.approx(20)  # better than nothing


def test_a_resumed_run_counts_the_epochs_of_its_last_attempt() -> None:
    assert seconds(spec(), record(spec(), resumed_from=8)) == pytest.approx(100)


def test_a_run_under_way_tells_by_its_pace() -> None:
    # 6 steps of 100 rows at 300 rows a second: 2 s per epoch.
    going = record(spec(), state="running", finished_at=None, epoch=0)
    assert seconds(spec(), going) == pytest.approx(20)
    assert seconds(spec(), replace(going, samples_per_second=None)) is None


@pytest.mark.parametrize("other", [spec("ple"), spec(device="auto"), preset_spec("adult", "mmoe", training=TRAINING)])
def test_another_trunk_device_or_data_set_says_nothing(other: RunSpec) -> None:
    assert seconds(spec(), record(other)) is None


def test_an_example_of_another_machine_says_nothing() -> None:
    assert seconds(spec(), record(spec(), seconds=0.0)) is None


def test_the_run_most_alike_is_taken_and_among_equals_the_newest() -> None:
    plain = record(spec(), 10.0)
    others = [record(spec(batch_size=50), 99.0), record(spec(), 98.0, parameters=9000), record(spec(), 97.0)]
    assert seconds(spec(), others[0], others[1], plain, others[2]) == pytest.approx(10)


def test_the_line_says_what_is_known_and_what_it_comes_from() -> None:
    assert "not known yet" in estimate_line(spec(), None, 0)
    assert estimate_line(spec(), None, 2).endswith("; 2 runs are before it.")
    known = estimate(spec(), 1000, [record(spec())])
    assert estimate_line(spec(), known, 0) == "About 20 s of training, as an earlier run on this machine."
    large = estimate(spec(batch_size=50), 3000, [record(spec())])
    assert "though with 3.0 times its parameters and another batch size; one run is before it." in estimate_line(
        spec(batch_size=50), large, 1
    )
