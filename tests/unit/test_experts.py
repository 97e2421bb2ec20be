"""Experts and gates as one product per stream give what single products give; mixes of every size are the same sums."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl_core import registry
from mtl_core.nn.experts import GatedExperts
from mtl_core.trunks import TrunkOptions
from mtl_core.trunks.wiring import Level

TASKS, BATCH, WIDTH = ("A", "B"), 6, 5
#: Trunks of the mixture family with options that make levels of all sorts.
LEVELS: dict[str, tuple[str, dict[str, Any]]] = {
    "one stream": ("mmoe", {"experts": 4}),
    "one gate": ("omoe", {"experts": 3}),
    "no gate": ("shared_bottom", {}),
    "an expert per stream": ("ple", {"shared_experts": 1, "task_experts": 1}),
    "two experts per stream": ("ple", {"shared_experts": 2, "task_experts": 2}),
    "streams of unequal use": ("ple", {"shared_experts": 4, "task_experts": 2}),
    "native experts": ("adatt", {"shared_experts": 2, "task_experts": 2}),
    "stopped gradients": ("stem", {"shared_experts": 2, "task_experts": 2}),
    "gates that read the encoder": ("ml_mmoe", {"experts": 4}),
}


def levels(name: str) -> list[Level]:
    """All levels of a trunk."""
    trunk, options = LEVELS[name]
    found = registry.get("trunk", trunk)
    assert issubclass(found, TrunkOptions)
    sizes = {"expert_layers": [3, 4], "layers": [3, 4], **options}
    part = found.model_validate({k: v for k, v in sizes.items() if k in found.model_fields})
    streams = 3 if trunk == "stem" else 1
    return list(part.wire(TASKS, streams).levels)


def all_levels() -> list[tuple[str, int]]:
    """Every level by its trunk's name and its number."""
    return [(name, number) for name in LEVELS for number in range(len(levels(name)))]


def built(name: str, number: int) -> tuple[GatedExperts, Tensor]:
    """A level in double precision, and streams for it."""
    level = levels(name)[number]
    streams = 1 + max(
        *(expert.source for expert in level.experts),
        *(max(gate.source, gate.beside or 0) for gate in level.gates),
    )
    generator = torch.Generator().manual_seed(number)
    module = GatedExperts(level, WIDTH, WIDTH, generator).double()
    for parameter in module.parameters():
        parameter.data.uniform_(-1, 1, generator=generator)
    return module, torch.randn(streams, BATCH, WIDTH, generator=generator, dtype=torch.float64)


def told(module: GatedExperts, x_SBD: Tensor) -> list[Tensor]:
    """Mixes, gate weights, and the gradients of something that depends on both."""
    x = x_SBD.clone().requires_grad_()
    mixes, gates = module(x, x)
    slope = torch.linspace(-1, 1, mixes.numel(), dtype=mixes.dtype).reshape(mixes.shape)
    total = (mixes * slope).sum() + (gates * gates).sum()
    found = torch.autograd.grad(total, [x, *module.parameters()], allow_unused=True)
    return [mixes, gates, *(torch.zeros(1) if g is None else g for g in found)]


@pytest.mark.parametrize(("name", "number"), all_levels())
def test_one_product_per_stream_is_what_single_products_are(name: str, number: int) -> None:
    module, x = built(name, number)
    plain = copy.deepcopy(module)
    plain.readers, plain.joint = [], False
    for ours, theirs in zip(told(module, x), told(plain, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "number"), all_levels())
def test_mixes_of_all_sizes_are_the_same_sums(name: str, number: int) -> None:
    module, x = built(name, number)
    assert module.small_mixes
    large = copy.deepcopy(module)
    large.small_mixes = False
    for ours, theirs in zip(told(module, x), told(large, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_which_experts_and_gates_share_a_product() -> None:
    def shared(name: str, number: int) -> list[tuple[int, int, int]]:
        return [
            (stream, experts.stop - experts.start, pairs.stop - pairs.start)
            for stream, experts, pairs in built(name, number)[0].readers
        ]

    assert shared("one stream", 0) == [(0, 4, 8)]
    # Two private and four shared experts: a task's gate sees six, that of the shared stream all eight.
    assert shared("streams of unequal use", 0) == [(0, 8, 6 + 6 + 8)]
    assert shared("streams of unequal use", 1) == [(0, 2, 6), (1, 2, 6), (2, 4, 0)]
    # A product each would be as many as there are experts: they are a batch.
    assert shared("an expert per stream", 1) == []
