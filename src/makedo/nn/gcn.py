"""The graph convolutional network of Kipf and Welling (ICLR 2017), and the phase that trains it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from makedo.core.training import Phase, Update
from makedo.nn.dropout import dropout
from makedo.nn.features import FeatureLinear, Features
from makedo.nn.propagation import Propagation
from makedo.nn.targets import CLASSES


def alone(z: Tensor) -> Tensor:
    """Propagate among nodes without edges: Ã is the identity."""
    return z


class GCN(nn.Module):
    r"""Layers of :math:`\sigma(\tilde A X W + b)`, the ReLU between them.

    Parameters
    ----------
    n_features, hidden, n_outputs, n_layers : int
    dropout : float
        On the input of every layer.

    Shapes
    ------
    features (n_nodes, n_features) -> (n_nodes, n_outputs)

    Cost
    ----
    O((nnz(X) + n_edges) · hidden) forward and as much again backward.
    """

    def __init__(
        self, n_features: int, hidden: int, n_outputs: int, n_layers: int = 2, dropout: float = 0.5
    ):
        super().__init__()
        widths = [n_features, *[hidden] * (n_layers - 1), n_outputs]
        self.layers = nn.ModuleList(
            FeatureLinear(d_in, d_out) for d_in, d_out in zip(widths[:-1], widths[1:], strict=True)
        )
        self.dropout = dropout

    def forward(
        self, features: Features, propagation: Callable[[Tensor], Tensor] = alone
    ) -> Tensor:
        """Return scores of classes before the softmax."""
        z: Tensor | None = None
        for layer in self.layers:
            assert isinstance(layer, FeatureLinear)
            if z is None:
                own = layer(features, dropout=self.dropout, bias=False)
            else:
                x = F.relu(z)  # (n_nodes, hidden)
                x = dropout(x, self.dropout) if self.training else x
                own = layer(Features(x), bias=False)
            z = propagation(own) + layer.bias
        assert z is not None
        return z


def gcn_phase(
    net: GCN,
    features: Features,
    propagation: Propagation,
    y: Tensor,
    train: Tensor,
    valid: Tensor,
    *,
    learning_rate: float,
    weight_decay: float,
    max_epochs: int,
    patience: int | None,
    name: str = "gcn",
) -> Phase:
    """Full-batch cross-entropy on ``train``; the state with the best accuracy on ``valid`` is kept.

    Parameters
    ----------
    features, propagation
        Of all nodes.
    y : int64 tensor (n_nodes,)
    train, valid : int64 tensors
        Positions.  Without validation nodes the last state is kept.
    """
    optimizer = torch.optim.Adam(
        net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )

    def loss(_: None) -> Tensor:
        return CLASSES.loss(net(features, propagation)[train], y[train])

    def validate() -> dict[str, float]:
        return CLASSES.figures(net(features, propagation)[valid], y[valid])

    return Phase(
        name,
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        validate=validate if len(valid) else None,
        patience=patience,
    )
