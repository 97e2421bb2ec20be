"""Numbers as the pages write them, and sentences computed from the numbers of the picture they stand under."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import reduce

from app import gains
from app.analysis import apart, data_title, metric_name, with_options
from app.charts.joints import joint_name
from app.charts.layout import NONE
from app.charts.seesaw import SeesawGroup
from app.i18n import tr, trn
from app.jobs.records import RunRecord
from app.library import History
from app.names import model_name
from mtl_core.comparison import gain
from mtl_core.events import GateSummary
from mtl_core.heads.meeting import Meeting
from mtl_core.trunks.wiring import Gate, Level, Wiring, gate_key

#: Seeds from which intervals of such runs are narrow enough to say something.
ENOUGH_SEEDS = 8


def seconds(value: float) -> str:
    """6 s, 1 min 20 s, 2 h 5 min."""
    whole = max(0, round(value))
    if whole < 60:
        return tr("{seconds} s", seconds=whole) if value >= 1 else tr("under 1 s")
    if whole < 3600:
        return tr("{minutes} min {seconds} s", minutes=whole // 60, seconds=whole % 60)
    return tr("{hours} h {minutes} min", hours=whole // 3600, minutes=whole % 3600 // 60)


def count(value: float) -> str:
    """312, 31.2k, 1.24M."""
    if value < 9_999.5:
        return f"{value:,.0f}"
    return f"{value / 1e3:.1f}k" if value < 999_950 else f"{value / 1e6:.2f}M"


def auc(value: float | None) -> str:
    """Four decimals."""
    return tr("undefined") if value is None else f"{value:.4f}"


def run_name(record: RunRecord) -> str:
    """MMoE on Conflict, seed 0."""
    return _run_name(record, model_name(record.spec))


def run_names(records: Sequence[RunRecord]) -> list[str]:
    """Names for a list; runs of the same name say what else they have: MMoE (weights 20:1) on Conflict, seed 0."""
    names = [run_name(record) for record in records]
    return [
        _run_name(record, with_options(model_name(record.spec), options)) if options else name
        for name, record, options in zip(names, records, apart(names, records), strict=True)
    ]


def _run_name(record: RunRecord, model: str) -> str:
    return tr("{model} on {data}, seed {seed}", model=model, data=data_title(record.spec), seed=record.seed)


def source_line(history: History) -> str:
    """Data, split, seed and n of a picture of one run."""
    started = history.started
    if started is None:
        return ""
    spec = started.spec
    rows = started.rows
    return tr(
        "{data} · {train} training, {valid} validation, {test} test rows · seed {seed}",
        data=data_title(spec), train=count(rows["train"]), valid=count(rows["valid"]), test=count(rows["test"]),
        seed=spec["seed"],
    )  # fmt: skip


def capital(text: str) -> str:
    """The first letter as at the head of a sentence; what follows stays: PLE does.

    Where a script has no capitals, as Chinese, a task's name at the head keeps its own letters.
    """
    plain = any(letter.isalpha() and letter.upper() == letter.lower() for letter in text)
    return text if plain else text[:1].upper() + text[1:]


def join(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else tr("{first} and {last}", first=commas(parts[:-1]), last=parts[-1])


def commas(parts: Sequence[str]) -> str:
    """a, b, c."""
    return tr(", ").join(parts)


def clauses(parts: Sequence[str]) -> str:
    """a; b; c."""
    return tr("; ").join(parts)


def passage(*sentences: str) -> str:
    """Whole sentences after each other; empty ones are left out."""
    said = [sentence for sentence in sentences if sentence]
    return reduce(lambda before, after: tr("{before} {after}", before=before, after=after), said) if said else ""


def curves_sentence(history: History, baseline: History | None) -> str:
    """Where the curves stand, and by how much they pass the yardstick."""
    if not history.epochs:
        return tr("No epoch is done yet.")
    finished = history.finished
    if finished is None:
        last = history.epochs[-1]
        return tr("Validation {scores}, after epoch {epoch}.", scores=scores(last.metrics["valid"]), epoch=last.epoch)
    ours = finished.metrics["test"]
    text = tr("Test {scores}, with the weights of epoch {epoch}.", scores=scores(ours), epoch=finished.best_epoch)
    if baseline is not None and baseline.finished is not None:
        theirs = baseline.finished.metrics["test"]
        kinds = {task: "binary" if "auc" in metrics else "regression" for task, metrics in ours.items()}
        told = {
            task: f"{task} {gains.said(gains.scaled(value, kind), kind)}"
            for task, kind in kinds.items()
            if (value := gain(ours[task], theirs[task], kind)) is not None
        }
        if told:
            gain_over = tr(
                "Gain over single-task with this seed: {gains} ({units}); one seed proves nothing.",
                gains=join(list(told.values())), units=gains.units(kinds[task] for task in told),
            )  # fmt: skip
            return passage(text, gain_over)
    return text


def score(metrics: Mapping[str, float | None]) -> str:
    """A task's own metric: AUC 0.9531, or MSE 0.071 where it is a number that is predicted."""
    name = metric_name(metrics)
    value = metrics.get(name)
    return f"{name.upper()} {auc(value)}"


