r"""Norms between the layers of a graph network, against the over-smoothing of deep stacks.

All act on the rows x_i of a layer's output X (n_rows, width); mean and var without a suffix run
over the rows, column by column::

    batch   γ (X − mean) / √(var + ε) + β                       Ioffe and Szegedy, ICML 2015
    pair    (X − mean) / √(10⁻⁶ + mean_i ‖x_i − mean‖²)          Zhao and Akoglu, ICLR 2020
    node    each row to mean 0 and variance 1                   Zhou et al., 2020
    mean    X − mean                                            Yang et al., 2020
    group   X + λ Σ_g batch_g(s_g X), s = softmax(X U + u)      Zhou et al., NeurIPS 2020

In train mode the rows are the training graph.  In eval mode the statistics are running averages of
those, so that what is said of a row does not depend on which other rows are asked.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOMENTUM = 0.1  # weight of the newest value in a running average
N_GROUPS = 10
GROUP_WEIGHT = 0.01  # λ; the paper's settings go from 0.001 to 0.03
EPSILON = 1e-5


class Running(nn.Module):
    """A statistic of the batch in train mode, its running average in eval mode.

    The first value is taken whole, so that the average has no start to forget.

    Shapes
    ------
    value (any shape that is always the same) -> the same
    """

    average: Tensor
    n_seen: Tensor

    def __init__(self, *shape: int):
        super().__init__()
        self.register_buffer("average", torch.zeros(shape))
        self.register_buffer("n_seen", torch.zeros((), dtype=torch.int64))

    def update(self, value: Tensor) -> Tensor:
        """Take a new value into the average, and return it unchanged."""
        with torch.no_grad():
            newest = value.detach().to(self.average.dtype)
            weight = torch.where(self.n_seen == 0, 1.0, MOMENTUM)
            self.average.lerp_(newest, weight)
            self.n_seen += 1
        return value


class MeanNorm(nn.Module):
    """X − mean."""

    def __init__(self, width: int):
        super().__init__()
        self.mean = Running(width)

    def forward(self, x: Tensor) -> Tensor:
        """X (n_rows, width) -> the same."""
        return x - (self.mean.update(x.mean(0)) if self.training else self.mean.average)


class PairNorm(nn.Module):
    """(X − mean) / √(10⁻⁶ + mean squared norm of the rows of X − mean)."""

    def __init__(self, width: int):
        super().__init__()
        self.center = MeanNorm(width)
        self.energy = Running()

    def forward(self, x: Tensor) -> Tensor:
        """X (n_rows, width) -> the same."""
        x = self.center(x)
        if self.training:
            energy = self.energy.update(x.square().sum(1).mean())
        else:
            energy = self.energy.average
        return x / (1e-6 + energy).sqrt()


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
        self.mean, self.var = Running(n_groups, width), Running(n_groups, width)
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        """X (n_rows, width) -> the same."""
        s = self.assign(x).softmax(1)  # (n_rows, n_groups)
        if self.training:
            mean = s.T @ x / len(x)  # (n_groups, width)
            moment = s.square().T @ x.square() / len(x)
            self.mean.update(mean)
            var = self.var.update((moment - mean.square()).clamp(min=0))
        else:
            mean, var = self.mean.average, self.var.average
        scale = self.gamma / (var + EPSILON).sqrt()  # (n_groups, width)
        groups = x * (s @ scale) + (self.beta - mean * scale).sum(0)
        return x + self.weight * groups


NORMS = {
    "batch": nn.BatchNorm1d,
    "pair": PairNorm,
    "node": lambda width: NodeNorm(),
    "mean": MeanNorm,
    "group": GroupNorm,
}


def build_norm(name: str | None, width: int) -> nn.Module:
    """Return the norm of that name for rows of ``width`` columns; None changes nothing."""
    return nn.Identity() if name is None else NORMS[name](width)
