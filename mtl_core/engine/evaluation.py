"""Scoring a stack of runs: metrics on every row of a split, and a look at the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mtl_core.engine.rows import Rows, Shelf
from mtl_core.events import GateSummary
from mtl_core.metrics import task_metrics
from mtl_core.nn.heads import Output, joint_part
from mtl_core.nn.model import Model, serving
from mtl_core.probes import PROBE_ROWS, summarise_gate
from mtl_core.schema import Task

if TYPE_CHECKING:
    from mtl_core.engine.population import Population

#: Rows per forward pass when scoring, over all members together.
EVALUATION_ROWS = 16_384

Scores = dict[str, dict[str, float | None]]
Scales = Mapping[str, tuple[float, float]]
#: Metrics in the square of a label's units.
SQUARED = ("mse", "mse@all")


def evaluate(population: Population, shelf: Shelf, splits: Sequence[Rows], tasks: Sequence[Task]) -> list[Scores]:
    """Metrics per task of each member over all its rows at once; the models' mode is put back afterwards.

    Args:
        population: M members.
        shelf: their rows.
        splits: the same, member by member.
        tasks: the tasks.
    """
    step = max(1, EVALUATION_ROWS // population.size)
    starts = range(0, max(shelf.count, 1), step)
    found = [population.outputs(shelf.part(slice(s, s + step)), per_member=not shelf.alone) for s in starts]
    return [_scores([_member(out, m) for out in found], rows, tasks) for m, rows in enumerate(splits)]


@torch.no_grad()
def score(model: Model, rows: Rows, tasks: Sequence[Task], scales: Scales | None = None) -> Scores:
    """Metrics per task of one model over all rows at once; its mode is put back afterwards.

    Args:
        model: any.
        rows: what it is scored on.
        tasks: the tasks.
        scales: as in `Encoded`; squared errors are then in the labels' own units.
    """
    starts = range(0, max(len(rows.labels), 1), EVALUATION_ROWS)
    with serving(model):
        found = _scores([model(rows.at(slice(s, s + EVALUATION_ROWS)).inputs) for s in starts], rows, tasks)
    return in_own_units(found, scales or {})


def in_own_units(scores: Scores, scales: Scales) -> Scores:
    """Squared errors of scaled labels as those of the labels themselves: times the variance by which they were divided.

    Args:
        scores: by task.
        scales: as in `Encoded`.
    """

    def own(task: str, name: str, value: float | None) -> float | None:
        scaled = task in scales and name in SQUARED and value is not None
        return value * scales[task][1] ** 2 if scaled and value is not None else value

    return {task: {name: own(task, name, v) for name, v in values.items()} for task, values in scores.items()}


def _member(out: Output, member: int) -> Output:
    return Output(*({name: tensor[member] for name, tensor in part.items()} for part in out))


def _scores(found: Sequence[Output], rows: Rows, tasks: Sequence[Task]) -> Scores:
    logits = {name: torch.cat([out.logits[name] for out in found]) for name in found[0].logits}
    joint = {
        name: torch.cat([out.parts[joint_part(name)] for out in found])
        for name in logits
        if joint_part(name) in found[0].parts
    }
    return task_metrics(logits, rows.labels, rows.mask, tasks, rows.truth, joint)


def probe(population: Population, shelf: Shelf) -> list[tuple[dict[str, GateSummary], dict[str, Tensor]]]:
    """Per member the summary of each gate on the first validation rows, and the weights themselves."""
    gates = population.outputs(shelf.part(slice(PROBE_ROWS)), per_member=not shelf.alone).gates
    each = [{name: gate[m] for name, gate in gates.items()} for m in range(population.size)]
    return [({name: summarise_gate(gate) for name, gate in of.items()}, of) for of in each]
