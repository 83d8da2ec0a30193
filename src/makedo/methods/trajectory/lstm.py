"""The vanilla encoder-decoder: an LSTM reads the target's own past, another writes the future.

It knows nothing of neighbours: what it errs is what the past alone can do, and an explanation must
give every neighbour the value 0::

    c       = encode(past)      last state of an LSTM over the steps of the past
    samples = decode(c, z)      one future for each latent z, one step after another

The decoder is not told the step that it has just made: that is a linear function of its state,
which its recurrent weights see anyhow.  So all steps are one call of a fast kernel.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from makedo.methods.trajectory.draws import seeds_of
from makedo.methods.trajectory.networks import (
    LATENT,
    EncodedCues,
    NetworkPredictor,
    spread_of,
)

AT_ONCE = 1_280  # futures in one call, so that their states stay in the processor's cache


class StepByStep(nn.Module):
    """An LSTM that goes n_steps from a context, and says where.

    Parameters
    ----------
    hidden, n_steps : int
    """

    def __init__(self, hidden: int, n_steps: int):
        super().__init__()
        self.start = nn.Sequential(nn.GELU(), nn.Linear(hidden, 2 * hidden))
        self.steps = nn.LSTM(1, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 2)
        self.register_buffer("clock", torch.linspace(0, 1, n_steps)[:, None], persistent=False)

    def forward(self, c: Tensor) -> Tensor:
        """Departures from the drift (B, n_steps, 2) of contexts (B, hidden)."""
        return torch.cat([self._walked(part) for part in c.split(AT_ONCE)])

    def _walked(self, c: Tensor) -> Tensor:
        clock: Any = self.clock
        state, memory = self.start(c).chunk(2, dim=1)
        first = (torch.tanh(state)[None], memory[None].contiguous())  # (1, B, hidden) each
        states, _ = self.steps(clock.expand(len(c), -1, -1), first)  # (B, n_steps, hidden)
        return self.out(states).cumsum(1)


class LSTMNet(nn.Module):
    """Own past in, futures out.

    Parameters
    ----------
    n_in : int
        Features of a step of the past.
    n_steps : int
        Of the future.
    hidden : int
    dropout : float
    """

    def __init__(self, n_in: int, n_steps: int, hidden: int, dropout: float):
        super().__init__()
        self.n_steps = n_steps
        self.past = nn.LSTM(n_in, hidden, batch_first=True)
        self.context = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, hidden))
        self.from_latent = nn.Linear(LATENT, hidden)
        self.sample, self.best = StepByStep(hidden, n_steps), StepByStep(hidden, n_steps)
        self.spread = nn.Sequential(
            nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 3 * n_steps)
        )

    def encode(self, past: Tensor) -> Tensor:
        """Context c (B, hidden) of the steps of the past (B, n_past - 1, n_in)."""
        _, (last, _) = self.past(past)  # (1, B, hidden)
        return self.context(last[0])

    def decode(self, c: Tensor, z: Tensor) -> Tensor:
        """Departures from the drift (B, K, n_steps, 2) for latents z (B, K, 2)."""
        start = c[:, None] + self.from_latent(z)  # (B, K, hidden)
        return self.sample(start.flatten(0, 1)).unflatten(0, z.shape[:2])

    def decode_best(self, c: Tensor) -> Tensor:
        """The single best guess (B, n_steps, 2), likewise."""
        return self.best(c)

    def decode_spread(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Of a Gaussian around the best guess: deviations (B, n_steps, 2), correlation."""
        return spread_of(self.spread(c).unflatten(1, (self.n_steps, 3)))


class LSTMPredictor(NetworkPredictor):
    """Predict with an LSTM from the target's own past, whoever is near.

    Parameters
    ----------
    place : bool, default=False
        Whether the place in the scene is an input; the frame is then that of the map, not turned to
        where the target goes.  For scenes of one map: a court, a harbour.
    mirror : bool, default=True
        Whether mirrored scenes are as good, as for
        :class:`~makedo.methods.trajectory.AttentionPredictor`.
    zoom : float, default=0.2
        Also learn from scenes made smaller or larger by up to this share; 0 with ``place``.
    hidden : int, default=32
        Width of the states.
    n_train_samples : int, default=20
        Samples of which the best is trained.
    dropout, weight_decay, learning_rate : float
    max_epochs, batch_size : int
    device : str, default="auto"
    verbose, random_state : int

    Attributes
    ----------
    net_ : LSTMNet
    scale_ : float
        Metres that are 1 to the network.
    middle_ : ndarray of shape (2,)
        Of the map.
    history_ : DataFrame

    Cost
    ----
    Five epochs of 17,000 windows: half a minute of one core.
    """

    _phase = "lstm"
    _rows: ClassVar[int] = 512  # states of all steps are in memory at once

    def __init__(
        self,
        place: bool = False,
        mirror: bool = True,
        zoom: float = 0.2,
        hidden: int = 32,
        n_train_samples: int = 20,
        dropout: float = 0.1,
        weight_decay: float = 0.01,
        learning_rate: float = 8e-3,
        max_epochs: int = 20,
        batch_size: int = 256,
        device: str = "auto",
        verbose: int = 0,
        random_state: int = 0,
    ):
        self.place, self.mirror, self.zoom = place, mirror, zoom
        self.hidden, self.n_train_samples, self.dropout = hidden, n_train_samples, dropout
        self.weight_decay, self.learning_rate = weight_decay, learning_rate
        self.max_epochs, self.batch_size = max_epochs, batch_size
        self.device, self.verbose, self.random_state = device, verbose, random_state

    def _build(self) -> LSTMNet:
        return LSTMNet(4 + 2 * self.place, self.n_steps_, self.hidden, self.dropout)

    def _features(self, cues: dict[str, Tensor]) -> tuple[Tensor]:
        """Of each step of the past: where it led, and the step; with ``place`` the place too."""
        past = cues["past"]
        features = [past[:, 1:], past.diff(dim=1) * self.n_past_]  # (B, n_past - 1, 2) each
        if self.place:
            features.append(cues["place"][:, None].expand_as(features[0]))
        return (torch.cat(features, 2),)

    def _context(self, encoded: Tensor, present: Tensor) -> Tensor:
        return encoded

    def _lesson_context(self, cues: dict[str, Tensor]) -> Tensor:
        return self.net_.encode(*self._features(cues))

    def _worth_trying(self, c: Tensor, z: Tensor, truth: Tensor) -> Tensor:
        """Only the latent of the nearest future: the gradient is the same, without the others."""
        with torch.no_grad():
            each = (self.net_.decode(c, z) - truth[:, None]).norm(dim=3).mean(2)  # (B, K)
        return torch.take_along_dim(z, each.argmin(1)[:, None, None], dim=1)  # (B, 1, 2)

    def decode(
        self,
        encoded: EncodedCues,
        rows: np.ndarray,
        present: np.ndarray,
        *,
        n_samples: int = 1,
        n_steps: int = 12,
        seeds: Any = None,
    ) -> np.ndarray:
        """Positions (R, n_samples, n_steps, 2) of coalitions, as for any network.

        Those that differ by neighbours alone are computed once.
        """
        pairs = np.stack([np.asarray(rows).astype(np.uint64), seeds_of(seeds, len(rows))])
        (row, seeds), back = np.unique(pairs, axis=1, return_inverse=True)
        found = super().decode(
            encoded, row.astype(np.int64), present[: len(row)], n_samples=n_samples,
            n_steps=n_steps, seeds=seeds,
        )  # fmt: skip
        return found[back.ravel()]
