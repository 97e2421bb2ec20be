"""Keep the weights of the example runs that the dashboard opens with: `python sample_data/make_example_weights.py`.

With them a first visitor can look inside: segments, likeness of experts, ROC curves, experts switched off. Each is
trained from the spec of `example_runs.json.gz` once more; a run is the same every time, which is checked by its scores.
"""

from __future__ import annotations

import gzip
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from app.jobs.bundled import FOLDER, SPEC
from mtl_core.checkpoints import WEIGHTS
from mtl_core.spec import RunSpec
from mtl_core.threads import spare_a_core
from mtl_core.training import train

EXAMPLES = Path(__file__).parent / "example_runs.json.gz"
#: Data that everybody has; a few kilobytes of weights each.
DATASET, SEED = "conflict", 0
#: Scores of the same run may differ by rounding where it was trained together with others.
TOLERANCE = 1e-4


def main() -> int:
    """Train and keep them."""
    spare_a_core()
    runs = json.loads(gzip.decompress(EXAMPLES.read_bytes()))["runs"]
    shutil.rmtree(FOLDER, ignore_errors=True)
    for item in runs:
        started, finished = item["events"][0], item["events"][-1]
        spec = RunSpec.parse(started["spec"])
        if (spec.data.name, spec.seed, bool(finished["gates"])) != (DATASET, SEED, True):
            continue
        _keep(item["id"], spec, finished["metrics"]["test"])
    return 0


def _keep(run_id: str, spec: RunSpec, scores: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        *_, last = train([spec], folders=[folder])
        found = last.to_json()["metrics"]["test"]
        for task, metrics in scores.items():
            if not math.isclose(found[task]["auc"], metrics["auc"], abs_tol=TOLERANCE):
                raise SystemExit(f"{run_id}: AUC of {task} is {found[task]['auc']}, the example says {metrics['auc']}.")
        target = FOLDER / run_id
        target.mkdir(parents=True)
        shutil.copy(Path(folder) / WEIGHTS, target / WEIGHTS)
        (target / SPEC).write_text(json.dumps(spec.to_json(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
