"""Who was where, and when: positions of agents in metres, at steps of one length.

Everything is an array with a row for each position, sorted by scene, agent and time.  A *scene* is
what agents can meet in: a recording, a play of a game.  A *step* is the usual distance of two
positions of an agent in time; where an agent is not seen for a step there is a gap, and nothing is
filled in.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.times import date
from makedo.data.track_places import DEGREES, from_degrees
from makedo.data.track_reading import Columns, Rows, read_rows
from makedo.data.track_steps import OFF_GRID, changes, resampled, starts

METRES = {"m": 1.0, "ft": 0.3048, "km": 1000.0, "cm": 0.01, "mm": 0.001, "yd": 0.9144}
NUMBERS = (int, float, np.integer, np.floating)
A_YEAR = 3.2e7  # seconds; frames that are dates are more, since 1970
MAX_SPEED = 15.0  # metres per second; nobody walks or runs faster
MIN_SPEED = 0.1  # metres per second; where nobody is faster, the clock or the unit may be wrong


@dataclass(frozen=True, eq=False, repr=False)
class Tracks:
    """Positions of agents over time, sorted by scene, agent and step.

    Make one with :meth:`read` or :meth:`from_arrays`.

    Parameters
    ----------
    scenes : tuple of str
        Names of the scenes.
    groups : tuple of str of length n_scenes
        What each scene belongs to, such as the game of a play; the scene itself where nobody told.
    kinds : tuple of str
        Names of the kinds of agent.
    scene : int32 ndarray of shape (n,)
        Position in ``scenes``.
    agent : ndarray of shape (n,)
        The caller's id, int64 or text; the same id in two scenes is two agents.
    step : int64 ndarray of shape (n,)
        Time in steps since the scene's first position.
    frame : float64 ndarray of shape (n,)
        The same time, as the caller gave it.
    xy : float64 ndarray of shape (n, 2)
        Metres.
    kind : int32 ndarray of shape (n,)
        Position in ``kinds``.
    seconds_per_step : float

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"frame": [0, 10, 20, 0, 10], "agent": [1, 1, 1, 2, 2],
    ...     "x": [0.0, 0.5, 1.0, 3.0, 3.0], "y": 0.0})
    >>> Tracks.read(table, seconds_per_frame=0.04)
    Tracks(5 positions, 2 agents, 1 scene, 0.4 s a step)
    """

    scenes: tuple[str, ...]
    groups: tuple[str, ...]
    kinds: tuple[str, ...]
    scene: np.ndarray
    agent: np.ndarray
    step: np.ndarray
    frame: np.ndarray
    xy: np.ndarray
    kind: np.ndarray
    seconds_per_step: float

    def __repr__(self) -> str:
        sizes = (len(self), "position"), (self.n_agents, "agent"), (len(self.scenes), "scene")
        words = ", ".join(count(n, noun) for n, noun in sizes)
        return f"Tracks({words}, {self.seconds_per_step:.3g} s a step)"

    def __len__(self) -> int:
        return len(self.step)

    @property
    def n_agents(self) -> int:
        """How many agents there are, each counted once a scene."""
        return int(self.starts_track.sum())

    @cached_property
    def starts_track(self) -> np.ndarray:
        """Whether a row is the first of its agent, bool (n,)."""
        return changes(self.scene) | changes(self.agent)

    @cached_property
    def run_start(self) -> np.ndarray:
        """First row of the stretch without gaps that a row lies in, int64 (n,)."""
        starts = self.starts_track | (np.diff(self.step, prepend=-1) != 1)
        return np.maximum.accumulate(np.where(starts, np.arange(len(self)), 0))

    # --- making one -------------------------------------------------------------------------------

    @classmethod
    def read(
        cls,
        source: Any,
        *,
        scene: str | None = None,
        frame: str = "frame",
        agent: str = "agent",
        x: str = "x",
        y: str = "y",
        kind: str | None = None,
        group: str | None = None,
        seconds_per_frame: float | None = None,
        seconds_per_step: float | None = None,
        unit: str | float = "m",
        max_speed: float | None = MAX_SPEED,
    ) -> Tracks:
        """Read positions from a table or files.

        Parameters
        ----------
        source : Tracks, table, str, Path, or sequence of paths
            Tracks stay as they are.  A pandas or polars frame or Arrow table; a file, a folder or a
            pattern such as ``"data/*.txt"``.  Files: ``.txt`` with ``frame agent x y`` in each line
            and no header (ETH/UCY), csv, tsv, jsonl and parquet with named columns, TrajNet++
            ``.ndjson``, each also ``.gz``; npz with such columns, or with ``xy`` (n_steps,
            n_agents, 2), NaN where an agent is not there.
        scene : str, optional
            Column that tells scenes apart.  Default: the column "scene", if there is one; else each
            file is a scene, named like it; like its folder too, where files of two folders have one
            name.
        frame, agent, x, y : str
            Columns; upper and lower case are alike.  ``frame`` counts frames or seconds.
        kind, group : str, optional
            Columns: what an agent is (pedestrian, ball; default: the column "kind", if there is
            one), and what a scene is part of (a game).
        seconds_per_frame : float
            How long one unit of ``frame`` lasts: 1/25 at 25 frames a second, 1 where ``frame``
            is in seconds.  Only TrajNet++ says it itself.
        seconds_per_step : float, optional
            Bring all positions to steps of this length, such as 0.4 where a camera has 25 frames
            a second or a clock jitters: a position within 5 % of a step is taken as it is, others
            are interpolated linearly, except where an agent is missing for longer than a step.
            An interpolated one knows something of the next position, at most their distance ahead.
            Default: a step is the most frequent distance of two positions.
        unit : str or float, default="m"
            Of ``x`` and ``y``: m, ft, km, cm, mm, yd, or how many metres one unit is; ``"deg"``
            where ``x`` is the longitude and ``y`` the latitude, which become metres east and north
            of a whole degree near the middle of the scene.
        max_speed : float or None, default=15
            Metres per second above which a warning asks whether the units are right; None: never.

        Raises
        ------
        MakedoInputError
            A column is missing; positions or frames that are no numbers; an agent twice at one
            frame; frames between the steps; scenes whose steps differ in length; no frame rate;
            a ``seconds_per_step`` shorter than the distance of the positions.

        Warns
        -----
        MakedoWarning
            Speeds above ``max_speed`` or all very low; a frame rate that is not that of the file;
            rows of an agent that are not in the order of time; agents that are seen too seldom to
            be targets or neighbours.
        """
        if isinstance(source, Tracks):
            return source
        metres = None if unit == DEGREES else _metres(unit)
        rows = read_rows(source, Columns(scene, frame, agent, x, y, kind, group))
        return cls._from_rows(rows, seconds_per_frame, seconds_per_step, metres, max_speed)

    @classmethod
    def from_arrays(
        cls,
        xy: Any,
        *,
        seconds_per_step: float,
        unit: str | float = "m",
        agent: Sequence[Any] | None = None,
        kind: Sequence[str] | None = None,
        scene: str = "scene",
        max_speed: float | None = MAX_SPEED,
    ) -> Tracks:
        """Tracks of one scene from an array.

        Parameters
        ----------
        xy : array-like of shape (n_steps, n_agents, 2)
            NaN where an agent is not there.
        seconds_per_step : float
        unit, max_speed
            As in :meth:`read`.
        agent, kind : sequence of length n_agents, optional
            Ids (default: 0, 1 …) and kinds.
        scene : str
        """
        rows = Rows.from_arrays(np.asarray(xy, np.float64), agent, kind, scene)
        return cls._from_rows(rows, seconds_per_step, None, _metres(unit), max_speed)

    @classmethod
    def _from_rows(
        cls,
        rows: Rows,
        seconds_per_frame: float | None,
        seconds_per_step: float | None,
        metres: float | None,
        max_speed: float | None,
    ) -> Tracks:
        rows.check_numbers()
        rows = from_degrees(rows) if metres is None else replace(rows, xy=rows.xy * metres)
        order = np.lexsort((rows.frame, rows.agent_code, rows.scene))
        _warn_of_disorder(rows, order)
        rows = rows.take(order)
        _check_once(rows)
        seconds_per_frame, given = _seconds_per_frame(rows, seconds_per_frame), rows
        if seconds_per_step is None:
            step, frames_per_step = _steps(rows)
            seconds = _seconds_per_step(rows, frames_per_step * seconds_per_frame)
        else:
            seconds = _positive("seconds_per_step", seconds_per_step)
            rows = resampled(rows, seconds / seconds_per_frame)
            step = np.round((rows.frame - starts(rows)) / (seconds / seconds_per_frame)).astype(int)
        tracks = cls(
            rows.scenes, rows.groups, rows.kinds, rows.scene, rows.agent, step, rows.frame,
            rows.xy, rows.kind, seconds,
        )  # fmt: skip
        _warn_of_slow(given, tracks, seconds / seconds_per_frame)
        if max_speed is not None:
            _warn_of_speed(tracks, max_speed, rows.where)
        return tracks

    # --- parts of it ------------------------------------------------------------------------------

    def select(self, kept: np.ndarray) -> Tracks:
        """Only the positions in the mask ``kept`` (n,); scenes keep their numbers and clocks."""
        rows = ("scene", "agent", "step", "frame", "xy", "kind")
        return replace(self, **{name: getattr(self, name)[kept] for name in rows})

    def of_scenes(self, chosen: Sequence[str] | Callable[[str], bool]) -> Tracks:
        """Only some scenes, by name or by what a function says of the name."""
        if callable(chosen):
            inside = np.array([bool(chosen(name)) for name in self.scenes])
        else:
            if unknown := [name for name in chosen if name not in self.scenes]:
                raise MakedoInputError(
                    f"{count(len(unknown), 'scene')} not in the tracks (first: {first(unknown)}). "
                    f"There are {first(self.scenes, 12)}."
                )
            inside = np.isin(self.scenes, list(chosen))
        place = np.cumsum(inside) - 1
        part = self.select(inside[self.scene])
        return Tracks(
            tuple(np.array(self.scenes, object)[inside]),
            tuple(np.array(self.groups, object)[inside]),
            self.kinds, place[part.scene].astype(np.int32), part.agent, part.step, part.frame,
            part.xy, part.kind, self.seconds_per_step,
        )  # fmt: skip

    def speeds(self) -> np.ndarray:
        """Metres per second of each step from one position to the next, without gaps."""
        inside = self.run_start[1:] == self.run_start[:-1]
        return np.linalg.norm(np.diff(self.xy, axis=0)[inside], axis=1) / self.seconds_per_step

    def to_frame(self) -> pd.DataFrame:
        """A row for each position: scene, frame, agent, x, y, kind."""
        return pd.DataFrame(
            {
                "scene": np.array(self.scenes, object)[self.scene],
                "frame": self.frame,
                "agent": self.agent,
                "x": self.xy[:, 0],
                "y": self.xy[:, 1],
                "kind": np.array(self.kinds, object)[self.kind],
            }
        )

    # --- a model directory ------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """What a model directory holds of it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Tracks:
        """The inverse of :meth:`to_state`."""
        names = ("scenes", "groups", "kinds")
        return cls(**{**state, **{name: tuple(state[name]) for name in names}})


