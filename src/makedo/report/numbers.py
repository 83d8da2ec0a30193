"""How numbers are written in tables and figures."""

from __future__ import annotations

import math
from collections.abc import Iterable

MISSING = "–"


def decimals(values: Iterable[float]) -> int:
    """Digits after the point for a column: three figures of the largest, two of a typical value, at most four.

    No more than the values have: 0.5 and 12.5 are written with one.
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
    """Write a number with thousands separators and a true minus: ``'1,204'``, ``'−0.5'``, ``'+6.4'``.

    ``digits=None`` writes as many as the number needs, up to six figures.
    """
    if math.isnan(value):
        return MISSING
    if digits is None:
        text = f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:,.6g}"
    else:
        text = f"{value:,.{digits}f}"
    if not any(c in "123456789" for c in text):
        text = text.lstrip("-")  # no minus before a zero
    elif sign and value > 0:
        text = f"+{text}"
    return text.replace("-", "\N{MINUS SIGN}")
