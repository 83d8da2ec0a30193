"""Contacts that keep all minima for little money, by linear programmes: for tight budgets.

Prices and repairs lead to a plan that is worth much, and that may cost too much where a budget
leaves little beside the minima.  Of the promised items alone,

    max Σ (s - μ cost) π      Σ_y π(x, y) <= k_x      Σ_x π(x, y) = l_y      0 <= π <= 1

has whole numbers at its corners.  For μ without end it is the cheapest way to keep all minima, so
it says whether a budget allows them; the least μ at which the budget holds brings most.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from makedo.methods.rim.candidates import Candidates
from makedo.methods.rim.dual import Limits
from makedo.methods.rim.feasibility import check_affordable

MOST_PAIRS = 200_000  # of promised items; a programme takes seconds
STEPS, WIDEST = 10, 1e4  # of bisection for μ, over so many times what a point of score costs


def cheapest_promises(pairs: Candidates, limits: Limits) -> np.ndarray | None:
    """Pairs that keep the minima within the budget, and are worth as much as that leaves.

    Parameters
    ----------
    pairs, limits

    Returns
    -------
    bool ndarray (n_pairs,)
        None where there are too many pairs to tell, or no such contacts.

    Raises
    ------
    CannotBeMetError
        The budget is below what the minima cost; says how much that is.
    """
    place = np.flatnonzero(limits.item_min[pairs.item] > 0)
    if len(place) > MOST_PAIRS:
        return None
    cost = limits.user_cost[pairs.user[place]] + limits.item_cost[pairs.item[place]]
    score = pairs.score[place].astype(float)
    found = _best(pairs, limits, place, -cost)
    if found is None:
        return None
    check_affordable(float(cost[found].sum()), limits.budget)
    middle = float(np.abs(score).mean() / cost.mean())
    low, high = np.log(middle / WIDEST), np.log(middle * WIDEST)
    for _ in range(STEPS):
        trial = _best(pairs, limits, place, score - np.exp((low + high) / 2) * cost)
        if trial is not None and cost[trial].sum() <= limits.budget:
            found, high = trial, (low + high) / 2
        else:
            low = (low + high) / 2
    taken = np.zeros(len(pairs), bool)
    taken[place[found]] = True
    return taken


def _best(
    pairs: Candidates, limits: Limits, place: np.ndarray, worth: np.ndarray
) -> np.ndarray | None:
    """The contacts, bool (n,), that keep the minima at the largest sum of worths (n,)."""
    user, item, one = pairs.user[place], pairs.item[place], np.arange(len(place))
    ones = np.ones(len(place))
    of_user = sp.csr_matrix((ones, (user, one)), (pairs.n_users, len(place)))
    of_item = sp.csr_matrix((ones, (item, one)), (pairs.n_items, len(place)))
    most = np.minimum(limits.user_max, np.diff(pairs.start))
    loss = -worth / max(np.abs(worth).max(), 1e-300)
    found = linprog(loss, of_user, most, of_item, limits.item_min, (0, 1), method="highs-ds")
    return found.x > 0.5 if found.status == 0 else None
