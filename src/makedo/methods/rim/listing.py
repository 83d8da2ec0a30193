"""Rankings as tables of the caller's ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, Number, count
from makedo.data.interactions import Requests
from makedo.methods.rim.scores import Lists


def length_of_lists(top_k: Any, usual: int, n: int, noun: str) -> int:
    """``top_k`` if that many can be listed; the usual length, or ``n``, where it is None."""
    if top_k is None:
        return min(usual, n)
    if not Number(1, integer=True).accepts(top_k) or top_k > n:
        raise MakedoInputError(
            f"RIM: top_k must be an integer from 1 to the {count(n, noun)} that can be listed. Got "
            f"{top_k!r}."
        )
    return int(top_k)


def items_of_users(lists: Lists, requests: Requests, items: np.ndarray) -> pd.DataFrame:
    """A row per entry; ``items`` (n_candidates,) are positions in the log."""
    row, rank = np.nonzero(lists.index >= 0)
    return pd.DataFrame(
        {
            "user_id": requests.user_ids[row],
            "timestamp": requests.time[row].astype(np.int64),
            "item_id": requests.log.items[items[lists.index[row, rank]]],
            "rank": rank + 1,
            "score": lists.score[row, rank],
        }
    )


def users_of_items(lists: Lists, requests: Requests, items: pd.Index) -> pd.DataFrame:
    """A row per entry; ``items`` are the ids that were asked for."""
    row, rank = np.nonzero(lists.index >= 0)
    who = lists.index[row, rank]
    return pd.DataFrame(
        {
            "item_id": items[row],
            "user_id": requests.user_ids[who],
            "timestamp": requests.time[who].astype(np.int64),
            "rank": rank + 1,
            "score": lists.score[row, rank],
        }
    )
