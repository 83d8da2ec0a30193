"""Prices and the bound that they prove: against HiGHS, and what must hold at every step."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

from makedo import BudgetMatcher
from makedo.methods.rim.candidates import from_pairs
from makedo.methods.rim.dual import Limits, Prices, Smooth, bound, solve_rows
from makedo.methods.rim.rounding import rounded

N, M = 60, 40
KINDS = {
    "uniform": lambda rng: rng.random((N, M)),
    "heavy-tailed": lambda rng: rng.pareto(1.1, (N, M)),
    "activity times choice": lambda rng: rng.pareto(1, (N, 1)) * rng.dirichlet(np.ones(M) / 3, N),
    "rank one": lambda rng: rng.pareto(1.5, (N, 1)) * rng.pareto(1.5, (1, M)),
}
BUDGETS = {
    "caps": (3, 0, 4),
    "caps that nearly balance": (2, 0, 3),
    "minima": (3, 3, N),
    "both": (3, 2, 6),
    "tight minima": (2, 3, N),
}


def best_fractional(s, k, low, high, cost=None, budget=None):
    """The value of the best fractional plan, by HiGHS."""
    n, m = s.shape
    of_user, of_item = sp.kron(sp.eye(n), np.ones((1, m))), sp.kron(np.ones((1, n)), sp.eye(m))
    A, b = [of_user, of_item, -of_item], [np.full(n, k), np.full(m, high), -np.full(m, low)]
    if cost is not None:
        A, b = [*A, sp.csr_matrix(cost.reshape(1, -1))], [*b, [budget]]
    found = linprog(-s.ravel(), A_ub=sp.vstack(A).tocsr(), b_ub=np.concatenate(b), bounds=(0, 1))
    assert found.status == 0
    return -found.fun


def problem(s, k, low, high):
    n, m = s.shape
    user, item = np.divmod(np.arange(n * m), m)
    limits = Limits(np.full(n, k), np.full(m, low), np.full(m, float(high)), np.inf,
                    np.zeros(n), np.zeros(m))  # fmt: skip
    return from_pairs(user, item, s.ravel(), m, limits.user_max), limits


# --- the plan against an exact solver -------------------------------------------------------------


@pytest.mark.parametrize("budgets", BUDGETS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_reaches_the_linear_programme_and_the_bound_is_above_it(kind, budgets):
    k, low, high = BUDGETS[budgets]
    for seed in range(3):
        s = KINDS[kind](np.random.default_rng(seed))
        best = best_fractional(s, k, low, high)
        m = BudgetMatcher(user_max=k, item_min=low, item_max=high, random_state=seed).fit(s)
        assert 0.995 * best <= m.value_ <= best * (1 + 1e-6)
        assert m.bound_ >= best * (1 - 1e-6)
        assert m.duality_gap_ == pytest.approx((m.bound_ - m.value_) / m.bound_)
        assert m.duality_gap_ <= 1e-3
        counts = np.bincount(m.plan_["item_id"], minlength=M)
        assert np.bincount(m.plan_["user_id"]).max() <= k
        assert low <= counts.min() and counts.max() <= high
        assert not m.plan_.duplicated(["item_id", "user_id"]).any()
        assert s[m.plan_["user_id"], m.plan_["item_id"]].sum() == pytest.approx(m.value_, rel=1e-5)


def test_a_promise_may_cost_far_more_than_a_typical_score():
    """Everybody has to take the second item, though one would like the first best by far."""
    m = BudgetMatcher(1, [0, 20]).fit(np.c_[np.r_[100.0, np.full(19, 2.0)], np.ones(20)])
    assert m.value_ == pytest.approx(20) and m.duality_gap_ <= 1e-3
    assert m.prices_["price"][1] <= -98


def test_three_by_three_of_rank_one_is_matched_along_the_diagonals():
    s = np.outer([1, 2, 3], [1, 2, 3]).astype(float)
    plan = BudgetMatcher(user_max=1, item_max=1).fit(s).plan_
    assert plan["item_id"].tolist() == plan["user_id"].tolist() == [0, 1, 2]
    plan = BudgetMatcher(user_max=1, item_max=1).fit(10 - s).plan_
    assert plan["user_id"].tolist() == [2, 1, 0]


def test_without_limits_of_items_each_user_gets_the_best():
    s = np.random.default_rng(0).random((N, M)) - 0.2
    s[:, 5] -= 1  # never worth it
    m = BudgetMatcher(user_max=4, item_max=N).fit(s)
    free = BudgetMatcher(user_max=4).fit(s)
    best = np.argsort(-s, axis=1)[:, :4]
    for one in (m, free):
        for user, items in one.plan_.groupby("user_id")["item_id"]:
            assert set(items) == {i for i in best[user] if s[user, i] > 0}
    assert free.delivered_share_ == 1 and len(free.history_) == 1  # nothing to promise or search
    assert free.duality_gap_ == pytest.approx(0, abs=1e-6) and not free.prices_["price"].any()
    fifth = np.maximum(np.sort(s, axis=1)[:, -5], 0)  # what one more contact would bring
    np.testing.assert_allclose(free.user_prices_["price"], fifth, atol=1e-6)
    everything = BudgetMatcher(user_max=M).fit(s)
    assert len(everything.plan_) == (s > 0).sum()


def test_prices_are_positive_only_where_a_limit_binds():
    rng = np.random.default_rng(3)
    m = BudgetMatcher(user_max=3, item_min=2, item_max=6, tolerance=1e-5).fit(rng.random((N, M)))
    p, noise = m.prices_, 1e-3
    assert (p["price"] > noise).any() and (p["price"] < -noise).any()
    assert (p.loc[p["price"] > noise, "delivered"] == 6).all()
    assert (p.loc[p["price"] < -noise, "delivered"] == 2).all()
    u = m.user_prices_
    assert (u["price"] >= 0).all() and (u.loc[u["price"] > noise, "given"] == 3).all()


def test_the_greedy_plan_has_at_least_half_of_what_is_possible():
    """Of the limits, not of our code: what a sorted list reaches, beside which we are measured."""
    for seed in range(5):
        s = KINDS["heavy-tailed"](np.random.default_rng(seed))
        k, c, value = np.full(N, 3), np.full(M, 4), 0.0
        for user, item in zip(*np.unravel_index(np.argsort(-s, axis=None), s.shape), strict=True):
            if k[user] and c[item]:
                k[user], c[item], value = k[user] - 1, c[item] - 1, value + s[user, item]
        best = best_fractional(s, 3, 0, 4)
        assert best / 2 <= value <= best
        assert BudgetMatcher(user_max=3, item_max=4).fit(s).value_ >= value


@pytest.mark.parametrize("seed", range(4))
def test_with_money_the_bound_holds_and_the_loss_of_whole_contacts_is_stated(seed):
    rng = np.random.default_rng(seed)
    s, by_item, by_user = rng.random((N, M)), rng.random(M) + 0.1, rng.random(N)
    cost = by_user[:, None] + by_item
    best = best_fractional(s, 3, 1, 6, cost, 60.0)
    m = BudgetMatcher(3, 1, 6, budget=60.0, item_cost=by_item, user_cost=by_user).fit(s)
    assert m.spent_ <= 60 and m.spent_ == pytest.approx(m.plan_["cost"].sum())
    assert 0.99 * best <= m.value_ <= best * (1 + 1e-6) and m.bound_ >= best * (1 - 1e-6)
    assert 0 <= m.rounding_loss_ <= m.duality_gap_ + 1e-9 <= 0.01
    assert m.value_ + m.rounding_loss_ * m.bound_ <= best * (1 + 1e-6)  # of a plan that is possible
    assert m.budget_price_ > 0
    richer = best_fractional(s, 3, 1, 6, cost, 61.0)
    assert richer - best == pytest.approx(m.budget_price_, rel=0.2)


def test_what_is_lost_because_contacts_are_whole_is_stated():
    """Two and a half contacts of 1 could be paid for."""
    m = BudgetMatcher(1, budget=2.5, item_cost=1.0).fit(np.ones((4, 1)))
    assert (m.value_, m.bound_) == pytest.approx((2, 2.5), rel=1e-4)
    assert m.rounding_loss_ == pytest.approx(0.2, rel=1e-3)
    assert m.duality_gap_ == pytest.approx(0.2, rel=1e-3)


def test_a_budget_without_costs_counts_contacts():
    s = np.random.default_rng(0).random((N, M))
    m = BudgetMatcher(user_max=2, budget=50).fit(s)
    assert len(m.plan_) == m.spent_ == 50
    best = np.sort(np.sort(s, 1)[:, -2:].ravel())[-50:].sum()
    assert m.value_ == pytest.approx(best, rel=1e-3)


# --- every step -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_iterate_bounds_the_best_and_descends_at_a_fixed_epsilon(kind):
    s = KINDS[kind](np.random.default_rng(1))
    s = s / np.sort(s, 1)[:, -3:].mean()
    pairs, limits = problem(s, 3, 2, 6)
    best = best_fractional(s, 3, 2, 6)
    smooth = Smooth(pairs, limits)
    for epsilon in (0.3, 0.03, 0.003):
        x, values = np.random.default_rng(0).random(2 * M) / 4, []
        for _ in range(12):
            x, value = smooth.minimise(x, epsilon, 1, 0.0)
            values.append(value)
            zero = bound(pairs, limits, smooth.prices(x))[0]
            assert best <= zero * (1 + 1e-6) <= value * (1 + 2e-6)
        assert (np.diff(values) <= 1e-6 * best).all() and values[-1] < values[0]


def test_any_prices_of_the_right_sign_are_a_bound():
    rng = np.random.default_rng(5)
    s = rng.random((N, M))
    pairs, limits = problem(s, 3, 2, 6)
    best = best_fractional(s, 3, 2, 6)
    for _ in range(20):
        assert bound(pairs, limits, Prices(rng.normal(0, 0.3, M), 0.0))[0] >= best


def test_the_gradient_is_the_budgets_less_what_is_used():
    rng = np.random.default_rng(2)
    n, m = 12, 7
    user, item = np.divmod(np.arange(n * m), m)
    limits = Limits(np.full(n, 2), np.full(m, 2.0), np.full(m, 4.0), 9.0, rng.random(n),
                    rng.random(m))  # fmt: skip
    smooth = Smooth(from_pairs(user, item, rng.random(n * m), m, limits.user_max), limits)
    x = rng.random(2 * m + 1)
    _, gradient = smooth(x, 0.2)
    for i, step in enumerate(np.eye(len(x)) * 5e-3):
        slope = (smooth(x + step, 0.2)[0] - smooth(x - step, 0.2)[0]) / 1e-2
        assert gradient[i] == pytest.approx(slope, abs=1e-2), i


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 1e-3, 1e-6])
def test_a_row_sums_to_its_maximum_or_its_price_is_zero(epsilon):
    rng = np.random.default_rng(0)
    t = (rng.pareto(1, (50, 30)) - 0.5).astype(np.float32)
    t[:5] -= 100  # nothing is wanted
    t[5:8, 10:] = -np.inf
    t[8] = 1.0  # all alike
    for k in (1, 4, 29, 30):
        rows = solve_rows(t, k, epsilon, rng.random(50))
        total = rows.plan.sum(1)
        assert (rows.price >= 0).all() and (total <= k + 2e-2).all()
        assert (np.abs(total - k)[rows.price > 1e-4] < 2e-2).all()
        assert np.isfinite(rows.value)


def test_the_smooth_dual_of_one_row_is_its_definition():
    t = np.array([[0.9, 0.5, 0.1, -0.3]], np.float32)
    rows, e = solve_rows(t, 2, 0.2, np.zeros(1)), 0.2
    u = rows.price[0]
    by_hand = 2 * u + e * np.log1p(np.exp((t[0].astype(float) - u) / e)).sum()
    assert rows.value == pytest.approx(by_hand, rel=1e-5)
    grid = np.linspace(0, 2, 4001)
    values = [2 * g + e * np.log1p(np.exp((t[0].astype(float) - g) / e)).sum() for g in grid]
    assert rows.value == pytest.approx(min(values), rel=1e-5)


# --- rounding -------------------------------------------------------------------------------------


def test_hard_limits_hold_whatever_the_prices():
    rng = np.random.default_rng(4)
    s = rng.pareto(1.1, (N, M))
    pairs, limits = problem(s, 3, 2, 6)
    for scale in (0.0, 0.1, 3.0):
        plan = rounded(pairs, limits, Prices(rng.normal(0, scale, M), 0.0), 1e-3, 0)
        assert plan.of_user.max() <= 3 and 2 <= plan.of_item.min() <= plan.of_item.max() <= 6
        assert (plan.of_item == np.bincount(pairs.item[plan.taken], minlength=M)).all()
        assert (plan.of_user == np.bincount(pairs.user[plan.taken], minlength=N)).all()


def test_equal_wishes_are_split():
    """Twenty items that nobody can tell apart: a price alone would send all to one of them."""
    s = np.outer(np.random.default_rng(0).random(N), np.ones(20))
    m = BudgetMatcher(user_max=1, item_min=2, item_max=4).fit(s)
    assert m.prices_["delivered"].between(2, 4).all() and len(m.plan_) == N


def test_minima_are_met_along_a_chain_where_no_one_swap_does():
    """c may go to the third user alone, who is needed for b, which only the second can take."""
    low = -np.inf
    s = np.array([[5.0, low, low], [4.0, 1.0, low], [low, 3.0, 0.1]])
    m = BudgetMatcher(user_max=1, item_min=1).fit(s)
    assert m.plan_["user_id"].tolist() == [0, 1, 2] and m.delivered_share_ == 1


def test_all_slots_are_needed_for_minima():
    """Minima that add up to what users can take: only full plans do."""
    rng = np.random.default_rng(0)
    s = rng.pareto(1.0, (N, 1)) * rng.dirichlet(np.ones(M) / 3, N)
    m = BudgetMatcher(user_max=2, item_min=3).fit(s)
    assert m.delivered_share_ == 1 and len(m.plan_) == 120 == 3 * M
    assert m.value_ >= 0.995 * best_fractional(s, 2, 3, N)
