"""Label propagation: what the edges say without any features."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from makedo.baselines.classifier import NodeClassifier, class_prior
from makedo.core.checks import Choice, Number
from makedo.data.features import Matrix
from makedo.data.graph import Graph
from makedo.data.nodes import Nodes


def spread_labels(S: sp.csr_matrix, Y0: np.ndarray, alpha: float, iterations: int) -> np.ndarray:
    """Y ← clip(α S Y + (1 − α) Y0, 0, 1), again and again from Y0.  Y0 (n_nodes, n_classes)."""
    Y = Y0
    for _ in range(iterations):
        Y = np.clip(alpha * (S @ Y) + (1 - alpha) * Y0, 0, 1)
    return Y


def normalized_adjacency(graph: Graph) -> sp.csr_matrix:
    """D^-1/2 A D^-1/2 in float64, without self loops; rows of nodes without edges are zero."""
    A = graph.to_scipy().astype(np.float64)
    strength = np.asarray(A.sum(1)).ravel()
    scale = np.divide(1, np.sqrt(strength), out=np.zeros_like(strength), where=strength > 0)
    return sp.csr_matrix(sp.diags(scale) @ A @ sp.diags(scale))


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
        "adjacency": Choice(("normalized", "plain")),
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
        graph = nodes.graph
        S = graph.to_scipy() if self.adjacency == "plain" else normalized_adjacency(graph)
        Y0 = np.zeros((len(nodes.id), len(nodes.classes)))
        Y0[nodes.train, nodes.y[nodes.train]] = 1
        Y = spread_labels(S, Y0, self.alpha, self.iterations)
        total = Y.sum(1, keepdims=True)
        self.reached_ = total[:, 0] > 0
        self.coverage_ = float(self.reached_.mean())
        self.prior_ = class_prior(nodes)
        np.divide(Y, total, out=Y, where=total > 0)
        Y[~self.reached_] = self.prior_
        return Y.astype(np.float32)

    def _proba(self, X: Matrix) -> np.ndarray:
        return np.tile(self.prior_, (X.shape[0], 1))
