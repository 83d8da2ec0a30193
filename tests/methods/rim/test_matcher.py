"""BudgetMatcher as users meet it: what goes in, what is refused, saving, users who come later."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import makedo
from makedo import RIM, BudgetMatcher
from makedo.core.checks import MakedoInputError
from makedo.data.interaction_splits import temporal_split
from makedo.methods.rim import InteractionLog, Requests
from makedo.methods.rim.offers import _best_few
from makedo.methods.rim.scores import ScoreOperator

RNG = np.random.default_rng(0)
S = RNG.pareto(1.1, (200, 30)).astype(np.float32)


def pairs(matcher):
    return set(matcher.plan_[["user_id", "item_id"]].itertuples(index=False, name=None))


# --- what goes in ---------------------------------------------------------------------------------


def test_all_forms_of_the_same_scores_give_one_plan():
    left, right = RNG.random((200, 4)).astype(np.float32), RNG.random((30, 4)).astype(np.float32)
    dense = left @ right.T

    class Peer:
        user_factors, item_factors = left, right

    forms = [dense, dense.tolist(), sp.csr_matrix(dense), sp.coo_matrix(dense), (left, right),
             Peer(), ScoreOperator((200, 30), left, right), pd.DataFrame(dense)]  # fmt: skip
    plans = [BudgetMatcher(2, 5, 40).fit(form) for form in forms]
    for plan in plans[1:]:
        assert plan.value_ == pytest.approx(plans[0].value_, rel=1e-4)
        assert len(pairs(plan) ^ pairs(plans[0])) <= 8  # products differ in the last digit


def test_ids_come_from_a_frame_from_requests_or_from_the_caller():
    users, items = [f"u{i}" for i in range(200)], [f"i{j}" for j in range(30)]
    framed = BudgetMatcher(2).fit(pd.DataFrame(S, users, items)).plan_
    named = BudgetMatcher(2).fit(S, users=users, items=items).plan_
    pd.testing.assert_frame_equal(framed, named)
    assert framed["user_id"].str.startswith("u").all() and "timestamp" not in framed


def test_a_model_is_matched_at_its_requests(table):
    model = RIM("personal_repeat", horizon="7D").fit(table)
    requests = Requests.at(model.log_, model.now_, model.log_.users[:80])
    m = BudgetMatcher(user_max=2, item_min=1).fit(model, requests)
    assert set(m.plan_["user_id"]) <= set(model.log_.users[:80])
    assert (m.plan_["timestamp"] == model.now_).all() and m.delivered_share_ == 1
    expected = model.predict(m.plan_[["user_id", "item_id"]])
    np.testing.assert_allclose(m.plan_["score"], expected, rtol=1e-4)
    everybody = BudgetMatcher(user_max=2, item_max=20).fit(model)
    assert everybody.prices_["delivered"].max() <= 20
    assert len(everybody.user_prices_) == model.log_.n_users


def test_contacts_have_the_times_of_their_requests_and_what_they_cost():
    log = InteractionLog.read(pd.DataFrame({"user_id": ["a", "b", "c"], "item_id": ["x", "y", "y"],
                                            "timestamp": 1_500_000_000}))  # fmt: skip
    requests = Requests.at(log, 1_500_000_000 + np.array([30, 10, 20]), ["a", "b", "c"])
    m = BudgetMatcher(1, budget=9.0, item_cost={"x": 2.0}, user_cost={"b": 0.5})
    plan = m.fit([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]], requests).plan_
    assert plan["user_id"].tolist() == ["b", "a", "c"] and plan["cost"].tolist() == [2.5, 0, 0]
    assert (plan["timestamp"] - 1_500_000_000).tolist() == [10, 30, 20]
    plan = m.set_params(user_cost=None).fit([[1.0, 2.0], [2.0, 1.0]], items=["x", "y"]).plan_
    assert plan["cost"].tolist() == [2, 0]


def test_items_that_came_after_the_fit_are_not_planned(table):
    model = RIM("personal_repeat", horizon="7D").fit(table)
    model.update(pd.DataFrame({"user_id": ["u1"], "item_id": ["new"],
                               "timestamp": [int(model.now_) + 5]}))  # fmt: skip
    m = BudgetMatcher(2, item_min=1).fit(model)
    assert len(m.prices_) == 60 and "new" not in set(m.prices_["item_id"])
    expected = model.predict(m.plan_[["user_id", "item_id"]])
    np.testing.assert_allclose(m.plan_["score"], expected, rtol=1e-4)


def test_items_that_nobody_had_until_the_fit_are_not_planned(table):
    day, start = 86_400, 1_500_000_000
    event = {"user_id": ["u1"], "item_id": ["late"], "timestamp": [start + 55 * day]}
    log = InteractionLog.read(pd.concat([table, pd.DataFrame(event)]))
    model = RIM("personal_repeat", horizon="7D").fit(temporal_split(log, start + 53 * day, "7D"))
    assert "late" in model.log_.items
    m = BudgetMatcher(2, item_min=1).fit(model)
    assert len(m.prices_) == 60 and "late" not in set(m.prices_["item_id"])


def test_pairs_that_are_forbidden_or_not_listed_are_never_matched():
    closed = S.copy()
    closed[:, :5] = -np.inf
    closed[::2, 7] = -np.inf
    plan = BudgetMatcher(3, pd.Series({7: 10.0})).fit(closed).plan_
    assert np.isfinite(closed[plan["user_id"], plan["item_id"]]).all()
    listed = sp.random(200, 30, 0.1, "csr", random_state=0, dtype=np.float32)
    plan = BudgetMatcher(3).fit(listed).plan_
    assert (np.asarray(listed[plan["user_id"], plan["item_id"]]) > 0).all()


def test_budgets_may_be_one_number_a_sequence_or_by_id():
    low = np.where(np.arange(30) < 3, 12, 0)
    series = pd.Series({0: 12, 1: 12, 2: 12})
    frame = pd.DataFrame({"item_id": [2, 0, 1], "item_min": [12, 12, 12]})
    plans = [
        BudgetMatcher(2, form).fit(S) for form in (low, low.tolist(), series, dict(series), frame)
    ]
    assert all(pairs(plan) == pairs(plans[0]) for plan in plans)
    assert (plans[0].prices_["delivered"][:3] >= 12).all()
    k = np.where(np.arange(200) % 2, 0, 3)
    given = BudgetMatcher(k).fit(S).user_prices_["given"]
    assert not given[1::2].any() and (given[::2] == 3).all()


def test_values_multiply_scores():
    user_value, item_value = RNG.random(200) + 0.5, RNG.random(30) + 0.5
    weighted = S * user_value[:, None] * item_value
    a = BudgetMatcher(2, item_max=20, user_value=user_value, item_value=item_value).fit(S)
    b = BudgetMatcher(2, item_max=20).fit(weighted)
    assert a.value_ == pytest.approx(b.value_, rel=1e-3)


def test_a_shortfall_is_paid_for_where_it_costs_less():
    cheap = BudgetMatcher(1, 10, shortfall_cost=1e-6).fit(S)
    dear = BudgetMatcher(1, 6, shortfall_cost=1e6).fit(S)
    assert cheap.delivered_share_ < 1 and len(cheap.violations_)
    assert dear.delivered_share_ == 1 and not len(dear.violations_)
    short = cheap.violations_
    assert (short["delivered"] < short["item_min"]).all()
    kept = np.minimum(cheap.prices_["delivered"], 10).sum()  # what is above 10 makes up for nothing
    assert cheap.delivered_share_ == pytest.approx(kept / 300)
    assert (cheap.plan_.groupby("item_id")["score"].diff().dropna() <= 0).all()


def test_left_out_pairs_are_brought_in_by_the_certificate(monkeypatch):
    """Few candidates at first; the plan is as good, and the bound is of all pairs."""
    whole = BudgetMatcher(2, 5, 20, tolerance=1e-3).fit(S)
    monkeypatch.setattr("makedo.methods.rim.offers.ALL_PAIRS", 100)
    monkeypatch.setattr("makedo.methods.rim.offers.MORE", 2)
    some = BudgetMatcher(2, 5, 20, tolerance=1e-3).fit(S)
    assert some.history_["candidates"].iloc[0] < S.size / 2
    assert some.duality_gap_ <= 1e-3
    assert some.value_ == pytest.approx(whole.value_, rel=2e-3)
    assert some.bound_ >= whole.value_ * (1 - 1e-6)
    money = {"budget": 150.0, "user_cost": np.random.default_rng(3).random(200) + 0.5}
    some = BudgetMatcher(2, 2, 20, **money).fit(S)
    assert some.duality_gap_ <= 1e-3 and 148 < some.spent_ <= 150


def test_promised_items_that_nobody_prefers_find_their_users(monkeypatch):
    """They are among the best of no user, so none of their pairs is looked at for that."""
    monkeypatch.setattr("makedo.methods.rim.offers.ALL_PAIRS", 100)
    monkeypatch.setattr("makedo.methods.rim.offers.MORE", 2)
    s = np.random.default_rng(0).random((200, 40)) + np.linspace(0, 5, 40)
    m = BudgetMatcher(1, 4).fit(s)
    assert (m.prices_["delivered"] >= 4).all() and m.duality_gap_ <= 1e-3
    assert m.history_["candidates"].iloc[-1] < s.size / 2


def test_users_who_may_get_nothing_bring_no_pairs_to_look_at(monkeypatch):
    monkeypatch.setattr("makedo.methods.rim.offers.ALL_PAIRS", 100)
    monkeypatch.setattr("makedo.methods.rim.offers.MORE", 2)
    k = np.r_[np.full(20, 2), np.zeros(180)]
    m = BudgetMatcher(k).fit(S)
    assert not m.user_prices_["given"][20:].any() and len(m.plan_) == 40
    assert m.history_["candidates"].iloc[-1] == 200 * 6  # each user's best, as at first


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_is_of_all_pairs_even_where_the_search_ends_early(seed, monkeypatch):
    """A bound of the candidates alone lies below what a plan of all pairs reaches."""
    rng = np.random.default_rng(seed)
    s = rng.random((60, 12)) + np.linspace(0, 3, 12)
    reached = BudgetMatcher(2, 0, 10, tolerance=1e-6).fit(s).value_
    monkeypatch.setattr("makedo.methods.rim.offers.ALL_PAIRS", 100)
    monkeypatch.setattr("makedo.methods.rim.offers.MORE", 1)
    assert BudgetMatcher(2, 0, 10, tolerance=1e-2).fit(s).bound_ >= reached * (1 - 1e-6)
    fine = BudgetMatcher(2, 0, 10, tolerance=1e-6).fit(s)  # pairs come in again and again
    assert fine.history_["candidates"].iloc[-1] <= s.size and fine.duality_gap_ <= 1e-6
    assert not fine.plan_.duplicated(["item_id", "user_id"]).any()


@pytest.mark.parametrize("seed", range(2))
def test_pairs_come_in_until_those_left_out_matter_little(seed, monkeypatch):
    """Also where the search cannot end near the bound: half a contact is lost to the budget."""
    s = np.random.default_rng(seed).random((60, 12)) + np.linspace(0, 3, 12)
    campaign = BudgetMatcher(2, 0, 10, budget=110.5)
    whole = clone(campaign).fit(s)
    monkeypatch.setattr("makedo.methods.rim.offers.ALL_PAIRS", 100)
    monkeypatch.setattr("makedo.methods.rim.offers.MORE", 1)
    assert campaign.fit(s).duality_gap_ > 1e-3
    assert campaign.bound_ <= whole.bound_ * (1 + 2e-4)


def test_of_pairs_left_out_the_best_few_of_a_user_come_in():
    t = np.array([[9.0, 5.0, 4.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    open = np.array([[False, True, True, True, True], [False, False, False, True, False]])
    row, column = _best_few(t, open, 2)
    assert row.tolist() == [0, 0, 1] and column.tolist() == [1, 2, 3]


def test_equal_seeds_give_equal_plans():
    s = np.outer(RNG.random(60), np.ones(20))
    one, same, other = (BudgetMatcher(1, 2, 4, random_state=r).fit(s) for r in (0, 0, 1))
    pd.testing.assert_frame_equal(one.plan_, same.plan_)
    assert pairs(one) != pairs(other)


def test_the_order_of_users_and_items_does_not_matter():
    users, items = RNG.permutation(200), RNG.permutation(30)
    frame = pd.DataFrame(S)
    a, b = (BudgetMatcher(2, 5, 20).fit(f) for f in (frame, frame.iloc[users, items]))
    assert a.value_ == pytest.approx(b.value_, rel=1e-3)


def test_a_sparse_matrix_of_the_caller_stays_as_it_is():
    """Unsorted, with a pair given twice, which counts as the sum."""
    data, where = np.array([1, 2, 3, 4.0], np.float32), np.array([2, 2, 0, 1], np.int32)
    X = sp.csr_matrix((data.copy(), where.copy(), np.array([0, 2, 4])), (2, 3))
    plan = BudgetMatcher(1).fit(X).plan_
    assert (X.data == data).all() and (X.indices == where).all() and X.nnz == 4
    assert plan["item_id"].tolist() == [1, 2] and plan["score"].round(3).tolist() == [4, 3]


def test_minus_infinity_in_a_sparse_matrix_forbids_a_pair():
    X = sp.csr_matrix(np.array([[-np.inf, 1], [-np.inf, 2]], np.float32))
    with pytest.raises(MakedoInputError, match="nobody may receive them"):
        BudgetMatcher(1, pd.Series({0: 1})).fit(X)


NOTHING = {
    "no users": ({}, S[:0]),
    "no items": ({}, S[:, :0]),
    "all forbidden": ({"item_max": 3, "budget": 9.0}, np.full((4, 3), -np.inf)),
    "nobody may get one": ({"user_max": 0, "item_max": 3}, S),
    "no money": ({"budget": 0.0}, S),
    "nothing worth it": ({"item_max": 3}, -S),
}


@pytest.mark.parametrize("case", NOTHING)
def test_where_nothing_can_be_given_the_plan_is_empty(case):
    parameters, scores = NOTHING[case]
    m = BudgetMatcher(**parameters).fit(scores)
    assert len(m.plan_) == m.value_ == m.bound_ == m.duality_gap_ == 0
    assert list(m.plan_)[:2] == ["item_id", "user_id"] and not len(m.transform(scores))


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_the_unit_of_scores_does_not_matter(factor):
    one, other = (BudgetMatcher(2, 5, 20).fit(S * np.float32(f)) for f in (1, factor))
    assert len(pairs(one) ^ pairs(other)) <= 8
    assert other.duality_gap_ == pytest.approx(one.duality_gap_, abs=1e-5)


@pytest.mark.parametrize("factor", [1e-12, 1e-4, 1e9])
def test_the_unit_of_money_does_not_matter(factor):
    cost = np.random.default_rng(1).random(30) + 0.5
    one, other = (
        BudgetMatcher(2, 3, 25, budget=150 * f, item_cost=cost * f).fit(S) for f in (1, factor)
    )
    assert len(pairs(one) ^ pairs(other)) <= 8 and other.duality_gap_ <= 1e-3
    assert other.budget_price_ * factor == pytest.approx(one.budget_price_, rel=0.01)
    serving = other.serving()
    serving.serve_all(S)
    assert 140 * factor < serving.spent <= 150 * factor


def test_an_item_that_the_budget_cannot_pay_for_is_as_if_it_were_forbidden():
    cost, closed = np.ones(30), S.copy()
    cost[:3], closed[:, :3] = 1e15, -np.inf
    m = BudgetMatcher(2, budget=100.0, item_cost=cost).fit(S)
    assert m.spent_ == 100 and m.duality_gap_ <= 1e-3
    assert m.value_ == pytest.approx(BudgetMatcher(2, budget=100.0).fit(closed).value_, rel=1e-3)


def test_users_without_a_maximum_are_limited_by_items_alone(monkeypatch):
    """Each item takes its best users; whether all pairs are looked at from the start or not."""
    best = np.sort(S, 0)[-20:].sum()
    assert BudgetMatcher(np.inf, 0, 20).fit(S).value_ == pytest.approx(best, rel=1e-3)
    monkeypatch.setattr("makedo.methods.rim.offers.ALL_PAIRS", 100)
    monkeypatch.setattr("makedo.methods.rim.offers.MORE", 3)
    m = BudgetMatcher({0: 1}, 0, 20).fit(S)
    assert m.duality_gap_ <= 1e-3 and m.bound_ >= best * (1 - 1e-6) - S[0].sum()


def test_promised_items_that_few_may_have_get_all_of_these(monkeypatch):
    """Those few are the least keen; a sample of all users would hardly find them."""
    monkeypatch.setattr("makedo.methods.rim.offers.ALL_PAIRS", 100)
    monkeypatch.setattr("makedo.methods.rim.offers.MORE", 2)
    s = np.random.default_rng(0).random((400, 30)) + 1
    for item in range(3):
        few = np.random.default_rng(item).permutation(400)[:6]
        s[:, item], s[few, item] = -np.inf, 1e-6
    m = BudgetMatcher(1, [6, 6, 6] + [0] * 27).fit(s)
    assert m.prices_["delivered"].tolist()[:3] == [6, 6, 6] and m.duality_gap_ <= 1e-3


def test_each_pair_is_looked_at_once(monkeypatch):
    """An item that twenty may have and three like best: those three are found twice."""
    monkeypatch.setattr("makedo.methods.rim.offers.ALL_PAIRS", 100)
    monkeypatch.setattr("makedo.methods.rim.offers.MORE", 2)
    s = np.random.default_rng(0).random((200, 30)) + 1
    s[20:, 0], s[:3, 0], s[3:20, 0] = -np.inf, 9.0, 0.1
    m = BudgetMatcher(1, {0: 10}).fit(s)
    assert m.history_["candidates"].iloc[0] == 200 * 4 + 17
    assert m.prices_["delivered"][0] == 10


# --- what is refused ------------------------------------------------------------------------------

HALF = np.where((np.arange(10) < 5)[:, None] | (np.arange(3) == 0), 1.0, -np.inf)
NEVER = S.copy()
NEVER[:, 4] = -np.inf
BAD = {
    "too many promises": ({"item_min": 7}, S, "add up to 210 contacts.*only 200.*0.952"),
    "few pairs of a user": ({"user_max": [1] * 5 + [9] * 5, "item_min": 4}, HALF,
                            "add up to 12 contacts.*only 10"),
    "more than users": ({"user_max": 5, "item_min": pd.Series({3: 201})}, S,
                        "1 item has a minimum above the number of users.*Lower it to 200"),
    "nobody may receive": ({"item_min": 1}, NEVER, "nobody may receive.*first: 4"),
    "minimum over maximum": ({"item_min": 3, "item_max": 2}, S, "above their maximum"),
    "negative": ({"item_max": -1}, S, "item_max is negative for 30 items"),
    "negative money": ({"budget": -1.0}, S, "parameter budget must be a number in"),
    "negative cost": ({"budget": 5.0, "item_cost": -1.0}, S, "item_cost is negative"),
    "infinite cost": ({"budget": 5.0, "item_cost": {3: np.inf}}, S,
                      "item_cost is infinite or above 1e30 for 1 item.*a maximum of 0"),
    "length": ({"item_max": [3, 4]}, S, "item_max has 2 numbers for 30 items"),
    "length of costs": ({"budget": 5.0, "user_cost": np.ones(30)}, S,
                        "user_cost has 30 numbers for 200 users"),
    "two dimensions": ({"item_cost": np.ones((200, 30))}, S, "parameter item_cost must be"),
    "unknown item": ({"item_min": pd.Series({"zzz": 1})}, S, "without scores.*'zzz'"),
    "twice": ({"item_min": pd.Series([1, 2], [3, 3])}, S, "names 1 item twice"),
    "half a contact": ({"user_max": 1.5}, S, "not a whole number.*multiply a share"),
    "missing": ({"item_max": [np.nan] * 30}, S, "item_max is missing for 30 items"),
    "text": ({"item_max": "many"}, S, "parameter item_max must be"),
    "text by id": ({"item_max": {3: "many"}}, S, "no numbers.*'many'"),
    "column": ({"item_max": pd.DataFrame({"item_id": [1]})}, S, "needs the columns"),
    "too dear": ({"item_min": 2, "budget": 10.0, "item_cost": 1.0}, S, "cost at least 60"),
    "nan": ({}, np.where(S > 3, np.nan, S), "NaN or infinite"),
    "promises of one": ({"item_min": 1}, S[:20], "lower the minima by 10 contacts in all"),
    "too large": ({}, S.astype(float) * 1e40, "too large for 32 bits"),
    "too small": ({}, S.astype(float) * 1e-60, "too small for 32 bits"),
    "one dimension": ({}, S[0], "1 dimension"),
    "factors": ({}, (np.ones((4, 2)), np.ones((3, 5))), "2 and 5 columns"),
    "requests": ({}, None, "must be Requests"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_refused_in_one_line(case):
    parameters, scores, words = BAD[case]
    with pytest.raises(MakedoInputError, match=words) as caught:
        if scores is None:
            BudgetMatcher().fit(S, ["u1"])
        BudgetMatcher(**parameters).fit(scores)
    assert "\n" not in str(caught.value) and str(caught.value).endswith((".", ")"))


def test_promises_that_nobody_could_keep_together_are_refused():
    """Each has enough users of its own, but both have the same ones."""
    s = np.full((20, 3), -np.inf)
    s[:, 0], s[:5, 1:] = 1.0, 0.5
    with pytest.raises(MakedoInputError, match="find no place under the other limits"):
        BudgetMatcher(1, pd.Series({1: 4, 2: 4})).fit(s)


def test_use_before_fit_is_refused(tmp_path):
    m = BudgetMatcher()
    for use in (lambda: m.transform(S), m.serving, lambda: m.save(tmp_path / "m"), m.report):
        with pytest.raises(NotFittedError):
            use()


# --- keeping it -----------------------------------------------------------------------------------


def test_a_matcher_is_saved_and_loaded_whole(tmp_path):
    m = BudgetMatcher(2, pd.Series({3: 10, 5: 20}), [30] * 30, budget=250.0, item_value={7: 2.0})
    m.fit(pd.DataFrame(S))
    m.save(tmp_path / "m")
    loaded = makedo.load(tmp_path / "m")
    for name in ("plan_", "prices_", "user_prices_", "history_"):
        pd.testing.assert_frame_equal(getattr(m, name), getattr(loaded, name))
    pd.testing.assert_frame_equal(m.transform(S), loaded.transform(S))
    assert loaded.item_min.to_dict() == {3: 10, 5: 20} and loaded.item_value.to_dict() == {7: 2.0}
    again = clone(loaded).fit(pd.DataFrame(S))
    pd.testing.assert_frame_equal(m.plan_, again.plan_)


BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is blocked")

sys.meta_path.insert(0, Block())
import numpy as np
from makedo import BudgetMatcher
s = np.random.default_rng(0).random((50, 8))
m = BudgetMatcher(1, 3, 10).fit(s)
assert len(m.transform(s)) == 50 and m.delivered_share_ == 1
m.report(s).to_html()
assert "torch" not in sys.modules
"""


def test_it_works_with_torch_blocked():
    run = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
