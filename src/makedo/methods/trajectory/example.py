"""A small scene for the contract tests: one agent leads, another copies it a little later."""

from __future__ import annotations

import numpy as np

from makedo.core.example import Example
from makedo.data.tracks import Tracks
from makedo.data.windows import cut
from makedo.methods.trajectory.estimator import TrajectoryAttributor


def wanderers(random_state: int = 0, n_agents: int = 4, n_steps: int = 45) -> np.ndarray:
    """Smooth random walks, the second two steps behind the first, (n_steps, n_agents, 2)."""
    rng = np.random.default_rng(random_state)
    turns = rng.normal(scale=0.25, size=(n_steps, n_agents)).cumsum(0)
    steps = 0.5 * np.stack([np.cos(turns), np.sin(turns)], axis=-1)
    xy = rng.normal(scale=3, size=(n_agents, 2)) + steps.cumsum(0)
    xy[:, 1] = xy[np.maximum(np.arange(n_steps) - 2, 0), 0] + 0.8
    return xy


def small_example(random_state: int = 0) -> Example:
    """Targets of one scene to learn from, six of another one to predict."""
    scenes = [
        cut(Tracks.from_arrays(wanderers(seed), seconds_per_step=0.4, scene=f"take {seed}"))
        for seed in (random_state, random_state + 100)
    ]
    model = TrajectoryAttributor("attention", n_samples=2, max_epochs=8)
    return Example(model, {"X": scenes[0]}, scenes[1].take(slice(0, 30, 5)), {"X": scenes[1]})
