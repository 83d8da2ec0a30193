"""GLNN: an MLP that imitates a graph network (Zhang et al., ICLR 2022)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import nn

from makedo.baselines.gcn import GCNClassifier
from makedo.baselines.mlp import MLP_CONSTRAINTS, build_mlp, mlp_settings
from makedo.baselines.network import NetworkClassifier, proba_of_rows, to_tensors
from makedo.core.checks import Number
from makedo.core.persistence import fingerprint
from makedo.core.training import Training
from makedo.data.features import Matrix
from makedo.data.nodes import Nodes
from makedo.nn.features import Features
from makedo.nn.mlp import FeatureMLP, mlp_phase


class Lesson(NamedTuple):
    """What a trained teacher leaves behind."""

    said: np.ndarray  # class probabilities (n_nodes, n_classes)
    nets: dict[str, nn.Module]
    history: list[dict[str, Any]]


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
        ``patience`` is 100 by default, as for the student of :class:`ColdBrewClassifier`: with few
        validation nodes their accuracy jumps.
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
    _lessons: dict[str, Lesson] | None = None  # the last one, where it is shared
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
        patience: int | None = 100,
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
        taught, teacher_nets, _ = self._lesson(training, nodes, X)  # taught (n_nodes, n_classes)
        self.nets_ = dict(teacher_nets)
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

    def _lesson(self, training: Training, nodes: Nodes, X: Matrix) -> Lesson:
        """Train the teacher, or recall what it said if the last one was the same."""
        teacher, key = self._teacher, ""
        if self._lessons is not None:
            data = X, nodes.y, nodes.graph, nodes.train, nodes.valid
            key = fingerprint(teacher.get_params(), *data)
            if key in self._lessons:
                training.history += self._lessons[key].history
                return self._lessons[key]
        said = teacher._train(training, nodes, X)
        lesson = Lesson(said, teacher.nets_, list(training.history))
        if self._lessons is not None and not training.stopped:
            self._lessons.clear()
            self._lessons[key] = lesson
        return lesson


def sharing_teachers() -> Callable[..., GLNNClassifier]:
    """Makes classifiers that train a teacher once where they differ in the student alone.

    A teacher depends on its own parameters and on the data only, so each would train the same.
    """
    lessons: dict[str, Lesson] = {}

    def make(**parameters: Any) -> GLNNClassifier:
        model = GLNNClassifier(**parameters)
        model._lessons = lessons
        return model

    return make
