"""Can a campaign's promises be kept at all?  If not: which, and what would make it possible."""

from __future__ import annotations

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, count, first
from makedo.methods.rim.dual import Limits


class CannotBeMetError(MakedoInputError):
    """The limits of a campaign contradict each other."""


def check_feasible(
    limits: Limits, of_user: np.ndarray, of_item: np.ndarray, items: pd.Index
) -> None:
    """Refuse minima that no plan can meet.

    Parameters
    ----------
    limits : Limits
    of_user, of_item : ndarray (n_users,) and (n_items,)
        How many pairs may be matched.
    items : Index

    Raises
    ------
    MakedoInputError
        Says which minima, and what would do.
    """
    low, high = limits.item_min, limits.item_max
    _refuse(low > high, items, "have a minimum above their maximum", "Lower one or raise the other")
    if np.isfinite(limits.shortfall):
        return
    _refuse(
        (low > 0) & (of_item == 0),
        items,
        "have a minimum, but nobody may receive them",
        "Give scores of users for them, or leave their minimum out",
    )
    most = ", ".join(dict.fromkeys(f"{n:g}" for n in of_item[low > of_item][:3]))
    _refuse(
        low > of_item,
        items,
        "have a minimum above the number of users who may receive them",
        f"Lower it to {most}, or allow more users",
    )
    capacity = float(np.minimum(limits.user_max, of_user).sum())
    if low.sum() > capacity:
        factor = np.floor(capacity / low.sum() * 1000) / 1000
        lower = f"multiply the minima by {factor:g} and round down"
        if np.floor(factor * low[low > 0].min()) < 1:  # some would be nothing
            lower = f"lower the minima by {count(int(low.sum() - capacity), 'contact')} in all"
        raise CannotBeMetError(
            f"BudgetMatcher: the minima add up to {count(int(low.sum()), 'contact')}, but the user "
            f"maxima allow only {int(capacity):,}. Raise user_max, {lower}, or set shortfall_cost "
            "to miss some at a price."
        )
    cheapest = limits.item_cost + limits.user_cost.min(initial=np.inf)
    check_affordable(float(low @ cheapest) if low.any() else 0.0, limits.budget)


def check_affordable(least: float, budget: float) -> None:
    """Refuse a budget below the least that all minima can cost."""
    if least > budget * (1 + 1e-9):
        raise CannotBeMetError(
            f"BudgetMatcher: the minima cost at least {least:,.6g}, the budget is {budget:,.6g}. "
            "Raise the budget, lower the minima, or set shortfall_cost to miss some at a price."
        )


def _refuse(wrong: np.ndarray, items: pd.Index, what: str, fix: str) -> None:
    if wrong.any():
        what = what.replace("have", "has", 1) if wrong.sum() == 1 else what
        raise CannotBeMetError(
            f"BudgetMatcher: {count(int(wrong.sum()), 'item')} {what} (first: "
            f"{first(items[wrong])}). {fix}."
        )


def check_kept(limits: Limits, delivered: np.ndarray, items: pd.Index) -> None:
    """Refuse a plan that misses hard minima: the limits together do not allow them.

    Parameters
    ----------
    limits : Limits
    delivered : ndarray (n_items,)
    items : Index
    """
    short = np.maximum(limits.item_min - delivered, 0)
    if short.any() and not np.isfinite(limits.shortfall):
        lacking = short > 0
        raise CannotBeMetError(
            f"BudgetMatcher: {count(int(short.sum()), 'contact')} of the minima of "
            f"{count(int(lacking.sum()), 'item')} find no place under the other limits (first: "
            f"{first(items[lacking])}). Lower these minima, raise user_max or the budget, allow "
            "more users for them, or set shortfall_cost to miss some at a price."
        )
