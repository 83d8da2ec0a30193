"""Random neighbours and neighbours of another time: from where they come and where they stand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import KDTree

from makedo.data.tracks import Tracks
from makedo.data.windows import cut
from makedo.methods.trajectory import absent, nulls
from makedo.methods.trajectory.nulls import Donors, OtherTimes, drawn, heading, rotated


@pytest.fixture(scope="module")
def long(world):
    """Two scenes of 140 seconds."""
    return world.windows(2, stride=10, n_steps=350)


def test_numbers_of_a_seed_are_its_own_and_uniform():
    seeds = np.random.default_rng(0).integers(0, 2**63, 4000).astype(np.uint64)
    u = drawn(seeds, 5, stream=1)
    assert abs(u.mean() - 0.5) < 0.01 and abs(u.var() - 1 / 12) < 0.002
    np.testing.assert_array_equal(drawn(seeds[[7]], 5, 1)[0], u[7])
    assert abs(np.corrcoef(u[:, 0], u[:, 1])[0, 1]) < 0.05
    assert not (drawn(seeds, 5, stream=2) == u).any()


def test_turning_is_about_the_origin_and_the_heading_is_that_of_the_last_movement():
    tracks = np.array([[[0.0, 0], [1, 0], [1, 1], [1, 1]]])
    assert heading(tracks)[0] == pytest.approx(np.pi / 2)
    np.testing.assert_allclose(
        rotated(tracks, np.array([np.pi / 2]))[0], [[0, 0], [0, 1], [-1, 1], [-1, 1]], atol=1e-12
    )
    assert heading(np.zeros((1, 4, 2)))[0] == 0


def test_a_random_neighbor_is_as_far_and_on_the_same_side_as_it_was_at_home(long):
    donors = Donors.of(long)
    seeds = long.seeds()
    found = donors.neighbors(long, seeds)
    there = np.isfinite(found[:, :, -1, 0])
    assert (there == long.present).all()
    gap = rotated(found - long.past[:, None, -1:], -heading(long.past))  # as its own target saw it
    known = {tuple(np.round(track.ravel(), 6)) for track in donors.track}
    for track in gap[there][::40]:
        assert tuple(np.round(track[np.isfinite(track[:, 0])].ravel(), 6)) in {
            tuple(v for v in one if np.isfinite(v)) for one in known
        }


def test_a_donor_of_the_same_scene_is_at_least_a_minute_away(long):
    donors = Donors.of(long)
    assert donors.apart == 60.0
    pick = donors._pick(np.arange(len(donors)), long, long.seeds(), 6, stream=1)
    assert (pick >= 0).all()
    same = donors.scene[pick] == long.scene[:, None]
    assert same.any() and not same.all()
    assert (np.abs(donors.time[pick] - long.time[:, None])[same] >= 60).all()


def test_random_neighbors_of_one_target_come_from_different_donors(long):
    found = np.round(Donors.of(long).neighbors(long, long.seeds())[:, :, -1], 6)
    distinct = [
        len(np.unique(row[there], axis=0)) for row, there in zip(found, long.present, strict=True)
    ]
    assert np.mean(distinct) > 0.9 * long.present.sum(1).mean()


def nearest(tracks, known):
    """Rows of known (D, n_past, 2) that tracks (n, n_past, 2) are, (n,); all must be there."""
    flat, tree = (np.nan_to_num(part).reshape(len(part), -1) for part in (tracks, known))
    gap, row = KDTree(tree).query(flat)
    assert gap.max() < 1e-9
    return row


def test_a_random_past_is_one_that_somebody_had_and_is_not_turned(long):
    donors, seeds = Donors.of(long), long.seeds()
    home = nearest(donors.past, long.past - long.past[:, -1:])
    np.testing.assert_array_equal(donors.time, long.time[home])
    np.testing.assert_array_equal(donors.scene, long.scene[home])
    some = long.take(slice(None, None, 5))
    pasts = donors.pasts(some, seeds[::5], 2) - some.past[:, None, -1:]
    whose = np.stack([nearest(pasts[:, d], donors.past) for d in range(2)])
    assert (whose[0] != whose[1]).mean() > 0.9 and len(np.unique(whose)) > 0.5 * whose.size
    beside = donors.neighbors(some, seeds[::5])[:, 0] - some.past[:, -1:]
    beside = nearest(rotated(beside, -heading(some.past)), donors.track)
    assert (home[whose[0]] == home[beside]).mean() < 0.1  # past and neighbour of different targets


def test_of_many_donors_some_are_remembered_by_the_random_state(long, monkeypatch):
    frame = long.neighbor_kind.copy()
    frame[:, 0] = 1
    two = replace(long, kinds=("a", "b"), neighbor_kind=np.where(long.present, frame, -1))
    monkeypatch.setattr(nulls, "MOST_DONORS", 30)
    one, same, other = (Donors.of(two, random_state=seed) for seed in (0, 0, 1))
    assert [(one.kind == kind).sum() for kind in "ab"] == [30, 30]
    np.testing.assert_array_equal(one.track, same.track)
    assert not np.array_equal(one.track, other.track)


def test_where_steps_are_long_a_minute_is_not_long_ago(long):
    slow = replace(long, seconds_per_step=60.0)
    assert Donors.of(slow).apart == OtherTimes(slow).apart == 2 * 20 * 60.0


def test_donors_are_of_the_kind_that_they_stand_for(world):
    frame = world.tracks(4).to_frame()
    frame["kind"] = np.where(frame["agent"] == 2, "ball", "player")
    tracks = Tracks.read(frame, scene="scene", kind="kind", seconds_per_frame=0.4)
    w = cut(tracks, stride=10)
    donors = Donors.of(w)
    known = {k: {t.tobytes() for t in donors.track[donors.kind == k]} for k in ("ball", "player")}
    found = donors.neighbors(w, w.seeds())
    back = rotated(found - w.past[:, None, -1:], -heading(w.past))
    ball = w.present & (w.neighbor_kind == w.kinds.index("ball"))
    home = donors.track[donors.kind == "ball"]
    for track in back[ball][::10]:
        assert np.abs(np.nan_to_num(home - track)).max((1, 2)).min() < 1e-9
    assert known["ball"].isdisjoint(known["player"])


def test_the_same_target_gets_the_same_donors_whoever_stands_beside_it(long):
    donors, seeds = Donors.of(long), long.seeds()
    whole = donors.neighbors(long, seeds)
    rows = np.array([9, 3])
    some = donors.neighbors(long.take(rows), seeds[rows])
    np.testing.assert_array_equal(some, whole[rows])
    again = Donors.from_state(donors.to_state())
    np.testing.assert_array_equal(again.neighbors(long, seeds), whole)


def test_neighbors_of_another_time_stood_there_then_and_are_never_the_target(world):
    tracks = world.tracks(1, n_steps=350, follow=False)
    w = cut(tracks, stride=10, radius=8.0)
    found, present, kind = OtherTimes(w).neighbors(w, w.seeds(), 8.0)
    frame = tracks.to_frame()
    places = frame.set_index(["agent", "frame"])[["x", "y"]]
    at = {
        tuple(np.round(xy, 6)): key for key, xy in zip(places.index, places.to_numpy(), strict=True)
    }
    seen = 0
    for i in np.flatnonzero(present.any(1)):
        moments, agents = set(), []
        for track in found[i, present[i]]:
            agent, moment = at[tuple(np.round(track[-1], 6))]
            moments.add(moment)
            agents.append(agent)
            assert agent != w.agent[i]
            assert np.linalg.norm(track[-1] - w.past[i, -1]) <= 8.0
        assert len(moments) == 1 and len(set(agents)) == len(agents)
        assert abs(moments.pop() * 0.4 - w.time[i]) >= 60
        seen += 1
    assert seen > 5
    distance = np.linalg.norm(found[:, :, -1] - w.past[:, None, -1], axis=-1)
    assert distance[present].max() > 0.9 * 8.0
    further = distance[:, 1:] >= distance[:, :-1]
    assert further[present[:, 1:]].all()
    assert (kind[present] == 0).all() and (kind[~present] == -1).all()


def test_a_short_scene_has_no_other_time(world):
    w = world.windows(1)
    _, present, _ = OtherTimes(w).neighbors(w, w.seeds(), None)
    assert not present.any()
    assert isinstance(w.time[0], np.floating) and pd.notna(w.time).all()


def test_the_ith_nearest_of_another_time_takes_the_seat_of_the_ith_nearest_of_its_kind(world):
    frame = world.tracks(2, n_agents=6, n_steps=350).to_frame()
    frame["kind"] = np.where(frame["agent"] == 2, "ball", "player")
    gone = (frame["agent"] >= 4) & (frame["frame"] >= 175)  # fewer players later on
    tracks = Tracks.read(frame[~gone], scene="scene", kind="kind", seconds_per_frame=0.4)
    w = cut(tracks, stride=10, radius=12.0)
    others, seeds = OtherTimes(w), w.seeds()
    tracks_then, there, kind = others.neighbors(w, seeds, 12.0)
    found = others.in_seats(w, seeds, 12.0)
    n_free, n_left_out = 0, 0
    for i in range(len(w)):
        for k in range(len(w.kinds)):
            seats = np.flatnonzero(w.present[i] & (w.neighbor_kind[i] == k))
            then = tracks_then[i, there[i] & (kind[i] == k)]
            n_free += len(seats) > len(then)
            n_left_out += len(seats) < len(then)
            for rank, seat in enumerate(seats):
                expected = then[rank] if rank < len(then) else np.full((8, 2), np.nan)
                np.testing.assert_array_equal(found[i, seat], expected)
        assert np.isnan(found[i, ~w.present[i]]).all()
    assert n_free > 5 and n_left_out > 5
    free = w.present & (np.arange(w.present.shape[1]) > 0)  # nobody in the first seat
    later = others.in_seats(replace(w, present=free), seeds, 12.0)
    assert np.isnan(later[:, 0]).all() and np.isfinite(later[:, 1, -1]).any()
    short = world.windows(1)
    assert np.isnan(OtherTimes(short).in_seats(short, short.seeds(), None)).all()


def test_neighbors_lose_their_motion_or_their_manoeuvres_and_nothing_else():
    track = np.array([[np.nan, np.nan], [0.0, 0.0], [1.0, 3.0], [3.0, 4.0]])
    nobody = np.full((4, 2), np.nan)
    tracks = np.stack([track, nobody])[None]  # (1, 2, 4, 2)
    still, steady = (absent.of_neighbors(rule, tracks) for rule in absent.MOTIONS)
    np.testing.assert_array_equal(still[0, 0], [[np.nan] * 2, [3, 4], [3, 4], [3, 4]])
    np.testing.assert_array_equal(steady[0, 0], [[np.nan] * 2, [-1, 2], [1, 3], [3, 4]])
    assert np.isnan(still[0, 1]).all() and np.isnan(steady[0, 1]).all()


def test_a_kind_is_found_behind_nearer_agents_of_another_kind():
    """One seat, for a ball: at the other moment nine players stand nearer than the ball."""
    T = 400
    xy = np.zeros((T, 11, 2))
    xy[:, 0] = np.random.default_rng(0).normal(0, 0.01, (T, 2)).cumsum(0)
    xy[:, 1:10, 0] = np.where(np.arange(T) < 200, 50, 1)[:, None] + np.arange(9)
    xy[:, 10, 1] = np.where(np.arange(T) < 200, 2, 20)
    kind = ["player"] * 10 + ["ball"]
    tracks = Tracks.from_arrays(xy, seconds_per_step=1.0, kind=kind, max_speed=None)
    all_ = cut(tracks, 3, 2, stride=10)
    early = cut(tracks, 3, 2, stride=10, max_neighbors=1)
    early = early[(early.agent == 0) & (early.time < 100)]
    assert (np.array(early.kinds)[early.neighbor_kind[:, 0]] == "ball").all()
    found = OtherTimes(all_).in_seats(early, early.seeds(0), None)
    assert np.isfinite(found).all()
    assert np.isin(found[:, 0, -1, 1], [2, 20]).all()
    assert (found[:, 0, -1, 1] == 20).any()
