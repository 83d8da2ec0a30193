"""What Cold Brew is compared with: GLNN, feature neighbours, and the candidates of every table."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from makedo.baselines.classifier import NodeClassifier, class_prior
from makedo.baselines.gcn import GCNClassifier
from makedo.baselines.label_propagation import LabelPropagation
from makedo.baselines.mlp import MLP_CONSTRAINTS, MLPClassifier, build_mlp, mlp_settings
from makedo.baselines.network import NetworkClassifier, proba_of_rows, to_tensors
from makedo.core.checks import Choice, Number
from makedo.core.compare import Candidate
from makedo.core.training import Training
from makedo.data.features import Matrix
from makedo.data.nodes import Nodes
from makedo.methods.cold_brew.classifier import ColdBrewClassifier
from makedo.nn.features import Features
from makedo.nn.mlp import FeatureMLP, mlp_phase

ROWS = 4096  # queries whose distances to all labelled nodes are held at once


class GLNNClassifier(NetworkClassifier):
    r"""Classify nodes without edges by an MLP that imitates a graph network.

    A :class:`GCNClassifier` learns on the graph; an MLP on the features then minimises

    .. math:: (1 - \lambda)\, \mathrm{CE}(\text{labels})
        + \lambda\, \mathrm{KL}(\text{teacher} \,\|\, \text{MLP})

    the second over all nodes with edges [1]_.

    Parameters
    ----------
    distill : float, default=1.0
        :math:`\lambda` in [0, 1]; 1 is the default of the authors' script.
    hidden : int, default=256
        Width of the MLP's hidden layer.
    norm, activation, dropout, input_dropout, learning_rate, weight_decay, max_epochs, patience, \
