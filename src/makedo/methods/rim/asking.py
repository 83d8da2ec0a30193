"""Requests and pairs from what the estimator is asked with, and what cannot be asked."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, MakedoWarning, first
from makedo.data.interactions import InteractionLog, Requests
from makedo.data.table import as_frame
from makedo.data.times import date, seconds


def requests_of(log: InteractionLog, X: Any, at: Any, now: float) -> Requests:
    """Requests of the users X (None: all) at a time (None: now), or X itself.

    Raises
    ------
    MakedoInputError
        Requests that bring times and come with another, or are of a log in which ids have other
        places; a time that is infinite.

    Warns
    -----
    MakedoWarning
        A time before the first event.
    """
    if not isinstance(X, Requests):
        found = Requests.at(log, now if at is None else at, X)
        _check_times(found)
        return found
    if at is not None:
        raise MakedoInputError("RIM: requests have their own times. Leave at= out.")
    if not (_alike(X.log.users, log.users) and _alike(X.log.items, log.items)):
        raise MakedoInputError(
            "RIM: these requests are of another log, in which users or items have other places. "
            "Make them from the log that was fitted, from a split of it, or by log.append(…)."
        )
    return X


class Pairs(NamedTuple):
    """Single pairs of a user at a time with an item.

    Attributes
    ----------
    users, times : Index and ndarray (n_requests,)
        Each user and time once.
    rows : int64 ndarray (n_pairs,)
        Which of those a pair is of.
    items : Index (n_pairs,)
        Ids.
    """

    users: pd.Index
    times: np.ndarray
    rows: np.ndarray
    items: pd.Index


def pairs_of(table: Any, now: float) -> Pairs:
    """Pairs of a table with user_id and item_id, and timestamp if they are not for now."""
    frame = as_frame(table, "pairs")
    if lacking := [name for name in ("user_id", "item_id") if name not in frame]:
        raise MakedoInputError(
            f"RIM.predict: pairs have no column {first(lacking)}. Give user_id and item_id."
        )
    when = seconds(frame["timestamp"] if "timestamp" in frame else now)
    when = np.broadcast_to(when, len(frame))
    asked = pd.DataFrame({"user": frame["user_id"].to_numpy(), "time": when})
    once = asked.drop_duplicates()
    rows = asked.groupby(["user", "time"], sort=False).ngroup().to_numpy()
    users, items = (pd.Index(ids, tupleize_cols=False) for ids in (once["user"], frame["item_id"]))
    return Pairs(users, once["time"].to_numpy(), rows, items)


def _check_times(requests: Requests) -> None:
    if not np.isfinite(requests.time).all():
        raise MakedoInputError("RIM: users are ranked for a time. Got an infinite one.")
    begin = float(requests.log.time.min())
    if len(requests) and requests.time.max() <= begin:
        warnings.warn(
            f"RIM: the time to rank for, {date(requests.time.max())}, lies before the first event, "
            f"{date(begin)}: all histories are empty.",
            MakedoWarning,
            stacklevel=5,
        )


def _alike(a: pd.Index, b: pd.Index) -> bool:
    """Whether two indexes have the same ids, as far as both go."""
    return a is b or a[: len(b)].equals(b[: len(a)])
