"""Wirings: who reads what, who may mix whom, and what that costs in parameters."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl_core import registry
from mtl_core.columns import Columns
from mtl_core.nn.model import Model
from mtl_core.schema import Task
from mtl_core.sizes import parameters_of
from mtl_core.spec import ModelSpec, RunSpec, SpecError
from mtl_core.trunks import TrunkOptions, Wiring
from tests.unit import compositions

TASKS = ("A", "B", "C")


def wire(name: str, streams: int = 1, tasks: tuple[str, ...] = TASKS, **options: Any) -> Wiring:
    """The wiring of a registered trunk."""
    part = cast(TrunkOptions, registry.get("trunk", name).model_validate(options))
    return part.wire(tasks, streams)


def rows(text: str) -> list[list[bool]]:
    """A visible matrix from rows of 0 and 1."""
    return [[c == "1" for c in row] for row in text.split()]


def test_single_task_is_the_identity() -> None:
    """Each task sees its own network and no other."""
    wiring = wire("single_task", streams=3)
    assert [level.visible for level in wiring.levels] == [rows("100 010 001")]
    assert [expert.source for expert in wiring.levels[0].experts] == [0, 1, 2]
    assert wiring.outputs == ((0,), (1,), (2,))


def test_shared_bottom_is_one_expert_that_every_task_reads() -> None:
    """Hard sharing: one gate over one expert feeds all towers."""
    wiring = wire("shared_bottom")
    assert [level.visible for level in wiring.levels] == [rows("1")]
    assert wiring.outputs == ((0,), (0,), (0,))


def test_omoe_is_one_full_row_that_every_task_reads() -> None:
    """One gate over all experts feeds all towers."""
    wiring = wire("omoe", experts=5)
    assert [level.visible for level in wiring.levels] == [rows("11111")]
    assert wiring.outputs == ((0,), (0,), (0,))


def test_mmoe_is_one_full_row_per_task() -> None:
    """Each task has its own gate over all experts."""
    wiring = wire("mmoe", experts=5)
    assert [level.visible for level in wiring.levels] == [rows("11111 11111 11111")]
    assert wiring.outputs == ((0,), (1,), (2,))
    assert {expert.owner for expert in wiring.levels[0].experts} == {None}


# T4: distinct primes, so that no count can stand in for another.
def test_cgc_sees_own_and_shared_experts_only() -> None:
    """Two private experts per task, five shared ones: block rows, no shared gate."""
    wiring = wire("cgc", task_experts=2, shared_experts=5)
    assert [level.visible for level in wiring.levels] == [rows("11000011111 00110011111 00001111111")]
    assert [gate.owner for gate in wiring.levels[0].gates] == [0, 1, 2]
    assert wiring.outputs == ((0,), (1,), (2,))


def test_cgc_with_unequal_private_experts() -> None:
    """Private counts 2, 3, 1 each give their own block."""
    wiring = wire("cgc", task_experts=(2, 3, 1), shared_experts=5)
    assert wiring.levels[0].visible == rows("11000011111 00111011111 00000111111")
    assert [expert.owner for expert in wiring.levels[0].experts] == [0, 0, 1, 1, 1, 2] + [None] * 5


# T6, T7: the shared gate sees everything, and is not built where nothing reads it.
def test_ple_shared_gate_sees_all_experts_and_is_absent_on_the_last_level() -> None:
    """Level 1 has task gates and a full shared row; level 2 has task gates only."""
    wiring = wire("ple", task_experts=2, shared_experts=5, levels=2)
    task_rows = "11000011111 00110011111 00001111111"
    assert [level.visible for level in wiring.levels] == [rows(task_rows + " 11111111111"), rows(task_rows)]
    assert [gate.owner for gate in wiring.levels[0].gates] == [0, 1, 2, None]
    assert [gate.owner for gate in wiring.levels[1].gates] == [0, 1, 2]


def test_ple_with_unequal_private_experts_on_every_level() -> None:
    """Unequal counts hold on each of three levels; only the last has no shared gate."""
    wiring = wire("ple", task_experts=(2, 3, 1), shared_experts=5, levels=3)
    task_rows = "11000011111 00111011111 00000111111"
    full = rows(task_rows + " 11111111111")
    assert [level.visible for level in wiring.levels] == [full, full, rows(task_rows)]


def test_ple_higher_levels_read_and_select_from_the_mixes_below() -> None:
    """From level 2 on, experts and gates of task k read mix k, and shared ones the shared mix: nothing reads x."""
    wiring = wire("ple", task_experts=(2, 3, 1), shared_experts=5, levels=3)
    first, second, third = wiring.levels
    assert {expert.source for expert in first.experts} | {gate.source for gate in first.gates} == {0}
    owner_to_stream = {0: 0, 1: 1, 2: 2, None: 3}
    for level in (second, third):
        assert [e.source for e in level.experts] == [owner_to_stream[e.owner] for e in level.experts]
        assert [g.source for g in level.gates] == [owner_to_stream[g.owner] for g in level.gates]


@pytest.mark.parametrize(("streams", "shared_stream"), [(1, 0), (4, 3)])
def test_first_level_reads_the_streams_of_its_owner(streams: int, shared_stream: int) -> None:
    """With K + 1 streams, private parts read their task's stream, shared parts the last one."""
    wiring = wire("ple", streams=streams, task_experts=2, shared_experts=5, levels=2)
    first = wiring.levels[0]
    for part in (*first.experts, *first.gates):
        own = 0 if streams == 1 or part.owner is None else part.owner
        assert part.source == (shared_stream if part.owner is None else own)


