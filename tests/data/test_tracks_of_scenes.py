"""Tracks where one scene ends and another begins, and where somebody was not seen for a while."""

import numpy as np
import pandas as pd

from makedo.data.tracks import Tracks

RATE = {"seconds_per_frame": 0.04}


def one_agent(first, n, scene, every=10):
    """One agent on a straight line, half a metre a step."""
    frame = first + every * np.arange(n)
    x = 0.5 * np.arange(n)
    return pd.DataFrame({"scene": scene, "frame": frame, "agent": 7, "x": x, "y": 0.0})


def test_who_is_in_two_scenes_is_two_agents_each_in_the_order_of_time():
    """Scene b comes first in the table, and begins when a ends."""
    table = pd.concat([one_agent(140, 4, "b"), one_agent(100, 5, "a")])
    found = Tracks.read(table, **RATE)  # no warning of disorder, no second position at one frame
    assert found.n_agents == 2 and found.step.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert found.run_start.tolist() == [0] * 5 + [5] * 4
    np.testing.assert_allclose(found.speeds(), np.full(7, 1.25))


def test_the_distance_of_two_scenes_is_no_step():
    table = pd.concat([one_agent(100, 5, "a"), one_agent(143, 1, "b")])
    found = Tracks.read(table, **RATE)
    assert found.seconds_per_step == 0.4 and found.step.tolist() == [0, 1, 2, 3, 4, 0]


def test_some_scenes_keep_what_they_are_part_of():
    tables = [one_agent(100, 3, scene).assign(game=f"game {scene}") for scene in "abc"]
    found = Tracks.read(pd.concat(tables), group="game", **RATE).of_scenes(["b", "c"])
    assert found.scenes == ("b", "c") and found.groups == ("game b", "game c")
    assert found.scene.tolist() == [0] * 3 + [1] * 3


def test_there_is_no_speed_across_a_gap():
    found = Tracks.read(one_agent(100, 6, "a").drop(index=2), **RATE)
    np.testing.assert_allclose(found.speeds(), np.full(3, 1.25))


def test_where_most_stand_about_and_some_walk_nothing_is_wrong_with_the_clock():
    tables = [one_agent(100, 10, "a").assign(agent=a) for a in range(10)]
    for table in tables[1:]:
        table["x"] *= 0.01
    assert np.median(Tracks.read(pd.concat(tables), **RATE).speeds()) < 0.02  # no warning
