"""Marks that the library implicit trains: factors of users and items.

It is optional (``pip install "makedo[recsys]"``), and needed for training only.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from makedo.core.checks import Number, optional
from makedo.data.interactions import Requests
from makedo.methods.rim.marks import Marks, histories
from makedo.methods.rim.scores import ScoreOperator


class _Factorised(Marks):
    """Base of the three: p(y|x) ∝ g(u_x · v_y), g softplus or the logistic function.

    It is not normalised, so that a row keeps what its factors say of the user's activity.

    Attributes
    ----------
    users_, items_ : float32 ndarray (n_users, d) and (n_items, d)
    """

    _link: ClassVar[str] = "softplus"
    _constraints: ClassVar = {
        "factors": Number(1, integer=True),
        "iterations": Number(1, integer=True),
        "regularization": Number(0.0),
        "random_state": Number(0, integer=True),
    }
    factors: int
    iterations: int
    regularization: float
    random_state: int

    def _learn(self, train: Requests) -> None:
        from threadpoolctl import threadpool_limits  # comes with scikit-learn

        optional("implicit", extra="recsys", user=type(self).__name__)
        X = histories(train, self.n_items)
        peer = self._peer()
        with threadpool_limits(1, "blas"):  # implicit has threads of its own
            peer.fit(X, show_progress=False)
        self.items_ = np.asarray(peer.item_factors, np.float32)
        self.users_ = np.asarray(peer.user_factors, np.float32)
        trained = np.diff(X.indptr) > 0
        self.users_[~trained] = self.users_[trained].mean(0)

    def _peer(self) -> Any:
        raise NotImplementedError

    def _settings(self) -> dict[str, Any]:
        names = ("factors", "iterations", "regularization", "random_state")
        return {name: getattr(self, name) for name in names}

    def _user_factors(self, requests: Requests) -> np.ndarray:
        """U (n, d) as trained; for users who came later the mean."""
        known = (requests.user >= 0) & (requests.user < len(self.users_))
        found = self.users_[np.where(known, requests.user, 0)]
        found[~known] = self.users_.mean(0)
        return found

    def _scores(self, requests: Requests) -> ScoreOperator:
        users = self._user_factors(requests)
        return ScoreOperator((len(requests), self.n_items), users, self.items_, link=self._link)


class ALS(_Factorised):
    r"""Choose by factors that least squares fitted to who had what.

    A history that training did not see gets its factors in closed form, with V those of the items:
    :math:`u = x V (V^\top V + \lambda I)^{-1}`.

    Parameters
    ----------
    factors : int, default=32
    iterations : int, default=50
    regularization : float, default=0.01
        λ.
    random_state : int, default=0
    """

    def __init__(
        self,
        factors: int = 32,
        *,
        iterations: int = 50,
        regularization: float = 0.01,
        random_state: int = 0,
    ):
        self.factors = factors
        self.iterations = iterations
        self.regularization = regularization
        self.random_state = random_state

    def _peer(self) -> Any:
        from implicit.cpu.als import AlternatingLeastSquares  # pyright: ignore

        return AlternatingLeastSquares(**self._settings())

    def _user_factors(self, requests: Requests) -> np.ndarray:
        V = self.items_.astype(np.float64)
        gram = V.T @ V + self.regularization * np.eye(V.shape[1])
        x = histories(requests, self.n_items)
        return np.linalg.solve(gram, (x @ V).T).T.astype(np.float32)


class BPR(_Factorised):
    """Choose by factors that rank what a user had above what was drawn at random.

    Parameters
    ----------
    factors : int, default=32
    iterations : int, default=50
    regularization : float, default=0.01
    learning_rate : float, default=0.05
    random_state : int, default=0
    """

    _constraints: ClassVar = {
        **_Factorised._constraints,
        "learning_rate": Number(0.0, open_low=True),
    }

    def __init__(
        self,
        factors: int = 32,
        *,
        iterations: int = 50,
        regularization: float = 0.01,
        learning_rate: float = 0.05,
        random_state: int = 0,
    ):
        self.factors = factors
        self.iterations = iterations
        self.regularization = regularization
        self.learning_rate = learning_rate
        self.random_state = random_state

    def _peer(self) -> Any:
        from implicit.cpu.bpr import BayesianPersonalizedRanking  # pyright: ignore

        # on one thread: several write into each other's factors, and no two runs are equal
        return BayesianPersonalizedRanking(
            **self._settings(), learning_rate=self.learning_rate, num_threads=1
        )


class LogisticMF(_Factorised):
    """Choose by factors of a logistic regression on who had what.

    Parameters
    ----------
    factors : int, default=30
    iterations : int, default=30
    regularization : float, default=0.6
    learning_rate : float, default=1.0
    negatives : int, default=30
        Pairs that did not happen, for each that did.
    random_state : int, default=0
    """

    _link: ClassVar[str] = "sigmoid"
    _constraints: ClassVar = {
        **_Factorised._constraints,
        "learning_rate": Number(0.0, open_low=True),
        "negatives": Number(1, integer=True),
    }

    def __init__(
        self,
        factors: int = 30,
        *,
        iterations: int = 30,
        regularization: float = 0.6,
        learning_rate: float = 1.0,
        negatives: int = 30,
        random_state: int = 0,
    ):
        self.factors = factors
        self.iterations = iterations
        self.regularization = regularization
        self.learning_rate = learning_rate
        self.negatives = negatives
        self.random_state = random_state

    def _peer(self) -> Any:
        from implicit.cpu.lmf import LogisticMatrixFactorization  # pyright: ignore

        return LogisticMatrixFactorization(
            **self._settings(),
            learning_rate=self.learning_rate,
            neg_prop=self.negatives,
            num_threads=1,
        )


NAMES: dict[str, type[Marks]] = {"als": ALS, "bpr": BPR, "logistic_mf": LogisticMF}
