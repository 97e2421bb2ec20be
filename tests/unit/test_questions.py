"""Questions to the worker: put once, taken once, answered once, and bounded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from app.jobs import questions as module
from app.jobs.answers import answer_one
from app.jobs.questions import Answer, Problem, Question, Questions, Waiting
from app.jobs.store import RunStore
from mtl_core.comparison import preset_spec
from mtl_core.events import Checkpoint, Step
from mtl_core.spec import RunSpec
from mtl_core.training import train

RUN = "0123abcd"
ASKED = Question(RUN, "experts")


@pytest.fixture
def questions(tmp_path: Path) -> Questions:
    (tmp_path / "runs" / RUN).mkdir(parents=True)
    return Questions(tmp_path)


def nobody() -> set[str]:
    return set()


def test_a_question_is_put_once_taken_once_and_answered(questions: Questions, tmp_path: Path) -> None:
    assert questions.look(ASKED) is None
    questions.ask(ASKED)
    questions.ask(ASKED)
    waiting = questions.look(ASKED)
    assert isinstance(waiting, Waiting)
    assert not waiting.taken
    assert questions.take("w1", lambda: {"w1"}) == ASKED
    assert questions.take("w2", lambda: {"w1", "w2"}) is None
    taken = questions.look(ASKED)
    assert isinstance(taken, Waiting)
    assert taken.taken
    assert taken.asked_at == waiting.asked_at
    questions.answer(ASKED, "w1", {"levels": []})
    # Another process sees it, too; and it is not asked again.
    for eyes in (questions, Questions(tmp_path)):
        assert eyes.look(ASKED) == Answer({"levels": []})
        eyes.ask(ASKED)
        assert eyes.take("w1", nobody) is None
    assert list((tmp_path / "questions").iterdir()) == []


def test_a_failure_is_one_sentence_and_can_be_asked_again(questions: Questions) -> None:
    questions.ask(ASKED)
    questions.take("w", nobody)
    questions.fail(ASKED, "w", "No.")
    assert questions.look(ASKED) == Problem("No.")
    questions.forget(ASKED)
    assert questions.look(ASKED) is None
    questions.ask(ASKED)
    assert questions.take("w", nobody) == ASKED


def test_the_question_of_a_dead_worker_is_taken_up_once_and_then_given_up(questions: Questions) -> None:
    questions.ask(ASKED)
    assert questions.take("dead1", nobody) == ASKED
    assert questions.take("w", lambda: {"dead1", "w"}) is None  # not dead yet
    assert questions.take("dead2", lambda: {"dead2"}) == ASKED
    assert questions.take("w", lambda: {"w"}) is None
    given_up = questions.look(ASKED)
    assert isinstance(given_up, Problem)
    assert "died 2 times" in given_up.message


def test_the_longest_waiting_comes_first(questions: Questions, tmp_path: Path) -> None:
    asked = [Question(RUN, "segments", name) for name in ("age", "income", "../../../etc/passwd")]
    assert len({question.key for question in asked}) == 3
    for age, question in zip((30, 20, 10), asked, strict=True):
        questions.ask(question)
        path = tmp_path / "questions" / f"{RUN}.{question.key}.ask"
        os.utime(path, (1e9 - age, 1e9 - age))
    assert [questions.take("w", lambda: {"w"}) for _ in asked] == asked


def test_answers_and_questions_are_bounded(
    questions: Questions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ANSWERS", 3)
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    many = [Question(RUN, "segments", str(i)) for i in range(5)]
    for question in many:
        questions.ask(question)
    assert len(list((tmp_path / "questions").iterdir())) == 2
    for age, question in enumerate(many):
        questions.answer(question, "w", {"n": age})
        path = tmp_path / "runs" / RUN / "answers" / f"{question.key}.json"
        os.utime(path, (1e9 + age, 1e9 + age))
    assert len(list((tmp_path / "runs" / RUN / "answers").iterdir())) == 3
    assert questions.look(many[-1]) == Answer({"n": 4})
    questions.answer(many[-1], "w", {"text": "x" * 2000})
    assert isinstance(questions.look(many[-1]), Problem)


@pytest.mark.parametrize("run_id", ["../../etc", "example-../..-mmoe-0", "example-conflict-mmoe", "", "0123ABCD"])
def test_ids_that_are_none_reach_no_file(questions: Questions, tmp_path: Path, run_id: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    question = Question(run_id, "quality")
    questions.ask(question)
    questions.forget(question)
    assert questions.look(question) is None
    assert sorted(tmp_path.rglob("*")) == before


def test_damaged_files_are_no_answers_and_no_questions(questions: Questions, tmp_path: Path) -> None:
    questions.ask(ASKED)
    (waiting,) = (tmp_path / "questions").iterdir()
    waiting.write_text("{")
    assert questions.take("w", nobody) is None
    questions.answer(ASKED, "w", {"n": 1})
    path = tmp_path / "runs" / RUN / "answers" / "experts.json"
    path.write_text(json.dumps({"version": -1, "answer": {}}))
    assert questions.look(ASKED) is None


def test_no_answer_brings_a_deleted_run_back(questions: Questions, tmp_path: Path) -> None:
    questions.ask(ASKED)
    questions.take("w", nobody)
    (tmp_path / "runs" / RUN).rmdir()
    questions.answer(ASKED, "w", {"n": 1})
    assert list((tmp_path / "runs").iterdir()) == []


# The worker's side


@pytest.fixture
def store(home: Path) -> RunStore:
    return RunStore(home=home)


def finished(store: RunStore) -> str:
    training = {"epochs": 1, "batch_size": 256, "device": "cpu"}
    spec = preset_spec("conflict", "mmoe", data={"name": "conflict", "options": {"rows": 500}}, training=training)
    store.submit(spec)
    store.register_worker("w", 0)
    run = store.claim("w")
    assert run is not None
    for event in train([RunSpec.parse(run.spec)], folders=[store.folder(run.id)]):
        if not isinstance(event, Step | Checkpoint):
            store.append(run.id, "w", event)
    return run.id


def test_a_worker_answers_every_kind_and_says_what_it_cannot(store: RunStore) -> None:
    questions, run_id = Questions(store.home), finished(store)
    assert not answer_one(store, questions, "w")
    good = [Question(run_id, "quality"), Question(run_id, "experts"), Question(run_id, "switch_off")]
    good.append(Question(run_id, "segments", "x3"))
    bad = Question(run_id, "segments", "nonsense")
    for question in (*good, bad):
        questions.ask(question)
        assert answer_one(store, questions, "w")
    assert all(isinstance(questions.look(question), Answer) for question in good)
    assert questions.look(bad) == Problem("These data have no column 'nonsense'.")
    assert not answer_one(store, questions, "w")
    # Deleting the run takes its answers along.
    store.delete(run_id)
    assert questions.look(good[0]) is None


def test_a_run_without_weights_has_a_problem_and_the_worker_goes_on(store: RunStore) -> None:
    questions, run_id = Questions(store.home), finished(store)
    (store.folder(run_id) / "weights.safetensors").write_bytes(b"none")
    questions.ask(broken := Question(run_id, "quality"))
    assert answer_one(store, questions, "w")
    problem = questions.look(broken)
    assert isinstance(problem, Problem)
    assert "train it again" in problem.message
    queued, _ = store.submit(RunSpec.parse({"data": {"name": "conflict"}}))
    store.folder(queued.id).mkdir(parents=True)
    questions.ask(early := Question(queued.id, "quality"))
    assert answer_one(store, questions, "w")
    assert questions.look(early) == Problem("Only finished runs can be looked into.")


def test_bundled_runs_have_their_answers_outside_of_the_runs(tmp_path: Path) -> None:
    questions, asked = Questions(tmp_path), Question("example-conflict-mmoe-0", "experts")
    questions.ask(asked)
    assert questions.take("w", nobody) == asked
    questions.answer(asked, "w", {"levels": []})
    assert questions.look(asked) == Answer({"levels": []})
    assert not (tmp_path / "runs").exists()
