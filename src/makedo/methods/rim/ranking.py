"""How good lists are: items for each user (ItemRec), users for each item (UserRec).

A list is judged by the pairs that come true within the horizon.  Precision is hits over entries,
over all lists together; recall is the mean over lists of the share of targets that are listed, once
over all lists and once over those that have a target.  How varied the lists are is the perplexity
of what they name: exp of the entropy of the counts, so that 10 means as varied as ten equally
frequent ones.

Ties are broken at random, in several orders, and every figure is the mean over the orders: where a
score says nothing (popularity without λ gives all users of an item the same), the figure is that of
chance and not of a lucky order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, count
from makedo.core.paired import Difference, Metric, bootstrap_interval, difference
from makedo.core.seeds import derive
from makedo.methods.rim.scores import ScoreOperator

NOTHING = -1  # an entry of a list that is shorter than the others
TIE_ORDERS = 10
PRECISION = Metric("precision", decimals=4)
SHARES, FEWEST = (0.005, 0.01, 0.02), (5, 10, 20)  # of what is ranked: usual lengths of lists


def evaluate_item_rec(
    scores: Any,
    targets: sp.csr_matrix,
    k: int | Sequence[int] | None = None,
    *,
    tie_orders: int = TIE_ORDERS,
    random_state: int = 0,
) -> pd.DataFrame:
    """Judge the k best items of each request.

    Parameters
    ----------
    scores : ScoreOperator, or array of shape (n_requests, n_items)
        Minus infinity where a pair may not be listed.
    targets : bool csr_matrix of shape (n_requests, n_items)
        See :meth:`makedo.data.interactions.Requests.targets`.
    k : int or sequence of int, optional
        Lengths of the lists.  Default: 0.5, 1 and 2 % of the items, at least 5, 10 and 20.
    tie_orders : int, default=10
    random_state : int, default=0

    Returns
    -------
    DataFrame
        A row per k: precision with its 95 % interval by bootstrap over users, and over items;
        recall over all requests and over those with targets, NDCG over those with targets,
        perplexity and coverage of the items, precision of random lists.

    Raises
    ------
    MakedoInputError
        Shapes that differ, or a k below 1 or above the number of items.
    """
    lengths = _lengths(k, targets.get_shape()[1], "k", "item")
    ranked = rank(scores, targets, lengths[-1], "items", tie_orders, random_state)
    return ranked.table(lengths).rename_axis("k").reset_index()


def evaluate_user_rec(
    scores: Any,
    targets: sp.csr_matrix,
    c: int | Sequence[int] | None = None,
    *,
    tie_orders: int = TIE_ORDERS,
    random_state: int = 0,
) -> pd.DataFrame:
    """Judge the c best requests of each item.

    Parameters are those of :func:`evaluate_item_rec`, with ``c`` in place of ``k``; the default is
    taken of the requests.

    Returns
    -------
    DataFrame
        As there; perplexity and coverage are of the users.  The interval over users is the one to
        look at: the hits of all lists hang on the same few active ones.
    """
    lengths = _lengths(c, targets.get_shape()[0], "c", "user")
    ranked = rank(scores, targets, lengths[-1], "users", tie_orders, random_state)
    return ranked.table(lengths).rename_axis("c").reset_index()


def _lengths(given: int | Sequence[int] | None, size: int, name: str, noun: str) -> list[int]:
    if given is None:
        return usual_lengths(size)
    lengths = sorted({int(n) for n in np.atleast_1d(np.asarray(given))})
    if not lengths or lengths[0] < 1 or lengths[-1] > size:
        raise MakedoInputError(
            f"{name} must be one or more numbers from 1 to the {count(size, noun)} that can be "
            f"listed. Got {given!r}."
        )
    return lengths


def usual_lengths(size: int) -> list[int]:
    """0.5, 1 and 2 % of what is ranked, rounded up; at least 5, 10 and 20, as far as there are."""
    wanted = (
        max(int(np.ceil(round(share * size, 6))), fewest)
        for share, fewest in zip(SHARES, FEWEST, strict=True)
    )
    return sorted({min(length, size) for length in wanted})


# --- lists and their hits -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ranked:
    """Lists in several orders of ties, with what came true.

    Parameters
    ----------
    lists : int32 ndarray of shape (n_orders, n_lists, length)
        Positions of what is listed, the best first; ``NOTHING`` where a list ends earlier.
    hits : bool ndarray of the same shape
    n_targets : int64 ndarray of shape (n_lists,)
    n_listed : int
        Size of the side that is listed.
    side : {"items", "users"}
        What is listed.
    """

    lists: np.ndarray
    hits: np.ndarray
    n_targets: np.ndarray
    n_listed: int
    side: str

    def table(self, lengths: Sequence[int]) -> pd.DataFrame:
        """All figures, a row per length of list."""
        return pd.DataFrame([self.figures(k) for k in lengths], index=list(lengths))

    def figures(self, k: int) -> dict[str, float]:
        """All figures of the lists cut at length k."""
        asked = self.n_targets > 0
        over_users, over_items = self.interval(k), self.interval(k, "items")
        found = self.hits[:, :, :k].sum(2).mean(0)  # (n_lists,), mean over the orders of ties
        recall = found / np.maximum(self.n_targets, 1)
        named = [np.bincount(one[one != NOTHING], minlength=self.n_listed)
                 for one in self.lists[:, :, :k]]  # fmt: skip
        return {
            "precision": self.precision(k),
            "low": over_users[0],
            "high": over_users[1],
            "low over items": over_items[0],
            "high over items": over_items[1],
            "recall": float(recall.mean()),
            "recall with targets": float(recall[asked].mean()) if asked.any() else np.nan,
            "ndcg": self.ndcg(k),
            "perplexity": float(np.mean([perplexity(counts) for counts in named])),
            "coverage": float(np.mean([(counts > 0).mean() for counts in named])),
            "chance": float(self.n_targets.sum() / (len(self.n_targets) * self.n_listed)),
        }

    def by(self, over: str, k: int) -> np.ndarray:
        """What each of the ``"users"`` (or ``"items"``) adds to the precision, which is the mean.

        Precision P is a ratio, hits over entries, and of those drawn in a bootstrap some stand in
        many lists and most in none: were entries taken for fixed, chance in how many are drawn
        would be taken for chance in P.  So what one with h hits in e entries adds is
        P + (h − P e) / ē, with ē the mean of e: the ratio to first order.  Lists stay as they are.
        """
        lists, hits = self.lists[:, :, :k], self.hits[:, :, :k]
        if over == self.side:
            found = np.bincount(lists[hits], minlength=self.n_listed)
            entries = np.bincount(lists[lists != NOTHING], minlength=self.n_listed)
        else:  # of each list
            found, entries = hits.sum((0, 2)), (lists != NOTHING).sum((0, 2))
        if not entries.any():
            return np.zeros(len(found))
        P = found.sum() / entries.sum()
        return P + (found - P * entries) / entries.mean()

    def precision(self, k: int) -> float:
        """Hits over entries of the lists cut at length k."""
        return float(self.by(self.side, k).mean())

    def interval(self, k: int, over: str = "users") -> tuple[float, float]:
        """95 % interval of the precision, by bootstrap over ``"users"`` or ``"items"``.

        To first order it may reach below 0 where hardly anything is hit; a share does not.
        """
        low, high = bootstrap_interval(self.by(over, k)) or (np.nan, np.nan)
        return max(low, 0.0), min(high, 1.0)

    def ndcg(self, k: int) -> float:
        """Normalised discounted gain, mean over the lists with targets."""
        asked = self.n_targets > 0
        if not asked.any():
            return float("nan")
        length = self.hits[:, :, :k].shape[2]
        discount = 1 / np.log2(np.arange(2, length + 2))
        gain = (self.hits[:, asked, :k] * discount).sum(2).mean(0)
        best = np.cumsum(discount)[np.minimum(self.n_targets[asked], length) - 1]
        return float((gain / best).mean())


def perplexity(counts: np.ndarray) -> float:
    """As many equally frequent things are as varied: exp of the entropy of counts (n,)."""
    total = counts.sum()
    if not total:
        return float("nan")
    share = counts[counts > 0] / total
    return float(np.exp(-(share * np.log(share)).sum()))


def gain(
    ours: Ranked, reference: Ranked, k: int, names: tuple[str, str], over: str = "users"
) -> Difference:
    """What ours gains in precision over the reference on the same targets, paired by user."""
    pair = (one.by(over, k) for one in (ours, reference))
    return difference(*pair, names=names, group=f"at {k}", metric=PRECISION)


# --- from scores to lists -------------------------------------------------------------------------


def rank(
    scores: Any,
    targets: sp.csr_matrix,
    most: int,
    side: str,
    tie_orders: int = TIE_ORDERS,
    random_state: int = 0,
) -> Ranked:
    """List the best ``"items"`` of each request or the best ``"users"`` of each item.

    Parameters
    ----------
    scores : ScoreOperator, or array of shape (n_requests, n_items)
    targets : bool csr_matrix of shape (n_requests, n_items)
    most : int
        Length of the lists.
    side : {"items", "users"}
        What is listed.
    tie_orders : int
        In how many orders ties are broken; one where the second gives the same lists.
    random_state : int
    """
    if tuple(scores.shape) != targets.get_shape():
        raise MakedoInputError(
            f"The scores have shape {tuple(scores.shape)}, the targets {targets.get_shape()}. Give "
            "both for the same requests and candidate items."
        )
    truth: Any = targets if side == "items" else targets.T.tocsr()
    orders: list[np.ndarray] = []
    for i in range(tie_orders):
        orders.append(_lists(scores, most, side, derive(random_state, "ties", i)))
        if i == 1 and (orders[0] == orders[1]).all():
            orders.pop()  # no ties
            break
    lists = np.stack(orders)
    hits = np.stack([hits_of(one, truth) for one in orders])
    return Ranked(lists, hits, np.diff(truth.indptr).astype(np.int64), truth.shape[1], side)


def _lists(scores: Any, most: int, side: str, seed: int) -> np.ndarray:
    """The ``most`` best of each row or column, (n_lists, most)."""
    if isinstance(scores, ScoreOperator):
        scores = replace(scores, tie_seed=seed)
        return (scores.top_items if side == "items" else scores.top_users)(most).index
    matrix = scores.toarray() if sp.issparse(scores) else np.asarray(scores)
    matrix = matrix if side == "items" else matrix.T
    return top_lists(matrix, most, np.random.default_rng(seed).permutation(matrix.shape[1]))


def top_lists(scores: np.ndarray, most: int, order: np.ndarray) -> np.ndarray:
    """Positions of the best of each row of (n, m), best first; ``NOTHING`` for minus infinity.

    Equal scores come in the order of ``order`` (m,).
    """
    mixed = scores[:, order]
    best = np.argsort(-mixed, axis=1, kind="stable")[:, :most]
    possible = np.take_along_axis(mixed, best, 1) > -np.inf
    return np.where(possible, order[best], NOTHING).astype(np.int32)


def hits_of(lists: np.ndarray, truth: sp.csr_matrix) -> np.ndarray:
    """Which entries of lists (n, k) stand in the same row of a bool matrix."""
    n, m = truth.get_shape()
    row = np.repeat(np.arange(n), np.diff(truth.indptr))
    pairs = np.sort(row * m + truth.indices)
    asked = np.arange(n)[:, None] * m + lists
    at = np.minimum(np.searchsorted(pairs, asked), max(len(pairs) - 1, 0))
    return (lists != NOTHING) & (pairs[at] == asked) if len(pairs) else np.zeros(lists.shape, bool)
