"""Neighbours that cannot matter: somebody from elsewhere, or from another time at the same place.

A *random neighbour* moves relative to our target as a neighbour of somebody else, in another scene
or long before or after, moved relative to that target.  A model that uses interaction must not gain
by it.  The largest of n noisy values lies above zero even where there is nothing, so the largest
value of n real neighbours is compared with that of n random ones of the same target: in a game
where all neighbours are random, or of each in the seat of a real one while the others stay.

Neighbours *of another time* stand where others stood at another moment of the same scene.  They ask
another question: do neighbours only give the place away?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.core.seeds import generator
from makedo.methods.trajectory.draws import uniform

if TYPE_CHECKING:
    from makedo.data.windows import Windows

NULLS = ("random_neighbor", "other_time", "both", "none")
LONG_AGO = 60.0  # seconds, and at least the length of two windows
MOST_DONORS = 2_000  # neighbours of each kind that are remembered
TRIES = 16  # for a donor that is far enough, before a target goes without


def drawn(seeds: np.ndarray, n: int, stream: int) -> np.ndarray:
    """Numbers in (0, 1), n for each seed, (len(seeds), n); another stream has others."""
    with np.errstate(over="ignore"):
        return uniform(seeds + np.uint64(stream) * np.uint64(2**32 + 1), n)


def heading(past: np.ndarray) -> np.ndarray:
    """Direction of the last movement, in radians, (n,); of one who never moved 0."""
    step = np.diff(past, axis=1)  # (n, n_past - 1, 2)
    moved = np.linalg.norm(step, axis=-1) > 1e-6
    last = moved.shape[1] - 1 - moved[:, ::-1].argmax(1)
    dx, dy = step[np.arange(len(past)), last].T
    return np.where(moved.any(1), np.arctan2(dy, dx), 0.0)


def rotated(tracks: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Tracks (n, ..., 2) turned about the origin by angle (n,)."""
    shape = (-1,) + (1,) * (tracks.ndim - 2)
    c, s = np.cos(angle).reshape(shape), np.sin(angle).reshape(shape)
    x, y = tracks[..., 0], tracks[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], axis=-1)


# --- from elsewhere -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Donors:
    """Neighbours and pasts as seen from some target, remembered from the fit.

    Attributes
    ----------
    track : ndarray of shape (D, n_past, 2)
        A neighbour's steps relative to its target's place now, turned so that the target heads
        along x.
    kind : ndarray of shape (D,)
        Name of the neighbour's kind.
    past : ndarray of shape (D, n_past, 2)
        The target's own, relative to its place now; not turned, since an absent past must not tell
        where the target heads.
    scene, time : ndarray of shape (D,)
        Where and when (seconds) that was.
    apart : float
        Seconds that a donor of the same scene must be away.
    """

    track: np.ndarray
    kind: np.ndarray
    past: np.ndarray
    scene: np.ndarray
    time: np.ndarray
    apart: float

    def __len__(self) -> int:
        return len(self.track)

    @classmethod
    def of(cls, windows: Windows, random_state: int = 0) -> Donors:
        """Up to 2,000 random neighbours of each kind."""
        target, slot = np.nonzero(windows.present)
        kind = windows.neighbor_kind[target, slot]
        rng = generator(random_state, "donors")
        chosen = [
            np.sort(rng.permutation(np.flatnonzero(kind == k))[:MOST_DONORS])
            for k in np.unique(kind)
        ]
        rows = np.concatenate([*chosen, np.zeros(0, int)]).astype(int)
        target, slot, kind = target[rows], slot[rows], kind[rows]
        now, back = windows.past[target, -1:], -heading(windows.past[target])
        n_steps = windows.past.shape[1] + windows.future.shape[1]
        return cls(
            rotated(windows.neighbors[target, slot] - now, back),
            np.array(windows.kinds, object)[kind],
            windows.past[target] - now,
            windows.scene[target],
            windows.time[target],
            max(LONG_AGO, 2 * n_steps * windows.seconds_per_step),
        )

    def neighbors(self, windows: Windows, seeds: np.ndarray) -> np.ndarray:
        """A donor of the same kind in the place of each neighbour, (n, M, n_past, 2).

        It keeps its place relative to the target's direction.  NaN where there is none to be had.
        """
        n, M = windows.present.shape
        found = np.full((n, M, *self.track.shape[1:]), np.nan)
        turn = heading(windows.past)
        for k in np.unique(windows.neighbor_kind[windows.present]):
            pool = np.flatnonzero(self.kind == windows.kinds[k])
            wanted = windows.present & (windows.neighbor_kind == k)
            donor = self._pick(pool, windows, seeds, M, stream=1)  # (n, M); -1: none
            target, slot = np.nonzero(wanted & (donor >= 0))
            tracks = rotated(self.track[donor[target, slot]], turn[target])
            found[target, slot] = tracks + windows.past[target, -1:]
        return found

    def pasts(self, windows: Windows, seeds: np.ndarray, n_draws: int) -> np.ndarray:
        """Pasts of others that end where our targets are, (n, n_draws, n_past, 2)."""
        donor = self._pick(np.arange(len(self)), windows, seeds, n_draws, stream=2)
        tracks = self.past[donor] + windows.past[:, None, -1:]
        tracks[donor < 0] = np.nan
        return tracks

    def _pick(
        self, pool: np.ndarray, windows: Windows, seeds: np.ndarray, n_draws: int, stream: int
    ) -> np.ndarray:
        """Donors (n, n_draws) that are elsewhere or long ago; -1 where no try found one."""
        donor = np.full((len(windows), n_draws), -1)
        if not len(pool):
            return donor
        for attempt in range(TRIES):
            open_ = donor < 0
            if not open_.any():
                break
            at = drawn(seeds, n_draws, stream + 16 * attempt) * len(pool)
            tried = pool[at.astype(int)]
            near = np.abs(self.time[tried] - windows.time[:, None]) < self.apart
            same = self.scene[tried] == windows.scene[:, None]
            donor = np.where(open_ & ~(same & near), tried, donor)
        return donor

    # --- a model directory ------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """What a model directory holds of it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Donors:
        """The inverse of :meth:`to_state`."""
        return cls(**state)