def test_mmoe_gates_select_from_their_tasks_own_embeddings() -> None:
    """With K + 1 streams the pool of experts reads the shared one, each gate its task's."""
    level = wire("mmoe", streams=4, experts=5).levels[0]
    assert {expert.source for expert in level.experts} == {3}
    assert [gate.source for gate in level.gates] == [0, 1, 2]


# ML-MMoE, AdaTT, STEM, and the trunks of fixed mixes


def test_ml_mmoe_has_a_gate_per_expert_of_the_next_level_and_all_select_from_the_input() -> None:
    """Full rows everywhere; from level 2 on an expert reads the mix made for it, and gates still read x."""
    wiring = wire("ml_mmoe", experts=2, levels=3)
    assert [level.visible for level in wiring.levels] == [rows("11 11"), rows("11 11"), rows("11 11 11")]
    assert [[e.source for e in level.experts] for level in wiring.levels] == [[0, 0], [0, 1], [0, 1]]
    assert {level.selectors for level in wiring.levels} == {"encoder"}
    assert {gate.source for level in wiring.levels for gate in level.gates} == {0}
    assert [gate.owner for gate in wiring.levels[2].gates] == [0, 1, 2]


# T4
def test_adatt_sees_everything_and_adds_its_own() -> None:
    """Full rows; native experts are the unit's own; the last level mixes for tasks only."""
    wiring = wire("adatt", task_experts=(2, 3, 0), shared_experts=5, levels=2)
    full = "1111111111"
    assert [level.visible for level in wiring.levels] == [rows(" ".join([full] * 4)), rows(" ".join([full] * 3))]
    own = [(0, 1), (2, 3, 4), (), (5, 6, 7, 8, 9)]
    assert [gate.native for gate in wiring.levels[0].gates] == own
    assert [gate.native for gate in wiring.levels[1].gates] == own[:3]
    assert [gate.source for gate in wiring.levels[1].gates] == [0, 1, 2]
    assert [expert.source for expert in wiring.levels[1].experts] == [0, 0, 1, 1, 1, 3, 3, 3, 3, 3]


def test_adatt_without_shared_experts_needs_no_shared_embeddings() -> None:
    """AdaTT-sp: one unit per task, each on a stream of its own if there is one."""
    wiring = wire("adatt", streams=3, task_experts=2, shared_experts=0, levels=2)
    assert [[gate.owner for gate in level.gates] for level in wiring.levels] == [[0, 1, 2]] * 2
    assert [expert.source for expert in wiring.levels[0].experts] == [0, 0, 1, 1, 2, 2]


# T4
def test_stem_reads_own_and_shared_embeddings_and_stops_the_gradient_of_others() -> None:
    """Experts on their owner's table, gates on the sum of own and shared, other tasks' experts detached."""
    wiring = wire("stem", streams=4, task_experts=(2, 3, 1), shared_experts=5, levels=2)
    first, second = wiring.levels
    assert [expert.source for expert in first.experts] == [0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 3]
    for level, shared_gates in ((first, 1), (second, 0)):
        assert level.visible == [[True] * 11] * (3 + shared_gates)
        assert [(g.source, g.beside) for g in level.gates] == [(0, 3), (1, 3), (2, 3), (3, None)][: 3 + shared_gates]
        stopped = [(2, 3, 4, 5), (0, 1, 5), (0, 1, 2, 3, 4), ()]
        assert [gate.detached for gate in level.gates] == stopped[: 3 + shared_gates]


