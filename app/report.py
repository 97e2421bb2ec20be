"""A comparison as one HTML page: no script, no style sheet, no picture from anywhere else. No Streamlit, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape

from app import analysis, comparing, gains, wording
from app.charts import still
from app.charts.palette import task_colours
from app.i18n import language, tr, trn
from app.jobs.archive import Labels
from app.jobs.records import RunRecord
from app.library import History
from app.report_settings import data_section, model_section
from mtl_core import comparison
from mtl_core.comparison import paired_interval
from mtl_core.spec import RunSpec

#: Gates and architecture are drawn for so many models; scores and curves for all.
MOST_PICTURES = 12
Metrics = dict[str, dict[str, float | None]]
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem;
  color: #1B1E23; background: #FFFFFF; }
table { border-collapse: collapse; font-size: 0.9rem; }
.wide { overflow-x: auto; }
th, td { text-align: left; padding: 0.3rem 0.9rem 0.3rem 0; border-bottom: 1px solid #80868F55; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; margin-bottom: 0.2rem; }
.small, figcaption { color: #5D636B; font-size: 0.85rem; }
figure { margin: 0.5rem 0 1.5rem; } svg { max-width: 100%; height: auto; }
details { margin: 0.2rem 0; } summary { cursor: pointer; } pre { overflow-x: auto; font-size: 0.8rem; }
.pair { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; } .pair > * { flex: 1 1 420px; }
@media (prefers-color-scheme: dark) {
  body { color: #E8EAED; background: #15171A; } .small, figcaption { color: #A9AFB7; } }
"""


@dataclass(frozen=True)
class Told:
    """A finished run with what it said and what people wrote beside it."""

    record: RunRecord
    history: History
    labels: Labels


@dataclass(frozen=True)
class Model:
    """Runs that differ in nothing but the seed."""

    name: str
    runs: tuple[Told, ...]

    @property
    def spec(self) -> RunSpec:
        """Of the first seed."""
        return analysis.keys(self.runs[0].record).spec

    @property
    def metrics(self) -> dict[str, str]:
        """Task -> the metric by which it is judged."""
        return {task.name: "auc" if task.kind == "binary" else "mse" for task in self.spec.schema.tasks}


def models(runs: Sequence[Told]) -> list[Model]:
    """Runs by model, in the order in which the models first appear; seeds in order, a repeated one once."""
    grouped: dict[str, dict[int, Told]] = {}
    for run in runs:
        grouped.setdefault(analysis.keys(run.record).variant, {}).setdefault(run.record.seed, run)
    groups = [tuple(by_seed[seed] for seed in sorted(by_seed)) for by_seed in grouped.values()]
    specs = [analysis.keys(group[0].record).spec for group in groups]
    several = len({spec.data.name for spec in specs}) > 1
    labels = analysis.variant_labels(specs, with_budgets=True)
    names = [
        f"{number} {comparing.on_data(label, spec.to_json()) if several else label}"
        for number, (label, spec) in enumerate(zip(labels, specs, strict=True), start=1)
    ]
    return [Model(name, group) for name, group in zip(names, groups, strict=True)]


