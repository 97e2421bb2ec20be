"""Honest comparison: gains over the single-task run of the same data, seed and budget, with paired intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from mtl_core import registry
from mtl_core.data.base import DatasetOptions
from mtl_core.schema import PRIMARY
from mtl_core.spec import RunSpec, fingerprint

YARDSTICK = "single_task"


@dataclass(frozen=True)
class Interval:
    """A mean over paired seeds with the half-width of its 95% interval (None with fewer than two seeds)."""

    mean: float
    half_width: float | None
    n: int

    @property
    def verdict(self) -> Literal["gains", "loses", "not distinguishable"]:
        """Whether the interval lies above 0, below 0, or touches it."""
        if self.half_width is None or abs(self.mean) <= self.half_width:
            return "not distinguishable"
        return "gains" if self.mean > 0 else "loses"


def paired_interval(differences: Sequence[float]) -> Interval:
    """Mean of paired differences and its 95% interval (Student's t, n - 1 degrees of freedom).

    Raises:
        ValueError: no differences.
    """
    n = len(differences)
    if n == 0:
        raise ValueError("An interval needs at least one difference.")
    mean = math.fsum(differences) / n
    if n == 1:
        return Interval(mean, None, 1)
    from scipy.special import stdtrit

    variance = math.fsum((d - mean) ** 2 for d in differences) / (n - 1)
    return Interval(mean, float(stdtrit(n - 1, 0.975)) * math.sqrt(variance / n), n)


def gain(metrics: dict[str, float | None], baseline: dict[str, float | None], kind: str) -> float | None:
    """Gain of one task over its yardstick, higher is better.

    Of a binary task the difference in AUC, as PLE's paper has it. Of a regression the fall of the squared error as a
    share of the yardstick's: its size depends on the label's unit, so a difference says nothing to who does not know
    that. None where either score is missing, or where the yardstick makes no error.
    """
    name, sign = PRIMARY[kind]
    ours, theirs = metrics.get(name), baseline.get(name)
    if ours is None or theirs is None:
        return None
    if kind == "binary":
        return sign * (ours - theirs)
    return sign * (ours - theirs) / theirs if theirs else None


def budget_key(spec: RunSpec) -> str:
    """Equal for runs that may be compared: same data, same training budget. The seed pairs runs within it."""
    return fingerprint([_data(spec), _training(spec)])


def variant_key(spec: RunSpec) -> str:
    """Equal for runs that differ in nothing but the seed (and the device)."""
    value = spec.to_json()
    return fingerprint([_data(spec), _training(spec), value["model"], value["balancer"], value["init_from"]])


def run_key(spec: RunSpec) -> str:
    """Equal for runs that give the same numbers up to the device's rounding."""
    return seed_key(variant_key(spec), spec.seed)


def seed_key(variant: str, seed: int) -> str:
    """The `run_key` of a variant, known by its `variant_key`, with this seed."""
    return fingerprint([variant, seed])


def preset_spec(dataset: str, trunk: str, **changes: Any) -> RunSpec:
    """A trunk on a data set as the preset has it: matched in parameter count to the preset's other trunks."""
    preset = cast(type[DatasetOptions], registry.get("dataset", dataset)).preset()
    value = {**preset["spec"], **changes}
    value["model"] = {**value["model"], "trunk": {"name": trunk, "options": preset["trunks"].get(trunk, {})}}
    return RunSpec.parse(value)


def baseline_spec(spec: RunSpec) -> RunSpec:
    """The yardstick of a run: the preset's single-task model on the same data, seed, budget and encoder.

    It takes equal loss weights: its networks share nothing, so a weight would only scale a learning rate.
    """
    value = spec.to_json()
    yardstick = preset_spec(spec.data.name, YARDSTICK).to_json()
    model = {**yardstick["model"], "encoder": value["model"]["encoder"]}
    balancer = {"name": "static", "options": {}}
    return RunSpec.parse({**value, "model": model, "balancer": balancer, "init_from": None})


def is_baseline(spec: RunSpec) -> bool:
    """Is this run itself a yardstick?"""
    return spec.model.trunk.name == YARDSTICK and run_key(spec) == run_key(baseline_spec(spec))


def _data(spec: RunSpec) -> dict[str, Any]:
    """The data; a file that is known by its hash is the same wherever it lies, as on the machine a run came from."""
    data = spec.to_json()["data"]
    nowhere = {"path": ""} if data["options"].get("sha256") else {}
    return {**data, "options": {**data["options"], **nowhere}}


def _training(spec: RunSpec) -> dict[str, Any]:
    training = spec.to_json()["training"]
    training.pop("device")
    return cast(dict[str, Any], training)
