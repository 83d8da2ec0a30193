"""Requests from what a method of the estimator is asked with, and what cannot be asked."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.interactions import InteractionLog, Requests
from makedo.data.times import date


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
