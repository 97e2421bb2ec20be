"""A look inside a finished run: its weights, on its own rows. Everything it returns is plain JSON data.

model = open_run(spec, folder)
print(model.experts()["levels"][0]["similarity"])
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from mtl_core import checkpoints
from mtl_core.comparison import gain
from mtl_core.data.base import DataError, DatasetOptions
from mtl_core.data.load import load
from mtl_core.data.tables import Encoded
from mtl_core.engine.evaluation import EVALUATION_ROWS, in_own_units, score
from mtl_core.engine.rows import Rows, to_device
from mtl_core.metrics import task_metrics
from mtl_core.nn.dselect_k import DSelectKTrunk
from mtl_core.nn.heads import Output
from mtl_core.nn.mixture import MixtureTrunk
from mtl_core.nn.mlp import MLPBank
from mtl_core.nn.model import Model
from mtl_core.nn.sluice import SluiceTrunk
from mtl_core.quality import precision_recall, reliability, roc
from mtl_core.similarity import linear_cka, zero_share
from mtl_core.spec import RunSpec
from mtl_core.training import build_model
from mtl_core.trunks.wiring import Gate, Level, gate_key

if TYPE_CHECKING:
    import pandas as pd

#: Rows of a split that are looked at: the first ones. More would change no picture.
MOST_ROWS = 200_000
#: Rows on which experts are compared.
SIMILARITY_ROWS = 4096
#: Segments of a feature: quantile bins of a number, most frequent values of a category before "other".
BINS, VALUES = 5, 8


class CannotLook(ValueError):
    """The question has no answer for this run; the message is one sentence that says why."""


def open_run(spec: RunSpec, folder: Path) -> Inspection:
    """A finished run's model with the weights that were tested.

    Raises:
        CannotLook: there are no weights, or they are of another model.
        DataError: its data cannot be had any more.
    """
    data = load(spec.data, spec.seed)
    model = build_model(spec, data)
    try:
        model.load_state_dict(checkpoints.load_weights(folder))
    except OSError as error:
        raise CannotLook("The weights of this run were not kept: train it again to look inside.") from error
    except (ValueError, RuntimeError) as error:
        raise CannotLook("The weights of this run do not fit its model: train it again to look inside.") from error
    model.eval()
    return Inspection(spec, model, data)


@dataclass
class Inspection:
    """A model in evaluation mode and the data it was trained on. Everything runs on the CPU, without gradients."""

    spec: RunSpec
    model: Model
    data: Encoded

    @cached_property
    def valid(self) -> Rows:
        """Validation rows: what gates and experts are looked at on."""
        return self._rows("valid")

    @cached_property
    def test(self) -> Rows:
        """Test rows: what is scored."""
        return self._rows("test")

    def _rows(self, split: str) -> Rows:
        return to_device(getattr(self.data, split), torch.device("cpu")).at(slice(MOST_ROWS))

    def quality(self) -> dict[str, Any]:
        """Per task ROC, precision-recall and reliability on its test rows, with the numbers that go with them."""
        tasks, rows = self.data.schema.tasks, self.test
        found = self._forward(rows)
        logits = {task.name: torch.cat([out.logits[task.name] for out in found]) for task in tasks}
        metrics = in_own_units(task_metrics(logits, rows.labels, rows.mask, tasks), self.data.scales)
        result: dict[str, Any] = {}
        for k, task in enumerate(tasks):
            inside = rows.mask[:, k]
            logit, label = logits[task.name][inside].double(), rows.labels[inside, k].double()
            mean, deviation = self.data.scales.get(task.name, (0.0, 1.0))
            label = label * deviation + mean
            predicted = torch.sigmoid(logit) if task.kind == "binary" else logit * deviation + mean
            curves: dict[str, Any] = {"roc": None, "precision_recall": None, "average_precision": None}
            if task.kind == "binary" and (area := roc(logit, label)) is not None:
                found_pr = precision_recall(logit, label)
                assert found_pr is not None  # both classes are there
                curves = {"roc": list(area), "precision_recall": list(found_pr[0])}
                curves["average_precision"] = found_pr[1]
            result[task.name] = {
                "kind": task.kind,
                "rows": int(inside.sum()),
                "rate": float(label.mean()) if len(label) else None,
                "metrics": metrics[task.name],
                "reliability": [_short(part) for part in reliability(predicted, label)],
                **curves,
            }
        return {"tasks": result, "split": "test"}

    def experts(self) -> dict[str, Any]:
        """Per level: each expert's share of zero activations, and the linear CKA of every two experts."""
        rows = self.valid.at(slice(SIMILARITY_ROWS))
        outputs = self._expert_outputs(rows)
        levels = []
        for number, level in enumerate(self.model.trunk.wiring.levels, start=1):
            h_EBH = outputs.get(number)
            if h_EBH is None:
                continue  # a level that mixes layers has no networks of its own
            similarity = [[linear_cka(a, b) for b in h_EBH] for a in h_EBH]
            levels.append(
                {
                    "level": number,
                    "experts": [expert.name for expert in level.experts],
                    "owners": [expert.owner for expert in level.experts],
                    "zeros": [round(zero_share(h), 5) for h in h_EBH],
                    "similarity": [[None if v is None else round(v, 5) for v in row] for row in similarity],
                }
            )
        return {"levels": levels, "rows": len(rows.labels), "split": "validation"}

    def segments(self, feature: str) -> dict[str, Any]:
        """Mean gate weights by segment of the validation rows.

        Args:
            feature: an input column, or a hidden one of a made world, which models never see. Numbers are cut at
                quantiles, categories by their most frequent values, sequences by their length.

        Raises:
            CannotLook: there is no such column.
        """
        names, place = segments_of(self._column(feature))
        sums: dict[str, Tensor] = {}
        counts = torch.bincount(place, minlength=len(names))
        done = 0
        for out in self._forward(self.valid):
            for key, gate_BE in out.gates.items():
                part = place[done : done + len(gate_BE)]
                total = sums.setdefault(key, torch.zeros(len(names), gate_BE.shape[1], dtype=torch.double))
                total.index_add_(0, part, gate_BE.double())
            done += len(next(iter(out.gates.values()))) if out.gates else 0
        return {
            "feature": feature,
            "segments": names,
            "rows": counts.tolist(),
            "gates": {key: [_short(row) for row in (total / counts[:, None]).tolist()] for key, total in sums.items()},
            "split": "validation",
        }

    def switch_off(self) -> dict[str, Any]:
        """What each task loses on the test rows when one expert at a time is switched off, without training again.

        A softmax gate's weight on it becomes 0 and the rest are scaled up to sum to 1; constants of other trunks have
        no such sum, so there what the expert sends becomes 0. A gate that sees nothing else mixes nothing.
        """
        tasks = self.data.schema.tasks
        before = score(self.model, self.test, tasks, self.data.scales)
        found = []
        for number, level in enumerate(self.model.trunk.wiring.levels, start=1):
            for e, expert in enumerate(level.experts):
                if not self._has_network(number):
                    continue
                with expert_off(self.model, number, e):
                    after = score(self.model, self.test, tasks, self.data.scales)
                changes = {t.name: gain(after[t.name], before[t.name], t.kind) for t in tasks}
                found.append({"level": number, "expert": expert.name, "owner": expert.owner, "change": changes})
        return {
            "off": found,
            "before": {t.name: before[t.name].get("auc" if t.kind == "binary" else "mse") for t in tasks},
            "kinds": {t.name: t.kind for t in tasks},
            "rows": len(self.test.labels),
            "split": "test",
        }

    @torch.no_grad()
    def _forward(self, rows: Rows) -> list[Output]:
        """Outputs, some thousand rows at a time."""
        starts = range(0, max(len(rows.labels), 1), EVALUATION_ROWS)
        return [self.model(rows.at(slice(s, s + EVALUATION_ROWS)).inputs) for s in starts]

    def _has_network(self, level: int) -> bool:
        return level <= len(banks(self.model))

    @torch.no_grad()
    def _expert_outputs(self, rows: Rows) -> dict[int, Tensor]:
        """Level -> what its experts send on these rows [E, B, H]."""
        found: dict[int, Tensor] = {}

        def keep(number: int) -> Callable[[nn.Module, Any, Tensor], None]:
            def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
                found[number] = _parts(self.model, output)

            return hook

        with ExitStack() as stack:
            for number, bank in enumerate(banks(self.model), start=1):
                stack.callback(bank.register_forward_hook(keep(number)).remove)
            self.model(rows.inputs)
        return found

    def _column(self, feature: str) -> pd.Series[Any]:
        schema = self.data.schema
        dataset = cast(DatasetOptions, self.spec.data.part)
        if feature not in {*(f.name for f in schema.features), *schema.hidden}:
            raise CannotLook(f"These data have no column {feature!r}.")
        table = dataset.frames(self.spec.seed).valid
        if feature not in table.columns:
            raise CannotLook(f"The rows of these data do not carry the column {feature!r}.")
        column = table[feature].iloc[:MOST_ROWS]
        sequence = next((f for f in schema.sequences if f.name == feature), None)
        if sequence is None:
            return column
        separator = sequence.separator
        lengths: pd.Series[Any] = column.map(lambda cell: len([v for v in str(cell).split(separator) if v]))
        return lengths.where(column.notna(), 0).astype(float)


