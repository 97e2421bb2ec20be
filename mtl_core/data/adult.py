"""`adult`: the 1994 US census extract, with two labels: income above 50K, and never married.

UCI Machine Learning Repository, "Adult", https://archive.ics.uci.edu/dataset/2/adult, CC BY 4.0 (Becker and Kohavi,
1996, doi 10.24432/C5XW20). The files are read from `SEESAW_DATA` or downloaded once, checked against their hashes;
they are no part of this repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mtl_core.data.base import DataError, DatasetOptions, Frames
from mtl_core.data.files import PublicFile, locate
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Feature, Schema, Task

if TYPE_CHECKING:
    import pandas as pd

_SITE = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
FILES = {
    "train": PublicFile(
        "adult.data", _SITE + "adult.data", "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"
    ),
    "test": PublicFile(
        "adult.test", _SITE + "adult.test", "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"
    ),
}
COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship",
    "race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
)  # fmt: skip
NUMERIC = ("age", "education_num", "capital_gain", "capital_loss", "hours_per_week")
#: The values that the data set's own description lists; "?" is a missing value, which is a value of its own.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "workclass": (
        "Private", "Self-emp-not-inc", "Self-emp-inc", "Federal-gov", "Local-gov", "State-gov", "Without-pay",
        "Never-worked", "?",
    ),
    "education": (
        "Bachelors", "Some-college", "11th", "HS-grad", "Prof-school", "Assoc-acdm", "Assoc-voc", "9th", "7th-8th",
        "12th", "Masters", "1st-4th", "10th", "Doctorate", "5th-6th", "Preschool",
    ),
    "occupation": (
        "Tech-support", "Craft-repair", "Other-service", "Sales", "Exec-managerial", "Prof-specialty",
        "Handlers-cleaners", "Machine-op-inspct", "Adm-clerical", "Farming-fishing", "Transport-moving",
        "Priv-house-serv", "Protective-serv", "Armed-Forces", "?",
    ),
    "relationship": ("Wife", "Own-child", "Husband", "Not-in-family", "Other-relative", "Unmarried"),
    "race": ("White", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other", "Black"),
    "sex": ("Female", "Male"),
    "native_country": (
        "United-States", "Cambodia", "England", "Puerto-Rico", "Canada", "Germany", "Outlying-US(Guam-USVI-etc)",
        "India", "Japan", "Greece", "South", "China", "Cuba", "Iran", "Honduras", "Philippines", "Italy", "Poland",
        "Jamaica", "Vietnam", "Mexico", "Portugal", "Ireland", "France", "Dominican-Republic", "Laos", "Ecuador",
        "Taiwan", "Haiti", "Columbia", "Hungary", "Guatemala", "Nicaragua", "Scotland", "Thailand", "Yugoslavia",
        "El-Salvador", "Trinadad&Tobago", "Peru", "Hong", "Holand-Netherlands", "?",
    ),
}  # fmt: skip
VALIDATION_SHARE = 0.2
BINS = 32


@register("dataset", "adult")
class Adult(DatasetOptions):
    """48,842 people of the 1994 US census: is income above 50K, and was the person never married?

    The published test file is the test set; `seed` draws a fifth of the training file for validation. `fnlwgt` (a
    survey weight) and the two label columns are no inputs.
    """

    variant: Literal["standard", "hard"] = option(
        "standard",
        "hard drops the column relationship, in which Husband and Wife give away that a person was married",
    )

    def table_schema(self) -> Schema:
        features = []
        for name in COLUMNS:
            if name in NUMERIC:
                features.append(Feature(name=name, kind="numeric", scaling="quantile", bins=BINS))
            elif name in CATEGORIES and not (name == "relationship" and self.variant == "hard"):
                features.append(Feature(name=name, kind="categorical", categories=CATEGORIES[name]))
        return Schema(
            features=tuple(features),
            tasks=(
                Task(name="income", label="income_over_50k", description="income above 50,000 dollars a year"),
                Task(name="never_married", label="never_married", description="never married"),
            ),
        )

    def files(self) -> tuple[PublicFile, ...]:
        return tuple(FILES.values())

    def frames(self, seed: int) -> Frames:
        import numpy as np

        rows = _read(locate(FILES["train"]))
        test = _read(locate(FILES["test"]))
        order = np.random.default_rng([seed, 0xAD]).permutation(len(rows))
        cut = int(len(rows) * VALIDATION_SHARE)
        valid, train = rows.iloc[np.sort(order[:cut])], rows.iloc[np.sort(order[cut:])]
        notes = (
            ()
            if self.variant == "hard"
            else ("relationship names husbands and wives, who cannot be never-married; the hard variant drops it.",)
        )
        return Frames(train, valid, test, notes)

    @classmethod
    def preset(cls) -> dict[str, Any]:
        trunks: dict[str, dict[str, Any]] = {
            "single_task": {"layers": [64, 32]},
            "shared_bottom": {"layers": [112, 64]},
            "soft_sharing": {"layers": [67, 38]},
            "cross_stitch": {"layers": [70, 35]},
            "sluice": {"width": 58, "levels": 2, "subspaces": 2},
            "asymmetric": {"layers": [66, 38]},
            "customized": {"layers": [48, 27]},
            "omoe": {"experts": 4, "expert_layers": [44]},
            "mmoe": {"experts": 4, "expert_layers": [44]},
            "ml_mmoe": {"experts": 4, "levels": 2, "expert_layers": [31]},
            "cgc": {"shared_experts": 2, "task_experts": 1, "expert_layers": [44]},
            "ple": {"shared_experts": 2, "task_experts": 1, "levels": 2, "expert_layers": [33]},
            "adatt": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [41]},
            "stem": {"shared_experts": 1, "task_experts": 1, "levels": 1, "expert_layers": [45]},
            "snr": {"experts": 4, "levels": 2, "expert_layers": [20]},
            "dselect_k": {"experts": 4, "selectors": 2, "expert_layers": [46]},
            "pepnet": {"layers": [34, 17], "gate_hidden": 16},
        }
        spec = {
            "data": {"name": "adult"},
            "model": {"trunk": {"name": "mmoe", "options": trunks["mmoe"]}, "towers": [16]},
            "training": {"epochs": 10, "batch_size": 512, "learning_rate": 0.002},
        }
        return {"spec": spec, "trunks": trunks}


def _read(path: Path) -> pd.DataFrame:
    """One of the two files: no header, ", " between values, "?" for missing; the test file's labels end in a dot."""
    import pandas as pd

    try:
        table = pd.read_csv(
            path, names=list(COLUMNS), skipinitialspace=True, comment="|", na_filter=False, skip_blank_lines=True
        )
        for name in NUMERIC:
            table[name] = table[name].astype("float32")
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is not the Adult file that was expected: {error}. Remove it to have it fetched."
        ) from error
    table["income_over_50k"] = table["income"].str.rstrip(".").eq(">50K").astype("float32")
    table["never_married"] = table["marital_status"].eq("Never-married").astype("float32")
    return table.drop(columns=["fnlwgt", "income", "marital_status"])
