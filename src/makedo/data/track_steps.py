"""Positions of any rate brought to steps of one length.

A position that is close to a whole step is taken as it is; between two positions of an agent the
step is interpolated linearly.  Nothing is made up where an agent was not seen, nor in front of or
behind what was seen.  A step between two positions lies on the line to one that comes later, and so
shows a little of the future to whoever predicts it.  How much is warned of where it is no trifle;
steps shorter than the distance of the positions are refused.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.track_reading import Rows

OFF_GRID = 0.05  # of a step: how far a time may lie from a whole number of steps
LONGEST_GAP = 1.5  # usual distances of positions; where an agent is missing longer there is a gap
LOOKS_AHEAD = 0.2  # of a step, on average; less is as good as nothing


def changes(values: np.ndarray) -> np.ndarray:
    """Whether each of sorted values differs from the one before it, bool (n,)."""
    return np.concatenate([np.ones(min(len(values), 1), bool), values[1:] != values[:-1]])


def starts(rows: Rows) -> np.ndarray:
    """First frame of the scene of each row, (n,)."""
    return pd.Series(rows.frame).groupby(rows.scene).transform("min").to_numpy()


def resampled(rows: Rows, frames_per_step: float) -> Rows:
    """Rows at whole steps since the first frame of their scene.

    Parameters
    ----------
    rows : Rows
        Sorted by scene, agent and frame.
    frames_per_step : float

    Raises
    ------
    MakedoInputError
        Positions of a scene usually lie further apart than a step.

    Warns
    -----
    MakedoWarning
        Steps look ahead, on average by more than a fifth of a step.
    """
    begin = starts(rows)
    at = (rows.frame - begin) / frames_per_step  # in steps, (n,)
    follows = ~(changes(rows.agent_code) | changes(rows.scene))[1:]  # whether the next is the same
    apart = np.diff(at)
    usual = _usual_distance(rows, apart, follows)[rows.scene[:-1]]
    nearest = np.round(at)
    taken = np.flatnonzero(np.abs(at - nearest) <= OFF_GRID)
    closest = taken[np.argsort(np.abs(at - nearest)[taken], kind="stable")]
    # Whole steps after a row, up to the next of the same agent.
    inside = follows & (apart <= np.maximum(1.0, LONGEST_GAP * usual) + OFF_GRID)
    n = np.where(inside, np.diff(np.floor(at)), 0).astype(int)
    left = np.repeat(np.arange(len(n)), n)
    number = np.floor(at[left]) + 1 + np.arange(len(left)) - np.repeat(np.cumsum(n) - n, n)
    share = ((number - at[left]) / np.maximum(apart[left], 1e-300))[:, None]
    between = (1 - share) * rows.xy[left] + share * rows.xy[left + 1]

    source = np.concatenate([closest, left])
    step = np.concatenate([nearest[closest], number])
    xy = np.concatenate([rows.xy[closest], between])
    once = pd.DataFrame({"scene": rows.scene[source], "who": rows.agent_code[source], "step": step})
    first = np.flatnonzero(~once.duplicated().to_numpy())  # a position goes before a line
    order = first[
        np.lexsort((step[first], rows.agent_code[source[first]], rows.scene[source[first]]))
    ]
    later = np.concatenate([np.zeros(len(closest)), at[left + 1] - number])
    _warn_of_the_future(rows.where, later[order])
    found = rows.take(source[order])
    return replace(found, frame=begin[source[order]] + step[order] * frames_per_step, xy=xy[order])


def _usual_distance(rows: Rows, apart: np.ndarray, follows: np.ndarray) -> np.ndarray:
    """Median distance in steps of two positions of an agent, of each scene; 0 where it has none."""
    usual: Any = pd.Series(apart[follows]).groupby(rows.scene[:-1][follows]).median()
    usual = usual.reindex(range(len(rows.scenes)), fill_value=0.0).to_numpy(np.float64)
    if (wide := usual > 1 + OFF_GRID).any():
        names = [f"{rows.scenes[i]} {usual[i]:.3g} steps" for i in np.flatnonzero(wide)]
        raise MakedoInputError(
            f"{rows.where}: positions of an agent are usually further apart than a step in "
            f"{count(len(names), 'scene')} of {len(usual):,} (first: {first(names)}). What lies "
            "between would be made up, on the way to a position that is still to come. Take steps "
            f"at least {usual.max():.3g} times as long, or leave those scenes out."
        )
    return usual


def _warn_of_the_future(where: str, later: np.ndarray) -> None:
    """Say how far steps look ahead: later (n,), how many steps after each its last source lies."""
    if later.mean() > LOOKS_AHEAD:
        warnings.warn(
            f"{where}: {np.mean(later > 0):.0%} of the positions are interpolated, and lie on the "
            f"way to one that is seen {later[later > 0].mean():.2g} steps later, on average. So "
            "pasts show a little of their futures, and all predictors look better than they are. "
            "Take steps at least twice as long as the positions are apart.",
            MakedoWarning,
            stacklevel=5,
        )
