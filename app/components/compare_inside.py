"""What the worker found inside the runs: segments, experts, curves on the test rows, and experts switched off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import analysis, comparing, gains, wording
from app.charts.fewer import fewer
from app.charts.labels import letters
from app.charts.matrix import matrix
from app.charts.order import by_owner, drawing_order
from app.charts.palette import QUIET, expert_colour, task_colours
from app.charts.quality import Kind, QualityLine, quality_figure
from app.charts.runs import WORDS
from app.charts.still_compare import quality_svg
from app.charts.what_if import off_changes
from app.comparing import Compared, plain
from app.components.compare_asked import ask_about
from app.components.compare_view import abreast, alt_text, card, level_choice
from app.components.figure_files import offered, remember
from app.components.live import live_chart
from app.components.url_choice import url_choice
from app.core_texts import gate_name
from app.figures import of_plotly
from app.i18n import by_language, mark, tr
from mtl_core.gating import POLARISED
from mtl_core.trunks.wiring import gate_key

Answered = Sequence[tuple[Compared, dict[str, Any]]]
#: What the worker calls the rows -> what people read.
SPLITS = {"validation": mark("validation"), "test": mark("test")}
#: Above so large a share of zeros an expert is next to dead.
DEAD = 0.9
CURVES = {"roc": "ROC", "precision_recall": mark("Precision-recall"), "reliability": mark("Reliability")}


def _answers(found: Answered) -> dict[int, dict[str, Any]]:
    return {run.number: content for run, content in found}


def _level(runs: Sequence[Compared]) -> int:
    return level_choice(max(len(run.wiring.levels) for run in runs))


# Segments


def segments_section(runs: Sequence[Compared]) -> None:
    """Mean gate weights by the values of a column."""
    columns = common_columns(runs)
    if not columns:
        st.info(tr("These runs have no column in common: compare runs of the same data to cut them alike."))
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        feature = url_choice(
            tr("Cut the rows by"), list(columns), next(iter(columns)), "by", lambda name: columns[name], width=320,
            help=tr("Numbers are cut into five equal parts, categories by frequent values, sequences by length."),
        )  # fmt: skip
        level = _level(runs)

    def draw(found: Answered) -> None:
        for run in abreast([run for run, _ in found]):
            _segments_card(run, _answers(found)[run.number], min(level, len(run.wiring.levels)))

    ask_about(runs, "segments", draw, feature=feature)
    if columns[feature] != feature:
        st.caption(tr("{column} is part of this made world's truth: no model sees it.", column=feature))


def common_columns(runs: Sequence[Compared]) -> dict[str, str]:
    """Columns that all these data have -> how the list calls them. Hidden ones, which no model sees, come first."""
    found: list[dict[str, str]] = []
    for run in runs:
        schema = analysis.keys(run.record).spec.schema
        hidden = {name: tr("{column} (hidden truth)", column=name) for name in schema.hidden}
        found.append({**hidden, **{feature.name: feature.name for feature in schema.features}})
    return {name: title for name, title in found[0].items() if all(name in other for other in found)}


def _segments_card(run: Compared, content: dict[str, Any], level: int) -> None:
    chosen = run.wiring.levels[level - 1]
    few = fewer(run.wiring, run.history.gates)
    order = [e for e in drawing_order(chosen) if e in few.kept[level - 1]]
    segments = [comparing.segment_name(name) for name in content["segments"]]
    rows = [
        (tr("{segment} ({rows})", segment=name, rows=wording.count(n)), QUIET)
        for name, n in zip(segments, content["rows"], strict=True)
    ]
    widest: tuple[float, str] | None = None
    with card(run, tr("by {column}", column=content["feature"])):
        for g in by_owner([gate.owner for gate in chosen.gates]):
            gate = chosen.gates[g]
            means = content["gates"].get(gate_key(level, gate.name))
            if means is None:
                continue
            values = [[row[e] if e in gate.sees else None for e in order] for row in means]
            for e in gate.sees:
                column = [row[e] for row in means]
                spread = max(column) - min(column)
                if widest is None or spread > widest[0]:
                    high, low = (segments[column.index(pick(column))] for pick in (max, min))
                    claim = tr(
                        "{gate} gives {expert} {most:.2f} where {column} is {high}, {least:.2f} where it is {low}",
                        gate=gate_name(gate), expert=chosen.experts[e].name, most=max(column), high=high,
                        column=content["feature"], least=min(column), low=low,
                    )  # fmt: skip
                    widest = (spread, claim)
            st.markdown(tr("**Gate of {gate}**", gate=gate_name(gate)))
            names = [chosen.experts[e].name for e in order]
            drawing = matrix(rows, names, values, (0.0, 1.0), what=tr("mean weight"), root=True)
            what = tr(
                "Mean weights of the gate of {gate} by {column}.", gate=gate_name(gate), column=content["feature"]
            )
            live_chart(drawing, alt_text(run, what))
        if left := few.note(level, run.history.gates):
            st.caption(left)
        if widest is None:
            st.caption(tr("This level has no gates."))
        elif widest[0] < 0.02:
            alike = tr(
                "{model} treats all these segments alike (within {spread:.2f}).", model=plain(run), spread=widest[0]
            )
            st.caption(alike)
        else:
            st.caption(tr("{model}: {claims}.", model=plain(run), claims=widest[1]))
        st.caption(tr("{n:,} validation rows, tested epoch. Rows in brackets.", n=sum(content["rows"])))


# Experts


def experts_section(runs: Sequence[Compared]) -> None:
    """Gate measures, which every run carries; dead units and similarity, which the worker finds out."""
    level = _level(runs)
    for run in abreast(runs):
        own = min(level, len(run.wiring.levels))
        with card(run, tr("how gates choose")):
            table = comparing.gate_rows(run, own, run.history.gates)
            if not table.empty:
                st.table(table, border="horizontal", hide_index=True, alt=alt_text(run, tr("Measures of each gate")))
            st.caption(comparing.utilisation_sentence(run, own, run.history.gates))
    st.caption(
        tr(
            "Entropies are shares of the largest possible one: 0 is one expert, 1 is all alike. Of a row: how sharply "
            "single rows choose. Of the mean: how evenly all rows together use the experts. Polarised: rows that give "
            "one expert more than {threshold:g} (our threshold). Hardly used: a mean weight below a tenth of an equal "
            "share.",
            threshold=POLARISED,
        )
    )

    def draw(found: Answered) -> None:
        for run in abreast([run for run, _ in found]):
            _experts_card(run, _answers(found)[run.number], min(level, len(run.wiring.levels)))
        st.caption(
            tr(
                "Similarity: linear CKA of what two experts send for the same rows, centred; 1 is the same up to "
                "rotation and scale, 0 is unrelated. Zeros: share of activations that are exactly 0; above "
                "{alarm:.0%} is an alarm.",
                alarm=DEAD,
            )
        )

    ask_about(runs, "experts", draw)


def _experts_card(run: Compared, content: dict[str, Any], level: int) -> None:
    found = next((part for part in content["levels"] if part["level"] == level), None)
    with card(run, tr("how alike experts are")):
        if found is None:
            st.caption(tr("This level mixes layers and has no networks of its own."))
            return
        few = fewer(run.wiring, run.history.gates)
        order = [e for e in by_owner(found["owners"]) if e in few.kept[level - 1]]
        names = [found["experts"][e] for e in order]
        values = [[found["similarity"][a][b] if a != b else None for b in order] for a in order]
        rows = [(found["experts"][e], expert_colour(found["owners"][e])) for e in order]
        extent = 9 * max(letters(tr("zeros")), *map(letters, names))
        sentence = similarity_sentence(found)
        if len(order) > 1:
            drawing = matrix(rows, names, values, (0.0, 1.0), what="linear CKA", missing="", extent=extent)
            live_chart(drawing, alt_text(run, tr("Similarity of every two experts."), sentence))
        zeros = [[found["zeros"][e] for e in order]]
        live_chart(
            matrix([(tr("zeros"), QUIET)], names, zeros, (0.0, 1.0), what=tr("share of zeros"), extent=extent),
            alt_text(run, tr("Share of zero activations of each expert.")),
        )
        if left := few.note(level, run.history.gates):
            st.caption(left)
        st.caption(wording.passage(sentence, dead_sentence(found)))
        split = tr(SPLITS.get(content["split"], content["split"]))
        st.caption(tr("First {n:,} {split} rows, tested epoch.", n=content["rows"], split=split))


def similarity_sentence(found: dict[str, Any]) -> str:
    """Which two experts are most alike."""
    pairs = [
        (value, a, b)
        for a, row in enumerate(found["similarity"])
        for b, value in enumerate(row)
        if a < b and value is not None
    ]
    if not pairs:
        return tr("There are no two living experts to compare.")
    value, a, b = max(pairs)
    names = wording.join([found["experts"][a], found["experts"][b]])
    if len(pairs) == 1:
        return tr("The similarity of {experts} is {value:.2f}.", experts=names, value=value)
    return tr(
        "Most alike are {experts} ({value:.2f}); the least alike two have {least:.2f}.",
        experts=names, value=value, least=min(pairs)[0],
    )  # fmt: skip


def dead_sentence(found: dict[str, Any]) -> str:
    """Which experts are next to dead."""
    dead = [
        tr("{expert} ({share:.0%} zeros)", expert=name, share=z)
        for name, z in zip(found["experts"], found["zeros"], strict=True)
        if z > DEAD
    ]
    if dead:
        return ":material/warning: " + tr("Next to dead: {experts}.", experts=wording.join(dead))
    return tr("No expert is dead: at most {share:.0%} of one's activations are 0.", share=max(found["zeros"]))


# Curves on the test rows


def quality_section(runs: Sequence[Compared]) -> None:
    """ROC, precision-recall or reliability of each task, all runs in one panel."""
    kind = url_choice(
        tr("Curve"), list(CURVES), "roc", "curve", _curve_name, control=st.segmented_control, required=True
    )

    def draw(found: Answered) -> None:
        panels = quality_panels(found, kind)
        if not panels:
            needs = tr(
                "{curve} curves need a task with two outcomes, both of them in the test rows.", curve=_curve_name(kind)
            )
            st.caption(needs)
            return
        sentence = quality_sentence(found, kind)
        with st.container(border=True), offered(f"compare-{kind}"):
            figure = _quality_figure(cast(Kind, kind), panels)
            what = tr("{curve} curves, a panel per task and a line per run.", curve=_curve_name(kind))
            told = wording.passage(what, sentence)
            st.plotly_chart(figure, width="stretch", key=f"quality.{kind}", alt=told)
            remember(of_plotly(told, figure, lambda: quality_svg(kind, panels)))
            st.caption(sentence)
            legend = [tr("{run}: {dash}", run=run.name, dash=tr(WORDS[run.number - 1])) for run, _ in found]
            sizes = {t: v["rows"] for _, content in found for t, v in content["tasks"].items()}
            rows = wording.join([f"{task} {wording.count(n)}" for task, n in sizes.items()])
            sized = " · ".join([*legend, tr("test rows: {rows}.", rows=rows)])
            st.caption(wording.passage(sized, tr(QUALITY_NOTES[kind])))

    ask_about(runs, "quality", draw)


QUALITY_NOTES = {
    "roc": mark("Grey: guessing."),
    "precision_recall": mark("AP: average precision; guessing has the share of positives."),
    "reliability": mark(
        "Bins of equal numbers of rows. Grey: as often as predicted. PCOC: predicted over observed positives, 1 is "
        "perfect, above is too high. ECE: mean distance from the grey line."
    ),
}


def _curve_name(kind: str) -> str:
    return tr(CURVES[kind])


Panels = tuple[tuple[str, int, tuple[QualityLine, ...]], ...]


def quality_panels(found: Answered, kind: str) -> Panels:
    """(task, its place, a line per run) of every task that has this curve."""
    panels: dict[str, tuple[int, list[QualityLine]]] = {}
    for run, content in found:
        for place, (task, values) in enumerate(content["tasks"].items()):
            points = values[kind]
            if points is None or not points[0]:
                continue
            line = QualityLine(run.name, run.number, tuple(points[0]), tuple(points[1]), _score(values, kind))
            panels.setdefault(task, (place, []))[1].append(line)
    return tuple((task, place, tuple(lines)) for task, (place, lines) in panels.items())


def _score(values: dict[str, Any], kind: str) -> str:
    metrics = values["metrics"]
    if kind == "roc":
        return f"AUC {wording.auc(metrics['auc'])}"
    if kind == "precision_recall":
        return f"AP {values['average_precision']:.4f}"
    if values["kind"] != "binary":
        return f"MSE {wording.auc(metrics['mse'])}"
    pcoc = tr("undefined") if metrics["pcoc"] is None else f"{metrics['pcoc']:.3f}"
    return f"PCOC {pcoc}, ECE {metrics['ece']:.3f}"


def quality_sentence(found: Answered, kind: str) -> str:
    """Who stands where, task by task."""
    parts = []
    for task in dict.fromkeys(task for _, content in found for task in content["tasks"]):
        said = []
        for run, content in found:
            values = content["tasks"].get(task)
            if values is None or values[kind] is None:
                continue
            if kind == "reliability" and values["kind"] == "binary" and values["metrics"]["pcoc"] is not None:
                off = values["metrics"]["pcoc"] - 1
                said.append(_calibration(plain(run), off))
            else:
                said.append(f"{plain(run)} {_score(values, kind)}")
        if said:
            parts.append(tr("{task}: {claims}", task=task, claims=wording.commas(said)))
    return tr("{claim}.", claim=wording.clauses(parts))


def _calibration(model: str, off: float) -> str:
    if abs(off) < 0.02:
        return tr("{model} predicts right on average", model=model)
    if off > 0:
        return tr("{model} predicts {share:.0%} too high", model=model, share=off)
    return tr("{model} predicts {share:.0%} too low", model=model, share=-off)


@by_language(maxsize=64)
def _quality_figure(kind: Kind, panels: Panels) -> go.Figure:
    return quality_figure(kind, panels)


# What if


def what_if_section(runs: Sequence[Compared]) -> None:
    """Every expert switched off, one at a time."""
    st.markdown(
        tr(
            "**What if one expert were switched off?** Its gate weight becomes 0, the other weights are scaled up to "
            "sum to 1 again, nothing is trained anew, and the test rows are scored."
        )
    )

    def draw(found: Answered) -> None:
        changes = [
            gains.scaled(value, content["kinds"][task])
            for _, content in found
            for entry in content["off"]
            for task, value in entry["change"].items()
            if value is not None
        ]
        low, high = min([0.0, *changes]), max([0.0, *changes])
        for run in abreast([run for run, _ in found]):
            _off_card(run, _answers(found)[run.number], low, high)

    ask_about(runs, "switch_off", draw, key="off")


def _off_card(run: Compared, content: dict[str, Any], low: float, high: float) -> None:
    several, kinds = len(run.wiring.levels) > 1, content["kinds"]
    with card(run, tr("without one expert")):
        rows: list[tuple[str, str, str, float | None]] = []
        for entry in content["off"]:
            # The card says "without": a level makes the name long enough.
            name = _whole_name(entry, several)
            without = name if several else tr("without {expert}", expert=name)
            for task, value in entry["change"].items():
                if value is None:
                    rows.append((without, task, "", None))
                else:
                    change = gains.scaled(value, kinds[task])
                    rows.append((without, task, f"{task} {gains.said(change, kinds[task])}", change))
        sentence = off_sentence(run, content)
        tasks = list(task_colours(run.tasks).items())
        live_chart(
            off_changes(rows, tasks, low, high, gains.units(kinds.values())),
            alt_text(run, tr("Change of each task's score without one expert."), sentence),
        )
        st.caption(sentence)
        if note := comparing.kind_note(run):
            note = wording.passage(note, tr("So what the expert sends becomes 0, and nothing is scaled up."))
            st.caption(f":material/info: {note}")
        before = [
            f"{task} {'AUC' if kinds[task] == 'binary' else 'MSE'} {wording.auc(value)}"
            for task, value in content["before"].items()
        ]
        with st.expander(tr("As a table")):
            what = tr("Change of each score without one expert")
            st.table(off_table(content, several), border="horizontal", alt=what)
        st.caption(
            tr(
                "With all experts: {scores}, {n:,} test rows. One model, no interval.",
                scores=wording.join(before), n=content["rows"],
            )
        )  # fmt: skip


def _whole_name(entry: dict[str, Any], several: bool) -> str:
    """An expert, with its level where there are several."""
    name: str = entry["expert"]
    return tr("{expert} of level {level}", expert=name, level=entry["level"]) if several else name


def off_table(content: dict[str, Any], several: bool) -> pd.DataFrame:
    """One row per expert, one column per task: thousandths of AUC, or percent of the error."""
    rows = {
        _whole_name(e, several): [
            tr("undefined") if value is None else gains.said(gains.scaled(value, kind), kind)
            for value, kind in ((value, content["kinds"][task]) for task, value in e["change"].items())
        ]
        for e in content["off"]
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(content["before"]))


def off_sentence(run: Compared, content: dict[str, Any]) -> str:
    """Whom each task would miss most."""
    parts = []
    several = len(run.wiring.levels) > 1
    for task in content["before"]:
        known = [(e["change"][task], e) for e in content["off"] if e["change"][task] is not None]
        if not known:
            continue
        value, entry = min(known, key=lambda pair: pair[0])
        expert, kind = _whole_name(entry, several), content["kinds"][task]
        if value >= -0.0005:
            parts.append(tr("{task} would miss no expert", task=task))
        else:
            loss = gains.said(gains.scaled(value, kind), kind)
            parts.append(
                tr(
                    "{task} would miss {expert} most ({loss}, {unit})",
                    task=task, expert=expert, loss=loss, unit=gains.unit(kind),
                )
            )  # fmt: skip
    if not parts:
        return tr("{model} has no score to lose.", model=plain(run))
    return tr("{model}: {claims}.", model=plain(run), claims=wording.clauses(parts))
