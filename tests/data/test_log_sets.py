"""The catalogue's logs are those that were measured, and damaged files are said to be damaged."""

import numpy as np
import pandas as pd
import pytest

from makedo.core.checks import MakedoInputError
from makedo.data import catalog
from makedo.data.log_sets import find_log

LOGS = {  # events, users, items, rows of items
    "ml-100k": (100_000, 943, 1_682, 1_682),
    "completejourney": (1_469_307, 2_469, 68_509, 68_492),
}


@pytest.mark.realdata
@pytest.mark.parametrize("name", LOGS)
def test_logs_of_the_folder_are_those_of_the_literature(name):
    if find_log(name) is None:
        pytest.skip(f"{name} is not in $MAKEDO_DATA")
    data = catalog.load(name)
    ids = data.events["user_id"].nunique(), data.events["item_id"].nunique()
    assert (len(data.events), *ids, len(data.items)) == LOGS[name]
    assert data.items.index.name == "item_id" and data.licence


def test_a_log_is_read_from_the_folder_with_or_without_items(tmp_path, monkeypatch):
    monkeypatch.setenv("MAKEDO_DATA", str(tmp_path))
    (tmp_path / "ml-100k").mkdir()
    events = pd.DataFrame({"USER_ID": [1, 2], "ITEM_ID": [5, 6], "TIMESTAMP": [10, 20]})
    events.to_parquet(tmp_path / "ml-100k" / "interactions.parquet")
    data = catalog.load("ml-100k")
    assert data.items is None and data.log().items.tolist() == [5, 6]
    assert repr(data) == "LogData('ml-100k', 2 events)"


def test_a_damaged_log_is_said_to_be_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("MAKEDO_DATA", str(tmp_path))
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "interactions.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(MakedoInputError, match="interactions.parquet: not a log"):
        catalog.load("ml-100k")
    monkeypatch.setattr("makedo.data.log_sets.CARRIED", tmp_path)
    with pytest.raises(MakedoInputError, match="It comes with makedo"):
        catalog.load("flights")
    np.savez(tmp_path / "flights.npz", count=np.array([1]))
    with pytest.raises(MakedoInputError, match="flights.npz: not a log"):
        catalog.load("flights")


def test_hours_of_flights_add_up_within_each_aircraft():
    events = catalog.load("flights").events
    assert events["timestamp"].diff()[events["user_id"].diff() == 0].min() >= 0
    assert (events["timestamp"] % 3600 == 0).all() and events["user_id"].is_monotonic_increasing
