"""`census_income`: Census-Income (KDD), the US surveys of 1994 and 1995, with the tasks of the MMoE paper.

UCI Machine Learning Repository, "Census-Income (KDD)", https://archive.ics.uci.edu/dataset/117/census+income+kdd, CC BY
4.0 (doi 10.24432/C5N30T). The groups of tasks and the split: Ma et al., "Modeling Task Relationships in Multi-task
Learning with Multi-gate Mixture-of-Experts", KDD 2018. The test file is read from `SEESAW_DATA` or downloaded once and
checked against its hash. The training file is taken from `SEESAW_DATA` alone: no published hash of it is known here, so
its columns, values and number of rows are checked instead. Neither is part of this repository.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mtl_core.data.base import DataError, DatasetOptions, Frames
from mtl_core.data.files import PublicFile, locate
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Feature, Schema, Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_SITE = "https://archive.ics.uci.edu/ml/machine-learning-databases/census-income-mld/"
TEST = PublicFile(
    "census-income.test.gz",
    _SITE + "census-income.test.gz",
    "5ac4cacd3ca9f1ecb10de1a0a41e4ac68fdc419e3fec190f5c0c6cc03b2ea659",
)
TRAIN_NAME = "census-income.data.gz"
TRAIN_ROWS, TEST_ROWS = 199_523, 99_762
COLUMNS = (
    "age", "class_of_worker", "industry_code", "occupation_code", "education", "wage_per_hour",
    "enrolled_last_week", "marital_status", "major_industry", "major_occupation", "race", "hispanic_origin", "sex",
    "union_member", "unemployment_reason", "employment_status", "capital_gains", "capital_losses", "dividends",
    "tax_filer_status", "previous_region", "previous_state", "household_status", "household_summary",
    "instance_weight", "migration_msa", "migration_region", "migration_within_region", "same_house_last_year",
    "previous_sunbelt", "persons_worked_for", "family_under_18", "father_country", "mother_country", "own_country",
    "citizenship", "own_business", "veterans_questionnaire", "veterans_benefits", "weeks_worked", "year", "income",
)  # fmt: skip
#: Whole numbers, up to 99,999: float32 holds them exactly.
NUMERIC = (
    "age", "wage_per_hour", "capital_gains", "capital_losses", "dividends", "persons_worked_for", "weeks_worked",
)  # fmt: skip
#: Each names who is married or never was: alone it gives that label away in 85 to 93% of the rows.
LEAKING = ("tax_filer_status", "household_status", "household_summary")
#: "At least college" in the paper. This reading has its correlation with never-married (.2376, printed .2373).
COLLEGE = (
    "Associates degree-occup /vocational", "Associates degree-academic program", "Bachelors degree(BA AB BS)",
    "Masters degree(MA MS MEng MEd MSW MBA)", "Prof school degree (MD DDS DVM LLB JD)", "Doctorate degree(PhD EdD)",
)  # fmt: skip
COUNTRIES = (
    "?", "Cambodia", "Canada", "China", "Columbia", "Cuba", "Dominican-Republic", "Ecuador", "El-Salvador",
    "England", "France", "Germany", "Greece", "Guatemala", "Haiti", "Holand-Netherlands", "Honduras", "Hong Kong",
    "Hungary", "India", "Iran", "Ireland", "Italy", "Jamaica", "Japan", "Laos", "Mexico", "Nicaragua",
    "Outlying-U S (Guam USVI etc)", "Panama", "Peru", "Philippines", "Poland", "Portugal", "Puerto-Rico",
    "Scotland", "South Korea", "Taiwan", "Thailand", "Trinadad&Tobago", "United-States", "Vietnam", "Yugoslavia",
)  # fmt: skip
#: The values that the data set's own description lists; "?" is a missing value, which is a value of its own.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "class_of_worker": (
        "Federal government", "Local government", "Never worked", "Not in universe", "Private",
        "Self-employed-incorporated", "Self-employed-not incorporated", "State government", "Without pay",
    ),
    "industry_code": tuple(map(str, range(52))),
    "occupation_code": tuple(map(str, range(47))),
    "enrolled_last_week": ("College or university", "High school", "Not in universe"),
    "major_industry": (
        "Agriculture", "Armed Forces", "Business and repair services", "Communications", "Construction",
        "Education", "Entertainment", "Finance insurance and real estate", "Forestry and fisheries",
        "Hospital services", "Manufacturing-durable goods", "Manufacturing-nondurable goods",
        "Medical except hospital", "Mining", "Not in universe or children", "Other professional services",
        "Personal services except private HH", "Private household services", "Public administration",
        "Retail trade", "Social services", "Transportation", "Utilities and sanitary services", "Wholesale trade",
    ),
    "major_occupation": (
        "Adm support including clerical", "Armed Forces", "Executive admin and managerial",
        "Farming forestry and fishing", "Handlers equip cleaners etc ", "Machine operators assmblrs & inspctrs",
        "Not in universe", "Other service", "Precision production craft & repair", "Private household services",
        "Professional specialty", "Protective services", "Sales", "Technicians and related support",
        "Transportation and material moving",
    ),
    "race": ("Amer Indian Aleut or Eskimo", "Asian or Pacific Islander", "Black", "Other", "White"),
    "hispanic_origin": (
        "All other", "Central or South American", "Chicano", "Cuban", "Do not know", "Mexican (Mexicano)",
        "Mexican-American", "NA", "Other Spanish", "Puerto Rican",
    ),
    "sex": ("Female", "Male"),
    "union_member": ("No", "Not in universe", "Yes"),
    "unemployment_reason": (
        "Job leaver", "Job loser - on layoff", "New entrant", "Not in universe", "Other job loser", "Re-entrant",
    ),
    "employment_status": (
        "Children or Armed Forces", "Full-time schedules", "Not in labor force", "PT for econ reasons usually FT",
        "PT for econ reasons usually PT", "PT for non-econ reasons usually FT", "Unemployed full-time",
        "Unemployed part- time",
    ),
    "tax_filer_status": (
        "Head of household", "Joint both 65+", "Joint both under 65", "Joint one under 65 & one 65+", "Nonfiler",
        "Single",
    ),
    "previous_region": ("Abroad", "Midwest", "Northeast", "Not in universe", "South", "West"),
    "previous_state": (
        "?", "Abroad", "Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut",
        "Delaware", "District of Columbia", "Florida", "Georgia", "Idaho", "Illinois", "Indiana", "Iowa", "Kansas",
        "Kentucky", "Louisiana", "Maine", "Maryland", "Massachusetts", "Michigan", "Minnesota", "Mississippi",
        "Missouri", "Montana", "Nebraska", "Nevada", "New Hampshire", "New Jersey", "New Mexico", "New York",
        "North Carolina", "North Dakota", "Not in universe", "Ohio", "Oklahoma", "Oregon", "Pennsylvania",
        "South Carolina", "South Dakota", "Tennessee", "Texas", "Utah", "Vermont", "Virginia", "West Virginia",
        "Wisconsin", "Wyoming",
    ),
    "household_status": (
        "Child 18+ ever marr Not in a subfamily", "Child 18+ ever marr RP of subfamily",
        "Child 18+ never marr Not in a subfamily", "Child 18+ never marr RP of subfamily",
        "Child 18+ spouse of subfamily RP", "Child <18 ever marr RP of subfamily",
        "Child <18 ever marr not in subfamily", "Child <18 never marr RP of subfamily",
        "Child <18 never marr not in subfamily", "Child <18 spouse of subfamily RP",
        "Child under 18 of RP of unrel subfamily", "Grandchild 18+ ever marr RP of subfamily",
        "Grandchild 18+ ever marr not in subfamily", "Grandchild 18+ never marr RP of subfamily",
        "Grandchild 18+ never marr not in subfamily", "Grandchild 18+ spouse of subfamily RP",
        "Grandchild <18 ever marr not in subfamily", "Grandchild <18 never marr RP of subfamily",
        "Grandchild <18 never marr child of subfamily RP", "Grandchild <18 never marr not in subfamily",
        "Householder", "In group quarters", "Nonfamily householder", "Other Rel 18+ ever marr RP of subfamily",
        "Other Rel 18+ ever marr not in subfamily", "Other Rel 18+ never marr RP of subfamily",
        "Other Rel 18+ never marr not in subfamily", "Other Rel 18+ spouse of subfamily RP",
        "Other Rel <18 ever marr RP of subfamily", "Other Rel <18 ever marr not in subfamily",
        "Other Rel <18 never marr child of subfamily RP", "Other Rel <18 never marr not in subfamily",
        "Other Rel <18 never married RP of subfamily", "Other Rel <18 spouse of subfamily RP",
        "RP of unrelated subfamily", "Secondary individual", "Spouse of RP of unrelated subfamily",
        "Spouse of householder",
    ),
    "household_summary": (
        "Child 18 or older", "Child under 18 ever married", "Child under 18 never married",
        "Group Quarters- Secondary individual", "Householder", "Nonrelative of householder",
        "Other relative of householder", "Spouse of householder",
    ),
    "migration_msa": (
        "?", "Abroad to MSA", "Abroad to nonMSA", "MSA to MSA", "MSA to nonMSA", "NonMSA to MSA",
        "NonMSA to nonMSA", "Nonmover", "Not identifiable", "Not in universe",
    ),
    "migration_region": (
        "?", "Abroad", "Different county same state", "Different division same region", "Different region",
        "Different state same division", "Nonmover", "Not in universe", "Same county",
    ),
    "migration_within_region": (
        "?", "Abroad", "Different county same state", "Different state in Midwest", "Different state in Northeast",
        "Different state in South", "Different state in West", "Nonmover", "Not in universe", "Same county",
    ),
    "same_house_last_year": ("No", "Not in universe under 1 year old", "Yes"),
    "previous_sunbelt": ("?", "No", "Not in universe", "Yes"),
    "family_under_18": (
        "Both parents present", "Father only present", "Mother only present", "Neither parent present",
        "Not in universe",
    ),
    "father_country": COUNTRIES,
    "mother_country": COUNTRIES,
    "own_country": COUNTRIES,
    "citizenship": (
        "Foreign born- Not a citizen of U S ", "Foreign born- U S citizen by naturalization",
        "Native- Born abroad of American Parent(s)", "Native- Born in Puerto Rico or U S Outlying",
        "Native- Born in the United States",
    ),
    "own_business": ("0", "1", "2"),
    "veterans_questionnaire": ("No", "Not in universe", "Yes"),
    "veterans_benefits": ("0", "1", "2"),
    "year": ("94", "95"),
}  # fmt: skip
BINS = 32


@register("dataset", "census_income", title="Census income (KDD)")
class CensusIncome(DatasetOptions):
    """Up to 299,285 people of the US surveys of 1994 and 1995: two labels each, as in the MMoE paper.

    Group 1: income above 50,000 dollars, and never married. Group 2: an Associate's degree or more, and never married.
    Income, education and marital status are inputs in neither group, nor is the survey's instance weight. Repeated rows
    stay, as published.
    """

    group: Literal[1, 2] = option(1, "1: income and never married; 2: education and never married")
    variant: Literal["standard", "hard"] = option(
        "standard", "hard drops tax filer and household status, which give away who was never married"
    )
    split: Literal["auto", "paper", "test_only"] = option(
        "auto",
        "paper: the training file trains, the test file is halved into validation and test; test_only: 60/20/20 of the "
        "test file; auto: paper where both files are",
        advanced=True,
    )

    def table_schema(self) -> Schema:
        features = []
        for name in COLUMNS:
            if name in NUMERIC:
                features.append(Feature(name=name, kind="numeric", scaling="quantile", bins=BINS))
            elif name in CATEGORIES and not (name in LEAKING and self.variant == "hard"):
                features.append(Feature(name=name, kind="categorical", categories=CATEGORIES[name]))
        main = (
            Task(name="income", label="income_over_50k", description="income above 50,000 dollars a year")
            if self.group == 1
            else Task(name="education", label="college", description="an Associate's degree or more")
        )
        never = Task(name="never_married", label="never_married", description="never married")
        return Schema(features=tuple(features), tasks=(main, never))

    def frames(self, seed: int) -> Frames:
        import numpy as np

        train_file = _train_file() if self.split != "test_only" else None
        if self.split == "paper" and train_file is None:
            raise DataError(
                f"The paper's split needs {TRAIN_NAME} beside {TEST.name}: download it from {_SITE}, put it in a "
                f"folder and set SEESAW_DATA to that folder, or choose split test_only."
            )
        rows = _read(locate(TEST), TEST_ROWS)
        order = np.random.default_rng([seed, 0xCE]).permutation(len(rows))
        if train_file is not None:
            half = len(rows) // 2
            parts = (_read(train_file, TRAIN_ROWS), _take(rows, order[:half]), _take(rows, order[half:]))
            note = "Split as in the MMoE paper: the training file trains, the test file is halved by the seed."
        else:
            a, b = int(len(rows) * 0.6), int(len(rows) * 0.8)
            parts = (_take(rows, order[:a]), _take(rows, order[a:b]), _take(rows, order[b:]))
            note = f"A 60/20/20 split of the published test file ({TEST_ROWS:,} rows), not the paper's split."
        leak = "Tax filer and household status give away who was never married; the hard variant drops them."
        return Frames(*parts, notes=(note,) if self.variant == "hard" else (note, leak))

    @classmethod
    def preset(cls) -> dict[str, Any]:
        trunks: dict[str, dict[str, Any]] = {
            "single_task": {"layers": [64, 32]},
            "shared_bottom": {"layers": [130, 64]},
            "soft_sharing": {"layers": [72, 35]},
            "cross_stitch": {"layers": [71, 36]},
            "sluice": {"width": 64, "levels": 2, "subspaces": 2},
            "asymmetric": {"layers": [71, 35]},
            "customized": {"layers": [49, 24]},
            "omoe": {"experts": 4, "expert_layers": [39]},
            "mmoe": {"experts": 4, "expert_layers": [38]},
            "ml_mmoe": {"experts": 4, "levels": 2, "expert_layers": [31]},
            "cgc": {"shared_experts": 2, "task_experts": 1, "expert_layers": [38]},
            "ple": {"shared_experts": 2, "task_experts": 1, "levels": 2, "expert_layers": [33]},
            "adatt": {"shared_experts": 1, "task_experts": 1, "levels": 2, "expert_layers": [43]},
            "stem": {"shared_experts": 1, "task_experts": 1, "levels": 1, "expert_layers": [38]},
            "snr": {"experts": 3, "levels": 2, "expert_layers": [33]},
            "dselect_k": {"experts": 4, "selectors": 2, "expert_layers": [40]},
            "pepnet": {"layers": [29, 14], "gate_hidden": 16},
        }
        spec = {
            "data": {"name": "census_income"},
            "model": {"trunk": {"name": "mmoe", "options": trunks["mmoe"]}, "towers": [16]},
            "training": {"epochs": 5, "batch_size": 1024, "learning_rate": 0.002},
        }
        return {"spec": spec, "trunks": trunks}


def _train_file() -> Path | None:
    folder = os.environ.get("SEESAW_DATA")
    path = Path(folder).expanduser() / TRAIN_NAME if folder else None
    return path if path is not None and path.is_file() else None


def _take(rows: pd.DataFrame, places: np.typing.NDArray[np.intp]) -> pd.DataFrame:
    places.sort()
    return rows.iloc[places]


def _read(path: Path, expected_rows: int) -> pd.DataFrame:
    """One of the two files: no header, ", " between values, "?" for missing, labels "- 50000." and "50000+."."""
    import pandas as pd

    wanted = [name for name in COLUMNS if name != "instance_weight"]
    kinds = {name: "int32" if name in NUMERIC else "category" for name in wanted}
    try:
        table = pd.read_csv(
            path,
            names=list(COLUMNS),
            usecols=wanted,
            dtype=kinds,
            skipinitialspace=True,
            na_filter=False,
        )
    except (ValueError, UnicodeDecodeError, EOFError, OSError) as error:
        raise DataError(
            f"{path} is not the published {path.name}: {error}. Replace it with {_SITE}{path.name}."
        ) from error
    strange = set(table["income"].cat.categories) - {"- 50000.", "50000+."}
    if len(table) != expected_rows or strange:
        raise DataError(
            f"{path} is not the published {path.name}: it should have {expected_rows:,} rows that end in '- 50000.' or "
            f"'50000+.', and has {len(table):,} rows. Replace it with {_SITE}{path.name}."
        )
    table["income_over_50k"] = table["income"].eq("50000+.").astype("float32")
    table["college"] = table["education"].isin(COLLEGE).astype("float32")
    table["never_married"] = table["marital_status"].eq("Never married").astype("float32")
    return table.drop(columns=["income", "education", "marital_status"])
