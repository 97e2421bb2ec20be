"""What is wrong with a spec, in the words of the controls and in the reader's language. No Streamlit."""

from __future__ import annotations

import re

from app import wording
from app.analysis import option_name
from app.core_sentences import sentence
from app.i18n import tr
from mtl_core.spec import SpecError

_PLACE = re.compile(r"(\w+(?:\.\w+)*): (.*)", re.DOTALL)


def told(error: SpecError) -> str:
    """A line for each option that is wrong, named as its control is; as a list where there are several."""
    lines = [_told(problem) for problem in error.problems]
    return lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines)


def _told(problem: str) -> str:
    found = _PLACE.fullmatch(problem)
    if found is None:
        return sentence(problem)
    path, what = found.groups()
    return tr("{where}: {problem}", where=wording.capital(option_name(path)), problem=sentence(what))
