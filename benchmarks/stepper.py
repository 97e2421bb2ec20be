"""One run's training steps outside of a training, for benchmarks that look at steps alone."""

from __future__ import annotations

import time

import torch

from mtl_core.data.load import load
from mtl_core.engine.population import Noise, Population
from mtl_core.engine.rows import Shelf, to_device
from mtl_core.spec import RunSpec
from mtl_core.training import build_model


class Stepper:
    """One run's training steps, timed from outside.

    Args:
        spec: the run.
        steps: batches in a lap.
    """

    def __init__(self, spec: RunSpec, steps: int) -> None:
        data = load(spec.data, spec.seed)
        rows = to_device(data.train, torch.device("cpu"))
        self.shelf = Shelf([rows])
        self.population = Population([spec], [build_model(spec, data)], rows)
        self.population.train_mode()
        order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
        self.batches = order.split(spec.training.batch_size)[:steps]
        self._generator = torch.Generator().manual_seed(0)
        self.tasks = len(data.schema.tasks)

    def _noise(self, rows: int) -> Noise:
        rule, of_model = self.population.balancer, self.population.noise_of_model
        elements = self.population.shared_elements() if rule.noise_per_element else 0
        shapes = ((1, rows, of_model), (1, rule.noise), (1, elements))
        return Noise(*(torch.rand(shape, generator=self._generator) if shape[-1] else None for shape in shapes))

    def lap(self) -> float:
        """Milliseconds of processor time per step."""
        start = time.process_time()
        for index in self.batches:
            self.population.step(self.shelf.shared_batch(index), self._noise(len(index)), per_member=False)
        return 1e3 * (time.process_time() - start) / len(self.batches)
