"""`movielens_100k`: ratings of films as two tasks, from the files as GroupLens publishes them.

GroupLens Research, https://grouplens.org/datasets/movielens/100k/ (Harper and Konstan, "The MovieLens Datasets", ACM
TiiS 2015, doi 10.1145/2827872). Free for research, not to be redistributed: nothing is downloaded here and nothing of
it is part of this repository. Unpack ml-100k.zip and name the folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core.data.base import DataError, DatasetOptions, Frames
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Feature, Schema, Task

if TYPE_CHECKING:
    import pandas as pd

PAGE = "https://grouplens.org/datasets/movielens/100k/"
#: Ids are numbered from 1 without gaps.
USERS, ITEMS = 943, 1682
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
OCCUPATIONS = (
    "administrator", "artist", "doctor", "educator", "engineer", "entertainment", "executive", "healthcare",
    "homemaker", "lawyer", "librarian", "marketing", "none", "other", "programmer", "retired", "salesman", "scientist",
    "student", "technician", "writer",
)  # fmt: skip
BETWEEN_GENRES = "|"


@register("dataset", "movielens_100k", title="MovieLens 100k")
class MovieLens(DatasetOptions):
    """100,000 ratings of 1,682 films by 943 people: the rating itself, and whether it is a good one.

    Split by time: the first 60% of the ratings train, the next 20% validate, the last 20% test; `seed` draws nothing.
    Both labels are functions of one rating, so the tasks are closely related by construction.
    """

    folder: str = option("", "Folder with u.data, u.item and u.user; empty: SEESAW_DATA, or ml-100k in it")
    liked_from: int = option(4, "A rating from here on counts as liked", ge=2, le=5)
    zip_digits: int = option(1, "Leading characters of the zip code that are an input", ge=1, le=5, advanced=True)

    def table_schema(self) -> Schema:
        users, items = (tuple(map(str, range(1, count + 1))) for count in (USERS, ITEMS))
        return Schema(
            features=(
                Feature(name="user_id", kind="categorical", role="user", categories=users),
                Feature(name="item_id", kind="categorical", role="item", categories=items),
                Feature(name="age", kind="numeric", role="user"),
                Feature(name="gender", kind="categorical", role="user", categories=("F", "M")),
                Feature(name="occupation", kind="categorical", role="user", categories=OCCUPATIONS),
                Feature(name="zip_prefix", kind="categorical", role="user"),
                Feature(
                    name="genres", kind="sequence", role="item", categories=GENRES, separator=BETWEEN_GENRES,
                    max_length=6,
                ),
            ),
            tasks=(
                Task(name="rating", kind="regression", label="rating", description="stars, 1 to 5"),
                Task(name="liked", label="liked", description=f"{self.liked_from} stars or more"),
            ),
        )  # fmt: skip

    def frames(self, seed: int) -> Frames:
        folder = find_folder(
            self.folder, "ml-100k", ("u.data", "u.item", "u.user"), f"ml-100k.zip from {PAGE}",
            "free for research, not to be redistributed",
        )  # fmt: skip
        rows = _ratings(folder / "u.data")
        rated = len(rows)
        rows = rows.merge(_people(folder / "u.user", self.zip_digits), on="user_id")
        rows = rows.merge(_films(folder / "u.item"), on="item_id")
        if not rated or len(rows) != rated:
            raise DataError(
                f"u.data, u.user and u.item in {folder} do not fit together: of {rated:,} ratings {len(rows):,} have "
                f"one user and one film. Unpack the published archive anew."
            )
        rows["liked"] = rows["rating"].ge(self.liked_from).astype("float32")
        rows = rows.sort_values("time", kind="stable", ignore_index=True).drop(columns="time")
        a, b = int(len(rows) * 0.6), int(len(rows) * 0.8)
        note = "Both labels are functions of the same rating: the tasks are related by construction."
        return Frames(rows.iloc[:a], rows.iloc[a:b], rows.iloc[b:], (note,))

    @classmethod
    def preset(cls) -> dict[str, Any]:
        trunks: dict[str, dict[str, Any]] = {
            "single_task": {"layers": [24, 16]},
            "shared_bottom": {"layers": [202, 64]},
            "soft_sharing": {"layers": [130, 41]},
            "cross_stitch": {"layers": [99, 66]},
            "sluice": {"width": 84, "levels": 2, "subspaces": 2},
            "asymmetric": {"layers": [127, 40]},
            "customized": {"layers": [96, 30]},
            "omoe": {"experts": 4, "expert_layers": [55, 55]},
            "mmoe": {"experts": 4, "expert_layers": [54, 54]},
            "ml_mmoe": {"experts": 4, "levels": 2, "expert_layers": [53]},
            "cgc": {"shared_experts": 2, "task_experts": 1, "expert_layers": [54, 54]},
            "ple": {"shared_experts": 2, "task_experts": 1, "levels": 2, "expert_layers": [54]},
            "adatt": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [64]},
            "stem": {"shared_experts": 2, "task_experts": 1, "levels": 1, "expert_layers": [54, 54]},
            "snr": {"experts": 4, "levels": 2, "expert_layers": [26]},
            "dselect_k": {"experts": 4, "selectors": 2, "expert_layers": [55, 55]},
            "pepnet": {"layers": [73, 49], "gate_hidden": 16},
        }
        spec = {
            "data": {"name": "movielens_100k"},
            "model": {"trunk": {"name": "mmoe", "options": trunks["mmoe"]}, "towers": [16]},
            "training": {"epochs": 5, "batch_size": 1024, "learning_rate": 0.002},
        }
        return {"spec": spec, "trunks": trunks}


def find_folder(given: str, usual: str, names: tuple[str, ...], source: str, licence: str) -> Path:
    """The folder that holds all these files: the one given, else `SEESAW_DATA` or the folder `usual` in it.

    Raises:
        DataError: a file is missing; the message names it, where it is to be had, and its licence.
    """
    home = os.environ.get("SEESAW_DATA")
    candidates = [Path(given).expanduser()] if given else []
    if not given and home:
        candidates = [Path(home).expanduser() / usual, Path(home).expanduser()]
    missing = list(names)
    for folder in candidates:
        absent = [name for name in names if not (folder / name).is_file()]
        if not absent:
            return folder
        missing = absent if len(absent) < len(missing) else missing
    where = f" in {candidates[0]}" if candidates else ""
    raise DataError(
        f"There is no {missing[0]}{where}. Get {source} ({licence}), unpack it, and set the option folder or "
        f"SEESAW_DATA to the folder that holds {', '.join(names)}."
    )


def _ratings(path: Path) -> pd.DataFrame:
    names = ["user_id", "item_id", "rating", "time"]
    rows = _read(path, "\t", names, {"rating": "float32", "time": "int64"}, names)
    if not rows["rating"].between(1, 5).all():
        raise DataError(f"{path} is not a MovieLens rating file: it holds ratings outside 1 to 5.")
    return rows


def _people(path: Path, zip_digits: int) -> pd.DataFrame:
    names = ["user_id", "age", "gender", "occupation", "zip"]
    rows = _read(path, "|", names, {"age": "float32"}, names)
    rows["zip_prefix"] = rows.pop("zip").str[:zip_digits]
    return rows


def _films(path: Path) -> pd.DataFrame:
    names = ["item_id", "title", "released", "video_released", "page", *GENRES]
    rows = _read(path, "|", names, {}, ["item_id", *GENRES])
    flags = rows[list(GENRES)].to_numpy() == "1"
    rows["genres"] = [BETWEEN_GENRES.join(g for g, on in zip(GENRES, film, strict=True) if on) for film in flags]
    return rows[["item_id", "genres"]]


def _read(path: Path, separator: str, names: list[str], kinds: dict[str, str], keep: list[str]) -> pd.DataFrame:
    """One of the files: no header, Latin-1, all columns text unless `kinds` says otherwise."""
    import csv

    import pandas as pd

    try:
        return pd.read_csv(
            path, sep=separator, names=names, usecols=keep, encoding="latin-1", na_filter=False, quoting=csv.QUOTE_NONE,
            dtype={name: kinds.get(name, "str") for name in keep},
            index_col=False, on_bad_lines="error",
        )  # fmt: skip
    except (ValueError, OSError) as error:
        line = " ".join(str(error).split())
        raise DataError(f"{path} is not the {path.name} that GroupLens publishes: {line}.") from error
