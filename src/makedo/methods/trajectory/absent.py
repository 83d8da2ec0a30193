"""What stands where a cue is absent, and the rows that coalitions of cues become.

A target at its moment is a row of :class:`Games`: the players are its own past (player 0) and
groups of neighbours.  The position now always stays, since predictions are relative to it; the rule
says what the steps before it become:

* "static": the target stood there all the time;
* "constant_velocity": it came at its last velocity, so that only manoeuvres are absent;
* "random": it moved like another target, drawn once;
* "resample": like several others, over which v is averaged.

For a past there is no "other_time": it has to end where the target is now, and nobody else stood
there then; "random" comes nearest to it.  Nor can it be removed, since it holds the place.

An absent neighbour is:

* "removed";
* replaced by a "random" one that was as near to another target;
* replaced by who was in the scene at another time ("other_time"), see :class:`.nulls.OtherTimes`;
* "static" or at "constant_velocity": it stays, only its motion or its manoeuvres are absent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from makedo.data.windows import Cues

PASTS = ("static", "constant_velocity", "random", "resample")
STAND_INS = ("random", "other_time")  # somebody else in the seat of an absent neighbour
MOTIONS = ("static", "constant_velocity")  # the neighbour itself, with less motion
NEIGHBORS = ("removed", *STAND_INS, *MOTIONS)


def static(past: np.ndarray) -> np.ndarray:
    """The target stands at its place now.  past (n, n_past, 2) -> (n, 1, n_past, 2)."""
    return np.repeat(past[:, None, -1:], past.shape[1], axis=2)


def constant_velocity(past: np.ndarray) -> np.ndarray:
    """The target came at its last velocity, (n, 1, n_past, 2)."""
    velocity = past[:, -1] - past[:, -2]  # (n, 2)
    back = np.arange(1 - past.shape[1], 1)
    return (past[:, -1:] + back[:, None] * velocity[:, None])[:, None]


def of_neighbors(rule: str, tracks: np.ndarray) -> np.ndarray:
    """Neighbours (n, M, n_past, 2) with less motion; steps at which they were not seen stay NaN."""
    flat = tracks.reshape(-1, *tracks.shape[2:])
    less = {"static": static, "constant_velocity": constant_velocity}[rule](flat)
    return np.where(np.isnan(tracks), np.nan, less[:, 0].reshape(tracks.shape))


@dataclass(frozen=True)
class Games:
    """Games of the same length of past, one a row: what each player shows, and what stands for it.

    Attributes
    ----------
    cues : Cues of B rows
        All cues, with everybody present.
    absent_past : float ndarray of shape (B, D, n_past, 2)
        What stands for the past; values are averaged over the D ways.
    absent_neighbors : float ndarray of shape (B, M, n_past, 2), optional
        What stands for absent neighbours; those of NaN are removed, and all if it is None.
    player : int ndarray of shape (B, M)
        The player to which each neighbour belongs, from 1; 0 where there is none.
    seeds : uint64 ndarray of shape (B,)
        Of the random draws of a stochastic predictor: the same in all coalitions.
    future : float ndarray of shape (B, n_steps, 2)
    """

    cues: Cues
    absent_past: np.ndarray
    absent_neighbors: np.ndarray | None
    player: np.ndarray
    seeds: np.ndarray
    future: np.ndarray

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def n_players(self) -> np.ndarray:
        """How many players each game has, (B,)."""
        return self.player.max(1, initial=0) + 1

    def take(self, rows: np.ndarray) -> Games:
        """Some of the games."""
        absent = None if self.absent_neighbors is None else self.absent_neighbors[rows]
        return Games(
            self.cues.take(rows), self.absent_past[rows], absent, self.player[rows],
            self.seeds[rows], self.future[rows],
        )  # fmt: skip

    def seated(self, player: int, tracks: np.ndarray) -> Games:
        """The same games with others, (B, M, n_past, 2), in all seats of one player."""
        seats = (self.player == player)[..., None, None]
        neighbors = np.where(seats, tracks, self.cues.neighbors)
        return replace(self, cues=replace(self.cues, neighbors=neighbors))

    def compose(self, game: np.ndarray, draw: np.ndarray, members: np.ndarray) -> Cues:
        """The cues of coalitions.

        Parameters
        ----------
        game : int ndarray of shape (R,)
            Which game each row belongs to.
        draw : int ndarray of shape (R,)
            Which way of an absent past.
        members : bool ndarray of shape (R, N)
            Which players are there; columns beyond a game's own players do not matter.
        """
        cues = self.cues.take(game)
        past = np.where(members[:, :1, None], cues.past, self.absent_past[game, draw])
        shown = self.shown(game, members)
        if self.absent_neighbors is None:
            return replace(cues, past=past, present=shown)
        other = self.absent_neighbors[game]  # (R, M, n_past, 2)
        neighbors = np.where(shown[..., None, None], cues.neighbors, other)
        there = cues.present & (shown | np.isfinite(other[..., -1, 0]))
        return replace(cues, past=past, neighbors=neighbors, present=there)

    def shown(self, game: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Which neighbours are there in coalitions, (R, M)."""
        there = np.take_along_axis(members, self.player[game], axis=1)
        return there & self.cues.present[game]

    def variants(self) -> Cues:
        """All cues with each past there may be: with its own, then with each way of an absent one.

        Row ``game`` of the first B has the past, row ``(1 + draw) · B + game`` lacks it.
        """
        n_ways = 1 + self.absent_past.shape[1]
        pasts = [self.cues.past, *np.moveaxis(self.absent_past, 1, 0)]
        every = self.cues.take(np.tile(np.arange(len(self)), n_ways))
        return replace(every, past=np.concatenate(pasts))
