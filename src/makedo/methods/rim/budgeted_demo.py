"""The demo's campaign: which aircraft should inspectors wait for, at which airport, next week?

There is money for so many inspections in the week.  Each airport should make a few and can make no
more than its inspectors have time for; no aircraft is inspected twice.  An inspection is worth the
visits that are expected, λ(x, y).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.progress import logger
from makedo.data.interaction_splits import Split
from makedo.methods.rim.matcher import BudgetMatcher

if TYPE_CHECKING:
    from makedo.methods.rim.estimator import RIM
    from makedo.report import Section

INSPECTIONS, AT_LEAST, AT_MOST = 600, 2, 20  # in all; at one airport
PAGE = "inspections.html"


def inspections(model: RIM, split: Split, out: Path) -> Section:
    """Plan the week, write the plan and its page, and say how many aircraft came."""
    matcher = BudgetMatcher(1, AT_LEAST, AT_MOST, budget=INSPECTIONS)
    matcher.fit(model, split.test)
    matcher.plan_.to_csv(out / "inspections.csv", index=False)
    matcher.report(model, split.test, show_rows=True).to_html(out / PAGE)
    came = comparison(matcher, model, split)
    logger.info("Inspections: %s", matcher.report().verdict)
    return section(matcher, came)


def comparison(matcher: BudgetMatcher, model: RIM, split: Split) -> pd.DataFrame:
    """How many planned aircraft come, beside plans that do without λ or without prices."""
    test = split.test
    targets: Any = test.targets(split.horizon)
    dense = model.scores(test).to_dense()
    alone = BudgetMatcher(1, AT_LEAST, AT_MOST, budget=INSPECTIONS)
    alone.fit(model.scores(test, active=False).to_dense())
    users = test.user_ids.get_indexer(pd.Index(matcher.plan_["user_id"]))
    items = pd.Index(matcher.prices_["item_id"]).get_indexer(pd.Index(matcher.plan_["item_id"]))
    plans = {
        "best plan": (users, items),
        "the same without λ": (
            alone.plan_["user_id"].to_numpy(),
            alone.plan_["item_id"].to_numpy(),
        ),
        "airports in turn, each its best": in_turn(dense, INSPECTIONS // dense.shape[1]),
    }
    rows = [
        (name, len(x), dense[x, y].sum(), int(np.asarray(targets[x, y]).sum()))
        for name, (x, y) in plans.items()
    ]
    return pd.DataFrame(rows, columns=["plan", "inspections", "visits expected", "aircraft came"])


def in_turn(scores: np.ndarray, many: int) -> tuple[np.ndarray, np.ndarray]:
    """Users and items where items choose in order, each as many of the users that are left."""
    left = scores.copy()
    users, items = [], []
    for item in range(scores.shape[1]):
        best = np.argsort(-left[:, item], kind="stable")[:many]
        left[best] = -np.inf
        users.append(best)
        items.append(np.full(len(best), item))
    return np.concatenate(users), np.concatenate(items)


def section(matcher: BudgetMatcher, came: pd.DataFrame) -> Section:
    """What stands in the demo's page."""
    from makedo.report import Section

    return Section(
        "A budget: whom to inspect where",
        text=f"There is money for {INSPECTIONS} inspections in the week. An airport should make "
        f"at least {AT_LEAST} and can make {AT_MOST}; no aircraft is inspected twice. The plan is "
        f"at most {100 * matcher.duality_gap_:.2g} % below the best possible one. `{PAGE}` beside "
        "this page has prices and what a tighter budget would cost, `inspections.csv` the plan.",
        table=came,
        table_caption="How many of the planned inspections find the aircraft within the week.",
    )
