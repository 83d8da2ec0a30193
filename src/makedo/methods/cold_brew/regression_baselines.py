"""What Cold Brew for numbers is compared with: what scikit-learn does on the features alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from makedo.core.candidates import Candidate
from makedo.data.features import RowScaler
from makedo.methods.cold_brew.regressor import ColdBrewRegressor

# The first ones stand for all where the budget is smaller.
ALPHAS = (0.1, 1.0, 0.01, 10.0, 0.001, 0.3, 3.0, 100.0)
NEIGHBORS = (10, 20, 5, 50)


class RowRegressor:
    """A regressor of scikit-learn behind the face of the node estimators; edges are not used.

    Parameters
    ----------
    build : callable () -> regressor
        Learns on scaled rows of training nodes.
    """

    def __init__(self, build: Callable[[], Any]):
        self.build = build

    def fit(
        self, X: Any, y: np.ndarray, *, graph: Any, train_mask: np.ndarray, valid_mask: np.ndarray
    ) -> RowRegressor:
        """Learn from the rows of ``train_mask``; arguments as for the node estimators."""
        self.scaler_ = RowScaler("auto").fit(X, np.flatnonzero(graph.degree > 0))
        self.X_ = self.scaler_.transform(X)
        self.regressor_ = self.build().fit(self.X_[train_mask], y[train_mask])
        return self

    def predict(self, X: Any = None, *, nodes: Any = None) -> np.ndarray:
        """Numbers (n_rows,) for rows of X, or for nodes (positions) of those of ``fit``."""
        rows = self.X_[nodes] if X is None else self.scaler_.transform(X)
        return self.regressor_.predict(rows)


def regression_candidates(cold_part: str = "auto") -> list[Candidate]:
    """Return the candidates from the simplest to the most elaborate; see :func:`candidates`."""

    def mean(random_state: int) -> RowRegressor:
        return RowRegressor(DummyRegressor)

    def ridge(random_state: int, alpha: float = 1.0) -> RowRegressor:
        return RowRegressor(lambda: Ridge(alpha))

    def neighbors(
        random_state: int, n_neighbors: int = 10, weights: str = "distance"
    ) -> RowRegressor:
        return RowRegressor(
            lambda: KNeighborsRegressor(n_neighbors, weights=weights, metric="cosine")
        )

    def cold_brew(**parameters: Any) -> ColdBrewRegressor:
        return ColdBrewRegressor(cold_part=cold_part, **parameters)

    nearest = [{"n_neighbors": k, "weights": w} for w in ("distance", "uniform") for k in NEIGHBORS]
    brew = [
        {"structural_penalty": penalty, "n_neighbors": k, "temperature": t, "distill": distill}
        for penalty in (1e-2, 1e-1)
        for k, t in ((16, 0.1), (64, 0.05))
        for distill in (0.5, 0.0)
    ]
    return [
        Candidate("mean", mean),
        Candidate("ridge", ridge, [{"alpha": alpha} for alpha in ALPHAS]),
        Candidate("feature neighbours", neighbors, nearest),
        Candidate("Cold Brew", cold_brew, brew),
    ]
