"""Direct labels that do not sit on each other: a small greedy placement."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

#: Rough size of a letter at the labels' font size, in pixels.
LETTER, LINE = 7.5, 17.0
Box = tuple[float, float, float, float]


def letters(text: str) -> int:
    """How many letters wide a text is: a Chinese character takes the room of two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def cut(text: str, most: int) -> str:
    """As much of a text as is no wider than so many letters."""
    while letters(text) > most:
        text = text[:-1]
    return text


def place_labels(
    anchors: Sequence[tuple[float, float]], texts: Sequence[str], obstacles: Sequence[Box] = ()
) -> list[tuple[float, float]]:
    """Where to write each text so that it covers no other text, no anchor and no obstacle, as near as can be.

    Args:
        anchors: the marks, in pixels, y upwards.
        texts: one label per mark.
        obstacles: boxes (x0, y0, x1, y1) to keep clear if possible.

    Returns:
        Offsets of the labels' centres from their anchors, in pixels. A crowded plot may leave overlaps: the offset with
        the least cover wins.
    """
    taken: list[Box] = [(x - 9, y - 9, x + 9, y + 9) for x, y in anchors]
    offsets: list[tuple[float, float]] = []
    for (x, y), text in zip(anchors, texts, strict=True):
        half_w, half_h = letters(text) * LETTER / 2, LINE / 2
        best: tuple[float, float, float] | None = None
        for distance in (18, 34, 52, 74, 100):
            if best is not None and best[0] <= distance * 2:
                break  # from here on the distance alone costs as much
            for step in range(16):
                angle = math.pi / 8 * step
                dx = math.cos(angle) * (distance + half_w * abs(math.cos(angle)))
                dy = math.sin(angle) * distance
                box = (x + dx - half_w, y + dy - half_h, x + dx + half_w, y + dy + half_h)
                cover = 4 * sum(_cover(box, other) for other in taken) + sum(_cover(box, other) for other in obstacles)
                cost = cover + distance * 2
                if best is None or cost < best[0]:
                    best = (cost, dx, dy)
        assert best is not None
        offsets.append((best[1], best[2]))
        taken.append((x + best[1] - half_w, y + best[2] - half_h, x + best[1] + half_w, y + best[2] + half_h))
    return offsets


def _cover(a: Box, b: Box) -> float:
    """Common area of two boxes."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
