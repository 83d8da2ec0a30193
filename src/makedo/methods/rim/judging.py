"""How good both rankings of a fitted model are on what came after, beside simpler ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError
from makedo.data.interaction_splits import Split
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim.ranking import evaluate_item_rec, evaluate_user_rec
from makedo.methods.rim.scores import ScoreOperator

if TYPE_CHECKING:
    from makedo.methods.rim.estimator import RIM


def evaluate(model: RIM, X: Any, y: Any, top_k: Any) -> pd.DataFrame:
    """Both rankings by each candidate; see :meth:`RIM.evaluate`."""
    requests = asked(model, X)
    if y is None:
        y = requests.targets(model.horizon_, exclude_seen=model.exclude_seen)
        if not y.nnz:
            raise MakedoInputError(
                "RIM.evaluate: no user turned to a candidate item within the horizon after the "
                "requests, so there is nothing to judge by. Give events that came after them."
            )
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
        known = np.arange(model.log_.n_users, dtype=np.int32)  # the others had no history
        time = np.full(len(known), model.now_)
        requests = Requests(model.log_.append(later), known, time)
    items = requests.candidates
    return requests.restricted(items[items < model.marks_.n_items])


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
