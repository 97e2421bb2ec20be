"""Numbers as the pages write them, and sentences computed from the numbers of the picture they stand under."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from app.analysis import data_title, metric_name
from app.charts.architecture import NONE
from app.charts.seesaw import SeesawGroup
from app.jobs.records import RunRecord
from app.library import History
from mtl_core.comparison import Interval, gain
from mtl_core.events import GateSummary
from mtl_core.registry import title
from mtl_core.trunks.wiring import Gate, Level, Wiring, gate_key

MINUS = "\u2212"


def seconds(value: float) -> str:
    """6 s, 1 min 20 s, 2 h 5 min."""
    whole = max(0, round(value))
    if whole < 60:
        return f"{whole} s" if value >= 1 else "under 1 s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(value: float) -> str:
    """312, 31.2k, 1.24M."""
    if value < 9_999.5:
        return f"{value:,.0f}"
    return f"{value / 1e3:.1f}k" if value < 999_950 else f"{value / 1e6:.2f}M"


def auc(value: float | None) -> str:
    """Four decimals."""
    return "undefined" if value is None else f"{value:.4f}"


def signed(value: float, digits: int = 1) -> str:
    """+15.7 or −3.3, with a real minus sign."""
    return f"{value:+z.{digits}f}".replace("-", MINUS)


def interval(value: Interval) -> str:
    """+15.7 ±2.8; one seed has no interval."""
    return signed(value.mean) + (f" ±{value.half_width:.1f}" if value.half_width is not None else "")


def run_name(record: RunRecord) -> str:
    """MMoE on conflict, seed 0."""
    return f"{title('trunk', record.trunk)} on {data_title(record.spec)}, seed {record.seed}"


def source_line(history: History) -> str:
    """Data, split, seed and n of a picture of one run."""
    started = history.started
    if started is None:
        return ""
    spec = started.spec
    rows = started.rows
    sizes = f"{count(rows['train'])} training, {count(rows['valid'])} validation, {count(rows['test'])} test rows"
    return f"{data_title(spec)} · {sizes} · seed {spec['seed']}"


def capital(text: str) -> str:
    """The first letter as at the head of a sentence; what follows stays: PLE does."""
    return text[:1].upper() + text[1:]


def join(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def curves_sentence(history: History, baseline: History | None) -> str:
    """Where the curves stand, and by how much they pass the yardstick."""
    if not history.epochs:
        return "No epoch is done yet."
    finished = history.finished
    if finished is None:
        last = history.epochs[-1]
        return f"Validation {scores(last.metrics['valid'])}, after epoch {last.epoch}."
    ours = finished.metrics["test"]
    text = f"Test {scores(ours)}, with the weights of epoch {finished.best_epoch}."
    if baseline is not None and baseline.finished is not None:
        theirs = baseline.finished.metrics["test"]
        gains = [
            f"{task} {signed(1000 * value)}"
            for task, metrics in ours.items()
            if (value := gain(metrics, theirs[task], "binary" if "auc" in metrics else "regression")) is not None
        ]
        if gains:
            text += f" Gain over single-task with this seed: {join(gains)} thousandths; one seed proves nothing."
    return text


def metric_names(history: History) -> str:
    """What the curves of a run show: AUC, MSE, or both."""
    if not history.epochs:
        return "AUC"
    names = dict.fromkeys(metric_name(m).upper() for m in history.epochs[-1].metrics["valid"].values())
    return " or ".join(names)


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


def gates_sentence(wiring: Wiring, tasks: Sequence[str], gates: dict[str, GateSummary]) -> str:
    """Who draws on what, in the words of the last level's kind of gates."""
    number, level = len(wiring.levels), wiring.levels[-1]
    own = [g for g in level.gates if g.owner is not None]
    if not gates:
        return "No gate weights yet: the lines show who may be mixed with whom."
    if not own:
        return "All tasks receive the same mix, so the gate cannot tell them apart."
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
        return (
            f"From the shared experts {join(parts)}, the rest from private ones (distance of the mixes {distance:.2f})."
        )
    alike = "almost alike" if distance < 0.1 else ("somewhat differently" if distance < 0.3 else "quite differently")
    names = join([tasks[g.owner or 0] for g in own])
    text = f"{names} mix the same experts {alike}"
    return f"{text} (distance {distance:.2f} on a scale from 0 to 1)." if len(own) == 2 else f"{text}."


