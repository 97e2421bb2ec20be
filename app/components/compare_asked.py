"""Asks the worker about runs, says how that stands, and hands on what came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import analysis, own_files, services, wording
from app.comparing import Compared
from app.core_sentences import sentence
from app.i18n import tr, trn
from app.jobs import bundled
from app.jobs.questions import MOST_WAITING, WEIGHTS, Answer, Kind, Problem, Question, Questions, Waiting
from app.jobs.records import RunRecord
from app.library import is_example

TICK = "1s"
Draw = Callable[[Sequence[tuple[Compared, dict[str, Any]]]], None]


@dataclass(frozen=True)
class Standing:
    """Where an answer about a run comes from, and how it stands."""

    run: Compared
    #: The run that has the weights: this one, or its equal that was trained here.
    source: RunRecord | None
    #: Its equal that is under way.
    coming: RunRecord | None
    look: Waiting | Answer | Problem | None
    question: Question | None


def questions() -> Questions:
    """Those of the store that the pages see."""
    return _questions(services.library().store.home)


_kept: dict[Any, Questions] = {}


def _questions(home: Any) -> Questions:
    return _kept.setdefault(home, Questions(home))


def ask_about(runs: Sequence[Compared], kind: Kind, draw: Draw, feature: str | None = None, key: str = "") -> None:
    """Ask about every run, show what is known so far, and draw again as soon as more is.

    Args:
        runs: the runs.
        kind: what is asked.
        draw: draws the answers that are there.
        feature: for segments.
        key: tells the controls of two askings on a page apart.
    """
    waits = any(_waits(s) for s in _standings(runs, kind, feature, ask=True))
    st.fragment(_section, run_every=TICK if waits else None)(runs, kind, draw, feature, key or kind, waits)


def _waits(standing: Standing) -> bool:
    return isinstance(standing.look, Waiting) or standing.coming is not None


def _section(runs: Sequence[Compared], kind: Kind, draw: Draw, feature: str | None, key: str, waited: bool) -> None:
    standings = _standings(runs, kind, feature, ask=True)
    waits = any(_waits(s) for s in standings)
    if waits != waited:
        st.rerun()  # the timer of a fragment is set when the page is drawn
    if waits:
        services.executor().ensure_worker() if any(s.coming for s in standings) else services.executor().warm()
    _say(standings, key)
    answered = [(s.run, s.look.content) for s in standings if isinstance(s.look, Answer)]
    if answered:
        draw(answered)


def _standings(runs: Sequence[Compared], kind: Kind, feature: str | None, *, ask: bool) -> list[Standing]:
    store, found = questions(), []
    records = services.library().store.runs()
    for run in runs:
        source, coming = source_of(run.record, records)
        if source is None:
            found.append(Standing(run, None, coming, None, None))
            continue
        question = Question(source.id, kind, feature)
        look = store.look(question)
        if look is None and ask:
            store.ask(question)
            look = store.look(question)
        found.append(Standing(run, source, None, look, question))
    return found


def source_of(record: RunRecord, records: Sequence[RunRecord]) -> tuple[RunRecord | None, RunRecord | None]:
    """The run whose weights can be looked into: this one, else an equal one; and an equal one that is under way."""
    store = services.library().store
    if bundled.weights_folder(record.id) is not None:
        return record, None
    if not is_example(record.id) and (store.folder(record.id) / WEIGHTS).is_file():
        return record, None
    wanted = analysis.keys(record).run
    equal = [r for r in records if r.dataset == record.dataset and analysis.keys(r).run == wanted]
    for other in equal:
        if other.state == "finished" and (store.folder(other.id) / WEIGHTS).is_file():
            return other, None
    return None, next((other for other in equal if other.open), None)


def _say(standings: Sequence[Standing], key: str) -> None:
    """One line per thing that is not as it should be, and one button where something can be done."""
    if any(s.coming for s in standings):
        names = wording.join([s.run.name for s in standings if s.coming is not None])
        coming = tr("{runs}: being trained here, as the line above says. The answer follows.", runs=names)
        st.caption(f":material/hourglass: {coming}")
    waiting = [s for s in standings if isinstance(s.look, Waiting)]
    if waiting:
        _say_waiting(waiting)
    if any(s.question is not None and s.look is None for s in standings):
        st.caption(tr("{n} questions wait for the worker already: come back in a moment.", n=MOST_WAITING))
    for s in standings:
        if isinstance(s.look, Problem):
            with st.container(horizontal=True, vertical_alignment="center"):
                said = tr("{run}: {problem}", run=s.run.name, problem=sentence(s.look.message))
                st.markdown(f":material/error: {said}")
                st.button(
                    tr("Ask again"), key=f"{key}.again.{s.run.number}", type="tertiary", on_click=_ask_again,
                    args=(s.question,),
                )  # fmt: skip
    missing = [s.run for s in standings if s.source is None and s.coming is None]
    if missing:
        names = wording.join([run.name for run in missing])
        seconds = sum(run.record.train_seconds for run in missing)
        if all(is_example(run.record.id) for run in missing):
            why = tr(
                "Not every bundled example carries its weights, so nobody can look inside {runs} yet.",
                runs=names,
            )
        else:
            why = tr("Some weights were not kept, so nobody can look inside {runs} yet.", runs=names)
        with st.container(border=True):
            st.markdown(wording.passage(why, tr("The same spec, trained here, gives the same model.")))
            absent = list(filter(None, (own_files.absent(run.record.spec["data"]) for run in missing)))
            time = wording.seconds(max(seconds, 1))
            st.button(
                trn("Train it here (about {time})", "Train them here (about {time})", len(missing), time=time),
                icon=":material/play_arrow:", key=f"{key}.anew", type="primary", on_click=_train_anew, args=(missing,),
                disabled=bool(absent),
            )  # fmt: skip
            for why in dict.fromkeys(absent):
                st.caption(why)
    stood_in = [s for s in standings if s.source is not None and s.source.id != s.run.record.id]
    if stood_in and not waiting:
        pairs = [tr("{run} by run {id}", run=s.run.name, id=s.source.id) for s in stood_in if s.source is not None]
        st.caption(tr("Answered for {runs}, trained here from the same spec.", runs=wording.join(pairs)))


def _say_waiting(waiting: Sequence[Standing]) -> None:
    names = wording.join([s.run.name for s in waiting])
    problem = services.executor().problem
    if problem:
        st.error(problem, title=tr("No worker to ask"))
        return
    looks = [s.look for s in waiting if isinstance(s.look, Waiting)]
    since = max(0.0, time.time() - min(look.asked_at for look in looks))
    asked: dict[str, Any] = {"runs": names, "time": wording.seconds(since)}
    if any(look.taken for look in looks):
        st.progress(0.5, text=tr("Asked about {runs} {time} ago: the worker is looking", **asked))
    else:
        st.progress(0.1, text=tr("Asked about {runs} {time} ago: waiting for the worker", **asked))


def _ask_again(question: Question) -> None:
    questions().forget(question)
    questions().ask(question)
    services.executor().warm()


def _train_anew(runs: Sequence[Compared]) -> None:
    store = services.library().store
    for run in runs:
        # An equal one without weights would else be the answer.
        store.submit(analysis.keys(run.record).spec, again=True)
    services.executor().ensure_worker()
