"""The largest scores of each row and each column, from blocks of rows; exact, ties included.

A score and the rank of its position among equals are packed into one integer, so that sorting these
is sorting by score and then by rank.
"""

from __future__ import annotations

import itertools

import numpy as np

GROUP = 32  # columns of a row that share a maximum
ROWS = 16  # rows of a column that share one
SPARE = 128  # further candidates that a column holds before the best are picked
LAST = np.uint32(0xFFFFFFFF)
SIGN = np.uint32(0x80000000)


def pack(scores: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Integers (…) uint64 in the order of scores (float32), and of falling rank among equals."""
    bits = np.add(scores, np.float32(0), order="C").view(np.uint32)  # no -0
    np.bitwise_xor(bits, (bits.view(np.int32) >> 31).view(np.uint32) | SIGN, out=bits)
    keys = bits.astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= LAST - rank
    return keys


def unpack(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and ranks of :func:`pack`."""
    bits = (keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(bits & SIGN, bits ^ SIGN, ~bits)
    return bits.view(np.float32), LAST - (keys & np.uint64(LAST)).astype(np.uint32)


# keys up to this one are no candidates
NOTHING = pack(np.array([-np.inf], np.float32), np.array([0], np.uint32))[0]


def _lists(keys: np.ndarray, position: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, k) int32 and scores of keys (n, k), the best first; -1 for no candidate."""
    keys = np.sort(keys, axis=1)[:, ::-1]
    scores, ranks = unpack(keys)
    none = keys <= NOTHING
    ranks[none] = 0
    index = ranks.astype(np.int32) if position is None else position[ranks]
    index[none], scores[none] = -1, -np.inf
    return index, scores


def positions(rank: np.ndarray | None) -> np.ndarray | None:
    """The inverse of a permutation (n,)."""
    if rank is None:
        return None
    place = np.empty(len(rank), np.int32)
    place[rank] = np.arange(len(rank), dtype=np.int32)
    return place


def even_parts(n: int, parts: int) -> list[range]:
    """0..n in ranges of one size, give or take one; none is empty."""
    ends = np.linspace(0, n, min(parts, n) + 1).astype(int).tolist()
    return [range(a, b) for a, b in itertools.pairwise(ends)]


def n_threads() -> int:
    """As many threads as the products of numpy use."""
    from threadpoolctl import threadpool_info  # comes with scikit-learn

    pools = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
    return max(pools, default=1)


class Scan:
    """A buffer for blocks of scores, with columns of -inf up to a whole number of groups."""

    def __init__(self, n_columns: int):
        self.n_columns = n_columns
        self.width = -(-n_columns // GROUP) * GROUP
        self._buffer = np.empty((0, self.width), np.float32)

    def block(self, n_rows: int) -> np.ndarray:
        """Room for n rows, (n, width)."""
        if len(self._buffer) < n_rows:
            self._buffer = np.empty((n_rows, self.width), np.float32)
            self._buffer[:, self.n_columns :] = -np.inf
        return self._buffer[:n_rows]


def best_of_rows(
    scores: np.ndarray, k: int, rank: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (b, k) int32 and scores of the k largest of each row.

    Parameters
    ----------
    scores : float32 ndarray (b, width)
        Width is a multiple of GROUP; -inf is no candidate.
    k : int
        At most the number of columns.
    rank : uint32 ndarray (m,) or None
        Of each column among equals; None: its position.
    """
    reached = np.flatnonzero(scores >= _bound(scores, k))
    row, column = np.divmod(reached, scores.shape[1])
    if rank is None:
        order = column.astype(np.uint32)
    else:
        order = np.r_[rank, np.full(scores.shape[1] - len(rank), LAST)][column]
    many = np.bincount(row, minlength=len(scores))  # k, and some more
    keys = np.zeros((len(scores), max(int(many.max(initial=0)), k)), np.uint64)
    slot = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many)
    keys[row, slot] = pack(scores.ravel()[reached], order)
    keys = np.partition(keys, keys.shape[1] - k, axis=1)[:, keys.shape[1] - k :]
    return _lists(keys, positions(rank))


def _bound(scores: np.ndarray, k: int) -> np.ndarray:
    """What at least k scores of each row reach, (b, 1): the k-th largest maximum of a group."""
    b, width = scores.shape
    n_groups = width // GROUP
    if k > n_groups // 2:
        return np.full((b, 1), -np.inf, np.float32)
    tops = scores.reshape(b, GROUP, n_groups).max(
        1
    )  # columns far apart share a group: read in order
    return np.partition(tops, n_groups - k, axis=1)[:, n_groups - k, None]


class BestOfColumns:
    """The c largest scores of each column so far.

    Parameters
    ----------
    columns : range
    c : int
    rank : uint32 ndarray (n_rows,) or None
        Of each row among equals; None: its position.
    """

    def __init__(self, columns: range, c: int, rank: np.ndarray | None):
        self._columns, self.rank = slice(columns.start, columns.stop), rank
        n_columns = len(columns)
        # SPARE further candidates, then the c largest; 0 is none
        self._keys = np.zeros((n_columns, SPARE + c), np.uint64)
        self._used = np.zeros(n_columns, np.int64)
        self._last = np.zeros(n_columns, np.uint64)  # the least of the c largest
        self._bound = np.full(n_columns, -np.inf, np.float32)  # its score

    def add(self, scores: np.ndarray, rows: np.ndarray, shift: np.ndarray | None = None) -> None:
        """Take in the scores (b, width) of all columns, of the rows at these positions (b,).

        ``shift`` (b,) float32 is added to a row's scores, but only where they are looked into: it
        costs least where rows that follow each other have about the same.
        """
        scores = scores[:, self._columns]
        shift = np.zeros(len(scores), np.float32) if shift is None else shift
        rank = rows.astype(np.uint32) if self.rank is None else self.rank[rows]
        whole = len(scores) // ROWS * ROWS
        if whole:
            self._add_groups(scores[:whole], rank[:whole], shift[:whole])
        if whole < len(scores):
            self._merge(scores[whole:], rank[whole:], shift[whole:])

    def _add_groups(self, scores: np.ndarray, rank: np.ndarray, shift: np.ndarray) -> None:
        grouped, shifts = scores.reshape(-1, ROWS, scores.shape[1]), shift.reshape(-1, ROWS)
        most = grouped.max(1) + shifts.max(1)[:, None]  # no score of the group is above it
        reached = most >= self._bound  # (groups, n_columns)
        if reached.mean() > 1 / 2:  # at first, or where most are equal
            self._merge(scores, rank, shift)
            return
        column, group = np.nonzero(reached.T)
        found = grouped[group, :, column] + shifts[group]  # (cells, ROWS)
        cell, inside = np.nonzero(found >= self._bound[column][:, None])
        column = column[cell]  # sorted
        keys = pack(found[cell, inside], rank[group[cell] * ROWS + inside])
        better = keys > self._last[column]
        self._append(column[better], keys[better])

    def _append(self, column: np.ndarray, keys: np.ndarray) -> None:
        """Put candidates of sorted columns behind those that are there."""
        many = np.bincount(column, minlength=len(self._used))
        if (self._used + many > SPARE).any():
            self._pick()
        begin = np.cumsum(many) - many
        slot = np.arange(len(column)) - begin[column]
        for chunk in range(0, int(many.max(initial=0)), SPARE):
            now = (slot >= chunk) & (slot < chunk + SPARE)
            if chunk:
                self._pick()
            at = column[now]
            self._keys[at, self._used[at] + slot[now] - chunk] = keys[now]
            self._used += np.bincount(at, minlength=len(self._used))

    def _merge(self, scores: np.ndarray, rank: np.ndarray, shift: np.ndarray) -> None:
        """Take in whole rows, SPARE at a time."""
        for begin in range(0, len(scores), SPARE):
            self._pick()
            part = slice(begin, begin + SPARE)
            keys = pack((scores[part] + shift[part, None]).T, rank[part])
            self._keys[:, : keys.shape[1]] = keys
            self._used[:] = keys.shape[1]

    def _pick(self) -> None:
        """Keep the c largest of each column."""
        if not self._used.any():
            return
        self._keys.partition(SPARE, axis=1)
        self._keys[:, :SPARE] = 0
        self._used[:] = 0
        self._last = self._keys[:, SPARE].copy()
        full = self._last > NOTHING
        self._bound = np.where(full, unpack(self._last)[0], -np.inf).astype(np.float32)

    def lists(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions (n_columns, c) int32 of rows and their scores, the best first."""
        self._pick()
        return _lists(self._keys[:, SPARE:], positions(self.rank))