# --- checks ---------------------------------------------------------------------------------------


APART = (
    "name the column that tells them apart with scene= (on the command line --columns scene=NAME)."
)


def _when(rows: Rows, i: int) -> str:
    """The time of a row as the caller gave it: a frame, or a date."""
    frame = rows.frame[i]
    dated = rows.seconds_per_frame == 1.0 and frame > A_YEAR
    return date(frame) if dated else f"{frame:.12g}"


def _in_scene(rows: Rows | Tracks, i: Any) -> str:
    """Where a row is, if there are several scenes."""
    return f" in scene {rows.scenes[rows.scene[i]]!r}" if len(rows.scenes) > 1 else ""


def _metres(unit: str | float) -> float:
    """How many metres one unit is."""
    if isinstance(unit, str) and unit in METRES:
        return METRES[unit]
    if isinstance(unit, NUMBERS) and not isinstance(unit, bool) and 0 < unit < np.inf:
        return float(unit)
    raise MakedoInputError(
        f"unit must be one of {', '.join(METRES)}, {DEGREES} (longitude and latitude), or how many "
        f"metres one unit is. Got {unit!r}."
    )


def _warn_of_disorder(rows: Rows, order: np.ndarray) -> None:
    same = (rows.agent_code[order[1:]] == rows.agent_code[order[:-1]]) & (
        rows.scene[order[1:]] == rows.scene[order[:-1]]
    )
    back = same & (np.diff(order) < 0)
    if back.any():
        who = pd.unique(rows.agent[order[1:][back]])
        warnings.warn(
            f"{rows.where}: rows of {count(len(who), 'agent')} are not in the order of time "
            f"(first: {first(who)}) and are sorted. If the file holds several recordings, {APART}",
            MakedoWarning,
            stacklevel=4,
        )


