"""Whether there is anything for a predictor with neighbours to use."""

import numpy as np
import pytest

from makedo import TrajectoryAttributor
from makedo.core.checks import MakedoInputError
from makedo.data.tracks import Tracks


def herd(seed=0, follow=True, n_steps=900):
    """Pairs of walkers far apart; the second of each goes where the first was five steps ago."""
    rng = np.random.default_rng(seed)
    turns = rng.normal(scale=0.5, size=(n_steps + 5, 4))
    turns = np.cumsum(turns, axis=0)
    steps = 0.5 * np.stack([np.cos(turns), np.sin(turns)], axis=-1)
    xy = np.zeros_like(steps)
    for t in range(1, len(steps)):  # drawn home a little, so that nobody leaves
        xy[t] = 0.995 * xy[t - 1] + steps[t]
    lead, late = xy[5:], xy[:-5]
    both = np.stack([lead, late if follow else lead[::-1]], axis=2)
    places = both + 40.0 * np.arange(4)[:, None, None]
    return Tracks.from_arrays(places.reshape(n_steps, 8, 2), seconds_per_step=0.4)


def test_where_some_follow_others_neighbors_are_said_to_matter():
    found = TrajectoryAttributor(radius=15.0, stride=2).diagnose(herd())
    assert found.verdict == "applies" and "beyond the place" in found.advice
    assert found.expected_gain > 3 and found.interval[0] > 0
    assert found.figures["ADE, own past, m"] < found.figures["ADE, standing still, m"]


def test_where_nobody_looks_at_anybody_they_are_not():
    found = TrajectoryAttributor(radius=15.0, stride=2).diagnose(herd(follow=False))
    assert found.verdict != "applies" and found.interval[0] <= 0.5


def test_of_a_lonely_agent_or_of_few_targets_little_can_be_said():
    alone = Tracks.from_arrays(
        0.1 * np.random.default_rng(0).normal(size=(1500, 1, 2)).cumsum(0), seconds_per_step=0.4
    )
    assert "only the past" in TrajectoryAttributor().diagnose(alone).advice
    few = TrajectoryAttributor().diagnose(herd(n_steps=60))
    assert few.verdict == "cannot tell" and few.expected_gain is None
    with pytest.raises(MakedoInputError, match="metric must be one of"):
        TrajectoryAttributor(metric="luck").diagnose(alone)
