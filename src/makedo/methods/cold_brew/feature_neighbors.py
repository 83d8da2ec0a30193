"""Feature neighbours: a node without edges is classified like the labelled nodes it resembles."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from makedo.baselines.classifier import NodeClassifier, class_prior
from makedo.core.checks import Choice, Number
from makedo.data.features import Matrix
from makedo.data.nodes import Nodes

ROWS = 4096  # queries whose distances to all labelled nodes are held at once


class FeatureKNNClassifier(NodeClassifier):
    """Classify rows by the labelled ones whose features are most alike (cosine).

    Parameters
    ----------
    n_neighbors : int, default=10
        At most; all labelled nodes where there are fewer.
    weights : {"uniform", "distance"}, default="distance"
        Whether nearer ones count more.
    normalize : {"auto", "rows", "columns", "none"}, default="auto"
        As in :class:`MLPClassifier`.
    random_state : int, default=0
        As for the other baselines; without effect.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)

    Shapes
    ------
    X (n_nodes, n_features) · y (n_nodes,) · predict -> (n_rows,)

    Cost
    ----
    O(n_rows · nnz(X of labelled nodes)) to predict.

    Relations
    ---------
    ``sklearn.neighbors.KNeighborsClassifier`` does the work.  A row whose features are all zero is
    like no other: it gets the share of each class among the training nodes.
    """

    _constraints: ClassVar = {
        "n_neighbors": Number(1, integer=True),
        "weights": Choice(("uniform", "distance")),
        "normalize": Choice(("auto", "rows", "columns", "none")),
        "random_state": Number(0, integer=True),
    }

    def __init__(
        self,
        n_neighbors: int = 10,
        *,
        weights: str = "distance",
        normalize: str = "auto",
        random_state: int = 0,
    ):
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.normalize = normalize
        self.random_state = random_state

    def _learn(self, nodes: Nodes, X: Matrix) -> np.ndarray:
        self.X_, self.y_ = X[nodes.train], nodes.y[nodes.train]
        self.prior_ = class_prior(nodes)
        return self._proba(X)

    def _proba(self, X: Matrix) -> np.ndarray:
        neighbors = KNeighborsClassifier(
            min(self.n_neighbors, len(self.y_)), weights=self.weights, metric="cosine"
        ).fit(self.X_, self.y_)
        proba = np.tile(self.prior_, (X.shape[0], 1))
        told = np.flatnonzero(np.asarray(abs(X).sum(1)).ravel() > 0)
        for start in range(0, len(told), ROWS):
            rows = told[start : start + ROWS]
            proba[rows] = 0
            proba[np.ix_(rows, neighbors.classes_)] = neighbors.predict_proba(X[rows])
        return proba