def _no_choice_sentence(wiring: Wiring, tasks: Sequence[str]) -> str:
    """Every gate sees one expert: what is shared is in the wiring alone."""
    level = wiring.levels[-1]
    common = set.intersection(*(set(read) for read in wiring.outputs))
    if any(len(read) > 1 for read in wiring.outputs):
        owner = level.gates[min(common)].owner
        if owner is None:
            return "Every tower reads the shared network beside its task's own: there is no gate that has to choose."
        lead = tasks[owner]
        return (
            f"Every tower reads the network of {lead}, the others' beside their own: knowledge flows from {lead} only."
        )
    if level.tied:
        return "Every task has a network of its own; a penalty pulls their weights towards each other."
    if any(e.owner is not None for e in level.experts):
        return "Every task has a network of its own and hears no other: nothing is shared."
    return "There is one expert, which all tasks share: the gates have nothing to choose."


def _everyone_sentence(level: Level, tasks: Sequence[str], own: Sequence[Gate], means: Sequence[list[float]]) -> str:
    """Tasks that may listen to each other's experts: how much each takes from its own, shared ones and others'."""
    parts = []
    for gate, mean in zip(own, means, strict=True):
        shares = dict.fromkeys(("its own experts", "shared ones", "other tasks'"), 0.0)
        for weight, expert in zip(mean, level.experts, strict=True):
            whose = {gate.owner: "its own experts", None: "shared ones"}.get(expert.owner, "other tasks'")
            shares[whose] += weight
        if all(expert.owner is not None for expert in level.experts):
            del shares["shared ones"]
        parts.append(f"{tasks[gate.owner or 0]} takes {join([f'{v:.0%} from {k}' for k, v in shares.items()])}")
    text = "; ".join(parts) + "."
    return text + " A task's own experts also reach it past the gate." if any(g.native for g in own) else text


def _selection_sentence(level: Level, tasks: Sequence[str], own: Sequence[Gate], means: Sequence[list[float]]) -> str:
    """How many experts each task uses, and how many serve all."""
    used = [{e for e in g.sees if mean[e] >= NONE} for g, mean in zip(own, means, strict=True)]
    parts = [f"{tasks[g.owner or 0]} uses {len(some)}" for g, some in zip(own, used, strict=True)]
    text = f"Of {len(level.experts)} experts {join(parts)}"
    return f"{text}; {len(set.intersection(*used))} serve all tasks." if len(own) > 1 else f"{text}."


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
        said = [f"those of {name} by {kept[k]:.2f}" for k, name in enumerate(tasks)]
        return f"On average the units of the last layer are scaled: {join(said)}."
    said = [
        f"{name} keeps {_number(kept[k])} of its own and takes {_number(taken[k])} from others"
        for k, name in enumerate(tasks)
    ]
    return "; ".join(said) + "."


def _number(value: float) -> str:
    """Two decimals, with a real minus sign."""
    return f"{value:z.2f}".replace("-", MINUS)


def verdict(group: SeesawGroup, task_x: str, task_y: str) -> str:
    """What the intervals allow one to say."""
    a, b = group.x_interval.verdict, group.y_interval.verdict
    if len(group.seeds) == 1:
        return "one seed: no interval"
    if a == b:
        return {"gains": "both gain", "loses": "both lose"}.get(a, "not distinguishable from single-task")
    parts = []
    for task, word in ((task_x, a), (task_y, b)):
        parts.append(f"{task} {word}")
    return ", ".join(parts)


def seesaw_sentence(groups: Sequence[SeesawGroup], task_x: str, task_y: str) -> str:
    """The picture in one sentence."""
    told = [g for g in groups if len(g.seeds) > 1]
    if not groups:
        return "No model has a single-task run of the same data, seed and budget to be measured against yet."
    if not told:
        return "Each model has one seed only, so no interval: train more seeds before believing any point."
    said: dict[tuple[str, str], list[str]] = {}
    for group in told:
        said.setdefault((group.x_interval.verdict, group.y_interval.verdict), []).append(group.label)
    parts = [f"{join(labels)} {_outcome(pair, task_x, task_y, len(labels) > 1)}" for pair, labels in said.items()]
    return "; ".join(parts) + "."


def _outcome(pair: tuple[str, str], task_x: str, task_y: str, plural: bool) -> str:
    """What one or several models do on two tasks."""
    verb = {"gains": "gain" if plural else "gains", "loses": "lose" if plural else "loses"}
    if pair[0] == pair[1]:
        return f"{verb[pair[0]]} on both" if pair[0] in verb else "cannot be told from single-task"
    if "not distinguishable" not in pair:
        won, paid = (task_x, task_y) if pair[0] == "gains" else (task_y, task_x)
        return f"{'pay' if plural else 'pays'} with {paid} for {won}"
    told, task, other = (pair[0], task_x, task_y) if pair[0] in verb else (pair[1], task_y, task_x)
    return f"{verb[told]} on {task}, with no difference found on {other}"