def page(runs: Sequence[Told]) -> str:
    """The report of these finished runs."""
    found = models(runs)
    tasks = list(dict.fromkeys(task for model in found for task in model.metrics))
    title = wording.join([model.name.split(" ", 1)[1] for model in found[:4]])
    if len(found) > 4:
        title = tr("{first} and {n} more", first=title, n=len(found) - 4)
    made = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    run_count = trn("{n} run", "{n} runs", len(runs))
    model_count = trn("{n} model", "{n} models", len(found))
    parts = [
        f"<h1>{escape(title)}</h1>",
        _small(tr("{runs}, {models}. Made with Seesaw on {time}.", runs=run_count, models=model_count, time=made)),
        _head(tr("Test scores")), _scores(found, tasks),
        _against_first(found, tasks),
        *((_head(tr("What differs")), _differences(found)) if len(found) > 1 else ()),
        _head(tr("Settings")), _settings(found),
        _head(tr("Validation by epoch")), *(_curves(found, task, tasks) for task in tasks),
        _head(tr("Who listens to whom")), *(_gates(model) for model in found[:MOST_PICTURES]),
        _head(tr("Runs")), _runs(runs),
    ]  # fmt: skip
    if len(found) > MOST_PICTURES:
        parts.insert(-2, _small(tr("Drawn for the first {n} of {all} models.", n=MOST_PICTURES, all=len(found))))
    return (
        f"<!doctype html><html lang='{language().replace('_', '-')}'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _head(text: str) -> str:
    return f"<h2>{escape(text, quote=False)}</h2>"


def _small(*sentences: str) -> str:
    return f"<p class='small'>{escape(wording.passage(*sentences), quote=False)}</p>"


def spread(values: Sequence[float]) -> str:
    """The mean with its 95% interval over seeds; one value as it is."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    interval = paired_interval(values)
    return f"{interval.mean:.4f} ±{interval.half_width:.4f}"


def _scores(found: Sequence[Model], tasks: Sequence[str]) -> str:
    """A row per model, a column per task; several seeds as mean and interval."""
    metrics = {task: metric for model in found for task, metric in model.metrics.items()}
    scored = (tr("{task}, {metric}", task=task, metric=metrics[task].upper()) for task in tasks)
    head = [tr("model"), tr("seeds"), tr("parameters"), *scored, tr("training")]
    rows = []
    for model in found:
        cells = []
        for task in tasks:
            values = [
                value
                for run in model.runs
                if (value := (run.record.metrics_test or {}).get(task, {}).get(model.metrics.get(task, ""))) is not None
            ]
            cells.append(spread(values) if values else "")
        seconds = [run.record.train_seconds for run in model.runs]
        size = f"{model.runs[0].record.parameters or 0:,}"
        rows.append([model.name, str(len(model.runs)), size, *cells, wording.seconds(sum(seconds) / len(seconds))])
    several = any(len(model.runs) > 1 for model in found)
    said = (
        tr(
            "±: half of the 95% interval of the mean over seeds (Student's t). Seeds draw the data too, so they move "
            "all models together: intervals that overlap do not say that models are alike, differences paired by seed "
            "do."
        )
        if several
        else tr("One seed each, so no intervals: such differences may be chance.")
    )
    once = tr("Test rows were scored once, with the weights of each run's best epoch.")
    return _table(head, rows, numbers=range(1, len(head))) + _small(said, once)


def _differences(found: Sequence[Model]) -> str:
    frame = analysis.differences([model.spec for model in found], [model.name for model in found])
    frame = frame[frame.index != tr("seed")]
    if frame.empty:
        nothing = tr("Nothing that has an option.")
        return f"<p>{escape(nothing)}</p>"
    rows = [[str(name), *map(str, values)] for name, values in zip(frame.index, frame.to_numpy().tolist(), strict=True)]
    return _table([tr("option"), *frame.columns], rows) + _small(tr("Everything else is the same."))


def _settings(found: Sequence[Model]) -> str:
    """The data, then of every model all options and the spec, folded."""
    data = data_section([(model.spec, model.runs[0].history) for model in found])
    seeds = tr("Options and specs are those of each model's first seed; other seeds differ in nothing else.")
    return data + _small(seeds) + "".join(model_section(model.name, model.spec) for model in found)


def _against_first(found: Sequence[Model], tasks: Sequence[str]) -> str:
    """Differences from the first model, paired by seed; empty where nothing can be paired."""
    first, *others = found
    head = [tr("model"), tr("pairs"), *tasks]
    rows = []
    for model in others:
        pairs = _pairs(first, model)
        if not pairs or comparison.budget_key(model.spec) != comparison.budget_key(first.spec):
            continue
        cells = []
        for task in tasks:
            kind = "binary" if model.metrics.get(task) == "auc" else "regression"
            found_gains = [
                gains.scaled(value, kind)
                for ours, theirs in pairs
                if task in ours
                and task in theirs
                and (value := comparison.gain(ours[task], theirs[task], kind)) is not None
            ]
            cells.append(_verdict(found_gains, kind))
        rows.append([model.name, str(len(pairs)), *cells])
    if not rows:
        return ""
    said = tr(
        "Thousandths of AUC (where a number is predicted: percent less MSE), each seed against the same seed "
        "of the first model. ±: half of the 95% interval of the mean difference. A gain whose interval contains 0, or "
        "of a single seed, cannot be told from chance and is in brackets."
    )
    table = _table(head, rows, numbers=range(1, len(head)))
    return _head(tr("Gain over {model}", model=first.name)) + table + _small(said)


def _pairs(first: Model, other: Model) -> list[tuple[Metrics, Metrics]]:
    """Test metrics of the other model and of the first, for the seeds that both have."""
    theirs = {run.record.seed: run.record.metrics_test or {} for run in first.runs}
    return [(run.record.metrics_test or {}, theirs[run.record.seed]) for run in other.runs if run.record.seed in theirs]


def _verdict(found: Sequence[float], kind: str) -> str:
    """+15.7 ±2.8; in brackets where that may be chance."""
    if not found:
        return ""
    interval = paired_interval(found)
    text = gains.interval(interval, kind)
    return f"({text})" if interval.verdict == "not distinguishable" else text


def _curves(found: Sequence[Model], task: str, tasks: Sequence[str]) -> str:
    lines = [curve(model, task) for model in found if task in model.metrics]
    metric = next(model.metrics[task] for model in found if task in model.metrics).upper()
    picture = still.curves_svg(lines, metric, task_colours(tasks)[task], width=900.0, height=320.0)
    seeds = tr("Mean over the seeds.") if any(len(model.runs) > 1 for model in found) else ""
    said = escape(wording.passage(tr("{metric} on validation rows.", metric=metric), seeds))
    return f"<h3>{escape(task)}</h3><figure>{picture}<figcaption>{said}</figcaption></figure>"


def curve(model: Model, task: str) -> still.Line:
    """Mean over seeds, for the epochs that all of them have."""
    metric = model.metrics[task]
    stories = [{e.epoch: e.metrics["valid"][task].get(metric) for e in run.history.epochs} for run in model.runs]
    points = []
    for epoch in sorted(set.intersection(*(set(story) for story in stories))):
        values = [value for story in stories if (value := story[epoch]) is not None]
        if len(values) == len(stories):
            points.append((epoch, math.fsum(values) / len(values)))
    return still.Line(model.name, task, tuple(points))


def _gates(model: Model) -> str:
    """Architecture and gates of the model's first seed."""
    run = model.runs[0]
    wiring, tasks = analysis.wiring(run.record, run.history), tuple(model.metrics)
    gates = run.history.gates
    bars = still.gates_svg(wiring, gates) if gates else ""
    kept = tr("Gate weights of this run were not kept.")
    if gates:
        kept = wording.gates_sentence(wiring, tasks, gates, model.spec.meeting)
    said = wording.passage(
        kept,
        tr("Seed {seed}.", seed=run.record.seed),
        tr("Line width: mean gate weight. Grey: shared. Tint: private to a task."),
    )
    return (
        f"<h3>{escape(model.name)}</h3><figure><div class='pair'>"
        f"<div>{still.architecture_svg(wiring, tasks, gates, model.spec.meeting)}</div><div>{bars}</div></div>"
        f"<figcaption>{escape(said)}</figcaption></figure>"
    )


def run_curves_svg(run: Told) -> str:
    """The validation curves of one run as one picture, a panel per task."""
    model = Model("", (run,))
    lines = [(metric.upper(), curve(replace(model, name=task), task)) for task, metric in model.metrics.items()]
    return still.run_curves_svg(list(model.metrics), lines)


def _runs(runs: Sequence[Told]) -> str:
    rows = [
        [
            run.record.id, name, str(run.record.best_epoch or ""), run.record.device or "",
            ", ".join(run.labels.tags), run.labels.note,
        ]
        for run, name in zip(runs, wording.run_names([run.record for run in runs]), strict=True)
    ]  # fmt: skip
    sources = "".join(
        f"<li>{escape(line)}</li>" for line in dict.fromkeys(wording.source_line(r.history) for r in runs)
    )
    head = ["id", tr("run"), tr("best epoch"), tr("device"), tr("tags"), tr("note")]
    return _table(head, rows) + f"<ul class='small'>{sources}</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] | range = ()) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in numbers else ''}>{escape(cell)}</{tag}>" for i, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<div class='wide'><table><thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table></div>"
