"""The networks of graph-relational adaptation, several models side by side.

Models that differ in a weight of the loss or in which labels they may see train together: each
layer holds the weights of all of them, and one product of batches runs them all.  Shapes below
begin with n_models.  Every model starts from the same weights, so that two of them differ only by
what they learnt from.
"""

from __future__ import annotations

import copy
import inspect
import math
from typing import Any

import torch
from torch import Tensor, nn

PAPER_SD = 0.01  # of the released code's weights; a deep discriminator then hardly learns


class StackedLinear(nn.Module):
    """One linear layer a model: (n_models, n, n_in) -> (n_models, n, n_out)."""

    def __init__(self, n_models: int, n_in: int, n_out: int, init: str = "default"):
        super().__init__()
        bound = 1 / math.sqrt(n_in)
        one = torch.empty(n_in, n_out)
        bias = torch.zeros(1, n_out)
        if init == "paper":
            one.normal_(0, PAPER_SD)
        else:
            one.uniform_(-bound, bound)
            bias.uniform_(-bound, bound)
        self.weight = nn.Parameter(one.repeat(n_models, 1, 1))
        self.bias = nn.Parameter(bias.repeat(n_models, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Apply each model's layer."""
        return torch.baddbmm(self.bias, x, self.weight)


def chain(n_models: int, widths: list[int], init: str, last_relu: bool = False) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them, and perhaps after the last."""
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(zip(widths, widths[1:], strict=False)):
        layers.append(StackedLinear(n_models, n_in, n_out, init))
        if last_relu or i < len(widths) - 2:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """E(x, z), as in the released code: a branch for x, one for z, three layers, one more.

    Parameters
    ----------
    n_models, n_features, n_embedding, hidden : int
    init : {"default", "paper"}
    normalize : bool
        Bring each encoding to mean 0 and variance 1 over its entries: a bounded encoding cannot win
        against the discriminator by growing.
    embedding_dropout : float
        Chance that a row trains with z = 0.
    """

    def __init__(
        self,
        n_models: int,
        n_features: int,
        n_embedding: int,
        hidden: int,
        init: str,
        normalize: bool,
        embedding_dropout: float,
    ):
        super().__init__()
        self.x_branch = chain(n_models, [n_features, hidden], init, last_relu=True)
        self.z_branch = chain(n_models, [n_embedding, hidden, hidden], init, last_relu=True)
        wide = 2 * hidden
        self.joint = chain(n_models, [wide, wide, wide, wide, hidden], init)
        self.n_models, self.normalize, self.dropout = n_models, normalize, embedding_dropout

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Encodings (n_models, n, hidden) of rows x (n, …) in domains embedded as z (n, k)."""
        x, z = x.flatten(1), drop_rows(z, self.dropout if self.training else 0.0)
        x, z = (t.expand(self.n_models, *t.shape) for t in (x, z))
        both = torch.cat([self.x_branch(x), self.z_branch(z)], 2)  # (n_models, n, 2 hidden)
        return normalized(self.joint(both), self.normalize)


class OwnEncoder(nn.Module):
    """A user's module as encoder, one copy a model; it takes x or (x, z) and gives (n, width)."""

    def __init__(self, module: nn.Module, n_models: int, normalize: bool, embedding_dropout: float):
        super().__init__()
        self.copies = nn.ModuleList(copy.deepcopy(module) for _ in range(n_models))
        self.takes_z = len(inspect.signature(module.forward).parameters) > 1
        self.normalize, self.dropout = normalize, embedding_dropout

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Encodings (n_models, n, width)."""
        z = drop_rows(z, self.dropout if self.training else 0.0)
        given: Any = (x, z) if self.takes_z else (x,)
        return normalized(torch.stack([one(*given) for one in self.copies]), self.normalize)


def drop_rows(z: Tensor, chance: float) -> Tensor:
    """Some rows of (n, k) set to zero."""
    return z * (torch.rand(len(z), 1, device=z.device) >= chance) if chance else z


def normalized(e: Tensor, wanted: bool) -> Tensor:
    """Encodings of mean 0 and variance 1, without weights of their own."""
    return nn.functional.layer_norm(e, e.shape[-1:]) if wanted else e


def predictor(n_models: int, hidden: int, n_outputs: int, init: str, zero: bool) -> nn.Sequential:
    """F: two hidden layers.  ``zero``: it starts at 0, as a correction of another model must."""
    net = chain(n_models, [hidden, hidden, hidden, n_outputs], init)
    if zero:
        nn.init.zeros_(net[-1].weight)  # pyright: ignore[reportArgumentType]
        nn.init.zeros_(net[-1].bias)  # pyright: ignore[reportArgumentType]
    return net


def discriminator(n_models: int, hidden: int, n_outputs: int, init: str) -> nn.Sequential:
    """D: five hidden layers."""
    return chain(n_models, [hidden] * 6 + [n_outputs], init)
