"""Runs beside each other: their names, what can be said of their scores, sizes and gates, and which epoch is shown.

Sentences are computed from the numbers; a difference is claimed only where an interval over paired seeds allows it. No
Streamlit, no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from app import analysis, gains, wording
from app.core_texts import gate_name, title
from app.i18n import ENGLISH, language, tr
from app.jobs.records import RunRecord
from app.library import History
from mtl_core import gating
from mtl_core.comparison import Interval, gain, paired_interval
from mtl_core.events import GateSummary
from mtl_core.trunks.wiring import Wiring, gate_key

#: The epoch slider's last stop: every run's own tested epoch.
TESTED = "tested"
#: Of so many runs everything is said at the top; of more, who listens to whom stands with each run's gates alone.
FEW = 3
#: From so much on a ratio of sizes is told in times, not in percent.
MANY_TIMES = 3


@dataclass(frozen=True)
class Compared:
    """One of the runs on the page."""

    number: int
    #: What tells it from the others, beginning with its number: "1 MMoE".
    name: str
    record: RunRecord
    history: History

    @property
    def wiring(self) -> Wiring:
        """Who sees whom."""
        return analysis.wiring(self.record, self.history)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Task names in order."""
        return analysis.keys(self.record).spec.schema.task_names

    def gates_at(self, epoch: str) -> dict[str, GateSummary]:
        """The gates of an epoch, or of the last one before it that was kept; of the tested one."""
        if epoch == TESTED:
            return self.history.gates
        kept = [e.gates for e in self.history.epochs if e.gates and e.epoch <= int(epoch)]
        return kept[-1] if kept else {}

    def epoch_at(self, epoch: str) -> int:
        """The number of that epoch."""
        if epoch == TESTED:
            return self.record.best_epoch or self.record.epoch
        return min(int(epoch), self.record.epoch)


def name_runs(records: Sequence[RunRecord]) -> list[str]:
    """Short names that tell these runs apart, numbered: model, then options, data and seed as far as they differ."""
    specs = [analysis.keys(record).spec for record in records]
    labels = analysis.variant_labels(specs, with_budgets=True)
    if len({analysis.data_title(record.spec) for record in records}) > 1:
        labels = [on_data(label, record.spec) for label, record in zip(labels, records, strict=True)]
    twice = {label for label in labels if labels.count(label) > 1}
    seeds = [
        tr("{model}, seed {seed}", model=label, seed=spec.seed) if label in twice else label
        for label, spec in zip(labels, specs, strict=True)
    ]
    return [f"{number} {label}" for number, label in enumerate(seeds, start=1)]


def on_data(label: str, spec: Mapping[str, Any]) -> str:
    """A model's name with its data."""
    return tr("{model} on {data}", model=label, data=analysis.data_title(spec))


def epochs_shown(runs: Sequence[Compared]) -> list[str]:
    """The stops of the epoch slider."""
    last = max((run.record.epoch for run in runs), default=0)
    return [*map(str, range(1, last + 1)), TESTED]


# The table


def table(runs: Sequence[Compared]) -> pd.DataFrame:
    """What was measured, then the options that differ: one row each, one column per run."""
    rows: dict[str, list[str]] = {}
    tasks = list(dict.fromkeys(task for run in runs for task in run.tasks))
    for task in tasks:
        kinds = {t.kind for run in runs for t in analysis.keys(run.record).spec.schema.tasks if t.name == task}
        metric = "MSE" if kinds == {"regression"} else "AUC"
        rows[tr("test {metric}, {task}", metric=metric, task=task)] = [_score(run, task) for run in runs]
    rows[tr("parameters")] = [f"{run.record.parameters or 0:,}" for run in runs]
    rows[tr("training")] = [wording.seconds(run.record.train_seconds) for run in runs]
    rows[tr("samples per second")] = ["" if (v := speed(run)) is None else wording.count(v) for run in runs]
    rows[tr("tested epoch")] = [tr("{n} of {all}", n=run.record.best_epoch or 0, all=run.record.epochs) for run in runs]
    names = [run.name for run in runs]
    measured = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    return pd.concat([measured, differing(runs)])


def differing(runs: Sequence[Compared]) -> pd.DataFrame:
    """The options that differ: one row each."""
    return analysis.differences([analysis.keys(run.record).spec for run in runs], [run.name for run in runs])


def _score(run: Compared, task: str) -> str:
    metrics = (run.record.metrics_test or {}).get(task)
    return "" if metrics is None else wording.auc(metrics.get(analysis.metric_name(metrics)))


def speed(run: Compared) -> float | None:
    """Training samples per second over the whole run."""
    if run.history.started is None or not run.record.train_seconds:
        return None
    return run.history.started.rows["train"] * run.record.epoch / run.record.train_seconds


# What the numbers say


@dataclass(frozen=True)
class Difference:
    """One model against another on one task over paired seeds: thousandths of AUC, or percent less MSE."""

    task: str
    kind: str
    interval: Interval


