"""Longitude and latitude become metres."""

import numpy as np
import pandas as pd
import pytest

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.tracks import Tracks

EVERY = {"seconds_per_frame": 60, "unit": "deg", "max_speed": None}


def walk(longitude, latitude, seed=0, n=200):
    """A walk of some tens of kilometres from there."""
    steps = np.random.default_rng(seed).normal(scale=0.01, size=(n, 2)).cumsum(0)
    table = pd.DataFrame(np.array([longitude, latitude]) + steps, columns=["x", "y"])
    return table.assign(frame=np.arange(n), agent=1)


def great_circle(table):
    """Metres of each step on the globe, by the haversine."""
    x, y = np.radians(table[["x", "y"]].to_numpy()).T
    a = np.sin(np.diff(y) / 2) ** 2 + np.cos(y[1:]) * np.cos(y[:-1]) * np.sin(np.diff(x) / 2) ** 2
    return 2 * 6_371_008.8 * np.arcsin(np.sqrt(a))


@pytest.mark.parametrize(("longitude", "latitude"), [(-74, 40.7), (116.4, 39.9), (5.3, -50.0)])
def test_steps_are_as_long_as_on_the_globe(longitude, latitude):
    table = walk(longitude, latitude)
    found = Tracks.read(table, **EVERY)
    steps = np.linalg.norm(np.diff(found.xy, axis=0), axis=1)
    assert steps == pytest.approx(great_circle(table), rel=0.02)
    assert np.abs(found.xy).max() < 150_000  # near the origin, for networks of 32 bits


def test_across_the_date_line_nobody_goes_around_the_globe():
    table = walk(180.0, -17.0)
    table["x"] = (table["x"] + 180) % 360 - 180
    assert table["x"].min() < -179 and table["x"].max() > 179
    found = Tracks.read(table, **EVERY)
    assert np.linalg.norm(np.diff(found.xy, axis=0), axis=1).max() < 10_000


def test_scenes_of_one_region_have_one_origin_and_other_regions_their_own():
    scenes = [walk(-74.0, 40.7), walk(-74.1, 40.6, 1), walk(139.7, 35.7)]
    table = pd.concat([one.assign(scene=i) for i, one in enumerate(scenes)])
    found = Tracks.read(table, **EVERY)
    first = found.xy[[0, 200, 400]]
    there = table[["x", "y"]].to_numpy()[[0, 200]]
    gap = (there[1] - there[0]) * 111_195 * [np.cos(np.radians(41)), 1]
    assert first[1] - first[0] == pytest.approx(gap, rel=1e-4)
    assert np.abs(first[2]).max() < 100_000


def test_what_lies_on_no_globe_or_all_over_it_is_told():
    swapped = walk(40.7, -174)
    with pytest.raises(MakedoInputError, match="200 rows of 200 are on no globe .first: longitude"):
        Tracks.read(swapped, **EVERY)
    wide = pd.concat([walk(10, 40), walk(10, 60).assign(agent=2)])
    with pytest.warns(MakedoWarning, match="flat map are up to .* wrong. Cut it into regions"):
        Tracks.read(wide, **EVERY)


def test_degrees_taken_for_metres_are_noticed():
    with pytest.warns(MakedoWarning, match="deg where x is the longitude"):
        Tracks.read(walk(-74, 40.7), seconds_per_frame=60)
