"""Small worlds whose answers are known, and predictors of a few lines."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from makedo.data.tracks import Tracks
from makedo.data.windows import cut

DELAY = 4


def walkers(seed, n_agents=5, n_steps=60, follow=True, scene="scene"):
    """Smooth random walks within a few metres; agent 1 walks where agent 0 was four steps ago."""
    rng = np.random.default_rng(seed)
    turns = rng.normal(scale=0.3, size=(n_steps + DELAY, n_agents)).cumsum(0)
    xy = 0.5 * np.stack([np.cos(turns), np.sin(turns)], axis=-1).cumsum(0)
    xy += rng.normal(scale=2, size=(n_agents, 2))
    found = xy[DELAY:].copy()
    if follow:
        found[:, 1] = xy[:-DELAY, 0]
    return Tracks.from_arrays(found, seconds_per_step=0.4, scene=scene)


def tracks(n_scenes=6, **how):
    """Several such scenes, as one table of positions would give them."""
    frames = [walkers(seed, scene=f"s{seed}", **how).to_frame() for seed in range(n_scenes)]
    return Tracks.read(pd.concat(frames), scene="scene", seconds_per_frame=0.4)


def windows(n_scenes=6, stride=8, **how):
    return cut(tracks(n_scenes, **how), stride=stride)


def constant_velocity(past, neighbors, present, n_samples, seeds):
    step = past[:, -1] - past[:, -2]
    return (past[:, -1:] + np.arange(1, 13)[:, None] * step[:, None])[:, None]


def copycat(past, neighbors, present, n_samples, seeds):
    """Goes where the agent went that was four steps ago where the target is now."""
    found = constant_velocity(past, neighbors, present, n_samples, seeds)[:, 0]
    match = np.linalg.norm(past[:, None, DELAY:] - neighbors[:, :, :-DELAY], axis=-1).mean(-1)
    match = np.where(present & np.isfinite(match), match, np.inf)
    who = match.argmin(1)
    rows = np.flatnonzero(match[np.arange(len(past)), who] < 1e-3)
    found[rows, :DELAY] = neighbors[rows, who[rows], -DELAY:]
    return found[:, None]


def pulled(past, neighbors, present, n_samples, seeds):
    """Constant velocity, a pull towards those near that grows with their number, and noise."""
    base = constant_velocity(past, neighbors, present, n_samples, seeds)
    gap = np.nan_to_num(neighbors[:, :, -1] - past[:, None, -1])
    near = present / (1 + np.linalg.norm(gap, axis=-1) ** 2)
    pull = (gap * near[..., None]).sum(1) * (1 + 0.5 * np.tanh(near.sum(1)))[:, None]
    noise = [np.random.default_rng(s).normal(size=(n_samples, 1, 2)) for s in seeds]
    noise = np.reshape(noise, (len(past), n_samples, 1, 2))
    return base + 0.05 * np.arange(1, 13)[:, None] * (pull[:, None, None] + 0.5 * noise)


@pytest.fixture(scope="session")
def world():
    """The above by name."""
    names = (tracks, windows, walkers, constant_velocity, copycat, pulled)
    return SimpleNamespace(**{one.__name__: one for one in names})
