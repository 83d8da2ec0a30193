"""The graph convolutional network of Kipf and Welling (ICLR 2017)."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from makedo.nn.dropout import dropout
from makedo.nn.features import FeatureLinear, Features


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
