"""`ali_ccp`: Alibaba click and conversion prediction, from the files as Tianchi publishes them.

Tianchi data set 408, https://tianchi.aliyun.com/dataset/408; Ma et al., "Entire Space Multi-Task Model", SIGIR 2018,
arXiv 1804.07931. For research, behind a login, not to be redistributed: nothing is downloaded here and nothing of it is
part of this repository.

Four files: sample_skeleton_{train,test}.csv with `sample id, click, purchase, common key, number of features,
features`, and common_features_{train,test}.csv with `common key, number of features, features`. Features are separated
by the byte 1 and are `field, byte 2, value, byte 3, weight`. A sample has its own features and those of its common key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core.data.base import DataError, DatasetOptions, Frames
from mtl_core.data.movielens import find_folder
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Feature, Role, Schema, Task

if TYPE_CHECKING:
    import pandas as pd

PAGE = "https://tianchi.aliyun.com/dataset/408"
#: The 23 fields that papers use, and whom they describe. 508, 509, 702 and 853 combine user and item.
FIELDS: dict[str, Role] = {
    "101": "user", "121": "user", "122": "user", "124": "user", "125": "user", "126": "user", "127": "user",
    "128": "user", "129": "user", "109_14": "user", "110_14": "user", "127_14": "user", "150_14": "user",
    "205": "item", "206": "item", "207": "item", "210": "item", "216": "item",
    "508": "context", "509": "context", "702": "context", "853": "context", "301": "context",
}  # fmt: skip
#: Fields with several values in one row: categories, shops, brands and intentions that a user acted on, and the like.
SEVERAL = ("109_14", "110_14", "127_14", "150_14", "210", "853")
BETWEEN_FEATURES, AFTER_FIELD, AFTER_VALUE = "\x01", "\x02", "\x03"
VALIDATION_SHARE = 0.1


@register("dataset", "ali_ccp", title="Ali-CCP")
class AliCCP(DatasetOptions):
    """Impressions of an online shop: was the item clicked, and, once clicked, bought?

    Read are the first `rows` of each skeleton file; `seed` draws a tenth of the training rows for validation, the test
    file is the test set. The order of rows in time is not published. Rows with a purchase but no click are left out and
    counted in a note. Weights of features are not used.
    """

    folder: str = option("", "Folder with the four files; empty: SEESAW_DATA, or ali-ccp in it")
    rows: int = option(200_000, "Rows read from each skeleton file, from its start", ge=100, le=5_000_000)
    max_values: int = option(10, "Values kept of a field with several", ge=1, le=100, advanced=True)

    def table_schema(self) -> Schema:
        features = tuple(
            Feature(name=name, kind="sequence", role=role, max_length=self.max_values)
            if name in SEVERAL
            else Feature(name=name, kind="categorical", role=role)
            for name, role in FIELDS.items()
        )
        click = Task(name="click", label="click", description="the item was clicked")
        conversion = Task(
            name="conversion", label="conversion", space="click", after="click", description="bought after the click"
        )
        return Schema(features=features, tasks=(click, conversion))

    def frames(self, seed: int) -> Frames:
        import numpy as np

        names = tuple(
            f"{kind}_{part}.csv" for part in ("train", "test") for kind in ("sample_skeleton", "common_features")
        )
        folder = find_folder(
            self.folder,
            "ali-ccp",
            names,
            f"the Ali-CCP files from {PAGE}",
            "login; for research, not to be redistributed",
        )
        (rows, dropped), (test, dropped_test) = (_read(folder, part, self.rows) for part in ("train", "test"))
        order = np.random.default_rng([seed, 0xCC]).permutation(len(rows))
        cut = int(len(rows) * VALIDATION_SHARE)
        notes = [f"The first {len(rows):,} training and {len(test):,} test rows are used."]
        if dropped + dropped_test:
            notes.append(f"{dropped + dropped_test:,} rows with a purchase but no click are left out.")
        return Frames(rows.iloc[np.sort(order[cut:])], rows.iloc[np.sort(order[:cut])], test, tuple(notes))

    @classmethod
    def preset(cls) -> dict[str, Any]:
        """Trunks are matched without the embedding tables, whose sizes only the files show."""
        trunks: dict[str, dict[str, Any]] = {
            "single_task": {"layers": [64, 32]},
            "shared_bottom": {"layers": [109, 64]},
            "soft_sharing": {"layers": [63, 37]},
            "cross_stitch": {"layers": [65, 32]},
            "sluice": {"width": 56, "levels": 2, "subspaces": 2},
            "asymmetric": {"layers": [62, 36]},
            "customized": {"layers": [43, 25]},
            "omoe": {"experts": 4, "expert_layers": [37]},
            "mmoe": {"experts": 4, "expert_layers": [36]},
            "ml_mmoe": {"experts": 4, "levels": 2, "expert_layers": [28]},
            "cgc": {"shared_experts": 2, "task_experts": 1, "expert_layers": [36]},
            "ple": {"shared_experts": 2, "task_experts": 1, "levels": 2, "expert_layers": [30]},
            "adatt": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [39]},
            "stem": {"shared_experts": 1, "task_experts": 1, "levels": 1, "expert_layers": [47]},
            "snr": {"experts": 4, "levels": 2, "expert_layers": [21]},
            "dselect_k": {"experts": 4, "selectors": 2, "expert_layers": [38]},
            "pepnet": {"layers": [24, 12], "gate_hidden": 16},
        }
        spec = {
            "data": {"name": "ali_ccp"},
            "model": {"trunk": {"name": "mmoe", "options": trunks["mmoe"]}, "towers": [16]},
            "training": {"epochs": 2, "batch_size": 2048, "learning_rate": 0.001},
        }
        return {"spec": spec, "trunks": trunks}


def _read(folder: Path, part: str, limit: int) -> tuple[pd.DataFrame, int]:
    """Samples of one part joined with their common features, and how many were dropped as bought without a click."""
    import pandas as pd

    skeleton = folder / f"sample_skeleton_{part}.csv"
    samples: list[tuple[float, float, str, dict[str, str]]] = []
    dropped = 0
    for number, cells in _lines(skeleton, 6):
        if number > limit:
            break
        if cells[1] not in ("0", "1") or cells[2] not in ("0", "1"):
            raise DataError(f"{skeleton}, line {number}: click and purchase must be 0 or 1, not {cells[1:3]}.")
        if cells[1] == "0" and cells[2] == "1":
            dropped += 1
            continue
        samples.append((float(cells[1]), float(cells[2]), cells[3], _features(skeleton, number, cells[5])))
    if not samples:
        raise DataError(f"{skeleton} holds no row that can be used.")
    wanted = {sample[2] for sample in samples}
    # The file of common features is far larger than what a few rows need: only theirs are kept.
    path = folder / f"common_features_{part}.csv"
    common: dict[str, dict[str, str]] = {}
    for number, cells in _lines(path, 3):
        if cells[0] in wanted:
            common[cells[0]] = _features(path, number, cells[2])
            if len(common) == len(wanted):
                break
    if len(common) < len(wanted):
        raise DataError(f"{path} lacks the common features of {len(wanted) - len(common):,} keys: it is not whole.")
    table = pd.DataFrame({"click": [s[0] for s in samples], "conversion": [s[1] for s in samples]}, dtype="float32")
    for name in FIELDS:
        values = [own.get(name, common[key].get(name)) for _, _, key, own in samples]
        table[name] = pd.Series(values, dtype="str").astype("category")
    return table, dropped


def _lines(path: Path, cells: int) -> Iterator[tuple[int, list[str]]]:
    """Numbered lines cut into cells."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                found = line.rstrip("\r\n").split(",", cells - 1)
                if len(found) != cells:
                    raise DataError(f"{path}, line {number}: {cells} cells were expected, not {len(found)}.")
                yield number, found
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def _features(path: Path, number: int, text: str) -> dict[str, str]:
    """The fields in use: the first value of each, or all of them with a space between."""
    found: dict[str, str] = {}
    for item in text.split(BETWEEN_FEATURES):
        name, after_field, rest = item.partition(AFTER_FIELD)
        value, after_value, _weight = rest.partition(AFTER_VALUE)
        if not (after_field and after_value) and text:
            raise DataError(f"{path}, line {number}: {item[:40]!r} is no feature.")
        if name in FIELDS:
            if name not in found:
                found[name] = value
            elif name in SEVERAL:
                found[name] += " " + value
    return found
