"""Recipes: each named system is a composition that trains on the data it was made for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from mtl_core import registry
from mtl_core.card import Card
from mtl_core.checkpoints import load_weights
from mtl_core.data.load import load
from mtl_core.engine.evaluation import score
from mtl_core.engine.rows import to_device
from mtl_core.events import Epoch, Finished
from mtl_core.recipes import RecipeOptions
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec, SpecError
from mtl_core.training import build_model, train

NAMES = (
    *("esmm", "esmm_ns", "base_cvr", "aman", "oversampling", "unbias", "division", "esm2", "dupn", "meituan"),
    *("mmoe", "youtube", "zhihu", "meitu_nfwfm", "ple", "aitm", "escm2", "adatt", "stem", "pepnet"),
)


def recipe(name: str) -> type[RecipeOptions]:
    """Its options class."""
    return cast(type[RecipeOptions], registry.get("recipe", name))


def spec_of(name: str, rows: int = 3000, options: dict[str, Any] | None = None) -> RunSpec:
    """The recipe on the data that suit it, made small."""
    suits = recipe(name).suits
    data = {"name": suits["name"], "options": {**suits["options"], "rows": rows}}
    model = {"recipe": name, "options": recipe(name).sized if options is None else options}
    return RunSpec.parse({"data": data, "model": model, "training": {"epochs": 1, "batch_size": 256}})


def test_every_named_system_is_there() -> None:
    """In the catalogue with its card and data."""
    assert set(registry.names("recipe")) == set(NAMES)
    for name, entry in registry.catalogue()["recipe"].items():
        assert entry["card"]["problem"], name
        assert entry["card"]["formula"], name
        assert entry["suits"]["name"] in registry.names("dataset")


@pytest.mark.parametrize("kind", ["encoder", "trunk", "head", "recipe"])
def test_every_part_has_a_card(kind: str) -> None:
    """Its own, not one inherited by accident from a part that says something else."""
    cards = {name: cast(Any, registry.get(kind, name)).card for name in registry.names(kind)}
    assert all(isinstance(card, Card) and card.problem.endswith((".", "?")) and card.formula for card in cards.values())
    for card in cards.values():
        assert (card.year is None) == (not card.authors)
    if kind != "recipe":
        assert len({card.problem for card in cards.values()}) == len(cards)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_trains_on_the_data_that_suit_it(name: str) -> None:
    """One epoch on few rows: numbers everywhere, and the counted parameters are those of the model."""
    spec = spec_of(name)
    events = list(train([spec]))
    last = events[-1]
    assert isinstance(last, Finished), last
    epoch = next(event for event in events if isinstance(event, Epoch))
    assert all(loss is not None and math.isfinite(loss) for loss in epoch.losses.values())
    counted = parameter_count(spec)
    assert counted.parameters == last.parameters if counted.exact else counted.parameters >= last.parameters


@pytest.mark.parametrize("name", NAMES)
def test_published_sizes_fit_too(name: str) -> None:
    """Every option at its default is a model that can be built."""
    assert parameter_count(spec_of(name, options={})).parameters > 0


def test_esmm_shares_embeddings_and_nothing_else() -> None:
    """And ESMM-NS shares nothing: its tables are twice as many."""
    esmm, apart = spec_of("esmm"), spec_of("esmm_ns")
    assert (esmm.streams, apart.streams) == (1, 2)
    for spec in (esmm, apart):
        (level,) = spec.wiring.levels
        assert [gate.sees for gate in level.gates] == [(0,), (1,)]
        assert spec.model.head.name == "esmm"


def test_a_recipe_brings_its_balancer_unless_the_spec_names_one() -> None:
    """PLE's weights decay; a balancer in the spec wins; a recipe without one leaves the default."""
    data = {"name": "conflict", "options": {"rows": 500}}
    assert RunSpec.parse({"data": data, "model": {"recipe": "ple"}}).balancer.name == "decay"
    chosen = RunSpec.parse({"data": data, "model": {"recipe": "ple"}, "balancer": {"name": "dwa"}})
    assert chosen.balancer.name == "dwa"
    assert RunSpec.parse({"data": data, "model": {"recipe": "mmoe"}}).balancer.name == "static"


def test_a_recipe_for_a_funnel_says_what_it_needs() -> None:
    """One sentence, on data without one."""
    with pytest.raises(SpecError, match=r"model\.head"):
        RunSpec.parse({"data": {"name": "conflict"}, "model": {"recipe": "esmm"}})


def test_a_wrong_option_is_named() -> None:
    """Also where the recipe would bring a balancer."""
    with pytest.raises(SpecError, match=r"model\.options\.task_experts"):
        RunSpec.parse({"data": {"name": "conflict"}, "model": {"recipe": "ple", "options": {"task_experts": -1}}})


def test_dupn_is_updated_day_by_day(tmp_path: Path) -> None:
    """The next day's run starts from yesterday's weights: before it learns anything it scores as yesterday's model."""

    def day_of(number: int, **more: Any) -> RunSpec:
        data = {"name": "ecommerce_sequences", "options": {"rows": 3000, "day": number}}
        training = {"epochs": 2, "batch_size": 128, "learning_rate": 0.005, **more.pop("training", {})}
        return RunSpec.parse({"data": data, "model": {"recipe": "dupn"}, "training": training, **more})

    yesterday = list(train([day_of(0)], folders=[tmp_path]))
    assert isinstance(yesterday[-1], Finished)
    still = {"learning_rate": 1e-12, "optimizer": "sgd", "epochs": 1}
    updated = day_of(1, init_from=str(tmp_path), training=still)
    first = next(event for event in train([updated]) if isinstance(event, Epoch))

    data = load(updated.data, 0)
    old = build_model(day_of(0), data)
    old.load_state_dict(load_weights(tmp_path))
    expected = score(old, to_device(data.valid, torch.device("cpu")), data.schema.tasks)
    for task, values in first.metrics["valid"].items():
        assert values == pytest.approx(expected[task], abs=1e-5)

    fresh = next(event for event in train([day_of(1, training=still)]) if isinstance(event, Epoch))
    mse = [event.metrics["valid"]["price_level"]["mse"] for event in (first, fresh)]
    assert mse[0] is not None
    assert mse[1] is not None
    assert mse[0] < mse[1] / 2