# --- from another time ----------------------------------------------------------------------------


class OtherTimes:
    """Who else was where in a scene at other times.

    Parameters
    ----------
    windows : Windows
        What is known of the scenes: targets and their neighbours at all moments.
    """

    def __init__(self, windows: Windows):
        self.windows = windows
        n_steps = windows.past.shape[1] + windows.future.shape[1]
        self.apart = max(LONG_AGO, 2 * n_steps * windows.seconds_per_step)
        keys = list(zip(windows.scene, windows.time.tolist(), strict=True))
        self._rows: dict[tuple[Any, float], list[int]] = {}
        for row, key in enumerate(keys):
            self._rows.setdefault(key, []).append(row)
        self._times = {
            scene: np.array(sorted({t for s, t in self._rows if s == scene}))
            for scene in dict.fromkeys(windows.scene)
        }

    def neighbors(
        self, windows: Windows, seeds: np.ndarray, radius: float | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The agents of one other moment, nearest first, where they were.

        Returns
        -------
        neighbors : (n, M, n_past, 2), present : (n, M), kind : (n, M)
        """
        n, M = windows.present.shape
        found = np.full((n, M, windows.past.shape[1], 2), np.nan)
        present, kind = np.zeros((n, M), bool), np.full((n, M), -1, np.int32)
        for i, (tracks, kinds) in enumerate(self._everybody(windows, seeds, radius)):
            m = min(M, len(tracks))
            found[i, :m], kind[i, :m], present[i, :m] = tracks[:m], kinds[:m], True
        return found, present, kind

    def in_seats(self, windows: Windows, seeds: np.ndarray, radius: float | None) -> np.ndarray:
        """Who stood there at another time, in the seats of the neighbours, (n, M, n_past, 2).

        Of each kind of agent the i-th nearest neighbour gives its seat to the i-th nearest of the
        other moment, whose place is kept.  NaN where there is none; those of the other moment for
        whom there is no seat are left out.
        """
        found = np.full((*windows.present.shape, windows.past.shape[1], 2), np.nan)
        for i, (tracks, kinds) in enumerate(self._everybody(windows, seeds, radius)):
            for k in np.unique(windows.neighbor_kind[i, windows.present[i]]):
                seats = np.flatnonzero(windows.present[i] & (windows.neighbor_kind[i] == k))
                others = tracks[kinds == k][: len(seats)]
                found[i, seats[: len(others)]] = others
        return found

    def _everybody(
        self, windows: Windows, seeds: np.ndarray, radius: float | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Tracks and kinds of the agents of one other moment of each target, nearest first."""
        u = drawn(seeds, 1, stream=3)[:, 0]
        for i in range(len(windows)):
            moment = self._moment(windows.scene[i], windows.time[i], u[i])
            if moment is None:
                yield np.zeros((0, windows.past.shape[1], 2)), np.zeros(0, np.int32)
                continue
            tracks, kinds, who = self._agents(windows.scene[i], moment)
            distance = np.linalg.norm(tracks[:, -1] - windows.past[i, -1], axis=1)
            kept = who != windows.agent[i]
            if radius is not None:
                kept &= distance <= radius
            nearest = np.flatnonzero(kept)[np.argsort(distance[kept], kind="stable")]
            yield tracks[nearest], kinds[nearest]

    def _moment(self, scene: Any, time: float, u: float) -> float | None:
        times = self._times.get(scene, np.zeros(0))
        far = times[np.abs(times - time) >= self.apart]
        return float(far[int(u * len(far))]) if len(far) else None

    def _agents(self, scene: Any, time: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tracks, kinds and ids of all who are known to be there, each once."""
        w, rows = self.windows, self._rows[scene, time]
        there = w.present[rows]
        tracks = np.concatenate([w.past[rows], w.neighbors[rows][there]])
        kinds = np.concatenate([w.kind[rows], w.neighbor_kind[rows][there]])
        who = np.concatenate([w.agent[rows], w.neighbor_agent[rows][there]])
        once = np.unique(who.astype(str) if who.dtype == object else who, return_index=True)[1]
        return tracks[once], kinds[once], who[once]
