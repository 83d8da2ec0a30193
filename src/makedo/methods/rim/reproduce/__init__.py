"""Precision of items for users, and of users for items, with and without each λ.

The paper's tables of numbers could not be had, and of its data sets only a small relative of one
(MovieLens 100K for 1M).  Figures of the official code on exactly that split and those items stand
beside ours in a table of their own.  What differs: ties are broken in ten random orders and the
figures are means over these; targets are binary; seen pairs are neither listed nor wanted, where
they are excluded.

Nothing here is tuned: settings of the marks and the intensities are those that the specification of
the protocol gives, or defaults.
"""

from __future__ import annotations

from collections.abc import Iterable

from makedo.core.tables import Pair, Row
from makedo.methods.rim.reproduce import matching, official, with_and_without

TABLES = {  # name -> (module, data sets)
    "official": (official, ("ml-100k",)),
    "intensities": (with_and_without, ("ml-100k", "completejourney")),
    "matching": (matching, ("ml-100k", "completejourney")),
}


def tables() -> list[str]:
    """Names for ``makedo reproduce rim --table``."""
    return list(TABLES)


def rows(table: str, seeds: int | None = None) -> Iterable[Row | Pair]:
    """The rows of a table, in the order in which they are measured.

    ``seeds`` changes nothing: there is no randomness but that of ties, whose orders are averaged.
    """
    module, names = TABLES[table]
    for data in names:
        yield from module.rows(data)