def paired(first: Compared, other: Compared, records: Sequence[RunRecord]) -> list[Difference]:
    """How much better `other` is than `first`, over all seeds that both variants have among the finished runs.

    Empty where data or budget differ: such scores cannot be compared.
    """
    keys = analysis.keys(first.record), analysis.keys(other.record)
    if keys[0].budget != keys[1].budget:
        return []
    by_seed: tuple[dict[int, RunRecord], dict[int, RunRecord]] = ({}, {})
    for record in (first.record, other.record, *records):
        if record.state != "finished" or record.metrics_test is None:
            continue
        known = analysis.keys(record)
        for which in (0, 1):
            if known.variant == keys[which].variant:
                by_seed[which].setdefault(known.spec.seed, record)
    if keys[0].variant == keys[1].variant:  # two seeds of one model: there is nothing to pair
        return []
    seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
    found = []
    for task in keys[0].spec.schema.tasks:
        found_gains = []
        for seed in seeds:
            ours, theirs = ((by_seed[which][seed].metrics_test or {}).get(task.name, {}) for which in (1, 0))
            value = gain(ours, theirs, task.kind)
            if value is not None:
                found_gains.append(gains.scaled(value, task.kind))
        if found_gains:
            found.append(Difference(task.name, task.kind, paired_interval(found_gains)))
    return found


def score_sentence(first: Compared, other: Compared, records: Sequence[RunRecord]) -> str:
    """Who is better at what, as far as the seeds tell."""
    a, b = plain(first), plain(other)
    keys = analysis.keys(first.record), analysis.keys(other.record)
    if keys[0].budget != keys[1].budget:
        return tr(
            "{a} and {b} were trained on other data or with another budget, so their scores cannot be compared.",
            a=a, b=b,
        )  # fmt: skip
    if keys[0].variant == keys[1].variant:
        return tr("{a} and {b} are the same model: whatever differs is chance.", a=a, b=b)
    found = paired(first, other, records)
    if not found:
        return tr(
            "{a} and {b} have no seed in common: train both with the same seed to compare their scores.", a=a, b=b
        )
    seeds = max(d.interval.n for d in found)
    numbers = wording.join([f"{d.task} {gains.interval(d.interval, d.kind)}" for d in found])
    units = gains.units(d.kind for d in found)
    if seeds == 1:
        return tr(
            "{b} minus {a}: {numbers} ({units}) on the test rows. That is one seed and proves nothing.",
            a=a, b=b, numbers=numbers, units=units,
        )  # fmt: skip
    claims = [_claim(a, b, found)]
    rest = [d.task for d in found if d.interval.verdict == "not distinguishable"]
    if 0 < len(rest) < len(found):
        claims.append(tr("on {tasks} no difference can be told from chance", tasks=wording.join(rest)))
    return tr(
        "{claim}. {b} minus {a}: {numbers} ({units} on the test rows, 95% interval over {seeds} paired seeds).",
        claim=wording.clauses(claims), a=a, b=b, numbers=numbers, units=units, seeds=seeds,
    )  # fmt: skip


def _claim(a: str, b: str, found: Sequence[Difference]) -> str:
    """Who wins where."""
    won, lost = ([d.task for d in found if d.interval.verdict == verdict] for verdict in ("gains", "loses"))
    if won and lost:
        prize, price = wording.join(won), wording.join(lost)
        return tr("{b} beats {a} on {won} and pays with {lost}", a=a, b=b, won=prize, lost=price)
    everywhere = len(found) > 1 and len(won or lost) == len(found)
    if won and everywhere:
        return tr("{b} beats {a} on every task", a=a, b=b)
    if won:
        return tr("{b} beats {a} on {won}", a=a, b=b, won=wording.join(won))
    if lost and everywhere:
        return tr("{b} loses to {a} on every task", a=a, b=b)
    if lost:
        return tr("{b} loses to {a} on {lost}", a=a, b=b, lost=wording.join(lost))
    return tr("No difference between {a} and {b} can be told from chance", a=a, b=b)


def size_sentence(first: Compared, other: Compared) -> str:
    """Parameters and speed, `other` against `first`."""
    a, b = first.record, other.record
    size = pace = None
    if a.parameters and b.parameters:
        change = b.parameters / a.parameters - 1
        if abs(change) < 0.005:
            size = tr("has as many parameters as {other}", other=plain(first))
        elif change >= MANY_TIMES - 1:
            size = tr("has {n:.0f} times as many parameters as {other}", n=1 + change, other=plain(first))
        elif change > 0:
            size = tr("has {share:.0%} more parameters than {other}", share=change, other=plain(first))
        else:
            size = tr("has {share:.0%} fewer parameters than {other}", share=-change, other=plain(first))
    speeds = speed(first), speed(other)
    if speeds[0] and speeds[1]:
        ratio = speeds[1] / speeds[0]
        pace = tr("trained as fast") if 0.9 < ratio < 1.1 else tr("trained at {share:.0%} of its speed", share=ratio)
        if a.device != b.device:
            pace = tr("{pace} ({device} against {other})", pace=pace, device=b.device, other=a.device)
    if size and pace:
        return tr("{model} {size} and {pace}.", model=plain(other), size=size, pace=pace)
    return tr("{model} {claim}.", model=plain(other), claim=size or pace) if size or pace else ""