def scores(metrics: Mapping[str, Mapping[str, float | None]]) -> str:
    """Every task's score in one phrase; the metric is named once where it is the same for all."""
    names = {metric_name(values) for values in metrics.values()}
    if len(names) == 1:
        name = names.pop()
        return f"{name.upper()} " + join([f"{task} {auc(values.get(name))}" for task, values in metrics.items()])
    return join([f"{task} {score(values)}" for task, values in metrics.items()])


def gates_sentence(
    wiring: Wiring, tasks: Sequence[str], gates: dict[str, GateSummary], meeting: Meeting | None = None
) -> str:
    """Who draws on what, in the words of the last level's kind of gates; and what the head adds to that."""
    own = [g for g in wiring.levels[-1].gates if g.owner is not None]
    if not gates:
        return tr("No gate weights yet: the lines show who may be mixed with whom.")
    said = _own_sentence(wiring, tasks, gates, own) if own else _common_sentence(wiring.levels[-1])
    return passage(said, meeting_sentence(meeting, tasks) if meeting is not None else "")


def meeting_sentence(meeting: Meeting, tasks: Sequence[str]) -> str:
    """What a head makes of several towers, which the trunk does not show; empty where it takes each as it is."""
    said = []
    if meeting.passes:
        passed = [
            tr("{task} to {other}", task=tasks[meeting.towers[a].task], other=tasks[meeting.towers[b].task])
            for a, b in meeting.passes
        ]
        said.append(tr("The head passes on what a tower knows: from {pairs}.", pairs=join(passed)))
    whole = {joint.task for joint in meeting.joints if joint.kind == "product"}
    direct = [tasks[tower.task] for tower in meeting.towers if tower.role == "direct"]
    products = [joint_name(meeting, i, tasks) for i, joint in enumerate(meeting.joints) if joint.kind == "product"]
    ratios = [joint_name(meeting, i, tasks) for i, joint in enumerate(meeting.joints) if joint.kind == "ratio"]
    branches = [tasks[joint.task] for joint in meeting.joints if joint.kind == "branch" and joint.task is not None]
    if branches:
        said.append(tr("{task} has a tower for either way past the action.", task=join(branches)))
    if direct and whole:
        said.append(tr("The head ties {products} to a tower that predicts the same at once.", products=join(products)))
    elif products:
        said.append(tr("The head multiplies and learns the product on all rows: {products}.", products=join(products)))
    if ratios:
        said.append(tr("The head divides what it learned on all rows: {ratios}.", ratios=join(ratios)))
    if any(tower.role == "error" for tower in meeting.towers):
        said.append(tr("A further tower guesses the error on every row."))
    if any(tower.role == "mirror" for tower in meeting.towers):
        said.append(tr("A mirror tower learns from the rows that have no label."))
    if any(joint.kind == "position" for joint in meeting.joints):
        said.append(tr("While training, where a row stood adds a term of its own."))
    return passage(*said)


