"""Positions of any rate brought to steps of one length."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.track_steps import OFF_GRID
from makedo.data.tracks import Tracks


def walkers(times, rng, agents=("a", "b"), scene="s"):
    """Agents on smooth curves, seen at these times (seconds) each."""
    tables = []
    for name in agents:
        t = np.asarray(times, float)
        x, y = (np.sin(t * f) * 3 + f * t for f in rng.uniform(0.2, 0.6, 2))
        tables.append(pd.DataFrame({"frame": t, "agent": name, "x": x, "y": y, "scene": scene}))
    return pd.concat(tables, ignore_index=True)


def read(table, step, **more):
    return Tracks.read(table, seconds_per_frame=1.0, seconds_per_step=step, **more)


def test_positions_on_whole_steps_stay_as_they_are():
    table = walkers(np.arange(20) * 0.4, np.random.default_rng(0))
    as_they_are = Tracks.read(table, seconds_per_frame=1.0)
    brought = read(table, 0.4)
    assert np.array_equal(brought.xy, as_they_are.xy)
    assert np.array_equal(brought.step, as_they_are.step)
    assert brought.seconds_per_step == 0.4


def test_of_25_frames_a_second_each_tenth_is_taken():
    table = walkers(np.arange(100) / 25, np.random.default_rng(1))
    table["frame"] *= 25
    brought = Tracks.read(table, seconds_per_frame=0.04, seconds_per_step=0.4)
    one = table[table["agent"] == "a"].iloc[::10]
    assert np.array_equal(brought.xy[brought.agent == "a"], one[["x", "y"]].to_numpy())
    assert np.allclose(brought.frame[brought.agent == "a"], one["frame"])


def test_a_jittering_clock_is_interpolated():
    rng = np.random.default_rng(2)
    times = np.sort(np.arange(200) * 0.1 + rng.uniform(-0.03, 0.03, 200))
    table = walkers(times, rng, agents=("a",))
    with pytest.warns(MakedoWarning, match="show a little of their futures"):
        brought = read(table, 0.1)
    steps = np.arange(1, brought.step.max())
    begin = times[0]
    wanted = np.column_stack(
        [np.interp(begin + steps * 0.1, times, table[axis]) for axis in ("x", "y")]
    )
    found = brought.xy[np.isin(brought.step, steps)]
    near = np.abs(times[:, None] - (begin + steps * 0.1)).min(0) <= OFF_GRID * 0.1
    assert near.any() and not near.all()
    assert np.allclose(found[~near], wanted[~near], atol=1e-9)
    # What is near a step is a position that was seen, not a mixture.
    seen = table[["x", "y"]].to_numpy()
    assert (np.abs(found[near][:, None] - seen).sum(2).min(1) == 0).all()


def test_nothing_is_made_up_where_an_agent_was_missing():
    times = np.r_[np.arange(0, 4, 0.1), np.arange(6.03, 9, 0.1)]
    table = walkers(times, np.random.default_rng(3), agents=("a",))
    brought = read(table, 0.5)
    seen = brought.step * 0.5
    assert not ((seen > 3.95) & (seen < 6.0)).any()
    assert np.array_equal(brought.step, [0, 1, 2, 3, 4, 5, 6, 7, 13, 14, 15, 16, 17])


def test_a_step_is_made_where_an_agent_was_missing_for_less_than_one():
    times = np.arange(0, 10, 0.04)
    seen = ~((times > 3.9) & (times < 4.1)) & ~((times > 6.7) & (times < 7.3))
    seen &= ~((times > 8.5) & (times < 8.98))  # 1.3 steps
    table = walkers(times[seen], np.random.default_rng(12), agents=("a",))
    slow = walkers(np.arange(0, 10, 0.4), np.random.default_rng(12), ("a",), "slow")
    for given in (table, pd.concat([table, slow])):  # another scene does not widen its gaps
        brought = read(given, 0.4)
        assert set(brought.step[brought.scene == brought.scenes.index("s")]) == (
            set(range(25)) - {17, 18, 22}
        )


def test_of_two_positions_near_a_step_the_nearer_one_is_taken():
    table = walkers([0.0, 0.386, 0.4, 0.41, 0.8], np.random.default_rng(13), agents=("a",))
    assert np.array_equal(read(table, 0.4).xy, table[["x", "y"]].to_numpy()[[0, 2, 4]])


def test_a_name_in_two_scenes_is_two_agents():
    rng = np.random.default_rng(14)
    parts = [walkers(np.arange(0, n, 0.1), rng, ("a",), name) for n, name in ((8, "s"), (5, "t"))]
    brought = read(pd.concat(parts), 0.4)
    assert np.array_equal(brought.step, np.r_[np.arange(20), np.arange(13)])


def test_scenes_have_clocks_of_their_own():
    rng = np.random.default_rng(4)
    early, late = walkers(np.arange(0, 5, 0.1), rng), walkers(np.arange(1e6, 1e6 + 5, 0.1), rng)
    brought = read(pd.concat([early, late.assign(scene="t")]), 0.4)
    for number in range(2):
        assert np.array_equal(
            brought.step[(brought.scene == number) & (brought.agent == "a")], np.arange(13)
        )


def test_a_position_knows_no_more_of_the_future_than_the_next_one():
    rng = np.random.default_rng(5)
    times = np.arange(0, 10, 0.1) + 0.003
    table = walkers(np.r_[0.0, times], rng, agents=("a",))
    changed = table.copy()
    changed.loc[changed["frame"] > 5.1 + 0.01, ["x", "y"]] += 7.0
    one, other = (read(t, 0.25, max_speed=None) for t in (table, changed))
    assert np.array_equal(one.xy[one.step <= 20], other.xy[other.step <= 20])
    assert not np.allclose(one.xy[one.step > 21], other.xy[other.step > 21])


def test_order_of_rows_and_kinds_do_not_matter():
    rng = np.random.default_rng(6)
    table = walkers(np.arange(0, 8, 0.13), rng)
    table["kind"] = np.where(table["agent"] == "a", "car", "bus")
    shuffled = table.sample(frac=1, random_state=0)
    one = read(table, 0.4)
    with pytest.warns(Warning, match="not in the order of time"):
        other = read(shuffled, 0.4)
    for name in ("xy", "step", "scene", "kind"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert np.array_equal(np.array(one.kinds)[one.kind] == "car", one.agent == "a")


@pytest.mark.parametrize("step", [0.1, 0.3])
def test_steps_shorter_than_the_distance_of_positions_are_refused(step):
    table = walkers(np.arange(20) * 0.4, np.random.default_rng(7))
    with pytest.raises(MakedoInputError, match="still to come"):
        read(table, step)


@pytest.mark.parametrize("step", [0, -1.0, np.nan, np.inf, "fast", True])
def test_bad_lengths_of_a_step_are_refused(step):
    table = walkers(np.arange(20) * 0.4, np.random.default_rng(8))
    with pytest.raises(MakedoInputError, match="seconds_per_step must be a number above 0"):
        read(table, step)


def test_one_position_alone_can_be_read():
    table = pd.DataFrame({"frame": [3.0], "agent": [1], "x": [0.0], "y": [0.0]})
    assert len(read(table, 0.4)) == 1


def test_a_scene_of_too_low_a_rate_is_refused_by_name():
    rng = np.random.default_rng(9)
    fast, slow = walkers(np.arange(0, 30, 0.04), rng), walkers(np.arange(0, 30, 1.0), rng)
    with pytest.raises(MakedoInputError, match=r"1 scene of 2 .*first: 'slow 2.5 steps'"):
        read(pd.concat([fast, slow.assign(scene="slow")]), 0.4)


@pytest.mark.parametrize(("apart", "looks_ahead"), [(0.4, True), (0.2, True), (0.04, False)])
def test_steps_that_look_ahead_are_warned_of(apart, looks_ahead):
    rng = np.random.default_rng(10)
    early = walkers(np.arange(0, 40, apart) + 0.7 * apart, rng)  # the next is 0.7 · apart away
    table = pd.concat([early, walkers(np.arange(0, 40, 0.4), rng, agents=("c",))])  # on the steps
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read(table, 0.4)
    assert [issubclass(one.category, MakedoWarning) for one in said] == [True] * looks_ahead
    if looks_ahead:
        assert f"seen {0.7 * apart / 0.4:.2g} steps later" in str(said[0].message)


def test_numbers_of_numpy_are_numbers():
    table = walkers(np.arange(20) * 0.5, np.random.default_rng(11))
    given: Any = {"seconds_per_frame": np.int64(1), "seconds_per_step": np.float32(0.5)}
    given["unit"] = np.float32(2)
    assert Tracks.read(table, **given).seconds_per_step == 0.5
