"""Scores of all pairs of a request and an item, never written down as a matrix.

    S = exp(r_x) · (g(U_x · V_y + b_y + A_xy) + f_x h_y + C_xy)

with U (n, d) and V (m, d) dense or sparse, A and C sparse, g a link, and r_x the logarithm of what
a whole row is multiplied by: λ(x), and one over the sum of a row where p(y|x) must sum to one.  It
is computed block by block; the largest of each row, of each column, or of both come from one pass.

**Exact.**  A row is cut into groups of columns.  The k-th largest of their maxima is a bound that k
scores reach, so only what reaches it can be among the k largest: hardly more than k scores.  A
column keeps its best so far; of further rows only groups whose maximum reaches the last of these
are looked into.  That bound rises quickly, so hardly any group of a later block does.

**Order.**  Rows are ranked before they are multiplied by exp(r_x), so no λ changes a ranking of
items by a rounding.  Where g is exp, ranking is done in logarithms.  Scores are ranked as float32;
equal ones in the order of positions, or in a random order drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import logsumexp

from makedo.core.seeds import generator
from makedo.methods.rim.best import BestOfColumns, Scan, best_of_rows, even_parts, n_threads

BLOCK_BYTES = 1 << 27  # of scores that are worked on at once
LINKS = ("identity", "relu", "softplus", "sigmoid", "exp")

Write = Callable[[np.ndarray, np.ndarray, np.ndarray], Any]


class Lists(NamedTuple):
    """The best of each row or column, best first.

    Attributes
    ----------
    index : int32 ndarray (n, k)
        Position of the item or request; -1 where there are fewer than k that may be ranked.
    score : float32 ndarray (n, k)
    """

    index: np.ndarray
    score: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class ScoreOperator:
    """Scores (n requests, m items), of what they are made of.

    Parameters
    ----------
    shape : (int, int)
    users, items : ndarray or csr_matrix (n, d) and (m, d), or None
    item_term : ndarray (m,) or None
        b, inside the link.
    pairs : csr_matrix (n, m) or None
        A.
    link : {"identity", "relu", "softplus", "sigmoid", "exp"}
        g.
    user_floor, item_floor : ndarray (n,) and (m,), or None
        f and h.
    beside : csr_matrix (n, m) or None
        C ≥ 0, outside the link.
    log_scale : ndarray (n,) or None
        r.
    excluded : csr_matrix of bool (n, m) or None
        Pairs that are never ranked.
    tie_seed : int or None
        None: equal scores in the order of positions.
    """

    shape: tuple[int, int]
    users: Any = None
    items: Any = None
    item_term: np.ndarray | None = None
    pairs: Any = None
    link: str = "identity"
    user_floor: np.ndarray | None = None
    item_floor: np.ndarray | None = None
    beside: Any = None
    log_scale: np.ndarray | None = None
    excluded: Any = None
    tie_seed: int | None = None

    def __post_init__(self) -> None:
        assert self.link in LINKS, self.link
        assert self.link != "exp" or self.item_floor is None, "exp takes no floor"

    def __repr__(self) -> str:
        n, m = self.shape
        return f"ScoreOperator({n:,} requests × {m:,} items)"

    # --- other operators --------------------------------------------------------------------------

    def scaled(self, rate: np.ndarray) -> ScoreOperator:
        """Each row multiplied by a positive number, such as λ, (n,)."""
        more = np.log(np.asarray(rate, np.float64))
        return replace(self, log_scale=more if self.log_scale is None else self.log_scale + more)

    def without(self, excluded: Any) -> ScoreOperator:
        """The same scores, but further pairs (csr of bool, (n, m)) are never ranked."""
        more = sp.csr_matrix(excluded)
        return replace(self, excluded=more if self.excluded is None else self.excluded + more)

    def take(self, rows: Any = None, items: Any = None) -> ScoreOperator:
        """The scores of some requests and some items, by position, in the order given."""
        rows = slice(None) if rows is None else rows
        cols = slice(None) if items is None else items

        def part(values: Any, where: Any) -> Any:
            return None if values is None else values[where]

        def pair(values: Any) -> Any:
            return None if values is None else values[rows][:, cols]

        n, m = self.shape
        return replace(
            self,
            shape=(len(np.arange(n)[rows]), len(np.arange(m)[cols])),
            users=part(self.users, rows),
            items=part(self.items, cols),
            item_term=part(self.item_term, cols),
            pairs=pair(self.pairs),
            user_floor=part(self.user_floor, rows),
            item_floor=part(self.item_floor, cols),
            beside=pair(self.beside),
            log_scale=part(self.log_scale, rows),
            excluded=pair(self.excluded),
        )

    # --- scores -----------------------------------------------------------------------------------

    def block(self, rows: Any = None) -> np.ndarray:
        """Scores of some requests, (len(rows), m) float32; -inf where a pair is excluded."""
        part = self if rows is None else self.take(rows)
        scores = np.empty(part.shape, np.float32)
        part._fill(slice(None), scores)
        part._scale(slice(None), scores)
        if self.link == "exp":
            shut = np.isneginf(scores)
            np.exp(scores, out=scores)
            scores[shut] = -np.inf
        return scores

    def to_dense(self) -> np.ndarray:
        """All scores, (n, m): for small problems."""
        return self.block()

    def of_pairs(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Scores of single pairs, (n_pairs,) float32."""
        found = np.empty(len(rows), np.float32)
        wanted, place = np.unique(rows, return_inverse=True)
        order = np.argsort(place, kind="stable")
        for part in self._row_blocks(len(wanted)):
            inside = order[slice(*np.searchsorted(place[order], [part.start, part.stop]))]
            scores = self.block(wanted[part])
            found[inside] = scores[place[inside] - part.start, items[inside]]
        return found

    def log_sums(self) -> np.ndarray:
        """Logarithms of the sums of rows (n,), float64, before they are scaled."""
        sums = np.empty(self.shape[0])
        for rows in self._row_blocks(self.shape[0]):
            scores = np.empty((rows.stop - rows.start, self.shape[1]), np.float32)
            self._fill(rows, scores)
            if self.link == "exp":
                sums[rows] = logsumexp(scores.astype(np.float64), axis=1)
            else:
                with np.errstate(divide="ignore"):  # a row of zeros
                    sums[rows] = np.log(scores.sum(1, dtype=np.float64))
        return sums

    # --- rankings ---------------------------------------------------------------------------------

    def top_items(self, k: int) -> Lists:
        """The k items with the largest scores of each request, (n, k)."""
        return self._collected(k, [])

    def top_users(self, c: int) -> Lists:
        """The c requests with the largest scores of each item, (m, c)."""
        found = self._columns(c)
        for _ in self._scan(None, found):
            pass
        return self._column_lists(found)

    def top_both(self, k: int, c: int, write: Write | None = None) -> tuple[Lists | None, Lists]:
        """Both of them from one pass.

        Parameters
        ----------
        k, c : int
        write : callable (rows, index, score), optional
            Takes the lists of some requests as soon as they are there: positions (b,) of the
            requests, (b, k), (b, k).  Without it they are kept and returned.

        Returns
        -------
        (Lists of items (n, k) or None, Lists of requests (m, c))
        """
        found = self._columns(c)
        if write is None:
            by_row = self._collected(k, found)
        else:
            by_row = None
            for rows, lists in self._scan(k, found):
                write(rows, *lists)
        return by_row, self._column_lists(found)

    def _collected(self, k: int, columns: list[BestOfColumns]) -> Lists:
        shape = (self.shape[0], min(k, self.shape[1]))
        whole = Lists(np.empty(shape, np.int32), np.empty(shape, np.float32))
        for rows, lists in self._scan(k, columns):
            whole.index[rows], whole.score[rows] = lists
        return whole

    def _columns(self, c: int) -> list[BestOfColumns]:
        """What keeps the best of the columns, a part of them for each thread."""
        n, m = self.shape
        rank = self._ties("users")
        return [BestOfColumns(part, min(c, n), rank) for part in even_parts(m, n_threads())]

    def _scan(
        self, k: int | None, columns: list[BestOfColumns]
    ) -> Iterator[tuple[np.ndarray, Lists]]:
        """All blocks of rows, those with a large factor first: columns then fill up for good.

        The product runs on the threads of its library; what follows on as many of ours, first with
        some rows each, then with some columns each.
        """
        n, m = self.shape
        order = np.arange(n)
        if columns and self.log_scale is not None:
            order = np.argsort(-self.log_scale, kind="stable")
        ties, scan, size = self._ties("items"), Scan(m), n_threads()
        joined = self._items_with_term()
        with ThreadPoolExecutor(size) as pool:
            for part in self._row_blocks(n):
                rows = order[part]
                whole = scan.block(len(rows))  # (b, m and some columns of -inf)
                self._product(rows, whole[:, :m], joined)
                shift = self._shift(rows)

                def finish(
                    some: range, rows: Any = rows, whole: Any = whole, shift: Any = shift
                ) -> Lists | None:
                    own = slice(some.start, some.stop)
                    scores = whole[own, :m]
                    self._shape(rows[own], scores, joined is None)
                    best = None if k is None else best_of_rows(whole[own], min(k, m), ties)
                    if columns and shift is None:
                        self._scale(rows[own], scores)
                    return best and Lists(best[0], self._scaled(rows[own], best[1]))

                lists = list(pool.map(finish, even_parts(len(rows), size)))
                list(pool.map(lambda one, w=whole, r=rows, s=shift: one.add(w, r, s), columns))
                if k is not None:
                    yield rows, Lists(*(np.concatenate(both) for both in zip(*lists, strict=True)))

    def _row_blocks(self, n: int) -> Iterator[slice]:
        size = max(BLOCK_BYTES // (4 * max(self.shape[1], 1)), 16)
        size = min(size // 16 * 16, 2048)
        for begin in range(0, n, size):
            yield slice(begin, min(begin + size, n))

    def _column_lists(self, found: list[BestOfColumns]) -> Lists:
        index, score = (
            np.concatenate(both) for both in zip(*(one.lists() for one in found), strict=True)
        )
        return Lists(index, np.exp(score) if self.link == "exp" else score)

    def _ties(self, axis: str) -> np.ndarray | None:
        """The rank (n,) or (m,) of each position among equals; None: the position itself."""
        if self.tie_seed is None:
            return None
        n = self.shape[0 if axis == "users" else 1]
        return generator(self.tie_seed, "ties", axis).permutation(n).astype(np.uint32)

    # --- a block ----------------------------------------------------------------------------------

    def _fill(self, rows: Any, out: np.ndarray) -> None:
        """What rows are ranked by: g(U V + b + A) + f h + C, or its logarithm where g is exp."""
        self._product(rows, out)
        self._shape(rows, out)

    def _items_with_term(self) -> np.ndarray | None:
        """V beside b, (m, d + 1): so b costs a product of one more factor, no pass of its own."""
        if self.item_term is None or not _dense(self.users, self.items):
            return None
        return np.column_stack([self.items, self.item_term.astype(self.items.dtype)])

    def _shape(self, rows: Any, out: np.ndarray, term: bool = True) -> None:
        """All but the product U V, in place; without b where that is in the product."""
        if term and self.item_term is not None:
            out += self.item_term
        if self.pairs is not None:
            _add(self.pairs[rows], out)
        if self.link != "exp":
            apply_link(self.link, out)
        if self.item_floor is not None:
            assert self.user_floor is not None
            out += self.user_floor[rows, None] * self.item_floor
        if self.beside is not None:
            _add_beside(self.beside[rows], self.link, out)
        if self.excluded is not None:
            shut = self.excluded[rows].tocoo()
            out[shut.row, shut.col] = -np.inf

    def _product(self, rows: Any, out: np.ndarray, joined: np.ndarray | None = None) -> None:
        """U V, and b with it where that is joined to V (m, d + 1)."""
        if self.users is None:
            out[:] = 0.0
            return
        left, right = self.users[rows], self.items
        if joined is not None:
            np.matmul(np.column_stack([left, np.ones(len(left), left.dtype)]), joined.T, out=out)
        elif _dense(left, right):
            np.matmul(left, right.T, out=out)
        elif not sp.issparse(left):
            out[:] = (right @ left.T).T
        else:
            found = left @ right.T
            out[:] = found.toarray() if sp.issparse(found) else found

    def _shift(self, rows: Any) -> np.ndarray | None:
        """Of logarithms what a row's factor adds, (b,)."""
        if self.log_scale is None or self.link != "exp":
            return None
        return self.log_scale[rows].astype(np.float32)

    def _scale(self, rows: Any, scores: np.ndarray) -> None:
        if self.log_scale is None:
            return
        r, shift = self.log_scale[rows, None], self._shift(rows)
        if shift is not None:
            scores += shift[:, None]
        else:
            scores *= np.exp(r).astype(np.float32)

    def _scaled(self, rows: np.ndarray, score: np.ndarray) -> np.ndarray:
        """The scores S of lists that were ranked without their row's factor."""
        r = np.zeros((len(rows), 1)) if self.log_scale is None else self.log_scale[rows, None]
        found = np.exp(score + r) if self.link == "exp" else score * np.exp(r)
        return found.astype(np.float32)


def _dense(*factors: Any) -> bool:
    return all(isinstance(one, np.ndarray) for one in factors)


def _add(part: Any, out: np.ndarray) -> None:
    """Add a sparse matrix without repeated places to a dense one."""
    coo = part.tocoo()
    out[coo.row, coo.col] += coo.data


def _add_beside(part: Any, link: str, out: np.ndarray) -> None:
    """Add what stands outside the link; to logarithms where that is exp."""
    coo = part.tocoo()
    if link == "exp":
        own = np.log(np.maximum(coo.data, np.finfo(np.float32).tiny))
        out[coo.row, coo.col] = np.logaddexp(out[coo.row, coo.col], own)
    else:
        out[coo.row, coo.col] += coo.data


def apply_link(link: str, scores: np.ndarray) -> None:
    """g, in place."""
    if link == "relu":
        np.maximum(scores, 0, out=scores)
    elif link == "sigmoid":
        np.negative(scores, out=scores)
        with np.errstate(over="ignore"):  # 1 / (1 + inf) is the right 0
            np.exp(scores, out=scores)
        scores += 1
        np.reciprocal(scores, out=scores)
    elif link == "softplus":
        positive = np.maximum(scores, 0)
        np.abs(scores, out=scores)
        np.negative(scores, out=scores)
        np.log1p(np.exp(scores, out=scores), out=scores)
        scores += positive
    elif link == "exp":
        np.exp(scores, out=scores)
