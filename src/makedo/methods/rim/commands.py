"""The verbs of ``makedo rim``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

import makedo
from makedo.core.checks import MakedoInputError, count, first
from makedo.core.diagnosis import Diagnosis
from makedo.core.verbs import Batches, Fitted, Model, Page, Rows, Settings, Table
from makedo.data.interactions import InteractionLog

HELP = {
    "log": "table with one row an event: user, item, time",
    "later": "table of events after those that fit learnt from; with it they are in the histories",
    "user": "column of users, in any case",
    "item": "column of items, in any case",
    "time": "column of times: Unix seconds, or dates",
    "checkpoint": "folder for the state of a network's training; a killed fit, called again, goes "
    "on from there",
    "users": "ids of users, separated by commas (default: all)",
    "items": "ids of items, separated by commas (default: all that fit saw)",
    "at": "time to rank for (default: just after the last event)",
    "top": "how many to list for each",
    "top_k": "lengths of lists, separated by commas (default: 0.5, 1 and 2 %, at least 5, 10, 20)",
    "test_start": "first time of the part to test on",
    "horizon": "length of that part, such as 28D",
    "part": "which rows to write; without it all, with a column that says which they are",
}
BLOCK = 65_536  # users whose lists are written at once
Part = Literal["before", "test", "after"]


def diagnose(
    *,
    log: Table,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    settings: Settings,
) -> Diagnosis:
    """Measure on the last horizon whether activity is predictable, and what it brings."""
    model = settings.build(makedo.RIM)
    return model.diagnose(_read(log, user, item, time))


def split(
    *,
    log: Table,
    test_start: str,
    horizon: str,
    part: Part | None = None,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
) -> Rows:
    """Cut a log by time: what comes before the test, in its horizon, and after it."""
    from makedo.data.interaction_splits import temporal_split

    events = _read(log, user, item, time)
    found = temporal_split(events, test_start, horizon, n_valid=0)
    T = found.test.time[0]
    place = np.searchsorted([T, T + found.horizon], events.time, side="right")
    names = np.array(["before", "test", "after"])[place]
    frame = pd.DataFrame(
        {
            "user_id": events.users[events.user],
            "item_id": events.items[events.item],
            "timestamp": events.time,
            "part": names,
        }
    )
    return frame if part is None else frame[names == part].drop(columns="part")


def fit(
    *,
    log: Batches,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    checkpoint: Path | None = None,
    settings: Settings,
) -> Fitted:
    """Learn what is chosen, and how active each user will be."""
    model = settings.build(makedo.RIM)
    return model.fit(_read(log, user, item, time), checkpoint_dir=checkpoint)


def recommend_items(
    model: Model,
    *,
    users: list[str] | None = None,
    later: Batches | None = None,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    at: str | None = None,
    top: int = 10,
) -> Rows:
    """List what each user will turn to within the horizon."""
    _update(model, later, user, item, time)
    ids = model.log_.users if users is None else _ids(model.log_.users, users)
    return _blocks(model, ids, at, top)


def recommend_users(
    model: Model,
    *,
    items: list[str] | None = None,
    later: Batches | None = None,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    at: str | None = None,
    top: int = 100,
) -> Rows:
    """List who will turn to each item within the horizon."""
    _update(model, later, user, item, time)
    known = model.log_.items[: model.marks_.n_items]
    ids = known if items is None else _ids(known, items)
    return model.recommend_users(ids, top_k=top, at=at)


def evaluate(
    model: Model,
    *,
    log: Table,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    top_k: list[str] | None = None,
) -> Rows:
    """Judge both rankings on events that came after the fit, beside simpler ones."""
    return model.evaluate(_read(log, user, item, time), top_k=_lengths(top_k))


def report(
    model: Model,
    *,
    log: Table | None = None,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    show_rows: bool = False,
) -> Page:
    """Did it pay?  On events that came after the fit; without any, what the fit stored."""
    events = None if log is None else _read(log, user, item, time)
    return model.report(events, show_rows=show_rows)


VERBS = [diagnose, split, fit, recommend_items, recommend_users, evaluate, report]


# --- files and texts to arguments -----------------------------------------------------------------


def _read(log: Table | Batches, user: str, item: str, time: str) -> InteractionLog:
    source: Any = log if isinstance(log, Batches) else _Named(log)
    return InteractionLog.read(source, user=user, item=item, time=time)


class _Named:
    """A table as one batch, with the name of its file for messages."""

    def __init__(self, table: Table):
        self.name, self._table = table.name, table

    def __iter__(self) -> Iterator[pd.DataFrame]:
        yield self._table.frame


def _update(model: Any, later: Batches | None, user: str, item: str, time: str) -> None:
    if later is not None:
        model.update(_read(later, user, item, time))


def _blocks(model: Any, ids: pd.Index, at: Any, top: int) -> Iterator[pd.DataFrame]:
    for begin in range(0, len(ids), BLOCK):
        yield model.recommend_items(ids[begin : begin + BLOCK], top_k=top, at=at)


def _ids(known: pd.Index, texts: list[str]) -> pd.Index:
    """Ids as the log has them: whole numbers where it has such."""
    if known.dtype.kind not in "iu":
        return pd.Index(texts)
    wrong = [text for text in texts if not text.lstrip("-").isdigit()]
    if wrong:
        raise MakedoInputError(
            f"{count(len(wrong), 'id')} of those asked for (first: {first(wrong)}): the log names "
            "by whole numbers."
        )
    return pd.Index([int(text) for text in texts])


def _lengths(texts: list[str] | None) -> list[int] | None:
    if texts is None:
        return None
    if wrong := [text for text in texts if not text.isdigit()]:
        raise MakedoInputError(f"--top-k: {first(wrong)} is no whole number.")
    return [int(text) for text in texts]
