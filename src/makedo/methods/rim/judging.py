"""How good both rankings of a fitted model are on what came after, beside simpler ones."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.interaction_splits import Split
from makedo.data.interactions import InteractionLog, Requests
from makedo.data.times import date, in_words
from makedo.methods.rim.ranking import evaluate_item_rec, evaluate_user_rec
from makedo.methods.rim.scores import ScoreOperator
from makedo.methods.rim.windows import everybody

if TYPE_CHECKING:
    from makedo.methods.rim.estimator import RIM

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
        later = X if isinstance(X, InteractionLog) else InteractionLog.read(X)
        whole = everybody(model.log_.append(later), model.now_)
        requests = whole.take(np.flatnonzero(whole.lengths))  # the others had no history
    return requests.restricted(model.known(requests.candidates))


def came_true(model: RIM, requests: Requests) -> Any:
    """What the users turned to in the horizon, bool (n_requests, n_candidates)."""
    found = requests.targets(model.horizon_, exclude_seen=model.exclude_seen)
    if not found.nnz:
        first, last = requests.time.min(initial=np.inf), requests.time.max(initial=-np.inf)
        raise MakedoInputError(
            "RIM: there is nothing to judge by: from "
            f"{date(first)} to {date(last + model.horizon_)}, no user known before turned to an "
            f"item known before. The events end at {date(requests.log.time.max())}."
        )
    _warn_of_half_a_horizon(requests, model.horizon_)
    return found


def _warn_of_half_a_horizon(requests: Requests, H: float) -> None:
    """Where all ask for one time and the log ends well before the horizon does."""
    T, end = requests.time[0], float(requests.log.time.max())
    if (requests.time == T).all() and end < T + MOSTLY * H:
        warnings.warn(
            f"RIM: of the horizon of {in_words(H)} from {date(T)} the events cover only "
            f"{in_words(end + 1 - T)}. Lists are judged by these, and λ will look too high.",
            MakedoWarning,
            stacklevel=5,
        )


def candidates(model: RIM, requests: Requests) -> dict[str, ScoreOperator]:
    """What the model is compared with: popularity of user and item, and p(y|x) alone."""
    whole = model.scores(requests)
    items = requests.candidates
    popular = ScoreOperator(
        whole.shape,
        user_floor=np.ones(len(requests), np.float32),
        item_floor=model.marks_.popularity_[items],
        excluded=whole.excluded,
    ).scaled(requests.lengths + 0.01)
    alone = model.scores(requests, active=False)
    return {"popularity": popular, "without λ": alone, "RIM": whole}
