"""Windows: full ones only, neighbours as defined, and nothing of the future in what models see."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from makedo.core.checks import MakedoInputError
from makedo.data.tracks import Tracks
from makedo.data.windows import cut

SMALL = {"n_past": 3, "n_future": 2}


def crowd(seed=0, n_steps=12, n_agents=6, absent=0.2):
    """Random walks with gaps."""
    rng = np.random.default_rng(seed)
    xy = rng.normal(scale=0.5, size=(n_steps, n_agents, 2)).cumsum(0)
    xy[rng.random((n_steps, n_agents)) < absent] = np.nan
    return xy


def by_hand(xy, n_past, n_future, radius, most):
    """The same windows by loops: {(agent, now): (past, future, [(neighbour, past)])}."""
    n_steps, n_agents, _ = xy.shape
    there = ~np.isnan(xy[..., 0])
    found = {}
    for a in range(n_agents):
        for t in range(n_past - 1, n_steps - n_future):
            if not there[t - n_past + 1 : t + n_future + 1, a].all():
                continue
            near = []
            for b in range(n_agents):
                if b == a or not there[t, b] or not there[t - 1, b]:
                    continue
                distance = np.linalg.norm(xy[t, b] - xy[t, a])
                if radius is None or distance <= radius:
                    past = xy[t - n_past + 1 : t + 1, b].copy()
                    gaps = np.flatnonzero(np.isnan(past[:, 0]))
                    past[: gaps.max(initial=-1) + 1] = np.nan
                    near.append((distance, b, past))
            near.sort(key=lambda one: one[:2])
            cut_off = max(len(near) - most, 0)
            found[a, t] = (
                xy[t - n_past + 1 : t + 1, a], xy[t + 1 : t + n_future + 1, a], near[:most], cut_off
            )  # fmt: skip
    return found


@pytest.mark.parametrize("radius", [None, 1.5])
@pytest.mark.parametrize("most", [2, 12])
@pytest.mark.parametrize("seed", range(3))
def test_windows_are_those_of_a_plain_loop(seed, most, radius):
    xy = crowd(seed)
    windows = cut(
        Tracks.from_arrays(xy, seconds_per_step=0.4), **SMALL, radius=radius, max_neighbors=most
    )
    wanted = by_hand(xy, 3, 2, radius, most)
    first = np.flatnonzero(~np.isnan(xy[..., 0]).all(1)).min()
    assert len(windows) == len(wanted)
    for i in range(len(windows)):
        past, future, near, cut_off = wanted[windows.agent[i], windows.frame[i]]
        assert np.array_equal(windows.past[i], past)
        assert np.array_equal(windows.future[i], future)
        assert windows.neighbor_agent[i][windows.present[i]].tolist() == [n[1] for n in near]
        for j, (_, _, track) in enumerate(near):
            assert np.array_equal(windows.neighbors[i, j], track, equal_nan=True)
        assert windows.n_cut[i] == cut_off
    assert first == 0 and np.isnan(windows.neighbors[~windows.present]).all()
    assert (windows.neighbor_kind >= 0).tolist() == windows.present.tolist()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_nothing_of_the_future_is_in_the_cues(seed):
    xy = crowd(seed, n_steps=6, absent=0.0)
    other = xy.copy()
    other[3:] += np.random.default_rng(seed).normal(size=other[3:].shape)
    a, b = (
        cut(Tracks.from_arrays(one, seconds_per_step=0.4, max_speed=None), n_past=3, n_future=3)
        for one in (xy, other)
    )
    assert len(a) == 6 and not np.array_equal(a.future, b.future)
    for name in ("past", "neighbors", "present", "kind", "neighbor_kind"):
        assert np.array_equal(getattr(a.cues(), name), getattr(b.cues(), name), equal_nan=True)


def test_strides_count_steps_of_the_scene():
    tracks = Tracks.from_arrays(crowd(absent=0.0), seconds_per_step=0.4)
    all_, some = cut(tracks, **SMALL), cut(tracks, **SMALL, stride=4)
    assert sorted(set(all_.frame)) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert sorted(set(some.frame)) == [2, 6]


def test_nobody_near_is_an_empty_row_and_one_agent_has_windows():
    windows = cut(Tracks.from_arrays(crowd(n_agents=1, absent=0.0), seconds_per_step=1), **SMALL)
    assert windows.present.shape == (8, 1) and not windows.present.any()
    assert windows.neighbor_agent.tolist() == [[-1]] * 8
    assert cut(
        Tracks.from_arrays(crowd(), seconds_per_step=1), **SMALL, max_neighbors=0
    ).n_cut.any()


def test_scenes_do_not_see_each_other():
    xy = crowd(absent=0.0)
    table = pd.concat(
        [
            Tracks.from_arrays(xy[:, :3], seconds_per_step=1, scene="a").to_frame(),
            Tracks.from_arrays(xy[:, 3:], seconds_per_step=1, scene="b").to_frame(),
        ]
    )
    windows = cut(Tracks.read(table, scene="scene", seconds_per_frame=1), **SMALL)
    assert windows.present.sum(1).max() == 2 and set(windows.scene) == {"a", "b"}


def test_kinds_decide_who_is_a_target():
    xy = crowd(n_agents=3, absent=0.0)
    tracks = Tracks.from_arrays(xy, seconds_per_step=1, kind=["ball", "player", "player"])
    windows = cut(tracks, **SMALL, targets=["player"])
    assert set(windows.kind) == {1} and (windows.neighbor_kind == 0).sum() == len(windows)
    with pytest.raises(MakedoInputError, match="no agent is of the kind 'referee'"):
        cut(tracks, targets=["referee"])


def test_blocks_are_groups_where_there_are_enough_else_stretches_of_time():
    xy = crowd(n_steps=400, n_agents=2, absent=0.0)
    by_time = cut(Tracks.from_arrays(xy, seconds_per_step=0.4), **SMALL)
    assert by_time.block_unit == "blocks of 60 s"
    length = 400 * 0.4
    assert len(set(by_time.block)) == int(np.ceil((length - 1) / 60))
    same = by_time.block[:, None] == by_time.block
    apart = np.abs(by_time.frame[:, None] - by_time.frame) * 0.4
    assert apart[same].max() < 60
    slow = cut(Tracks.from_arrays(xy, seconds_per_step=60, max_speed=None), **SMALL)
    assert slow.block_unit == "blocks of 600 s"  # two windows
    play = Tracks.from_arrays(crowd(n_agents=2, absent=0.0), seconds_per_step=1).to_frame()
    table = pd.concat([play.assign(scene=f"s{i:02}") for i in range(40)])
    table["game"] = table["scene"].str[:2] + (table["scene"].str[1:].astype(int) % 20).astype(str)
    many = Tracks.read(table, scene="scene", seconds_per_frame=1)
    assert cut(many, **SMALL).block_unit == "scenes"
    games = cut(Tracks.read(table, scene="scene", group="game", seconds_per_frame=1), **SMALL)
    assert games.block_unit == "groups of scenes"
    pairs = set(zip(games.scene, games.block, strict=True))
    assert len(pairs) == 40


def test_seeds_belong_to_targets_not_to_rows():
    windows = cut(Tracks.from_arrays(crowd(), seconds_per_step=1), **SMALL)
    seeds = windows.seeds(3)
    assert len(set(seeds)) == len(windows) and seeds.dtype == np.uint64
    order = np.arange(len(windows))[::-1]
    assert np.array_equal(windows.take(order).seeds(3), seeds[order])
    assert not np.array_equal(windows.seeds(4), seeds)


def test_windows_that_cannot_be_cut_are_refused():
    tracks = Tracks.from_arrays(crowd(), seconds_per_step=1)
    with pytest.raises(MakedoInputError, match="no agent is seen at 20 steps in a row"):
        cut(tracks)
    wrong = {"n_past": 1, "n_future": 0, "stride": 0, "radius": -1.0, "max_neighbors": -1}
    for name, value in wrong.items():
        with pytest.raises(MakedoInputError, match=f"parameter {name} must be"):
            cut(tracks, **{name: value})
