"""Who did what, and when: a log of events.

Everything is an array.  Users and items are positions in an index of the caller's ids, times are
whole Unix seconds, and the events of user u are ``start[u]:start[u + 1]``, oldest first.

A log may be of one **kind** of event, such as purchases, with logs of the others (views, coupons)
beside it.  They have the same users and items; the log itself is what is ranked and wanted, the
others say how active a user is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, count, first
from makedo.data.interaction_arrays import distinct, joined
from makedo.data.interaction_reading import Columns, batches_of, name_of
from makedo.data.interaction_requests import NOBODY
from makedo.data.interaction_requests import Requests as Requests

EVENTS = ("user", "item", "time", "value", "start")  # arrays of a log


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
    kind : str
        Of which kind the events are; empty where kinds are not told apart.
    beside : dict of str to InteractionLog
        Events of the other kinds, of the same users and items.

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
    kind: str = ""
    beside: Mapping[str, InteractionLog] = field(default_factory=dict)

    def __repr__(self) -> str:
        sizes = (len(self), "event"), (self.n_users, "user"), (self.n_items, "item")
        others = "".join(f", beside {len(log):,} of {kind!r}" for kind, log in self.beside.items())
        return f"InteractionLog({', '.join(count(n, noun) for n, noun in sizes)}{others})"

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

    @property
    def kinds(self) -> list[InteractionLog]:
        """The log itself and those beside it."""
        return [self, *self.beside.values()]

    @property
    def last(self) -> int:
        """The time of the last event of any kind."""
        return int(max(log.time.max(initial=0) for log in self.kinds))

    @property
    def n_of_users(self) -> np.ndarray:
        """Events of each user, of any kind, (n_users,) int64."""
        return np.sum([np.diff(log.start) for log in self.kinds], axis=0)

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
        event: str | None = None,
        target: str | None = None,
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
        event : str, optional
            Column of kinds of events, such as view and purchase.  Default: all events are alike.
        target : str, optional
            With ``event``: the kind that is to be predicted.  Events of the others stand beside it.

        Raises
        ------
        MakedoInputError
            A column or a value is missing, ids are floats or of two kinds, times lie before 1970,
            come in two units or as 32-bit floats; no rows; a target that is no kind of event.

        Warns
        -----
        MakedoWarning
            Times in a finer unit; rows that repeat another's user, item and time, which are left
            out; times in the future, which are kept.
        """
        names = {"user": user, "item": item, "time": time, "value": value, "event": event}
        if event is None and target is not None:
            raise MakedoInputError(
                f"target={target!r} is a kind of event. Say which column names kinds: event=."
            )
        return cls._read(source, names, target, ())

    def read_more(self, source: Any, **columns: Any) -> InteractionLog:
        """Read further events of the same kinds, to be appended; any of them may be absent.

        Parameters
        ----------
        source : as in :meth:`read`
        **columns
            Names of columns, as there; ``event`` where this log tells kinds apart.

        Raises
        ------
        MakedoInputError
            As there; and where one tells kinds apart and the other does not.
        """
        names = {"user": "user_id", "item": "item_id", "time": "timestamp", **columns}
        told = names.get("event") is not None
        self._check_kinds((self.kind or "any") if told else "")
        return self._read(source, names, self.kind, (self.kind, *self.beside) if told else ())

    @classmethod
    def _read(
        cls, source: Any, names: Mapping[str, str | None], target: str | None, known: Sequence[str]
    ) -> InteractionLog:
        """Events by kind, where ``names`` has a column of it; ``known`` kinds may be absent."""
        columns = Columns(names, name_of(source))
        for frame in batches_of(source, columns):
            columns.add(frame)
        who, what, when, weight, which = columns.arrays()
        users, user_place = columns.users.in_order(columns.where, columns.names["user"])
        items, item_place = columns.items.in_order(columns.where, columns.names["item"])
        parts = (user_place[who], item_place[what], when, weight)
        if names.get("event") is None:
            return cls._sorted(users, items, *distinct(*parts, where=columns.where))
        codes = columns.kinds_with(target, known)
        logs = {}
        for kind in sorted({*codes, *known}):
            rows = which == codes.get(kind, NOBODY)
            some = distinct(*(part[rows] for part in parts), where=f"{columns.where}, {kind}")
            logs[kind] = cls._sorted(users, items, *some)
        return replace(logs.pop(target), kind=target, beside=logs)

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
        new = new if isinstance(new, InteractionLog) else self.read_more(new, **columns)
        self._check_kinds(new.kind)
        users, user_place = joined(self.users, new.users, "users")
        items, item_place = joined(self.items, new.items, "items")

        def both(old: InteractionLog, more: InteractionLog) -> InteractionLog:
            parts = (
                np.concatenate([old.user, user_place[more.user]]),
                np.concatenate([old.item, item_place[more.item]]),
                np.concatenate([old.time, more.time]),
                np.concatenate([old.value, more.value]),
            )
            return self._sorted(users, items, *distinct(*parts, where="the new events"))

        nothing = [log.select(np.zeros(len(log), bool)) for log in (self, new)]
        beside = {
            kind: both(self.beside.get(kind, nothing[0]), new.beside.get(kind, nothing[1]))
            for kind in sorted({*self.beside, *new.beside})
        }
        return replace(both(self, new), kind=self.kind, beside=beside)

    def _check_kinds(self, kind: str) -> None:
        """Refuse further events whose own kind is another."""
        if kind == self.kind:
            return
        if not self.kind:
            why = "the log does not tell kinds of events apart. Leave event= out, or read it alike"
        elif not kind:
            why = (
                f"the log is of kind {self.kind!r}, with others beside it. Say which column of the "
                "new events names kinds: event="
            )
        else:
            why = f"the log is of kind {self.kind!r}, the new events of {kind!r}. Read them alike"
        raise MakedoInputError(f"{why}.")

    def with_ids(self, users: pd.Index, items: pd.Index) -> InteractionLog:
        """The same events under other ids."""
        beside = {kind: replace(log, users=users, items=items) for kind, log in self.beside.items()}
        return replace(self, users=users, items=items, beside=beside)

    def before(self, T: Any) -> InteractionLog:
        """Only the events before a time, one for all users or one a user (n_users,)."""
        cut = np.broadcast_to(np.asarray(T, np.float64), self.n_users)
        return self._each(lambda log: log.time < cut[log.user])

    def of_users(self, kept: np.ndarray) -> InteractionLog:
        """Only the events of users in the mask ``kept`` (n_users,); ids keep their positions."""
        return self._each(lambda log: kept[log.user])

    def select(self, kept: np.ndarray) -> InteractionLog:
        """Only the events in the mask ``kept`` (n_events,); other kinds and positions stay."""
        user = self.user[kept]
        start = np.zeros(self.n_users + 1, np.int64)
        np.cumsum(np.bincount(user, minlength=self.n_users), out=start[1:])
        rest = {"item": self.item[kept], "time": self.time[kept], "value": self.value[kept]}
        return replace(self, user=user, start=start, **rest)

    def _each(self, kept: Callable[[InteractionLog], np.ndarray]) -> InteractionLog:
        """The events of each kind in its mask."""
        beside = {kind: log.select(kept(log)) for kind, log in self.beside.items()}
        return replace(self.select(kept(self)), beside=beside)

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
        state = {name: getattr(self, name) for name in ("users", "items", *EVENTS)}
        if not self.kind:
            return state
        beside = [{name: getattr(log, name) for name in EVENTS} for log in self.beside.values()]
        return {**state, "kind": self.kind, "other_kinds": list(self.beside), "beside": beside}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> InteractionLog:
        """The inverse of :meth:`to_state`.

        Raises
        ------
        ValueError
            The arrays do not fit together, or are not sorted.
        """
        state = dict(state)
        kinds, parts = state.pop("other_kinds", []), state.pop("beside", [])
        log = cls(**state)
        others = [cls(log.users, log.items, **part) for part in parts]
        for one in (log, *others):
            one._check_arrays()
        return replace(log, beside=dict(zip(kinds, others, strict=True)))

    def _check_arrays(self) -> None:
        n, user = len(self.time), np.repeat(np.arange(self.n_users), np.diff(self.start))
        fits = (
            all(len(getattr(self, name)) == n for name in ("user", "item", "value"))
            and len(self.start) == self.n_users + 1
            and np.array_equal(self.user, user)
            and (not n or (0 <= self.item.min() and self.item.max() < self.n_items))
            and bool(((np.diff(self.time) >= 0) | (np.diff(self.user) != 0)).all())
        )
        if not fits:
            raise ValueError("the arrays of the log do not fit together")
