"""How good both rankings of a fitted model are on what came after, beside simpler ones."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.interaction_splits import Split
from makedo.data.interactions import InteractionLog, Requests
from makedo.data.times import date, in_words
from makedo.methods.rim.diagnose import REPEATED, repeated_share
from makedo.methods.rim.hawkes import activity
from makedo.methods.rim.intensities import EMA
from makedo.methods.rim.marks import PersonalRepeat
from makedo.methods.rim.ranking import evaluate_item_rec, evaluate_user_rec
from makedo.methods.rim.scores import ScoreOperator
from makedo.methods.rim.windows import everybody

if TYPE_CHECKING:
    from makedo.methods.rim.estimator import RIM

POPULAR, REPEATS, ALONE = "popularity", "own repeats", "without λ"
RECENT, OURS = "recent activity", "RIM"
MUCH = 0.5  # of the events, that are of new users or items
MOSTLY = 0.9  # of a horizon, that the events to judge by must cover


def evaluate(model: RIM, X: Any, y: Any, top_k: Any) -> pd.DataFrame:
    """Both rankings by each candidate; see :meth:`RIM.evaluate`."""
    requests = asked(model, X)
    y = came_true(model, requests) if y is None else y
    tables = []
    for name, scores in candidates(model, requests).items():
        for ranking, judge in (("items", evaluate_item_rec), ("users", evaluate_user_rec)):
            table = judge(scores, y, top_k)
            table = table.rename(columns={table.columns[0]: "top_k"})
            table.insert(0, "candidate", name)
            table.insert(0, "ranking", ranking)
            tables.append(table)
    whole = pd.concat(tables, ignore_index=True)
    return whole.sort_values("ranking", kind="stable", ignore_index=True)


def asked(model: RIM, X: Any) -> Requests:
    """Requests with items that the model can rank, from what ``evaluate`` takes."""
    if isinstance(X, Split):
        requests = X.test
    elif isinstance(X, Requests):
        requests = X
    else:
        later = X if isinstance(X, InteractionLog) else model.log_.read_more(X)
        whole = everybody(model.log_.append(later), model.now_)
        requests = whole.take(np.flatnonzero(whole.n_before))  # the others had no history
        _warn_of_news(model, requests)
    return requests.restricted(model.known(requests.candidates))


def came_true(model: RIM, requests: Requests) -> Any:
    """What the users turned to in the horizon, bool (n_requests, n_candidates)."""
    found = requests.targets(model.horizon_, exclude_seen=model.exclude_seen)
    if not found.nnz:
        raise MakedoInputError(f"RIM: there is nothing to judge by: {_why(requests, model)}")
    _warn_of_half_a_horizon(requests, model.horizon_)
    return found


def _why(requests: Requests, model: RIM) -> str:
    """Why no event can be judged by."""
    log, H = requests.log, model.horizon_
    begin, end = requests.time.min(initial=np.inf), requests.time.max(initial=-np.inf) + H
    inside = np.flatnonzero((log.time >= begin) & (log.time < end))
    if not len(inside):
        after = log.time[log.time >= end]
        return f"no event lies from {date(begin)} to {date(end)}, the horizon of the model. " + (
            f"The next one is at {date(after.min())}."
            if len(after)
            else f"The events end at {date(log.time.max())}."
        )
    said = []
    known = (requests.user[requests.n_before > 0], requests.candidates)
    for noun, ids, new, old in zip(
        ("user", "item"), (log.users, log.items), (log.user, log.item), known, strict=True
    ):
        unknown = ~np.isin(new[inside], old)
        if unknown.all():
            them, others = ids[np.unique(new[inside])], ids[old]
            said.append(f"none is of a known {noun} ({first(them)}; known are {first(others)})")
    told = ", and ".join(said) or "none is of a known user with a known item" + (
        " that the user had not seen, and exclude_seen is set" * model.exclude_seen
    )
    return (
        f"of {count(len(inside), 'event')} from {date(begin)} to {date(end)} {told}."
        + " Give ids in the form that they had for fit." * bool(said)
    )


def _warn_of_news(model: RIM, requests: Requests) -> None:
    """Where most of what came cannot be ranked by anybody."""
    log = requests.log
    inside = (log.time >= model.now_) & (log.time < model.now_ + model.horizon_)
    new = ~np.isin(log.user[inside], requests.user)
    new |= ~model.marks_.rankable(log.item[inside])
    if new.any() and MUCH < new.mean() < 1:
        warnings.warn(
            f"RIM: {new.mean():.0%} of {count(len(new), 'event')} in the horizon are of users or "
            "items without an event before it. Nobody can rank those, and they are not judged.",
            MakedoWarning,
            stacklevel=5,
        )


def _warn_of_half_a_horizon(requests: Requests, H: float) -> None:
    """Where all ask for one time and the log ends well before the horizon does."""
    T, end = requests.time[0], float(requests.log.last)
    if (requests.time == T).all() and end < T + MOSTLY * H:
        warnings.warn(
            f"RIM: of the horizon of {in_words(H)} from {date(T)} the events cover only "
            f"{in_words(end + 1 - T)}. Lists are judged by these, and λ will look too high.",
            MakedoWarning,
            stacklevel=5,
        )


def candidates(model: RIM, requests: Requests) -> dict[str, ScoreOperator]:
    """The model and what it is compared with, the simplest first.

    Popularity of user and item; where users come back to the same items, what each had before, with
    recent activity for λ; p(y|x) alone; p(y|x) with recent activity for λ, unless that is its own.
    """
    alone = model.scores(requests, active=False)
    whole = alone.scaled(model.rate(requests))
    recent = EMA().rate(activity(requests, np.ones(1), model.horizon_))
    popular = ScoreOperator(
        whole.shape,
        user_floor=np.ones(len(requests), np.float32),
        item_floor=model.marks_.popularity_[requests.candidates],
        excluded=whole.excluded,
    )
    found = {POPULAR: popular.scaled(requests.lengths + 0.01)}
    if _repeats_are_no_news(model):
        found[REPEATS] = _own_repeats(model, requests).scaled(recent)
    found[ALONE] = alone
    if not isinstance(model.intensity_, EMA):
        found[RECENT] = alone.scaled(recent)
    return found | {OURS: whole}


def _repeats_are_no_news(model: RIM) -> bool:
    """Whether users come back to the same items, and the marks are not made of that already."""
    known = isinstance(model.marks_, PersonalRepeat) or model.exclude_seen
    return not known and repeated_share(model.log_) > REPEATED


def _own_repeats(model: RIM, requests: Requests) -> ScoreOperator:
    repeats = PersonalRepeat()
    repeats.horizon_, repeats.popularity_ = model.horizon_, model.marks_.popularity_
    return repeats.scores(requests).take(items=requests.candidates)
