"""What each balancer that combines gradients makes of two that pull apart, beside their plain sum (Altair).

The steps stand here as numbers, since working them out takes torch, which pages do without; a test works them out anew.
"""

from __future__ import annotations

import math

import pandas as pd

from app.charts.conflict import Plane, arrows
from app.charts.drawing import Drawing
from app.charts.palette import LINE, QUIET
from app.i18n import tr
from app.wording import passage

#: The two gradients: their lengths, and the angle between them in radians.
LENGTHS, ANGLE = (1.0, 0.6), math.radians(140)
TASKS = ("A", "B")
#: Balancer -> its first step on these, with both losses at 1 and the options' defaults; the gradients' bisector points
#: upwards.
STEPS: dict[str, tuple[float, float]] = {
    "mgda": (0.0231, 0.2544),
    "pe_ltr": (0.0231, 0.2544),
    "epo": (-0.0966, 0.2653),
    "pcgrad": (-0.0879, 0.9664),
    "gradvac": (-0.0879, 0.9664),
    "graddrop": (-0.9397, 0.5472),
    "cagrad": (-0.0632, 0.3190),
    "imtl_g": (0.0, 0.2565),
    "nash": (0.0, 1.4142),
    "aligned": (-0.0284, 0.2433),
    "upgrad": (-0.0440, 0.4832),
}


def gradients() -> tuple[tuple[float, float], tuple[float, float]]:
    """Both gradients, in the frame of the picture."""
    (one, other), half = LENGTHS, ANGLE / 2
    return (-one * math.sin(half), one * math.cos(half)), (other * math.sin(half), other * math.cos(half))


def plain_sum() -> tuple[float, float]:
    """The step without any balancer."""
    (ax, ay), (bx, by) = gradients()
    return ax + bx, ay + by


def first_step(name: str) -> Drawing:
    """Both gradients, their plain sum, and the balancer's step at the sum's length: rules differ in scale, too."""
    length, (x, y) = math.hypot(*plain_sum()), STEPS[name]
    scale = length / math.hypot(x, y)
    drawing = arrows(Plane(LENGTHS, ANGLE, (scale * x, scale * y)), TASKS)
    sum_x, sum_y = plain_sum()
    about = tr("the plain sum of both gradients")
    place = 1 + int(drawing.data["shafts"]["arrow"].max())
    marks = {"colour": LINE, "about": about}
    rows: dict[str, list[dict[str, object]]] = {
        "shafts": [{"x": sum_x * t, "y": sum_y * t, "arrow": place, "t": t, **marks} for t in (0, 1)],
        "tips": [{"x": sum_x, "y": sum_y, "turn": math.degrees(math.atan2(sum_x, sum_y)), **marks}],
        "names": [
            {"x": sum_x - 0.04, "y": sum_y + 0.1, "side": "left", "text": tr("plain sum"), "colour": QUIET},
            {"x": scale * x + 0.04, "y": scale * y + 0.1, "side": "right", "text": tr("step"), "colour": QUIET},
        ],
    }
    # What was there is drawn above the sum.
    more = {key: pd.concat([pd.DataFrame(new), drawing.data[key]], ignore_index=True) for key, new in rows.items()}
    return Drawing(drawing.template, {**drawing.data, **more})


def first_step_sentence(name: str, title: str) -> str:
    """Whose loss falls along the sum and along the balancer's step, by their angles."""
    before, after = (_angles(step) for step in (plain_sum(), STEPS[name]))
    along = tr(
        "The plain sum lies {a:.0f}° off A and {b:.0f}° off B, so B's loss would rise.", a=before[0], b=before[1]
    )
    told = {"model": title, "a": after[0], "b": after[1]}
    if max(after) > 90.5:
        made = tr("{model}'s step lies {a:.0f}° and {b:.0f}° off: this time B pays, another time A would.", **told)
    elif max(after) > 89.5:
        made = tr("{model}'s step lies {a:.0f}° and {b:.0f}° off: A's loss falls, and B's does not rise.", **told)
    else:
        made = tr("{model}'s step lies {a:.0f}° and {b:.0f}° off: both losses fall.", **told)
    return passage(along, made)


def _angles(step: tuple[float, float]) -> tuple[float, float]:
    """Degrees between a step and each gradient."""
    a, b = (
        math.degrees(math.acos((x * step[0] + y * step[1]) / (math.hypot(x, y) * math.hypot(*step))))
        for x, y in gradients()
    )
    return a, b
