"""The list of runs: what a search finds, how it is ordered, what a row says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app import run_list
from app.core_texts import title
from app.jobs.archive import Labels
from app.library import examples
from app.run_list import Filter, Listed
from app.setup_values import recipe_spec
from mtl_core.comparison import preset_spec, variant_key
from mtl_core.spec import RunSpec


def example(name: str, **changes: object) -> Listed:
    record = examples()[f"example-{name}"].record
    return Listed(replace(record, **changes), Labels(), ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", True),
        ("mmo", True),
        ("MMoE conflict", True),
        ("mmoe adult", False),
        ("seed 1", True),
        ("seed 11", False),
        ("layers 8", True),
        ("1a2b", True),
        ("1a2b3c4d", True),
        ("2b3c", False),
        ("1", True),
        ("5", False),  # only in "15 epochs", which no row says, and in no number of its own
        ("paper slow", True),
        ("disk", True),
        ("uncertainty", False),
    ],
)
def test_words_are_found_in_parts_numbers_whole_and_ids_by_their_beginning(text: str, found: bool) -> None:
    run = example("conflict-mmoe-1", id="1a2b3c4d", message="The disk is full.")
    assert Filter(text=text).admits(replace(run, labels=Labels(("paper",), "slow machine"))) is found


def test_of_a_kind_any_will_do_but_every_tag_must_be_there() -> None:
    run = replace(example("conflict-ple-0"), labels=Labels(("a", "b")))
    assert Filter(trunks=("mmoe", "ple"), data=("conflict",), states=("example",), tags=("a", "b")).admits(run)
    assert not Filter(tags=("a", "c")).admits(run)
    assert not Filter(trunks=("mmoe",)).admits(run)
    assert not Filter(states=("finished",)).admits(run)


def test_every_file_of_ones_own_is_data_of_its_own() -> None:
    """By content: two files of one name are told apart, one file under two names is one entry."""

    def run(path: str, sha256: str) -> Listed:
        spec = preset_spec("table", "mmoe").to_json()
        spec["data"]["options"] |= {"path": path, "sha256": sha256}
        return example("conflict-mmoe-0", spec=spec)

    shop, other, elsewhere = run("/a/shop.csv", "a" * 64), run("/b/shop.csv", "b" * 64), run("/c/shop.csv", "a" * 64)
    bills, made, world = run("/a/bills.csv", ""), run("", ""), example("conflict-mmoe-0")
    titles = run_list.data_titles([r.record for r in (shop, other, elsewhere, bills, made, world)])
    assert sorted(titles.values()) == sorted(
        ["shop.csv (aaaa)", "shop.csv (bbbb)", "bills.csv", title("dataset", "table"), title("dataset", "conflict")]
    )
    wanted = Filter(data=(run_list.data_key(shop.record),))
    assert wanted.admits(shop)
    assert wanted.admits(elsewhere)
    assert not any(wanted.admits(run) for run in (other, bills, made, world))


def test_what_is_not_known_comes_last_in_any_order() -> None:
    done = [example(f"conflict-{trunk}-0", id=f"{n:08x}") for n, trunk in enumerate(("ple", "mmoe", "cgc"))]
    waiting = example("conflict-ple-1", id="ffffffff", metrics_test=None, parameters=None, train_seconds=0.0)
    for order in ("auc", "time", "size"):
        found = run_list.in_order([waiting, *done], order)
        assert found[-1] is waiting
        assert set(map(id, found)) == {id(run) for run in (waiting, *done)}
    by_auc = [run.mean_auc for run in run_list.in_order([waiting, *done], "auc")[:-1]]
    assert by_auc == sorted(by_auc, reverse=True)  # type: ignore[type-var]


def test_a_curve_is_the_mean_over_tasks_that_have_an_auc() -> None:
    curve = [
        (1, {"A": {"auc": 0.5}, "B": {"auc": 0.7}, "C": {"mse": 9.0}}),
        (2, {"A": {"auc": None}, "B": {"auc": 0.8}}),
        (3, {"A": {"auc": None}, "B": {"auc": None}}),
    ]
    assert run_list.sparkline(curve) == (0.6, 0.8)


def test_the_next_seed_skips_those_that_were_used_by_the_same_model_alone() -> None:
    records = [example.record for example in examples().values()]
    base = examples()["example-conflict-ple-0"].record
    other = {**base.spec, "training": {**base.spec["training"], "epochs": 3}, "seed": 999}
    made = run_list.next_seed(base, [*records, replace(base, spec=RunSpec.parse(other).to_json())])
    seeds = [r.seed for r in records if r.dataset == "conflict" and r.trunk == "ple"]
    assert made.seed == max(seeds) + 1
    assert variant_key(made) == variant_key(RunSpec.parse(base.spec))


def test_tasks_have_columns_of_numbers_where_all_runs_agree_on_them() -> None:
    alike = run_list.table([example("conflict-ple-0"), example("conflict-mmoe-0")])
    assert {"test A", "test B"} <= set(alike.columns)
    assert alike["test A"].dtype == "float64"
    mixed = run_list.table([example("conflict-ple-0"), example("adult-ple-0")])
    assert mixed["test 1"].str.startswith(("A 0.", "income 0.")).all()


def test_a_row_begins_with_the_parts_that_are_not_the_usual_ones() -> None:
    plain = examples()["example-conflict-mmoe-0"].record
    assert run_list.options_text(plain).startswith("experts 3, expert layers 8")
    spec = RunSpec.parse({**recipe_spec("esm2").to_json(), "balancer": {"name": "pcgrad"}})
    assert run_list.options_text(replace(plain, spec=spec.to_json())).startswith("CGC, tasks ctr, cart, cvr, dim 8")
    weighted = {**plain.spec, "balancer": {"name": "static", "options": {"weights": [20, 1]}}}
    assert run_list.options_text(replace(plain, spec=weighted)).startswith("weights 20:1, experts 3")
