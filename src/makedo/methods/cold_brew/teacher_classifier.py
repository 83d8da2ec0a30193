"""The teacher of Cold Brew alone, as a classifier: the baseline "GCN + SE", shallow and deep."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from makedo.baselines.network import (
    TRAINING_CONSTRAINTS,
    NetworkClassifier,
    proba_of_rows,
    to_tensors,
)
from makedo.core.training import Training
from makedo.data.features import Matrix
from makedo.data.nodes import Nodes
from makedo.methods.cold_brew.teacher import TEACHER_CONSTRAINTS, StructuralGCN, teacher_phase
from makedo.nn.features import Features
from makedo.nn.gcn import alone
from makedo.nn.propagation import Propagation


class TeacherClassifier(NetworkClassifier):
    r"""Classify nodes by a graph network that also has free parameters for every node.

    Each layer is :math:`\sigma(\mathrm{Norm}(\tilde A (X W + E) + b))` with E the structural
    embedding, a row for each node [1]_; skip connections, norms and random parts of the graph let
    it be deep.

    Parameters
    ----------
    hidden : int, default=64
    n_layers : int, default=2
        Graph layers.  With a skip there are a linear layer before and one after them.
    structural : {"first", "last", "all", None}, default="first"
        Graph layers with a structural embedding; None is an ordinary GCN.
    structural_penalty : float, default=0.01
        :math:`\eta`, the weight of :math:`\sum \|E\|^2`.
    skip : {None, "residual", "initial", "dense", "jumping"}, default=None
        What a layer's result is mixed with: the layer's input, the state before the first layer,
        all earlier states, or all states once after the last layer.
    skip_weight : float, default=0.1
        Weight in [0, 1] of the earlier state in "residual" and "initial".
    norm : {None, "batch", "pair", "node", "mean", "group"}, default=None
        Of the hidden layers, see :mod:`makedo.nn.norms`.
    graph_dropout : {None, "edge", "node", "layer"}, default=None
        Leaves a fifth of the graph out of each step, at random: edges (DropEdge), nodes (DropNode),
        or the nodes that send in each layer (LADIES).
    dropout : float, default=0.5
        On the input of every layer.
    learning_rate : float, default=0.01
    weight_decay : float, default=5e-4
        On all weights but the structural embedding.
    max_epochs : int, default=200
    patience : int or None, default=None
        Epochs without a better validation score after which training ends; None is never.
    validation_fraction : float, default=0.2
        Share of the labelled nodes that is held back when ``fit`` gets no ``valid_mask``; the state
        that is best on them is kept.
    normalize : {"auto", "rows", "columns", "none"}, default="auto"
        As in :class:`GCNClassifier`.
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
    O((nnz(X) + n_layers · (n_edges + n_nodes · hidden)) · hidden) an epoch; "dense" O(n_layers² ·
    n_nodes · hidden²).  A structural embedding takes 12 bytes · n_nodes · hidden a layer.

    Requirements
    ------------
    Labels for some nodes, edges for some nodes, features for all.

    Relations
    ---------
    ``structural=None`` without skip and norm is :class:`GCNClassifier`.  New rows have neither
    edges nor a structural embedding: :class:`ColdBrewClassifier` is made for them.

    References
    ----------
    .. [1] Zheng et al., "Cold Brew: Distilling Graph Node Representations with Incomplete or
       Missing Neighborhoods", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo.methods.cold_brew.teacher_classifier import TeacherClassifier
    >>> X, y = np.eye(6), [0, -1, -1, 1, -1, -1]
    >>> edges = np.array([[0, 0, 1, 3, 3, 4], [1, 2, 2, 4, 5, 5]])
    >>> model = TeacherClassifier(n_layers=4, skip="initial", max_epochs=50).fit(X, y, graph=edges)
    >>> model.predict(nodes=[1, 2, 4, 5])
    array([0, 0, 1, 1])
    """

    needs_edges: ClassVar = True
    _constraints: ClassVar = TRAINING_CONSTRAINTS | TEACHER_CONSTRAINTS

    def __init__(
        self,
        hidden: int = 64,
        n_layers: int = 2,
        *,
        structural: str | None = "first",
        structural_penalty: float = 1e-2,
        skip: str | None = None,
        skip_weight: float = 0.1,
        norm: str | None = None,
        graph_dropout: str | None = None,
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
        self.structural = structural
        self.structural_penalty = structural_penalty
        self.skip = skip
        self.skip_weight = skip_weight
        self.norm = norm
        self.graph_dropout = graph_dropout
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
        teacher = StructuralGCN(
            len(self.node_id_),
            n_features,
            self.hidden,
            n_classes,
            self.n_layers,
            self.dropout,
            self.structural,
            self.skip,
            self.skip_weight,
            self.norm,
            self.graph_dropout,
        )
        return {"teacher": teacher}

    def _train(self, training: Training, nodes: Nodes, X: Matrix) -> np.ndarray:
        assert nodes.graph is not None
        device, self.nets_ = self._start(nodes, "teacher")
        net = self.nets_["teacher"]
        assert isinstance(net, StructuralGCN)
        x, propagation = Features.of(X, device), Propagation(nodes.graph.normalized()).to(device)
        y, train, valid = to_tensors(device, nodes.y, nodes.train, nodes.valid)
        training.run(
            teacher_phase(
                net,
                x,
                propagation,
                y,
                train,
                valid,
                penalty=self.structural_penalty,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                max_epochs=self.max_epochs,
                patience=self.patience,
            )
        )
        with torch.inference_mode():
            return net(x, propagation)[-1].softmax(1).cpu().numpy()

    def _proba(self, X: Matrix) -> np.ndarray:
        return proba_of_rows(_Alone(self.nets_["teacher"]), X, len(self.classes_))


class _Alone(nn.Module):
    """The teacher asked about nodes outside its graph: Ã is the identity, and E_i = 0."""

    def __init__(self, teacher: nn.Module):
        super().__init__()
        self.teacher = teacher

    def forward(self, features: Features) -> Tensor:
        return self.teacher(features, alone, 0)[-1]
