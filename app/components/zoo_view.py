"""The model zoo: a list to choose from, and one entry with its problem, picture, formula, paper and run."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import analysis, glossary, services, wording, zoo
from app.charts.architecture import architecture
from app.charts.first_steps import STEPS, first_step, first_step_sentence
from app.components.figure_files import offered
from app.components.live import live_chart
from app.components.setup_panel import ADOPTED, size_text
from app.components.url_choice import url_choice
from app.components.url_values import LOADING
from app.core_texts import title
from app.estimate import before_it, estimate
from app.i18n import core, mark, tr, trn
from app.jobs.records import RunRecord
from app.setup_values import query_of
from app.zoo import Entry
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec

#: Names in the link.
KIND, FAMILY, NAME, FIND = "kind", "family", "name", "find"
ALL = "all"
#: The section that explains words, beside those of systems and parts.
TERMS = "term"
LIST_HEIGHT = 660
#: What one part of a kind is called.
PART_KINDS = {
    "encoder": mark("encoder"), "trunk": mark("trunk"), "head": mark("head"), "balancer": mark("balancer"),
}  # fmt: skip


def chosen_entry() -> Entry | None:
    """Draw filters and list; the chosen entry, or None where nothing matches."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = url_choice(
            tr("Show"), [*zoo.KINDS, TERMS], "recipe", KIND, _kind,
            control=st.segmented_control, required=True, label_visibility="collapsed",
        )  # fmt: skip
        text = st.text_input(
            tr("Find"), key=FIND, bind="query-params", persist_state="page", icon=":material/search:", max_chars=60,
            placeholder=tr("Find: rare, gate, KDD, Zhao"), live=True, width=260, label_visibility="collapsed",
        )  # fmt: skip
    if kind == TERMS:
        _terms(text or "")
        return None
    _matching_terms(text or "")
    groups = [ALL, *zoo.families(kind)]
    of_family = ALL
    if len(groups) > 1:
        of_family = url_choice(
            tr("Problem") if kind == "recipe" else tr("Family"), groups, ALL, FAMILY, _family,
            control=st.pills, required=True, wrap=True, label_visibility="collapsed",
        )  # fmt: skip
    found = {entry.name: entry for entry in zoo.found(kind, None if of_family == ALL else of_family, text or "")}
    if not found:
        st.info(tr("Nothing here matches: take out a word, or choose another family."), icon=":material/search_off:")
        return None
    left, right = st.columns([2, 3])
    with left, st.container(height=LIST_HEIGHT, key="zoo.list"):
        name = url_choice(
            tr(zoo.KINDS[kind]), list(found), next(iter(found)), NAME, lambda n: f"**{core(found[n].title)}**",
            control=st.radio, captions=[_caption(entry) for entry in found.values()], label_visibility="collapsed",
        )  # fmt: skip
    with right:
        _entry(found[name])
    return found[name]


def _kind(kind: str) -> str:
    return tr("Terms") if kind == TERMS else tr(zoo.KINDS[kind])


