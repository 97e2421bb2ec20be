"""Gains as people read them: thousandths of AUC where a label is predicted, percent of the error where a number is.

An AUC has the same scale everywhere, so a difference says enough. A squared error has the square of the label's unit:
only its share of what it is compared with means something to a reader.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.i18n import tr
from mtl_core.comparison import Interval

MINUS = "\u2212"
#: Kind of task -> what a gain is multiplied by.
SCALES = {"binary": 1000.0, "regression": 100.0}


def scaled(gain: float, kind: str) -> float:
    """In thousandths or percent."""
    return SCALES[kind] * gain


def unit(kind: str) -> str:
    """What a gain of such a task is counted in."""
    return tr("thousandths of AUC") if kind == "binary" else tr("percent less MSE")


def units(kinds: Iterable[str]) -> str:
    """What the gains of several tasks are counted in, named once each."""
    return tr(", ").join(dict.fromkeys(unit(kind) for kind in kinds))


def signed(value: float, digits: int = 1) -> str:
    """+15.7 or −3.3, with a real minus sign."""
    return f"{value:+z.{digits}f}".replace("-", MINUS)


def said(value: float, kind: str) -> str:
    """A scaled gain: +15.7 thousandths without their unit, +2.3% with it."""
    return signed(value) + _sign(kind)


def interval(value: Interval, kind: str = "binary") -> str:
    """+15.7 ±2.8; +2.3% ±0.4%; one seed has no interval."""
    half = "" if value.half_width is None else f" ±{value.half_width:.1f}{_sign(kind)}"
    return said(value.mean, kind) + half


def _sign(kind: str) -> str:
    return "" if kind == "binary" else "%"
