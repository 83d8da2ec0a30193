r"""Norms between the layers of a graph network, against the over-smoothing of deep stacks.

All act on the rows x_i of a layer's output X (n_rows, width); mean and var run over the rows,
column by column::

    batch   γ (X − mean) / √(var + ε) + β                       Ioffe and Szegedy, ICML 2015
    pair    (X − mean) / √(10⁻⁶ + mean_i ‖x_i − mean‖²)          Zhao and Akoglu, ICLR 2020
    node    each row to mean 0 and variance 1                   Zhou et al., 2020
    mean    X − mean                                            Yang et al., 2020
    group   X + λ Σ_g batch_g(s_g X), s = softmax(X U + u)      Zhou et al., NeurIPS 2020

In train mode the statistics are those of the rows at hand, the training graph.  In eval mode they
are constants, so that what is said of a row does not depend on which other rows are asked:
:func:`measured` takes them from the training graph as eval mode sees it.  Averages over the steps
of the training, as torch's BatchNorm keeps them, would be those of rows with dropout and of weights
that have moved on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_GROUPS = 10
GROUP_WEIGHT = 0.01  # λ; the paper's settings go from 0.001 to 0.03
EPSILON = 1e-5

T = TypeVar("T")


class Statistic(nn.Module):
    """A number or row that is taken from the batch in train mode and kept in eval mode.

    Shapes
    ------
    the value of the batch (shape) -> the value to use (shape)
    """

    kept: Tensor

    def __init__(self, *shape: int):
        super().__init__()
        self.register_buffer("kept", torch.zeros(shape))
        self.measuring = False

    def forward(self, of_batch: Callable[[], Tensor]) -> Tensor:
        """Return the value of the batch, which is only computed where it is used, or the kept."""
        if self.measuring:
            self.kept.copy_(of_batch())
        return of_batch() if self.training else self.kept


@torch.no_grad()
def measured(net: nn.Module, forward: Callable[[], T]) -> T:
    """What ``forward`` returns in eval mode, normed with the statistics of its rows; they are kept.

    ``net`` is the network that ``forward`` calls; it is left in eval mode.
    """
    net.eval()
    statistics = [part for part in net.modules() if isinstance(part, Statistic)]
    for statistic in statistics:
        statistic.measuring = True
    try:
        return forward()
    finally:
        for statistic in statistics:
            statistic.measuring = False


class BatchNorm(nn.Module):
    """γ (X − mean) / √(var + ε) + β."""

    def __init__(self, width: int):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.mean, self.var = Statistic(width), Statistic(width)

    def forward(self, x: Tensor) -> Tensor:
        """X (n_rows, width) -> the same."""
        if self.training:
            return F.batch_norm(x, None, None, self.gamma, self.beta, training=True, eps=EPSILON)
        mean, var = self.mean(lambda: x.mean(0)), self.var(lambda: x.var(0, correction=0))
        return F.batch_norm(x, mean, var, self.gamma, self.beta, eps=EPSILON)


class MeanNorm(nn.Module):
    """X − mean."""

    def __init__(self, width: int):
        super().__init__()
        self.mean = Statistic(width)

    def forward(self, x: Tensor) -> Tensor:
        """X (n_rows, width) -> the same."""
        return x - self.mean(lambda: x.mean(0))


class PairNorm(nn.Module):
    """(X − mean) / √(10⁻⁶ + mean squared norm of the rows of X − mean)."""

    def __init__(self, width: int):
        super().__init__()
        self.mean, self.energy = Statistic(width), Statistic()

    def forward(self, x: Tensor) -> Tensor:
        """X (n_rows, width) -> the same."""
        centered = x - self.mean(lambda: x.mean(0))
        energy = self.energy(lambda: centered.square().sum(1).mean())
        return centered / (1e-6 + energy).sqrt()


class NodeNorm(nn.Module):
    """Each row to mean 0 and variance 1; a row says all that is needed."""

    def forward(self, x: Tensor) -> Tensor:
        """X (n_rows, width) -> the same."""
        return F.layer_norm(x, x.shape[1:], eps=EPSILON)


class GroupNorm(nn.Module):
    r"""X + λ Σ_g batch_g(s_g X): rows are softly put into groups, each normalised by itself.

    The gated copies s_g X (n_rows, n_groups, width) are never made: their means are SᵀX / n, their
    second moments (S∘S)ᵀ(X∘X) / n, and the sum over the groups is X scaled by S (γ / √(var + ε))
    plus a constant row.
    """

    def __init__(self, width: int, n_groups: int = N_GROUPS, weight: float = GROUP_WEIGHT):
        super().__init__()
        self.assign = nn.Linear(width, n_groups)
        self.gamma = nn.Parameter(torch.ones(n_groups, width))
        self.beta = nn.Parameter(torch.zeros(n_groups, width))
        self.mean, self.var = Statistic(n_groups, width), Statistic(n_groups, width)
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        """X (n_rows, width) -> the same."""
        s = self.assign(x).softmax(1)  # (n_rows, n_groups)
        mean = self.mean(lambda: s.T @ x / len(x))  # (n_groups, width)

        def variance() -> Tensor:
            return (s.square().T @ x.square() / len(x) - mean.square()).clamp(min=0)

        scale = self.gamma / (self.var(variance) + EPSILON).sqrt()  # (n_groups, width)
        groups = x * (s @ scale) + (self.beta - mean * scale).sum(0)
        return x + self.weight * groups


NORMS = {
    "batch": BatchNorm,
    "pair": PairNorm,
    "node": lambda width: NodeNorm(),
    "mean": MeanNorm,
    "group": GroupNorm,
}


def build_norm(name: str | None, width: int) -> nn.Module:
    """Return the norm of that name for rows of ``width`` columns; None changes nothing."""
    return nn.Identity() if name is None else NORMS[name](width)
