"""What to learn from and what to test on: a log cut by time, or by users and time.

Nothing after a cut-off is looked at before it: who and what is left out depends on histories only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, count, first
from makedo.core.seeds import generator
from makedo.data.interactions import InteractionLog, Requests
from makedo.data.times import date, duration, in_words, seconds


@dataclass(frozen=True, eq=False)
class Split:
    """A log with what may be learnt from it and what is tested.

    Attributes
    ----------
    log : InteractionLog
        With the events after the cut-offs too: targets are looked up there.
    train : Requests
        One a user, at its cut-off: its history may be learnt from.
    test : Requests
        Whom to rank for; its ``items`` are those with enough training events.
    valid : list of Requests
        Windows that end where the test begins, the latest first.
    horizon, valid_horizon : float
        Length of the windows in seconds.
    """

    log: InteractionLog
    train: Requests
    test: Requests
    valid: list[Requests]
    horizon: float
    valid_horizon: float

    @property
    def train_log(self) -> InteractionLog:
        """Only the events that may be learnt from."""
        return self.log.before(self.train.time)


def temporal_split(
    log: InteractionLog,
    test_start: Any,
    horizon: Any,
    *,
    n_valid: int = 1,
    valid_horizon: Any = None,
    min_user_len: int = 1,
    min_item_len: int = 1,
) -> Split:
    """Cut at one time T for all users; the windows of validation end at T, one before the other.

    Parameters
    ----------
    log : InteractionLog
    test_start : float, date or text
        T; the targets lie in [T, T + horizon).
    horizon : float or text
        In seconds, or such as ``"28D"``.
    n_valid : int, default=1
    valid_horizon : float or text, optional
        Default: the horizon.
    min_user_len, min_item_len : int, default=1
        Requests with fewer events of the user before T, of any kind, and items with fewer of the
        log's own kind, are left out.

    Raises
    ------
    MakedoInputError
        A horizon that is not positive; no event before T, or none in the horizon after it; a window
        of validation before the first event.
    """
    T, H = float(seconds(test_start)), duration(horizon)
    Hv = H if valid_horizon is None else duration(valid_horizon)
    _check_times(log, T, H)
    starts = [T - (j + 1) * Hv for j in range(n_valid)]
    if starts and starts[-1] <= log.time.min():
        raise MakedoInputError(
            f"The log begins at {date(log.time.min())}, which leaves no history before "
            f"{count(n_valid, 'window')} of validation of {in_words(Hv)} that end at {date(T)}. "
            "Choose a later test start, or a shorter horizon."
        )
    train = _everybody(log, np.full(log.n_users, T))
    items = _frequent_items(train, min_item_len)
    test, *valid = (
        _long_enough(_everybody(log, np.full(log.n_users, t), items), min_user_len)
        for t in (T, *starts)
    )
    return Split(log, train, test, valid, H, Hv)


def user_split(
    log: InteractionLog,
    *,
    train_users: Any = None,
    horizon: Any = None,
    min_user_len: int = 1,
    min_item_len: int = 1,
    random_state: int = 0,
) -> Split:
    """Learn from one half of the users, test on the other, each from its own time on.

    A tested user is asked about one horizon after the own first event.  The events of the other
    half count whole, so that popularity may come from a later calendar time than a request: prefer
    :func:`temporal_split` where a decision hangs on it.

    Parameters
    ----------
    log : InteractionLog
    train_users : sequence of ids, optional
        Default: a random half.
    horizon : float or text, optional
        Default: the median over users of the time between first and last event.
    min_user_len, min_item_len : int, default=1
    random_state : int, default=0

    Raises
    ------
    MakedoInputError
        An unknown user, nobody left to test, or a median span of 0.
    """
    active = np.flatnonzero(np.diff(log.start) > 0)
    begin = log.time[log.start[active]].astype(np.float64)
    span = log.time[log.start[active + 1] - 1] - begin
    H = _median_span(span) if horizon is None else duration(horizon)
    known = np.zeros(log.n_users, bool)
    if train_users is None:
        n_train = round(len(active) / 2)
        known[generator(random_state, "user split").permutation(active)[:n_train]] = True
    else:
        known[_known_users(log, train_users)] = True
    first_event = np.full(log.n_users, np.inf)
    first_event[active] = begin
    cut = first_event + H
    train = _everybody(log, np.where(known, np.inf, cut))
    items = _frequent_items(train, min_item_len)
    asked = _everybody(log, cut, items)
    test, valid = (
        _long_enough(asked.take(np.flatnonzero(side & np.isfinite(cut))), min_user_len)
        for side in (~known, known)
    )
    if not len(test):
        raise MakedoInputError("user_split: no user is left to test. Leave some out of training.")
    return Split(log, train, test, [valid], H, H)


def _median_span(span: np.ndarray) -> float:
    found = float(np.median(span)) if len(span) else 0.0
    if found <= 0:
        raise MakedoInputError(
            "user_split: half of the users have all their events at one time, so no horizon follows"
            " from the log. Give horizon=."
        )
    return found


def _known_users(log: InteractionLog, ids: Any) -> np.ndarray:
    ids = pd.Index(ids, tupleize_cols=False)
    found = log.user_positions(ids)
    if (unknown := found < 0).any():
        raise MakedoInputError(
            f"train_users: {count(int(unknown.sum()), 'user')} not in the log (first: "
            f"{first(ids[unknown])}). Leave them out."
        )
    return found


def _everybody(log: InteractionLog, time: np.ndarray, items: np.ndarray | None = None) -> Requests:
    return Requests(log, np.arange(log.n_users, dtype=np.int32), time, items)


def _long_enough(requests: Requests, fewest: int) -> Requests:
    return requests.take(np.flatnonzero(requests.n_before >= fewest))


def _frequent_items(train: Requests, fewest: int) -> np.ndarray:
    """Positions of the items with enough events before the cut-offs."""
    events = train.history()[1]
    counts = np.bincount(train.log.item[events], minlength=train.log.n_items)
    items = np.flatnonzero(counts >= fewest).astype(np.int32)
    if not len(items):
        raise MakedoInputError(
            f"No item has {count(fewest, 'event')} before the test start. Choose a later one."
        )
    return items


def _check_times(log: InteractionLog, T: float, H: float) -> None:
    span = f"The log lies between {date(log.time.min())} and {date(log.time.max())}"
    if not (log.time < T).any():
        raise MakedoInputError(f"{span}: no event before the test start, {date(T)}.")
    if not ((log.time >= T) & (log.time < T + H)).any():
        raise MakedoInputError(
            f"{span}: no event in the {in_words(H)} from the test start, {date(T)}, so there is "
            "nothing to test on."
        )
