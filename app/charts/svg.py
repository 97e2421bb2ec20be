"""The few marks that our own SVG pictures are made of. Letters without a colour take that of the text around them."""

from __future__ import annotations

from html import escape

FONT = "font-family='system-ui, sans-serif'"


def text(x: float, y: float, words: str, more: str, size: float = 12) -> str:
    """A line of text; `more`: further attributes."""
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size:g}' {more}>{escape(words)}</text>"


def title(words: object) -> str:
    """What a mark says when it is pointed at."""
    return f"<title>{escape(str(words))}</title>"


def picture(width: float, height: float, inner: str, alt: str) -> str:
    """A whole picture."""
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' width='{width:g}' "
        f"height='{height:g}' role='img' aria-label='{escape(alt)}' {FONT}>{inner}</svg>"
    )


def as_file(svg: str) -> str:
    """A picture with a ground and a text colour of its own, as it stands alone."""
    coloured = svg.replace("<svg ", "<svg style='color:#1B1E23' ", 1)
    return coloured.replace(">", "><rect width='100%' height='100%' fill='#FFFFFF'/>", 1)
