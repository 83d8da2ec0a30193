"""Requests to rank for, and what happened after them.

A *request* is a user at a time T.  Its history is what the user did before T, its targets what the
user does in [T, T + horizon); an event at exactly T is a target.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.interaction_arrays import csr_of_pairs, ranges, without
from makedo.data.table import as_frame
from makedo.data.times import seconds

if TYPE_CHECKING:
    from makedo.data.interactions import InteractionLog

NOBODY = -1  # position of a user that the log does not know


@dataclass(frozen=True, eq=False, repr=False)
class Requests:
    """Users at times: whom to rank for, or how far each user's events may be learnt from.

    A user may come several times.  Training cut-offs are requests too: one a user, whose history is
    what may be learnt from; there a time may be infinite (all events) or minus infinity (none).

    Parameters
    ----------
    log : InteractionLog
        Where the histories are looked up.
    user : int32 ndarray of shape (n,)
        Position in ``log.users``; ``NOBODY`` for a user without events.
    time : float64 ndarray of shape (n,)
        T in Unix seconds.
    items : int32 ndarray of shape (n_candidates,) or None
        Positions of the items that may be ranked; None: all.
    ids : Index of length n or None
        The caller's ids of the users; None: from the log.
    """

    log: InteractionLog
    user: np.ndarray
    time: np.ndarray
    items: np.ndarray | None = None
    ids: pd.Index | None = None

    def __repr__(self) -> str:
        return f"Requests({len(self):,} of {self.log!r})"

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def at(cls, log: InteractionLog, T: Any, users: Any = None, items: Any = None) -> Requests:
        """Requests of users (default: all of the log) at one time, or at one a user.

        Parameters
        ----------
        log : InteractionLog
        T : float, date or text, or one a user
            See :func:`seconds`.
        users : sequence of ids, optional
        items : sequence of ids, optional
            Which may be ranked.  Default: all.

        Raises
        ------
        MakedoInputError
            A user twice at one time, an item twice or unknown, a time that is none.

        Warns
        -----
        MakedoWarning
            Users that the log does not know: their history is empty.
        """
        known = users is None
        ids = log.users if known else pd.Index(users, tupleize_cols=False)
        user = np.arange(log.n_users, dtype=np.int32) if known else log.user_positions(ids)
        time = np.broadcast_to(seconds(T), len(ids)).astype(np.float64)
        _check_requests(ids, user, time)
        candidates = None if items is None else log.candidates(items)
        return cls(log, user, time, candidates, ids)

    @classmethod
    def read(
        cls, log: InteractionLog, table: Any, *, user: str = "user_id", time: str = "timestamp"
    ) -> Requests:
        """Requests from a table with a column of users and one of times."""
        frame = as_frame(table, "requests")
        names = {str(name).lower(): name for name in frame.columns}
        for role, name in (("user", user), ("time", time)):
            if name.lower() not in names:
                raise MakedoInputError(
                    f"requests: no column {name!r} for {role}. There are {first(frame.columns, 12)}"
                    "."
                )
        return cls.at(log, frame[names[time.lower()]], frame[names[user.lower()]])

    @property
    def user_ids(self) -> pd.Index:
        """The caller's id of each request's user, (n,)."""
        return self.log.users[self.user] if self.ids is None else self.ids

    @property
    def candidates(self) -> np.ndarray:
        """Positions (n_candidates,) of the items that may be ranked."""
        n = self.log.n_items
        return np.arange(n, dtype=np.int32) if self.items is None else self.items

    @cached_property
    def begin(self) -> np.ndarray:
        """Where each history begins in the log, (n,) int64."""
        return self.log.start[np.maximum(self.user, 0)] * (self.user >= 0)

    @cached_property
    def stop(self) -> np.ndarray:
        """Where each history ends in the log, (n,) int64: at the first event at or after T."""
        return self.log.index_of(self.user, self.time)

    @property
    def lengths(self) -> np.ndarray:
        """Events in each history, (n,) int64."""
        return self.stop - self.begin

    @property
    def n_before(self) -> np.ndarray:
        """Events of any kind before each T, (n,) int64."""
        others = [self.in_log(log).lengths for log in self.log.beside.values()]
        return np.sum([self.lengths, *others], axis=0)

    def take(self, rows: Any) -> Requests:
        """Some of the requests, by position or mask, in the order given."""
        ids = None if self.ids is None else self.ids[rows]
        return Requests(self.log, self.user[rows], self.time[rows], self.items, ids)

    def restricted(self, items: np.ndarray) -> Requests:
        """The same requests for other candidates, given by position."""
        return Requests(self.log, self.user, self.time, items, self.ids)

    def in_log(self, log: InteractionLog) -> Requests:
        """The same users at the same times in another log: events of another kind.

        Users whom that log does not know have an empty history there.
        """
        ids = self.user_ids
        alike = log.users is self.log.users
        user = self.user if alike else log.user_positions(ids)
        return Requests(log, user, self.time, None, ids)

    # --- events before and after ------------------------------------------------------------------

    def history(self) -> tuple[np.ndarray, np.ndarray]:
        """Events before T: ``indptr`` (n + 1,), and their places in the log (n_history,)."""
        return ranges(self.begin, self.stop)

    def window(self, horizon: float) -> tuple[np.ndarray, np.ndarray]:
        """Events in [T, T + horizon): ``indptr`` (n + 1,), and their places in the log."""
        return ranges(self.stop, self.log.index_of(self.user, self.time + horizon))

    def counts(self, horizon: float) -> np.ndarray:
        """Events in [T, T + horizon) of each request, (n,) int64."""
        return np.diff(self.window(horizon)[0])

    def seen(self) -> sp.csr_matrix:
        """Which candidates are in the history, bool (n, n_candidates)."""
        return self._matrix(*self.history())

    def targets(self, horizon: float, *, exclude_seen: bool = False) -> sp.csr_matrix:
        """Which candidates the user turns to in [T, T + horizon), bool (n, n_candidates).

        Parameters
        ----------
        horizon : float
            In seconds.
        exclude_seen : bool, default=False
            Leave out what is in the history.
        """
        found = self._matrix(*self.window(horizon))
        return without(found, self.seen()) if exclude_seen else found

    def _matrix(self, indptr: np.ndarray, events: np.ndarray) -> sp.csr_matrix:
        """Events as a bool matrix over the candidates, sorted and without repeats."""
        column = np.full(self.log.n_items, -1, np.int32)
        column[self.candidates] = np.arange(len(self.candidates), dtype=np.int32)
        row = np.repeat(np.arange(len(self)), np.diff(indptr))
        at = column[self.log.item[events]]
        inside = at >= 0
        shape = (len(self), len(self.candidates))
        return csr_of_pairs(row[inside] * shape[1] + at[inside], shape)


def _check_requests(ids: pd.Index, user: np.ndarray, time: np.ndarray) -> None:
    if np.isnan(time).any() or ids.isna().any():
        raise MakedoInputError("requests: a user or a time is missing. Drop those rows.")
    twice = pd.DataFrame({"user": ids, "time": time}).duplicated().to_numpy()
    if twice.any():
        raise MakedoInputError(
            f"requests: {count(int(twice.sum()), 'row')} name a user and time again (first: "
            f"{first(ids[twice])}). Give each once."
        )
    if (unknown := user == NOBODY).any():
        warnings.warn(
            f"requests: {count(int(unknown.sum()), 'user')} not in the log (first: "
            f"{first(ids[unknown])}); their history is taken as empty.",
            MakedoWarning,
            stacklevel=4,
        )
