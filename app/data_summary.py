"""What a table looks like, as small frames that can be drawn. Pandas only; no Streamlit, no torch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from app.i18n import mark, tr
from app.wording import capital, join
from mtl_core.data.base import Frames
from mtl_core.schema import Feature, Schema, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bars of a distribution at most; rarer categories are counted together.
BARS = 20
OTHER = mark("(other)")
MISSING = mark("(missing)")
#: The first step of every funnel.
ALL_ROWS = mark("all rows")
#: A normal variable lies within so many standard deviations of its mean 95% of the time.
Z95 = 1.959964


@dataclass(frozen=True)
class Summary:
    """One data set at a glance."""

    #: split, rows
    rows: pd.DataFrame
    #: task, rate (mean label in its sample space), rows (in that space), share (of all rows)
    labels: pd.DataFrame
    #: a, b, correlation, rows: labels of two tasks over the rows that both have
    correlation: pd.DataFrame
    #: a, b, rows, positive, both, share, given, jaccard: two binary labels over the rows that both tasks have
    overlap: pd.DataFrame
    #: step, after, rows, share: binary tasks that come after others, from all rows on; empty where none does
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
        overlap=_overlap(table, schema),
        funnel=_funnel(table, schema),
        features=pd.DataFrame([_feature(table, feature) for feature in schema.features]),
    )


def space(table: pd.DataFrame, task: Task) -> pd.Series[bool]:
    """True for the rows of a task's sample space."""
    if task.space is None:
        return pd.Series(True, index=table.index)
    return table[task.space].astype(bool)


def distribution(schema: Schema, table: pd.DataFrame, feature: str, task: str) -> pd.DataFrame:
    """One feature against one label, over the task's sample space.

    Returns:
        `value`, `order`, `rows`, `rate` (mean label), `low` and `high` (95% interval of the mean: Wilson's for a binary
        label, which stays honest at 0 of 30; the normal one for a number, undefined for a single row).
    """
    chosen = next(f for f in schema.features if f.name == feature)
    wanted = next(t for t in schema.tasks if t.name == task)
    inside = table[space(table, wanted)]
    column = inside[feature]
    if chosen.kind == "numeric":
        groups, order = _bins(column)
    else:
        text = column.astype("string").fillna(tr(MISSING))
        if chosen.kind == "sequence":
            cells = text.where(text != tr(MISSING), "")
            lengths = cells.map(lambda cell: len(cell.split(chosen.separator)) if cell else 0)
            groups = lengths.clip(upper=chosen.max_length).map(lambda n: tr("{n} values", n=n))
        else:
            common = text.value_counts().index[: BARS - 1]
            groups = text.where(text.isin(common), tr(OTHER))
        order = {value: place for place, value in enumerate(sorted(groups.unique(), key=_natural))}
    label = inside[wanted.label].astype(float)
    counted = label.groupby(groups.to_numpy()).agg(["size", "mean", "std"])
    result = counted.reset_index(names="value").rename(columns={"size": "rows", "mean": "rate"})
    mean, deviation, rows = (result[name].to_numpy() for name in ("rate", "std", "rows"))
    result["low"], result["high"] = _interval(wanted, mean, deviation, rows)
    result = result.drop(columns="std")
    result["order"] = result["value"].map(order)
    return result.sort_values("order", ignore_index=True)


def spread_sentence(rows: pd.DataFrame, label: str, share: bool) -> str:
    """Between which values of a feature the mean label lies, and over how many rows it was counted."""
    low, high = rows.iloc[int(rows["rate"].argmin())], rows.iloc[int(rows["rate"].argmax())]
    least, most = (f"{row['rate']:.1%}" if share else f"{row['rate']:.3g}" for row in (low, high))
    return tr(
        "{label}: {least} ({low}, {low_rows:,} rows) to {most} ({high}, {high_rows:,} rows).",
        label=capital(label), least=least, low=low["value"], low_rows=low["rows"], most=most, high=high["value"],
        high_rows=high["rows"],
    )  # fmt: skip


def is_ordered(feature: Feature) -> bool:
    """Do the feature's values have an order that a line may follow?"""
    return feature.kind != "categorical" or feature.role == "position"


