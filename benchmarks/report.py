"""docs/benchmarks.md: each command writes its own section and leaves the others as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

REPORT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
#: Sections in the order in which they stand.
TITLES = (
    "Throughput",
    "Where a step's time goes",
    "A sweep as a population",
    "Balancers",
    "From click to curve",
    "Interaction",
)
HEAD = """# Benchmarks

Each section is written by the command that it names; figures are never typed in. Contestants take turns in rounds, and
every ratio is one of two times of the same round: the median over rounds, with the smallest and the largest. Where the
load says that other programs ran beside them, ratios by processor time are the steadier ones. There was no GPU to
measure on. None of this is part of the tests: times belong to a machine, not to the code.
"""


def write(title: str, body: str, path: Path = REPORT) -> None:
    """Put a section in its place, instead of the one that was there."""
    sections: dict[str, str] = {}
    if path.exists():
        for part in path.read_text(encoding="utf-8").split("\n## ")[1:]:
            name, _, text = part.partition("\n")
            sections[name] = text.strip()
    sections[title] = body.strip()
    parts = [HEAD.strip(), *(f"## {name}\n\n{sections[name]}" for name in TITLES if name in sections)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
