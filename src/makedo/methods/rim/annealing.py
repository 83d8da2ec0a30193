"""Prices by lowering the smooth dual while ε falls, until the plan is certified to be good.

After each ε the bound d_0 is computed, and where it comes near the smooth dual a plan is rounded.
Where not all pairs are candidates, all are streamed through the certificate at the end: those that
would be taken at these prices come in, and prices are lowered again.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import pandas as pd

from makedo.methods.rim.candidates import Candidates
from makedo.methods.rim.cheapest import cheapest_promises
from makedo.methods.rim.dual import Limits, Prices, Smooth, bound
from makedo.methods.rim.offers import Offer
from makedo.methods.rim.rounding import Plan, filled, improved, rounded

WARMEST, FALL, COLDEST = 0.03, 0.3, 1e-6  # ε in typical scores
STEPS, MORE_STEPS, PRECISION = 12, 1.5, 1e-7  # of L-BFGS at the first ε, and at each colder one
CLOSE = 10.0  # tolerances between smooth dual and bound, from which on rounding is worth its time
LITTLE = 0.1  # tolerances by which pairs that are left out may still raise the bound at the end
AGAIN = 1e-3  # ε once they came in
MOST_ROUNDS, MOST_STEPS = 30, 100


class Contacts(NamedTuple):
    """A plan of whole contacts: users, items, what each is worth in units, (n_contacts,)."""

    user: np.ndarray
    item: np.ndarray
    score: np.ndarray
    left_over: float  # what money that buys no whole contact any more would bring
    value: float
    missing: float  # contacts of minima that are not there


class Solution(NamedTuple):
    """The best plan, the lowest bound, and the prices that gave them, in units.

    Attributes
    ----------
    contacts : Contacts
    bound : float
        No plan is worth more.
    prices : Prices
    user_price : ndarray (n_users,)
    levels : list of (float, Prices)
        ε and its prices, from warm to cold.
    history : DataFrame, a row for each ε
    """

    contacts: Contacts
    bound: float
    prices: Prices
    user_price: np.ndarray
    levels: list[tuple[float, Prices]]
    history: pd.DataFrame


def anneal(
    offer: Offer, pairs: Candidates, limits: Limits, tolerance: float, random_state: int
) -> Solution:
    """Lower ε until the gap is at most the tolerance.

    Parameters
    ----------
    offer : Offer
    pairs : Candidates
    limits : Limits
    tolerance : float
        As a share of the bound.
    random_state : int
    """
    started, rows, levels = time.perf_counter(), [], []
    smooth = Smooth(pairs, limits)
    x = np.zeros(len(smooth.bounds()))
    epsilon = WARMEST if len(x) else COLDEST
    plan, lowest = None, np.inf
    prices, user_price = smooth.prices(x), smooth.user_price
    for i in range(MOST_ROUNDS):
        steps = int(min(STEPS * MORE_STEPS**i, MOST_STEPS))
        x, value = smooth.minimise(x, epsilon, steps, PRECISION)
        prices = smooth.prices(x)
        upper, user_price = bound(smooth.pairs, limits, prices)
        levels.append((epsilon, prices))
        is_last = epsilon <= COLDEST
        if is_last or value - upper <= CLOSE * tolerance * abs(upper):
            made = contacts(smooth.pairs, limits, prices, epsilon, random_state)
            plan = better(plan, made, limits)
        done = is_last or near(plan, upper, tolerance, limits)
        if done and not offer.is_complete:
            inner = upper
            upper, pairs = offer.certify(smooth.pairs, limits, prices, user_price)
            done = len(pairs) == len(smooth.pairs)
            done |= near(plan, upper, tolerance, limits)
            done |= is_last and upper - inner <= LITTLE * tolerance * abs(upper)
            lowest = min(lowest, upper)
            smooth, epsilon = smooth.of(pairs), max(epsilon, AGAIN)
        else:
            lowest = min(lowest, upper) if offer.is_complete else lowest
            epsilon = max(epsilon * FALL, COLDEST)
        rows.append(
            {
                "epsilon": levels[-1][0],
                "dual": value,
                "bound": upper,
                "plan": np.nan if plan is None else plan.value,
                "candidates": len(smooth.pairs),
                "passes": smooth.n_passes,
                "seconds": time.perf_counter() - started,
            }
        )
        if done:
            break
    assert plan is not None
    plan = last_repairs(plan, smooth.pairs, limits, lowest, tolerance)
    return Solution(plan, lowest, prices, user_price, levels, pd.DataFrame(rows))


def last_repairs(
    plan: Contacts, pairs: Candidates, limits: Limits, lowest: float, tolerance: float
) -> Contacts:
    """What prices did not bring: chains that bring more, or minima that money hardly allows."""
    if near(plan, lowest, tolerance, limits):
        return plan
    if not np.isfinite(limits.budget):
        taken = pairs.holds(plan.user, plan.item)
        enough = lowest - tolerance * abs(lowest) - plan.value
        return better(plan, counted(improved(pairs, limits, taken, enough)), limits)
    if is_missing(plan, limits) and (taken := cheapest_promises(pairs, limits)) is not None:
        return better(plan, counted(filled(pairs, limits, taken)), limits)
    return plan


def contacts(
    pairs: Candidates, limits: Limits, prices: Prices, epsilon: float, random_state: int
) -> Contacts:
    """The plan that prices are rounded to."""
    return counted(rounded(pairs, limits, prices, epsilon, random_state))


def counted(plan: Plan) -> Contacts:
    """What a plan holds and is worth."""
    pairs, limits = plan.pairs, plan.limits
    held = np.flatnonzero(plan.taken)
    missing = float(np.maximum(limits.item_min - plan.of_item, 0).sum())
    value = float(pairs.score[held].sum(dtype=np.float64))
    if np.isfinite(limits.shortfall):
        value -= limits.shortfall * missing
    parts = (pairs.user[held], pairs.item[held], pairs.score[held])
    return Contacts(*parts, plan.left_over(), value, missing)


def is_missing(plan: Contacts, limits: Limits) -> bool:
    """Whether hard minima are not met."""
    return plan.missing > 0 and not np.isfinite(limits.shortfall)


def near(plan: Contacts | None, upper: float, tolerance: float, limits: Limits) -> bool:
    """Whether a plan that may be used lies so near the bound that the search can end."""
    if plan is None or is_missing(plan, limits):
        return False
    return upper - plan.value <= tolerance * abs(upper)


def better(one: Contacts | None, other: Contacts, limits: Limits) -> Contacts:
    """The plan that misses less of hard minima, or is worth more."""
    if one is None:
        return other
    if not np.isfinite(limits.shortfall) and one.missing != other.missing:
        return min(one, other, key=lambda plan: plan.missing)
    return max(one, other, key=lambda plan: plan.value)
