"""What a finished run can be taken home as: its metrics as a table, the lines that load its weights. No Streamlit."""

from __future__ import annotations

import io

import pandas as pd

from app.jobs.records import RunRecord
from app.library import History


def file_stem(record: RunRecord) -> str:
    """conflict-mmoe-0-1a2b3c4d: what a run's files are called."""
    run_id = "" if record.id.startswith("example-") else f"-{record.id}"
    return f"{record.dataset}-{record.trunk}-{record.seed}{run_id}"


def metrics_table(history: History) -> pd.DataFrame:
    """Every number of every epoch: one row per epoch, split and task, and two per task for the tested weights.

    Columns: `epoch` (for split `test` the epoch whose weights were tested), `split`, `task`, the metrics, and for
    validation rows the mean training `loss` and the loss `weight` of the task in that epoch.
    """
    rows: list[dict[str, object]] = []
    for epoch in history.epochs:
        for split, tasks in epoch.metrics.items():
            for task, metrics in tasks.items():
                told = {"loss": epoch.losses.get(task), "weight": epoch.weights.get(task)}
                rows.append({"epoch": epoch.epoch, "split": split, "task": task, **metrics, **told})
    if history.finished is not None:
        for task, metrics in history.finished.metrics["test"].items():
            rows.append({"epoch": history.finished.best_epoch, "split": "test", "task": task, **metrics})
    names = list(dict.fromkeys(name for row in rows for name in row))
    ordered = [name for name in names if name not in ("loss", "weight")] + ["loss", "weight"]
    table = pd.DataFrame(rows, columns=ordered)
    numbers = [name for name in ordered if name not in ("epoch", "split", "task")]
    return table.astype(dict.fromkeys(numbers, "float64"))


def metrics_csv(history: History) -> bytes:
    """The table as CSV."""
    return metrics_table(history).to_csv(index=False).encode()


def metrics_parquet(history: History) -> bytes:
    """The table as Parquet."""
    file = io.BytesIO()
    metrics_table(history).to_parquet(file, index=False)
    return file.getvalue()


def loading_code(stem: str) -> str:
    """Lines that load the weights beside the spec and score the test rows again, with the numbers of the dashboard."""
    return f"""\
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from mtl_core import RunSpec
from mtl_core.data.load import load
from mtl_core.engine.evaluation import score
from mtl_core.engine.rows import to_device
from mtl_core.training import build_model

spec = RunSpec.parse(json.loads(Path("{stem}.json").read_text()))
data = load(spec.data, spec.seed)
model = build_model(spec, data)
model.load_state_dict(load_file("{stem}.safetensors"))

rows = to_device(data.test, torch.device("cpu"))
print(json.dumps(score(model, rows, data.schema.tasks, data.scales)))
"""
