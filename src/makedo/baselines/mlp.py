"""A multi-layer perceptron on the features alone: what a graph method has to beat."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import nn

from makedo.baselines.network import (
    TRAINING_CONSTRAINTS,
    NetworkClassifier,
    proba_of_rows,
    to_tensors,
)
from makedo.core.checks import Choice, Number
from makedo.core.training import Training
from makedo.data.features import Matrix
from makedo.data.nodes import Nodes
from makedo.nn.features import Features
from makedo.nn.mlp import FeatureMLP, mlp_phase

MLP_CONSTRAINTS = TRAINING_CONSTRAINTS | {
    "norm": Choice((True, False)),
    "activation": Choice(("relu", "gelu")),
    "input_dropout": Number(0, 1, open_high=True),
    "batch_size": Number(1, integer=True),
}


class MLPClassifier(NetworkClassifier):
    """Classify rows by their features, with one hidden layer.

    The default has no normalisation and heavy dropout, also on the input: with few labels and many
    features that is much better than the shape that suits plenty of labels.

    Parameters
    ----------
    hidden : int, default=128
        Width of the hidden layer.
    norm : bool, default=False
        Whether the hidden layer is layer-normalised.
    activation : {"relu", "gelu"}, default="relu"
    dropout, input_dropout : float, default=0.5
        On the hidden layer, and on the features.
    learning_rate : float, default=0.005
    weight_decay : float, default=5e-4
    max_epochs : int, default=150
    patience : int or None, default=None
        Epochs without a better validation score after which training ends; None is never.
    batch_size : int, default=4096
        Rows a step.
    validation_fraction : float, default=0.2
        Share of the labelled rows that is held back when ``fit`` gets no ``valid_mask``; the state
        that is best on them is kept.
    normalize : {"auto", "rows", "columns", "none"}, default="auto"
        Counts and sparse features to row sum 1, dense ones to mean 0 and sd 1.
    random_state : int, default=0
    device : str, default="auto"
    verbose : int, default=0

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    history_ : DataFrame
        A row per epoch.

    Shapes
    ------
    X (n_samples, n_features) · y (n_samples,) · predict_proba -> (n_rows, n_classes)

    Cost
    ----
    O(nnz(X of labelled rows) · hidden) an epoch.

    Relations
    ---------
    ``sklearn.neural_network.MLPClassifier`` has no dropout and knows no unlabelled rows.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo.baselines.mlp import MLPClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(60) % 2
    >>> X = rng.normal(size=(60, 4)) + 5 * y[:, None]
    >>> MLPClassifier(max_epochs=50).fit(X[:40], y[:40]).score(X[40:], y[40:])
    1.0
    """

    _constraints: ClassVar = MLP_CONSTRAINTS

    def __init__(
        self,
        hidden: int = 128,
        *,
        norm: bool = False,
        activation: str = "relu",
        dropout: float = 0.5,
        input_dropout: float = 0.5,
        learning_rate: float = 0.005,
        weight_decay: float = 5e-4,
        max_epochs: int = 150,
        patience: int | None = None,
        batch_size: int = 4096,
        validation_fraction: float = 0.2,
        normalize: str = "auto",
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ):
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
        self.validation_fraction = validation_fraction
        self.normalize = normalize
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def _networks(self, n_features: int, n_classes: int) -> dict[str, nn.Module]:
        return {"mlp": build_mlp(self, n_features, n_classes)}

    def _train(self, training: Training, nodes: Nodes, X: Matrix) -> np.ndarray:
        device, self.nets_ = self._start(nodes, "mlp")
        net = self.nets_["mlp"]
        assert isinstance(net, FeatureMLP)
        y, train, valid = to_tensors(device, nodes.y, nodes.train, nodes.valid)
        x = Features.of(X, device)
        training.run(mlp_phase("mlp", net, x, y, train, valid, **mlp_settings(self)))
        return proba_of_rows(net, X, len(nodes.classes))


def build_mlp(model: Any, n_features: int, n_classes: int) -> FeatureMLP:
    """Make the network that the parameters of an :class:`MLPClassifier` or a like one describe."""
    return FeatureMLP(
        n_features,
        0,
        model.hidden,
        n_classes,
        dropout=model.dropout,
        input_dropout=model.input_dropout,
        norm=model.norm,
        activation=model.activation,
    )


def mlp_settings(model: Any) -> dict[str, Any]:
    """How such a network is trained."""
    names = ("learning_rate", "weight_decay", "max_epochs", "patience", "batch_size")
    return {name: getattr(model, name) for name in names}
