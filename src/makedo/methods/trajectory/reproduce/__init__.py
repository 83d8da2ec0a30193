"""Tables on walking people and on basketball: errors with and without neighbours.

Settings were chosen on recordings and games inside the training data, never on those for testing.
A module of this folder is a table.
"""

from __future__ import annotations

from collections.abc import Iterable

from makedo.core.tables import Pair, Row
from makedo.methods.trajectory.reproduce import basketball, interaction, walking

SEEDS = 3
TABLES = {"walking": walking, "basketball": basketball, "interaction": interaction}


def tables() -> list[str]:
    """Names for ``makedo reproduce trajectory --table``."""
    return list(TABLES)


def rows(table: str, seeds: int | None = None) -> Iterable[Row | Pair]:
    """The rows of a table, in the order in which they are measured."""
    yield from TABLES[table].rows(range(seeds or SEEDS))
