"""λ(x) from events of several kinds: those that are predicted, and others that go with them.

A log has the other kinds beside it (:class:`~makedo.data.interactions.InteractionLog`).  An
intensity that takes channels has a weight for each time scale of each kind; every other one looks
at the log itself alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from makedo.core.checks import MakedoInputError, first
from makedo.data.interaction_splits import Split
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim.hawkes import Live
from makedo.methods.rim.intensities import Intensity
from makedo.methods.rim.windows import together


def learn_rate(rate: Intensity, split: Split, kinds: Sequence[str]) -> None:
    """Fit λ(x) on windows before the present, or on histories alone."""
    if not rate.needs_counts:
        rate.fit(split.train, None, split.horizon)
        return
    windows = together(split.valid)
    counts = windows.counts(split.valid_horizon) * (split.horizon / split.valid_horizon)
    if kinds:
        rate.fit(windows, counts, split.horizon, channels=channels_of(windows, kinds))  # type: ignore[call-arg]
    else:
        rate.fit(windows, counts, split.horizon)


def predicted(rate: Intensity, requests: Requests, kinds: Sequence[str]) -> np.ndarray:
    """λ (n,) of requests, from what their log has before them."""
    if not kinds:
        return rate.predict(requests)
    return rate.predict(requests, channels=channels_of(requests, kinds))  # type: ignore[call-arg]


def channels_of(requests: Requests, kinds: Sequence[str]) -> list[Requests]:
    """The same requests among the events of each other kind.

    Raises
    ------
    MakedoInputError
        The log of the requests does not have them.
    """
    if lacking := [kind for kind in kinds if kind not in requests.log.beside]:
        raise MakedoInputError(
            f"RIM: the log of these requests has no events of kind {first(lacking)}, which "
            "activity was learnt from. Read it as that of fit, with event= and target=."
        )
    return [requests.in_log(requests.log.beside[kind]) for kind in kinds]


# --- kept up to date ------------------------------------------------------------------------------


def sums_of(rate: Intensity, train: Requests, kinds: Sequence[str]) -> list[Live]:
    """The sums of all users as of now: in the log itself, then in each other kind."""
    decays = getattr(rate, "channel_decays_", [])
    found = [rate.live(train)]
    for one, d in zip(channels_of(train, kinds), decays, strict=True):
        _, events = one.history()
        live = Live(d, rate.horizon_, one.log.n_users)
        found.append(live.add(one.log.user[events], one.log.time[events]))
    return found


def with_new_events(
    lives: Sequence[Live], kinds: Sequence[str], *logs: InteractionLog
) -> list[Live]:
    """The sums with new events, from three logs: the old one, the new events, and both in one."""
    _, new, joined = logs
    place = joined.user_positions(new.users)
    by_kind = [_of_kinds(log, kinds) for log in logs]
    found = []
    for live, before, more, after in zip(lives, *by_kind, strict=True):
        if len(after) == len(before) + len(more):
            live.add(place[more.user], more.time)
        else:  # some were there already
            live = Live(live.decays, live.horizon).add(after.user, after.time)
        live.grow(joined.n_users)
        found.append(live)
    return found


def _of_kinds(log: InteractionLog, kinds: Sequence[str]) -> list[InteractionLog]:
    nothing = log.select(np.zeros(len(log), bool))
    return [log, *(log.beside.get(kind, nothing) for kind in kinds)]
