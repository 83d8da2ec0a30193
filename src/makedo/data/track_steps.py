"""Positions of any rate brought to steps of one length.

A position that is close to a whole step is taken as it is; between two positions of an agent the
step is interpolated linearly.  Nothing is made up where an agent was not seen, nor in front of or
behind what was seen.  Steps shorter than the distance of the positions are refused: each would lie
on the line to a position that comes later, and so show the future to whoever predicts it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError
from makedo.data.track_reading import Rows

OFF_GRID = 0.05  # of a step: how far a time may lie from a whole number of steps
LONGEST_GAP = 1.5  # usual distances of positions; where an agent is missing longer there is a gap


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
        Positions usually lie further apart than a step.
    """
    begin = starts(rows)
    at = (rows.frame - begin) / frames_per_step  # in steps, (n,)
    follows = ~(changes(rows.agent_code) | changes(rows.scene))[1:]  # whether the next is the same
    apart = np.diff(at)
    usual = float(np.median(apart[follows])) if follows.any() else 0.0
    if usual > 1 + OFF_GRID:
        raise MakedoInputError(
            f"{rows.where}: positions of an agent are usually {usual:.3g} steps apart. What lies "
            "between would be made up, on the way to a position that is still to come. Take steps "
            f"at least {usual:.3g} times as long."
        )
    nearest = np.round(at)
    taken = np.flatnonzero(np.abs(at - nearest) <= OFF_GRID)
    closest = taken[np.argsort(np.abs(at - nearest)[taken], kind="stable")]
    # Whole steps strictly between a row and the next of the same agent.
    lowest, highest = np.floor(at[:-1]) + 1, np.ceil(at[1:]) - 1
    inside = follows & (apart <= max(1.0, LONGEST_GAP * usual) + OFF_GRID)
    n = np.where(inside, np.maximum(highest - lowest + 1, 0), 0).astype(int)
    left = np.repeat(np.arange(len(n)), n)
    number = lowest[left] + np.arange(len(left)) - np.repeat(np.cumsum(n) - n, n)
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
    found = rows.take(source[order])
    return replace(found, frame=begin[source[order]] + step[order] * frames_per_step, xy=xy[order])