def plain(run: Compared) -> str:
    """A run's name within a sentence: without its number, unless it needs that."""
    return run.name.split(" ", 1)[1]


def sentences(runs: Sequence[Compared], records: Sequence[RunRecord]) -> list[str]:
    """What the numbers show: scores and size of each run against the first; of a few runs also who listens to whom."""
    first, *others = runs
    found = [wording.passage(score_sentence(first, other, records), size_sentence(first, other)) for other in others]
    for run in runs if len(runs) <= FEW else ():
        said = wording.gates_sentence(run.wiring, run.tasks, run.history.gates, analysis.meeting(run.record))
        said = said[0].lower() + said[1:] if said.startswith(("From ", "All ", "Every ", "There ", "On ")) else said
        found.append(tr("{model}: {claim}", model=plain(run), claim=said))
    return found


# Gates

_NUMBER = r"(-?\d[\d.]*(?:e[-+]\d+)?)"


def segment_name(name: str) -> str:
    """A segment of rows, which the worker has named in English."""
    if found := re.fullmatch(f"up to {_NUMBER}", name):
        return tr("up to {value:.3g}", value=float(found[1]))
    if found := re.fullmatch(f"above {_NUMBER}", name):
        return tr("above {value:.3g}", value=float(found[1]))
    if found := re.fullmatch(f"{_NUMBER} to {_NUMBER}", name):
        return tr("{low:.3g} to {high:.3g}", low=float(found[1]), high=float(found[2]))
    return {"missing": tr("missing"), "other": tr("other values")}.get(name, name) if language() != ENGLISH else name


def gate_rows(run: Compared, level: int, gates: Mapping[str, GateSummary]) -> pd.DataFrame:
    """One row per gate of a level that chooses: what it uses, and how sharply."""
    chosen = run.wiring.levels[level - 1]
    rows = []
    for gate in chosen.gates:
        summary = gates.get(gate_key(level, gate.name))
        found = None if summary is None else gating.measures(gate, summary)
        if found is None:
            continue
        idle = [chosen.experts[e].name for e in found.idle]
        rows.append(
            {
                tr("gate"): gate_name(gate),
                tr("entropy of a row"): f"{found.row_entropy:.2f}",
                tr("entropy of the mean"): f"{found.mean_entropy:.2f}",
                tr("experts used per row"): tr("{n:.1f} of {all}", n=found.effective, all=len(gate.sees)),
                tr("polarised rows"): f"{found.polarised:.0%}",
                tr("hardly used"): wording.commas(idle) or tr("none"),
            }
        )
    return pd.DataFrame(rows)


def utilisation_sentence(run: Compared, level: int, gates: Mapping[str, GateSummary]) -> str:
    """How sharply the gates of a level choose, and whether all rows choose alike."""
    chosen = run.wiring.levels[level - 1]
    kinds = {gate.kind for gate in chosen.gates}
    parts = []
    for gate in chosen.gates:
        summary = gates.get(gate_key(level, gate.name))
        found = None if summary is None else gating.measures(gate, summary)
        if found is None:
            continue
        # The two entropies differ by as much as rows differ in what they choose.
        apart = found.mean_entropy - found.row_entropy
        told: dict[str, Any] = {"gate": gate_name(gate), "n": found.effective, "all": len(gate.sees)}
        if apart > 0.1:
            parts.append(tr("{gate} uses {n:.1f} of {all} experts per row, row by row differently", **told))
        else:
            parts.append(tr("{gate} uses {n:.1f} of {all} experts per row, much alike in every row", **told))
    if parts:
        return tr("{model}: {claims}.", model=plain(run), claims=wording.clauses(parts))
    if kinds == {"softmax"}:
        return tr("{model}: its gates see one expert each and have nothing to choose.", model=plain(run))
    if "select" in kinds:
        return tr(
            "{model} weighs by selections, which are no distribution over experts: it has no gate entropy.",
            model=plain(run),
        )
    return tr(
        "{model} weighs by constants, which are no distribution over experts: it has no gate entropy.", model=plain(run)
    )


def kind_note(run: Compared) -> str:
    """What the weights of this trunk are, where they are not those of a softmax; else nothing."""
    kinds = {gate.kind for level in run.wiring.levels for gate in level.gates}
    name = title("trunk", run.record.trunk)
    if "mix" in kinds:
        return tr(
            "{model}'s weights are learned or given constants: they need not sum to 1 and may be negative.", model=name
        )
    if "select" in kinds:
        return tr(
            "{model}'s weights are selections: exactly 0 where an expert is left out; they need not sum to 1.",
            model=name,
        )
    return ""
