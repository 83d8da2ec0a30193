"""How numbers and texts are written on the page and in figures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

MISSING = "–"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")


def printable(text: str) -> str:
    """The text without what HTML and SVG cannot hold: control characters and lone surrogates."""
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode("utf-8")


def decimals(values: Iterable[float]) -> int:
    """Digits after the point for a column: three figures of the largest, two of a typical value.

    At most four, and no more than the values have: 0.5 and 12.5 are written with one.
    """
    finite = [v for v in values if math.isfinite(v)]
    sizes = sorted(abs(v) for v in finite if v)
    if not sizes:
        return 0
    largest, typical = sizes[-1], sizes[len(sizes) // 2]
    digits = max(2 - math.floor(math.log10(largest)), 1 - math.floor(math.log10(typical)))
    digits = min(4, max(0, digits))
    while digits and all(round(v, digits) == round(v, digits - 1) for v in finite):
        digits -= 1
    return digits


def number(value: float, digits: int | None = None, sign: bool = False) -> str:
    """Write a number with thousands separators and a true minus: ``'1,204'``, ``'−0.5'``.

    ``digits=None`` writes as many as the number needs, up to six figures.
    """
    if not math.isfinite(value):
        return MISSING if math.isnan(value) else "∞" if value > 0 else "\N{MINUS SIGN}∞"
    if digits is not None:
        text = f"{value:,.{digits}f}"
    elif value == round(value) and abs(value) < 1e15:
        text = f"{value:,.0f}"
    else:
        text = f"{value:,.6g}"
    return tidy(f"+{text}" if sign and value > 0 else text)


def tidy(text: str) -> str:
    """A formatted number with a true minus, and without a sign if all its digits are zero."""
    if not any(c in "123456789" for c in text):
        text = text.lstrip("+-")
    return text.replace("-", "\N{MINUS SIGN}")
