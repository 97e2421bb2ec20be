"""The worker's side of questions: looks inside a finished run, between two steps of whatever it trains.

In the worker and not in a process of its own: torch is loaded there already, which alone takes seconds and 200 MB, and
a look takes a fraction of a second. The training that it interrupts loses that fraction once, since answers are kept,
and neither its numbers nor its clock notice: nothing here draws from a global generator, and the time between two
events is not counted.
"""

from __future__ import annotations

import logging
from typing import Any

from app.jobs import bundled
from app.jobs.questions import Question, Questions
from app.jobs.store import RunStore, StoreError
from mtl_core.spec import RunSpec

log = logging.getLogger("seesaw.worker")


def answer_one(store: RunStore, questions: Questions, worker_id: str) -> bool:
    """Answer the question that waits longest; whether there was one. Whatever goes wrong, training goes on."""
    try:
        question = questions.take(worker_id, lambda: {worker.id for worker in store.workers()})
        if question is not None:
            _look(store, questions, worker_id, question)
    except OSError:  # a full disk, say
        log.exception("questions")
        return False
    return question is not None


def _look(store: RunStore, questions: Questions, worker_id: str, question: Question) -> None:
    log.info("question about run %s: %s", question.run_id, question.key)
    try:
        content = _answer(store, question)
    except StoreError:
        raise  # without the store this worker is of no use; the question is taken up by the next one
    except Exception as error:
        from mtl_core.inspection import CannotLook, DataError

        if isinstance(error, CannotLook | DataError):
            message = str(error)
        else:
            log.exception("question about run %s", question.run_id)
            text = " ".join(str(error).split()) or "no further message"
            message = f"The look inside stopped with {type(error).__name__}: {text[:300]}"
        questions.fail(question, worker_id, message)
    else:
        questions.answer(question, worker_id, content)


def _answer(store: RunStore, question: Question) -> dict[str, Any]:
    from mtl_core.inspection import CannotLook, open_run

    folder = bundled.weights_folder(question.run_id)
    if folder is not None:
        inside = open_run(bundled.spec_of(folder), folder)
    else:
        run = store.get(question.run_id)
        if run is None or run.state != "finished":
            raise CannotLook("Only finished runs can be looked into.")
        inside = open_run(RunSpec.parse(run.spec), store.folder(run.id))
    match question.kind:
        case "quality":
            return inside.quality()
        case "experts":
            return inside.experts()
        case "switch_off":
            return inside.switch_off()
        case "segments":
            return inside.segments(question.feature or "")
    raise CannotLook(f"There is no question {question.kind!r}.")