batch_size
        Of the MLP, as in :class:`MLPClassifier`.
    teacher_hidden, teacher_layers, teacher_dropout, teacher_learning_rate, teacher_max_epochs
        Of the teacher, as in :class:`GCNClassifier`.
    validation_fraction, normalize, random_state, device, verbose
        As in :class:`MLPClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    history_ : DataFrame
        A row per phase and epoch.

    Shapes
    ------
    X (n_nodes, n_features) · y (n_nodes,) · graph: n_nodes nodes · predict -> (n_rows,)

    Cost
    ----
    The teacher's, and O(nnz(X) · hidden) an epoch of the MLP.

    References
    ----------
    .. [1] Zhang et al., "Graph-less Neural Networks: Teaching Old MLPs New Tricks via
       Distillation", ICLR 2022.
    """

    needs_edges: ClassVar = True
    _constraints: ClassVar = MLP_CONSTRAINTS | {
        "distill": Number(0, 1),
        "teacher_hidden": Number(1, integer=True),
        "teacher_layers": Number(1, integer=True),
        "teacher_dropout": Number(0, 1, open_high=True),
        "teacher_learning_rate": Number(0, open_low=True),
        "teacher_max_epochs": Number(1, integer=True),
    }

    def __init__(
        self,
        distill: float = 1.0,
        *,
        hidden: int = 256,
        norm: bool = True,
        activation: str = "gelu",
        dropout: float = 0.5,
        input_dropout: float = 0.0,
        learning_rate: float = 0.002,
        weight_decay: float = 5e-4,
        max_epochs: int = 150,
        patience: int | None = 20,
        batch_size: int = 512,
        teacher_hidden: int = 64,
        teacher_layers: int = 2,
        teacher_dropout: float = 0.5,
        teacher_learning_rate: float = 0.01,
        teacher_max_epochs: int = 500,
        validation_fraction: float = 0.2,
        normalize: str = "auto",
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ):
        self.distill = distill
        self.hidden = hidden
        self.norm = norm
        self.activation = activation
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.patience = patience
        self.batch_size = batch_size
        self.teacher_hidden = teacher_hidden
        self.teacher_layers = teacher_layers
        self.teacher_dropout = teacher_dropout
        self.teacher_learning_rate = teacher_learning_rate
        self.teacher_max_epochs = teacher_max_epochs
        self.validation_fraction = validation_fraction
        self.normalize = normalize
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    @property
    def _teacher(self) -> GCNClassifier:
        return GCNClassifier(
            self.teacher_hidden,
            self.teacher_layers,
            dropout=self.teacher_dropout,
            learning_rate=self.teacher_learning_rate,
            weight_decay=self.weight_decay,
            max_epochs=self.teacher_max_epochs,
            random_state=self.random_state,
            device=self.device,
        )

    def _networks(self, n_features: int, n_classes: int) -> dict[str, nn.Module]:
        student = {"student": build_mlp(self, n_features, n_classes)}
        return self._teacher._networks(n_features, n_classes) | student

    def _train(self, training: Training, nodes: Nodes, X: Matrix) -> np.ndarray:
        teacher = self._teacher
        taught = teacher._train(training, nodes, X)  # (n_nodes, n_classes)
        self.nets_ = dict(teacher.nets_)
        device, nets = self._start(nodes, "student")
        net = nets["student"]
        assert isinstance(net, FeatureMLP)
        y, train, valid = to_tensors(device, nodes.y, nodes.train, nodes.valid)
        soft, soft_rows = to_tensors(device, taught, nodes.connected)
        phase = mlp_phase(
            "student",
            net,
            Features.of(X, device),
            y,
            train,
            valid,
            soft=soft,
            soft_rows=soft_rows,
            distill=self.distill,
            **mlp_settings(self),
        )
        if not training.run(phase):
            return taught  # stopped while the teacher learnt: it answers
        self.nets_ |= nets
        return proba_of_rows(net, X, len(nodes.classes))


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


def candidates(cold_part: str = "auto") -> list[Candidate]:
    """Return the candidates from the simplest to the most elaborate, at most 8 configurations each.

    Parameters
    ----------
    cold_part : {"auto", "student"}
        Of :class:`ColdBrewClassifier`: as it is shipped, which may choose an MLP for nodes without
        edges, or the student of the paper whatever validation says.
    """
    few_labels: dict[str, Any] = {"norm": False, "activation": "relu", "input_dropout": 0.5}
    many_labels: dict[str, Any] = {"norm": True, "activation": "gelu", "input_dropout": 0.0}
    mlp = [
        shape | {"dropout": dropout, "weight_decay": decay}
        for dropout in (0.5, 0.2)
        for decay in (5e-4, 5e-5)
        for shape in (few_labels, many_labels)
    ]
    spread = [
        {"adjacency": adjacency, "alpha": alpha}
        for adjacency in ("normalized", "plain")
        for alpha in (0.9, 0.5, 0.1, 0.01)
    ]
    nearest = [
        {"n_neighbors": k, "weights": w} for w in ("distance", "uniform") for k in (5, 10, 20, 50)
    ]
    gcn = [
        {"dropout": dropout, "hidden": hidden, "weight_decay": decay}
        for dropout in (0.5, 0.2)
        for hidden in (64, 256)
        for decay in (5e-4, 5e-5)
    ]
    glnn = [
        shape | {"distill": distill, "dropout": dropout}
        for shape in (many_labels, few_labels)
        for dropout in (0.5, 0.2)
        for distill in (1.0, 0.9)
    ]
    brew = [
        {"structural_penalty": penalty, "n_neighbors": k, "temperature": t, "distill": distill}
        for penalty in (1e-2, 1e-1)
        for k, t in ((16, 0.1), (64, 0.05))
        for distill in (0.0, 0.9)
    ]

    def cold_brew(**parameters: Any) -> ColdBrewClassifier:
        return ColdBrewClassifier(cold_part=cold_part, **parameters)

    return [
        Candidate("MLP", MLPClassifier, mlp),
        Candidate("label propagation", LabelPropagation, spread),
        Candidate("feature neighbours", FeatureKNNClassifier, nearest),
        Candidate("GCN", GCNClassifier, gcn),
        Candidate("GLNN", GLNNClassifier, glnn),
        Candidate("Cold Brew", cold_brew, brew),
    ]
