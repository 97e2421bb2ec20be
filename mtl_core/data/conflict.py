"""`conflict`: a made world in which two tasks pull one small network apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mtl_core.data.base import DatasetOptions, Frames
from mtl_core.data.worlds import split
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Feature, Schema, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEATURES = 32
HIDDEN_UNITS = 8
#: Scale of the tanh units' inputs: large, so that they act as soft steps, which a narrow network cannot all follow.
STEEPNESS = 5.0
TASKS = ("A", "B")


@register("dataset", "conflict")
class Conflict(DatasetOptions):
    """Two tasks over 32 normal features: a common random tanh network plus one network of each task's own.

    score_k = sqrt(r) f(x) + sqrt(1 - r) q_k(x) + noise; the label is 1 for the highest scores. The world was built to
    show conflict: with little in common, a small shared network must choose whom to serve. `seed` draws networks, rows
    and noise.
    """

    relatedness: float = option(0.1, "Share of each task's score that is common to both (r)", ge=0, le=1)
    rows: int = option(24_000, "Rows in all: 60% train, 20% validation, 20% test", ge=500, le=1_000_000)
    noise: float = option(0.0, "Standard deviation of label noise, in units of the score's", ge=0, le=10)
    rate_a: float = option(0.5, "Share of positives of task A", ge=0.01, le=0.99, advanced=True)
    rate_b: float = option(0.3, "Share of positives of task B", ge=0.01, le=0.99, advanced=True)

    def table_schema(self) -> Schema:
        return Schema(
            features=tuple(Feature(name=f"x{i}", kind="numeric", scaling="none") for i in range(FEATURES)),
            tasks=tuple(Task(name=name, label=f"y_{name}") for name in TASKS),
            hidden=tuple(f"score_{name}" for name in TASKS),
        )

    def frames(self, seed: int) -> Frames:
        rng = np.random.default_rng([seed, 0xC0])
        x = rng.standard_normal((self.rows, FEATURES))
        common = _tanh_network(rng, x)
        columns: dict[str, Any] = {f"x{i}": x[:, i].astype(np.float32) for i in range(FEATURES)}
        for name, rate in zip(TASKS, (self.rate_a, self.rate_b), strict=True):
            own = _tanh_network(rng, x)
            score = np.sqrt(self.relatedness) * common + np.sqrt(1 - self.relatedness) * own
            noisy = score + self.noise * rng.standard_normal(self.rows)
            columns[f"y_{name}"] = (noisy > np.quantile(noisy, 1 - rate)).astype(np.float32)
            columns[f"score_{name}"] = score
        return split(columns, self.rows)

    @classmethod
    def preset(cls) -> dict[str, Any]:
        trunks: dict[str, dict[str, Any]] = {
            "single_task": {"layers": [14]},
            "shared_bottom": {"layers": [28]},
            "soft_sharing": {"layers": [14]},
            "cross_stitch": {"layers": [14]},
            "sluice": {"width": 10, "levels": 2, "subspaces": 2},
            "asymmetric": {"layers": [14]},
            "customized": {"layers": [9]},
            "omoe": {"experts": 3, "expert_layers": [9]},
            "mmoe": {"experts": 3, "expert_layers": [8]},
            "ml_mmoe": {"experts": 3, "levels": 2, "expert_layers": [4]},
            "cgc": {"shared_experts": 1, "task_experts": 1, "expert_layers": [8]},
            "ple": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [6]},
            "adatt": {"shared_experts": 0, "task_experts": 1, "levels": 2, "expert_layers": [9]},
            "stem": {"shared_experts": 1, "task_experts": 1, "levels": 1, "expert_layers": [8]},
            "snr": {"experts": 3, "levels": 2, "expert_layers": [5]},
            "dselect_k": {"experts": 4, "selectors": 2, "expert_layers": [7]},
            "pepnet": {"layers": [9], "gate_hidden": 2},
        }
        spec = {
            "data": {"name": "conflict"},
            "model": {"trunk": {"name": "mmoe", "options": trunks["mmoe"]}, "towers": []},
            "training": {"epochs": 15, "batch_size": 256, "learning_rate": 0.005},
        }
        return {"spec": spec, "trunks": trunks}


def _tanh_network(rng: np.random.Generator, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Output of a random one-layer tanh network, scaled to mean 0 and variance 1 over the rows. [n]"""
    w_in = rng.standard_normal((x.shape[1], HIDDEN_UNITS)) * (STEEPNESS / np.sqrt(x.shape[1]))
    out = np.tanh(x @ w_in) @ rng.standard_normal(HIDDEN_UNITS)
    return np.asarray((out - out.mean()) / out.std())
