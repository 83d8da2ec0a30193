"""The plain graph convolutional network as an estimator (Kipf and Welling, ICLR 2017)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from torch import nn

from makedo.baselines.network import (
    TRAINING_CONSTRAINTS,
    NetworkClassifier,
    train_on_whole_graph,
)
from makedo.core.checks import Number
from makedo.core.training import Training
from makedo.data.features import Matrix
from makedo.data.nodes import Nodes
from makedo.nn.gcn import GCN


class GCNClassifier(NetworkClassifier):
    r"""Classify nodes by their features and those of their neighbours.

    Each layer is :math:`\sigma(D^{-1/2} (A + I) D^{-1/2} X W + b)` [1]_.

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

    References
    ----------
    .. [1] Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks",
       ICLR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo.baselines.gcn import GCNClassifier
    >>> X, y = np.eye(6), [0, -1, -1, 1, -1, -1]
    >>> edges = np.array([[0, 0, 1, 3, 3, 4], [1, 2, 2, 4, 5, 5]])
    >>> GCNClassifier(max_epochs=50).fit(X, y, graph=edges).predict(nodes=[1, 2, 4, 5])
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
        return {"gcn": GCN(n_features, self.hidden, n_classes, self.n_layers, self.dropout)}

    def _train(self, training: Training, nodes: Nodes, X: Matrix) -> np.ndarray:
        assert nodes.graph is not None
        return train_on_whole_graph(self, training, "gcn", nodes, X, nodes.graph.normalized())
