"""Who did what, and when: a log of events, requests to rank for, and what happened after them.

Everything is an array.  Users and items are positions in an index of the caller's ids, times are
whole Unix seconds, and the events of user u are ``start[u]:start[u + 1]``, oldest first.

A *request* is a user at a time T.  Its history is what the user did before T, its targets what the
user does in [T, T + horizon); an event at exactly T is a target.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.interaction_arrays import csr_of_pairs, distinct, joined, ranges, without
from makedo.data.interaction_reading import Columns, batches_of, name_of
from makedo.data.table import as_frame
from makedo.data.times import seconds

NOBODY = -1  # position of a user that the log does not know


@dataclass(frozen=True, eq=False, repr=False)
class InteractionLog:
    """Events of users with items, sorted by user and time.

    Make one with :meth:`read`.  Events of one user at one time stay in the order of the source.

    Parameters
    ----------
    users : Index of length n_users
        The caller's ids, sorted; those that :meth:`append` brings come after them.
    items : Index of length n_items
    user : int32 ndarray of shape (n_events,)
        Position in ``users``.
    item : int32 ndarray of shape (n_events,)
        Position in ``items``.
    time : int64 ndarray of shape (n_events,)
        Unix seconds.
    value : float32 ndarray of shape (n_events,)
        Weight of the event, 1 where the source has none.
    start : int64 ndarray of shape (n_users + 1,)
        Where the events of each user begin.

    Examples
    --------
    >>> import pandas as pd
    >>> log = InteractionLog.read(pd.DataFrame({"user_id": ["b", "a", "b"],
    ...     "item_id": [7, 8, 9], "timestamp": [20, 10, 10]}))
    >>> log
    InteractionLog(3 events, 2 users, 3 items)
    >>> log.items[log.item].tolist()
    [8, 9, 7]
    """

    users: pd.Index
    items: pd.Index
    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    value: np.ndarray
    start: np.ndarray

    def __repr__(self) -> str:
        sizes = (len(self), "event"), (self.n_users, "user"), (self.n_items, "item")
        return f"InteractionLog({', '.join(count(n, noun) for n, noun in sizes)})"

    def __len__(self) -> int:
        return len(self.time)

    @property
    def n_users(self) -> int:
        """How many users have a position."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """How many items have a position."""
        return len(self.items)

    # --- making one -------------------------------------------------------------------------------

    @classmethod
    def read(
        cls,
        source: Any,
        *,
        user: str = "user_id",
        item: str = "item_id",
        time: str = "timestamp",
        value: str | None = None,
    ) -> InteractionLog:
        """Read events, batch by batch, from any table or file.

        Parameters
        ----------
        source : table, str, Path, or iterable of tables
            A pandas or polars frame, Arrow table or reader, DuckDB relation; the path of a file
            (csv, tsv, jsonl, parquet, also .gz) or a pattern such as ``"logs/*.parquet"``.
        user, item, time : str
            Columns; upper and lower case are alike.  Times are Unix seconds, or finer units with a
            warning; dates, or text in ISO form, in UTC where no zone is given.
        value : str, optional
            Column of weights.

        Raises
        ------
        MakedoInputError
            A column or a value is missing, ids are floats or of two kinds, times lie before 1970,
            come in two units or as 32-bit floats; no rows.

        Warns
        -----
        MakedoWarning
            Times in a finer unit; rows that repeat another's user, item and time, which are left
            out; times in the future, which are kept.
        """
        columns = Columns(user, item, time, value, name_of(source))
        for frame in batches_of(source, columns):
            columns.add(frame)
        who, what, when, weight = columns.arrays()
        users, user_place = columns.users.in_order(columns.where, user)
        items, item_place = columns.items.in_order(columns.where, item)
        parts = (user_place[who], item_place[what], when, weight)
        return cls._sorted(users, items, *distinct(*parts, where=columns.where))

    @classmethod
    def _sorted(
        cls,
        users: pd.Index,
        items: pd.Index,
        user: np.ndarray,
        item: np.ndarray,
        time: np.ndarray,
        value: np.ndarray,
    ) -> InteractionLog:
        order = np.lexsort((time, user))  # stable: equal times keep the order of the source
        start = np.zeros(len(users) + 1, np.int64)
        np.cumsum(np.bincount(user, minlength=len(users)), out=start[1:])
        return cls(users, items, user[order], item[order], time[order], value[order], start)

    def append(self, new: Any, **columns: Any) -> InteractionLog:
        """The log with further events, early or late; users and items keep their positions.

        Parameters
        ----------
        new : InteractionLog, or what :meth:`read` takes
        **columns
            Names of columns, as in :meth:`read`.
        """
        new = new if isinstance(new, InteractionLog) else InteractionLog.read(new, **columns)
        users, user_place = joined(self.users, new.users, "users")
        items, item_place = joined(self.items, new.items, "items")
        parts = (
            np.concatenate([self.user, user_place[new.user]]),
            np.concatenate([self.item, item_place[new.item]]),
            np.concatenate([self.time, new.time]),
            np.concatenate([self.value, new.value]),
        )
        return self._sorted(users, items, *distinct(*parts, where="the new events"))

    def before(self, T: Any) -> InteractionLog:
        """Only the events before a time, one for all users or one a user (n_users,)."""
        cut = np.broadcast_to(np.asarray(T, np.float64), self.n_users)
        return self.select(self.time < cut[self.user])

    def select(self, kept: np.ndarray) -> InteractionLog:
        """Only the events in the mask ``kept`` (n_events,); ids keep their positions."""
        user = self.user[kept]
        start = np.zeros(self.n_users + 1, np.int64)
        np.cumsum(np.bincount(user, minlength=self.n_users), out=start[1:])
        rest = (self.item[kept], self.time[kept], self.value[kept])
        return InteractionLog(self.users, self.items, user, *rest, start)

    # --- looking things up ------------------------------------------------------------------------

    def matrix(self) -> sp.csr_matrix:
        """How many events each user has with each item, float32 (n_users, n_items)."""
        shape = (self.n_users, self.n_items)
        return sp.csr_matrix((np.ones(len(self), np.float32), (self.user, self.item)), shape)

    def user_positions(self, ids: Any) -> np.ndarray:
        """Positions (n,) int32 of users; ``NOBODY`` for those that the log does not know."""
        return self.users.get_indexer(pd.Index(ids, tupleize_cols=False)).astype(np.int32)

    def item_positions(self, ids: Any) -> np.ndarray:
        """Positions (n,) int32 of items.

        Raises
        ------
        MakedoInputError
            Items that the log does not know, by name.
        """
        ids = pd.Index(ids, tupleize_cols=False)
        found = self.items.get_indexer(ids).astype(np.int32)
        if (unknown := found < 0).any():
            raise MakedoInputError(
                f"{count(int(unknown.sum()), 'item')} not in the log (first: {first(ids[unknown])})"
                ". An item without events cannot be ranked: leave it out."
            )
        return found

    def candidates(self, ids: Any) -> np.ndarray:
        """Positions (n,) int32 of items to be ranked: each known, and named once."""
        ids = pd.Index(ids, tupleize_cols=False)
        if not ids.is_unique:
            raise MakedoInputError(
                f"{count(int(ids.duplicated().sum()), 'item')} named again (first: "
                f"{first(ids[ids.duplicated()])}). Give each once."
            )
        return self.item_positions(ids)

    def index_of(self, user: np.ndarray, T: np.ndarray) -> np.ndarray:
        """How many of all events lie before time T of user, counted from ``start[0]``, (n,) int64.

        By bisection in every user's times at once: O(log(events of a user)) passes over n.
        """
        known = user >= 0
        low = np.where(known, self.start[np.where(known, user, 0)], 0)
        high = np.where(known, self.start[np.where(known, user, 0) + 1], 0)
        while (open := low < high).any():
            middle = (low + high) // 2
            earlier = np.zeros(len(low), bool)
            earlier[open] = self.time[middle[open]] < T[open]
            low, high = (
                np.where(open & earlier, middle + 1, low),
                np.where(open & ~earlier, middle, high),
            )
        return low

    # --- a model directory ------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """What a model directory holds of it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> InteractionLog:
        """The inverse of :meth:`to_state`."""
        return cls(**state)


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
        return Requests(log, log.user_positions(ids), self.time, None, ids)

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
