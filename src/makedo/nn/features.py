"""Feature rows for networks, sparse or dense behind one face, and the layer that reads them."""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp
import torch
from torch import Tensor, nn

from makedo.nn.dropout import dropout as drop
from makedo.nn.propagation import SparseFeatures, sparse_linear


class Features:
    """A matrix of features on a device.

    Parameters
    ----------
    values : SparseFeatures or float tensor of shape (n_rows, n_features)
    """

    def __init__(self, values: SparseFeatures | Tensor):
        self.values = values

    @classmethod
    def of(cls, X: Any, device: Any = "cpu") -> Features:
        """Take a float32 ndarray or sparse matrix (n_rows, n_features) to a device."""
        if sp.issparse(X):
            return cls(SparseFeatures(X, device))
        return cls(torch.as_tensor(X, dtype=torch.float32).to(device))

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def rows(self, positions: Tensor) -> Features:
        """Return some of the rows, in the order of ``positions``."""
        if isinstance(self.values, SparseFeatures):
            return Features(self.values.rows(positions))
        return Features(self.values[positions])

    def times(self, weight: Tensor, dropout: float = 0.0) -> Tensor:
        """(n_rows, n_features) times weight (n_features, width), with dropout on the entries."""
        if isinstance(self.values, SparseFeatures):
            values = self.values.dropout(dropout) if dropout else None
            return sparse_linear(self.values, weight, values)
        values = drop(self.values, dropout) if dropout else self.values
        return values @ weight


class FeatureLinear(nn.Module):
    """Linear layer on :class:`Features`.

    Its weight (n_features, width) is Glorot-initialised, its bias zero.
    """

    def __init__(self, n_features: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_features, width))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Features, dropout: float = 0.0, bias: bool = True) -> Tensor:
        """Return X W + b; ``dropout`` acts in train mode only."""
        z = features.times(self.weight, dropout if self.training else 0.0)
        return z + self.bias if bias else z
