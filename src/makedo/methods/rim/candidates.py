"""The pairs of a user and an item that a campaign may choose among, in blocks for vectorised work.

A block holds rows of one user maximum and of like length, padded with pairs that score -inf, and is
small enough for the cache of a processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from makedo.methods.rim.best import n_threads

BLOCK_PAIRS = 1 << 17


@dataclass(frozen=True, eq=False)
class Block:
    """Rows (b,) of users with one maximum, and their pairs (b, w).

    Parameters
    ----------
    rows : ndarray (b,)
    place : int32 ndarray (b, w)
        Where each pair stands among all; behind them where padded.
    item : int32 ndarray (b, w)
        The number of items where padded.
    score : float32 ndarray (b, w)
    k : int
        The user maximum, at most w.
    """

    rows: np.ndarray
    place: np.ndarray
    item: np.ndarray
    score: np.ndarray
    k: int

    def surplus(self, weight: np.ndarray, shift: np.ndarray | float) -> np.ndarray:
        """What each pair is worth beyond the price of its item and row, t (b, w).

        Parameters
        ----------
        weight : float32 ndarray (n_items + 1,)
            With 0 for padding.
        shift : float32 ndarray (n_users,), or 0
        """
        t = self.score - weight[self.item]
        return t - shift[self.rows, None] if isinstance(shift, np.ndarray) else t

    def by_item(self, values: np.ndarray, n_items: int) -> np.ndarray:
        """Sums of values (b, w) by item, (n_items,)."""
        ends = np.arange(len(self.rows) + 1, dtype=np.int32) * self.item.shape[1]
        shape = (len(self.rows), n_items + 1)
        matrix = sp.csr_matrix((values.ravel(), self.item.ravel(), ends), shape, copy=False)
        return (matrix.T @ np.ones(len(self.rows), values.dtype))[:n_items]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of all users, row after row.

    Parameters
    ----------
    start : int64 ndarray (n_users + 1,)
        Where the pairs of each user begin.
    item : int32 ndarray (n_pairs,)
        Rising within a row.
    score : float32 ndarray (n_pairs,)
        What the pair is worth, in units of ``Offer.unit``.
    n_items : int
    user_max : ndarray (n_users,)
    """

    start: np.ndarray
    item: np.ndarray
    score: np.ndarray
    n_items: int
    user_max: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    @property
    def n_users(self) -> int:
        """How many rows there are."""
        return len(self.start) - 1

    @cached_property
    def user(self) -> np.ndarray:
        """The row of each pair, int32 (n_pairs,)."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.start))

    @cached_property
    def by_item(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs in the order of their items, and where each item begins there (n_items + 1,)."""
        order = np.argsort(self.item, kind="stable")
        begin = np.zeros(self.n_items + 1, np.int64)
        np.cumsum(np.bincount(self.item, minlength=self.n_items), out=begin[1:])
        return order, begin

    def holds(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Which pairs are among these, bool (n_pairs,)."""
        key = self.user * np.int64(self.n_items) + self.item
        return np.isin(key, user * np.int64(self.n_items) + item)

    def least_of_rows(self, values: np.ndarray) -> np.ndarray:
        """The least of each user's values (n_pairs,); infinite without pairs, (n_users,)."""
        least, some = np.full(self.n_users, np.inf), np.diff(self.start) > 0
        least[some] = np.minimum.reduceat(values, self.start[:-1][some]) if some.any() else 0.0
        return least

    @cached_property
    def blocks(self) -> list[Block]:
        """All rows that have a pair and may get one, in blocks."""
        return list(self.blocks_of(np.arange(self.n_users)))

    def blocks_of(self, rows: np.ndarray) -> Iterator[Block]:
        """Some of the rows in blocks; those that can get nothing are left out."""
        length = np.diff(self.start)[rows]
        k = np.minimum(self.user_max[rows], length).astype(np.int64)
        order = np.lexsort((length, k))
        order = order[k[order] > 0]
        begin = 0
        while begin < len(order):
            alike = np.searchsorted(k[order], k[order[begin]], side="right")
            widest = length[order[begin:alike]]  # rising
            fits = np.arange(1, len(widest) + 1) * widest <= BLOCK_PAIRS
            close = widest <= 1.25 * widest[0] + 8
            stop = begin + max(int((fits & close).sum()), 1)
            yield self._block(rows[order[begin:stop]], int(k[order[begin]]))
            begin = stop

    def _block(self, rows: np.ndarray, k: int) -> Block:
        length = self.start[rows + 1] - self.start[rows]
        column = np.arange(int(length.max()))
        inside = column < length[:, None]
        place = np.where(inside, self.start[rows, None] + column, len(self)).astype(np.int32)
        item = np.append(self.item, np.int32(self.n_items))[place]
        score = np.append(self.score, np.float32(-np.inf))[place]
        return Block(rows, place, item, score, k)

    def each(self, work: Callable[[Block], Any]) -> Iterable[Any]:
        """What ``work`` makes of each block, on as many threads as numpy's products use."""
        if self._n_threads == 1 or len(self.blocks) == 1:
            return map(work, self.blocks)
        with ThreadPoolExecutor(self._n_threads) as pool:
            return list(pool.map(work, self.blocks))

    @cached_property
    def _n_threads(self) -> int:
        return n_threads()

    def only(self, kept: np.ndarray) -> Candidates:
        """Some of these pairs, bool (n_pairs,)."""
        parts = (self.user[kept], self.item[kept], self.score[kept])
        return from_pairs(*parts, self.n_items, self.user_max)

    def with_pairs(self, user: np.ndarray, item: np.ndarray, score: np.ndarray) -> Candidates:
        """These and further pairs, none of which is there yet."""
        return from_pairs(
            np.concatenate([self.user, user]),
            np.concatenate([self.item, item]),
            np.concatenate([self.score, score]),
            self.n_items,
            self.user_max,
        )


def from_pairs(
    user: np.ndarray, item: np.ndarray, score: np.ndarray, n_items: int, user_max: np.ndarray
) -> Candidates:
    """Candidates of pairs in any order, each given once."""
    order = np.lexsort((item, user))
    start = np.zeros(len(user_max) + 1, np.int64)
    np.cumsum(np.bincount(user, minlength=len(user_max)), out=start[1:])
    return Candidates(
        start, item[order].astype(np.int32), score[order].astype(np.float32), n_items, user_max
    )
