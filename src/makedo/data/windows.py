"""Windows cut out of tracks: what an agent and its neighbours did, and what the agent did next.

The same few lines serve training, tests and explanations, so that what a model may see
(:class:`Cues`) and what it is judged by (the future) are apart from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, Number, count, first
from makedo.core.seeds import derive
from makedo.data.tracks import OFF_GRID, Tracks

PAIRS = 1 << 21  # of a target and another agent that are looked at together
ENOUGH_GROUPS = 20  # below, the unit of resampling is a stretch of time, not a scene
BLOCK_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Cues:
    """What a predictor may see: pasts, never the future.  Positions in metres, as in the tracks.

    Parameters
    ----------
    past : float64 ndarray of shape (B, n_past, 2)
        The last one is now.
    neighbors : float64 ndarray of shape (B, M, n_past, 2)
        Nearest first; NaN before an agent appeared, and where ``present`` is False.
    present : bool ndarray of shape (B, M)
    kind : int32 ndarray of shape (B,)
    neighbor_kind : int32 ndarray of shape (B, M)
        -1 where there is none.
    seconds_per_step : float
    """

    past: np.ndarray
    neighbors: np.ndarray
    present: np.ndarray
    kind: np.ndarray
    neighbor_kind: np.ndarray
    seconds_per_step: float

    def __len__(self) -> int:
        return len(self.past)

    def take(self, rows: Any) -> Cues:
        """Some rows, by position, slice or mask."""
        names = ("past", "neighbors", "present", "kind", "neighbor_kind")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def alone(self) -> Cues:
        """The same without any neighbour."""
        return replace(self, present=np.zeros_like(self.present))


@dataclass(frozen=True, eq=False, repr=False)
class Windows:
    """Targets at moments: their past and future, and the pasts of who was near.

    Parameters
    ----------
    past : float64 ndarray of shape (n, n_past, 2)
    future : float64 ndarray of shape (n, n_future, 2)
    neighbors : float64 ndarray of shape (n, M, n_past, 2)
        Nearest first, NaN before an agent appeared (a gap counts as leaving and coming back).
    present : bool ndarray of shape (n, M)
    n_cut : int32 ndarray of shape (n,)
        Neighbours left out, as there were more than M.
    kind, neighbor_kind : int32 ndarray of shape (n,), (n, M)
        Position in ``kinds``; -1 where there is no neighbour.
    agent, neighbor_agent : ndarray of shape (n,), (n, M)
        The caller's ids; -1 or ``""`` where there is none: read ``present``.
    scene : object ndarray of shape (n,)
        Names.
    frame, time : float64 ndarray of shape (n,)
        Of the last position of the past: as the caller gave it, and in seconds.
    block : int32 ndarray of shape (n,)
        What is resampled for confidence intervals, as ``block_unit`` says.
    kinds : tuple of str
    seconds_per_step : float
    block_unit : str
        ``"groups of scenes"``, ``"scenes"`` or ``"blocks of 60 s"``.
    """

    past: np.ndarray
    future: np.ndarray
    neighbors: np.ndarray
    present: np.ndarray
    n_cut: np.ndarray
    kind: np.ndarray
    neighbor_kind: np.ndarray
    agent: np.ndarray
    neighbor_agent: np.ndarray
    scene: np.ndarray
    frame: np.ndarray
    time: np.ndarray
    block: np.ndarray
    kinds: tuple[str, ...]
    seconds_per_step: float
    block_unit: str

    def __len__(self) -> int:
        return len(self.past)

    def __repr__(self) -> str:
        return (
            f"Windows({count(len(self), 'target')}, {self.past.shape[1]} + {self.future.shape[1]} "
            f"steps, {self.present.sum(1).mean():.1f} neighbors)"
        )

    def __getitem__(self, rows: Any) -> Windows:
        return self.take(rows)

    def take(self, rows: Any) -> Windows:
        """Some targets, by position, slice or mask."""
        kept = ("kinds", "seconds_per_step", "block_unit")
        names = [f.name for f in fields(self) if f.name not in kept]
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def cues(self) -> Cues:
        """What a predictor may see of them."""
        parts = (self.past, self.neighbors, self.present, self.kind, self.neighbor_kind)
        return Cues(*parts, self.seconds_per_step)

    def seeds(self, random_state: int = 0) -> np.ndarray:
        """A seed for the random draws of each target, uint64 (n,), whatever rows stand beside it.

        From scene, frame and agent, so that all coalitions of one target get the same draws.
        """
        keys = zip(self.scene, self.frame, self.agent, strict=True)
        found = [derive(random_state, str(s), str(f), str(a)) for s, f, a in keys]
        return np.array(found, np.uint64)

    def as_learnt(self, kinds: Sequence[str], seconds_per_step: float, n_past: int) -> Windows:
        """The same for a model that learnt from others: kinds of agent numbered as it knows them.

        Raises
        ------
        MakedoInputError
            A step lasts longer or shorter than it learnt; another length of past; an agent of a
            kind that it has not seen.
        """
        if abs(self.seconds_per_step / seconds_per_step - 1) > OFF_GRID:
            raise MakedoInputError(
                f"a step of these tracks lasts {self.seconds_per_step:.3g} s, and fit has seen "
                f"steps of {seconds_per_step:.3g} s. Check the seconds per frame; else bring the "
                "tracks to that rate, or fit on tracks of this one."
            )
        if self.past.shape[1] != n_past:
            raise MakedoInputError(
                f"these windows have pasts of {self.past.shape[1]} steps, and fit has seen "
                f"{n_past}. Cut them with n_past={n_past}."
            )
        if self.kinds == tuple(kinds):
            return self
        used = np.unique(np.concatenate([self.kind, self.neighbor_kind[self.present]]))
        unknown = [self.kinds[k] for k in used if self.kinds[k] not in kinds]
        if unknown:
            raise MakedoInputError(
                f"agents are of a kind that fit has not seen ({first(unknown)}). It has seen "
                f"{first(kinds, 9)}. Fit on tracks that hold all kinds."
            )
        place = {kind: number for number, kind in enumerate(kinds)}
        number = np.array([*(place.get(kind, -1) for kind in self.kinds), -1], np.int32)
        return replace(
            self,
            kind=number[self.kind],
            neighbor_kind=number[self.neighbor_kind],
            kinds=tuple(kinds),
        )

    def table(self, positions: np.ndarray) -> pd.DataFrame:
        """Positions predicted for the targets, as a table.

        Parameters
        ----------
        positions : ndarray of shape (n, n_samples, n_steps, 2)

        Returns
        -------
        DataFrame
            scene, frame (of the last position seen), agent, sample, step, x, y.
        """
        row, sample, step = (a.ravel() for a in np.indices(positions.shape[:3]))
        return pd.DataFrame(
            {
                "scene": self.scene[row],
                "frame": self.frame[row],
                "agent": self.agent[row],
                "sample": sample,
                "step": step + 1,
                "x": positions[..., 0].ravel(),
                "y": positions[..., 1].ravel(),
            }
        )


def cut(
    tracks: Tracks,
    n_past: int = 8,
    n_future: int = 12,
    stride: int = 1,
    radius: float | None = None,
    max_neighbors: int | None = 12,
    targets: Sequence[str] | None = None,
) -> Windows:
    """Cut every full window out of tracks.

    A target has ``n_past + n_future`` positions in a row without a gap.  Its neighbours are the
    agents of its scene that are there now and were a step before, so that they have a velocity.

    Parameters
    ----------
    tracks : Tracks
    n_past, n_future : int, default=8 and 12
    stride : int, default=1
        Windows begin at each ``stride``-th step of a scene.
    radius : float, optional
        Metres from the target now within which an agent is a neighbour.  None: the whole scene.
    max_neighbors : int or None, default=12
        The nearest ones that are kept; None: all.
    targets : sequence of str, optional
        Kinds of agent that are targets.  Default: all.

    Raises
    ------
    MakedoInputError
        No agent has a full window; an unknown kind; a parameter that makes no sense.
    """
    _check(n_past, n_future, stride, radius, max_neighbors)
    now = _targets(tracks, n_past, n_future, stride, targets)
    found = _Neighbors(tracks, n_past, now)
    target, row, rank, n_found = found.nearest(radius)
    most = int(n_found.max(initial=0))
    M = max(1, most if max_neighbors is None else min(max_neighbors, most))
    kept = rank < M
    target, row, rank = target[kept], row[kept], rank[kept]
    neighbors = np.full((len(now), M, n_past, 2), np.nan)
    neighbors[target, rank] = _pasts(tracks, row, n_past)
    present = np.zeros((len(now), M), bool)
    present[target, rank] = True
    neighbor_kind = np.full((len(now), M), -1, np.int32)
    neighbor_kind[target, rank] = tracks.kind[row]
    text = tracks.agent.dtype == object
    neighbor_agent = np.full((len(now), M), "" if text else -1, tracks.agent.dtype)
    neighbor_agent[target, rank] = tracks.agent[row]
    back, ahead = np.arange(1 - n_past, 1), np.arange(1, n_future + 1)
    block, unit = _blocks(tracks, now, n_past + n_future)
    return Windows(
        past=tracks.xy[now[:, None] + back],
        future=tracks.xy[now[:, None] + ahead],
        neighbors=neighbors,
        present=present,
        n_cut=np.maximum(n_found - M, 0).astype(np.int32),
        kind=tracks.kind[now],
        neighbor_kind=neighbor_kind,
        agent=tracks.agent[now],
        neighbor_agent=neighbor_agent,
        scene=np.array(tracks.scenes, object)[tracks.scene[now]],
        frame=tracks.frame[now],
        time=tracks.frame[now] * _seconds_per_frame(tracks)[tracks.scene[now]],
        block=block,
        kinds=tracks.kinds,
        seconds_per_step=tracks.seconds_per_step,
        block_unit=unit,
    )


def _check(
    n_past: int, n_future: int, stride: int, radius: float | None, max_neighbors: int | None
) -> None:
    rules = {
        "n_past": (n_past, Number(2, integer=True)),
        "n_future": (n_future, Number(1, integer=True)),
        "stride": (stride, Number(1, integer=True)),
        "radius": (radius, Number(0, open_low=True, none=True)),
        "max_neighbors": (max_neighbors, Number(0, integer=True, none=True)),
    }
    for name, (value, rule) in rules.items():
        if not rule.accepts(value):
            raise MakedoInputError(f"cut: parameter {name} must be {rule}. Got {value!r}.")


def _targets(
    tracks: Tracks, n_past: int, n_future: int, stride: int, kinds: Sequence[str] | None
) -> np.ndarray:
    """Rows (n,) of the last observed position of each full window."""
    row = np.arange(len(tracks))
    run_end = np.searchsorted(tracks.run_start, tracks.run_start, side="right") - 1
    full = (row - tracks.run_start >= n_past - 1) & (run_end - row >= n_future)
    if kinds is not None:
        if unknown := [kind for kind in kinds if kind not in tracks.kinds]:
            raise MakedoInputError(
                f"cut: no agent is of the kind {first(unknown)}. There are {first(tracks.kinds, 9)}"
                "."
            )
        full &= np.isin(tracks.kind, [tracks.kinds.index(kind) for kind in kinds])
    if not full.any():
        longest = int((row - tracks.run_start).max(initial=0)) + 1
        raise MakedoInputError(
            f"no agent is seen at {n_past + n_future} steps in a row ({n_past} of the past "
            f"and {n_future} of the future); the longest stretch without a gap has "
            f"{count(longest, 'position')}. Lower n_past or n_future (on the command line --set "
            "n_past=4), or fill short gaps first."
        )
    return np.flatnonzero(full & ((tracks.step - (n_past - 1)) % stride == 0))


class _Neighbors:
    """Who is in the scene of each target now, found by sorting positions by scene and time."""

    def __init__(self, tracks: Tracks, n_past: int, now: np.ndarray):
        self.tracks, self.now = tracks, now
        seen_twice = np.arange(len(tracks)) > tracks.run_start  # there now and a step before
        rows = np.flatnonzero(seen_twice)
        order = np.lexsort((tracks.step[rows], tracks.scene[rows]))
        self.rows = rows[order]
        span = int(tracks.step.max(initial=0)) + 1
        moment = tracks.scene.astype(np.int64) * span + tracks.step  # one number a scene and step
        self.begin = np.searchsorted(moment[self.rows], moment[now], side="left")
        self.stop = np.searchsorted(moment[self.rows], moment[now], side="right")

    def nearest(
        self, radius: float | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of a target and a neighbour's row, with the neighbour's rank by distance.

        Returns
        -------
        target, row, rank : (n_pairs,)
        n_found : (n,)
        """
        parts = [self._pairs(some, radius) for some in self._chunks()]
        target, row = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        n_found = np.bincount(target, minlength=len(self.now))
        rank = np.arange(len(target)) - np.repeat(np.cumsum(n_found) - n_found, n_found)
        return target, row, rank, n_found

    def _chunks(self) -> Iterator[np.ndarray]:
        """Targets whose pairs fit into memory together."""
        total = np.cumsum(self.stop - self.begin) // PAIRS
        return iter(np.split(np.arange(len(self.now)), np.flatnonzero(np.diff(total)) + 1))

    def _pairs(self, some: np.ndarray, radius: float | None) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of these targets, nearest first in each."""
        sizes = self.stop[some] - self.begin[some]
        first_pair = np.cumsum(sizes) - sizes
        within = np.arange(sizes.sum()) - np.repeat(first_pair, sizes)
        target = np.repeat(some, sizes)
        row = self.rows[np.repeat(self.begin[some], sizes) + within]
        xy = self.tracks.xy
        distance = np.linalg.norm(xy[row] - xy[self.now[target]], axis=1)
        kept = row != self.now[target]
        if radius is not None:
            kept &= distance <= radius
        target, row, distance = target[kept], row[kept], distance[kept]
        order = np.lexsort((row, distance, target))
        return target[order], row[order]


def _pasts(tracks: Tracks, row: np.ndarray, n_past: int) -> np.ndarray:
    """Positions up to each row (n, n_past, 2), NaN before its stretch without gaps begins."""
    places = row[:, None] + np.arange(1 - n_past, 1)
    seen = places >= tracks.run_start[row][:, None]
    return np.where(seen[..., None], tracks.xy[np.maximum(places, 0)], np.nan)


def _seconds_per_frame(tracks: Tracks) -> np.ndarray:
    """Seconds in one frame of the caller's, for each scene, (n_scenes,)."""
    on = np.flatnonzero(~tracks.starts_track)  # rows with one of the same agent before them
    steps, frames = (values[on] - values[on - 1] for values in (tracks.step, tracks.frame))
    found = np.ones(len(tracks.scenes))
    found[tracks.scene[on]] = steps * tracks.seconds_per_step / frames
    return found


def _blocks(tracks: Tracks, now: np.ndarray, n_steps: int) -> tuple[np.ndarray, str]:
    """What is resampled: groups of scenes where there are enough, else stretches of time.

    Windows overlap, so targets of one stretch are not independent.
    """
    group = np.unique(np.array(tracks.groups, object).astype(str), return_inverse=True)[1]
    block = group[tracks.scene[now]]
    if len(np.unique(block)) >= ENOUGH_GROUPS:
        unit = "scenes" if tracks.groups == tracks.scenes else "groups of scenes"
        return block.astype(np.int32), unit
    # A stretch is at least as long as two windows.
    length = max(BLOCK_SECONDS, 2 * n_steps * tracks.seconds_per_step)
    part = (tracks.step[now] * tracks.seconds_per_step // length).astype(np.int64)
    key = tracks.scene[now].astype(np.int64) * (int(part.max(initial=0)) + 1) + part
    return np.unique(key, return_inverse=True)[1].astype(np.int32), f"blocks of {length:g} s"
