"""GraphSAGE with the mean aggregator (Hamilton et al., NeurIPS 2017), on the whole graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from makedo.nn.features import Features


class SAGELayer(nn.Module):
    r"""[x_i, mean of the neighbours' x_j] W + b.

    Parameters
    ----------
    n_features, width : int

    Attributes
    ----------
    weight : Parameter (2 · n_features, width)
        The node's own rows above those of its neighbours; Glorot-initialised, the bias zero.

    Shapes
    ------
    features (n_nodes, n_features) -> (n_nodes, width)
    """

    def __init__(self, n_features: int, width: int):
        super().__init__()
        self.n_features, self.width = n_features, width
        self.weight = nn.Parameter(torch.empty(2 * n_features, width))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.xavier_uniform_(self.weight)

    def forward(
        self,
        features: Features,
        mean: Callable[[Tensor], Tensor] | None = None,
        dropout: float = 0.0,
    ) -> Tensor:
        """Mix own features and the neighbours'; ``mean`` None: no node has any."""
        own, others = self.weight.split(self.n_features)
        p = dropout if self.training else 0.0
        if mean is None:
            return features.times(own, p) + self.bias
        # one product, so that a node drops the same entries for itself and for its neighbours;
        # and the mean of products is the product of the mean, over fewer columns
        both = features.times(torch.cat([own, others], dim=1), p)  # (n_nodes, 2 · width)
        z_own, z_others = both.split(self.width, dim=1)
        return z_own + mean(z_others) + self.bias


class SAGE(nn.Module):
    """Layers of :class:`SAGELayer`, the ReLU between them.

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
            SAGELayer(d_in, d_out) for d_in, d_out in zip(widths[:-1], widths[1:], strict=True)
        )
        self.dropout = dropout

    def forward(self, features: Features, mean: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return scores of classes before the softmax; ``mean`` None: no node has an edge."""
        x, z = features, None
        for layer in self.layers:
            if z is not None:
                x = Features(F.relu(z))  # (n_nodes, hidden)
            z = layer(x, mean, self.dropout)
        assert z is not None
        return z
