"""Positions as a target sees them: from where it is now, facing where it goes.

On a map whose quarters are alike they are seen as from one of these instead.  All of it comes from
the past that is given.  Where an explanation takes the past away, the agent stands still and has no
direction; the frame is then that of the map, and tells nothing of the past.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from makedo.data.windows import Cues

STANDS = 1e-6  # metres; who moved less during the past has no direction


@dataclass(frozen=True)
class LocalFrame:
    """A place and a direction for each row.

    Parameters
    ----------
    origin : float64 ndarray of shape (B, 2)
        Where the target is now.
    ahead : float64 ndarray of shape (B, 2)
        Unit vector from the first position of the past to the last; (1, 0) where it stands.
    side : float64 ndarray of shape (B, 2)
        -1 where an axis is seen in a mirror, else 1.
    """

    origin: np.ndarray
    ahead: np.ndarray
    side: np.ndarray

    @classmethod
    def of(
        cls, past: np.ndarray, *, turned: bool = True, middle: np.ndarray | None = None
    ) -> LocalFrame:
        """The frame of pasts (B, n_past, 2).

        Parameters
        ----------
        past : ndarray of shape (B, n_past, 2)
        turned : bool
            False: the axes are those of the map.
        middle : ndarray of shape (2,), optional
            Of a map whose four quarters are alike: each axis points to the middle, and a target
            sees the same whichever quarter it is in.  Only without turning.
        """
        side = np.ones((len(past), 2))
        if middle is not None:
            side[past[:, -1] > middle] = -1.0
        ahead = np.zeros((len(past), 2))
        ahead[:, 0] = 1.0
        if turned:
            way = past[:, -1] - past[:, 0]
            length = np.linalg.norm(way, axis=1)
            moved = length > STANDS
            ahead[moved] = way[moved] / length[moved, None]
        return cls(past[:, -1], ahead, side)

    def take(self, rows: np.ndarray) -> LocalFrame:
        """Some rows, repeated or not."""
        return LocalFrame(self.origin[rows], self.ahead[rows], self.side[rows])

    def enter(self, xy: np.ndarray) -> np.ndarray:
        """Positions (B, …, 2) of the map as the target sees them."""
        middle = (1,) * (xy.ndim - 2)
        return self.turn(xy - self.origin.reshape(-1, *middle, 2), back=False)

    def leave(self, xy: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`enter`."""
        middle = (1,) * (xy.ndim - 2)
        return self.turn(xy, back=True) + self.origin.reshape(-1, *middle, 2)

    def turn(self, xy: np.ndarray, *, back: bool) -> np.ndarray:
        """Only the rotation and the mirror, of vectors (B, …, 2)."""
        middle = (1,) * (xy.ndim - 2)
        cos, sin = (self.ahead[:, i].reshape(-1, *middle) for i in (0, 1))
        side = self.side.reshape(-1, *middle, 2)
        if back:
            sin, xy = -sin, xy * side
        x, y = xy[..., 0], xy[..., 1]
        turned = np.stack([cos * x + sin * y, cos * y - sin * x], axis=-1)
        return turned if back else turned * side


@dataclass(frozen=True)
class Relations:
    """What a neighbour is to a target, learnt from which kinds are targets.

    Opponents are the same to both teams, and so is the ball: 0 is an agent of the target's own
    kind, 1 one of another kind that is predicted too, and each kind that never is has its number.

    Parameters
    ----------
    of_kind : int32 ndarray of shape (n_kinds,)
        1 for kinds that are targets, 2 and more for others.
    """

    of_kind: np.ndarray

    @classmethod
    def learn(cls, cues: Cues, n_kinds: int) -> Relations:
        """From the targets of training."""
        of_kind = np.ones(n_kinds, np.int32)
        others = np.setdiff1d(np.arange(n_kinds), np.unique(cues.kind))
        of_kind[others] = 2 + np.arange(len(others))
        return cls(of_kind)

    @property
    def n(self) -> int:
        """How many relations there are."""
        return int(self.of_kind.max(initial=1)) + 1

    def __call__(self, cues: Cues) -> np.ndarray:
        """Relation (B, M) int of each neighbour; 0 where there is none."""
        known = np.clip(cues.neighbor_kind, 0, len(self.of_kind) - 1)
        same = cues.neighbor_kind == cues.kind[:, None]
        return np.where(same | (cues.neighbor_kind < 0), 0, self.of_kind[known])
