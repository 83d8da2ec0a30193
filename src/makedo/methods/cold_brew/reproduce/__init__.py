"""The paper's tables on data that can be had, by a protocol that does not look at test nodes.

What differs from the paper: validation nodes choose everything (the released code selects on test
accuracy); mean and sd over seeds; paired differences; label propagation, feature neighbours and
GLNN, which the paper's tables lack, stand beside.  A module of this folder is a table: its title
and ``rows(data, seeds)``.
"""

from __future__ import annotations

from collections.abc import Iterable

from makedo.core.tables import Pair, Row
from makedo.methods.cold_brew.reproduce import cold_start, links, public

SEEDS = 10
TABLES = {  # name -> (module, data sets)
    "public": (public, ("cora", "citeseer")),
    "cold-start": (cold_start, ("cora", "citeseer")),
    "links": (links, ("cora", "citeseer")),
}


def tables() -> list[str]:
    """Names for ``makedo reproduce cold-brew --table``."""
    return list(TABLES)


def rows(table: str, seeds: int | None = None) -> Iterable[Row | Pair]:
    """The rows of a table, in the order in which they are measured."""
    module, names = TABLES[table]
    for data in names:
        yield from module.rows(data, range(seeds or SEEDS))
