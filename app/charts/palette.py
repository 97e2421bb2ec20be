"""The visual grammar in one place: a task is a hue, a shared expert is grey, a model family is a shape."""

from __future__ import annotations

from collections.abc import Sequence

#: In the order in which tasks take them: Okabe-Ito's six that read on a white and on a black page, then a purple and a
#: crimson that are as far from each of these, for colour-blind readers too, as the nearest two of them are.
TASK_HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#9147E0", "#D4004B")
#: Letters on pale boxes, in both themes.
INK = "#1B1E23"
#: Greys that read on a white and on a black page.
SHARED = "#9AA0A8"
QUIET = "#80868F"
LINE = "#B9BEC5"

#: trunk -> Plotly symbol. A family is a shape; the simpler member of a pair is drawn hollow.
FAMILY_SHAPES = {
    "single_task": "cross-thin",
    "shared_bottom": "square",
    "soft_sharing": "square-open",
    "cross_stitch": "x-open",
    "sluice": "x",
    "asymmetric": "pentagon-open",
    "customized": "pentagon",
    "omoe": "circle-open",
    "mmoe": "circle",
    "ml_mmoe": "circle-dot",
    "cgc": "triangle-up-open",
    "ple": "triangle-up",
    "adatt": "star-open",
    "stem": "star",
    "snr": "hexagon-open",
    "dselect_k": "hexagon",
    "pepnet": "hourglass",
}
#: trunk -> colour, for charts on which no task has a hue: the Okabe-Ito colours that two tasks leave free.
FAMILY_COLOURS = {
    "shared_bottom": "#56B4E9",
    "soft_sharing": "#56B4E9",
    "cross_stitch": "#E69F00",
    "sluice": "#E69F00",
    "asymmetric": "#56B4E9",
    "customized": "#56B4E9",
    "omoe": "#CC79A7",
    "mmoe": "#CC79A7",
    "ml_mmoe": "#CC79A7",
    "cgc": "#009E73",
    "ple": "#009E73",
    "adatt": "#009E73",
    "stem": "#009E73",
    "snr": "#CC79A7",
    "dselect_k": "#CC79A7",
    "pepnet": "#E69F00",
}


def hue(task: int) -> str:
    """The colour of a task, by its place in the task order."""
    return TASK_HUES[task % len(TASK_HUES)]


def task_colours(tasks: Sequence[str]) -> dict[str, str]:
    """Every task's colour."""
    return {name: hue(i) for i, name in enumerate(tasks)}


def tint(colour: str, strength: float) -> str:
    """`colour` with an opacity of `strength`, so that it turns pale on a white and on a black page alike."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{strength:g})"


def pale(colour: str, strength: float) -> str:
    """`colour` mixed with white: an opaque fill on which black letters read in the light and in the dark theme."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - part) * strength):02X}" for part in parts)


def contrast(ink: str, ground: str) -> float:
    """How well letters stand out from their ground, from 1 to 21, as WCAG 2 measures it."""
    light, dark = sorted((_luminance(ink), _luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def expert_colour(owner: int | None) -> str:
    """Grey for a shared expert or gate, its task's hue for one of its own."""
    return SHARED if owner is None else hue(owner)


def family_colour(trunk: str) -> str:
    """The colour of a trunk's family, on charts without task hues."""
    return FAMILY_COLOURS.get(trunk, "#E69F00")


def family_shape(trunk: str) -> str:
    """The Plotly symbol of a trunk's family."""
    return FAMILY_SHAPES.get(trunk, "diamond")
