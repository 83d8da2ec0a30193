"""What a campaign chooses among: scores of users and items, from RIM or from another library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, count, first
from makedo.core.seeds import generator
from makedo.data.interactions import Requests
from makedo.methods.rim.best import Scan, best_of_rows
from makedo.methods.rim.candidates import Candidates, from_pairs
from makedo.methods.rim.dual import Limits, Prices, best_of, bound, fixed_part
from makedo.methods.rim.scores import ScoreOperator

ALL_PAIRS = 1_000_000  # up to so many, none is left out at first
BLOCK_ROWS = 2_048
MORE = 32  # candidates of a user, and of a promised item, beyond what the budgets name


@dataclass(eq=False)
class Offer:
    """Scores, whose they are, and what a point of score is worth.

    Parameters
    ----------
    scores : ScoreOperator, or float32 csr_matrix (n_users, n_items)
        Of a sparse matrix only the pairs that are stored may be matched.
    users, items : Index
    times : ndarray (n_users,) or None
        Of requests.
    """

    scores: Any
    users: pd.Index
    items: pd.Index
    times: np.ndarray | None = None
    user_value: np.ndarray = field(init=False)
    item_value: np.ndarray = field(init=False)
    unit: float = field(default=1.0, init=False)
    of_user: np.ndarray = field(init=False)  # pairs that may be matched
    of_item: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.of_user, self.of_item = np.zeros(len(self.users)), np.zeros(len(self.items))
        self.user_value = np.ones(len(self.users), np.float32)
        self.item_value = np.ones(len(self.items), np.float32)

    @property
    def is_complete(self) -> bool:
        """Whether all pairs that may be matched are candidates from the start."""
        return self.is_list or len(self.users) * len(self.items) <= ALL_PAIRS

    @property
    def is_list(self) -> bool:
        """Whether pairs are given one by one."""
        return sp.issparse(self.scores)

    def rows(self, where: np.ndarray) -> np.ndarray:
        """What the pairs of some users are worth in units, (b, n_items); -inf: not allowed."""
        if self.is_list:
            part = self.scores[where]
            found = np.full(part.shape, -np.inf, np.float32)
            coo = part.tocoo()
            found[coo.row, coo.col] = coo.data
        else:
            found = self.scores.block(where)
        factor = self.user_value[where, None] * np.float32(1 / self.unit)
        with np.errstate(invalid="ignore"):  # 0 · -inf
            found *= factor
            found *= self.item_value
        found[np.isnan(found)] = -np.inf
        return found

    def stream(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All users in blocks: their positions, and what :meth:`rows` says."""
        n = len(self.users)
        size = int(np.clip((1 << 23) // max(len(self.items), 1), 16, BLOCK_ROWS))
        for begin in range(0, n, size):
            where = np.arange(begin, min(begin + size, n))
            yield where, self.rows(where)

    # --- candidates -------------------------------------------------------------------------------

    def candidates(self, limits: Limits, random_state: int) -> Candidates:
        """All pairs where that is cheap; else the best of each user, and some of promised items."""
        n, m = len(self.users), len(self.items)
        if self.is_list:
            coo = self.scores.tocoo()
            score = coo.data * self.user_value[coo.row] * self.item_value[coo.col]
            self._count(coo.row, coo.col)
            return from_pairs(coo.row, coo.col, score, m, limits.user_max)
        if self.is_complete:
            found = self.rows(np.arange(n))
            user, item = np.nonzero(np.isfinite(found))
            self._count(user, item)
            return from_pairs(user, item, found[user, item], m, limits.user_max)
        return self._some(limits, random_state)

    def _count(self, user: np.ndarray, item: np.ndarray) -> None:
        self.of_user = np.bincount(user, minlength=len(self.users))
        self.of_item = np.bincount(item, minlength=len(self.items))

    def in_units(self, pairs: Candidates, limits: Limits) -> tuple[Candidates, Limits]:
        """Scores and their limits in units of a typical score: the mean of users' best.

        Without pairs that cost more than the whole budget.
        """
        cost = limits.user_cost[pairs.user] + limits.item_cost[pairs.item]
        if (dear := cost > limits.budget).any():
            pairs = pairs.only(~dear)
        free = Prices(np.zeros(len(self.items)), 0.0)
        even = np.ceil(np.minimum(limits.item_max, self.of_item).sum() / max(len(self.users), 1))
        k = np.where(np.isfinite(limits.user_max), limits.user_max, max(even, 1))
        many = np.minimum(k, np.diff(pairs.start)).sum()
        best = bound(replace(pairs, user_max=k), limits, free)[0] / max(many, 1)
        self.unit = best or float(np.abs(pairs.score).mean() if len(pairs) else 0.0) or 1.0
        score = (pairs.score / self.unit).astype(np.float32)
        shortfall = limits.shortfall / self.unit
        return replace(pairs, score=score), replace(limits, shortfall=shortfall)

    def _some(self, limits: Limits, random_state: int) -> Candidates:
        m = len(self.items)
        finite = limits.user_max[np.isfinite(limits.user_max)]
        per_user = int(min(2 * finite.max(initial=0) + MORE, m))
        wanted = np.where(limits.item_min > 0, 3 * limits.item_min + MORE, 0)
        scan, parts = Scan(m), []
        for where, found in self.stream():
            whole = scan.block(len(where))
            whole[:, :m] = found
            best = best_of_rows(whole, per_user, None)[0]
            open = np.isfinite(found)
            self.of_user[where], self.of_item = open.sum(1), self.of_item + open.sum(0)
            user, column = np.nonzero(best >= 0)
            item = best[user, column]
            user, item = user[open[user, item]], item[open[user, item]]
            parts.append((where[user], item, found[user, item]))
        have = np.bincount(np.concatenate([item for _, item, _ in parts]), minlength=m)
        rare = np.flatnonzero(have < np.minimum(self.of_item, wanted / 2))
        parts += self._of_items(rare, wanted, generator(random_state, "candidates"))
        user, item, score = (np.concatenate(part) for part in zip(*parts, strict=True))
        if len(rare):  # some were there before
            once = np.unique(user * np.int64(m) + item, return_index=True)[1]
            user, item, score = user[once], item[once], score[once]
        return from_pairs(user, item, score, m, limits.user_max)

    def _of_items(self, items: np.ndarray, wanted: np.ndarray, rng: Any) -> list[tuple]:
        """So many pairs, at random, of promised items that are among the best of few users."""
        parts = []
        for where, found in self.stream() if len(items) else ():
            found = found[:, items]
            share = wanted[items] / np.maximum(self.of_item[items], 1)
            row, column = np.nonzero(np.isfinite(found) & (rng.random(found.shape) < share))
            parts.append((where[row], items[column], found[row, column]))
        return parts

    def certify(
        self, pairs: Candidates, limits: Limits, prices: Prices, user_price: np.ndarray
    ) -> tuple[float, Candidates]:
        """d_0 over *all* pairs, and the candidates with what was left out and would be taken.

        Parameters
        ----------
        pairs, limits, prices
        user_price : ndarray (n_users,)
            u over the candidates.
        """
        weight, shift = prices.of_items(limits)[:-1], prices.of_users(limits)
        total, parts = fixed_part(prices, limits), []
        for where, found in self.stream():
            t = found - weight
            if isinstance(shift, np.ndarray):
                t -= shift[where, None]
            begin, stop = pairs.start[where[0]], pairs.start[where[-1] + 1]
            for k in np.unique(limits.user_max[where]):
                rows = limits.user_max[where] == k
                total += best_of(t[rows], int(min(k, t.shape[1])))[0] if k else 0.0
            better = t > np.maximum(user_price[where, None], 0) + 1e-7
            better &= (limits.user_max[where] > 0)[:, None]
            better[pairs.user[begin:stop] - where[0], pairs.item[begin:stop]] = False
            user, item = _best_few(t, better, MORE)
            parts.append((where[user].astype(np.int32), item, found[user, item]))
        user, item, score = (np.concatenate(part) for part in zip(*parts, strict=True))
        return total, pairs.with_pairs(user, item, score) if len(user) else pairs


def _best_few(t: np.ndarray, open: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the largest open entries, at most so many of a row."""
    if open.shape[1] > most:
        t = np.where(open, t, -np.inf)
        last = np.partition(t, t.shape[1] - most, axis=1)[:, t.shape[1] - most, None]
        open = open & (t >= last)
    row, column = np.nonzero(open)
    return row, column


# --- reading --------------------------------------------------------------------------------------


def read_offer(X: Any, requests: Any = None, users: Any = None, items: Any = None) -> Offer:
    """Scores and ids of what :meth:`BudgetMatcher.fit` takes."""
    if hasattr(X, "scores") and hasattr(X, "log_"):  # a fitted RIM
        return _of_model(X, requests)
    if requests is not None and not isinstance(requests, Requests):
        raise MakedoInputError(
            "BudgetMatcher: requests must be Requests where scores are not those of a RIM model. "
            "Give users= and items= for ids."
        )
    if isinstance(X, pd.DataFrame):
        users, items = X.index if users is None else users, X.columns if items is None else items
        X = X.to_numpy()
    scores, shape = _as_scores(X)
    times = None
    if requests is not None:
        users, times = requests.user_ids, requests.time
        items = requests.log.items[requests.candidates]
    return Offer(scores, _ids(users, shape[0], "users"), _ids(items, shape[1], "items"), times)


def _of_model(model: Any, requests: Any) -> Offer:
    if not isinstance(requests, Requests):
        requests = Requests.at(model.log_, model.now_, requests)
    known = model.known(requests.candidates)
    scores = model.scores(requests.restricted(known))
    return Offer(scores, requests.user_ids, model.log_.items[known], requests.time)


def _as_scores(X: Any) -> tuple[Any, tuple[int, int]]:
    """A ScoreOperator or sparse matrix of scores, and its shape."""
    if isinstance(X, ScoreOperator):
        return X, X.shape
    if hasattr(X, "user_factors") and hasattr(X, "item_factors"):
        X = (X.user_factors, X.item_factors)
    if isinstance(X, (tuple, list)) and len(X) == 2 and np.ndim(X[0]) == 2:
        left, right = (_numbers(one, "factors") for one in X)
        if left.shape[1] != right.shape[1]:
            raise MakedoInputError(
                f"BudgetMatcher: the factors have {left.shape[1]} and {right.shape[1]} columns. "
                "Give both of one model."
            )
        shape = (len(left), len(right))
        return ScoreOperator(shape, left, right), shape
    if sp.issparse(X):
        found = _listed(X)
        return found, found.shape
    dense = _numbers(X, "scores")
    if dense.ndim != 2:
        raise MakedoInputError(
            f"BudgetMatcher: scores have {count(dense.ndim, 'dimension')}. Give a row for each user"
            " and a column for each item."
        )
    identity = sp.identity(dense.shape[1], format="csr").astype(np.float32)
    return ScoreOperator(dense.shape, dense, identity), dense.shape


def _listed(X: Any) -> Any:
    """The pairs that may be matched, each once; the caller's matrix stays as it is."""
    found: Any = sp.csr_matrix(X, dtype=np.float32, copy=True)
    found.sum_duplicates()
    _numbers(X.data if hasattr(X, "data") else found.data, "scores")
    open = np.isfinite(found.data)
    if not open.all():
        coo = found.tocoo()
        found = sp.csr_matrix((coo.data[open], (coo.row[open], coo.col[open])), found.shape)
    return found


def _numbers(values: Any, what: str) -> np.ndarray:
    if hasattr(values, "to_numpy"):  # of a model on a GPU
        values = values.to_numpy()
    try:
        given = np.asarray(values)
        with np.errstate(over="ignore", under="ignore"):
            found = given.astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise MakedoInputError(
            f"BudgetMatcher: {what} cannot be read as numbers ({error})."
        ) from error
    if (wrong := np.isnan(found) | np.isposinf(found)).any():
        raise MakedoInputError(
            f"BudgetMatcher: {what} have {count(int(wrong.sum()), 'NaN or infinite value')}, or "
            "some too large for 32 bits. Give minus infinity for pairs that may not be matched."
        )
    if not found.any() and given.astype(bool).any():
        raise MakedoInputError(
            f"BudgetMatcher: all {what} are too small for 32 bits. Multiply them by one number."
        )
    return found


def _ids(given: Any, n: int, noun: str) -> pd.Index:
    if given is None:
        return pd.RangeIndex(n)
    ids = pd.Index(given, tupleize_cols=False)
    if len(ids) != n:
        raise MakedoInputError(
            f"BudgetMatcher: {count(len(ids), noun[:-1])} for scores of {n:,}. Give as many."
        )
    if noun == "items" and not ids.is_unique:
        raise MakedoInputError(
            f"BudgetMatcher: items are named twice (first: {first(ids[ids.duplicated()])})."
        )
    return ids
