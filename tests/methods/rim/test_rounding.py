"""From prices to whole contacts: against exact solvers where limits are tight, tied or soft."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from makedo import BudgetMatcher
from makedo.core.checks import MakedoInputError
from makedo.methods.rim.annealing import Contacts, better, near
from makedo.methods.rim.candidates import from_pairs
from makedo.methods.rim.cheapest import cheapest_promises
from makedo.methods.rim.dual import Limits, Prices
from makedo.methods.rim.feasibility import check_feasible
from makedo.methods.rim.rounding import Plan, rounded


def best_whole(s, k, low, high, cost=None, budget=None, shortfall=None):
    """The value of the best plan of whole contacts, by HiGHS; None where there is none."""
    n, m = s.shape
    shut = ~np.isfinite(s)
    more = 0 if shortfall is None else m  # contacts that are missing
    of_user = sp.hstack([sp.kron(sp.eye(n), np.ones((1, m))), sp.csr_matrix((n, more))])
    of_item = sp.kron(np.ones((1, n)), sp.eye(m))
    rows = [LinearConstraint(of_user, ub=np.broadcast_to(k, n)),
            LinearConstraint(sp.hstack([of_item, sp.csr_matrix((m, more))]),
                             ub=np.broadcast_to(high, m)),
            LinearConstraint(sp.hstack([of_item, sp.eye(m)]) if more else of_item,
                             lb=np.broadcast_to(low, m))]  # fmt: skip
    if cost is not None:
        line = np.r_[cost.ravel(), np.zeros(more)].reshape(1, -1)
        rows.append(LinearConstraint(line, ub=budget))
    worth = np.r_[np.where(shut, 0, s).ravel(), np.full(more, -(shortfall or 0.0))]
    most = np.r_[~shut.ravel(), np.full(more, np.inf)].astype(float)
    whole = np.r_[np.ones(n * m), np.zeros(more)]
    found = milp(-worth, constraints=rows, integrality=whole, bounds=Bounds(0, most))
    return None if found.x is None else -found.fun


def limits_of(n, m, k=1, low=0, high=np.inf, budget=np.inf, user_cost=0.0, item_cost=0.0):
    full = (np.full(n, k), np.full(m, float(low)), np.full(m, float(high)))
    return Limits(*full, budget, np.full(n, user_cost), np.full(m, item_cost))


def pairs_of(s, limits):
    user, item = np.nonzero(np.isfinite(s))
    return from_pairs(user, item, s[user, item], s.shape[1], limits.user_max)


# --- minima ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [5, 30])
def test_minima_that_only_a_chain_of_all_users_meets_are_met(n):
    """User i may take items i and i - 1 and likes the latter more; item n - 1 needs them all."""
    s = np.full((n, n), -np.inf)
    s[np.arange(n), np.arange(n)] = 0.1
    s[np.arange(1, n), np.arange(n - 1)] = 5.0
    m = BudgetMatcher(user_max=1, item_min=1).fit(s)
    assert m.plan_["user_id"].tolist() == m.plan_["item_id"].tolist() == list(range(n))
    assert m.bound_ >= 0.1 * n * (1 - 1e-6)


def test_a_missing_chain_is_refused():
    """Three items for two users who alone may have them, each of whom can take one."""
    s = np.full((9, 4), -np.inf)
    s[:2, :3], s[:, 3] = 1.0, 2.0
    with pytest.raises(MakedoInputError, match="1 contact of the minima of 1 item find no place"):
        BudgetMatcher(1, [1, 1, 1, 0]).fit(s)


@pytest.mark.parametrize("seed", range(8))
def test_random_minima_over_few_pairs_are_met_or_refused_rightly(seed):
    rng = np.random.default_rng(seed)
    s = np.where(rng.random((14, 8)) < 0.3, rng.pareto(1.0, (14, 8)), -np.inf)
    k, low = rng.integers(0, 3, 14), rng.integers(0, 4, 8)
    high = low + rng.integers(0, 3, 8)
    best = best_whole(s, k, low, high)
    m = BudgetMatcher(k, low, high)
    if best is None:
        with pytest.raises(MakedoInputError):
            m.fit(s)
    else:
        assert m.fit(s).value_ == pytest.approx(best, rel=2e-3)


def held(value, missing):
    nothing = np.zeros(0)
    return Contacts(nothing, nothing, nothing, 0.0, value, missing)


def test_a_plan_that_keeps_promises_goes_before_one_that_is_worth_more():
    """And the search does not end with one that misses them, however much it is worth."""
    kept, rich = held(1.0, 0), held(9.0, 2)
    hard = limits_of(3, 2, low=1)
    soft = replace(hard, shortfall=0.5)  # then the value has what is missing in it
    for one, other in ((kept, rich), (rich, kept)):
        assert better(one, other, hard) is kept and better(one, other, soft) is rich
    assert not near(rich, 9.0, 0.1, hard) and near(rich, 9.0, 0.1, soft)
    assert near(kept, 1.05, 0.1, hard) and not near(kept, 1.2, 0.1, hard)


@pytest.mark.parametrize(("shortfall", "searches"), [(np.inf, 1), (0.5, 3)])
def test_chains_are_not_searched_for_without_end(shortfall, searches, monkeypatch):
    """Of hard minima one that is not found ends it: then there is none."""
    limits = replace(limits_of(6, 6, k=0, low=1), shortfall=shortfall)
    pairs, found = pairs_of(np.ones((6, 6)), limits), []
    monkeypatch.setattr(Plan, "_chain", lambda *_: found.append(1))
    plan = Plan(pairs, limits, np.zeros(36, bool))
    plan.keep_promises()
    assert len(found) == searches


# --- money ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_budget_just_above_what_minima_cost_is_enough_and_one_just_below_is_refused(seed):
    rng = np.random.default_rng(seed)
    s, by_user, by_item = rng.pareto(1.0, (20, 6)), rng.random(20), rng.random(6) + 0.01
    if seed % 2:
        s[rng.random(s.shape) < 0.4] = -np.inf
    cost = by_user[:, None] + by_item
    least = -best_whole(np.where(np.isfinite(s), -cost, -np.inf), 2, 4, np.inf)
    for share in (1.0001, 1.1):
        money = {"budget": least * share, "user_cost": by_user, "item_cost": by_item}
        m = BudgetMatcher(2, 4, **money).fit(s)
        best = best_whole(s, 2, 4, np.inf, cost, least * share)
        assert m.delivered_share_ == 1 and m.spent_ <= least * share * (1 + 1e-9)
        assert 0.8 * best <= m.value_ <= best * (1 + 1e-6) and m.bound_ >= best * (1 - 1e-6)
    money["budget"] = 0.999 * least
    with pytest.raises(MakedoInputError, match=r"the minima cost at least .* the budget is"):
        BudgetMatcher(2, 4, **money).fit(s)


def test_a_programme_that_would_take_too_long_is_not_tried(monkeypatch):
    limits = limits_of(4, 2, low=1, budget=3.0, item_cost=1.0)
    pairs = pairs_of(np.ones((4, 2)), limits)
    assert cheapest_promises(pairs, limits).sum() == 2
    monkeypatch.setattr("makedo.methods.rim.cheapest.MOST_PAIRS", 7)
    assert cheapest_promises(pairs, limits) is None


def test_what_minima_cost_is_seen_before_prices_are_looked_for():
    limits = limits_of(5, 2, low=2, budget=10.0, user_cost=2.0, item_cost=1.0)
    with pytest.raises(MakedoInputError, match="cost at least 12, the budget is 10"):
        check_feasible(limits, np.full(5, 2), np.full(2, 5), pd.RangeIndex(2))


def test_what_is_saved_brings_least_for_its_cost_and_promises_go_last():
    s = np.array([[3.0, 1.0], [2.0, 4.0], [9.0, 0.5]])
    limits = limits_of(3, 2, k=2, low=1, budget=3.0, item_cost=1.0)
    pairs = pairs_of(s, limits)
    plan = Plan(pairs, limits, np.ones(6, bool))
    plan.save_money(pairs.score)
    assert plan.spent == 3 and sorted(pairs.score[plan.taken]) == [3, 4, 9]
    limits = limits_of(3, 2, k=2, low=2, budget=3.0, item_cost=1.0)
    plan = Plan(pairs, limits, np.ones(6, bool))
    plan.save_money(pairs.score)  # four are promised: one of them has to go
    assert plan.spent == 3 and plan.of_item.tolist() == [2, 1]


def test_money_is_filled_up_by_what_brings_most_for_it():
    s = np.array([[10.0, 9.0], [8.0, 1.0], [7.0, 1.0]])
    limits = limits_of(3, 2, k=1, budget=3.0)
    limits.user_cost[:] = [3.0, 1.0, 1.0]
    pairs = pairs_of(s, limits)
    plan = Plan(pairs, limits, np.zeros(6, bool))
    plan.fill_up()
    assert sorted(pairs.score[plan.taken]) == [7, 8] and plan.spent == 2
    assert plan.left_over() == pytest.approx(10 / 3)


def test_sums_of_costs_may_be_rounded():
    """Three times 0.1 is a little more than 0.3."""
    assert len(BudgetMatcher(1, budget=0.3, item_cost=0.1).fit(np.ones((3, 1))).plan_) == 3
    assert len(BudgetMatcher(1, budget=2.0, user_cost=0.5).fit(np.ones((9, 1))).plan_) == 4


# --- soft minima ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shortfall", [0.01, 0.4, 5.0])
@pytest.mark.parametrize("seed", range(4))
def test_soft_minima_are_missed_where_that_costs_less(seed, shortfall):
    rng = np.random.default_rng(seed)
    s = rng.random((20, 8))
    s[rng.random(s.shape) < 0.4] = -np.inf
    best = best_whole(s, 1, 4, np.inf, shortfall=shortfall)  # 32 promised, 20 possible
    m = BudgetMatcher(1, 4, shortfall_cost=shortfall).fit(s)
    missing = 4 * 8 - np.minimum(m.prices_["delivered"], 4).sum()
    assert m.value_ == pytest.approx(m.plan_["score"].sum() - shortfall * missing, abs=1e-4)
    scale = m.plan_["score"].sum()
    assert best - 2e-3 * scale <= m.value_ <= best + 1e-5 * scale <= m.bound_ + 2e-5 * scale


@pytest.mark.parametrize(("shortfall", "given", "value"), [(0.3, 0, 18.5), (2.0, 5, 15.0)])
def test_users_change_hands_for_a_soft_minimum_if_they_lose_less(shortfall, given, value):
    """Twenty users like the first item; five are promised to the second, which brings nothing."""
    m = BudgetMatcher(1, [0, 5], shortfall_cost=shortfall).fit(np.tile([1.0, 0.0], (20, 1)))
    assert m.prices_["delivered"].tolist() == [20 - given, given]
    assert m.value_ == pytest.approx(value)


def test_what_is_filled_up_counts_the_shortfall_that_it_spares():
    limits = replace(limits_of(1, 2, k=2, budget=1.0, item_cost=1.0), shortfall=5.0)
    limits.item_min[1] = 1
    pairs = pairs_of(np.array([[3.0, 1.0]]), limits)
    plan = Plan(pairs, limits, np.zeros(2, bool))
    plan.fill_up()
    assert plan.of_item.tolist() == [0, 1]


def test_soft_minima_and_money_bring_what_an_exact_solver_finds():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        s, by_item = rng.random((20, 5)), rng.random(5) + 0.5
        cost = np.broadcast_to(by_item, s.shape)
        best = best_whole(s, 2, 5, np.inf, cost, 16.0, shortfall=0.3)
        money = {"budget": 16.0, "item_cost": by_item}
        m = BudgetMatcher(2, 5, shortfall_cost=0.3, **money).fit(s)
        assert best * 0.97 <= m.value_ <= best * (1 + 1e-6) <= m.bound_ * (1 + 2e-6)


# --- ties -----------------------------------------------------------------------------------------


def test_among_equal_items_nobody_goes_without_for_whom_others_could_make_room():
    """The second is worth most, but all that it may have goes to others if ties fall so."""
    for seed in range(8, 16):
        rng = np.random.default_rng(seed)
        s = np.outer(rng.pareto(1, 18) + 0.01, np.ones(6))
        s[rng.random(s.shape) < 0.3] = -np.inf
        high = rng.integers(0, 5, 6)
        m = BudgetMatcher(3, 0, high, random_state=seed).fit(s)
        assert m.value_ >= 0.999 * best_whole(s, 3, 0, high)


def test_improving_never_breaks_a_limit_and_ends_where_nothing_is_left():
    rng = np.random.default_rng(0)
    s = rng.random((40, 10))
    limits = limits_of(40, 10, k=2, low=3, high=7)
    pairs = pairs_of(s, limits)
    plan = rounded(pairs, limits, Prices(np.zeros(10), 0.0), 1e-3, 0)
    before = pairs.score[plan.taken].sum()
    plan.improve()
    after = pairs.score[plan.taken].sum()
    assert after >= before and after >= 0.995 * best_whole(s, 2, 3, 7)
    assert plan.of_user.max() <= 2 and 3 <= plan.of_item.min() <= plan.of_item.max() <= 7
    assert (plan.of_item == np.bincount(pairs.item[plan.taken], minlength=10)).all()
    assert (plan.of_user == np.bincount(pairs.user[plan.taken], minlength=40)).all()


def test_improving_ends_when_it_is_enough():
    limits = limits_of(3, 3)
    pairs = pairs_of(np.diag([1.0, 2.0, 3.0]), limits)
    for enough, given in ((0.0, [3]), (2.9, [3]), (3.1, [2, 3]), (np.inf, [1, 2, 3])):
        plan = Plan(pairs, limits, np.zeros(9, bool))
        plan.improve(enough)
        assert sorted(pairs.score[plan.taken]) == given


@pytest.mark.parametrize("seed", [159, 287, 1079, 2071])
def test_a_chain_that_crosses_itself_is_not_followed(seed):
    """In each of these there is one: of the first two a pair would be dropped twice, of the others
    one would be added twice."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(5, 14), rng.integers(3, 8)
    s = rng.random((n, m)).round(1) + 0.1
    s[rng.random(s.shape) < 0.4] = -np.inf
    limits = limits_of(n, m, k=rng.integers(1, 4))
    limits.item_max[:] = rng.integers(0, 5, m)
    limits.item_min[:] = np.minimum(rng.integers(0, 2, m), limits.item_max)
    pairs = pairs_of(s, limits)
    noise = 0.5 if seed % 3 else 0.1
    plan = rounded(pairs, limits, Prices(rng.normal(0, noise, m), 0.0), 1e-3, seed)
    plan.improve()
    assert (plan.of_user == np.bincount(pairs.user[plan.taken], minlength=n)).all()
    assert (plan.of_item == np.bincount(pairs.item[plan.taken], minlength=m)).all()


@pytest.mark.parametrize("seed", [2, 4, 9])
def test_a_plan_is_improved_until_it_is_near_its_bound(seed):
    """Four problems side by side, most of which need a chain of their own."""
    parts, high = [], []
    for part in (11, 12, 41, 51):
        rng = np.random.default_rng(part)
        s = np.outer(rng.random(30) + 0.5, np.ones(10))
        parts.append(np.where(rng.random(s.shape) < 0.5, 0.0, s))
        high.append(rng.integers(0, 5, 10))
    m = BudgetMatcher(2, 0, np.concatenate(high), tolerance=1e-4, random_state=seed)
    assert m.fit(sp.block_diag(parts, "csr")).duality_gap_ <= 1e-4
