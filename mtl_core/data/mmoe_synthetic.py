"""`mmoe_synthetic`: the MMoE paper's made regression tasks, whose relatedness is one number.

Ma, Zhao, Yi, Chen, Hong, Chi, "Modeling Task Relationships in Multi-task Learning with Multi-gate
Mixture-of-Experts", KDD 2018, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import model_validator

from mtl_core.data import worlds
from mtl_core.data.base import DatasetOptions, Frames
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Feature, Schema, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

TASKS = ("A", "B", "C", "D", "E", "F")


@dataclass(frozen=True)
class Tasks:
    """What the seed draws once for the whole table."""

    weights_KD: NDArray[np.float64]  # one direction per task, of length `scale`
    alpha_M: NDArray[np.float64]  # frequencies of the sines, the same for every task
    beta_M: NDArray[np.float64]  # phases of the sines, the same for every task

    def means(self, x_ND: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each task's label without noise. [n, tasks]"""
        z_NK = x_ND @ self.weights_KD.T
        waves = (np.sin(alpha * z_NK + beta) for alpha, beta in zip(self.alpha_M, self.beta_M, strict=True))
        return np.asarray(sum(waves, z_NK))


@register("dataset", "mmoe_synthetic", "MMoE's synthetic tasks")
class MMoESynthetic(DatasetOptions):
    """Tasks that are as alike as you say: each looks at the inputs from its own angle, and one dial sets the angles.

    The MMoE paper's recipe: w_1 = c u_1 and w_2 = c (p u_1 + sqrt(1 - p^2) u_2) with orthonormal u_1, u_2, so that
    the cosine of the two is p; x ~ N(0, 1)^d; y_k = w_k x + sum_i sin(alpha_i w_k x + beta_i) + noise, i = 1 .. M,
    noise ~ N(0, 0.01) (a variance). More than two tasks have the cosine p pairwise. The paper prints neither c nor M,
    alpha and beta; here alpha_i and beta_i ~ N(0, 1), M = 10 and c = 1, as the PLE paper has them (Tang, Liu, Zhao,
    Gong, RecSys 2020), and all tasks have the same ones. p is no correlation of labels, which is smaller or larger
    but grows with p.

    The binary variant asks whether y_k lies above its median over the table's rows: half of the labels are positive.
    `seed` draws directions, sines, rows and noise. Hidden: mean_k, the label's mean given x (a chance of 1 if binary).
    """

    correlation: float = option(
        0.5, "Cosine between the tasks' directions (p): 1 makes the tasks the same", ge=-1, le=1
    )
    tasks: int = option(2, "Number of tasks", ge=2, le=len(TASKS))
    labels: Literal["regression", "binary"] = option(
        "regression", "Predict the value itself, or whether it lies above its median"
    )
    noise_variance: float = option(0.01, "Variance of the noise on each value", ge=0, le=100)
    rows: int = option(12_000, "Rows in all: 60% train, 20% validation, 20% test", ge=500, le=2_000_000)
    features: int = option(100, "Inputs, standard normal (d)", ge=6, le=1000, advanced=True)
    sines: int = option(10, "Sine waves added to the straight line (M)", ge=0, le=100, advanced=True)
    scale: float = option(1.0, "Length of the tasks' directions (c)", gt=0, le=100, advanced=True)

    @model_validator(mode="after")
    def _angles_exist(self) -> MMoESynthetic:
        worlds.equal_cosines(self.tasks, self.correlation)
        return self

    def table_schema(self) -> Schema:
        names = TASKS[: self.tasks]
        kind: Literal["binary", "regression"] = "binary" if self.labels == "binary" else "regression"
        return Schema(
            features=tuple(Feature(name=f"x{i}", kind="numeric", scaling="none") for i in range(self.features)),
            tasks=tuple(Task(name=name, kind=kind, label=f"y_{name}", truth=f"mean_{name}") for name in names),
            hidden=tuple(f"mean_{name}" for name in names),
        )

    def draw_tasks(self, rng: np.random.Generator) -> Tasks:
        """Directions and sines of a table."""
        basis = worlds.orthonormal(rng, self.tasks, self.features)
        weights = self.scale * worlds.equal_cosines(self.tasks, self.correlation) @ basis
        return Tasks(weights, rng.standard_normal(self.sines), rng.standard_normal(self.sines))

    def frames(self, seed: int) -> Frames:
        rng = np.random.default_rng([seed, 0x33])
        tasks = self.draw_tasks(rng)
        x = rng.standard_normal((self.rows, self.features), np.float32)
        means = tasks.means(x.astype(np.float64))
        noise = np.sqrt(self.noise_variance)
        values = means + noise * rng.standard_normal(means.shape)
        columns: dict[str, Any] = {f"x{i}": x[:, i] for i in range(self.features)}
        for k, name in enumerate(TASKS[: self.tasks]):
            label, truth = values[:, k], means[:, k]
            if self.labels == "binary":
                median = np.median(label)
                label = label > median
                truth = worlds.normal_cdf((truth - median) / noise) if noise else truth > median
            columns[f"y_{name}"] = label.astype(np.float32)
            columns[f"mean_{name}"] = truth.astype(np.float64)
        return worlds.split(columns, self.rows)

    @classmethod
    def preset(cls) -> dict[str, Any]:
        trunks: dict[str, dict[str, Any]] = {
            "single_task": {"layers": [68]},
            "shared_bottom": {"layers": [126]},
            "soft_sharing": {"layers": [68]},
            "cross_stitch": {"layers": [68]},
            "sluice": {"width": 46, "levels": 2, "subspaces": 2},
            "asymmetric": {"layers": [65]},
            "customized": {"layers": [44]},
            "omoe": {"experts": 8, "expert_layers": [17]},
            "mmoe": {"experts": 8, "expert_layers": [16]},
            "ml_mmoe": {"experts": 8, "levels": 2, "expert_layers": [8]},
            "cgc": {"shared_experts": 4, "task_experts": 2, "expert_layers": [16]},
            "ple": {"shared_experts": 2, "task_experts": 2, "levels": 2, "expert_layers": [18]},
            "adatt": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [32]},
            "stem": {"shared_experts": 1, "task_experts": 1, "levels": 1, "expert_layers": [44]},
            "snr": {"experts": 8, "levels": 2, "expert_layers": [9]},
            "dselect_k": {"experts": 4, "selectors": 2, "expert_layers": [35]},
            "pepnet": {"layers": [32], "gate_hidden": 16},
        }
        spec = {
            "data": {"name": "mmoe_synthetic"},
            "model": {"trunk": {"name": "mmoe", "options": trunks["mmoe"]}, "towers": [8]},
            "training": {"epochs": 15, "batch_size": 256, "learning_rate": 0.005},
        }
        return {"spec": spec, "trunks": trunks}