def _common_sentence(level: Level) -> str:
    """One gate for all tasks."""
    if len(level.experts) == 1:
        return tr("All tasks share one network: there is nothing to choose between.")
    return tr("All tasks receive the same mix, so the gate cannot tell them apart.")


def _own_sentence(wiring: Wiring, tasks: Sequence[str], gates: dict[str, GateSummary], own: Sequence[Gate]) -> str:
    number, level = len(wiring.levels), wiring.levels[-1]
    if any(g.kind == "mix" for g in own):
        return _constants_sentence(wiring, tasks, gates)
    if all(len(g.sees) == 1 for g in own):
        return _no_choice_sentence(wiring, tasks)
    means = [gates[gate_key(number, g.name)].mean for g in own]
    if own[0].kind == "select":
        return _selection_sentence(level, tasks, own, means)
    return _softmax_sentence(level, tasks, own, means)


def _softmax_sentence(level: Level, tasks: Sequence[str], own: Sequence[Gate], means: Sequence[list[float]]) -> str:
    """Shares of shared experts where some are private, else how far apart the tasks' mixes are."""
    if any(level.experts[e].owner not in (None, g.owner) for g in own for e in g.sees):
        return _everyone_sentence(level, tasks, own, means)
    # Of the two tasks that are furthest apart: the sentence speaks of all of them.
    pairs = itertools.combinations(means, 2)
    distance = max((sum(abs(a - b) for a, b in zip(*pair, strict=True)) / 2 for pair in pairs), default=0.0)
    if any(e.owner is not None for e in level.experts):
        shared = [sum(m for m, e in zip(mean, level.experts, strict=True) if e.owner is None) for mean in means]
        parts = [f"{tasks[g.owner or 0]} {share:.0%}" for g, share in zip(own, shared, strict=True)]
        return tr(
            "From the shared experts {shares}, the rest from private ones (distance of the mixes {distance:.2f}).",
            shares=join(parts), distance=distance,
        )  # fmt: skip
    names = join([tasks[g.owner or 0] for g in own])
    if distance < 0.1:
        claim = tr("{tasks} mix the same experts almost alike", tasks=names)
    elif distance < 0.3:
        claim = tr("{tasks} mix the same experts somewhat differently", tasks=names)
    else:
        claim = tr("{tasks} mix the same experts quite differently", tasks=names)
    if len(own) == 2:
        return tr("{claim} (distance {distance:.2f} on a scale from 0 to 1).", claim=claim, distance=distance)
    return tr("{claim}.", claim=claim)


def _no_choice_sentence(wiring: Wiring, tasks: Sequence[str]) -> str:
    """Every gate sees one expert: what is shared is in the wiring alone."""
    level = wiring.levels[-1]
    common = set.intersection(*(set(read) for read in wiring.outputs))
    if any(len(read) > 1 for read in wiring.outputs):
        owner = level.gates[min(common)].owner
        if owner is None:
            return tr(
                "Every tower reads the shared network beside its task's own: there is no gate that has to choose."
            )
        return tr(
            "Every tower reads the network of {lead}, the others' beside their own: knowledge flows from {lead} only.",
            lead=tasks[owner],
        )
    if level.tied:
        return tr("Every task has a network of its own; a penalty pulls their weights towards each other.")
    if any(e.owner is not None for e in level.experts):
        if None in wiring.embeddings:
            return tr("Every task has a network of its own and hears no other; the embeddings below are shared.")
        return tr("Every task has a network of its own and hears no other: nothing is shared.")
    return tr("There is one expert, which all tasks share: the gates have nothing to choose.")


