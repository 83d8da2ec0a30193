"""Which of a user's files is an edge list: told from the values, not from the file's name."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

ID_COLUMNS = ("node_id", "id")
EDGES, ROWS = "edges", "rows"
MOSTLY = 0.5  # share of an edge list's ids that another table must have
SAMPLE = 10_000  # rows of an edge list that are looked at


def find_roles(tables: Mapping[str, pd.DataFrame], id: str | None = None) -> dict[str, str]:
    """Say of each table whether it is an edge list.

    Parameters
    ----------
    tables : dict of str to DataFrame
    id : str, optional
        The column of ids.  Default: ``node_id`` or ``id``.

    Returns
    -------
    dict of str to {"edges", "rows"}
        "edges" where both ends (the columns ``source`` and ``target``, else the first two) hold
        mostly ids of one other table.
    """
    ids = {name: _ids(table, id) for name, table in tables.items()}
    return {
        name: EDGES
        if any(_links(table, known) for other, known in ids.items() if other != name)
        else ROWS
        for name, table in tables.items()
    }


def _ids(table: pd.DataFrame, id: str | None) -> pd.Index:
    for column in (id, *ID_COLUMNS):
        if column is not None and column in table:
            return pd.Index(table[column].dropna().astype(str))
    return pd.Index([], dtype=object)


def _links(table: pd.DataFrame, ids: pd.Index) -> bool:
    ends = ["source", "target"] if {"source", "target"} <= set(table) else list(table.columns[:2])
    if len(ends) < 2 or not len(table) or not len(ids):
        return False
    sample = table[ends].head(SAMPLE).dropna().astype(str)
    known = set(ids)
    return len(sample) > 0 and all(
        sum(value in known for value in sample[end]) > MOSTLY * len(sample) for end in ends
    )
