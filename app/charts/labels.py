"""Names that fit: cut, broken into lines, and placed beside their own marks so that none sits on another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

#: Letters that fit on a line of a box; lines of a name.
LINE_LETTERS, MOST_LINES = 10, 3
#: Rough size of a letter at the labels' font size, in pixels.
LETTER, LINE = 7.5, 17.0
Box = tuple[float, float, float, float]
Numbers = npt.NDArray[Any]


def letters(text: str) -> int:
    """How many letters wide a text is: a Chinese character takes the room of two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def cut(text: str, most: int) -> str:
    """As much of a text as is no wider than so many letters."""
    while letters(text) > most:
        text = text[:-1]
    return text


#: Half the side of the square that a mark takes.
MARK = 9.0
#: Where a label may stand: so far from its mark, in so many directions.
_DISTANCES, _ANGLES = (18.0, 34.0, 52.0, 74.0, 100.0), 16
#: What is worse than a long way: standing nearer to another mark, and a line to the mark that crosses something.
_NEARER, _CROSSED = 250.0, 120.0


def wrapped(name: str, most: int = LINE_LETTERS) -> str:
    """A name cut at blanks and after underscores so that it fits a box of so many letters; three lines at most.

    A word that is too long is cut with a hyphen, and what does not fit at all with an ellipsis.
    """
    pieces = [piece for word in re.findall(r"[^ _]*_|[^ _]+ ?", name) for piece in _hyphenated(word, most)]
    lines = [""]
    for piece in pieces:
        if lines[-1] and letters((lines[-1] + piece).rstrip()) > most:
            lines.append(piece)
        else:
            lines[-1] += piece
    lines = [line.strip() for line in lines]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], cut(lines[MOST_LINES - 1], most - 1) + "…"]
    return "\n".join(lines)


def _hyphenated(word: str, most: int) -> Iterator[str]:
    while letters(word.rstrip()) > most:
        head = cut(word, most - 1)
        yield head + "-"
        word = word[len(head) :]
    yield word


def place_labels(
    anchors: Sequence[tuple[float, float]], texts: Sequence[str], obstacles: Sequence[Box] = ()
) -> list[tuple[float, float]]:
    """Where to write each text so that it covers no other text, no anchor and no obstacle, as near as can be.

    A place that is nearer to another mark than to its own is avoided, and so is one whose line to the mark would cross
    another mark, name or line.

    Args:
        anchors: the marks, in pixels, y upwards.
        texts: one label per mark.
        obstacles: boxes (x0, y0, x1, y1) to keep clear if possible.

    Returns:
        Offsets of the labels' centres from their anchors, in pixels. A crowded plot may leave overlaps: the offset with
        the least cover wins.
    """
    points = np.array(anchors, dtype=float).reshape(-1, 2)
    marks = np.hstack([points - MARK, points + MARK])
    blocked = np.array(obstacles, dtype=float).reshape(-1, 4)
    boxes: dict[int, Numbers] = {}
    offsets = np.zeros((len(points), 2))
    # The second round knows where all the others stand.
    for _ in range(2):
        for i, text in enumerate(texts):
            others = np.array([box for j, box in boxes.items() if j != i]).reshape(-1, 4)
            ways = np.array([[*points[j], *_foot(points[j], boxes[j])] for j in boxes if j != i]).reshape(-1, 4)
            moves = _moves(letters(text) * LETTER / 2)
            half = np.array([letters(text) * LETTER / 2, LINE / 2])
            places = np.hstack([points[i] + moves - half, points[i] + moves + half])
            taken = np.vstack([marks, others])
            cost = 4 * _covers(places, taken) + _covers(places, blocked) + 2 * np.repeat(_DISTANCES, _ANGLES)
            feet = np.array([_foot(points[i], place) for place in places])
            own = np.hypot(*(feet - points[i]).T)
            rest = np.delete(points, i, axis=0)
            if len(rest):
                cost += _NEARER * (_distances(places, rest).min(axis=1) < own + 2)
                cost += _CROSSED * _touched(points[i], feet, np.delete(marks, i, axis=0))
            if len(others):
                cost += _CROSSED * (_touched(points[i], feet, others) + _crossings(points[i], feet, ways))
            best = int(np.argmin(cost))
            offsets[i], boxes[i] = moves[best], places[best]
    return [(float(x), float(y)) for x, y in offsets]


def _moves(half: float) -> Numbers:
    """The places to try, nearest first: [places, 2]."""
    angles = 2 * np.pi / _ANGLES * np.arange(_ANGLES)
    x, y = np.cos(angles), np.sin(angles)
    return np.vstack([np.column_stack([x * (d + half * np.abs(x)), y * d]) for d in _DISTANCES])


def _covers(places: Numbers, boxes: Numbers) -> Numbers:
    """Area of each place that lies in boxes."""
    if not len(boxes):
        return np.zeros(len(places))
    a, b = places[:, None], boxes[None]
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    return cast(Numbers, (np.maximum(width, 0) * np.maximum(height, 0)).sum(axis=1))


def _foot(point: Numbers, box: Numbers) -> Numbers:
    """The place in a box that is nearest to a point."""
    return np.clip(point, box[:2], box[2:])


def _distances(places: Numbers, points: Numbers) -> Numbers:
    """Of each place, a box, from each point: [places, points]."""
    nearest = np.clip(points[None], places[:, None, :2], places[:, None, 2:])
    return cast(Numbers, np.hypot(*np.moveaxis(nearest - points[None], -1, 0)))


def _touched(start: Numbers, ends: Numbers, boxes: Numbers) -> Numbers:
    """How many boxes the line from the start to each end goes through."""
    along = np.linspace(0, 1, 12)[None, :, None] * (ends - start)[:, None] + start
    inside = (along[:, :, None] >= boxes[:, :2]) & (along[:, :, None] <= boxes[:, 2:])
    return cast(Numbers, inside.all(axis=-1).any(axis=1).sum(axis=1))


def _crossings(start: Numbers, ends: Numbers, lines: Numbers) -> Numbers:
    """How many lines (x0, y0, x1, y1) the one from the start to each end crosses."""

    def side(a: Numbers, b: Numbers, point: Numbers) -> Numbers:
        across, up = b - a, point - a
        return cast(Numbers, np.sign(across[..., 0] * up[..., 1] - across[..., 1] * up[..., 0]))

    a, b, c, d = start[None, None], ends[:, None], lines[None, :, :2], lines[None, :, 2:]
    return cast(Numbers, ((side(a, b, c) != side(a, b, d)) & (side(c, d, a) != side(c, d, b))).sum(axis=1))