def _everyone_sentence(level: Level, tasks: Sequence[str], own: Sequence[Gate], means: Sequence[list[float]]) -> str:
    """Tasks that may listen to each other's experts: how much each takes from its own, shared ones and others'."""
    parts = []
    for gate, mean in zip(own, means, strict=True):
        owned, shared, others = 0.0, 0.0, 0.0
        for weight, expert in zip(mean, level.experts, strict=True):
            owned += weight * (expert.owner is not None and expert.owner == gate.owner)
            shared += weight * (expert.owner is None)
            others += weight * (expert.owner not in (None, gate.owner))
        shares = [tr("{share:.0%} from its own experts", share=owned)]
        if any(expert.owner is None for expert in level.experts):
            shares.append(tr("{share:.0%} from shared ones", share=shared))
        shares.append(tr("{share:.0%} from other tasks'", share=others))
        parts.append(tr("{task} takes {shares}", task=tasks[gate.owner or 0], shares=join(shares)))
    text = tr("{claim}.", claim=clauses(parts))
    past = tr("A task's own experts also reach it past the gate.")
    return passage(text, past) if any(g.native for g in own) else text


def _selection_sentence(level: Level, tasks: Sequence[str], own: Sequence[Gate], means: Sequence[list[float]]) -> str:
    """How many experts each task uses, and how many serve all."""
    used = [{e for e in g.sees if mean[e] >= NONE} for g, mean in zip(own, means, strict=True)]
    parts = [tr("{task} uses {n}", task=tasks[g.owner or 0], n=len(some)) for g, some in zip(own, used, strict=True)]
    n, uses = len(level.experts), join(parts)
    if len(own) == 1:
        return tr("Of {n} experts {uses}.", n=n, uses=uses)
    return tr("Of {n} experts {uses}; {common} serve all tasks.", n=n, uses=uses, common=len(set.intersection(*used)))


def _constants_sentence(wiring: Wiring, tasks: Sequence[str], gates: dict[str, GateSummary]) -> str:
    """Weights that need not sum to 1: what a task keeps of its own, and what it takes from others."""
    mixing = [
        (number, level)
        for number, level in enumerate(wiring.levels, start=1)
        if any(level.experts[e].owner != g.owner for g in level.gates for e in g.sees)
    ]
    number, level = mixing[-1] if mixing else (len(wiring.levels), wiring.levels[-1])
    kept, taken = dict.fromkeys(range(len(tasks)), 0.0), dict.fromkeys(range(len(tasks)), 0.0)
    for gate in level.gates:
        parts = sum(other.owner == gate.owner for other in level.gates)
        for weight, expert in zip(gates[gate_key(number, gate.name)].mean, level.experts, strict=True):
            whose = kept if expert.owner == gate.owner else taken
            whose[gate.owner or 0] += weight / parts
    if not mixing:
        said = [tr("those of {task} by {factor:.2f}", task=name, factor=kept[k]) for k, name in enumerate(tasks)]
        scaled = tr("On average the units of the last layer are scaled: {factors}.", factors=join(said))
        return passage(tr("Every task has a network of its own, whose units its gate units scale row by row."), scaled)
    said = [
        tr(
            "{task} keeps {kept} of its own and takes {taken} from others",
            task=name, kept=_number(kept[k]), taken=_number(taken[k]),
        )
        for k, name in enumerate(tasks)
    ]  # fmt: skip
    return tr("{claim}.", claim=clauses(said))


def _number(value: float) -> str:
    """Two decimals, with a real minus sign."""
    return f"{value:z.2f}".replace("-", gains.MINUS)


def verdict(group: SeesawGroup, task_x: str, task_y: str) -> str:
    """What the intervals allow one to say."""
    a, b = group.x_interval.verdict, group.y_interval.verdict
    if len(group.seeds) == 1:
        return tr("one seed: no interval")
    if a == b:
        both = {"gains": tr("both gain"), "loses": tr("both lose")}
        return both.get(a, tr("not distinguishable from single-task"))
    return commas([_verdict(task, word) for task, word in ((task_x, a), (task_y, b))])


