"""The paper's tables on data that can be had; nothing is chosen on the labels of targets.

What differs from the paper: rows are drawn independently in each domain (its released code pairs
them in the order of its files); mean and sd over seeds; self-training along the hops and plain
linear models, which the paper's tables lack, stand beside.  A module of this folder is a table.
"""

from __future__ import annotations

from collections.abc import Iterable

from makedo.core.tables import Pair, Row
from makedo.methods.grda.reproduce import counties, graphs, spirals, temperatures

SEEDS = 5
TABLES = {  # name -> (module, data sets or tasks)
    "spirals": (spirals, ("dg15", "dg60")),
    "graphs": (graphs, ("dg15",)),
    "temperatures": (temperatures, (*temperatures.TASKS, *temperatures.EXCHANGED)),
    "counties": (counties, ("west", "east", "central", "no shift", "labels shift")),
}


def tables() -> list[str]:
    """Names for ``makedo reproduce grda --table``."""
    return list(TABLES)


def rows(table: str, seeds: int | None = None) -> Iterable[Row | Pair]:
    """The rows of a table, in the order in which they are measured."""
    module, names = TABLES[table]
    for data in names:
        yield from module.rows(data, range(seeds or SEEDS))
