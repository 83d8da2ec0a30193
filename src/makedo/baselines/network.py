"""Node classifiers that are networks: their training, their answers in blocks, their files."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from makedo.baselines.classifier import NodeClassifier
from makedo.core.checks import Choice, Number
from makedo.core.devices import pick_device
from makedo.core.seeds import derive, torch_seed
from makedo.core.training import Training, history_frame
from makedo.data.features import Matrix
from makedo.data.nodes import Nodes
from makedo.nn.features import Features
from makedo.nn.propagation import Propagation
from makedo.nn.whole_graph import whole_graph_phase

ROWS = 8192  # rows scored at once

TRAINING_CONSTRAINTS = {
    "hidden": Number(1, integer=True),
    "dropout": Number(0, 1, open_high=True),
    "learning_rate": Number(0, open_low=True),
    "weight_decay": Number(0),
    "max_epochs": Number(1, integer=True),
    "patience": Number(1, integer=True, none=True),
    "validation_fraction": Number(0, 1, open_high=True),
    "normalize": Choice(("auto", "rows", "columns", "none")),
    "random_state": Number(0, integer=True),
    "verbose": Number(0, integer=True),
}


class NetworkClassifier(NodeClassifier):
    """Base of the baselines that are networks.

    A subclass has ``_networks(n_features, n_classes)``, its untrained networks by name in the order
    of their training, and ``_train(training, nodes, X)``, which puts those that were trained into
    ``nets_`` and returns the class probabilities of all nodes.  The one trained last answers.

    Attributes
    ----------
    history_ : DataFrame
        A row per phase and epoch.
    nets_ : dict of str to Module
    """

    _constraints: ClassVar = TRAINING_CONSTRAINTS
    device: str
    verbose: int

    def _networks(self, n_features: int, n_classes: int) -> dict[str, nn.Module]:
        raise NotImplementedError

    def _train(self, training: Training, nodes: Nodes, X: Matrix) -> np.ndarray:
        raise NotImplementedError

    def _learn(self, nodes: Nodes, X: Matrix) -> np.ndarray:
        owner = type(self).__name__
        with Training(owner, random_state=self.random_state, verbose=self.verbose) as training:
            proba = self._train(training, nodes, X)
        self.history_ = history_frame(training.history)
        return proba

    def _start(self, nodes: Nodes, *names: str) -> tuple[torch.device, dict[str, nn.Module]]:
        """Return the device and, on it, networks with their first weights."""
        device = pick_device(self.device)
        with torch_seed(derive(self.random_state, "initial weights")):
            nets = self._networks(nodes.X.shape[1], len(nodes.classes))
        return device, {name: nets[name].to(device) for name in names}

    def _proba(self, X: Matrix) -> np.ndarray:
        return proba_of_rows(list(self.nets_.values())[-1], X, len(self.classes_))

    def _restore(self, state: dict[str, Any]) -> None:
        tensors = state.pop("nets_")
        super()._restore(state)
        nets = self._networks(self.n_encoded_, len(self.classes_))
        device = pick_device(self.device)
        self.nets_ = {name: nets[name].to(device) for name in tensors}
        for name, net in self.nets_.items():
            net.load_state_dict(tensors[name])
            net.eval()


def train_on_whole_graph(
    model: Any, training: Training, name: str, nodes: Nodes, X: Matrix, matrix: Any
) -> np.ndarray:
    """Train the network ``name`` of a model, which propagates by ``matrix`` (n_nodes, n_nodes).

    Returns the class probabilities of all nodes.
    """
    device, model.nets_ = model._start(nodes, name)
    net = model.nets_[name]
    x, propagation = Features.of(X, device), Propagation(matrix).to(device)
    y, train, valid = to_tensors(device, nodes.y, nodes.train, nodes.valid)
    settings = ("learning_rate", "weight_decay", "max_epochs", "patience")
    how = {setting: getattr(model, setting) for setting in settings}
    training.run(whole_graph_phase(name, net, x, propagation, y, train, valid, **how))
    with torch.inference_mode():
        return net(x, propagation).softmax(1).cpu().numpy()


@torch.inference_mode()
def proba_of_rows(net: nn.Module, X: Matrix, n_classes: int) -> np.ndarray:
    """Class probabilities (n_rows, n_classes) of feature rows, block by block."""
    device = next(net.parameters()).device
    proba = np.empty((X.shape[0], n_classes), dtype=np.float32)
    for start in range(0, X.shape[0], ROWS):
        block = slice(start, start + ROWS)
        proba[block] = net(Features.of(X[block], device)).softmax(1).cpu().numpy()
    return proba


def to_tensors(device: torch.device, *arrays: np.ndarray) -> tuple[Tensor, ...]:
    """Arrays as tensors on a device."""
    return tuple(torch.from_numpy(array).to(device) for array in arrays)