def test_asymmetric_flows_one_way() -> None:
    """All towers read the lead's network, the lead's reads no other."""
    beside = wire("asymmetric", lead=1)
    assert beside.outputs == ((1, 0), (1,), (1, 2))
    assert beside.levels[0].visible == rows("100 010 001")
    assert beside.widths == (128, 64, 128)
    for fuse, weight in (("sum", 1.0), ("average", 0.5)):
        added = wire("asymmetric", lead=1, fuse=fuse)
        assert added.levels[0].visible == rows("110 010 011")
        assert [gate.fixed for gate in added.levels[0].gates] == [(weight, weight), (), (weight, weight)]
        assert added.outputs == ((0,), (1,), (2,))
        assert added.widths == (64, 64, 64)


def test_customized_puts_shared_and_own_side_by_side() -> None:
    """One network each and a shared one; no gate has anything to choose."""
    wiring = wire("customized", streams=4)
    assert wiring.levels[0].visible == rows("1000 0100 0010 0001")
    assert [expert.source for expert in wiring.levels[0].experts] == [0, 1, 2, 3]
    assert wiring.outputs == ((3, 0), (3, 1), (3, 2))
    assert wiring.widths == (128, 128, 128)


def test_sluice_mixes_parts_and_then_layers() -> None:
    """Two parts per task and layer, each read side by side by the next layer; at the end each task its own layers."""
    wiring = wire("sluice", tasks=("A", "B"), width=6, levels=2, subspaces=2)
    assert [level.visible for level in wiring.levels] == [rows("1111 " * 4), rows("1111 " * 4), rows("1100 0011")]
    assert [level.layers for level in wiring.levels] == [(3,), (3,), (6,)]
    assert [(e.source, e.also) for e in wiring.levels[1].experts] == [(0, (1,)), (0, (1,)), (2, (3,)), (2, (3,))]
    assert [e.level for e in wiring.levels[2].experts] == [1, 2, 1, 2]
    assert wiring.outputs == ((0,), (1,))
    assert wire("sluice", tasks=("A", "B"), width=6, levels=1, subspaces=2).outputs == ((0, 1), (2, 3))


def test_cross_stitch_mixes_after_every_layer() -> None:
    """One level per layer, whose gates are constants."""
    wiring = wire("cross_stitch", layers=(6, 5))
    assert [level.layers for level in wiring.levels] == [(6,), (5,)]
    assert {gate.kind for level in wiring.levels for gate in level.gates} == {"mix"}
    assert [expert.source for expert in wiring.levels[1].experts] == [0, 1, 2]


@given(private=st.lists(st.integers(0, 4), min_size=1, max_size=4), shared=st.integers(1, 4), levels=st.integers(1, 3))
def test_extraction_levels_leave_no_expert_unseen(private: list[int], shared: int, levels: int) -> None:
    """Whatever the counts, each expert is seen by a gate, and a task never sees another task's expert."""
    names = tuple("abcd"[: len(private)])
    wiring = wire("ple", tasks=names, task_experts=tuple(private), shared_experts=shared, levels=levels)
    assert len(wiring.levels) == levels
    for level in wiring.levels:
        assert all(any(column) for column in zip(*level.visible, strict=True))
        for gate, row in zip(level.gates, level.visible, strict=True):
            seen = {expert.owner for expert, sees in zip(level.experts, row, strict=True) if sees}
            if gate.owner is not None:
                assert seen <= {gate.owner, None}
            else:
                assert all(row)


