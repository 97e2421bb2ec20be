"""Questions about finished runs that only a process with the model can answer: a page asks, a worker answers.

Files, not rows: a question lies in `questions/` below the home folder until a worker takes it, by renaming it, and the
answer lies beside the run's weights, so that it is computed once and goes when the run is deleted. Importing this
module does not import torch.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from app.jobs import bundled
from mtl_core.atomic import write_atomically

Kind = Literal["quality", "experts", "switch_off", "segments"]

#: Another form of answers: older ones are asked for again.
VERSION = 2
#: Most bytes of one answer, answers kept per run (the oldest go), and questions that may wait at a time.
MOST_BYTES, MOST_ANSWERS, MOST_WAITING = 512 * 1024, 48, 200
#: A question at which so many workers died in a row is given up.
MOST_ATTEMPTS = 2
#: The weights of a finished run, in its folder: without them nobody can look inside.
WEIGHTS = "weights.safetensors"
_RUN_ID = re.compile(rf"[0-9a-f]{{8}}|{bundled.ID}")


@dataclass(frozen=True)
class Question:
    """What is asked about a run."""

    run_id: str
    kind: Kind
    #: The column by which gate weights are to be cut, for `segments` alone.
    feature: str | None = None

    @property
    def key(self) -> str:
        """Part of a file's name: equal for equal questions about a run."""
        if self.feature is None:
            return self.kind
        return f"{self.kind}-{hashlib.sha256(self.feature.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Waiting:
    """Nobody has answered yet."""

    asked_at: float
    #: Is a worker at it?
    taken: bool


@dataclass(frozen=True)
class Answer:
    """What a worker found out."""

    content: dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Why there is no answer, in one sentence."""

    message: str


class Questions:
    """The questions of one home folder.

    Args:
        home: the folder that holds the runs' folders.
    """

    def __init__(self, home: Path) -> None:
        self._waiting = home / "questions"
        self._runs = home / "runs"
        self._examples = home / "examples"
        #: Answers read, by file and time of writing: pages ask for the same one on every rerun.
        self._read: dict[Path, tuple[int, Answer | Problem]] = {}
        self._lock = threading.Lock()

    # What pages do

    def ask(self, question: Question) -> None:
        """Put a question, unless it is answered or waits already, or too many wait."""
        if not _RUN_ID.fullmatch(question.run_id) or self.look(question) is not None:
            return
        if len(self._open()) >= MOST_WAITING:
            return  # the page asks again when it is drawn again
        self._write(question, time.time(), attempts=0)

    def look(self, question: Question) -> Waiting | Answer | Problem | None:
        """How the question stands; None if nobody asked."""
        if not _RUN_ID.fullmatch(question.run_id):  # ids come from links
            return None
        found = self._answer(question)
        if found is not None:
            return found
        stem = f"{question.run_id}.{question.key}"
        for path in self._open():
            if path.name.split(".ask")[0] == stem:
                with suppress(OSError, ValueError):
                    asked = float(json.loads(path.read_text("utf-8"))["asked_at"])
                    return Waiting(asked, taken=not path.name.endswith(".ask"))
        # It may have been answered between the two looks.
        return self._answer(question)

    def forget(self, question: Question) -> None:
        """Remove the answer, so that the question can be put again."""
        if _RUN_ID.fullmatch(question.run_id):
            self._path(question).unlink(missing_ok=True)

    # What workers do

    def take(self, worker_id: str, alive: Callable[[], Container[str]]) -> Question | None:
        """The question that waits longest; no two workers get the same one.

        Args:
            worker_id: who takes it.
            alive: the ids of the workers that have not died; those of others are taken up. Asked only where needed.
        """
        paths = self._open()
        if not paths:
            return None
        taken = [path for path in paths if not path.name.endswith(".ask")]
        if taken:
            living = alive()
            for path in taken:
                if path.name.rsplit("-", 1)[1] not in living:
                    self._take_up(path)
            paths = self._open()
        for path in sorted((p for p in paths if p.name.endswith(".ask")), key=_modified):
            mine = path.with_name(f"{path.name}-{worker_id}")
            try:
                path.rename(mine)
                return _question(json.loads(mine.read_text("utf-8")))
            except FileNotFoundError:
                continue  # somebody else was quicker
            except (ValueError, KeyError, TypeError):
                mine.unlink(missing_ok=True)  # no question
        return None

    def answer(self, question: Question, worker_id: str, content: dict[str, Any]) -> None:
        """Keep an answer, and let go of the question."""
        self._keep(question, {"version": VERSION, "answer": content})
        self._let_go(question, worker_id)

    def fail(self, question: Question, worker_id: str, message: str) -> None:
        """Say in one sentence why there is no answer, and let go of the question."""
        self._keep(question, {"version": VERSION, "problem": message})
        self._let_go(question, worker_id)

    # Within

    def _open(self) -> list[Path]:
        """Questions: `RUN.KEY.ask`, and `RUN.KEY.ask-WORKER` for one that is taken."""
        try:
            return [path for path in self._waiting.iterdir() if ".ask" in path.name and path.name[0] != "."]
        except OSError:
            return []

    def _path(self, question: Question) -> Path:
        above = self._examples if bundled.is_bundled(question.run_id) else self._runs
        return above / question.run_id / "answers" / f"{question.key}.json"

    def _write(self, question: Question, asked_at: float, attempts: int) -> None:
        text = json.dumps({**asdict(question), "asked_at": asked_at, "attempts": attempts})
        path = self._waiting / f"{question.run_id}.{question.key}.ask"
        write_atomically(path, lambda target: target.write_text(text, "utf-8"))

    def _answer(self, question: Question) -> Answer | Problem | None:
        path = self._path(question)
        try:
            written = path.stat().st_mtime_ns
            known = self._read.get(path)
            if known is not None and known[0] == written:
                return known[1]
            stored = json.loads(path.read_text("utf-8"))
            if stored["version"] != VERSION:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        found = Problem(str(stored["problem"])) if "problem" in stored else Answer(stored["answer"])
        with self._lock:
            self._read[path] = (written, found)
            while len(self._read) > 64:  # a page shows a handful
                self._read.pop(next(iter(self._read)))
        return found

    def _keep(self, question: Question, stored: dict[str, Any]) -> None:
        path = self._path(question)
        if not bundled.is_bundled(question.run_id) and not path.parent.parent.is_dir():
            return  # the run was deleted meanwhile
        text = json.dumps(stored)
        if len(text) > MOST_BYTES:
            text = json.dumps({"version": VERSION, "problem": "The answer is too large to be kept and drawn."})
        write_atomically(path, lambda target: target.write_text(text, "utf-8"))
        kept = sorted(path.parent.glob("*.json"), key=_modified)
        for old in kept[:-MOST_ANSWERS]:
            old.unlink(missing_ok=True)

    def _let_go(self, question: Question, worker_id: str) -> None:
        (self._waiting / f"{question.run_id}.{question.key}.ask-{worker_id}").unlink(missing_ok=True)

    def _take_up(self, path: Path) -> None:
        """A question whose worker died: put it again, or give it up."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            stored = json.loads(path.read_text("utf-8"))
            question, attempts = _question(stored), int(stored["attempts"]) + 1
            if attempts >= MOST_ATTEMPTS:
                message = f"The worker died {attempts} times in a row at this question: see worker.log."
                self._keep(question, {"version": VERSION, "problem": message})
            else:
                self._write(question, float(stored["asked_at"]), attempts)
        path.unlink(missing_ok=True)


def _question(stored: dict[str, Any]) -> Question:
    return Question(str(stored["run_id"]), stored["kind"], stored["feature"])


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
