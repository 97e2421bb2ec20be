"""The peers, trained through their own public interfaces, with the numbers that this project's encoder made.

Both import beside the pinned numpy, pandas and torch: `pip install -r benchmarks/requirements.txt`. What they cannot be
told through their interfaces stays as it is:

- torch-rechub's networks have a batch normalisation after every layer, its gates too.
- deepctr-torch's PLE builds as many shared experts per level as experts of one task, whatever `shared_expert_num` says;
  asked for more it ends in an IndexError. It runs with fewer shared experts here: less work than its competitors.
- deepctr-torch adds an L2 penalty on embeddings unless told not to, and is told not to.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from mtl_core.data.tables import Arrays, Encoded
from mtl_core.metrics import auc


@dataclass(frozen=True)
class Recipe:
    """What to train. Layer widths of experts; `own` and `levels` are those of PLE, which is CGC with one level."""

    kind: str  # shared_bottom, mmoe or ple
    layers: tuple[int, ...]
    towers: tuple[int, ...]
    epochs: int
    batch: int
    learning_rate: float
    dim: int = 8
    experts: int = 0
    own: int = 0
    levels: int = 1


@dataclass(frozen=True)
class Trained:
    """Wall-clock and processor seconds of all epochs' steps, and test AUC per task."""

    seconds: float
    processor: float
    aucs: list[float]


Contestant = Callable[[Recipe, Encoded, int], Trained]


def contestants() -> dict[str, Contestant]:
    """The peers that are installed, by name."""
    found: dict[str, Contestant] = {}
    with contextlib.suppress(ImportError), _silence():
        import deepctr_torch  # noqa: F401

        found["deepctr-torch 0.3.0"] = deepctr
    with contextlib.suppress(ImportError), _silence():
        import torch_rechub  # noqa: F401

        found["torch-rechub 0.9.0"] = rechub
        found["torch-rechub 0.9.0, batches made beforehand"] = rechub_ready
    return found


def deepctr(recipe: Recipe, data: Encoded, seed: int) -> Trained:
    """As in its examples/run_multitask_learning.py: compile, fit, predict."""
    from deepctr_torch import models
    from deepctr_torch.inputs import DenseFeat, SparseFeat

    tables = data.columns.tables
    columns = [SparseFeat(f"c{i}", rows, embedding_dim=recipe.dim) for i, rows in enumerate(tables)]
    columns += [DenseFeat(f"n{i}", 1) for i in range(data.train.numeric.shape[1])]
    count = data.train.labels.shape[1]
    common: dict[str, Any] = {
        "tower_dnn_hidden_units": recipe.towers,
        "l2_reg_embedding": 0.0,
        "task_types": ["binary"] * count,
        "task_names": list(data.schema.task_names),
        "seed": seed,
    }
    if recipe.kind == "shared_bottom":
        model = models.SharedBottom(columns, bottom_dnn_hidden_units=recipe.layers, **common)
    elif recipe.kind == "mmoe":
        experts = {"expert_dnn_hidden_units": recipe.layers, "gate_dnn_hidden_units": ()}
        model = models.MMOE(columns, num_experts=recipe.experts, **experts, **common)
    else:
        experts = {"expert_dnn_hidden_units": recipe.layers, "gate_dnn_hidden_units": ()}
        shared = {"shared_expert_num": min(recipe.experts, recipe.own), "specific_expert_num": recipe.own}
        model = models.PLE(columns, num_levels=recipe.levels, **shared, **experts, **common)
    # A list of losses: its default adds them up over the rows, which Adam does not notice.
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    model.compile(optimizer, loss=["binary_crossentropy"] * count)
    inputs = _columns(data.train)
    with _silence():
        clock = _Clock()
        model.fit(inputs, data.train.labels, batch_size=recipe.batch, epochs=recipe.epochs, verbose=0)
        seconds, processor = clock.read()
        scores = torch.from_numpy(model.predict(_columns(data.test), 8192))
    return Trained(seconds, processor, _aucs(scores, data.test))


def rechub(recipe: Recipe, data: Encoded, seed: int) -> Trained:
    """As in its examples: a DataGenerator's loader, an MTLTrainer."""
    from torch_rechub.utils.data import DataGenerator

    generator = DataGenerator(_columns(data.train), data.train.labels)
    nothing: dict[str, Any] = {"x_val": {}, "y_val": [], "x_test": {}, "y_test": []}
    torch.manual_seed(seed)
    loader, _, _ = generator.generate_dataloader(batch_size=recipe.batch, **nothing)
    return _rechub(recipe, data, seed, lambda: loader)


def rechub_ready(recipe: Recipe, data: Encoded, seed: int) -> Trained:
    """The same trainer, fed with shuffled batches that are cut by slicing: what its models alone can do."""
    columns = {name: torch.from_numpy(values) for name, values in _columns(data.train).items()}
    labels = torch.from_numpy(data.train.labels)

    def batches() -> list[tuple[dict[str, torch.Tensor], torch.Tensor]]:
        order = torch.randperm(len(labels))
        return [
            ({name: values[rows] for name, values in columns.items()}, labels[rows])
            for rows in order.split(recipe.batch)
        ]

    return _rechub(recipe, data, seed, batches)


def _rechub(recipe: Recipe, data: Encoded, seed: int, batches: Callable[[], Any]) -> Trained:
    from torch_rechub.basic.features import DenseFeature, SparseFeature
    from torch_rechub.models import multi_task
    from torch_rechub.trainers import MTLTrainer

    torch.manual_seed(seed)
    features = [SparseFeature(f"c{i}", vocab_size=n, embed_dim=recipe.dim) for i, n in enumerate(data.columns.tables)]
    features += [DenseFeature(f"n{i}") for i in range(data.train.numeric.shape[1])]
    kinds = ["classification"] * data.train.labels.shape[1]
    towers = [{"dims": list(recipe.towers)} for _ in kinds]
    experts = {"dims": list(recipe.layers)}
    if recipe.kind == "shared_bottom":
        model = multi_task.SharedBottom(features, kinds, experts, towers)
    elif recipe.kind == "mmoe":
        model = multi_task.MMOE(features, kinds, recipe.experts, experts, towers)
    else:
        model = multi_task.PLE(features, kinds, recipe.levels, recipe.own, recipe.experts, experts, towers)
    trainer = MTLTrainer(model, kinds, optimizer_params={"lr": recipe.learning_rate}, n_epoch=recipe.epochs)
    seconds = processor = 0.0
    with _silence():
        for _ in range(recipe.epochs):
            loader = batches()
            clock = _Clock()
            trainer.train_one_epoch(loader)
            wall, used = clock.read()
            seconds, processor = seconds + wall, processor + used
        test = {name: torch.from_numpy(values) for name, values in _columns(data.test).items()}
        model.eval()
        with torch.no_grad():
            scores = model(test)
    return Trained(seconds, processor, _aucs(scores, data.test))


def _columns(arrays: Arrays) -> dict[str, Any]:
    columns: dict[str, Any] = {f"c{i}": arrays.ids[:, i] for i in range(arrays.ids.shape[1])}
    columns |= {f"n{i}": arrays.numeric[:, i] for i in range(arrays.numeric.shape[1])}
    return columns


def _aucs(scores_BK: torch.Tensor, arrays: Arrays) -> list[float]:
    labels = torch.from_numpy(arrays.labels)
    return [float(auc(scores_BK[:, k], labels[:, k]) or float("nan")) for k in range(labels.shape[1])]


class _Clock:
    """Seconds since it was made: on the wall, and of this process on all cores."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._processor


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Peers print while they train."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