UNEQUAL = {"shared_experts": 5, "task_experts": [2, 3, 1], "expert_layers": [6, 5]}
SMALL: dict[str, list[dict[str, Any]]] = {
    "single_task": [{"layers": [6, 5]}],
    "shared_bottom": [{"layers": [6, 5]}],
    "soft_sharing": [{"layers": [6, 5]}],
    "cross_stitch": [{"layers": [6, 5]}, {"layers": [6, 5], "stitches": "per_unit"}],
    "asymmetric": [{"layers": [6, 5], "fuse": fuse, "lead": 1} for fuse in ("concat", "sum", "average")],
    "customized": [{"layers": [6, 5]}],
    "omoe": [{"experts": 1, "expert_layers": [5]}, {"experts": 5, "expert_layers": [6, 5]}],
    "mmoe": [{"experts": 1, "expert_layers": [5]}, {"experts": 5, "expert_layers": [6, 5], "gate_dropout": 0.1}],
    "ml_mmoe": [
        {"experts": 1, "expert_layers": [5], "levels": 3},
        {"experts": 5, "expert_layers": [6, 5], "levels": 3},
    ],
    "cgc": [
        UNEQUAL,
        {"shared_experts": 0, "task_experts": [2, 3, 1], "expert_layers": [5]},
        {"shared_experts": 1, "task_experts": 0, "expert_layers": [5]},
    ],
    "ple": [
        {**UNEQUAL, "levels": 3},
        {"shared_experts": 1, "task_experts": [0, 3, 1], "levels": 2, "expert_layers": [5]},
    ],
    "adatt": [
        {**UNEQUAL, "levels": 3},
        {**UNEQUAL, "levels": 3, "native": False},
        {"shared_experts": 0, "task_experts": [0, 3, 1], "levels": 2, "expert_layers": [5]},
    ],
    "sluice": [{"width": 6, "levels": n, "subspaces": s} for n in (1, 3) for s in (1, 3)],
    "snr": [
        {"experts": e, "expert_layers": [6, 5], "levels": 3, "connection": c} for e in (1, 3) for c in ("trans", "aver")
    ],
    "dselect_k": [
        {"experts": 1, "expert_layers": [5]},
        {"experts": 5, "selectors": 3, "expert_layers": [6, 5]},
        {"experts": 4, "selectors": 1, "expert_layers": [5], "per_example": True},
        {"experts": 8, "selectors": 2, "expert_layers": [5], "per_example": True},
    ],
    "pepnet": [{"layers": [6, 5], "gate_hidden": 3}],
    "stem": [{**UNEQUAL, "levels": 3}, {"shared_experts": 1, "task_experts": 1, "expert_layers": [5]}],
}


def model_spec(name: str, sharing: str, options: dict[str, Any]) -> ModelSpec:
    """A small model around this trunk."""
    return ModelSpec.model_validate(
        {
            "encoder": {"options": {"dim": 2, "embedding_sharing": sharing}},
            "trunk": {"name": name, "options": options},
            "towers": [7],
        }
    )


@pytest.mark.parametrize("sharing", ["shared", "per_task", "both"])
@pytest.mark.parametrize("name", registry.names("trunk"))
def test_counted_parameters_are_those_of_the_real_module(name: str, sharing: str) -> None:
    """What the dashboard counts without torch is what torch trains, for unequal counts and every kind of options."""
    built = 0
    for options in SMALL[name]:
        spec = model_spec(name, sharing, options)
        if compositions.fits(spec, 3):
            model = compositions.build(spec, 3)
            assert parameters_of(spec, compositions.schema(3).tasks, compositions.COLUMNS) == model.parameter_count()
            built += 1
    assert built or sharing != "shared"


def test_parameters_of_one_case_counted_by_hand() -> None:
    """CGC, 3 tasks, private 2, 3, 1, shared 5, one layer of 4 on 8 columns: 11 (8 + 1) 4 and gates 8 (7 + 8 + 6)."""
    wiring = wire("cgc", task_experts=(2, 3, 1), shared_experts=5, expert_layers=(4,))
    assert wiring.parameters(8) == 11 * 9 * 4 + 8 * (7 + 8 + 6)


def test_mmoe_paper_size() -> None:
    """Experts and towers of the MMoE paper's synthetic study, without biases and gates: 100*16*8 + 16*8*2 = 13056."""
    spec = ModelSpec.model_validate({"recipe": "mmoe"})
    tasks = [Task(name=name, label=name) for name in ("A", "B")]
    model = Model(spec, tasks, Columns.plain(100), torch.Generator().manual_seed(0))
    weights = [p for name, p in model.named_parameters() if "weights" in name and "gate" not in name]
    output_layer = 2 * 8
    assert sum(w.numel() for w in weights) - output_layer == 13056


