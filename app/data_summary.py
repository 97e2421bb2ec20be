"""What a table looks like, as small frames that can be drawn. Pandas only; no Streamlit, no torch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtl_core.data.base import Frames
from mtl_core.schema import Feature, Schema, Task

#: Bars of a distribution at most; rarer categories are counted together.
BARS = 20
OTHER = "(other)"
MISSING = "(missing)"


@dataclass(frozen=True)
class Summary:
    """One data set at a glance."""

    #: split, rows
    rows: pd.DataFrame
    #: task, rate (mean label in its sample space), rows (in that space), share (of all rows)
    labels: pd.DataFrame
    #: a, b, correlation, rows: labels of two tasks over the rows that both have
    correlation: pd.DataFrame
    #: step, rows, share: nested sample spaces, from all rows to the last task; empty where nothing is nested
    funnel: pd.DataFrame
    #: feature, kind, missing (share), distinct
    features: pd.DataFrame


def summarise(schema: Schema, frames: Frames) -> Summary:
    """Count everything over all splits."""
    table = pd.concat([frames.train, frames.valid, frames.test], ignore_index=True)
    parts = {"train": frames.train, "validation": frames.valid, "test": frames.test}
    return Summary(
        rows=pd.DataFrame({"split": list(parts), "rows": [len(part) for part in parts.values()]}),
        labels=pd.DataFrame([_label(table, task) for task in schema.tasks]),
        correlation=_correlation(table, schema),
        funnel=_funnel(table, schema),
        features=pd.DataFrame([_feature(table, feature) for feature in schema.features]),
    )


def space(table: pd.DataFrame, task: Task) -> pd.Series[bool]:
    """True for the rows of a task's sample space."""
    if task.space is None:
        return pd.Series(True, index=table.index)
    return table[task.space].astype(bool)


def distribution(schema: Schema, table: pd.DataFrame, feature: str, task: str) -> pd.DataFrame:
    """One feature against one label: `value`, `order`, `rows`, `rate` (mean label), over the task's sample space."""
    chosen = next(f for f in schema.features if f.name == feature)
    wanted = next(t for t in schema.tasks if t.name == task)
    inside = table[space(table, wanted)]
    column = inside[feature]
    if chosen.kind == "numeric":
        groups, order = _bins(column)
    else:
        text = column.astype("string").fillna(MISSING)
        if chosen.kind == "sequence":
            lengths = text.where(text != MISSING, "").map(lambda cell: len(cell.split(chosen.separator)) if cell else 0)
            groups = lengths.clip(upper=chosen.max_length).astype(str) + " values"
        else:
            common = text.value_counts().index[: BARS - 1]
            groups = text.where(text.isin(common), OTHER)
        order = {value: place for place, value in enumerate(sorted(groups.unique(), key=_natural))}
    counted = inside.assign(_value=groups.to_numpy()).groupby("_value")[wanted.label].agg(["size", "mean"])
    result = counted.reset_index(names="value").rename(columns={"size": "rows", "mean": "rate"})
    result["order"] = result["value"].map(order)
    return result.sort_values("order", ignore_index=True)


def _bins(column: pd.Series[float]) -> tuple[pd.Series[str], dict[str, int]]:
    values = column.to_numpy(np.float64, na_value=np.nan)
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    if len(distinct) <= BARS:
        labels = {v: f"{v:g}" for v in distinct}
        names = pd.Series([labels.get(v, MISSING) for v in values])
        order = {f"{v:g}": place for place, v in enumerate(distinct)}
    else:
        # Round edges over the middle 98%: a heavy tail must not squeeze everything into the first bar.
        low, high = np.quantile(known, [0.01, 0.99])
        edges = np.linspace(low, high, BARS - 1)[1:-1]
        at = np.searchsorted(edges, values)
        bounds = [low, *edges, high]
        titles = [f"{a:.3g} to {b:.3g}" for a, b in itertools.pairwise(bounds)]
        names = pd.Series([titles[i] if np.isfinite(v) else MISSING for i, v in zip(at, values, strict=True)])
        order = {t: place for place, t in enumerate(titles)}
    return names, {**order, MISSING: len(order)}


def _natural(value: str) -> tuple[bool, float, str]:
    """Special groups last, numbers by size, the rest by name."""
    head = value.split(" ", maxsplit=1)[0]
    number = float(head) if head.replace(".", "", 1).isdigit() else float("inf")
    return value in (OTHER, MISSING), number, value


def _label(table: pd.DataFrame, task: Task) -> dict[str, object]:
    inside = space(table, task)
    return {
        "task": task.name,
        "kind": task.kind,
        "rate": float(table.loc[inside, task.label].mean()),
        "rows": int(inside.sum()),
        "share": float(inside.mean()),
        "what": task.description,
    }


def _correlation(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    rows = []
    for a in schema.tasks:
        for b in schema.tasks:
            both = table[space(table, a) & space(table, b)]
            x, y = both[a.label].astype(float), both[b.label].astype(float)
            defined = len(both) > 1 and x.std() > 0 and y.std() > 0
            rows.append(
                {"a": a.name, "b": b.name, "correlation": float(x.corr(y)) if defined else np.nan, "rows": len(both)}
            )
    return pd.DataFrame(rows)


def _funnel(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    chain = [task for task in schema.tasks if task.kind == "binary"]
    nested = [task for task in chain if task.after is not None]
    if not nested:
        return pd.DataFrame(columns=["step", "rows", "share"])
    steps = [("all rows", len(table))]
    wanted = [t for t in chain if t.after is not None or any(n.after == t.name for n in nested)]
    for task in wanted:
        steps.append((task.name, int(table.loc[space(table, task), task.label].sum())))
    return pd.DataFrame([{"step": name, "rows": n, "share": n / max(len(table), 1)} for name, n in steps])


def _feature(table: pd.DataFrame, feature: Feature) -> dict[str, object]:
    column = table[feature.name]
    return {
        "feature": feature.name,
        "kind": feature.kind,
        "role": feature.role or "",
        "missing": float(column.isna().mean()),
        "distinct": int(column.nunique()),
    }
