"""Precision of items for users, and of users for items, with and without each λ.

The paper's tables of numbers could not be had, and of its data sets only a small relative of one
(MovieLens 100K for 1M).  Figures of the official code on exactly that split and those items stand
beside ours in a table of their own.  What differs: ties are broken in ten random orders and the
figures are means over these; targets are binary; seen pairs are neither listed nor wanted, where
they are excluded.

Settings of the marks and the intensities are those that the specification of the protocol gives, or
defaults; those of the sequence models, and of EASE beside them, are chosen inside the training
data.
"""

from __future__ import annotations

from collections.abc import Iterable

from makedo.core.tables import Pair, Row
from makedo.methods.rim.reproduce import (
    campaigns,
    matching,
    official,
    sequences,
    with_and_without,
)

BOTH = ("ml-100k", "completejourney")
TABLES = {  # name -> (rows of a data set, data sets)
    "official": (official.rows, ("ml-100k",)),
    "intensities": (with_and_without.rows, BOTH),
    "sequence-settings": (sequences.setting_rows, BOTH),
    "sequences": (sequences.rows, BOTH),
    "campaigns": (campaigns.rows, ("completejourney",)),
    "matching": (matching.rows, BOTH),
}


def tables() -> list[str]:
    """Names for ``makedo reproduce rim --table``."""
    return list(TABLES)


def rows(table: str, seeds: int | None = None) -> Iterable[Row | Pair]:
    """The rows of a table, in the order in which they are measured.

    ``seeds`` is for networks; elsewhere there is no randomness but that of ties, whose orders are
    averaged.
    """
    made, names = TABLES[table]
    for data in names:
        yield from made(data, seeds) if made is sequences.rows else made(data)