def _terms(text: str) -> None:
    """The glossary, or what of it matches."""
    found = glossary.find(text)
    if not found:
        st.info(tr("No term matches: take out a word."), icon=":material/search_off:")
    with st.container(border=True):
        half = -(-len(found) // 2)
        for column, terms in zip(st.columns(2, gap="large"), (found[:half], found[half:]), strict=True):
            for term in terms:
                column.markdown(f"**{term.title}**  \n{tr(term.meaning)}")


def _matching_terms(text: str) -> None:
    """Where else a word was found: who looks for gate may want to know what one is."""
    words = [term.word for term in glossary.find(text) if text.strip().casefold() in tr(term.word).casefold()]
    if text.strip() and words:
        label = tr("What it means: {terms}", terms=wording.commas([tr(word) for word in words]))
        query = {KIND: TERMS, FIND: text}
        st.page_link("app_pages/zoo.py", label=label, icon=":material/menu_book:", query_params=query)


def _family(name: str) -> str:
    return wording.capital(tr("all") if name == ALL else core(name))


def _caption(entry: Entry) -> str:
    """What a system was built for, and when or for what paper; what a part does."""
    if entry.kind != "recipe":
        return core(entry.summary)
    return " · ".join(part for part in (zoo.origin(entry), core(entry.problem)) if part)


def _entry(entry: Entry) -> None:
    spec = zoo.spec_of(entry.kind, entry.name)
    with st.container(border=True):
        badge = f" :gray-badge[{core(entry.family)}]" if entry.family else ""
        st.markdown(f"### {core(entry.title)}{badge}")
        st.markdown(core(entry.problem))
        if entry.summary != entry.problem:
            st.caption(core(entry.summary))
        _run(entry, spec)
    with st.container(border=True), offered(f"{entry.kind}-{entry.name}"):
        if entry.kind == "balancer" and entry.name in STEPS:
            _step(entry)
        else:
            _picture(entry, spec)
    with st.container(border=True):
        _formula(entry)
        _paper(entry)
        _relations(entry, spec)


def _run(entry: Entry, spec: RunSpec) -> None:
    """What to press, and what is known before."""
    records = services.library().store.runs()
    known = next((r for r in records if r.spec_key == spec.key and (r.open or r.state == "finished")), None)
    size = parameter_count(spec)
    parts = [analysis.data_title(spec.to_json()), trn("{n} epoch", "{n} epochs", spec.training.epochs)]
    if entry.kind not in ("recipe", "trunk"):
        parts.append(tr("around {trunk}", trunk=title("trunk", spec.model.trunk.name)))
    told = tr("{claim}.", claim=wording.clauses([wording.commas(parts), size_text(size)]))
    st.caption(f":material/table_chart: {told}")
    with st.container(horizontal=True, vertical_alignment="center"):
        label = tr("Train")
        if known is not None:
            label = tr("Open its run") if known.state == "finished" else tr("Watch it train")
        if st.button(label, key="zoo.train", type="primary", icon=":material/play_arrow:"):
            run, _ = services.library().store.submit(spec)
            services.executor().ensure_worker()
            _to_playground(spec, run=run.id)
        if st.button(tr("Open in the playground"), key="zoo.open", icon=":material/tune:"):
            _to_playground(spec)
    if said := _result(known) or _time(spec, records):
        st.caption(said)


def _result(known: RunRecord | None) -> str | None:
    if known is None:
        return None
    if known.metrics_test is None:
        return tr("Epoch {n} of {all}.", n=min(known.epoch + 1, known.epochs), all=known.epochs)
    return tr("Trained here. Test {scores}; one seed proves nothing.", scores=wording.scores(known.metrics_test))


def _time(spec: RunSpec, records: list[RunRecord]) -> str | None:
    """What is known of the time it will take: an earlier run of the same parts, and who waits."""
    known = estimate(spec, None, [record for record in records if record.spec["model"] == spec.to_json()["model"]])
    ahead = sum(record.open for record in records)
    parts = [tr("about {time} of training", time=wording.seconds(known.seconds))] if known is not None else []
    parts += [before_it(ahead)] if ahead else []
    return tr("{claim}.", claim=wording.capital(wording.clauses(parts))) if parts else None


def _to_playground(spec: RunSpec, **more: str) -> None:
    """Open the playground with its controls set to this spec."""
    st.session_state[LOADING] = True
    st.session_state[ADOPTED] = spec.key
    st.switch_page("app_pages/playground.py", query_params={**query_of(spec), **more})


def _step(entry: Entry) -> None:
    """What a balancer makes of two gradients that pull apart."""
    sentence = first_step_sentence(entry.name, core(entry.title))
    st.markdown(tr("**What it does to two gradients**"))
    live_chart(first_step(entry.name), wording.passage(tr("Two gradients and two steps."), sentence), fixed=True)
    st.caption(sentence)
    st.caption(
        tr(
            "Two made gradients, 140° apart, A's longer by two thirds; both losses are 1. The first step of each rule, "
            "drawn as long as the plain sum: rules also differ in how long their steps are."
        )
    )


def _picture(entry: Entry, spec: RunSpec) -> None:
    picture = zoo.picture(spec.key, entry.kind, entry.name)
    sentence = zoo.picture_sentence(picture)
    st.markdown(tr("**Who sees whom**"))
    what = tr("Architecture of {name}.", name=core(entry.title))
    live_chart(architecture(picture.wiring, picture.tasks, meeting=picture.meeting), wording.passage(what, sentence))
    st.caption(sentence)
    gates = [gate for level in picture.wiring.levels for gate in level.gates]
    legend = wording.passage(
        tr("Grey: shared by all tasks. Tint: private to a task."),
        tr("Ring: a gate, which mixes what reaches it.") if any(gate.mixes for gate in gates) else "",
        tr("Diamond: a gate unit, which scales what passes it.") if any(gate.modulates for gate in gates) else "",
    )
    drawn, every = len(picture.tasks), len(picture.tasks) + picture.omitted
    omitted = tr("Drawn with {n} of its {all} tasks.", n=drawn, all=every) if picture.omitted else ""
    st.caption(wording.passage(legend, omitted))


def _formula(entry: Entry) -> None:
    st.markdown(tr("**What it computes**"))
    if entry.formula:
        st.latex(entry.formula)
    with st.expander(tr("More"), icon=":material/notes:") if entry.formula else st.container():
        for paragraph in entry.details or (entry.summary,):
            st.text(core(paragraph).replace("`", ""))
        rows = zoo.shown_options(zoo.sizes(entry.kind, entry.name))
        if rows:
            st.table(
                _sizes(rows), border="horizontal", hide_index=True, alt=tr("Options of {name}", name=core(entry.title))
            )


def _sizes(rows: list[zoo.Size]) -> pd.DataFrame:
    table: list[dict[str, Any]] = [
        {
            tr("option"): row.name,
            tr("default"): analysis.short(row.published),
            tr("here"): analysis.short(row.here),
            tr("meaning"): row.meaning,
        }
        for row in rows
    ]
    return pd.DataFrame(table)


def _paper(entry: Entry) -> None:
    card = entry.card
    if card is not None and card.paper:
        name = f"[{card.paper}]({entry.link})" if entry.link else card.paper
        where = ", ".join(str(part) for part in (card.venue, card.year) if part)
        role = tr("there a baseline of {system}", system=card.baseline_of) if card.baseline_of else ""
        told = [part.removesuffix(".") for part in (name, card.authors, where, wording.capital(role)) if part]
        st.caption(f":material/article: {'. '.join(told)}.")
    elif entry.link:
        name = tr("The paper")
        st.caption(f":material/article: [{name}]({entry.link})")


def _relations(entry: Entry, spec: RunSpec) -> None:
    """Links between systems and parts."""
    links = [("recipe", name) for name in zoo.used_by(entry.kind, entry.name)] if entry.kind != "recipe" else []
    if entry.kind == "recipe":
        links = list(zoo.parts_of(spec).items())
    if not links:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(tr("Made of") if entry.kind == "recipe" else tr("Part of"), width="content")
        for kind, name in links:
            label = title(kind, name)
            if kind != "recipe":
                label = tr("{part} ({kind})", part=label, kind=tr(PART_KINDS[kind]))
            st.page_link("app_pages/zoo.py", label=label, query_params={KIND: kind, NAME: name})