@pytest.mark.parametrize(
    ("name", "streams", "options", "tells"),
    [
        ("cgc", 1, {"shared_experts": 0, "task_experts": (2, 0, 1)}, "Task B would see no expert"),
        ("cgc", 1, {"shared_experts": 0, "task_experts": 0}, "Task A would see no expert"),
        ("ple", 1, {"shared_experts": 0, "task_experts": 2, "levels": 2}, "no shared experts"),
        ("ple", 1, {"task_experts": (2, 3)}, "task_experts has 2 numbers for 3 tasks (A, B, C)"),
        ("cgc", 1, {"task_experts": (2, 3, 1, 1)}, "task_experts has 4 numbers for 3 tasks (A, B, C)"),
        ("cgc", 3, {}, "need shared embeddings"),
        ("ple", 3, {}, "need shared embeddings"),
        ("mmoe", 3, {}, "need shared embeddings"),
        ("omoe", 3, {}, "need shared embeddings"),
        ("shared_bottom", 3, {}, "need shared embeddings"),
        ("ml_mmoe", 3, {}, "need shared embeddings"),
        ("customized", 3, {}, "need shared embeddings"),
        ("adatt", 3, {}, "need shared embeddings"),
        ("adatt", 1, {"shared_experts": 0, "task_experts": 0}, "Task A would see no expert"),
        ("adatt", 1, {"task_experts": (2, 3)}, "task_experts has 2 numbers for 3 tasks (A, B, C)"),
        ("sluice", 1, {"width": 7, "subspaces": 2}, "width must be a multiple of subspaces"),
        ("dselect_k", 1, {"experts": 5, "per_example": True}, "must be a power of two, not 5"),
        ("snr", 3, {}, "need shared embeddings"),
        ("dselect_k", 3, {}, "need shared embeddings"),
        ("stem", 4, {"task_experts": (2, 0, 1)}, "Task B needs an expert for its own embeddings"),
        ("asymmetric", 1, {"lead": 3}, "lead counts from 0, and there are 3 tasks"),
    ],
)
def test_wirings_that_cannot_be_are_refused_in_one_sentence(
    name: str, streams: int, options: dict[str, Any], tells: str
) -> None:
    """A clear sentence, no traceback of an index."""
    with pytest.raises(ValueError, match=r"^[^\n]+\.$") as caught:
        wire(name, streams=streams, **options)
    assert tells in str(caught.value)


def test_cgc_without_shared_experts_can_read_embeddings_per_task() -> None:
    """Nothing shared needs no shared embeddings."""
    level = wire("cgc", streams=3, shared_experts=0, task_experts=(2, 3, 1)).levels[0]
    assert [expert.source for expert in level.experts] == [0, 0, 1, 1, 1, 2]


# T7: embeddings that nothing reads are dead parameters.
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("shared_bottom", {}),
        ("omoe", {}),
        ("mmoe", {"experts": 1}),
        ("ml_mmoe", {"experts": 1}),
        ("cgc", {"shared_experts": 1, "task_experts": 0}),
        ("soft_sharing", {}),
        ("cross_stitch", {}),
        ("sluice", {}),
        ("snr", {}),
        ("dselect_k", {}),
        ("pepnet", {}),
        ("asymmetric", {}),
    ],
)
def test_embeddings_that_nothing_would_read_are_refused(name: str, options: dict[str, Any]) -> None:
    """Both kinds of embeddings under a trunk without a part of any task's own would leave tables untrained."""
    spec = {"trunk": {"name": name, "options": options}, "encoder": {"options": {"embedding_sharing": "both"}}}
    with pytest.raises(SpecError, match=r"^[^\n]*embedding_sharing[^\n]*\.$"):
        RunSpec.parse({"model": spec})


@pytest.mark.parametrize("name", ["mmoe", "ml_mmoe", "customized", "cgc", "ple", "adatt", "stem", "single_task"])
def test_embeddings_of_both_kinds_fit_trunks_with_parts_of_both_kinds(name: str) -> None:
    """The refusal does not reach trunks that do read every table."""
    model = {"trunk": {"name": name}, "encoder": {"options": {"embedding_sharing": "both"}}}
    assert RunSpec.parse({"model": model}).model.trunk.name == name


def test_trunks_are_listed_in_the_order_in_which_they_are_taught() -> None:
    """From nothing shared to everything, then mixtures, each the step before with one thing added."""
    taught = (
        "single_task", "shared_bottom", "soft_sharing", "cross_stitch", "sluice", "asymmetric", "customized",
        "omoe", "mmoe", "ml_mmoe", "cgc", "ple", "adatt", "stem", "snr", "dselect_k", "pepnet",
    )  # fmt: skip
    assert registry.names("trunk") == taught


def test_wirings_survive_json() -> None:
    """A wiring travels in the started event."""
    for name in registry.names("trunk"):
        wiring = wire(name, streams=4 if name == "stem" else 1)
        assert Wiring.model_validate_json(wiring.model_dump_json()) == wiring


def test_a_wiring_of_an_older_event_still_reads() -> None:
    """Gates had names, owners, sources and what they see; outputs were plain numbers."""
    expert = {"name": "S1", "owner": None, "source": 0}
    gate = {"name": "A", "owner": 0, "source": 0, "sees": [0]}
    old = {"levels": [{"experts": [expert], "gates": [gate], "layers": [4]}], "outputs": [0]}
    wiring = Wiring.model_validate(old)
    assert wiring.outputs == ((0,),)
    assert wiring.levels[0].gates[0].kind == "softmax"
