"""Draws charts: live ones, whose rows are swapped in a view that stays, and plain ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair
import pandas as pd
import streamlit as st

from app.charts.drawing import Drawing, template
from app.components.figure_files import remember
from app.figures import of_vega
from app.i18n import language


def live_chart(drawing: Drawing, alt: str, key: str | None = None, *, fixed: bool = False) -> None:
    """Draw at the width of the container, or at the drawing's own where it is `fixed`; `alt` states the claim.

    What a drawing leaves out is said below it.
    """
    remember(of_vega(alt, drawing.to_dict))
    st.vega_lite_chart(spec=drawing.spec(), width="content" if fixed else "stretch", alt=alt, key=key)
    if drawing.note:
        st.caption(drawing.note)


def plain_chart(alt: str, make: Callable[..., altair.LayerChart | altair.FacetChart], *of: Any, **options: Any) -> None:
    """Draw the chart that `make` makes of these data, at the width of the container.

    It is made once for equal data: building an Altair chart and holding it against its schema takes tenths of a second.
    """
    told = tuple(part.to_json() if isinstance(part, pd.DataFrame) else repr(part) for part in (*of, *options.items()))
    key = (make, language(), told)
    if key not in _made:
        while len(_made) >= MOST_MADE:
            _made.pop(next(iter(_made)), None)
        _made[key] = template(make(*of, **options))
    spec = _made[key]
    remember(of_vega(alt, lambda: spec))
    st.vega_lite_chart(spec=dict(spec), width="stretch", alt=alt)


_made: dict[Any, dict[str, Any]] = {}
#: So many plain charts are kept.
MOST_MADE = 128
