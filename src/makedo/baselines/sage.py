"""GraphSAGE as an estimator (Hamilton et al., NeurIPS 2017)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from torch import nn

from makedo.baselines.network import (
    TRAINING_CONSTRAINTS,
    NetworkClassifier,
    train_on_whole_graph,
)
from makedo.core.checks import Number
from makedo.core.training import Training
from makedo.data.features import Matrix
from makedo.data.graph import Graph
from makedo.data.nodes import Nodes
from makedo.nn.sage import SAGE


def mean_of_neighbors(graph: Graph) -> sp.csr_matrix:
    """D^-1 A, float32 without self loops; rows of nodes without edges are zero."""
    A = graph.to_scipy().astype(np.float64)
    strength = np.asarray(A.sum(1)).ravel()
    scale = np.divide(1, strength, out=np.zeros_like(strength), where=strength > 0)
    return sp.csr_matrix(sp.diags(scale) @ A, dtype=np.float32)


class SAGEClassifier(NetworkClassifier):
    r"""Classify nodes by their features and, apart from them, the mean of their neighbours'.

    Each layer is :math:`\sigma([x_i, \mathrm{mean}_{j \in N(i)} x_j] W + b)` [1]_; a node without
    edges has the mean 0.

    Parameters
    ----------
    hidden : int, default=64
    n_layers : int, default=2
    dropout : float, default=0.5
        On the input of every layer.
    learning_rate : float, default=0.01
    weight_decay : float, default=5e-4
    max_epochs : int, default=200
    patience : int or None, default=None
        Epochs without a better validation score after which training ends; None is never.
    validation_fraction : float, default=0.2
        Share of the labelled nodes that is held back when ``fit`` gets no ``valid_mask``; the state
        that is best on them is kept.
    normalize : {"auto", "rows", "columns", "none"}, default="auto"
        Counts and sparse features to row sum 1, dense ones to mean 0 and sd 1 over the nodes that
        have edges.
    random_state : int, default=0
    device : str, default="auto"
    verbose : int, default=0

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    node_proba_ : ndarray of shape (n_nodes, n_classes)
    history_ : DataFrame
        A row per epoch.

    Shapes
    ------
    X (n_nodes, n_features) · y (n_nodes,) · graph: n_nodes nodes · predict -> (n_rows,)

    Cost
    ----
    O((nnz(X) + n_edges) · hidden) an epoch; the whole graph is one batch.

    Requirements
    ------------
    Labels for some nodes, edges for some nodes, features for all.

    Relations
    ---------
    :class:`GCNClassifier` has one weight for a node and its neighbours; here a node keeps its own
    features apart, which helps where neighbours are unlike.  Of the paper's steps two are left out:
    neighbours are not sampled, and rows are not scaled to length 1 between layers.

    References
    ----------
    .. [1] Hamilton et al., "Inductive Representation Learning on Large Graphs", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo.baselines.sage import SAGEClassifier
    >>> X, y = np.eye(6), [0, -1, -1, 1, -1, -1]
    >>> edges = np.array([[0, 0, 1, 3, 3, 4], [1, 2, 2, 4, 5, 5]])
    >>> SAGEClassifier(max_epochs=50).fit(X, y, graph=edges).predict(nodes=[1, 2, 4, 5])
    array([0, 0, 1, 1])
    """

    needs_edges: ClassVar = True
    _constraints: ClassVar = TRAINING_CONSTRAINTS | {"n_layers": Number(1, integer=True)}

    def __init__(
        self,
        hidden: int = 64,
        n_layers: int = 2,
        *,
        dropout: float = 0.5,
        learning_rate: float = 0.01,
        weight_decay: float = 5e-4,
        max_epochs: int = 200,
        patience: int | None = None,
        validation_fraction: float = 0.2,
        normalize: str = "auto",
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ):
        self.hidden = hidden
        self.n_layers = n_layers
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.normalize = normalize
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def _networks(self, n_features: int, n_classes: int) -> dict[str, nn.Module]:
        return {"sage": SAGE(n_features, self.hidden, n_classes, self.n_layers, self.dropout)}

    def _train(self, training: Training, nodes: Nodes, X: Matrix) -> np.ndarray:
        assert nodes.graph is not None
        return train_on_whole_graph(
            self, training, "sage", nodes, X, mean_of_neighbors(nodes.graph)
        )
