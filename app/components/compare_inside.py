"""What the worker found inside the runs: segments, experts, curves on the test rows, and experts switched off."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import analysis, comparing, wording
from app.charts.inside import matrix, off_bars
from app.charts.order import by_owner, drawing_order
from app.charts.palette import QUIET, expert_colour, task_colours
from app.charts.quality import AXES, Kind, QualityLine, quality_figure
from app.charts.runs import WORDS
from app.charts.still_compare import quality_svg
from app.comparing import UNIT, Compared, plain
from app.components.compare_asked import ask_about
from app.components.compare_view import abreast, card, level_choice
from app.components.figure_files import offered, remember
from app.components.live import live_chart
from app.components.url_choice import url_choice
from app.figures import of_plotly
from mtl_core.gating import POLARISED
from mtl_core.trunks.wiring import gate_key

Answered = Sequence[tuple[Compared, dict[str, Any]]]
#: Above so large a share of zeros an expert is next to dead.
DEAD = 0.9
CURVES = {"roc": "ROC", "precision_recall": "Precision-recall", "reliability": "Reliability"}


def _answers(found: Answered) -> dict[int, dict[str, Any]]:
    return {run.number: content for run, content in found}


def _level(runs: Sequence[Compared]) -> int:
    return level_choice(max(len(run.wiring.levels) for run in runs))


# Segments


def segments_section(runs: Sequence[Compared]) -> None:
    """Mean gate weights by the values of a column."""
    columns = common_columns(runs)
    if not columns:
        st.info("These runs have no column in common: compare runs of the same data to cut them alike.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        feature = url_choice(
            "Cut the rows by", list(columns), next(iter(columns)), "by", lambda name: columns[name], width=320,
            help="Numbers are cut into five equal parts, categories by frequent values, sequences by length.",
        )  # fmt: skip
        level = _level(runs)

    def draw(found: Answered) -> None:
        for run in abreast([run for run, _ in found]):
            _segments_card(run, _answers(found)[run.number], min(level, len(run.wiring.levels)))

    ask_about(runs, "segments", draw, feature=feature)
    if columns[feature] != feature:
        st.caption(f"{feature} is part of this made world's truth: no model sees it.")


def common_columns(runs: Sequence[Compared]) -> dict[str, str]:
    """Columns that all these data have -> how the list calls them. Hidden ones, which no model sees, come first."""
    found: list[dict[str, str]] = []
    for run in runs:
        schema = analysis.keys(run.record).spec.schema
        hidden = {name: f"{name} (hidden truth)" for name in schema.hidden}
        found.append({**hidden, **{feature.name: feature.name for feature in schema.features}})
    return {name: title for name, title in found[0].items() if all(name in other for other in found)}


def _segments_card(run: Compared, content: dict[str, Any], level: int) -> None:
    chosen = run.wiring.levels[level - 1]
    order = drawing_order(chosen)
    rows = [
        (f"{name} ({wording.count(n)})", QUIET) for name, n in zip(content["segments"], content["rows"], strict=True)
    ]
    widest: tuple[float, str] | None = None
    with card(run, f"by {content['feature']}"):
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
                    high, low = (content["segments"][column.index(pick(column))] for pick in (max, min))
                    what = f"{gate.name} gives {chosen.experts[e].name} {max(column):.2f} where {content['feature']} is"
                    widest = (spread, f"{what} {high}, {min(column):.2f} where it is {low}")
            st.markdown(f"**Gate of {gate.name}**")
            drawing = matrix(rows, [chosen.experts[e].name for e in order], values, (0.0, 1.0), what="mean weight")
            live_chart(drawing, f"{run.name}. Mean weights of the gate of {gate.name} by {content['feature']}.")
        if widest is None:
            st.caption("This level has no gates.")
        elif widest[0] < 0.02:
            st.caption(f"{plain(run)} treats all these segments alike (within {widest[0]:.2f}).")
        else:
            st.caption(f"{plain(run)}: {widest[1]}.")
        st.caption(f"{sum(content['rows']):,} validation rows, tested epoch. Rows in brackets.")


# Experts


def experts_section(runs: Sequence[Compared]) -> None:
    """Gate measures, which every run carries; dead units and similarity, which the worker finds out."""
    level = _level(runs)
    for run in abreast(runs):
        own = min(level, len(run.wiring.levels))
        with card(run, "how gates choose"):
            table = comparing.gate_rows(run, own, run.history.gates)
            if not table.empty:
                st.table(table, border="horizontal", hide_index=True, alt=f"{run.name}. Measures of each gate")
            st.caption(comparing.utilisation_sentence(run, own, run.history.gates))
    st.caption(
        "Entropies are shares of the largest possible one: 0 is one expert, 1 is all alike. Of a row: how sharply "
        "single rows choose. Of the mean: how evenly all rows together use the experts. Polarised: rows that give one "
        f"expert more than {POLARISED:g} (our threshold). Hardly used: a mean weight below a tenth of an equal share."
    )

    def draw(found: Answered) -> None:
        for run in abreast([run for run, _ in found]):
            _experts_card(run, _answers(found)[run.number], min(level, len(run.wiring.levels)))
        st.caption(
            "Similarity: linear CKA of what two experts send for the same rows, centred; 1 is the same up to rotation "
            f"and scale, 0 is unrelated. Zeros: share of activations that are exactly 0; above {DEAD:.0%} is an alarm."
        )

    ask_about(runs, "experts", draw)


def _experts_card(run: Compared, content: dict[str, Any], level: int) -> None:
    found = next((part for part in content["levels"] if part["level"] == level), None)
    with card(run, "how alike experts are"):
        if found is None:
            st.caption("This level mixes layers and has no networks of its own.")
            return
        order = by_owner(found["owners"])
        names = [found["experts"][e] for e in order]
        values = [[found["similarity"][a][b] if a != b else None for b in order] for a in order]
        rows = [(found["experts"][e], expert_colour(found["owners"][e])) for e in order]
        extent = 9 * max(len("zeros"), *map(len, names))
        sentence = similarity_sentence(found)
        if len(order) > 1:
            drawing = matrix(rows, names, values, (0.0, 1.0), what="linear CKA", missing="", extent=extent)
            live_chart(drawing, f"{run.name}. Similarity of every two experts. {sentence}")
        zeros = [[found["zeros"][e] for e in order]]
        live_chart(
            matrix([("zeros", QUIET)], names, zeros, (0.0, 1.0), what="share of zeros", extent=extent),
            f"{run.name}. Share of zero activations of each expert.",
        )
        st.caption(f"{sentence} {dead_sentence(found)}")
        st.caption(f"First {content['rows']:,} {content['split']} rows, tested epoch.")


def similarity_sentence(found: dict[str, Any]) -> str:
    """Which two experts are most alike."""
    pairs = [
        (value, a, b)
        for a, row in enumerate(found["similarity"])
        for b, value in enumerate(row)
        if a < b and value is not None
    ]
    if not pairs:
        return "There are no two living experts to compare."
    value, a, b = max(pairs)
    names = f"{found['experts'][a]} and {found['experts'][b]}"
    least = min(pairs)[0]
    if len(pairs) == 1:
        return f"The similarity of {names} is {value:.2f}."
    return f"Most alike are {names} ({value:.2f}); the least alike two have {least:.2f}."


def dead_sentence(found: dict[str, Any]) -> str:
    """Which experts are next to dead."""
    dead = [f"{name} ({z:.0%} zeros)" for name, z in zip(found["experts"], found["zeros"], strict=True) if z > DEAD]
    if dead:
        return f":material/warning: Next to dead: {wording.join(dead)}."
    return f"No expert is dead: at most {max(found['zeros']):.0%} of one's activations are 0."


# Curves on the test rows


def quality_section(runs: Sequence[Compared]) -> None:
    """ROC, precision-recall or reliability of each task, all runs in one panel."""
    kind = url_choice(
        "Curve", list(CURVES), "roc", "curve", CURVES.__getitem__, control=st.segmented_control, required=True
    )

    def draw(found: Answered) -> None:
        panels = quality_panels(found, kind)
        if not panels:
            st.caption(f"{CURVES[kind]} curves need a task with two outcomes, both of them in the test rows.")
            return
        sentence = quality_sentence(found, kind)
        with st.container(border=True), offered(f"compare-{kind}"):
            figure = _quality_figure(kind, panels)
            told = f"{CURVES[kind]} curves, a panel per task and a line per run. {sentence}"
            st.plotly_chart(figure, width="stretch", key=f"quality.{kind}", alt=told)
            remember(of_plotly(told, figure, lambda: quality_svg(kind, panels)))
            st.caption(sentence)
            legend = [f"{run.name}: {WORDS[run.number - 1]}" for run, _ in found]
            sizes = {t: v["rows"] for _, content in found for t, v in content["tasks"].items()}
            rows = wording.join([f"{task} {wording.count(n)}" for task, n in sizes.items()])
            st.caption(f"{' · '.join(legend)} · test rows: {rows}. {QUALITY_NOTES[kind]}")

    ask_about(runs, "quality", draw)


QUALITY_NOTES = {
    "roc": "Grey: guessing.",
    "precision_recall": "AP: average precision; guessing has the share of positives.",
    "reliability": "Bins of equal numbers of rows. Grey: as often as predicted. PCOC: predicted over observed "
    "positives, 1 is perfect, above is too high. ECE: mean distance from the grey line.",
}
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
    pcoc = "undefined" if metrics["pcoc"] is None else f"{metrics['pcoc']:.3f}"
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
                much = "right on average" if abs(off) < 0.02 else f"{abs(off):.0%} too {'high' if off > 0 else 'low'}"
                said.append(f"{plain(run)} predicts {much}")
            else:
                said.append(f"{plain(run)} {_score(values, kind)}")
        if said:
            parts.append(f"{task}: {', '.join(said)}")
    return "; ".join(parts) + "."


@lru_cache(maxsize=64)
def _quality_figure(kind: Kind, panels: Panels) -> go.Figure:
    assert kind in AXES
    return quality_figure(kind, panels)


# What if


def what_if_section(runs: Sequence[Compared]) -> None:
    """Every expert switched off, one at a time."""
    st.markdown(
        "**What if one expert were switched off?** Its gate weight becomes 0, the other weights are scaled up to sum "
        "to 1 again, nothing is trained anew, and the test rows are scored."
    )

    def draw(found: Answered) -> None:
        changes = [
            UNIT * value
            for _, content in found
            for entry in content["off"]
            for value in entry["change"].values()
            if value is not None
        ]
        low, high = min([0.0, *changes]), max([0.0, *changes])
        for run in abreast([run for run, _ in found]):
            _off_card(run, _answers(found)[run.number], low, high)

    ask_about(runs, "switch_off", draw, key="off")


def _off_card(run: Compared, content: dict[str, Any], low: float, high: float) -> None:
    several = len(run.wiring.levels) > 1
    with card(run, "without one expert"):
        rows = []
        for entry in content["off"]:
            name = f"{entry['level']}: {entry['expert']}" if several else entry["expert"]
            for task, value in entry["change"].items():
                said = None if value is None else f"{task} {wording.signed(UNIT * value)}"
                rows.append((f"without {name}", task, said or "", None if value is None else UNIT * value))
        sentence = off_sentence(run, content)
        tasks = list(task_colours(run.tasks).items())
        live_chart(
            off_bars(rows, tasks, low, high), f"{run.name}. Change of each task's score without one expert. {sentence}"
        )
        st.caption(sentence)
        if note := comparing.kind_note(run):
            st.caption(f":material/info: {note} So what the expert sends becomes 0, and nothing is scaled up.")
        before = wording.join([f"{task} {wording.auc(value)}" for task, value in content["before"].items()])
        numbers = set(content["kinds"].values())
        metric = "AUC" if numbers == {"binary"} else "AUC or MSE (a gain is upwards)"
        with st.expander("As a table"):
            st.table(off_table(content, several), border="horizontal", alt="Change of each score without one expert")
        st.caption(f"With all experts: {metric} {before}, {content['rows']:,} test rows. One model, no interval.")


def off_table(content: dict[str, Any], several: bool) -> pd.DataFrame:
    """One row per expert, one column per task, in thousandths."""
    rows = {
        (f"{e['level']}: {e['expert']}" if several else e["expert"]): [
            "undefined" if value is None else wording.signed(UNIT * value) for value in e["change"].values()
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
        where = f" of level {entry['level']}" if several else ""
        if value >= -0.0005:
            parts.append(f"{task} would miss no expert")
        else:
            parts.append(
                f"{task} would miss {entry['expert']}{where} most ({wording.signed(UNIT * value)} thousandths)"
            )
    return f"{plain(run)}: {'; '.join(parts)}." if parts else f"{plain(run)} has no score to lose."