def _check_once(rows: Rows) -> None:
    """Refuse an agent that is at two places at once."""
    again = np.concatenate([[False], np.diff(rows.frame) == 0])
    again &= ~(changes(rows.agent_code) | changes(rows.scene))
    if again.any():
        pairs = [
            f"{rows.agent[i]} at {_when(rows, i)}{_in_scene(rows, i)}"
            for i in np.flatnonzero(again)[:3]
        ]
        raise MakedoInputError(
            f"{rows.where}: {count(int(again.sum()), 'row')} of {len(rows):,} give an agent a "
            f"second position at the same frame (first: {first(pairs)}). Keep one, such as by "
            f"drop_duplicates of pandas; if a file holds several recordings, {APART}"
        )


def _steps(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Steps since the scene's first frame (n,), and frames in a step of each scene (n_scenes,).

    A scene's step is the most frequent distance of two frames of an agent.
    """
    inside = ~(changes(rows.agent_code) | changes(rows.scene))
    distance = np.diff(rows.frame, prepend=np.nan)[inside].round(6)
    times: Any = pd.Series(1, index=[rows.scene[inside], distance]).groupby(level=[0, 1]).size()
    often = times.sort_values(ascending=False, kind="stable").index.to_frame(index=False)
    by_scene = often.drop_duplicates(0).set_index(0)[1]
    usual = float(by_scene.mode().iloc[0]) if len(by_scene) else 1.0
    per_step = by_scene.reindex(range(len(rows.scenes)), fill_value=usual).to_numpy(np.float64)
    exact = (rows.frame - starts(rows)) / per_step[rows.scene]
    step = np.round(exact)
    off = np.abs(exact - step) > OFF_GRID
    if off.any():
        raise MakedoInputError(
            f"{rows.where}: {count(int(off.sum()), 'row')} of {len(rows):,} lie between the steps "
            f"(first: frame {_when(rows, int(off.argmax()))} of agent {first(rows.agent[off], 1)}"
            f"{_in_scene(rows, int(off.argmax()))}, where a step is usually "
            f"{per_step[rows.scene[off][0]]:g} frames). Say seconds_per_step= (on "
            "the command line --seconds-per-step), and positions are interpolated to such steps."
        )
    return step.astype(np.int64), per_step


def _positive(name: str, given: Any) -> float:
    if not isinstance(given, NUMBERS) or isinstance(given, bool) or not 0 < given < np.inf:
        raise MakedoInputError(f"{name} must be a number above 0. Got {given!r}.")
    return float(given)


def _seconds_per_frame(rows: Rows, given: float | None) -> float:
    """What the caller says, else what the source says."""
    told = rows.seconds_per_frame
    if given is None and told is None:
        raise MakedoInputError(
            f"{rows.where}: how long does a frame last? Say seconds_per_frame= (on the command "
            "line --seconds-per-frame), for example 0.04 at 25 frames a second, 1 where the frames "
            "are seconds, 0.001 where they are milliseconds."
        )
    found = _positive("seconds_per_frame", told if given is None else given)
    if told is not None and abs(found / told - 1) > OFF_GRID:
        warnings.warn(
            f"{rows.where}: a frame lasts {told:.3g} s by the file itself, and "
            f"seconds_per_frame={found:g} is taken. Leave it out if the file is right.",
            MakedoWarning,
            stacklevel=5,
        )
    return found


def _seconds_per_step(rows: Rows, seconds: np.ndarray) -> float:
    """The step of all scenes, from that of each."""
    usual = float(pd.Series(seconds).mode().iloc[0])
    other = np.abs(seconds / usual - 1) > OFF_GRID
    if other.any():
        names = [f"{rows.scenes[i]} {seconds[i]:.3g} s" for i in np.flatnonzero(other)]
        raise MakedoInputError(
            f"{rows.where}: {count(len(names), 'scene')} of {len(seconds):,} with steps of another "
            f"length than {usual:.3g} s (first: {first(names)}). Bring all scenes to one rate with "
            "seconds_per_step= (on the command line --seconds-per-step)."
        )
    return usual


def _warn_of_slow(given: Rows, tracks: Tracks, frames_per_step: float) -> None:
    """Say who was seen for longer than a step, yet never twice a step apart."""
    rows: Any = pd.Series(given.frame / frames_per_step, [given.scene, given.agent])
    span: Any = rows.groupby(level=[0, 1]).agg(["min", "max", "size"])
    length = span["max"] - span["min"]  # in steps
    seen = span.index[length > 1 + OFF_GRID]
    twice = np.arange(len(tracks)) > tracks.run_start
    joined = pd.MultiIndex.from_arrays([tracks.scene[twice], tracks.agent[twice]]).unique()
    if not len(lost := seen.difference(joined, sort=False)):
        return
    apart = length / (span["size"] - 1)
    names = [f"{agent} each {apart[scene, agent]:.2g} steps" for scene, agent in lost[:3]]
    warnings.warn(
        f"{given.where}: {count(len(lost), 'agent')} of {len(span):,} are never seen at two steps "
        f"in a row, of {tracks.seconds_per_step:.6g} s (first: {first(names)}). They are neither "
        "targets nor neighbours. Take longer steps, seconds_per_step= (on the command line "
        "--seconds-per-step), to keep them.",
        MakedoWarning,
        stacklevel=4,
    )


def _warn_of_speed(tracks: Tracks, max_speed: float, where: str) -> None:
    speeds = tracks.speeds()
    fast = speeds > max_speed
    if fast.any():
        warnings.warn(
            f"{where}: {count(int(fast.sum()), 'step')} of {len(speeds):,} are faster than "
            f"{max_speed:g} m/s (fastest {speeds.max():,.3g}, median {np.median(speeds):,.3g} "
            "m/s). Check the unit and the seconds per frame; if such speeds are real, heed it not "
            "(in Python max_speed=None).",
            MakedoWarning,
            stacklevel=4,
        )
    elif len(speeds) and 0 < (most := np.quantile(speeds, 0.95)) < MIN_SPEED:
        warnings.warn(
            f"{where}: 95 % of steps are slower than {most:.2g} m/s, and a step lasts "
            f"{tracks.seconds_per_step:.3g} s. Check the unit (deg where x is the longitude and y "
            "the latitude) and the seconds per frame (0.001 where frames are milliseconds); if "
            "nobody moves, heed it not (in Python max_speed=None).",
            MakedoWarning,
            stacklevel=4,
        )
