"""What searches for loss weights ask for next. The state of a search is the runs of its sweep and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.jobs.records import RunRecord, SweepRecord
from app.jobs.store import RunStore
from mtl_core.spec import SpecError
from mtl_core.sweep import Trial, WeightSearch


def advance(store: RunStore) -> None:
    """Queue the next batch of every search whose last one is over.

    Any worker may call it at any time: the same results give the same batch, and equal runs are queued once.
    """
    for sweep in store.searching():
        batches = [_next_batch(store, sweep, request) for request in sweep.searches]
        if any(batches) or None not in batches:
            # Nothing left to ask for ends the search; None: a batch is still under way.
            store.extend_sweep(sweep.id, [spec for batch in batches for spec in batch or ()])


def _next_batch(store: RunStore, sweep: SweepRecord, request: dict[str, Any]) -> list[Any] | None:
    try:
        search = WeightSearch.parse(request)
    except SpecError:
        return []  # of another version: it ends
    runs = [run for run_id in sweep.runs if (run := store.get(run_id)) is not None and _is_of(search, run)]
    if any(run.open for run in runs):
        return None
    told = trials(store, search, runs)
    return [spec for weights in search.propose(told) for spec in search.specs(weights)]


def trials(store: RunStore, search: WeightSearch, runs: Sequence[RunRecord]) -> list[Trial]:
    """The trials whose runs are all over, in the order in which they were asked for."""
    by_weights: dict[tuple[float, ...], dict[int, RunRecord]] = {}
    for run in runs:
        by_weights.setdefault(tuple(run.spec["balancer"]["options"]["weights"]), {})[run.seed] = run
    told = []
    for weights, of_seed in by_weights.items():
        if set(of_seed) == set(search.seeds):  # others were not asked for by this search
            told.append(search.trial(weights, [_scores(store, of_seed[seed]) for seed in search.seeds]))
    return told


def _scores(store: RunStore, run: RunRecord) -> dict[str, dict[str, float | None]] | None:
    if run.state != "finished":
        return None
    (told,) = store.events(run.id, kinds=["finished"])
    scores: dict[str, dict[str, float | None]] = told.payload["metrics"]["valid"]
    return scores


def _is_of(search: WeightSearch, run: RunRecord) -> bool:
    """Does the run differ from the search's base in seed and weights only?"""
    spec, base = run.spec, search.base.to_json()
    return (
        run.seed in search.seeds
        and spec["balancer"]["name"] == "static"
        and all(spec[part] == base[part] for part in ("data", "model", "training", "init_from"))
    )
