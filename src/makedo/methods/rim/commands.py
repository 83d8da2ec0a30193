"""The verbs of ``makedo rim``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

import makedo
from makedo.core.checks import MakedoInputError, count, first
from makedo.core.diagnosis import Diagnosis
from makedo.core.verbs import Batches, Fitted, Model, Page, Rows, Settings, Table
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim.asking import requests_of

HELP = {
    "log": "table with one row an event: user, item, time",
    "later": "table of events after those that fit learnt from; with it they are in the histories",
    "user": "column of users, in any case",
    "item": "column of items, in any case",
    "time": "column of times: Unix seconds, or dates",
    "event": "column of kinds of events, such as view and purchase (default: all are alike)",
    "target": "with --event: the kind that is to be predicted; others say how active a user is",
    "checkpoint": "folder for the state of a network's training; a killed fit, called again, goes "
    "on from there",
    "users": "ids of users, separated by commas (default: all)",
    "items": "ids of items, separated by commas (default: all that fit saw)",
    "at": "time to rank for (default: just after the last event)",
    "top": "how many to list for each (default: 10 items, 100 users, or all where they are fewer)",
    "top_k": "lengths of lists, separated by commas (default: 0.5, 1 and 2 %, at least 5, 10, 20)",
    "test_start": "first time of the part to test on",
    "horizon": "length of that part, such as 28D",
    "user_max": "the most items of a user",
    "item_min": "the least users of an item",
    "item_max": "the most users of an item",
    "budget": "money for all contacts; without costs, their number",
    "shortfall_cost": "what a missing user of a minimum costs, in points of score (default: "
    "none may be missing)",
    "item_budgets": "table with item_id and any of item_min, item_max, item_cost, item_value; for "
    "items that it does not name --item-min and --item-max hold",
    "user_budgets": "table with user_id and any of user_max, user_cost, user_value; for users that "
    "it does not name --user-max holds",
    "part": "which rows to write; without it all, with a column that says which they are",
}
WHOLE = re.compile("-?[0-9]+")
PLAIN = re.compile("0|-?[1-9][0-9]{0,17}")  # as a number is written: not 007
BLOCK = 65_536  # users whose lists are written at once
Part = Literal["before", "test", "after"]


def diagnose(
    *,
    log: Table,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    event: str | None = None,
    target: str | None = None,
    settings: Settings,
) -> Diagnosis:
    """Measure on the last horizon whether activity is predictable, and what it brings."""
    model = settings.build(makedo.RIM)
    found = model.diagnose(_read(log, user, item, time, event, target))
    columns = {"user": user, "item": item, "time": time, "event": event, "target": target}
    return replace(found, command=_with_options(found.command, settings, columns))


def split(
    *,
    log: Table,
    test_start: str,
    horizon: str,
    part: Part | None = None,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    event: str | None = None,
    target: str | None = None,
) -> Rows:
    """Cut a log by time: what comes before the test, in its horizon, and after it.

    What is written has the columns user_id, item_id, timestamp (Unix seconds), and that of --event;
    other columns are left out.
    """
    from makedo.data.interaction_splits import temporal_split

    events = _read(log, user, item, time, event, target)
    found = temporal_split(events, test_start, horizon, n_valid=0)
    T = found.test.time[0]
    frames = [_with_part(log, T, found.horizon) for log in events.kinds]
    if event is not None:
        kinds = (events.kind, *events.beside)
        frames = [frame.assign(**{event: kind}) for frame, kind in zip(frames, kinds, strict=True)]
    frame = pd.concat(frames, ignore_index=True)
    return frame if part is None else frame[frame["part"] == part].drop(columns="part")


def fit(
    *,
    log: Batches,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    event: str | None = None,
    target: str | None = None,
    checkpoint: Path | None = None,
    settings: Settings,
) -> Fitted:
    """Learn what is chosen, and how active each user will be."""
    model = settings.build(makedo.RIM)
    events = _read(log, user, item, time, event, target)
    return model.fit(events, checkpoint_dir=checkpoint)


def recommend_items(
    model: Model,
    *,
    users: list[str] | None = None,
    later: Batches | None = None,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    event: str | None = None,
    at: str | None = None,
    top: int | None = None,
) -> Rows:
    """List what each user will turn to within the horizon."""
    _update(model, later, user, item, time, event)
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
    event: str | None = None,
    at: str | None = None,
    top: int | None = None,
) -> Rows:
    """List who will turn to each item within the horizon."""
    _update(model, later, user, item, time, event)
    known = model.log_.items[model.known(np.arange(model.log_.n_items))]
    ids = known if items is None else _ids(model.log_.items, items)
    return model.recommend_users(ids, top_k=top, at=at)


def match(
    model: Model,
    *,
    user_max: int = 1,
    item_min: int | None = None,
    item_max: int | None = None,
    budget: float | None = None,
    shortfall_cost: float | None = None,
    item_budgets: Table | None = None,
    user_budgets: Table | None = None,
    users: list[str] | None = None,
    items: list[str] | None = None,
    at: str | None = None,
) -> Rows:
    """Plan a campaign: who gets which item, under limits of users, items and money."""
    given = (user_max, item_min, item_max, budget, shortfall_cost, item_budgets, user_budgets)
    return _matched(model, given, users, items, at)[0].plan_


def campaign(
    model: Model,
    *,
    user_max: int = 1,
    item_min: int | None = None,
    item_max: int | None = None,
    budget: float | None = None,
    shortfall_cost: float | None = None,
    item_budgets: Table | None = None,
    user_budgets: Table | None = None,
    users: list[str] | None = None,
    items: list[str] | None = None,
    at: str | None = None,
    show_rows: bool = False,
) -> Page:
    """Show such a plan: who gets what, prices, promises, and what other budgets would bring."""
    given = (user_max, item_min, item_max, budget, shortfall_cost, item_budgets, user_budgets)
    matcher, requests = _matched(model, given, users, items, at)
    return matcher.report(model, requests, show_rows=show_rows)


def evaluate(
    model: Model,
    *,
    log: Table,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    event: str | None = None,
    top_k: list[str] | None = None,
) -> Rows:
    """Judge both rankings on events that came after the fit, beside simpler ones."""
    later = _read_later(model, log, user, item, time, event)
    return model.evaluate(later, top_k=_lengths(top_k))


def report(
    model: Model,
    *,
    log: Table | None = None,
    user: str = "user_id",
    item: str = "item_id",
    time: str = "timestamp",
    event: str | None = None,
    show_rows: bool = False,
) -> Page:
    """Did it pay?  On events that came after the fit; without any, what the fit stored."""
    events = None if log is None else _read_later(model, log, user, item, time, event)
    return model.report(events, show_rows=show_rows)


VERBS = [diagnose, split, fit, recommend_items, recommend_users, match, campaign, evaluate, report]


# --- files and texts to arguments -----------------------------------------------------------------


def _read(
    log: Table | Batches, user: str, item: str, time: str, event: str | None, target: str | None
) -> InteractionLog:
    names = {"user": user, "item": item, "time": time, "event": event, "target": target}
    return InteractionLog.read(_source(log), **names)


def _with_options(command: str, settings: Settings, columns: dict[str, str | None]) -> str:
    """A line to run next, with the options of this one; of parameters it names marks itself."""
    if not command:
        return ""
    usual = {"user": "user_id", "item": "item_id", "time": "timestamp"}
    named = [
        f"--{role} {shlex.quote(name)}"
        for role, name in columns.items()
        if name not in (None, usual.get(role))
    ]
    given = [where for name, (where, _) in settings.given.items() if name != "marks"]
    return " ".join([command, *named, *(where for where in given if where.startswith("--set"))])


def _source(log: Table | Batches) -> Any:
    return log if isinstance(log, Batches) else _Named(log)


def _with_part(log: InteractionLog, T: float, horizon: float) -> pd.DataFrame:
    """The events with whether they are before, in or after the horizon from T."""
    names = np.array(["before", "test", "after"])
    return pd.DataFrame(
        {
            "user_id": log.users[log.user],
            "item_id": log.items[log.item],
            "timestamp": log.time,
            "part": names[np.searchsorted([T, T + horizon], log.time, side="right")],
        }
    )


class _Named:
    """A table as one batch, with the name of its file for messages."""

    def __init__(self, table: Table):
        self.name, self._table = table.name, table

    def __iter__(self) -> Iterator[pd.DataFrame]:
        yield self._table.frame


def _read_later(
    model: Any, log: Table | Batches, user: str, item: str, time: str, event: str | None
) -> InteractionLog:
    """Events after the fit, with ids in the form of its log.

    A file without a leading zero or a letter in its ids has whole numbers, whatever the others had;
    and a file may hold whole numbers as text.
    """
    new = model.log_.read_more(_source(log), user=user, item=item, time=time, event=event)
    return new.with_ids(
        _in_form(new.users, model.log_.users), _in_form(new.items, model.log_.items)
    )


def _in_form(ids: pd.Index, known: pd.Index) -> pd.Index:
    """Whole numbers as text where the known ids are text; such text as numbers where they are."""
    if ids.dtype.kind in "iu" and known.inferred_type == "string":
        return ids.astype(str)
    if known.dtype.kind in "iu" and ids.inferred_type == "string":
        return ids.astype(np.int64) if all(map(PLAIN.fullmatch, ids)) else ids
    return ids


def _update(
    model: Any, later: Batches | None, user: str, item: str, time: str, event: str | None
) -> None:
    if later is not None:
        model.update(_read_later(model, later, user, item, time, event))


def _blocks(model: Any, ids: pd.Index, at: Any, top: int | None) -> Iterator[pd.DataFrame]:
    for begin in range(0, len(ids), BLOCK):
        yield model.recommend_items(ids[begin : begin + BLOCK], top_k=top, at=at)


def _ids(known: pd.Index, texts: list[str]) -> pd.Index:
    """Ids as the log has them: whole numbers where it has such."""
    if known.dtype.kind not in "iu":
        return pd.Index(texts)
    if wrong := [text for text in texts if not WHOLE.fullmatch(text)]:
        raise MakedoInputError(
            f"{count(len(wrong), 'id')} of those asked for (first: {first(wrong)}): the log names "
            "by whole numbers."
        )
    return pd.Index([int(text) for text in texts])


def _lengths(texts: list[str] | None) -> list[int] | None:
    if texts is None:
        return None
    if wrong := [text for text in texts if not WHOLE.fullmatch(text)]:
        raise MakedoInputError(f"--top-k: {first(wrong)} is no whole number.")
    return [int(text) for text in texts]


def _matched(model: Any, given: tuple, users: Any, items: Any, at: Any) -> tuple[Any, Requests]:
    """The matcher, fitted for some users and items at a time."""
    ids = model.log_.users if users is None else _ids(model.log_.users, users)
    requests = requests_of(model.log_, ids, at, model.now_)
    if items is not None:
        places = model.log_.item_positions(_ids(model.log_.items, items))
        requests = requests.restricted(places)
    known = model.known(requests.candidates)
    matcher = _matcher(*given, users=requests.user_ids, items=model.log_.items[known])
    return matcher.fit(model, requests), requests


def _matcher(
    user_max: int,
    item_min: int | None,
    item_max: int | None,
    budget: float | None,
    shortfall_cost: float | None,
    item_budgets: Table | None,
    user_budgets: Table | None,
    *,
    users: pd.Index,
    items: pd.Index,
) -> Any:
    """The matcher of what is said on the command line."""
    limits: dict[str, Any] = {"user_max": user_max, "item_min": item_min, "item_max": item_max}
    for table, key, ids in ((item_budgets, "item_id", items), (user_budgets, "user_id", users)):
        for name, named in ({} if table is None else _columns(table, key, ids)).items():
            limits[name] = _with_others(named, limits.get(name), ids)
    return makedo.BudgetMatcher(**limits, budget=budget, shortfall_cost=shortfall_cost)


def _with_others(named: pd.Series, number: float | None, ids: pd.Index) -> pd.Series:
    """A budget by id, and the number that is meant for all for ids that are not named."""
    if number is None:
        return named
    others = ids[~ids.isin(named.index)]
    return pd.concat([named, pd.Series(number, others)])


def _columns(table: Table, key: str, ids: pd.Index) -> dict[str, Any]:
    """Budgets by id, in the form of known ids, without the cells that are empty."""
    frame, noun = table.frame, key.removesuffix("_id")
    known = {f"{noun}_{what}" for what in ("min", "max", "cost", "value")} - {"user_min"}
    if key not in frame or not known & set(frame.columns):
        raise MakedoInputError(
            f"{table.name}: needs a column {key!r} and at least one of {first(sorted(known), 4)}. "
            f"There are {first(frame.columns, 8)}."
        )
    for name in set(frame.columns) - known - {key}:
        if meant := get_close_matches(str(name), known, 1, 0.8):
            raise MakedoInputError(
                f"{table.name}: the column {name!r} is no budget. If it is {meant[0]!r}, rename "
                "it; else leave it out."
            )
    by_id = frame.set_index(key)
    by_id.index = _in_form(by_id.index, ids)
    return {name: by_id[name].dropna() for name in sorted(known & set(frame.columns))}
