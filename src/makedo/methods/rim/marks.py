"""p(y|x): which item an event will be about.

One protocol: ``fit(train, horizon)`` learns from the histories of the training cut-offs, and
``scores(requests)`` gives a :class:`~makedo.methods.rim.scores.ScoreOperator` over all items of the
log, whose rows sum to one where the model is a distribution.  λ(x) comes on top of it.

Every model answers for a history that was not there in training, and for an empty one: then by
popularity.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import MakedoInputError, Number
from makedo.core.estimator import Estimator
from makedo.data.interactions import Requests
from makedo.methods.rim.scores import ScoreOperator


class Marks(Estimator):
    """Base of the models of what is chosen.

    Attributes
    ----------
    popularity_ : float32 ndarray (n_items,)
        Share of each item in the events of the training histories.
    horizon_ : float, in seconds
    """

    def fit(self, train: Requests, horizon: float = 1.0) -> Marks:
        """Learn from the histories of training cut-offs.

        Parameters
        ----------
        train : Requests
        horizon : float
            In seconds.
        """
        self._check_parameters()
        self.horizon_ = float(horizon)
        self.popularity_ = shares(train)
        self._learn(train)
        return self

    def _learn(self, train: Requests) -> None:
        """Learn what is more than popularity."""

    @property
    def n_items(self) -> int:
        """Items of the log of the training, those without an event before its cut-offs too."""
        return len(self.popularity_)

    def rankable(self, items: np.ndarray) -> np.ndarray:
        """Which of the items (n,), by position in the log, were there in training: bool (n,)."""
        inside = items < self.n_items
        return inside & (self.popularity_[np.where(inside, items, 0)] > 0)

    def scores(self, requests: Requests) -> ScoreOperator:
        """p(y|x) of each request and each item that was there in training."""
        check_is_fitted(self)
        return self._scores(requests)

    def _scores(self, requests: Requests) -> ScoreOperator:
        raise NotImplementedError


class ItemPopularity(Marks):
    """Choose by how often each item was chosen, whoever asks."""

    def _scores(self, requests: Requests) -> ScoreOperator:
        n = len(requests)
        return ScoreOperator(
            (n, self.n_items),
            user_floor=np.ones(n, np.float32),
            item_floor=self.popularity_,
        )


class PersonalRepeat(Marks):
    r"""Choose what the user chose before, the more recent the more.

    .. math:: p(y|x) \propto \sum_{i: y_i = y} e^{-(T - t_i) / (s H)} + \beta\, \text{share}(y)

    Where people come back to the same things (groceries, songs, routes) little beats it.

    Parameters
    ----------
    scale : float, default=3.0
        s, in horizons.
    backoff : float, default=5.0
        β, the weight of the popularity of items, in events.
    """

    _constraints: ClassVar = {
        "scale": Number(0.0, open_low=True),
        "backoff": Number(0.0, open_low=True),
    }

    def __init__(self, scale: float = 3.0, *, backoff: float = 5.0):
        self.scale = scale
        self.backoff = backoff

    def _scores(self, requests: Requests) -> ScoreOperator:
        counts: Any = histories(requests, self.n_items, self.scale * self.horizon_)
        total = np.asarray(counts.sum(1), np.float64).ravel() + self.backoff
        return ScoreOperator(
            counts.shape,
            pairs=counts,
            user_floor=np.full(len(requests), self.backoff, np.float32),
            item_floor=self.popularity_,
            log_scale=-np.log(total),
        )


class _Positive(Marks):
    """Base of models whose scores are no probabilities: clipped, normalised, mixed with popularity.

    p(y|x) = (1 − ε) max(s_xy, 0) / Σ_y max(s_xy, 0) + ε share(y); popularity alone where all s ≤ 0.
    """

    mixed: float

    def _normalised(self, raw: ScoreOperator) -> ScoreOperator:
        total = np.exp(raw.log_sums())
        some = total > 0
        floor = np.where(some, self.mixed / (1 - self.mixed) * total, 1.0)
        return ScoreOperator(
            raw.shape,
            raw.users,
            raw.items,
            pairs=raw.pairs,
            link=raw.link,
            user_floor=floor.astype(np.float32),
            item_floor=self.popularity_,
            log_scale=-np.log(np.where(some, total / (1 - self.mixed), 1.0)),
        )


MIXED = Number(0.0, 1.0, open_low=True, open_high=True)


class EASE(_Positive):
    r"""Choose by a linear map from the history to all items, in closed form.

    With X the binary histories, :math:`P = (X^\top X + \lambda I)^{-1}` and
    :math:`B = I - P\,\mathrm{diag}(P)^{-1}`, scores are X B.  Where users are fewer than items P is
    never formed: with :math:`K = X X^\top` and :math:`c_y = 1 - x_y^\top (K + \lambda I)^{-1} x_y`

    .. math:: x B = x (1 - 1/c) + (x X^\top (K + \lambda I)^{-1} X) / c .

    Parameters
    ----------
    penalty : float, default=200.0
        λ.
    mixed : float, default=1e-4
        ε, the share of popularity in p(y|x).

    Cost
    ----
    O(min(n_users, n_items)³) time and its square in memory.

    References
    ----------
    H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
    """

    _constraints: ClassVar = {"penalty": Number(0.0, open_low=True), "mixed": MIXED}

    def __init__(self, penalty: float = 200.0, *, mixed: float = 1e-4):
        self.penalty = penalty
        self.mixed = mixed

    def _learn(self, train: Requests) -> None:
        X = histories(train, self.n_items)
        X = X[np.flatnonzero(np.diff(X.indptr))]
        if X.shape[0] < X.shape[1]:
            self._learn_dual(X)
        else:
            self._learn_primal(X)

    def _learn_primal(self, X: Any) -> None:
        gram = (X.T @ X).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += self.penalty
        P = _inverse(gram)
        P /= -np.diag(P).copy()  # columns by their diagonal
        P[np.diag_indices_from(P)] = 0.0
        self.weights_ = P.astype(np.float32)  # B (m, m)
        self.items_ = None
        self.remaining_ = None

    def _learn_dual(self, X: Any) -> None:
        gram = (X @ X.T).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += self.penalty
        inverse = _inverse(gram)  # (K + λ I)⁻¹
        c = 1 - np.asarray(X.multiply(inverse @ X).sum(0), np.float64).ravel()
        self.weights_ = inverse.astype(np.float32)
        self.items_ = sp.csr_matrix(X)
        self.remaining_ = c.astype(np.float32)

    def _scores(self, requests: Requests) -> ScoreOperator:
        x: Any = histories(requests, self.n_items)
        if self.items_ is None:
            raw = ScoreOperator(x.shape, x, self.weights_.T, link="relu")
        else:
            c: Any = self.remaining_
            users = np.asarray((x @ self.items_.T) @ self.weights_, np.float32)  # (n, n_users)
            items = sp.csr_matrix(sp.diags_array(1 / c) @ self.items_.T)  # (m, n_users)
            own = sp.csr_matrix(x @ sp.diags_array(1 - 1 / c))
            raw = ScoreOperator(x.shape, users, items, pairs=own, link="relu")
        return self._normalised(raw)


def _inverse(gram: np.ndarray) -> np.ndarray:
    factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    return cho_solve(factor, np.eye(len(gram)), check_finite=False)


class ItemKNN(_Positive):
    """Choose what is most often chosen by the same users as the history: cosine of item columns.

    Parameters
    ----------
    n_neighbors : int, default=50
        Items like each item.
    mixed : float, default=1e-4
        ε, the share of popularity in p(y|x).
    """

    _constraints: ClassVar = {"n_neighbors": Number(1, integer=True), "mixed": MIXED}

    def __init__(self, n_neighbors: int = 50, *, mixed: float = 1e-4):
        self.n_neighbors = n_neighbors
        self.mixed = mixed

    def _learn(self, train: Requests) -> None:
        X = histories(train, self.n_items)
        norm = np.sqrt(np.asarray(X.sum(0), np.float32).ravel())
        X = sp.csr_matrix(X @ sp.diags_array(1 / np.where(norm > 0, norm, 1).astype(np.float32)))
        self.neighbors_ = _nearest(X, self.n_neighbors)

    def _scores(self, requests: Requests) -> ScoreOperator:
        x: Any = histories(requests, self.n_items)
        return self._normalised(ScoreOperator(x.shape, x, self.neighbors_, link="relu"))


def _nearest(X: Any, k: int, block: int = 1024) -> sp.csr_matrix:
    """The k largest cosines of each column of X with the others, (m, m); rows are neighbours."""
    rows = []
    across: Any = sp.csr_matrix(X.T)
    for begin in range(0, X.shape[1], block):
        part: Any = sp.csr_matrix(across[begin : begin + block] @ X)  # cosines (block, m)
        part.setdiag(0, k=begin)
        rows.append(_largest(part, k))
    return sp.csr_matrix(sp.vstack(rows))


def _largest(part: Any, k: int) -> sp.csr_matrix:
    """Only the k largest of each row; the first of equals."""
    row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    order = np.lexsort((part.indices, -part.data, row))
    rank = np.arange(len(order)) - part.indptr[row[order]]
    kept = order[(rank < k) & (part.data[order] > 0)]
    return sp.csr_matrix((part.data[kept], (row[kept], part.indices[kept])), part.shape)


NAMES: dict[str, type[Marks]] = {
    "popularity": ItemPopularity,
    "personal_repeat": PersonalRepeat,
    "ease": EASE,
    "item_knn": ItemKNN,
}

# --- histories as matrices ------------------------------------------------------------------------


def histories(requests: Requests, n_items: int, scale: float | None = None) -> sp.csr_matrix:
    """Histories as a matrix, float32 (n, n_items).

    Parameters
    ----------
    requests : Requests
    n_items : int
        Items that came into the log later are left out.
    scale : float, optional
        Count every event, weighted by exp(−age / scale), in seconds.  Default: 1 for each item that
        is there.
    """
    indptr, events = requests.history()
    row = np.repeat(np.arange(len(requests)), np.diff(indptr))
    item = requests.log.item[events]
    if scale is None:
        weight = np.ones(len(events), np.float32)
    else:
        age = np.repeat(requests.time, np.diff(indptr)) - requests.log.time[events]
        weight = np.exp(-age / scale).astype(np.float32)
    known = item < n_items
    places = (row[known], item[known])
    X = sp.csr_matrix((weight[known], places), (len(requests), n_items))  # repeats are summed
    if scale is None:
        X.data[:] = 1.0
    return X


def shares(train: Requests) -> np.ndarray:
    """Share of each item in all events of the histories, float32 (n_items,).

    Raises
    ------
    MakedoInputError
        There is no event to learn from.
    """
    _, events = train.history()
    if not len(events):
        raise MakedoInputError(
            "RIM: no event lies before the training cut-offs, so there is nothing to learn from. "
            "Take a later cut-off."
        )
    counts = np.bincount(train.log.item[events], minlength=train.log.n_items)
    return (counts / len(events)).astype(np.float32)