def _verdict(task: str, word: str) -> str:
    if word == "gains":
        return tr("{task} gains", task=task)
    return tr("{task} loses", task=task) if word == "loses" else tr("{task} not distinguishable", task=task)


def seesaw_sentence(groups: Sequence[SeesawGroup], task_x: str, task_y: str) -> str:
    """The picture in one sentence."""
    told = [g for g in groups if len(g.seeds) > 1]
    if not groups:
        return tr("No model has a single-task run of the same data, seed and budget to be measured against yet.")
    if not told:
        return tr("Each model has one seed only, so no interval: train more seeds before believing any point.")
    said: dict[tuple[str, str], list[str]] = {}
    for group in told:
        said.setdefault((group.x_interval.verdict, group.y_interval.verdict), []).append(group.name)
    parts = [_outcome(labels, pair, task_x, task_y) for pair, labels in said.items()]
    return tr("{claim}.", claim=clauses(parts))


def where_it_tips(groups: Sequence[SeesawGroup], kinds: Mapping[str, str], task_x: str, task_y: str) -> str:
    """The model that shows the seesaw best: one task gains and the other pays, both beyond their intervals; else ""."""
    tipping = [g for g in groups if {g.x_interval.verdict, g.y_interval.verdict} == {"gains", "loses"}]
    if not tipping:
        return ""
    group = max(tipping, key=lambda g: min(abs(g.x_interval.mean), abs(g.y_interval.mean)))
    means = {task_x: group.x_interval.mean, task_y: group.y_interval.mean}
    won, paid = sorted(means, key=lambda task: -means[task])
    gain_said, loss_said = (gains.said(means[task], kinds[task]) for task in (won, paid))
    told = {"won": won, "paid": paid, "gain": gain_said, "loss": loss_said}
    if group.line:
        return tr(
            "With weights {weights} {model} gains {gain} on {won} and pays {loss} on {paid}: the seesaw.",
            weights=group.short, model=group.line, **told,
        )  # fmt: skip
    return tr("{model} gains {gain} on {won} and pays {loss} on {paid}: the seesaw.", model=group.label, **told)


def more_seeds(groups: Sequence[SeesawGroup]) -> str:
    """What to do where no interval says anything; else ""."""
    told = [g for g in groups if len(g.seeds) > 1]
    intervals = [i for g in told for i in (g.x_interval, g.y_interval)]
    if not told or any(i.verdict != "not distinguishable" for i in intervals):
        return ""
    if max(len(g.seeds) for g in told) >= ENOUGH_SEEDS:
        return ""
    return tr("Every interval touches 0: {n} or more seeds say more.", n=ENOUGH_SEEDS)


def _outcome(labels: Sequence[str], pair: tuple[str, str], task_x: str, task_y: str) -> str:
    """What one or several models do on two tasks."""
    n, models = len(labels), join(labels)
    if pair == ("gains", "gains"):
        return trn("{models} gains on both", "{models} gain on both", n, models=models)
    if pair == ("loses", "loses"):
        return trn("{models} loses on both", "{models} lose on both", n, models=models)
    if pair[0] == pair[1]:
        return tr("{models} cannot be told from single-task", models=models)
    if "not distinguishable" not in pair:
        won, paid = (task_x, task_y) if pair[0] == "gains" else (task_y, task_x)
        return trn(
            "{models} pays with {paid} for {won}", "{models} pay with {paid} for {won}", n,
            models=models, paid=paid, won=won,
        )  # fmt: skip
    first = pair[1] == "not distinguishable"
    told, task, other = (pair[0], task_x, task_y) if first else (pair[1], task_y, task_x)
    if told == "gains":
        return trn(
            "{models} gains on {task}, with no difference found on {other}",
            "{models} gain on {task}, with no difference found on {other}",
            n, models=models, task=task, other=other,
        )  # fmt: skip
    return trn(
        "{models} loses on {task}, with no difference found on {other}",
        "{models} lose on {task}, with no difference found on {other}",
        n, models=models, task=task, other=other,
    )  # fmt: skip