def banks(model: Model) -> list[MLPBank]:
    """The expert networks, level by level; a last level that only mixes layers has none."""
    trunk = model.trunk
    if isinstance(trunk, MixtureTrunk):
        return [cast(MLPBank, level.experts) for level in trunk.levels]
    if isinstance(trunk, DSelectKTrunk):
        return [trunk.bank]
    return [cast(MLPBank, bank) for bank in cast(nn.ModuleList, trunk.banks)]


def _parts(model: Model, h_NBH: Tensor) -> Tensor:
    """What a bank sends, by expert: a sluice network cuts each layer into parts."""
    return model.trunk.cut(h_NBH) if isinstance(model.trunk, SluiceTrunk) else h_NBH


@contextmanager
def expert_off(model: Model, level: int, expert: int) -> Iterator[None]:
    """The model without one expert, for a while: see `Inspection.switch_off`.

    Args:
        model: any.
        level: from 1.
        expert: its place in the wiring's level.
    """
    trunk = model.trunk
    declared = trunk.wiring.levels[level - 1]

    def silence(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        parts = _parts(model, output).clone()
        parts[expert] = 0.0
        return trunk.join(parts) if isinstance(trunk, SluiceTrunk) else parts

    with ExitStack() as stack:
        stack.callback(banks(model)[level - 1].register_forward_hook(silence).remove)
        if isinstance(trunk, MixtureTrunk):
            stack.enter_context(_without(trunk.levels[level - 1], "gates", declared, expert))
        elif isinstance(trunk, DSelectKTrunk):
            stack.enter_context(_without(trunk, "weights", declared, expert))
        yield


@contextmanager
def _without(module: nn.Module, method: str, level: Level, expert: int) -> Iterator[None]:
    """Let a method that returns gate weights [G, B, E] leave out one expert."""
    compute = getattr(module, method)

    def leave_out(*arguments: Any, **named: Any) -> Tensor:
        return renormalised(compute(*arguments, **named), level.gates, expert)

    # On the object, in front of the class's method.
    object.__setattr__(module, method, leave_out)
    try:
        yield
    finally:
        object.__delattr__(module, method)


def renormalised(weight_GBE: Tensor, gates: Sequence[Gate], expert: int) -> Tensor:
    """Gate weights with one expert at 0; those of a gate that chooses, or selects, are scaled up to their old sum.

    Given constants stay as they are, and so does a gate with nothing else to turn to: all its weights are 0.
    """
    less = weight_GBE.clone()
    less[:, :, expert] = 0.0
    rest = less.sum(2, keepdim=True)
    scaled = torch.where(rest > 0, less * (weight_GBE.sum(2, keepdim=True) / rest.clamp(min=1e-30)), less)
    chooses = torch.tensor([gate.kind != "mix" for gate in gates], device=less.device)
    return torch.where(chooses[:, None, None], scaled, less)


def segments_of(column: pd.Series[Any]) -> tuple[list[str], Tensor]:
    """Names of the segments of a column and the place of each row's own [n]; none is empty."""
    import pandas as pd

    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and column.nunique() > VALUES:
        values = column.to_numpy(np.float64, na_value=np.nan)
        known = np.isfinite(values)
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, BINS + 1)[1:-1]))
        place = np.where(known, np.searchsorted(edges, values, side="left"), len(edges) + 1)
        ends = [f"{edge:.3g}" for edge in edges]
        names = [
            f"up to {ends[0]}",
            *(f"{a} to {b}" for a, b in itertools.pairwise(ends)),
            f"above {ends[-1]}",
        ]
        names.append("missing")
    else:
        texts = column.astype("string").fillna("missing")
        if numeric:  # 0 and 1, not 0.0 and 1.0
            texts = column.map(lambda v: "missing" if pd.isna(v) else f"{v:g}")
        frequent = [str(name) for name in texts.value_counts().index[:VALUES]]
        names = [*(sorted(frequent, key=_as_number) if numeric else frequent), "other"]
        places = {name: i for i, name in enumerate(names)}
        place = np.array([places.get(str(text), len(names) - 1) for text in texts])
    used, place = np.unique(place, return_inverse=True)
    return [names[i] for i in used], torch.from_numpy(place.astype(np.int64))


def _as_number(text: str) -> float:
    return float("inf") if text == "missing" else float(text)


def _short(values: Sequence[float]) -> list[float]:
    return [round(float(v), 5) for v in values]


__all__ = ["CannotLook", "DataError", "Inspection", "expert_off", "gate_key", "open_run", "renormalised", "segments_of"]
