"""SGC: features that were spread along the edges, then logistic regression (Wu et al., 2019)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from makedo.baselines.classifier import NodeClassifier
from makedo.core.checks import Choice, Number
from makedo.data.features import Matrix
from makedo.data.nodes import Nodes

DENSE = 0.1  # share of entries above which the spread features are kept dense
MAX_ITERATIONS = 1000


def propagate(S: sp.csr_matrix, X: Matrix, n_hops: int, rows: np.ndarray) -> Matrix:
    """Rows of S^K X, sparse as long as that pays.  S (n, n), X (n, d), rows (m,) -> (m, d)."""
    for k in range(n_hops):
        X = (S if k < n_hops - 1 else S[rows]) @ X
        if sp.issparse(X) and X.nnz > DENSE * X.shape[0] * X.shape[1]:
            X = X.toarray()
    return X if n_hops else X[rows]


class SGCClassifier(NodeClassifier):
    r"""Classify nodes by a linear model on features that were spread along the edges.

    Logistic regression on :math:`S^K X`, with :math:`S = D^{-1/2} (A + I) D^{-1/2}` [1]_.

    Parameters
    ----------
    n_hops : int, default=2
        K, how far features are spread; 0 is logistic regression on the features.
    C : float, default=10.0
        Weight of the data against the penalty :math:`\|W\|^2 / 2`, as in
        ``sklearn.linear_model.LogisticRegression``.  The rows are scaled by one number, so that the
        mean of their squared lengths is 1, and C means the same on any data.
    normalize : {"auto", "rows", "columns", "none"}, default="auto"
        Counts and sparse features to row sum 1, dense ones to mean 0 and sd 1 over the nodes that
        have edges.
    random_state : int, default=0
        As for the other baselines; without effect.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : float32 ndarray of shape (n_features, n_classes)
        W, on features as :math:`X` holds them after ``normalize``.
    intercept_ : float32 ndarray of shape (n_classes,)
        Minus infinity for a class without a training node.
    node_proba_ : ndarray of shape (n_nodes, n_classes)

    Shapes
    ------
    X (n_nodes, n_features) · y (n_nodes,) · graph: n_nodes nodes · predict -> (n_rows,)

    Cost
    ----
    O(K · n_edges · n_features) once for the labelled nodes, less where X is sparse; then
    O(n_labelled · n_features · n_classes) a step of the solver.  The scores of all nodes are
    :math:`S^K (X W)`, O(K · n_edges · n_classes).

    Requirements
    ------------
    Labels for some nodes, edges for some nodes, features for all.

    Relations
    ---------
    A :class:`GCNClassifier` without anything between its layers.  For a node without edges S is 1,
    and this is logistic regression on its features.

    References
    ----------
    .. [1] Wu et al., "Simplifying Graph Convolutional Networks", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo.baselines.sgc import SGCClassifier
    >>> X, y = np.eye(6), [0, -1, -1, 1, -1, -1]
    >>> edges = np.array([[0, 0, 1, 3, 3, 4], [1, 2, 2, 4, 5, 5]])
    >>> SGCClassifier().fit(X, y, graph=edges).predict(nodes=[1, 2, 4, 5])
    array([0, 0, 1, 1])
    """

    needs_edges: ClassVar = True
    _constraints: ClassVar = {
        "n_hops": Number(0, integer=True),
        "C": Number(0, open_low=True),
        "normalize": Choice(("auto", "rows", "columns", "none")),
        "random_state": Number(0, integer=True),
    }

    def __init__(
        self,
        n_hops: int = 2,
        C: float = 10.0,
        *,
        normalize: str = "auto",
        random_state: int = 0,
    ):
        self.n_hops = n_hops
        self.C = C
        self.normalize = normalize
        self.random_state = random_state

    def _learn(self, nodes: Nodes, X: Matrix) -> np.ndarray:
        assert nodes.graph is not None
        S = nodes.graph.normalized()
        spread = propagate(S, X, self.n_hops, nodes.train)  # (n_train, n_features)
        y = nodes.y[nodes.train]
        self.coef_, self.intercept_ = logistic_regression(spread, y, len(nodes.classes), self.C)
        scores = X @ self.coef_  # (n_nodes, n_classes)
        for _ in range(self.n_hops):
            scores = S @ scores
        return softmax(scores + self.intercept_, axis=1)

    def _proba(self, X: Matrix) -> np.ndarray:
        return softmax(X @ self.coef_ + self.intercept_, axis=1)


def logistic_regression(
    X: Matrix, y: np.ndarray, n_classes: int, C: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n_features, n_classes) and intercepts; those of an absent class are 0 and −∞.

    X (n_rows, n_features) is scaled to a mean squared row length of 1 while it is learnt from.
    """
    coef = np.zeros((X.shape[1], n_classes), dtype=np.float32)
    intercept = np.full(n_classes, -np.inf, dtype=np.float32)
    present = np.unique(y)
    if len(present) == 1:
        intercept[present] = 0
        return coef, intercept
    squared: Any = X.multiply(X) if sp.issparse(X) else X * X
    scale = float(np.sqrt(squared.sum(dtype=np.float64) / len(y))) or 1.0
    model = LogisticRegression(C=C, max_iter=MAX_ITERATIONS).fit(X / scale, y)
    if len(present) == 2:  # scikit-learn keeps the second class only, whose rival scores 0
        coef[:, present[1]], intercept[present] = model.coef_[0] / scale, [0, model.intercept_[0]]
    else:
        coef[:, present], intercept[present] = model.coef_.T / scale, model.intercept_
    return coef, intercept
