"""What is learnt from: a split; or the whole log, and windows before its end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, count
from makedo.data.interaction_splits import Split
from makedo.data.interactions import InteractionLog, Requests
from makedo.data.times import duration, in_words

SPANS = 13  # horizons in the log where none is given: a year has 28 days


def horizon_of(horizon: float | str, log: InteractionLog) -> float:
    """H in seconds; ``"auto"`` is that of the log."""
    return usual_horizon(log) if horizon == "auto" else duration(horizon)


def split_of(X: Any, horizon: float | str, n_valid: int) -> Split:
    """What ``fit`` takes, as a split with windows of validation.

    Raises
    ------
    MakedoInputError
        The split has another horizon than is asked for, or no windows.
    """
    if not isinstance(X, Split):
        log = X if isinstance(X, InteractionLog) else InteractionLog.read(X)
        return windows_before_end(log, horizon_of(horizon, log), n_valid)
    given = X.horizon if horizon == "auto" else duration(horizon)
    if given != X.horizon:
        raise MakedoInputError(
            f"RIM: the split has a horizon of {X.horizon:g} s, the model one of {given:g} s. "
            'Leave the model\'s at "auto".'
        )
    if not X.valid:
        raise MakedoInputError(
            "RIM: the split has no windows of validation to calibrate activity in. Make it "
            "with n_valid=1 or more."
        )
    return X


def usual_horizon(log: InteractionLog) -> float:
    """A thirteenth of the time between the first and the last event, in seconds."""
    span = float(log.time.max() - log.time.min())
    if not span:
        raise MakedoInputError(
            "RIM: all events have one time, so nothing can be learnt about when. Give the log its "
            "true times."
        )
    return span / SPANS


def windows_before_end(log: InteractionLog, horizon: float, n_valid: int) -> Split:
    """The whole log to learn from, and windows before its end to calibrate activity in."""
    end = float(log.last) + 1
    valid = [everybody(log, end - (j + 1) * horizon) for j in range(n_valid)]
    valid = [one.take(np.flatnonzero(one.n_before)) for one in valid]
    if not len(valid[-1]):
        raise MakedoInputError(
            f"RIM: no user has an event before the last {count(n_valid, 'horizon')} of "
            f"{in_words(horizon)}. Take a shorter horizon, or fewer windows."
        )
    now = everybody(log, end)
    return Split(log, now, now, valid, horizon, horizon)


def everybody(log: InteractionLog, T: float) -> Requests:
    """All users of a log at one time."""
    return Requests(log, np.arange(log.n_users, dtype=np.int32), np.full(log.n_users, float(T)))


def together(requests: list[Requests]) -> Requests:
    """Requests of windows one after another."""
    user = np.concatenate([one.user for one in requests])
    return Requests(requests[0].log, user, np.concatenate([one.time for one in requests]))


def latest(split: Split) -> float:
    """The time up to which the training may look: the last finite cut-off, or after all events."""
    _, events = split.train.history()
    finite = split.train.time[np.isfinite(split.train.time)]
    last = float(split.log.time[events].max(initial=0)) + 1
    return max(last, float(finite.max(initial=last)))


def calibration(expected: np.ndarray, observed: np.ndarray, parts: int = 10) -> pd.DataFrame:
    """Mean expected and observed events by tenths of the expected ones.

    Parameters
    ----------
    expected, observed : ndarray (n,)
    parts : int, default=10
    """
    order = np.argsort(expected, kind="stable")
    tenths = [part for part in np.array_split(order, parts) if len(part)]
    return pd.DataFrame(
        [(len(part), expected[part].mean(), observed[part].mean()) for part in tenths],
        columns=["requests", "expected", "observed"],
    )
