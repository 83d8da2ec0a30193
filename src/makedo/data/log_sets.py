"""The catalogue's logs of events."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from makedo.core.checks import MakedoInputError
from makedo.data.interactions import InteractionLog

CARRIED = Path(__file__).parent / "carried"
FIRST_FLIGHT = 1_357_034_400  # Unix seconds of 2013-01-01T10:00Z; flights count hours from there
RENAMED = {"USER_ID": "user_id", "ITEM_ID": "item_id", "TIMESTAMP": "timestamp"}


@dataclass(frozen=True)
class LogData:
    """Who did what, and when.

    Attributes
    ----------
    name : str
    events : DataFrame
        user_id, item_id, timestamp (Unix seconds), perhaps more columns.
    items : DataFrame or None
        What is known of the items, indexed by item_id.
    licence, source : str
    """

    name: str
    events: pd.DataFrame
    items: pd.DataFrame | None
    licence: str
    source: str

    def __repr__(self) -> str:
        return f"LogData({self.name!r}, {len(self.events):,} events)"

    def log(self) -> InteractionLog:
        """The events as a log."""
        return InteractionLog.read(self.events)


def find_log(name: str) -> Path | None:
    """``<name>/interactions.parquet`` in the folder that $MAKEDO_DATA names."""
    folder = os.environ.get("MAKEDO_DATA")
    file = Path(folder, name, "interactions.parquet") if folder else None
    return file if file is not None and file.is_file() else None


def find_flights(name: str) -> Path | None:
    """The departures that come with the package."""
    file = CARRIED / f"{name}.npz"
    return file if file.is_file() else None


def load_log(name: str, file: Path, licence: str, source: str) -> LogData:
    """A log in Parquet, with a table of items beside it."""
    try:
        events = pd.read_parquet(file).rename(columns=RENAMED)
        beside = file.with_name("items.parquet")
        items = None
        if beside.is_file():
            items = pd.read_parquet(beside).rename(columns=RENAMED).set_index("item_id")
    except (pa.ArrowException, OSError, KeyError) as error:
        raise _damaged(file, error) from error
    return LogData(name, events, items, licence, source)


def load_flights(name: str, file: Path, licence: str, source: str) -> LogData:
    """Departures: which aircraft left for which airport, to the hour."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            parts = {key: archive[key] for key in archive.files}
        count = parts["count"].astype(np.int64)  # events of each aircraft
        since = parts["dh"].astype(np.int64)  # hours since its last one
        total = np.cumsum(since)
        begin = np.cumsum(count) - count
        hour = total - np.repeat(total[begin] - since[begin], count)
        airports = parts["iata"].astype(str)
        events = pd.DataFrame(
            {
                "user_id": np.repeat(np.arange(len(count)), count),
                "item_id": airports[parts["dest"]],
                "timestamp": FIRST_FLIGHT + 3600 * hour,
            }
        )
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(file, error) from error
    return LogData(name, events, None, licence, source)


def _damaged(file: Path, error: Exception) -> MakedoInputError:
    return MakedoInputError(
        f"{file}: not a log as the catalogue keeps it ({type(error).__name__}: {error}). Copy it "
        "again."
    )
