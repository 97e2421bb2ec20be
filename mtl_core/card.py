"""What the catalogue says about a part or a system."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """One entry: what it is for, how it computes, and where it was published."""

    #: The problem it was made for, in one or two sentences.
    problem: str
    #: What it computes, in LaTeX.
    formula: str
    #: Title of the paper or article.
    paper: str = ""
    authors: str = ""
    year: int | None = None
    venue: str = ""
    #: An arXiv number or a DOI, without address.
    reference: str = ""
    #: Where the paper did not propose it but measured its own system against it: that system.
    baseline_of: str = ""
