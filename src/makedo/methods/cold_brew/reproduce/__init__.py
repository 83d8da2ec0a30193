"""The paper's tables on data that can be had, by a protocol that does not look at test nodes.

What differs from the paper: validation nodes choose everything (the released code selects on test
accuracy); mean and sd over seeds; paired differences; label propagation, feature neighbours, SGC
and GLNN, which the paper's tables lack, stand beside.  A module of this folder is a table: its
title and ``rows(data, seeds)``.
"""

from __future__ import annotations

from collections.abc import Iterable

from makedo.core.tables import Pair, Row
from makedo.methods.cold_brew.reproduce import (
    ablation,
    cold_start,
    depth,
    fcr,
    links,
    public,
    regression,
)

SEEDS = 10
BOTH = ("cora", "citeseer")
# Both forms of the two with duplicate nodes: the paper used the full one.
FILTERED, FULL = ("chameleon_filtered", "squirrel_filtered"), ("chameleon", "squirrel")
OTHERS = ("actor", "texas", "cornell", "twitch_de")
COLD_START = BOTH + FILTERED + OTHERS
TABLES = {  # name -> (module, data sets)
    "public": (public, BOTH),
    "cold-start": (cold_start, COLD_START),
    "ablation": (ablation, BOTH),
    "regression": (regression, FULL),
    "fcr": (fcr, BOTH + FILTERED + FULL + OTHERS),
    "depth": (depth, ("cora",)),
    "links": (links, BOTH),
}


def tables() -> list[str]:
    """Names for ``makedo reproduce cold-brew --table``."""
    return list(TABLES)


def rows(table: str, seeds: int | None = None) -> Iterable[Row | Pair]:
    """The rows of a table, in the order in which they are measured."""
    module, names = TABLES[table]
    for data in names:
        yield from module.rows(data, range(seeds or SEEDS))