def _interval(
    task: Task, mean: NDArray[np.float64], deviation: NDArray[np.float64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper end. [values] each"""
    if task.kind == "regression":
        half = Z95 * deviation / np.sqrt(rows)
        return mean - half, mean + half
    shrink = 1 + Z95**2 / rows
    centre = (mean + Z95**2 / (2 * rows)) / shrink
    half = Z95 * np.sqrt(mean * (1 - mean) / rows + Z95**2 / (4 * rows**2)) / shrink
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def _bins(column: pd.Series[float]) -> tuple[pd.Series[str], dict[str, int]]:
    values = column.to_numpy(np.float64, na_value=np.nan)
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    if len(distinct) <= BARS:
        labels = {v: f"{v:g}" for v in distinct}
        names = pd.Series([labels.get(v, tr(MISSING)) for v in values])
        order = {f"{v:g}": place for place, v in enumerate(distinct)}
    else:
        # Round edges over the middle 98%: a heavy tail must not squeeze everything into the first bar.
        low, high = np.quantile(known, [0.01, 0.99])
        edges = np.linspace(low, high, BARS - 1)[1:-1]
        at = np.searchsorted(edges, values)
        # The first and the last bar hold the tails, too.
        inner = [tr("{low:.3g} to {high:.3g}", low=a, high=b) for a, b in itertools.pairwise(edges)]
        titles = [tr("up to {value:.3g}", value=edges[0]), *inner, tr("over {value:.3g}", value=edges[-1])]
        names = pd.Series([titles[i] if np.isfinite(v) else tr(MISSING) for i, v in zip(at, values, strict=True)])
        order = {t: place for place, t in enumerate(titles)}
    return names, {**order, tr(MISSING): len(order)}


def _natural(value: str) -> tuple[bool, float, str]:
    """Special groups last, numbers by size, the rest by name."""
    head = value.split(" ", maxsplit=1)[0]
    number = float(head) if head.replace(".", "", 1).isdigit() else float("inf")
    return value in (tr(OTHER), tr(MISSING)), number, value


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


def _overlap(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """How often two things happen together, among the rows in which both could be seen."""
    rows = []
    binary = [task for task in schema.tasks if task.kind == "binary"]
    for a, b in itertools.product(binary, binary):
        if a is not b:
            common = table[space(table, a) & space(table, b)]
            x, y = common[a.label].eq(1), common[b.label].eq(1)
            both, either = int((x & y).sum()), int((x | y).sum())
            rows.append(
                {
                    "a": a.name,
                    "b": b.name,
                    "rows": len(common),
                    "positive": int(x.sum()),
                    "both": both,
                    "share": both / len(common) if len(common) else np.nan,
                    "given": both / int(x.sum()) if x.any() else np.nan,
                    "jaccard": both / either if either else np.nan,
                }
            )
    return pd.DataFrame(rows, columns=["a", "b", "rows", "positive", "both", "share", "given", "jaccard"])


def overlap_sentence(overlap: pd.DataFrame) -> str:
    """How to read the picture, on the pair that chance explains least; on the first one where there is none such."""
    other = overlap.merge(overlap[["a", "b", "positive"]], left_on=["a", "b"], right_on=["b", "a"])["positive_y"]
    usual = other / overlap["rows"]
    # The z of a share of `given` among `positive` draws, were b as frequent there as everywhere.
    spread = (usual * (1 - usual) / overlap["positive"]) ** 0.5
    surprise = ((overlap["given"] - usual).abs() / spread.where(spread > 0)).fillna(0.0)
    seen = surprise.where(overlap["positive"] > 0, -1.0)
    if not len(seen) or seen.max() < 0:
        return tr("No row is positive where two labels are known.")
    place = int(seen.argmax())
    row = overlap.iloc[place]
    told = {"one": row["a"], "other": row["b"], "n": row["positive"], "both": row["both"], "share": row["given"]}
    if surprise[place] < 1e-9:
        return tr("Of the {n:,} rows with {one}, {both:,} have {other} too: {share:.1%}.", **told)
    return tr(
        "Of the {n:,} rows with {one}, {both:,} have {other} too: {share:.1%}, against {usual:.1%} of all {rows:,} "
        "rows in which both are known.",
        **told, usual=usual[place], rows=row["rows"],
    )  # fmt: skip


def _funnel(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Each step counts its positive rows and their share of the step it comes after, which may stand further up."""
    binary = {task.name: task for task in schema.tasks if task.kind == "binary"}
    inner = [task for task in binary.values() if task.after in binary]
    wanted = {task.name for task in inner} | {task.after for task in inner}
    steps: list[dict[str, object]] = []

    def add(name: str, after: str, rows: int, before: int) -> None:
        steps.append({"step": name, "after": after, "rows": rows, "share": rows / before if before else np.nan})
        for task in binary.values():
            parent = task.after if task.after in binary else ALL_ROWS
            if task.name in wanted and parent == name:
                add(task.name, name, int(table.loc[space(table, task), task.label].eq(1).sum()), rows)

    if wanted:
        add(ALL_ROWS, "", len(table), len(table))
    return pd.DataFrame(steps, columns=["step", "after", "rows", "share"])


def funnel_sentence(steps: pd.DataFrame) -> str:
    """How many rows come through; where a step has several after it, that they are no sequence."""
    children = steps.iloc[1:].groupby("after", sort=False)["step"].agg(list)
    forks = {after: names for after, names in children.items() if len(names) > 1}
    if forks:
        after, names = next(iter(forks.items()))
        if after == ALL_ROWS:
            return tr("{steps} are no sequence: each is counted on its own.", steps=join(names))
        return tr("{steps} are no sequence: each is counted on its own after {step}.", steps=join(names), step=after)
    last, first = steps["rows"].iloc[-1], steps["rows"].iloc[0]
    return tr("{last:,} of {first:,} rows reach the last step.", last=last, first=first)


def _feature(table: pd.DataFrame, feature: Feature) -> dict[str, object]:
    column = table[feature.name]
    return {
        "feature": feature.name,
        "kind": feature.kind,
        "role": feature.role or "",
        "missing": float(column.isna().mean()),
        "distinct": int(column.nunique()),
    }
