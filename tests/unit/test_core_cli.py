"""The command line, as a real process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mtl_core
from mtl_core import checkpoints
from mtl_core.__main__ import ProgressLine, main
from mtl_core.events import Failed
from mtl_core.spec import RunSpec, SpecError
from mtl_core.sweep import expand
from mtl_core.training import train

KINDS = ["encoder", "trunk", "head", "balancer", "dataset", "recipe"]
SMALL: dict[str, Any] = {
    "data": {"name": "conflict", "options": {"rows": 500}},
    "model": {"trunk": {"name": "mmoe", "options": {"experts": 2, "expert_layers": [4]}}, "towers": []},
    "training": {"epochs": 2, "batch_size": 128, "device": "cpu"},
}


def seesaw(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m mtl_core` from a folder that is not the repository, where a warning is an error (T5)."""
    # An editable or plain install is found by itself; only a source tree that was never installed needs the path.
    environment = {**os.environ, "PYTHONPATH": str(Path(mtl_core.__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-m", "mtl_core", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same command line within this process, from an empty folder: libraries need not be loaded once more."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        status = main(list(arguments))
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, out, err)

    return run


def write(folder: Path, value: object) -> str:
    """A JSON file; its name, relative to the folder."""
    (folder / "spec.json").write_text(json.dumps(value), encoding="utf-8")
    return "spec.json"


def events_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Standard output as events: one JSON object per line and nothing else, NaN refused."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in done.stdout.splitlines()]


def assert_bad_spec(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit status 2, nothing on standard output, one line on standard error that holds the words."""
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `list` prints."""
    done = seesaw(tmp_path_factory.mktemp("elsewhere"), "list")
    assert done.returncode == 0
    assert done.stderr == ""
    listed: dict[str, Any] = json.loads(done.stdout)
    return listed


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One training run that keeps its files."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, seesaw(folder, "train", write(folder, SMALL), "--out", "kept/here")


def test_list_holds_the_six_kinds(catalogue: dict[str, Any]) -> None:
    """Each with its parts by name, each part with the JSON schema of its options."""
    assert list(catalogue) == KINDS
    assert {"single_task", "shared_bottom", "omoe", "mmoe", "cgc", "ple"} <= set(catalogue["trunk"])
    assert {"conflict", "adult"} <= set(catalogue["dataset"])
    assert catalogue["trunk"]["mmoe"]["properties"]["experts"]["type"] == "integer"
    assert all(entry["type"] == "object" for parts in catalogue.values() for entry in parts.values())


def test_every_preset_runs_with_every_trunk(catalogue: dict[str, Any]) -> None:
    """Each data set's preset parses as it is and with each trunk's options put in, and each trunk has some."""
    presets = {name: entry["preset"] for name, entry in catalogue["dataset"].items() if "preset" in entry}
    assert {"conflict", "adult"} <= set(presets)
    for name, preset in presets.items():
        assert RunSpec.parse(preset["spec"]).data.name == name
        assert set(preset["trunks"]) == set(catalogue["trunk"])
        for trunk, options in preset["trunks"].items():
            spec = json.loads(json.dumps(preset["spec"]))
            spec["model"]["trunk"] = {"name": trunk, "options": options}
            assert RunSpec.parse(spec).model.trunk.name == trunk


def test_train_prints_events_and_nothing_else(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """One JSON object per line, each with its kind and run; exit status 0, nothing on standard error."""
    _, done = trained
    assert done.returncode == 0
    assert done.stderr == ""
    found = [event for event in events_of(done) if event["event"] != "step"]
    assert [event["event"] for event in found] == ["started", *["epoch", "checkpoint"] * 2, "finished"]
    assert {event["run"] for event in found} == {0}
    assert RunSpec.parse(found[0]["spec"]) == RunSpec.parse(SMALL)
    assert set(found[-1]["metrics"]["test"]) == {"A", "B"}
    assert {"auc", "log_loss"} <= set(found[-1]["metrics"]["test"]["A"])
    assert found[-1]["parameters"] == found[0]["parameters"] > 0
    assert found[-1]["device"] == "cpu"


def test_out_keeps_the_files(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """In the folder named, made if need be; nowhere else."""
    folder, _ = trained
    assert {path.name for path in (folder / "kept" / "here").iterdir()} == {
        checkpoints.CHECKPOINT,
        checkpoints.WEIGHTS,
        checkpoints.GATES,
    }
    assert {path.name for path in folder.iterdir()} == {"spec.json", "kept"}
    assert checkpoints.load_weights(folder / "kept" / "here")


def test_sweep_trains_all_combinations_in_order(tmp_path: Path) -> None:
    """The last path varies fastest; runs are numbered; one that fails gives exit status 1 and leaves the others."""
    base = {**SMALL, "training": {**SMALL["training"], "epochs": 1}}
    vary = {"seed": [3, 4], "training.device": ["cuda:99", "cpu"]}
    done = seesaw(tmp_path, "sweep", write(tmp_path, {"base": base, "vary": vary}), "--out", "runs")
    assert done.returncode == 1
    found = [event for event in events_of(done) if event["event"] != "step"]
    ends = [(event["run"], event["event"]) for event in found if event["event"] in ("finished", "failed")]
    assert sorted(ends) == [(0, "failed"), (1, "finished"), (2, "failed"), (3, "finished")]
    assert [(e["run"], e["spec"]["seed"]) for e in found if e["event"] == "started"] == [(1, 3), (3, 4)]
    # A folder per spec, so that the same sweep finds its runs again.
    folders = {path.name for path in (tmp_path / "runs").iterdir()}
    assert folders == {RunSpec.parse(e["spec"]).key for e in found if e["event"] == "started"}
    first, second, summary = done.stderr.splitlines()
    assert all("cuda:99" in line for line in (first, second))
    assert summary.startswith("2 finished, 2 failed, ")


def test_a_sweep_begun_again_tells_what_is_there_and_trains_the_rest(
    tmp_path: Path, inside: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Same spec, same folder; results come again, so that what reads them sees the whole sweep."""
    base = {**SMALL, "training": {**SMALL["training"], "epochs": 1}}
    first = inside("sweep", write(tmp_path, {"base": base, "vary": {"seed": [1, 2]}}), "--out", "runs")
    assert first.stderr.startswith("2 finished, ")
    again = inside("sweep", write(tmp_path, {"base": base, "vary": {"seed": [0, 2, 1]}}), "--out", "runs")
    assert again.stderr.startswith("3 finished (2 of them before), ")
    assert len(again.stderr.splitlines()) == 1
    results = [{e["run"]: e for e in events_of(d) if e["event"] == "finished"} for d in (first, again)]
    assert results[1][2] == {**results[0][0], "run": 2}
    assert results[1][1] == {**results[0][1], "run": 1}
    assert [e["run"] for e in events_of(again) if e["event"] == "started"] == [0]


def test_a_search_tells_its_runs_then_its_trials(
    tmp_path: Path, inside: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    base = {**SMALL, "training": {**SMALL["training"], "epochs": 1}}
    wanted = {"base": base, "search": {"trials": 3, "at_once": 2, "seeds": [0, 1]}}
    done = inside("sweep", write(tmp_path, wanted), "--out", "runs")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    events = events_of(done)
    trials = [event for event in events if event["event"] == "trial"]
    runs = {event["run"]: event for event in events if event["event"] == "finished"}
    assert sorted(runs) == list(range(6))
    assert events[-3:] == trials
    assert trials[0]["weights"] == {"A": 1.0, "B": 1.0}
    mean = sum(runs[run]["metrics"]["valid"]["A"]["auc"] for run in (0, 1)) / 2
    assert trials[0]["scores"]["A"] == pytest.approx(mean)
    assert any(trial["on_front"] for trial in trials)
    assert len(list((tmp_path / "runs").iterdir())) == 6


def test_on_a_terminal_the_progress_is_one_line_that_is_overwritten() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    line = ProgressLine(2, 2, stream)
    for event in train([RunSpec.parse(SMALL)]):
        line.note(event)
    line.note(Failed(run=1, message="No."))
    assert line.end() == 1
    text = stream.getvalue()
    assert text.count("\n") == 2  # the failure and the end
    shown = [part for part in text.split("\r\x1b[K") if part]
    assert shown[0] == "0 of 2 runs, 1 training (epoch 0 of 2)"
    assert any(part.startswith("0 of 2 runs, 1 training (epoch 1 of 2), about ") for part in shown)
    assert "run 1: No.\n" in shown
    assert shown[-1].startswith("1 finished, 1 failed, ")


def test_a_bad_spec_is_one_line_and_exit_status_2(tmp_path: Path) -> None:
    """The file's name, the place in the spec, the problem and the choices."""
    done = seesaw(tmp_path, "train", write(tmp_path, {"model": {"trunk": {"name": "mmoee"}}}))
    assert_bad_spec(done, "spec.json", "model.trunk", "Did you mean 'mmoe'?", "shared_bottom")


def test_a_bad_name_cannot_break_the_line(tmp_path: Path) -> None:
    """A line break in a key, or half a character, stays inside the one line."""
    assert_bad_spec(seesaw(tmp_path, "train", write(tmp_path, {"a\nb\ud800": 1})), "\\n")


def test_a_missing_file_is_exit_status_2(tmp_path: Path) -> None:
    """Not a traceback."""
    assert_bad_spec(seesaw(tmp_path, "train", "nowhere.json"), "nowhere.json", "No such file")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"experts: 8", b"\xff\xfe\x00", b"[" * 100_000, b'{"seed": ' + b"9" * 5000 + b"}"], ids=len
)
def test_a_file_that_is_not_json_is_exit_status_2(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty, cut off, YAML, no text at all, brackets without end, a number without end."""
    (tmp_path / "spec.json").write_bytes(content)
    for command in ("train", "sweep"):
        assert main([command, str(tmp_path / "spec.json")]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        assert "spec.json" in err


def test_no_command_is_exit_status_2(tmp_path: Path) -> None:
    """Usage on standard error, nothing on standard output."""
    done = seesaw(tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "usage" in done.stderr


def test_a_sweep_is_a_grid_whose_last_path_varies_fastest() -> None:
    """Values are put at dotted paths, also where the base has nothing yet, and whole parts may be replaced."""
    trunks = [{"name": "mmoe", "options": {"experts": 2}}, {"name": "shared_bottom"}]
    specs = expand({"base": SMALL, "vary": {"model.trunk": trunks, "balancer.options.weights": [[1, 1], [1, 0]]}})
    found = [(spec.model.trunk.name, weights_of(spec)) for spec in specs]
    expected = [(name, weights) for name in ("mmoe", "shared_bottom") for weights in ([1.0, 1.0], [1.0, 0.0])]
    assert found == expected
    assert all(spec.data == RunSpec.parse(SMALL).data for spec in specs)


def weights_of(spec: RunSpec) -> object:
    """The loss weights of a spec."""
    return spec.balancer.options["weights"]


def test_a_path_may_reach_into_what_another_path_put_there() -> None:
    """Options of a trunk that the sweep itself chose; no run's value leaks into another run."""
    vary = {"model.trunk": [{"name": "mmoe"}, {"name": "omoe"}], "model.trunk.options.experts": [2, 5]}
    specs = expand({"base": {}, "vary": vary})
    found = [(spec.model.trunk.name, spec.model.trunk.options["experts"]) for spec in specs]
    assert found == [("mmoe", 2), ("mmoe", 5), ("omoe", 2), ("omoe", 5)]
    assert vary["model.trunk"] == [{"name": "mmoe"}, {"name": "omoe"}]


def test_a_sweep_that_varies_nothing_is_its_base() -> None:
    """One run."""
    assert expand({"base": SMALL}) == [RunSpec.parse(SMALL)] == expand({"base": SMALL, "vary": {}})
    assert expand({}) == [RunSpec.parse({})]


@pytest.mark.parametrize(
    "sweep",
    [
        None,
        [],
        "sweep",
        {"base": {}, "vary": []},
        {"base": {}, "vary": None},
        {"base": {}, "varry": {}},
        {"base": {}, "vary": {"seed": []}},
        {"base": {}, "vary": {"seed": 3}},
        {"base": {}, "vary": {"seed": "123"}},
        {"base": {}, "vary": {"seed": [0, -1]}},
        {"base": {}, "vary": {"sed": [1]}},
        {"base": {}, "vary": {"": [1]}},
        {"base": {"seed": 1}, "vary": {"seed.deeper": [1]}},
        {"base": {"model": []}, "vary": {"model.trunk": [{}]}},
        {"base": [], "vary": {"seed": [1]}},
        {"base": [], "vary": {"model.trunk": [{}]}},
        {"base": None, "vary": {"seed": [1]}},
        {"base": "base", "vary": {"seed": [1]}},
        {"base": 3, "vary": {}},
        {"base": {}, "vary": {"a\nb": []}},
    ],
    ids=str,
)
def test_a_bad_sweep_is_refused_in_one_line(sweep: object) -> None:
    """Before any run begins."""
    with pytest.raises(SpecError) as caught:
        expand(sweep)
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert message.isprintable()


def test_a_bad_sweep_is_exit_status_2(tmp_path: Path) -> None:
    """One bad combination among good ones: nothing is trained."""
    assert_bad_spec(seesaw(tmp_path, "sweep", write(tmp_path, {"base": SMALL, "vary": {"seed": [0, -1]}})), "seed")


def test_lazy_names_of_the_package() -> None:
    """`train`, `RunSpec` and `SpecError` are there from the top, and an unknown name is an AttributeError."""
    from mtl_core import train

    assert train is mtl_core.train is mtl_core.training.train
    assert mtl_core.RunSpec is RunSpec
    assert mtl_core.SpecError is SpecError
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = mtl_core.trian
