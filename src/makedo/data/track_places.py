"""Longitudes and latitudes as metres on a flat map, scene by scene.

A degree of longitude is as long as the cosine of the latitude says; on the map of a scene it has
one length, that of the middle.  Half a degree (56 km) north or south of it that is 1 % wrong at the
latitude of 50 degrees.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, MakedoWarning, count
from makedo.data.track_reading import Rows

DEGREES = "deg"
METRES_PER_DEGREE = np.pi / 180 * 6_371_008.8  # of latitude, on a sphere with the mean radius
TOO_WIDE = 0.05  # share by which a distance may be wrong in silence


def from_degrees(rows: Rows) -> Rows:
    """Rows in metres east and north of a whole degree near the middle of their scene.

    Whole degrees, so that the scenes of one region have one origin, as a rule.

    Parameters
    ----------
    rows : Rows
        With x the longitude and y the latitude.

    Raises
    ------
    MakedoInputError
        A latitude beyond 90 or a longitude beyond 360 degrees.

    Warns
    -----
    MakedoWarning
        A scene so large that distances in it are more than 5 % wrong.
    """
    longitude, latitude = rows.xy.T
    bad = (np.abs(latitude) > 90) | (np.abs(longitude) > 360)
    if bad.any():
        raise MakedoInputError(
            f"{rows.where}: {count(int(bad.sum()), 'row')} of {len(bad):,} are on no globe (first: "
            f"longitude {longitude[bad][0]:g}, latitude {latitude[bad][0]:g}). With unit={DEGREES} "
            "x is the longitude and y the latitude."
        )
    begin = pd.Series(longitude).groupby(rows.scene).transform("first").to_numpy()
    east = begin + (longitude - begin + 180) % 360 - 180  # nobody goes around the globe
    middle = [
        pd.Series(one).groupby(rows.scene).transform("median").round().to_numpy()
        for one in (east, latitude)
    ]
    width = np.cos(np.radians(middle[1]))
    wrong = np.abs(np.cos(np.radians(latitude)) / width - 1)
    if (wrong > TOO_WIDE).any():
        scene = rows.scenes[rows.scene[wrong.argmax()]]
        warnings.warn(
            f"{rows.where}: scene {scene!r} is so large that distances on its flat map are up to "
            f"{wrong.max():.0%} wrong. Cut it into regions, or give metres of a projection of "
            "your own.",
            MakedoWarning,
            stacklevel=5,
        )
    xy = np.column_stack([(east - middle[0]) * width, latitude - middle[1]]) * METRES_PER_DEGREE
    return replace(rows, xy=xy)
