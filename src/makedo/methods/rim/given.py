"""Scores of another library as marks: factors of users and items, or a matrix.

What a recommender learnt for "items for a user" ranks users for an item once each row is multiplied
by how active its user will be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import Choice, MakedoInputError, count, first
from makedo.data.interactions import Requests
from makedo.methods.rim.marks import Marks, shares
from makedo.methods.rim.scores import LINKS, ScoreOperator


class GivenScores(Marks):
    """Take scores that another library made.

    Parameters
    ----------
    link : {"auto", "identity", "relu", "softplus", "sigmoid", "exp"}, default="auto"
        What makes scores positive.  "auto": softplus of a product of factors; a matrix is taken as
        it is, and must not be negative.  "exp" is for logits, which are normalised over the items.

    Attributes
    ----------
    users_, items_ : float32 ndarray (n_users, d) and (n_items, d), or None
    matrix_ : csr_matrix or ndarray (n_users, n_items), or None
    link_ : str
    """

    _constraints: ClassVar = {"link": Choice(("auto", *LINKS))}

    def __init__(self, link: str = "auto"):
        self.link = link

    def fit(self, train: Requests, horizon: float = 1.0, scores: Any = None) -> GivenScores:
        """Take the scores.

        Parameters
        ----------
        train : Requests
            Training cut-offs, whose log says which row is whose.
        horizon : float
            In seconds.
        scores : model, pair, or matrix
            A model with ``user_factors`` and ``item_factors`` (as of implicit); a pair of them; or
            a dense or sparse matrix of users and items.  Rows are in the order of ``log.users`` and
            ``log.items``, unless they are frames, whose index (and columns) are ids.

        Raises
        ------
        MakedoInputError
            No scores; other sizes than the log; ids without scores; numbers that are not finite, or
            negative where nothing makes them positive.
        """
        self._check_parameters()
        self.horizon_, self.popularity_ = float(horizon), shares(train)
        self.users_ = self.items_ = self.matrix_ = None
        users, items = train.log.users, train.log.items
        pair = _factors(scores)
        if pair is not None:
            self.users_ = _rows(pair[0], users, "user_factors", "users")
            self.items_ = _rows(pair[1], items, "item_factors", "items")
            if self.users_.shape[1] != self.items_.shape[1]:
                raise MakedoInputError(
                    f"scores: user_factors have {count(self.users_.shape[1], 'column')}, "
                    f"item_factors {self.items_.shape[1]}. Give both of one model."
                )
        else:
            self.matrix_ = _matrix(scores, users, items)
        automatic = "softplus" if pair is not None else "identity"
        self.link_ = automatic if self.link == "auto" else self.link
        if self.link_ == "identity":
            _check_positive(self)
        return self

    def rankable(self, items: np.ndarray) -> np.ndarray:
        """Which of the items (n,) have scores: bool (n,)."""
        return items < self.n_items

    def _scores(self, requests: Requests) -> ScoreOperator:
        held: Any = self.matrix_ if self.users_ is None else self.users_
        known = (requests.user >= 0) & (requests.user < held.shape[0])
        rows = held[np.where(known, requests.user, 0)]
        shape = (len(requests), self.n_items)
        if self.users_ is not None:
            found = ScoreOperator(shape, rows, self.items_, link=self.link_)
        else:
            found = ScoreOperator(shape, pairs=sp.csr_matrix(rows), link=self.link_)
        if self.link_ == "exp":
            found = replace(found, log_scale=-found.log_sums())
        if not known.all():  # nothing was given for these
            found = found.without(sp.csr_matrix(~known[:, None] & np.ones(self.n_items, bool)))
        return found


def _factors(scores: Any) -> tuple[Any, Any] | None:
    if hasattr(scores, "user_factors") and hasattr(scores, "item_factors"):
        return scores.user_factors, scores.item_factors
    return tuple(scores) if isinstance(scores, (tuple, list)) and len(scores) == 2 else None


def _rows(values: Any, ids: pd.Index, what: str, noun: str) -> np.ndarray:
    """Factors (n, d) in the order of ids."""
    if isinstance(values, pd.DataFrame):
        values = values.iloc[_places(values.index, ids, what, noun)].to_numpy()
    if hasattr(values, "to_numpy"):  # of a model on a GPU
        values = values.to_numpy()
    found = _numbers(values, what)
    if found.ndim != 2 or len(found) != len(ids):
        raise MakedoInputError(
            f"scores: {what} have shape {found.shape}, the log has {count(len(ids), noun[:-1])}. "
            f"Give a row for each of log.{noun}, in that order, or a frame whose index is ids."
        )
    return found


def _matrix(scores: Any, users: pd.Index, items: pd.Index) -> Any:
    if scores is None:
        raise MakedoInputError(
            'RIM: marks="given" needs scores. Call fit(log, scores=model), with a model that has '
            "user_factors and item_factors, a pair of them, or a matrix."
        )
    if isinstance(scores, pd.DataFrame):
        row = _places(scores.index, users, "the matrix", "users")
        column = _places(scores.columns, items, "the matrix", "items")
        scores = scores.iloc[row, column].to_numpy()
    if sp.issparse(scores):
        found: Any = sp.csr_matrix(scores, dtype=np.float32)
        found.sum_duplicates()
        _numbers(found.data, "the matrix")
    else:
        found = _numbers(scores, "the matrix")
    wanted = (len(users), len(items))
    if found.shape != wanted:
        raise MakedoInputError(
            f"scores: the matrix has shape {found.shape}, the log {wanted[0]:,} users and "
            f"{wanted[1]:,} items. Give a row for each of log.users and a column for each of "
            "log.items, or a frame with ids."
        )
    return found


def _numbers(values: Any, what: str) -> np.ndarray:
    try:
        found = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise MakedoInputError(f"scores: {what} cannot be read as numbers ({error}).") from error
    if not np.isfinite(found).all():
        wrong = count(int((~np.isfinite(found)).sum()), "NaN or infinite value")
        raise MakedoInputError(f"scores: {what} has {wrong}. Train the model again.")
    return found


def _places(given: pd.Index, ids: pd.Index, what: str, noun: str) -> np.ndarray:
    if not given.is_unique:
        raise MakedoInputError(f"scores: {what} names {noun} twice. Give each once.")
    found = given.get_indexer(ids)
    if (lacking := found < 0).any():
        raise MakedoInputError(
            f"scores: {what} lacks {int(lacking.sum()):,} of {count(len(ids), noun[:-1])} of the "
            f"log (first: {first(ids[lacking])}). Give scores for all, or leave their events out."
        )
    return found


def _check_positive(model: GivenScores) -> None:
    held: Any = model.matrix_ if model.users_ is None else None
    values = held.data if sp.issparse(held) else held
    if values is not None and (np.asarray(values) < 0).any():
        raise MakedoInputError(
            "scores: the matrix has negative values, which no activity can be multiplied with. Say "
            'what makes them positive: GivenScores("softplus"), or "exp" for logits.'
        )
