"""Where towers meet: what heads declare is what their modules compute, and what is drawn and said of it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from app import zoo
from app.charts.architecture import architecture
from app.charts.layout import layout
from app.charts.still import architecture_svg
from app.wording import gates_sentence, meeting_sentence
from mtl_core import registry
from mtl_core.heads.base import HeadOptions
from mtl_core.heads.meeting import Meeting
from mtl_core.schema import Task
from mtl_core.trunks import TrunkOptions

#: Cart after click, purchase after cart: a chain.
CHAIN = tuple(Task(name=n, label=n, after=after) for n, after in (("ctr", None), ("cart", "ctr"), ("cvr", "cart")))
#: Both after the click: a tree.
TREE = tuple(Task(name=n, label=n, after=after) for n, after in (("ctr", None), ("cart", "ctr"), ("cvr", "ctr")))
HEADS = registry.names("head")


def meeting(head: str, tasks: tuple[Task, ...] = TREE, **options: Any) -> Meeting:
    return cast(HeadOptions, registry.get("head", head).model_validate(options)).meeting(tasks)


def drawn(found: Meeting, tasks: tuple[Task, ...] = TREE) -> tuple[Any, Any]:
    names = [task.name for task in tasks]
    wired = cast(TrunkOptions, registry.get("trunk", "shared_bottom")()).wire(names, 1)
    return layout(wired, names, None, found)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_the_picture_has_the_towers_that_are_built(head: str, bound: float) -> None:
    part = registry.get("head", head)
    options = {"kl_bound": bound} if "kl_bound" in part.model_fields else {}
    declared = cast(HeadOptions, part.model_validate(options))
    found = declared.meeting(TREE)
    assert tuple(tower.task for tower in found.towers) == declared.towers(TREE)
    # What is not a task's prediction is not given as one.
    odd = {j for j, tower in enumerate(found.towers) if tower.role in ("error", "mirror")}
    assert not odd & set(declared.predictors(TREE))
    first = len(found.towers)
    for place, joint in enumerate(found.joints):
        assert joint.reads
        assert all(0 <= read < first + place for read in joint.reads)
    nodes, links = drawn(found)
    boxes = nodes[nodes["shape"] == "box"]
    assert len(boxes) == 1 + 1 + first + len(found.joints)  # features, the shared network
    assert (nodes["shape"] == "tip").sum() == len(found.passes)
    assert nodes["y"].between(0, 1).all()
    assert links["y"].between(0, 1).all()
    assert not boxes.duplicated(["x", "y"]).any()
    names = [task.name for task in TREE]
    assert bool(meeting_sentence(found, names)) == (not found.empty)


def labels(found: Meeting, tasks: tuple[Task, ...]) -> list[str]:
    nodes, _ = drawn(found, tasks)
    return [str(label).replace("\n", " ") for label in nodes["label"][2 + len(found.towers) :]]


def test_products_follow_the_funnel() -> None:
    assert labels(meeting("esmm"), TREE) == ["ctr × cart", "ctr × cvr"]
    assert labels(meeting("esmm", CHAIN), CHAIN) == ["ctr × cart", "ctr × cart × cvr"]
    assert meeting("esmm", CHAIN).joints[1].reads == (3, 2)  # the product of the first two, and the last tower
    assert "cvr either way" in labels(meeting("esm2"), TREE)
    assert labels(meeting("division"), TREE) == ["cart ÷ ctr", "cvr ÷ ctr"]


def test_a_tower_that_hears_from_another_is_drawn_and_said() -> None:
    assert meeting("aitm", CHAIN).passes == ((0, 1), (1, 2))
    assert meeting("aitm").passes == ((0, 1), (0, 2))
    nodes, links = drawn(meeting("aitm", CHAIN), CHAIN)
    assert {"cart hears from ctr", "cvr hears from cart"} <= set(links["about"])
    assert list(nodes[nodes["shape"] == "tip"]["about"]) == ["cart hears from ctr", "cvr hears from cart"]
    said = meeting_sentence(meeting("aitm", CHAIN), ["ctr", "cart", "cvr"])
    assert said == "The head passes on what a tower knows: from ctr to cart and cart to cvr."


def test_a_shallow_tower_adds_to_the_head_inside() -> None:
    found = meeting("shallow_tower", inner="esmm")
    assert [joint.kind for joint in found.joints] == ["product", "product", "position"]
    assert found.joints[-1].reads == (0, 1, 2)


def test_plain_towers_meet_nowhere() -> None:
    assert meeting("independent").empty
    assert meeting_sentence(meeting("independent"), ["ctr", "cart", "cvr"]) == ""
    assert not meeting("independent", kl_bound=1.0).empty


@pytest.mark.parametrize(("recipe", "says"), [("aitm", "passes on"), ("esmm", "multiplies"), ("esm2", "either way")])
def test_separate_networks_under_a_head_are_not_said_to_share_nothing(recipe: str, says: str) -> None:
    spec = zoo.spec_of("recipe", recipe)
    picture = zoo.picture(spec.key, "recipe", recipe)
    told = zoo.picture_sentence(picture)
    assert says in told
    assert "Embeddings are shared." in told
    gates: Any = {"level 1 / ctr": None}  # a gate of one expert has nothing that is read
    text = gates_sentence(picture.wiring, picture.tasks, gates, picture.meeting)
    assert "nothing is shared" not in text
    assert "embeddings below are shared" in text
    assert says in text
    assert architecture(picture.wiring, picture.tasks, meeting=picture.meeting).template
    assert "ctr" in architecture_svg(picture.wiring, picture.tasks, None, picture.meeting)


def test_gate_units_are_drawn_where_they_scale_and_never_as_rings() -> None:
    spec = zoo.spec_of("recipe", "pepnet")
    picture = zoo.picture(spec.key, "recipe", "pepnet")
    nodes, links = layout(picture.wiring, picture.tasks, None, picture.meeting)
    units = len(picture.tasks) * len(picture.wiring.levels)
    assert (nodes["shape"] == "unit").sum() == units
    assert (nodes["shape"] == "gate").sum() == 0
    fed = links[links["about"].str.startswith("what the gate unit of")]
    assert fed["link"].nunique() == units
    assert "gate unit per layer and task" in zoo.picture_sentence(picture)
