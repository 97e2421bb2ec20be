"""Every data set trains from the app: opened in the playground, made small by its own controls, trained, shown."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.jobs.records import RunRecord
from app.jobs.store import RunStore
from mtl_core import registry
from mtl_core.data import adult, census_income
from mtl_core.data.files import PublicFile
from mtl_core.data.movielens import GENRES
from mtl_core.spec import RunSpec
from tests.app.conftest import healthy, texts, visit

#: What makes a run of a second of it: controls and their values; those that a data set does not have are skipped.
SMALL = {"rows": 3000, "users": 100, "items": 100, "videos": 100, "epochs": 1, "batch_size": 256}
ROWS = 400


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up files of each public data set's form where people put theirs; the hashes are those of these files."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("SEESAW_DATA", str(folder))
    rng = np.random.default_rng(3)
    for part, line_end in (("train", "\n"), ("test", ".\n")):
        known = adult.FILES[part]
        lines = "".join(", ".join(_adult(rng)) + line_end for _ in range(ROWS))
        monkeypatch.setitem(adult.FILES, part, _kept(folder, known, lines.encode()))
    rows = "".join(", ".join(_census(rng)) + "\n" for _ in range(ROWS))
    monkeypatch.setattr(census_income, "TEST", _kept(folder, census_income.TEST, gzip.compress(rows.encode())))
    monkeypatch.setattr(census_income, "TEST_ROWS", ROWS)
    _movielens(folder, rng)
    _ali_ccp(folder, rng)


def _kept(folder: Path, known: PublicFile, content: bytes) -> PublicFile:
    (folder / known.name).write_bytes(content)
    return replace(known, sha256=hashlib.sha256(content).hexdigest())


def _adult(rng: np.random.Generator) -> list[str]:
    cells = {name: str(rng.integers(0, 90)) for name in (*adult.NUMERIC, "fnlwgt")}
    cells |= {name: str(rng.choice(values)) for name, values in adult.CATEGORIES.items()}
    cells |= {
        "marital_status": str(rng.choice(["Never-married", "Divorced"])),
        "income": str(rng.choice(["<=50K", ">50K"])),
    }
    return [cells[name] for name in adult.COLUMNS]


def _census(rng: np.random.Generator) -> list[str]:
    cells = {name: str(rng.choice(values)) for name, values in census_income.CATEGORIES.items()}
    cells |= {name: str(rng.integers(0, 90)) for name in census_income.NUMERIC}
    cells |= {"education": "Children", "instance_weight": "1.5", "income": str(rng.choice(["50000+.", "- 50000."]))}
    cells["marital_status"] = str(rng.choice(["Never married", "Widowed"]))
    return [cells[name] for name in census_income.COLUMNS]


def _movielens(folder: Path, rng: np.random.Generator) -> None:
    (folder / "u.data").write_text(
        "".join(
            f"{rng.integers(1, 4)}\t{rng.integers(1, 3)}\t{rng.integers(1, 6)}\t{881250000 + i}\n" for i in range(ROWS)
        )
    )
    (folder / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|94043\n3|23|M|writer|32067\n")
    flags = "|".join(["0"] * (len(GENRES) - 1) + ["1"])
    (folder / "u.item").write_text("".join(f"{i}|A film|01-Jan-1995||http://films|{flags}\n" for i in (1, 2)))


def _ali_ccp(folder: Path, rng: np.random.Generator) -> None:
    def features(**fields: object) -> str:
        return "\x01".join(f"{name[1:]}\x02{value}\x031.0" for name, value in fields.items())

    for part in ("train", "test"):
        samples = []
        for i in range(ROWS):
            click = int(rng.random() < 0.5)
            buy = click * int(rng.random() < 0.5)
            samples.append(f"{i},{click},{buy},key{i % 3},2,{features(f205=i % 50, f301=1)}\n")
        (folder / f"sample_skeleton_{part}.csv").write_text("".join(samples))
        common = "".join(f"key{k},2,{features(f101=k, f110_14=k)}\n" for k in range(3))
        (folder / f"common_features_{part}.csv").write_text(common)


def make_small(at: AppTest, data: str) -> None:
    """Turn down whatever can be turned down, as a person would."""
    for name, value in SMALL.items():
        for field in at.number_input:
            if field.key == f"play.{data}.{name}":
                field.set_value(value)


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize("data", registry.names("dataset"))
def test_a_data_set_trains_from_the_playground(
    data: str, store: RunStore, trained: Callable[[RunSpec], RunRecord]
) -> None:
    at = healthy(visit(data=data, trunk="mmoe"))
    make_small(at, data)
    at.button(key="train").click().run()
    healthy(at)
    (queued,) = store.runs()
    spec = RunSpec.parse(queued.spec)
    assert (spec.data.name, spec.model.trunk.name, spec.training.epochs) == (data, "mmoe", 1)
    assert cast(int, spec.to_json()["data"]["options"].get("rows", ROWS)) <= SMALL["rows"]
    done = trained(spec)
    assert done.id == queued.id
    assert done.metrics_test is not None
    assert tuple(done.metrics_test) == spec.schema.task_names
    # Some signals are too rare for a small test split: their AUC is undefined, which is no number but no error either.
    scores = [metrics.get("auc", metrics.get("mse")) for metrics in done.metrics_test.values()]
    assert [score for score in scores if score is not None]
    assert "Test " in texts(healthy(at.run()))


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize("data", registry.names("dataset"))
def test_a_data_set_is_shown_on_the_data_page(data: str) -> None:
    at = healthy(visit("data", data=data))
    tasks = registry.get("dataset", data)().table_schema().tasks  # type: ignore[attr-defined]
    headings = {str(element.value) for element in at.markdown}
    expected = {"Labels", "How the labels go together: correlation", "One feature against one label"}
    binary = [task for task in tasks if task.kind == "binary"]
    if len(binary) > 1:
        expected.add("How the labels go together: overlap")
    if any(task.after in {b.name for b in binary} for task in binary):
        expected.add("Funnel")
    assert {f"**{name}**" for name in expected} == {h for h in headings if h.startswith("**") and "own file" not in h}
    # Labels that are all numbers have no shares to draw.
    assert len(at.get("vega_lite_chart")) == len(expected) - (not binary)
    for chart in at.get("vega_lite_chart"):
        assert chart.proto.alt
