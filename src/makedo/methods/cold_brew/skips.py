"""Skip connections: what a layer hands on, from its own result h and the earlier x_0 … x_l.

::

    residual   x_{l+1} = (1 − α) h + α x_l
    initial    x_{l+1} = (1 − α) h + α x_0
    dense      x_{l+1} = [x_0, …, x_l, h] V_l + v_l
    jumping    x_{l+1} = h, and such a mixture of all after the last layer only

All are (n_rows, width).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Plain(nn.Module):
    """The result of the layer alone."""

    def forward(self, h: Tensor, earlier: list[Tensor]) -> Tensor:
        """Return h."""
        return h


class Weighted(nn.Module):
    """(1 − α) h + α x, where x is the earlier state at ``position`` (0 the first, −1 the last)."""

    def __init__(self, weight: float, position: int):
        super().__init__()
        self.weight, self.position = weight, position

    def forward(self, h: Tensor, earlier: list[Tensor]) -> Tensor:
        """Return the mean of h and one earlier state."""
        return torch.lerp(h, earlier[self.position], self.weight)


class Mixture(nn.Module):
    """A linear layer over all ``n_states`` states side by side, which are never put side by side.

    In a dense stack the copies would take memory in the square of the number of layers.
    """

    def __init__(self, n_states: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_states * width, width))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, h: Tensor, earlier: list[Tensor]) -> Tensor:
        """Return [x_0, …, x_l, h] V + v."""
        parts = self.weight.split(h.shape[1])
        mixed = self.bias
        for state, part in zip([*earlier, h], parts, strict=True):
            mixed = mixed + state @ part
        return mixed


def build_skips(name: str | None, weight: float, width: int, n_layers: int) -> list[nn.Module]:
    """Return one module a layer, called with its result and the list of earlier states."""
    last = n_layers - 1
    if name in ("residual", "initial"):
        position = {"residual": -1, "initial": 0}[name]
        return [Weighted(weight, position) for _ in range(n_layers)]
    if name == "dense":
        return [Mixture(k + 2, width) for k in range(n_layers)]
    if name == "jumping":
        return [Mixture(k + 2, width) if k == last else Plain() for k in range(n_layers)]
    return [Plain() for _ in range(n_layers)]
