"""Attention over neighbours: own past, each neighbour, who is present, and a decoder.

Late fusion as in Trajectron++Edge: every neighbour is encoded apart, so that one can be taken away
by a mask, without touching the others.  Four steps, which explanations call one by one::

    e_x     = encode_past(own)                          the target's past
    e_j     = encode_neighbor(neighbor, e_x)            each neighbour, jointly with the target
    c       = fuse(e_x, e_j, present)                   masked additive attention
    samples = decode(c, z)                              one future for each latent z

Neighbours are left out at random in training, so that a coalition without some of them is nothing
new to the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from makedo.core.checks import Choice, MakedoInputError, Number
from makedo.data.windows import Cues, Windows
from makedo.methods.trajectory.local_frame import LocalFrame, Relations
from makedo.methods.trajectory.networks import LATENT, NetworkPredictor, spread_of


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

    def __getitem__(self, rows: Tensor) -> Encoded:
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
        return spread_of(self.spread(c).unflatten(1, (self.n_steps, 3)))


class AttentionPredictor(NetworkPredictor):
    """Predict with a network that attends to neighbours.

    Parameters
    ----------
    neighbors : bool, default=True
        False: the same network without neighbours, to compare with.
    place : bool, default=False
        Whether the place in the scene is an input; the frame is then that of the map, not turned to
        where the target goes.  For scenes of one map: a court, a harbour.
    mirror : bool, default=True
        Whether mirrored scenes are as good.  Left and right of the target: they are learnt from,
        too.  With ``place``: all are seen as in one quarter of the map, mirrored about its middle,
        so that what is learnt in one holds in all.  Not where the map is not symmetric.
    zoom : float, default=0.2
        Also learn from scenes made smaller or larger by up to this share; 0 with ``place``.
    neighbor_dropout : float, default=0.3
        Chance that a neighbour is left out in training.
    hidden, n_heads : int, default=64 and 4
    n_train_samples : int, default=20
        Samples of which the best is trained.
    dropout, weight_decay, learning_rate : float
    max_epochs, batch_size : int
    device : str, default="auto"
    verbose, random_state : int

    Attributes
    ----------
    net_ : AttentionNet
    scale_ : float
        Metres that are 1 to the network.
    middle_ : ndarray of shape (2,)
        Of the map.
    relations_ : ndarray of shape (n_kinds,)
    history_ : DataFrame
    """

    _constraints: ClassVar = {
        **NetworkPredictor._constraints,
        "neighbors": Choice((True, False)),
        "neighbor_dropout": Number(0, 1, open_high=True),
        "n_heads": Number(1, integer=True),
    }
    _phase = "attention"
    _positions = ("past", "neighbors")

    def __init__(
        self,
        neighbors: bool = True,
        place: bool = False,
        mirror: bool = True,
        zoom: float = 0.2,
        neighbor_dropout: float = 0.3,
        hidden: int = 64,
        n_heads: int = 4,
        n_train_samples: int = 20,
        dropout: float = 0.1,
        weight_decay: float = 0.01,
        learning_rate: float = 4e-3,
        max_epochs: int = 20,
        batch_size: int = 256,
        device: str = "auto",
        verbose: int = 0,
        random_state: int = 0,
    ):
        self.neighbors, self.place, self.mirror, self.zoom = neighbors, place, mirror, zoom
        self.neighbor_dropout, self.hidden, self.n_heads = neighbor_dropout, hidden, n_heads
        self.n_train_samples, self.dropout, self.weight_decay = (
            n_train_samples,
            dropout,
            weight_decay,
        )
        self.learning_rate, self.max_epochs, self.batch_size = learning_rate, max_epochs, batch_size
        self.device, self.verbose, self.random_state = device, verbose, random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.hidden % self.n_heads:
            raise MakedoInputError(
                f"AttentionPredictor: hidden must be a multiple of n_heads={self.n_heads}. Got "
                f"{self.hidden}."
            )

    def _learn_sizes(self, windows: Windows) -> None:
        super()._learn_sizes(windows)
        self.relations_ = Relations.learn(windows.cues(), len(windows.kinds)).of_kind

    def _build(self) -> AttentionNet:
        """The network with its first weights."""
        n_own = 4 * self.n_past_ - 4 + 2 * self.place
        n_neighbor = 5 * self.n_past_ - 1 + Relations(self.relations_).n
        return AttentionNet(
            n_own, n_neighbor, self.n_steps_, self.hidden, self.n_heads, self.dropout
        )

    def _inputs(self, cues: Cues, frame: LocalFrame) -> dict[str, np.ndarray]:
        """The cues in the target's frame and scale; whether each step of a neighbour was seen."""
        M = cues.present.shape[1] if self.neighbors else 0
        neighbors = frame.enter(cues.neighbors[:, :M]) / self.scale_
        return {
            **super()._inputs(cues, frame),
            "neighbors": np.nan_to_num(_backfilled(neighbors)),
            "seen": ~np.isnan(neighbors[..., 0]),
            "relation": Relations(self.relations_)(cues)[:, :M],
            "present": cues.present[:, :M],
        }

    def _features(self, cues: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Features (B, n_own) of the target and (B, M, n_neighbor) of its neighbours."""
        past, neighbors = cues["past"], cues["neighbors"]
        own = [past[:, :-1].flatten(1), past.diff(dim=1).flatten(1) * self.n_past_]
        if self.place:
            own.append(cues["place"])
        # Steps are small beside places and say most: they get numbers of their own.
        steps = neighbors.diff(dim=2) * self.n_past_  # (B, M, n_past - 1, 2)
        near = 1 / (1 + self.scale_ * neighbors[:, :, -1].norm(dim=2))
        n = Relations(self.relations_).n
        relation = nn.functional.one_hot(cues["relation"].long(), n).float()
        features = [
            neighbors.flatten(2), steps.flatten(2), cues["seen"].float(), near[..., None], relation
        ]  # fmt: skip
        return torch.cat(own, 1), torch.cat(features, 2)

    def _context(self, encoded: Encoded, present: Tensor) -> Tensor:
        return self.net_.fuse(encoded, present[:, : encoded.value.shape[1]])

    def _lesson_context(self, cues: dict[str, Tensor]) -> Tensor:
        """With neighbours left out at random."""
        kept = torch.rand(cues["present"].shape) >= self.neighbor_dropout
        present = cues["present"] & kept.to(cues["present"].device)
        return self._context(self.net_.encode(*self._features(cues)), present)


def _backfilled(neighbors: np.ndarray) -> np.ndarray:
    """Neighbours (B, M, n_past, 2) with the first position seen in place of those before it."""
    filled = neighbors.copy()
    for t in range(filled.shape[2] - 2, -1, -1):
        unseen = np.isnan(filled[:, :, t])
        filled[:, :, t][unseen] = filled[:, :, t + 1][unseen]
    return filled
