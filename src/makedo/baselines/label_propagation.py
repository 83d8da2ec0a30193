"""Label propagation: what the edges say without any features."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from makedo.baselines.classifier import NodeClassifier, class_prior, class_shares
from makedo.core.checks import Choice, Number
from makedo.data.features import Matrix
from makedo.data.graph import Graph
from makedo.data.nodes import Nodes

ITERATIONS = (10, 20, 50, 100, 200)
ALPHAS = (0.01, 0.1, 0.5, 0.9, 0.99)
ADJACENCIES = ("normalized", "plain")


def label_steps(S: sp.csr_matrix, Y0: np.ndarray, alpha: float) -> Iterator[np.ndarray]:
    """Y ← clip(α S Y + (1 − α) Y0, 0, 1), again and again from Y0.  Y0 (n_nodes, n_classes)."""
    Y = Y0
    while True:
        Y = np.clip(alpha * (S @ Y) + (1 - alpha) * Y0, 0, 1)
        yield Y


def normalized_adjacency(graph: Graph) -> sp.csr_matrix:
    """D^-1/2 A D^-1/2 in float64, without self loops; rows of nodes without edges are zero."""
    A = graph.to_scipy().astype(np.float64)
    strength = np.asarray(A.sum(1)).ravel()
    scale = np.divide(1, np.sqrt(strength), out=np.zeros_like(strength), where=strength > 0)
    return sp.csr_matrix(sp.diags(scale) @ A @ sp.diags(scale))


def spreading_matrix(graph: Graph, adjacency: str) -> sp.csr_matrix:
    """S: the normalised adjacency, or the plain one."""
    return graph.to_scipy() if adjacency == "plain" else normalized_adjacency(graph)


def one_hot(y: np.ndarray, train: np.ndarray, n_classes: int) -> np.ndarray:
    """Y0 (n_nodes, n_classes): 1 for the class of each training node."""
    Y0 = np.zeros((len(y), n_classes))
    Y0[train, y[train]] = 1
    return Y0


def as_proba(Y: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Shares of each class, float32 (n_nodes, n_classes); the prior where no label arrived."""
    total = Y.sum(1, keepdims=True)
    proba = np.divide(Y, total, out=np.zeros_like(Y), where=total > 0)
    return np.where(total > 0, proba, prior).astype(np.float32)


def search_label_propagation(
    graph: Graph, y: np.ndarray, train: np.ndarray, valid: np.ndarray
) -> tuple[dict[str, Any], np.ndarray]:
    """Choose the settings of :class:`LabelPropagation` on validation nodes.

    Looks at all of ``ADJACENCIES`` x ``ALPHAS`` x ``ITERATIONS``; one pass serves all numbers of
    iterations.  Of equally good settings the first in that order is taken.

    Parameters
    ----------
    graph : Graph
    y : int64 ndarray (n_nodes,)
        Class number; -1 unlabelled.
    train, valid : int64 ndarrays, positions

    Returns
    -------
    settings : dict
        ``adjacency``, ``alpha``, ``iterations``.
    proba : float32 ndarray (n_nodes, n_classes)
        What :class:`LabelPropagation` with these settings says.
    """
    n_classes = int(y.max()) + 1
    Y0, prior = one_hot(y, train, n_classes), class_shares(y[train], n_classes)
    best: tuple[dict[str, Any], np.ndarray] = {}, Y0
    best_score = -np.inf
    for adjacency in ADJACENCIES:
        S = spreading_matrix(graph, adjacency)
        for alpha in ALPHAS:
            steps = enumerate(islice(label_steps(S, Y0, alpha), max(ITERATIONS)), start=1)
            for iterations, Y in steps:
                if iterations not in ITERATIONS:
                    continue
                proba = as_proba(Y, prior)
                right = proba[valid].argmax(1) == y[valid]
                score = float(right.mean()) if len(valid) else 0.0
                if score > best_score:
                    settings = {"adjacency": adjacency, "alpha": alpha, "iterations": iterations}
                    best, best_score = (settings, proba), score
    return best


class LabelPropagation(NodeClassifier):
    r"""Classify nodes by the labels that reach them along edges; features are not used.

    .. math:: Y^{(t+1)} = \mathrm{clip}(\alpha S Y^{(t)} + (1 - \alpha) Y^{(0)}, 0, 1)

    with :math:`Y^{(0)}` one-hot on the training nodes and 0 elsewhere [1]_.  A node that no label
    reaches gets the share of each class among the training nodes.

    Parameters
    ----------
    alpha : float, default=0.9
        What a node takes from its neighbours, in [0, 1].
    iterations : int, default=50
        Steps; the reach of a label in edges.
    adjacency : {"normalized", "plain"}, default="normalized"
        S: :math:`D^{-1/2} A D^{-1/2}`, or A itself.
    normalize : {"auto", "rows", "columns", "none"}, default="none"
        As for the other baselines; without effect.
    random_state : int, default=0
        As for the other baselines; without effect.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    reached_ : bool ndarray of shape (n_nodes,)
        Which nodes a label reached.
    coverage_ : float
        Their share.
    node_proba_ : ndarray of shape (n_nodes, n_classes)

    Shapes
    ------
    X (n_nodes, any) · y (n_nodes,) · graph: n_nodes nodes · predict(nodes=) -> (n_rows,)

    Cost
    ----
    O(iterations · n_edges · n_classes).

    Requirements
    ------------
    Labels for some nodes and edges.  New nodes (rows of X) have no edges: they get the prior.

    References
    ----------
    .. [1] Zhou et al., "Learning with Local and Global Consistency", NeurIPS 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo.baselines.label_propagation import LabelPropagation
    >>> edges = np.array([[0, 1, 3], [1, 2, 4]])
    >>> model = LabelPropagation().fit(np.zeros((5, 1)), [0, -1, -1, 1, -1], graph=edges)
    >>> model.predict(nodes=[1, 2, 4])
    array([0, 0, 1])
    """

    needs_edges: ClassVar = True
    _constraints: ClassVar = {
        "alpha": Number(0, 1),
        "iterations": Number(1, integer=True),
        "adjacency": Choice(ADJACENCIES),
        "normalize": Choice(("auto", "rows", "columns", "none")),
        "random_state": Number(0, integer=True),
    }

    def __init__(
        self,
        alpha: float = 0.9,
        iterations: int = 50,
        *,
        adjacency: str = "normalized",
        normalize: str = "none",
        random_state: int = 0,
    ):
        self.alpha = alpha
        self.iterations = iterations
        self.adjacency = adjacency
        self.normalize = normalize
        self.random_state = random_state

    def _learn(self, nodes: Nodes, X: Matrix) -> np.ndarray:
        assert nodes.graph is not None
        Y0 = one_hot(nodes.y, nodes.train, len(nodes.classes))
        steps = label_steps(spreading_matrix(nodes.graph, self.adjacency), Y0, self.alpha)
        Y = next(islice(steps, self.iterations - 1, None))
        self.reached_ = Y.any(1)
        self.coverage_ = float(self.reached_.mean())
        self.prior_ = class_prior(nodes)
        return as_proba(Y, self.prior_)

    def _proba(self, X: Matrix) -> np.ndarray:
        return np.tile(self.prior_, (X.shape[0], 1))
