"""The network: own past, each neighbour, attention over who is present, and a decoder.

Late fusion as in Trajectron++Edge: every neighbour is encoded apart, so that one can be taken away
by a mask, without touching the others.  Four steps, which explanations call one by one::

    e_x     = encode_past(own)                          the target's past
    e_j     = encode_neighbor(neighbor, e_x)            each neighbour, jointly with the target
    c       = fuse(e_x, e_j, present)                   masked additive attention
    samples = decode(c, z)                              one future for each latent z

All lengths are in the target's frame and divided by one scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LATENT = 2  # z of a sample: two numbers are enough to tell some dozens of futures apart
LEAST_SIGMA, MOST_CORRELATION = 0.01, 0.95


@dataclass(frozen=True)
class Encoded:
    """What coalitions of one target share.

    Parameters
    ----------
    own : Tensor (B, hidden)
        e_x.
    score : Tensor (B, M, n_heads)
        How much attention each neighbour asks for.
    value : Tensor (B, M, hidden)
        What it has to say.
    """

    own: Tensor
    score: Tensor
    value: Tensor

    def take(self, rows: Tensor) -> Encoded:
        """Some rows, repeated or not."""
        return Encoded(self.own[rows], self.score[rows], self.value[rows])


class AttentionNet(nn.Module):
    """Own past and neighbours in, futures out.

    Parameters
    ----------
    n_own, n_neighbor : int
        Features of the target, and of a neighbour.
    n_steps : int
        Of the future.
    hidden, n_heads : int
    dropout : float
    """

    def __init__(
        self, n_own: int, n_neighbor: int, n_steps: int, hidden: int, n_heads: int, dropout: float
    ):
        super().__init__()
        self.n_steps, self.n_heads = n_steps, n_heads
        self.past = nn.Sequential(
            nn.Linear(n_own, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, hidden)
        )
        self.neighbor_in = nn.Linear(n_neighbor, hidden)
        self.own_in = nn.Linear(hidden, hidden, bias=False)
        self.neighbor = nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, hidden))
        self.asked, self.offered = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden, bias=False)
        self.score = nn.Parameter(torch.randn(n_heads, hidden // n_heads) / math.sqrt(hidden))
        self.value = nn.Linear(hidden, hidden)
        self.joined = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, hidden)
        )
        self.from_latent = nn.Linear(LATENT, hidden)
        self.sample = nn.Sequential(
            nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 2 * n_steps)
        )
        self.best = nn.Sequential(
            nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 2 * n_steps)
        )
        self.spread = nn.Sequential(
            nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 3 * n_steps)
        )

    def encode_past(self, own: Tensor) -> Tensor:
        """e_x (B, hidden) of features (B, n_own)."""
        return self.past(own)

    def encode_neighbor(self, neighbor: Tensor, e_x: Tensor) -> Tensor:
        """e_j (B, M, hidden) of features (B, M, n_neighbor), jointly with the target's e_x."""
        return self.neighbor(self.neighbor_in(neighbor) + self.own_in(e_x)[:, None])

    def encode(self, own: Tensor, neighbor: Tensor) -> Encoded:
        """All that does not depend on who is present."""
        e_x = self.encode_past(own)
        e_j = self.encode_neighbor(neighbor, e_x)
        joint = torch.tanh(self.offered(e_j) + self.asked(e_x)[:, None])
        heads = joint.unflatten(2, (self.n_heads, -1))  # (B, M, n_heads, hidden / n_heads)
        return Encoded(e_x, (heads * self.score).sum(3), self.value(e_j))

    def fuse(self, encoded: Encoded, present: Tensor) -> Tensor:
        """Context c (B, hidden) of the target with those neighbours that are present (B, M).

        Each head shares its attention among them and an empty seat whose value is zero: with nobody
        there the sum is zero, and a neighbour who says nothing need not be listened to.
        """
        score = encoded.score.masked_fill(~present[..., None], -torch.inf)
        empty = torch.zeros_like(score[:, :1])
        share = torch.cat([score, empty], 1).softmax(1)[:, :-1]  # (B, M, n_heads)
        value = encoded.value.unflatten(2, (self.n_heads, -1))
        e_n = (share[..., None] * value).sum(1).flatten(1)  # (B, hidden)
        return self.joined(torch.cat([e_n, encoded.own], 1))

    def decode(self, c: Tensor, z: Tensor) -> Tensor:
        """Departures from the drift (B, K, n_steps, 2) for latents z (B, K, 2)."""
        found = self.sample(c[:, None] + self.from_latent(z))
        return found.unflatten(2, (self.n_steps, 2))

    def decode_best(self, c: Tensor) -> Tensor:
        """The single best guess (B, n_steps, 2), likewise."""
        return self.best(c).unflatten(1, (self.n_steps, 2))

    def decode_spread(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Of a Gaussian around the best guess: deviations (B, n_steps, 2), correlation."""
        sigma, rho = self.spread(c).unflatten(1, (self.n_steps, 3)).split([2, 1], 2)
        sigma = nn.functional.softplus(sigma) + LEAST_SIGMA
        return sigma, MOST_CORRELATION * torch.tanh(rho[..., 0])


def gaussian_log_density(left: Tensor, sigma: Tensor, rho: Tensor) -> Tensor:
    """Log density of deviations (…, 2) under bivariate Gaussians, (…)."""
    u = left / sigma
    open_ = 1 - rho**2
    quadratic = (u.square().sum(-1) - 2 * rho * u.prod(-1)) / open_
    return -0.5 * (quadratic + torch.log(open_)) - sigma.log().sum(-1) - math.log(2 * math.pi)
